//! `lease-storm`: leases that nobody can renew expire together.

use std::time::Duration;

use etcd_client::{Error, PutOptions};

use super::stage::{PODS, with_admin};
use crate::live::cache::{Cache, Seen, truth_of};
use crate::live::faults::objects::Truth;
use crate::live::patience::{soon, until};
use crate::live::stack::{Stack, on_setups};

on_setups! {
    leases_that_nobody_can_renew_expire_together: CACHED_35, CACHED_MTLS_34;
}

const LEASES: usize = 8;

async fn leases_that_nobody_can_renew_expire_together(mut stack: Stack) {
    let desk = with_admin(&mut stack).await;
    let mut truth = Truth::of(&stack).await;
    let cache = Cache::ready(&stack, PODS).await;
    let mut client = stack.client().await;
    let mut leases = Vec::new();
    for n in 0..LEASES {
        let lease = client.lease_grant(2, None).await.unwrap().id();
        let key = format!("{PODS}lab/held{n}");
        let options = PutOptions::new().with_lease(lease);
        client.put(key, "1", Some(options)).await.unwrap();
        leases.push(lease);
    }
    // Each holder renews its lease, comes back when its stream ends, and says
    // when it learns that the lease is gone.
    let holders: Vec<_> = leases
        .iter()
        .map(|lease| {
            let (mut client, lease) = (client.clone(), *lease);
            tokio::spawn(async move {
                loop {
                    match client.lease_keep_alive(lease).await {
                        Ok((mut keeper, mut kept)) => {
                            while keeper.keep_alive().await.is_ok() {
                                match kept.message().await {
                                    Ok(Some(answer)) if answer.ttl() == 0 => return,
                                    Ok(Some(_)) => {}
                                    _ => break,
                                }
                                tokio::time::sleep(Duration::from_millis(300)).await;
                            }
                        }
                        // There is no such lease any more.
                        Err(Error::LeaseKeepAliveError(_)) => return,
                        Err(_) => {}
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        truth_of(&mut truth, PODS).await.len(),
        LEASES,
        "they are renewed"
    );

    let incident = desk.begin("lease-storm --set for=1m").await;
    until("all keys are gone", async || {
        truth_of(&mut truth, PODS).await.is_empty().then_some(())
    })
    .await;
    let outcome = incident.end().await;
    assert!(outcome.hits("lease-storm-keepalives") >= 1);
    // Their holders learn of it, and the cache saw each delete.
    for holder in holders {
        soon("a holder learns of it", holder).await.unwrap();
    }
    cache.wait_until_true(&mut truth, PODS).await;
    let events = cache.count(|seen| matches!(seen, Seen::Event { .. }));
    assert_eq!(events, 2 * LEASES, "{:?}", cache.outline());
    assert_eq!(cache.lists(), 1);
}
