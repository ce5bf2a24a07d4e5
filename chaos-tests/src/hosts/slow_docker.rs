//! A Docker that takes its time: a socket in front of that of a host, on which each start of a container waits.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::host::Host;

/// Bytes that are moved at once: more than the head of any request that starts a container.
const PIECE: usize = 64 << 10;

/// A socket that passes everything on to a host's Docker, until it is dropped. Connections that are open then go on.
#[derive(Debug)]
pub struct SlowDocker {
    socket: PathBuf,
    task: JoinHandle<()>,
}

impl SlowDocker {
    /// A socket on which each start of a container waits for so long before Docker hears of it.
    pub fn start(host: &Host, delay: Duration) -> Result<Self> {
        let (docker, socket) = (host.state_dir().join("docker.sock"), host.state_dir().join("slow.sock"));
        Self::between(&docker, socket, delay)
    }

    fn between(docker: &Path, socket: PathBuf, delay: Duration) -> Result<Self> {
        let listener = UnixListener::bind(&socket).with_context(|| socket.display().to_string())?;
        let docker = docker.to_owned();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let docker = docker.clone();
                tokio::spawn(async move {
                    if let Err(error) = pass(client, &docker, delay).await {
                        tracing::debug!(%error, "a connection to Docker broke");
                    }
                });
            }
        });
        Ok(Self { socket, task })
    }

    /// Its address, as `DOCKER_HOST` wants it.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }
}

impl Drop for SlowDocker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Moves bytes both ways. A client writes each request at once and its next one after the answer, so a request begins a piece.
async fn pass(client: UnixStream, docker: &Path, delay: Duration) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_docker, mut to_docker) = UnixStream::connect(docker).await?.into_split();
    let there = async {
        let mut piece = vec![0; PIECE];
        loop {
            let length = from_client.read(&mut piece).await?;
            if length == 0 {
                return to_docker.shutdown().await;
            }
            if starts_container(&piece[..length]) {
                tokio::time::sleep(delay).await;
            }
            to_docker.write_all(&piece[..length]).await?;
        }
    };
    let back = async {
        copy(&mut from_docker, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::try_join!(there, back).map(drop)
}

/// Whether this is the beginning of `POST …/containers/<id>/start`.
fn starts_container(piece: &[u8]) -> bool {
    let line = piece.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (method, path) = (words.next(), words.next().unwrap_or_default());
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let mut parts = path.rsplit(|byte| *byte == b'/');
    method == Some(b"POST") && parts.next() == Some(b"start") && parts.nth(1) == Some(b"containers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const START: &[u8] = b"POST /v1.41/containers/abc/start HTTP/1.1\r\nhost: docker\r\n\r\n";

    #[test]
    fn starts_are_told_from_other_requests() {
        assert!(starts_container(START));
        assert!(starts_container(b"POST /containers/abc/start?detachKeys= HTTP/1.1\r\n"));
        for other in [
            &b"GET /v1.41/containers/abc/start HTTP/1.1\r\n"[..],
            b"POST /v1.41/containers/create?name=start HTTP/1.1\r\n",
            b"POST /v1.41/exec/abc/start HTTP/1.1\r\n",
            b"{\"Cmd\":[\"POST /containers/abc/start\"]}",
            b"",
        ] {
            assert!(!starts_container(other), "{}", String::from_utf8_lossy(other));
        }
    }

    #[tokio::test]
    async fn a_start_waits_and_another_request_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let (docker, delay) = (dir.path().join("docker.sock"), Duration::from_millis(200));
        let listener = UnixListener::bind(&docker).unwrap();
        let slow = SlowDocker::between(&docker, dir.path().join("slow.sock"), delay).unwrap();
        let mut client = UnixStream::connect(&slow.socket).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let mut piece = vec![0; PIECE];
        for (request, waits) in [(&b"GET /info HTTP/1.1\r\n\r\n"[..], false), (START, true)] {
            let begun = Instant::now();
            client.write_all(request).await.unwrap();
            let length = server.read(&mut piece).await.unwrap();
            assert_eq!(&piece[..length], request);
            assert_eq!(begun.elapsed() >= delay, waits);
            server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            let length = client.read(&mut piece).await.unwrap();
            assert!(piece[..length].starts_with(b"HTTP/1.1 204"));
        }
    }
}
