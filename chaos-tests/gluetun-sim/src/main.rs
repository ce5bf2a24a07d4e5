//! The simulated Gluetun as a process: `gluetun-sim` runs it, `gluetun-sim healthcheck` asks the running
//! one and exits with 0 or 1, as the real image's health check does.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use gluetun_sim::config::Config;
use gluetun_sim::server::{self, HEALTH_ADDRESS};
use gluetun_sim::sim::Sim;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const EXIT_USAGE: i32 = 64;
const EXIT_SOFTWARE: i32 = 70;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("healthcheck") {
        std::process::exit(i32::from(!is_healthy().unwrap_or(false)));
    }
    let environment = std::env::vars().collect();
    let config = match Config::read(&environment) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("gluetun-sim: {error:#}");
            std::process::exit(EXIT_USAGE);
        }
    };
    if let Err(error) = run(config) {
        eprintln!("gluetun-sim: {error:#}");
        std::process::exit(EXIT_SOFTWARE);
    }
}

fn is_healthy() -> Result<bool> {
    let mut stream = TcpStream::connect(HEALTH_ADDRESS)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(status.ends_with(b" 200"))
}

#[tokio::main(flavor = "current_thread")]
async fn run(config: Config) -> Result<()> {
    // As PID 1 of a container it would not die of a signal without a handler.
    let mut terminate = signal(SignalKind::terminate()).context("install SIGTERM handler")?;
    let address = config.address;
    let control = TcpListener::bind(address).await.with_context(|| format!("open {address}"))?;
    let health = TcpListener::bind(HEALTH_ADDRESS).await.with_context(|| format!("open {HEALTH_ADDRESS}"))?;
    println!("control server on {address}");
    let sim = Arc::new(Sim::new(config));
    tokio::select! {
        served = axum::serve(control, server::control(Arc::clone(&sim))) => served.context("control server"),
        served = axum::serve(health, server::health(sim)) => served.context("health server"),
        _ = terminate.recv() => Ok(()),
    }
}
