//! The engine as a process: settings, signals, exit codes.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::TcpListener;
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};

use common::DEADLINE;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A port of this process: below those that the system gives away.
fn own_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() % 1_000).unwrap();
    10_000 + 10 * process + NEXT.fetch_add(1, Ordering::Relaxed)
}

fn command(args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_engine-sim"));
    command.args(args).env_clear().envs(env.iter().copied());
    command.stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Starts an engine and waits until it listens.
async fn listening(args: &[&str], env: &[(&str, &str)]) -> Child {
    let mut child = command(args, env).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("listening") {
                return;
            }
        }
        panic!("it ended before it listened");
    };
    timeout(DEADLINE, ready).await.unwrap();
    child
}

async fn exit_code(child: &mut Child) -> Option<i32> {
    timeout(DEADLINE, child.wait()).await.unwrap().unwrap().code()
}

#[tokio::test]
async fn signals_end_it_with_code_zero() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let port = own_port().to_string();
        let args = ["python", "main.py", "--bind-all", "--http-port", &port, "--https-port", "2"];
        let mut child = listening(&args, &[]).await;
        let url = format!("http://127.0.0.1:{port}/server/api?api_version=3&method=get_status");
        assert_eq!(reqwest::get(url).await.unwrap().status(), 200);
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
        kill(pid, signal).unwrap();
        assert_eq!(exit_code(&mut child).await, Some(0), "{signal}");
    }
}

#[tokio::test]
async fn signals_work_during_a_slow_start() {
    let env = [("HTTP_PORT", "1"), ("SIM_START_DELAY_MS", "600000")];
    let mut child = command(&[], &env).spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    // Before the handler is there, the signal ends it the default way: by signal, without a code.
    assert!(matches!(exit_code(&mut child).await, Some(0) | None));
}

#[tokio::test]
async fn it_dies_as_told() {
    let mut at_start = command(&[], &[("SIM_EXIT_AT_START", "3")]).spawn().unwrap();
    assert_eq!(exit_code(&mut at_start).await, Some(3));

    let port = own_port().to_string();
    let conf = format!("--http-port={port}\n--https-port=2");
    let env = [("CONF", conf.as_str()), ("SIM_DIE_AFTER_S", "0.1"), ("SIM_DIE_CODE", "137")];
    let mut later = listening(&[], &env).await;
    assert_eq!(exit_code(&mut later).await, Some(137));

    let port = own_port().to_string();
    let args = format!("--bind-all --http-port {port}");
    let mut asked = listening(&[], &[("ACESTREAM_ARGS", &args)]).await;
    let http = reqwest::Client::new();
    let post = http.post(format!("http://127.0.0.1:{port}/sim/control")).body(r#"{"die": 9}"#);
    assert_eq!(post.send().await.unwrap().status(), 200);
    assert_eq!(exit_code(&mut asked).await, Some(9));
}

#[tokio::test]
async fn bad_settings_are_named() {
    for (env, code, text) in [(("HTTP_PORT", "http"), 64, "--http-port"), (("SIM_HNAG", "1"), 64, "SIM_HNAG")]
    {
        let output = timeout(DEADLINE, command(&[], &[env]).output()).await.unwrap().unwrap();
        assert_eq!(output.status.code(), Some(code));
        assert!(String::from_utf8_lossy(&output.stderr).contains(text));
    }
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut child = command(&[], &[("HTTP_PORT", &port)]).spawn().unwrap();
    assert_eq!(exit_code(&mut child).await, Some(70));
}
