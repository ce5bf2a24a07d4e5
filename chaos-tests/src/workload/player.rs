//! A session on an engine that really plays: opened as Acexy opens it, its bytes read and looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tokio::task::JoinHandle;

use crate::node::StartedEvent;
use crate::wait::wait_for;

/// Opening a session, and waiting for its first bytes.
const PATIENCE: Duration = Duration::from_secs(15);
/// Length of an MPEG-TS packet.
const PACKET: usize = 188;
/// First byte of every MPEG-TS packet.
const SYNC: u8 = 0x47;

/// A player that reads until it is dropped.
#[derive(Debug)]
pub struct Player {
    /// What Acexy would report about this session.
    pub event: StartedEvent,
    bytes: Arc<AtomicU64>,
    task: JoinHandle<Result<()>>,
}

#[derive(Debug, Deserialize)]
struct Opened {
    response: Option<Session>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Session {
    playback_url: String,
    stat_url: String,
    command_url: String,
    playback_session_id: String,
}

impl Player {
    /// Opens a session for this content on the engine at `host:port` and starts to read it.
    pub async fn open(host: &str, port: u16, key: &str) -> Result<Self> {
        let http = reqwest::Client::builder().connect_timeout(PATIENCE).no_proxy().build()?;
        let player = uuid::Uuid::new_v4();
        let url = format!("http://{host}:{port}/ace/getstream?format=json&id={key}&pid={player}");
        // An engine that has just been started runs before it listens.
        let answer = wait_for(&url, PATIENCE, || async {
            match http.get(&url).timeout(PATIENCE).send().await {
                Err(error) if error.is_connect() => Err(error.into()),
                other => Ok(other),
            }
        });
        let opened: Opened = answer.await??.json().await.with_context(|| url.clone())?;
        let Some(session) = opened.response else { bail!("{url}: {:?}", opened.error) };
        let bytes = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(read(http, session.playback_url.clone(), bytes.clone()));
        let event = StartedEvent {
            host: host.to_owned(),
            port,
            key: key.to_owned(),
            session: session.playback_session_id,
            stat_url: session.stat_url,
            command_url: session.command_url,
        };
        Ok(Self { event, bytes, task })
    }

    /// Waits until more bytes have arrived than at the time of the call.
    pub async fn expect_progress(&self) -> Result<()> {
        let before = self.bytes();
        wait_for(&format!("bytes of {}", self.event.stream_id()), PATIENCE, || async {
            ensure!(!self.task.is_finished(), "the stream has ended after {} bytes", self.bytes());
            ensure!(
                self.bytes() >= before + 2 * PACKET as u64,
                "{} bytes, no more than before",
                self.bytes()
            );
            Ok(())
        })
        .await
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(http: reqwest::Client, url: String, bytes: Arc<AtomicU64>) -> Result<()> {
    let mut response = http.get(&url).send().await?.error_for_status()?;
    let mut at = 0_usize;
    while let Some(chunk) = response.chunk().await? {
        // Every packet begins with the sync byte, wherever the chunks are cut.
        let first = (PACKET - at % PACKET) % PACKET;
        let broken = chunk.iter().skip(first).step_by(PACKET).any(|byte| *byte != SYNC);
        ensure!(!broken, "{url}: not MPEG-TS near byte {at}");
        at += chunk.len();
        bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
    }
    bail!("{url}: ended after {at} bytes")
}
