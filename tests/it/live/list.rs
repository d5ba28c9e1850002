//! Long lists, in pages, at one revision.

use etcd_client::{Client, GetOptions};

use super::stack::{Stack, on_setups};

on_setups! {
    pages_add_up_to_the_list: PLAIN_34, MTLS_35, THREE_35;
}

const KEYS: usize = 620;

/// Lists a prefix in pages as the API server does: the first page says at which
/// revision, the next ones start behind the last key.
async fn pages(client: &mut Client) -> Vec<Vec<Vec<u8>>> {
    let mut pages = Vec::new();
    let mut from = b"/registry/pods/".to_vec();
    let mut revision = 0;
    loop {
        let options = GetOptions::new()
            .with_range("/registry/pods0")
            .with_limit(100)
            .with_revision(revision);
        let page = client.get(from, Some(options)).await.unwrap();
        revision = page.header().unwrap().revision();
        let keys: Vec<_> = page.kvs().iter().map(|kv| kv.key().to_vec()).collect();
        from = keys.last().unwrap().clone();
        from.push(0);
        pages.push(keys);
        if !page.more() {
            return pages;
        }
    }
}

async fn pages_add_up_to_the_list(stack: Stack) {
    let mut direct = stack.client_direct().await;
    for n in 0..KEYS {
        let key = format!("/registry/pods/default/web-{n:04}");
        direct.put(key, vec![b'v'; 2_000], None).await.unwrap();
    }
    let mut client = stack.client().await;
    let seen = pages(&mut client).await;
    assert_eq!(seen.len(), KEYS.div_ceil(100));
    assert_eq!(seen, pages(&mut direct).await);

    let whole = GetOptions::new().with_prefix();
    let whole = client.get("/registry/pods/", Some(whole)).await.unwrap();
    assert_eq!(whole.kvs().len(), KEYS);
    let count = GetOptions::new().with_prefix().with_count_only();
    let count = client.get("/registry/pods/", Some(count)).await.unwrap();
    assert_eq!(count.count(), KEYS as i64);

    let lines = stack
        .proxy
        .log
        .wait_for_count("a Range", seen.len() + 2, |line| line.is_call("Range"))
        .await;
    assert!(lines.iter().all(|line| line.text("resource") == "pods"));
    let (in_pages, rest) = lines.split_at(seen.len());
    assert!(
        in_pages
            .iter()
            .all(|line| line.text("verb") == in_pages[0].text("verb"))
    );
    let answered: i64 = in_pages
        .iter()
        .filter_map(|line| line.number("count"))
        .sum();
    assert_eq!(answered, KEYS as i64, "a page's count is the keys it held");
    assert_eq!(rest[0].text("verb"), "list");
    assert_eq!(rest[0].number("count"), Some(KEYS as i64));
    assert!(rest[0].number("response_bytes").unwrap() > KEYS as i64 * 2_000);
    assert_eq!(rest[1].text("verb"), "count");
    assert_eq!(rest[1].number("count"), Some(KEYS as i64));
}
