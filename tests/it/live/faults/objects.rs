//! Objects as an API server writes them, and what etcd has of them.

use etcd_client::{Client, Compare, CompareOp, GetOptions, Txn, TxnOp};

use crate::live::etcdctl::{Etcdctl, Output};
use crate::live::stack::Stack;

/// A `create`, `update` (`at` a revision) as the API server sends it: only if
/// the key is there still.
pub fn write(key: &str, at: i64, value: &str) -> Txn {
    Txn::new()
        .when([Compare::mod_revision(key, CompareOp::Equal, at)])
        .and_then([TxnOp::put(key, value, None)])
        .or_else([TxnOp::get(key, None)])
}

/// A `create`.
pub fn create(key: &str, value: &str) -> Txn {
    write(key, 0, value)
}

/// A `delete`.
pub fn delete(key: &str, at: i64) -> Txn {
    Txn::new()
        .when([Compare::mod_revision(key, CompareOp::Equal, at)])
        .and_then([TxnOp::delete(key, None)])
        .or_else([TxnOp::get(key, None)])
}

/// A write with etcdctl.
pub async fn write_with(etcdctl: &Etcdctl, key: &str, at: i64, value: &str) -> Output {
    let txn = format!("mod(\"{key}\") = \"{at}\"\n\nput {key} {value}\n\nget {key}\n\n");
    etcdctl.run_with_input(["txn"], txn.as_bytes()).await
}

/// What etcd has of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The value.
    pub value: String,
    /// How often it was written since it was made.
    pub version: i64,
    /// When it was written last.
    pub mod_revision: i64,
}

/// etcd, asked directly.
pub struct Truth(Client);

impl Truth {
    /// Of this etcd.
    pub async fn of(stack: &Stack) -> Truth {
        Truth(stack.client_direct().await)
    }

    /// Of members of a plain etcd.
    pub async fn at(urls: &[String]) -> Truth {
        Truth(Client::connect(urls, None).await.unwrap())
    }

    /// The client that goes around etcdtap.
    pub fn client(&mut self) -> &mut Client {
        &mut self.0
    }

    /// What there is of a key.
    pub async fn key(&mut self, key: &str) -> Option<Kept> {
        let answer = self.0.get(key, None).await.unwrap();
        let kv = answer.kvs().first()?;
        Some(Kept {
            value: kv.value_str().unwrap().to_owned(),
            version: kv.version(),
            mod_revision: kv.mod_revision(),
        })
    }

    /// The value of a key and how often it was written; `None` if there is none.
    pub async fn version(&mut self, key: &str) -> Option<(String, i64)> {
        let kept = self.key(key).await?;
        Some((kept.value, kept.version))
    }

    /// The store's revision: it moves with every write.
    pub async fn revision(&mut self) -> i64 {
        let options = GetOptions::new().with_count_only();
        let answer = self.0.get("\0", Some(options)).await.unwrap();
        answer.header().unwrap().revision()
    }

    /// Writes a key; the revision that it is at then.
    pub async fn put(&mut self, key: &str, value: &str) -> i64 {
        let answer = self.0.put(key, value, None).await.unwrap();
        answer.header().unwrap().revision()
    }

    /// Writes so many keys below a prefix.
    pub async fn fill(&mut self, prefix: &str, count: usize, bytes: usize) {
        for n in 0..count {
            self.put(&format!("{prefix}{n:03}"), &"x".repeat(bytes))
                .await;
        }
    }
}
