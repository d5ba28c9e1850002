//! Stored objects: whatever a value is, it is told as YAML and JSON or refused in
//! words, and any two are held against each other.

#![no_main]

use etcdtap::kube::diff::{self, Print};
use etcdtap::kube::object::Object;
use etcdtap::kube::tree::{Secrets, Tree};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((at, values)) = input.split_first_chunk::<2>() else {
        return;
    };
    let at = usize::from(u16::from_le_bytes(*at)).min(values.len());
    let (old, new) = values.split_at(at);
    let _ = Object::decode(new);
    let trees = [old, new].map(|value| {
        let shown = Tree::decode(value, Secrets::Show);
        let hidden = Tree::decode(value, Secrets::Hide);
        assert_eq!(shown.is_ok(), hidden.is_ok());
        for tree in [shown, hidden] {
            match tree {
                Ok(mut tree) => {
                    let _ = (tree.note(), tree.yaml());
                    serde_json::from_str::<serde_json::Value>(&tree.json_line())
                        .expect("what is printed as JSON is JSON");
                    tree.leave_out_managed_fields();
                    let _ = tree.json();
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
        Tree::decode(value, Secrets::Hide)
    });
    if let [Ok(old), Ok(new)] = trees {
        let changes = diff::diff(&old, &new);
        for bookkeeping in [false, true] {
            let colour = bookkeeping;
            let _ = changes.text(Print { colour, bookkeeping });
        }
        assert!(diff::diff(&new, &new).changes.is_empty());
    }
});
