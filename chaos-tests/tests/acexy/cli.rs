//! The command line program: exit codes and report.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::stub::{ENGINES, Stub, text};

async fn run(args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_acexy-sim"));
    let output = command.args(args).env_clear().kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(60), output).await;
    let output = output.unwrap().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn exit_codes_and_report() {
    let stub = Stub::start().await;
    let url = format!("http://{}", stub.addr);
    let base = ["--url", &url, "--api-key", "k", "--streams", "3", "--hold", "50ms"];
    let (code, out) = run(&base).await;
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("3 of 3 streams played, 0 refused, 0 unfinished, 0 complaints"), "{out}");

    stub.set(ENGINES, text(500, "broken"));
    let (code, out) = run(&base).await;
    assert_eq!(code, Some(1));
    assert!(out.contains("COMPLAINT Engines status 500"), "{out}");

    let (code, out) = run(&[&base[..], &["--json"]].concat()).await;
    assert_eq!(code, Some(1));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["plays"][0]["outcome"]["kind"], "fallback");
    assert_eq!(report["plays"][0]["complaints"][0]["status"], json!(500));
}

#[tokio::test]
async fn bad_settings() {
    for args in [
        &["--url", "ftp://127.0.0.1"][..],
        &["--url", "http://u:p@127.0.0.1"],
        &["--url", "http://127.0.0.1", "--hold", "3"],
        &["--streams", "1"],
    ] {
        assert_eq!(run(args).await.0, Some(64), "{args:?}");
    }
    assert_eq!(run(&["--help"]).await.0, Some(0));
}
