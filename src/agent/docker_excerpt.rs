//! Reads a part of a log from a Docker daemon, within bounds.

use bollard::Docker;
use bollard::errors::Error;
use futures::TryStreamExt;

use crate::agent::docker_log::{self, Part};
use crate::agent::log_lines::Order;
use crate::peers::LogLine;

/// Longest part of a log that is read at once: its lines with their times.
const READ_BYTES: usize = 1024 * 1024;

/// Lines of a log from its beginning to [`READ_BYTES`], at their positions, and whether that is all. Docker is asked for whole seconds: what
/// lies before the wanted moment is skipped, however much it is.
pub(super) async fn excerpt(docker: Docker, id: &str, part: Part) -> Result<(Vec<LogLine>, bool), Error> {
    let (mut lines, mut read, mut order) = (Vec::new(), 0, Order::default());
    let mut logs = std::pin::pin!(docker.logs(id, Some(docker_log::options(part))));
    while let Some(message) = logs.try_next().await? {
        let placed = docker_log::lines(message).into_iter().map(|line| order.position(line));
        for line in placed.filter(|line| line.at_ns >= part.since_ns) {
            read += line.text.len() + size_of::<LogLine>();
            lines.push(line);
        }
        if read > READ_BYTES {
            return Ok((lines, false));
        }
    }
    Ok((lines, true))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;
    use crate::agent::docker_wire::{Place, client};

    const STAMP: &str = "2025-10-02T17:59:40.5Z";
    const AT_NS: u64 = 1_759_427_980_500_000_000;

    /// A message of a log as Docker sends it: stream, length, text (<https://docs.docker.com/reference/api/engine/>, "Attach").
    fn message(text: &str) -> Vec<u8> {
        let line = format!("{STAMP} {text}\n");
        [&[1, 0, 0, 0], &u32::try_from(line.len()).unwrap().to_be_bytes()[..], line.as_bytes()].concat()
    }

    /// What is read behind a position, of a log of so many lines of one kilobyte with the same time, and its last line.
    async fn read(lines: usize, since_ns: u64) -> (Vec<LogLine>, bool) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.docker.multiplexed-stream\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            let line = message(&"x".repeat(1_000));
            for _ in 0..lines {
                if stream.write_all(&line).await.is_err() {
                    return;
                }
            }
            let _ = stream.write_all(&message("the last one")).await;
        });
        let docker = client(Place::of(&format!("unix://{}", socket.display())), 60).unwrap();
        excerpt(docker, "id", Part { tail: None, since_ns, follow: false }).await.unwrap()
    }

    #[tokio::test]
    async fn a_second_of_many_megabytes_is_read_to_its_end() {
        let lines = 8_000;
        // All lines have the same time, so each has its place a nanosecond behind the one before it.
        let (found, is_whole) = read(lines, AT_NS + lines as u64 - 2).await;
        let texts: Vec<usize> = found.iter().map(|line| line.text.len()).collect();
        assert_eq!((texts, is_whole), (vec![1_000, 1_000, 12], true));
        let (found, is_whole) = read(lines, AT_NS).await;
        assert!(!is_whole && found.len() < lines, "no more is kept at once: {}", found.len());
        assert_eq!(found[1].at_ns, AT_NS + 1);
    }
}
