//! The example of docs/recording.md, as somebody runs it who has Python and no
//! etcdtap.

use std::path::PathBuf;
use std::process::Command;

use etcdtap::record::redact::Values;

use super::stage::Stage;
use crate::pcap;

/// What a script prints that Python runs with MCAP's packages.
pub fn printed(script: &str, files: &[PathBuf]) -> String {
    let packages = std::env::var("ETCDTAP_TEST_MCAP")
        .expect("ETCDTAP_TEST_MCAP is not set: eval the lines that scripts/tools prints");
    let ran = Command::new("python3")
        .args(["-c", script])
        .args(files)
        .env("PYTHONPATH", packages)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{errors}");
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn the_example_reads_a_recording_without_us() {
    let page = include_str!("../../../docs/recording.md");
    let (_, example) = page.split_once("```python\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();

    let stage = Stage::new(Values::Redacted);
    for (number, connection) in (1..).zip(pcap::APISERVER_0_36.iter()) {
        stage.pass(connection, number, usize::MAX);
    }
    let (folder, _, passed) = stage.finish();
    let answers = passed
        .iter()
        .filter(|(which, heard)| which.from_server && heard.path == "/etcdserverpb.KV/Range");
    let answers = answers.count();
    assert!(answers > 10, "{answers}");

    let told = printed(example, &[folder.path().join("calls.mcap")]);
    let told = told.lines().filter(|line| line.contains(" answered "));
    assert_eq!(told.count(), answers);
}
