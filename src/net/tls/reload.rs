//! Taking up renewed certificates while we run.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::{Pems, TlsContext, TlsSource};
use crate::net::{BindError, Phase, Shutdown};

/// Looks at the files `every` so often and swaps `current` when they have
/// changed; connections that stand keep what they began with.
///
/// The content is compared, not the file's times: Kubernetes renews a mounted
/// secret by swapping a symbolic link to its folder.
pub(in crate::net) async fn reload(
    source: TlsSource,
    mut in_force: Pems,
    current: Arc<ArcSwap<TlsContext>>,
    every: Duration,
    shutdown: Shutdown,
) {
    let source = Arc::new(source);
    let mut complaint = Complaint::None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = shutdown.reached(Phase::Drain) => return,
        }
        match look(&source, in_force.clone()).await {
            Look::Same => complaint = Complaint::None,
            Look::New(pems, context) => {
                current.store(context);
                in_force = pems;
                complaint = Complaint::None;
                tracing::info!("certificates changed: new connections use the new ones");
            }
            Look::Broken(found) => complaint = complaint.again(found),
        }
    }
}

/// What a look at the files found.
enum Look {
    Same,
    New(Pems, Arc<TlsContext>),
    Broken(Broken),
}

/// Files that cannot be used, and why.
#[derive(PartialEq, Eq)]
struct Broken {
    /// `None` where they could not even be read.
    pems: Option<Pems>,
    why: String,
}

/// Files may sit on a slow disk and signatures take their time: both happen
/// away from the workers that relay.
async fn look(source: &Arc<TlsSource>, in_force: Pems) -> Look {
    let source = Arc::clone(source);
    let looked = tokio::task::spawn_blocking(move || {
        let broken = |pems, error: BindError| {
            Look::Broken(Broken {
                pems,
                why: error.to_string(),
            })
        };
        match source.read() {
            Err(error) => broken(None, error),
            Ok(pems) if pems == in_force => Look::Same,
            Ok(pems) => match source.build(&pems) {
                Ok(context) => Look::New(pems, Arc::new(context)),
                Err(error) => broken(Some(pems), error),
            },
        }
    });
    // Not run at all: the runtime is going down.
    looked.await.unwrap_or(Look::Same)
}

/// Where a complaint about broken files stands.
enum Complaint {
    None,
    /// Found once. A certificate and its key are two files, and we may have
    /// looked between the writing of the one and the other.
    Suspected(Broken),
    Said(Broken),
}

impl Complaint {
    fn again(self, found: Broken) -> Complaint {
        match self {
            Complaint::Said(said) if said == found => Complaint::Said(said),
            Complaint::Suspected(suspected) if suspected == found => {
                tracing::warn!("{}; the certificates read before stay in use", found.why);
                Complaint::Said(found)
            }
            _ => Complaint::Suspected(found),
        }
    }
}
