//! `/ws/engines`: the engines of the feed over a WebSocket.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::api::events::started;
use crate::bed::{Bed, KEY};

/// Reads and writes messages.
pub struct Socket<S = TcpStream>(WebSocketStream<S>);

impl Socket {
    /// Connects to this path with these headers; the status of a refusal otherwise.
    pub async fn to(address: &str, path: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let stream = TcpStream::connect(address).await.unwrap();
        Self::on(stream, address, path, headers).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// The same on this connection.
    pub async fn on(
        stream: S,
        address: &str,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    async fn any(&mut self) -> Option<Result<Message, Error>> {
        let message = tokio::time::timeout(Duration::from_secs(20), self.0.next()).await;
        message.expect("the WebSocket falls silent")
    }

    /// The next message but pings.
    pub async fn next(&mut self) -> Message {
        loop {
            match self.any().await.expect("it ends without a word").unwrap() {
                Message::Ping(_) => {}
                other => return other,
            }
        }
    }

    /// The same, which has to be a text.
    pub async fn json(&mut self) -> Value {
        let message = self.next().await;
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    }

    /// The code with which the other side closes it; other messages are passed over.
    pub async fn closed(&mut self) -> CloseCode {
        loop {
            if let Message::Close(frame) = self.next().await {
                return frame.expect("it is closed without a reason").code;
            }
        }
    }
}

#[tokio::test]
async fn all_engines_come_first_and_then_each_that_changes() {
    let bed = Bed::new().await;
    let container = bed.engine(901).await;
    let mut socket = Socket::to(&bed.address, "/ws/engines", &[]).await.unwrap();
    let mut other = Socket::to(&bed.address, "/api/v1/ws/engines/", &[]).await.unwrap();
    for socket in [&mut socket, &mut other] {
        let first = socket.json().await;
        assert_eq!(first["type"], "snapshot");
        assert_eq!(first["data"]["engines"][0]["container_id"], container.as_str());
        assert_eq!(first["data"].get("nodes"), None, "of engines alone");
    }
    assert_eq!(bed.post("/events/stream_started", &started("k", "s1", 901)).await.status, 200);
    for socket in [&mut socket, &mut other] {
        loop {
            let message = socket.json().await;
            assert_eq!((&message["type"], &message["data"]["type"]), (&json!("change"), &json!("engine")));
            if message["data"]["object"]["streams"] == json!(["k|s1"]) {
                break;
            }
        }
    }
    let readers = bed.get("/metrics").await.text;
    assert!(readers.contains("acefleet_feed_readers 2"), "they are readers of the feed");
    bed.stop().await;
    for socket in [&mut socket, &mut other] {
        loop {
            let message = socket.json().await;
            if message["type"] == "bye" {
                assert_eq!(message["data"], json!({"reason": "stopping"}));
                break;
            }
        }
        assert_eq!(socket.closed().await, CloseCode::Away);
    }
}

#[tokio::test]
async fn a_reader_is_asked_whether_it_lives_and_may_not_say_more() {
    let bed = Bed::new().await;
    let mut socket = Socket::to(&bed.address, "/ws/engines", &[]).await.unwrap();
    loop {
        if let Message::Ping(_) = socket.any().await.unwrap().unwrap() {
            break;
        }
    }
    socket.0.send(Message::Ping("here".into())).await.unwrap();
    loop {
        if let Message::Pong(said) = socket.next().await {
            assert_eq!(said, "here");
            break;
        }
    }
    for said in [Message::text("{\"type\":\"pong\"}"), Message::binary(vec![0; 9])] {
        let mut socket = Socket::to(&bed.address, "/ws/engines", &[]).await.unwrap();
        socket.0.send(said).await.unwrap();
        assert_eq!(socket.closed().await, CloseCode::Policy);
    }
    let mut large = Socket::to(&bed.address, "/ws/engines", &[]).await.unwrap();
    // The rest may meet a closed connection.
    let _ = large.0.send(Message::binary(vec![0; 32 << 20])).await;
    while let Some(Ok(message)) = large.any().await {
        let is_refused = |message: &Message| match message {
            Message::Close(frame) => frame.as_ref().is_some_and(|frame| frame.code == CloseCode::Policy),
            _ => true,
        };
        assert!(is_refused(&message), "{message:?}");
    }
    // Who closes it is answered.
    let mut polite = Socket::to(&bed.address, "/ws/engines", &[]).await.unwrap();
    polite.0.close(None).await.unwrap();
    while let Some(message) = polite.any().await {
        message.unwrap();
    }
    bed.stop().await;
}

#[tokio::test]
async fn a_reader_that_floods_a_node_with_pings_or_pongs_is_closed() {
    let bed = Bed::new().await;
    for said in [Message::Ping("x".repeat(125).into()), Message::Pong("".into())] {
        let mut socket = Socket::to(&bed.address, "/ws/engines", &[]).await.unwrap();
        for _ in 0..40 {
            socket.0.feed(said.clone()).await.unwrap();
        }
        socket.0.flush().await.unwrap();
        assert_eq!(socket.closed().await, CloseCode::Policy);
    }
    bed.stop().await;
}

#[tokio::test]
async fn who_asks_for_no_websocket_is_told_so() {
    let bed = Bed::new().await;
    let plain = bed.get("/ws/engines").await;
    assert_eq!(plain.status, 426);
    assert!(plain.json()["detail"].as_str().unwrap().contains("/events/stream?kinds=change&types=engine"));
    assert_eq!((plain.header("upgrade"), plain.header("sec-websocket-version")), ("websocket", "13"));
    let old = Socket::to(&bed.address, "/ws/engines", &[("sec-websocket-version", "8")]).await;
    assert_eq!(old.err(), Some(426));
    assert_eq!(bed.post("/ws/engines", &json!({})).await.status, 405);
    bed.stop().await;
}

#[tokio::test]
async fn a_request_with_a_body_becomes_no_websocket() {
    let bed = Bed::new().await;
    let asks = "GET /ws/engines HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (body, status) in [
        ("Content-Length: 5\r\n\r\nhello", 400),
        ("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("Content-Length: 0\r\n\r\n", 101),
    ] {
        let mut stream = TcpStream::connect(&bed.address).await.unwrap();
        stream.write_all(format!("{asks}{body}").as_bytes()).await.unwrap();
        let mut begin = [0; 12];
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_exact(&mut begin)).await;
        read.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&begin), format!("HTTP/1.1 {status}"), "{body:?}");
    }
    bed.stop().await;
}

#[tokio::test]
async fn pages_of_other_sites_may_read_it_where_they_may_read_everything() {
    let foreign = [("origin", "https://evil.example")];
    let bed = Bed::with(&[("API_KEY", KEY)]).await;
    assert_eq!(bed.send("GET", "/engines", &foreign, "").await.status, 200);
    assert!(Socket::to(&bed.address, "/ws/engines", &foreign).await.is_ok());
    bed.stop().await;
    let open = Bed::with(&[("ACEFLEET_OPEN", "true")]).await;
    assert_eq!(open.send("GET", "/engines", &foreign, "").await.status, 403);
    assert_eq!(Socket::to(&open.address, "/ws/engines", &foreign).await.err(), Some(403));
    let own = format!("http://{}", open.address);
    assert!(Socket::to(&open.address, "/ws/engines", &[("origin", &own)]).await.is_ok());
    open.stop().await;
}
