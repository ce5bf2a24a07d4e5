//! A Docker daemon on TLS that verifies its clients: `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`, `https://`.

use std::path::Path;
use std::sync::Arc;

use acefleet::agent::DockerRuntime;
use acefleet::agent::runtime::{ContainerRuntime, RuntimeError};
use acefleet::config::{Host, Sources, resolve};
use rcgen::ExtendedKeyUsagePurpose;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::bed::certificates::{Authority, authority, issue};

/// A daemon that answers the first calls of clients with certificates of this authority. Returns its port.
async fn daemon(authority: &Authority) -> u16 {
    let (cert, key) = issue(authority, &["localhost", "127.0.0.1"], ExtendedKeyUsagePurpose::ServerAuth);
    let mut known = RootCertStore::empty();
    known.add(authority.der().clone()).unwrap();
    let clients = WebPkiClientVerifier::builder(Arc::new(known)).build().unwrap();
    let chain = vec![CertificateDer::from(cert.der().to_vec())];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config =
        ServerConfig::builder().with_client_cert_verifier(clients).with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = Vec::new();
                let mut piece = [0; 1024];
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut piece).await {
                        Ok(length @ 1..) => request.extend_from_slice(&piece[..length]),
                        _ => return,
                    }
                }
                let (kind, body) = match String::from_utf8_lossy(&request).contains("/version") {
                    true => (
                        "application/json",
                        r#"{"ApiVersion":"1.43","MinAPIVersion":"1.24","Version":"24.0"}"#,
                    ),
                    false => ("text/plain", "OK"),
                };
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    port
}

/// The certificate directory of a client.
fn certificates(dir: &Path, trusted: &Authority, known_to: Option<&Authority>) {
    std::fs::write(dir.join("ca.pem"), trusted.pem()).unwrap();
    if let Some(authority) = known_to {
        let (cert, key) = issue(authority, &["client"], ExtendedKeyUsagePurpose::ClientAuth);
        std::fs::write(dir.join("cert.pem"), cert.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
    }
}

async fn ping(settings: &[(&str, &str)]) -> Result<(), RuntimeError> {
    let host = Host { name: Some("a".into()), root: true, ..Host::default() };
    let config = resolve(Sources::from_maps(settings, &[], "", host)).unwrap().config;
    DockerRuntime::new(&config).ping().await
}

#[tokio::test]
async fn a_daemon_behind_tls_is_reached_and_verified() {
    let (ours, foreign) = (authority(), authority());
    let port = daemon(&ours).await;
    let dirs: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    certificates(dirs[0].path(), &ours, Some(&ours));
    certificates(dirs[1].path(), &foreign, Some(&ours));
    certificates(dirs[2].path(), &ours, None);
    let path = |dir: usize| dirs[dir].path().to_str().unwrap();
    let (tcp, https) = (format!("tcp://localhost:{port}"), format!("https://127.0.0.1:{port}"));
    let verify = ("DOCKER_TLS_VERIFY", "1");
    ping(&[("DOCKER_HOST", &tcp), verify, ("DOCKER_CERT_PATH", path(0))]).await.unwrap();
    ping(&[("DOCKER_HOST", &https), ("DOCKER_CERT_PATH", path(0))]).await.unwrap();
    for (why, settings) in [
        ("another authority", vec![("DOCKER_HOST", tcp.as_str()), verify, ("DOCKER_CERT_PATH", path(1))]),
        ("a client that nobody knows", vec![("DOCKER_HOST", &tcp), verify, ("DOCKER_CERT_PATH", path(2))]),
        ("no ca.pem", vec![("DOCKER_HOST", &tcp), verify, ("DOCKER_CERT_PATH", path(3))]),
        ("no TLS", vec![("DOCKER_HOST", &tcp)]),
    ] {
        let refused = ping(&settings).await.unwrap_err();
        assert!(
            matches!(&refused, RuntimeError::Unavailable(said) if said.contains("localhost")),
            "{why}: {refused:?}"
        );
        println!("{why}: {refused}");
    }
}
