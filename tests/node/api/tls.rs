//! The API with TLS: HTTP/2 and HTTP/1.1, WebSockets, callers without TLS, silent handshakes, certificates that change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use acefleet::config::{TlsFiles, TlsPlain};
use acefleet::http;
use acefleet::tls::{Pair, Tls};
use axum::http::Request;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::ExtendedKeyUsagePurpose::ServerAuth;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio_util::sync::CancellationToken;

use crate::api::socket::Socket;
use crate::bed::certificates::{Authority, authority, issue};
use crate::bed::{Bed, KEY, eventually};

const LIMITS: http::Limits = http::Limits { shared: 4, loopback: 4, health: 2, idle_each: 4, readers: 16 };
const ALL: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
const PATIENCE: Duration = Duration::from_secs(20);

/// Files with a certificate that this authority has just issued.
fn files(dir: &Path, authority: &Authority) -> TlsFiles {
    let (cert, key) = issue(authority, &["localhost", "127.0.0.1"], ServerAuth);
    let files = TlsFiles { cert: dir.join("cert.pem"), key: dir.join("key.pem") };
    // In the order in which programs do it that renew certificates.
    std::fs::write(&files.cert, cert.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

async fn bed(files: &TlsFiles) -> Bed {
    let (cert, key) = (files.cert.to_str().unwrap(), files.key.to_str().unwrap());
    Bed::with(&[("API_KEY", KEY), ("ACEFLEET_TLS_CERT", cert), ("ACEFLEET_TLS_KEY", key)]).await
}

/// The API of a bed with TLS, behind a second listener with few slots, to which callers here are as all others.
async fn narrow(bed: &Bed, files: &TlsFiles, stop: &CancellationToken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut tls = Tls::new(Pair::read(files).unwrap(), TlsPlain::Refuse).unwrap();
    tls.trusts_own_host = false;
    let api = http::Api::new(bed.fleet.clone(), None).with_tls(Some(tls));
    tokio::spawn(http::serve(listener, api, LIMITS, stop.clone(), Duration::from_secs(5)));
    address
}

fn connector(
    authority: &Authority,
    protocol: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> TlsConnector {
    let mut known = RootCertStore::empty();
    known.add(authority.der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(known)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn connect(
    address: &str,
    authority: &Authority,
    protocol: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let connector = connector(authority, protocol, ALL);
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    tokio::time::timeout(PATIENCE, connector.connect(name, stream)).await.expect("the handshake hangs")
}

/// HTTP/2 on a connection.
struct Many(http2::SendRequest<Empty<Bytes>>);

impl Many {
    async fn to(address: &str, authority: &Authority) -> Self {
        let stream = connect(address, authority, "h2").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn ask(&mut self, path: &str) -> hyper::Result<hyper::Response<Incoming>> {
        let request = Request::get(format!("https://localhost{path}")).header("x-api-key", KEY);
        let answer = self.0.send_request(request.body(Empty::new()).unwrap());
        tokio::time::timeout(PATIENCE, answer).await.expect("no answer")
    }

    async fn status(&mut self, path: &str) -> u16 {
        let answer = self.ask(path).await.unwrap();
        let status = answer.status().as_u16();
        answer.into_body().collect().await.unwrap();
        status
    }
}

/// Reads until this text has come.
async fn until(body: &mut Incoming, text: &str) {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("nothing comes");
        let frame = frame.unwrap_or_else(|| panic!("no {text} in {}", String::from_utf8_lossy(&read)));
        read.extend_from_slice(&frame.unwrap().into_data().unwrap_or_default());
    }
}

#[tokio::test]
async fn the_api_speaks_both_versions_of_http_and_of_tls() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), authority());
    let bed = bed(&files(dir.path(), &authority)).await;
    let mut many = Many::to(&bed.address, &authority).await;
    assert_eq!(many.status("/engines").await, 200);
    // Several at once, one of which has no end.
    let mut feed = many.ask("/events/stream").await.unwrap().into_body();
    until(&mut feed, "event: hello").await;
    let answers = (0..20).map(|_| {
        let mut many = Many(many.0.clone());
        async move { many.status("/cluster").await }
    });
    assert!(futures::future::join_all(answers).await.into_iter().all(|status| status == 200));
    // What must not be a request of HTTP/2.
    assert_eq!(many.status("/ws/engines").await, 426);
    for versions in [&[&TLS13][..], &[&TLS12]] {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = TcpStream::connect(&bed.address).await.unwrap();
        let stream = connector(&authority, "http/1.1", versions).connect(name, stream).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("/engines").header("host", "localhost").body(Empty::<Bytes>::new());
        assert_eq!(sender.send_request(request.unwrap()).await.unwrap().status(), 200);
    }
    let stream = connect(&bed.address, &authority, "http/1.1").await.unwrap();
    let mut socket = Socket::on(stream, &bed.address, "/ws/engines", &[]).await.unwrap();
    assert_eq!(socket.json().await["type"], "snapshot");
    // Programs on the host go on as before, and see how others call the node.
    let cluster = bed.get("/cluster").await.json();
    assert_eq!(cluster["nodes"][0]["url"], format!("https://{}", bed.address));
    let metrics = bed.get("/metrics").await.text;
    assert!(metrics.contains("acefleet_tls_certificate_end_timestamp_seconds "), "{metrics}");
    let page = bed.get("/panel/").await;
    assert!(page.header("content-security-policy").contains(&format!("https://{}", bed.address)));
    bed.begin_stop();
    until(&mut feed, "event: bye").await;
    bed.stop().await;
}

#[tokio::test]
async fn callers_without_tls_are_told_where_to_call() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), authority());
    let (bed, stop) = (Bed::new().await, CancellationToken::new());
    let address = narrow(&bed, &files(dir.path(), &authority), &stop).await;
    for (request, status, told) in [
        ("GET /engines", "426", format!("call https://{address}/engines")),
        ("POST /provision/acestream", "426", "unencrypted".to_owned()),
        ("GET /panel/", "307", format!("location: https://{address}/panel/")),
    ] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(&told), "{answer}");
    }
    let mut many = Many::to(&address, &authority).await;
    assert_eq!(many.status("/engines").await, 200);
    let mut figures = many.ask("/metrics").await.unwrap().into_body();
    until(&mut figures, "acefleet_callers_refused_total{reason=\"no_tls\"} 3\n").await;
    stop.cancel();
    bed.stop().await;
}

#[tokio::test]
async fn silent_handshakes_and_idle_connections_give_way_to_others() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), authority());
    let (bed, stop) = (Bed::new().await, CancellationToken::new());
    let address = narrow(&bed, &files(dir.path(), &authority), &stop).await;
    let all = LIMITS.loopback + LIMITS.shared;
    let mut silent = Vec::new();
    for _ in 0..all {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        // A record that never ends.
        stream.write_all(&[0x16, 3, 1, 0x40, 0, 1]).await.unwrap();
        silent.push(stream);
    }
    let mut busy = Many::to(&address, &authority).await;
    let mut feed = busy.ask("/events/stream").await.unwrap().into_body();
    until(&mut feed, "event: hello").await;
    let read = tokio::time::timeout(PATIENCE, silent[0].read_to_end(&mut Vec::new())).await;
    assert!(matches!(read, Ok(Ok(0) | Err(_))), "the first one is still open");
    // All others are closed for these, and then the first of these, which have no request any more.
    let mut idle = Vec::new();
    for _ in 0..=all {
        let mut many = Many::to(&address, &authority).await;
        assert_eq!(many.status("/livez").await, 200);
        idle.push(many);
    }
    eventually("the first one to be closed", async || idle[0].0.is_closed().then_some(())).await;
    assert_eq!(idle[all].status("/livez").await, 200);
    // The one with a request is not idle.
    assert_eq!(busy.status("/livez").await, 200);
    stop.cancel();
    until(&mut feed, "event: bye").await;
    bed.stop().await;
}

#[tokio::test]
async fn a_new_certificate_counts_for_new_connections() {
    let (dir, before, after) = (tempfile::tempdir().unwrap(), authority(), authority());
    let bed = bed(&files(dir.path(), &before)).await;
    let mut open = Many::to(&bed.address, &before).await;
    assert_eq!(open.status("/livez").await, 200);
    files(dir.path(), &after);
    eventually("the new certificate", async || connect(&bed.address, &after, "h2").await.ok().map(drop))
        .await;
    assert!(connect(&bed.address, &before, "h2").await.is_err());
    assert_eq!(open.status("/livez").await, 200, "an open connection goes on");
    // One that cannot be used changes nothing.
    std::fs::write(dir.path().join("cert.pem"), "no certificate").unwrap();
    for _ in 0..10 {
        assert!(connect(&bed.address, &after, "h2").await.is_ok());
    }
    bed.stop().await;
}
