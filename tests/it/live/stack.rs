//! etcd with etcdtap in front of it: one listener a member.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, ConnectOptions};

use super::certs::Pki;
use super::etcd::{Etcd, Version};
use super::etcdctl::{Etcdctl, Output};
use super::ports;
use super::proxy::{Arguments, Proxy};

/// Which etcd, how many members, with client certificates or without.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    version: Version,
    members: usize,
    mtls: bool,
    /// Whether watches are told several times a second how far they have come.
    progress: bool,
}

impl Setup {
    /// etcd 3.4, one member, plain.
    pub const PLAIN_34: Setup = Setup {
        version: Version::V3_4,
        members: 1,
        mtls: false,
        progress: false,
    };
    /// etcd 3.5, one member, plain.
    pub const PLAIN_35: Setup = Setup {
        version: Version::V3_5,
        ..Setup::PLAIN_34
    };
    /// etcd 3.4, one member, client certificates.
    pub const MTLS_34: Setup = Setup {
        mtls: true,
        ..Setup::PLAIN_34
    };
    /// etcd 3.5, one member, client certificates.
    pub const MTLS_35: Setup = Setup {
        mtls: true,
        ..Setup::PLAIN_35
    };
    /// etcd 3.4, three members, client certificates.
    pub const THREE_MTLS_34: Setup = Setup {
        members: 3,
        ..Setup::MTLS_34
    };
    /// etcd 3.5, three members, plain.
    pub const THREE_35: Setup = Setup {
        members: 3,
        ..Setup::PLAIN_35
    };

    /// [`Setup::THREE_MTLS_34`], for caches: watches are told how far they are.
    pub const CACHED_MTLS_34: Setup = Setup {
        progress: true,
        ..Setup::THREE_MTLS_34
    };
    /// [`Setup::THREE_35`], for caches: watches are told how far they are.
    pub const CACHED_35: Setup = Setup {
        progress: true,
        ..Setup::THREE_35
    };

    /// Starts it all.
    pub async fn start(self) -> Stack {
        self.start_with(Arguments::new()).await
    }

    /// Starts it all, etcdtap with more arguments.
    pub async fn start_with(self, arguments: Arguments) -> Stack {
        self.assemble(arguments, false).await
    }

    /// Starts it all; the members tell clients etcdtap's addresses.
    pub async fn start_advertising_the_proxy(self) -> Stack {
        self.assemble(Arguments::new(), true).await
    }

    async fn assemble(self, mut arguments: Arguments, advertise: bool) -> Stack {
        let front: Vec<_> = (0..self.members).map(|_| ports::free()).collect();
        let mut options = Etcd::of(self.version, self.members);
        if self.progress {
            options = options.progress(Duration::from_millis(300));
        }
        if advertise {
            options = options.advertise(front.clone());
        }
        if self.mtls {
            options = options.tls(Arc::new(Pki::new()));
        }
        let etcd = options.start().await;
        if let Some(pki) = &etcd.pki {
            arguments = with_mtls(arguments, pki);
        }
        for (listen, upstream) in front.iter().zip(etcd.urls()) {
            arguments = arguments.pair_at(*listen, &upstream);
        }
        let proxy = arguments.start().await;
        Stack { etcd, proxy }
    }
}

/// TLS on both sides from a folder's files, each named by its own flag.
pub fn with_mtls(arguments: Arguments, pki: &Pki) -> Arguments {
    arguments
        .flag("--tls-cert", pki.server_cert())
        .flag("--tls-key", pki.server_key())
        .flag("--tls-client-ca", pki.ca())
        .flag("--tls-client-auth", "require")
        .flag("--upstream-ca", pki.ca())
        .flag("--upstream-cert", pki.client_cert())
        .flag("--upstream-key", pki.client_key())
}

/// etcd, and etcdtap in front of it.
pub struct Stack {
    /// The servers.
    pub etcd: Etcd,
    /// What stands in front of them.
    pub proxy: Proxy,
}

impl Stack {
    /// What its URLs begin with.
    pub fn scheme(&self) -> &'static str {
        match self.etcd.pki {
            Some(_) => "https",
            None => "http",
        }
    }

    /// etcdctl through etcdtap.
    pub fn etcdctl(&self) -> Etcdctl {
        self.etcdctl_at(&self.proxy.urls(self.scheme()))
    }

    /// etcdctl straight to etcd.
    pub fn etcdctl_direct(&self) -> Etcdctl {
        self.etcdctl_at(&self.etcd.urls())
    }

    fn etcdctl_at(&self, urls: &[String]) -> Etcdctl {
        let etcdctl = Etcdctl::of(self.etcd.version, urls);
        match &self.etcd.pki {
            Some(pki) => etcdctl.tls(pki),
            None => etcdctl,
        }
    }

    /// The Rust client through etcdtap.
    pub async fn client(&self) -> Client {
        self.client_at(self.proxy.urls(self.scheme())).await
    }

    /// The Rust client straight to etcd.
    pub async fn client_direct(&self) -> Client {
        self.client_at(self.etcd.urls()).await
    }

    async fn client_at(&self, urls: Vec<String>) -> Client {
        let pki = self.etcd.pki.as_ref();
        let options = pki.map(|pki| ConnectOptions::new().with_tls(pki.client_options()));
        Client::connect(urls, options).await.unwrap()
    }

    /// Runs an etcdctl command straight and through etcdtap, and asserts that
    /// an administrator could not tell which was which. `{}` in an argument
    /// stands for a word that differs, so that two writes do not meet.
    pub async fn same_either_way(&self, command: &[&str]) -> Output {
        self.same_between(&self.etcdctl_direct(), &self.etcdctl(), command)
            .await
    }

    /// [`Stack::same_either_way`] with two etcdctls of one's own.
    pub async fn same_between(
        &self,
        direct: &Etcdctl,
        through: &Etcdctl,
        command: &[&str],
    ) -> Output {
        let expected = run_named(direct, WORDS[0], command).await;
        let seen = run_named(through, WORDS[1], command).await;
        assert_eq!(seen.code, expected.code, "{command:?}: {}", seen.stderr);
        assert_eq!(seen.stdout, expected.stdout, "{command:?}");
        assert_eq!(seen.error(), expected.error(), "{command:?}");
        seen
    }
}

const WORDS: [&str; 2] = ["straight", "tapped"];

/// Runs a command with a word put in, and takes the words out of what is
/// printed.
async fn run_named(etcdctl: &Etcdctl, word: &str, command: &[&str]) -> Output {
    let command: Vec<_> = command.iter().map(|a| a.replace("{}", word)).collect();
    let output = etcdctl.run(command.iter().map(String::as_str)).await;
    let without = |text: String| {
        WORDS
            .iter()
            .fold(text, |text, word| text.replace(word, "{}"))
    };
    Output {
        code: output.code,
        stdout: without(output.stdout),
        stderr: without(output.stderr),
    }
}

/// One test for each named setup of a function that takes a [`Stack`].
macro_rules! on_setups {
    ($($body:ident: $($setup:ident),+ $(,)?;)+) => {
        $(mod $body {
            $(#[allow(non_snake_case)]
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $setup() {
                let setup = $crate::live::stack::Setup::$setup;
                super::$body(setup.start().await).await;
            })+
        })+
    };
}
pub(crate) use on_setups;
