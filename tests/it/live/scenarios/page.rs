//! `docs/chaos.md`: its two runs are done again, and have to print what the page
//! shows, figures apart. `ETCDTAP_WRITE_CHAOS=1` writes them anew.

use super::stage::{Desk, PODS, Writer, with_admin};
use crate::live::cache::{Cache, Seen};
use crate::live::faults::objects::Truth;
use crate::live::stack::{Stack, on_setups};

on_setups! {
    the_page_shows_what_is_printed: CACHED_35;
}

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/chaos.md");

/// The block of the page that shows this command.
fn block<'p>(page: &'p str, command: &str) -> (usize, &'p str) {
    let begin = format!("```text\n$ etcdtap {command}");
    let at = page.find(&begin);
    let at = at.unwrap_or_else(|| panic!("docs/chaos.md does not show {command}"));
    let text = &page[at + "```text\n".len()..];
    let end = text.find("\n```\n").expect("a block ends");
    (at + "```text\n".len(), &text[..end])
}

/// What does not change from run to run: the names of faults and figures.
fn words(text: &str) -> Vec<String> {
    let table = text.lines().skip_while(|line| !line.starts_with("FAULT"));
    let table = table.take_while(|line| !line.starts_with("watches of"));
    let names = table.map(|line| line.split("  ").find(|part| !part.is_empty()));
    let name = |name: &&str| !name.contains(|c: char| c.is_ascii_digit());
    names.flatten().filter(name).map(str::to_owned).collect()
}

async fn shown(desk: &Desk, line: &str, address: &str) -> String {
    let exit = desk.run(line).await;
    let told = format!("{}\n{}", exit.stderr.trim_end(), exit.stdout.trim_end());
    // The page's proxy has ports that people know.
    told.replace(address, ":12391")
}

async fn the_page_shows_what_is_printed(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let mut truth = Truth::of(&stack).await;
    let cache = Cache::ready(&stack, PODS).await;
    let address = format!(":{}", stack.proxy.address().port());
    let writer = Writer::of(&stack).await;
    let mut page = std::fs::read_to_string(PATH).unwrap();
    for (line, expected) in [
        (
            "scenario run compacted-watch --set for=8s --set every=4s",
            2,
        ),
        (
            "scenario run half-open --set for=12s --set listener=:12391",
            1,
        ),
    ] {
        let told = shown(&desk, &line.replace(":12391", &address), &address).await;
        let (at, before) = block(&page, line);
        let now = format!("$ etcdtap {line}\n{told}");
        if std::env::var_os("ETCDTAP_WRITE_CHAOS").is_some() {
            let end = at + before.len();
            page.replace_range(at..end, &now);
            std::fs::write(PATH, &page).unwrap();
        } else {
            assert_eq!(words(&now), words(before), "{now}");
            assert!(words(&now).len() > 20, "{now}");
        }
        assert!(cache.count(|seen| matches!(seen, Seen::Watching { .. })) > expected);
    }
    writer.stop().await;
    cache.wait_until_true(&mut truth, PODS).await;
}
