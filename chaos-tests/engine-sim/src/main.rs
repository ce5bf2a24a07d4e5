//! The simulated engine as a process: `engine-sim [python main.py …engine options…]`.
//!
//! It may be PID 1 of a container, where a signal without handler is ignored by the kernel, so
//! handlers are in place before anything else. Exit codes: 0 after a signal, 64 for a bad setting,
//! 70 when the port cannot be opened, otherwise what a fault asked for.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result};
use engine_sim::config::Config;
use engine_sim::engine::Engine;
use engine_sim::server;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

const EXIT_USAGE: i32 = 64;
const EXIT_SOFTWARE: i32 = 70;

fn main() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let args = std::env::args_os().skip(1);
    let args = args.map(|a| a.to_string_lossy().into_owned()).collect();
    let environment = std::env::vars_os()
        .map(|(k, v)| {
            let text = |s: std::ffi::OsString| s.to_string_lossy().into_owned();
            (text(k), text(v))
        })
        .collect();
    let config = match Config::parse(args, environment) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("engine-sim: {error}");
            std::process::exit(EXIT_USAGE);
        }
    };
    let code = match run(config) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("engine-sim: {error:#}");
            EXIT_SOFTWARE
        }
    };
    std::process::exit(code);
}

#[tokio::main(flavor = "current_thread")]
async fn run(config: Config) -> Result<i32> {
    let mut terminate = signal(SignalKind::terminate()).context("install SIGTERM handler")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("install SIGINT handler")?;
    tokio::select! {
        code = live(config) => code,
        () = received(&mut terminate) => Ok(0),
        () = received(&mut interrupt) => Ok(0),
    }
}

async fn received(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        // The stream of signals never ends while the runtime lives.
        std::future::pending::<()>().await;
    }
}

async fn live(config: Config) -> Result<i32> {
    if let Some(code) = config.exit_at_start {
        return Ok(code);
    }
    tokio::time::sleep(config.start_delay).await;
    let (port, die_after, die_code) = (config.http_port, config.die_after, config.die_code);
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .await
        .with_context(|| format!("open port {port}"))?;
    tracing::info!(port, "listening");
    let engine = Arc::new(Engine::new(config, Box::new(|code| std::process::exit(code))));
    let dead = async {
        match die_after {
            Some(after) => tokio::time::sleep(after).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        served = server::serve(listener, engine) => served.context("serve").map(|()| 0),
        () = dead => Ok(die_code),
    }
}
