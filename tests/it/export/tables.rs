//! CSV and Parquet: DuckDB reads what docs/export.md says.

use std::process::Command;

use serde_json::Value;

use super::recorded::{Recorded, export};
use crate::pcap;

const PAGE: &str = include_str!("../../../docs/export.md");

/// Asks DuckDB; the answer's rows, each a list.
fn duckdb(folder: &std::path::Path, sql: &str) -> Vec<Value> {
    let packages = std::env::var("ETCDTAP_TEST_DUCKDB")
        .expect("ETCDTAP_TEST_DUCKDB is not set: eval the lines that scripts/tools prints");
    let script = "import sys, json, duckdb\n\
                  duckdb.execute(\"set TimeZone = 'UTC'\")\n\
                  rows = duckdb.sql(sys.argv[1]).fetchall()\n\
                  print(json.dumps(rows, default=str))";
    let output = Command::new("python3")
        .args(["-c", script, sql])
        .env("PYTHONPATH", packages)
        .current_dir(folder)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{sql}\n{stderr}");
    serde_json::from_slice::<Vec<Value>>(&output.stdout).unwrap()
}

fn log(recorded: &Recorded) -> Vec<Value> {
    let lines = recorded.log.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn exported(recorded: &Recorded, format: &str) {
    let out = recorded.folder.path().join(format!("calls.{format}"));
    let ran = export(&[
        recorded.path().to_str().unwrap(),
        "--to",
        format,
        "-o",
        out.to_str().unwrap(),
    ]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}

/// The code blocks of the page that are SQL.
fn queries() -> Vec<&'static str> {
    let blocks = PAGE.split("```sql\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap())
        .collect()
}

/// Rows of the page's tables that have so many cells and name a column.
fn documented_columns() -> Vec<(&'static str, &'static str)> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| {
        let (name, rest) = row.split_once("` | ")?;
        let (kind, _) = rest.split_once(" |")?;
        ["VARCHAR", "BIGINT", "BOOLEAN", "TIMESTAMP"]
            .iter()
            .any(|known| kind.starts_with(known))
            .then_some((name, kind))
    })
    .collect()
}

#[test]
fn duckdb_reads_the_documented_columns_with_their_types() {
    let recorded = Recorded::of(&pcap::APISERVER_0_36[..3]);
    exported(&recorded, "parquet");
    let told = duckdb(recorded.folder.path(), "describe from 'calls.parquet'");
    let told: Vec<(&str, &str)> = told
        .iter()
        .map(|row| (row[0].as_str().unwrap(), row[1].as_str().unwrap()))
        .collect();
    assert_eq!(told, documented_columns());
}

#[test]
fn duckdb_finds_in_both_tables_what_the_log_says() {
    let recorded = Recorded::of(&pcap::APISERVER_0_36);
    let log = log(&recorded);
    exported(&recorded, "parquet");
    exported(&recorded, "csv");
    let folder = recorded.folder.path();
    let columns = "count(*), count(distinct conn), sum(duration_us), \
                   sum(response_bytes), max(revision), count(key), count(*) filter (more), \
                   strftime(min(ts), '%Y-%m-%dT%H:%M:%S.%fZ'), count(lag_us), \
                   sum(settings_client_max_frame_size), count(raft_term)";
    let parquet = duckdb(folder, &format!("select {columns} from 'calls.parquet'"));
    let csv = duckdb(
        folder,
        &format!("select {columns} from read_csv('calls.csv', sample_size = -1)"),
    );
    let sum = |field: &str| -> i64 { log.iter().filter_map(|line| line[field].as_i64()).sum() };
    let count = |field: &str| log.iter().filter(|line| !line[field].is_null()).count();
    let row = &parquet[0];
    assert_eq!(row[0], log.len());
    assert_eq!(row[1], 20);
    assert_eq!(row[2].to_string(), sum("duration_us").to_string());
    assert_eq!(row[3].to_string(), sum("response_bytes").to_string());
    let revisions = log.iter().filter_map(|line| line["revision"].as_i64());
    assert_eq!(row[4].as_i64(), revisions.max());
    assert_eq!(row[5], count("key"));
    assert_eq!(row[6], count("more"));
    let first = log.iter().map(|line| line["ts"].as_str().unwrap()).min();
    assert_eq!(row[7].as_str(), first);
    assert_eq!(row[8], count("lag_us"));
    let frames = log
        .iter()
        .filter_map(|line| line["settings_client"]["max_frame_size"].as_i64());
    assert_eq!(row[9].to_string(), frames.sum::<i64>().to_string());
    assert!(row[10].as_i64() > Some(2000), "{row}");
    assert_eq!(csv[0], *row);

    let keys = duckdb(
        folder,
        "select key from 'calls.parquet' where key is not null order by key",
    );
    let mut told: Vec<&str> = keys.iter().map(|row| row[0].as_str().unwrap()).collect();
    let mut logged: Vec<&str> = log.iter().filter_map(|line| line["key"].as_str()).collect();
    told.sort_unstable();
    logged.sort_unstable();
    assert_eq!(told, logged);
}

#[test]
fn the_pages_queries_run() {
    let recorded = Recorded::of(&pcap::APISERVER_0_36);
    exported(&recorded, "parquet");
    let queries = queries();
    assert!(queries.len() >= 3, "{}", queries.len());
    for sql in queries {
        let rows = duckdb(recorded.folder.path(), sql);
        assert!(!rows.is_empty(), "{sql}");
    }
}

#[test]
fn no_cell_holds_a_token() {
    let recorded = Recorded::of(&pcap::APISERVER_1_20);
    exported(&recorded, "parquet");
    let rows = duckdb(
        recorded.folder.path(),
        "select to_json(c) from 'calls.parquet' c",
    );
    assert!(rows.len() > 5000, "{}", rows.len());
    let text = Value::from(rows).to_string();
    assert!(!super::holds_a_token(text.as_bytes()));
}
