//! Engines that answer probes and figures of streams, cheap enough for a thousand of them in one process.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Longest request that is read.
const REQUEST_MAX: usize = 8 * 1024;
/// A path under which an engine sends as fast as the connection takes it, for ever.
pub const FLOOD: &str = "/bench/flood";
/// Bytes written at once by [`FLOOD`].
const CHUNK: usize = 256 * 1024;

const STATUS: &str = r#"{"result":{"version":{"version":"3.2.3"}},"error":null}"#;
const VERSION: &str = r#"{"result":{"platform":"linux","version":"3.2.3"},"error":null}"#;
const FIGURES: &str = r#"{"response":{"status":"dl","peers":31,"speed_down":1043,"speed_up":12,"downloaded":734003200,"uploaded":52428800},"error":null}"#;

/// Serves an engine's HTTP port until `stop`.
pub async fn serve(address: Ipv4Addr, port: u16, stop: CancellationToken) -> Result<()> {
    let listener = TcpListener::bind((address, port))
        .await
        .with_context(|| format!("an engine cannot listen on {address}:{port}"))?;
    tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // An engine's connections end with it.
            tokio::spawn(stop.clone().run_until_cancelled_owned(converse(stream)));
        }
    }));
    Ok(())
}

/// Answers request after request; whatever is wrong ends the connection.
async fn converse(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(REQUEST_MAX);
    loop {
        while !buffer.windows(4).any(|end| end == b"\r\n\r\n") {
            if buffer.len() > REQUEST_MAX || stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        let request = String::from_utf8_lossy(&buffer);
        let path = request.split(' ').nth(1).unwrap_or_default();
        if path == FLOOD {
            return flood(stream).await;
        }
        let body = match path {
            path if path.contains("method=get_version") => VERSION,
            path if path.starts_with("/ace/stat/") => FIGURES,
            _ => STATUS,
        };
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await?;
        buffer.clear();
    }
}

async fn flood(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: video/mp2t\r\nconnection: close\r\n\r\n").await?;
    let bytes = vec![0x47; CHUNK];
    loop {
        stream.write_all(&bytes).await?;
    }
}
