//! The way to an engine. Names are resolved on every call, because addresses of hosts change.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};

use super::stats::Trouble;

/// Time for a host to answer; Acexy waits no longer.
const LIMIT: Duration = Duration::from_secs(3);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct DialError {
    pub kind: Trouble,
    message: String,
}

impl DialError {
    fn new(kind: Trouble, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// Connects to `host:port`, but never to one of the addresses on which this relay itself offers `port`.
pub async fn dial(host: &str, port: u16, bind: &[IpAddr]) -> Result<TcpStream, DialError> {
    match tokio::time::timeout(LIMIT, connect(host, port, bind)).await {
        Ok(result) => result,
        Err(_) => Err(DialError::new(Trouble::Timeout, "no answer in time")),
    }
}

async fn connect(host: &str, port: u16, bind: &[IpAddr]) -> Result<TcpStream, DialError> {
    let found = resolve(host, port).await.map_err(|e| DialError::new(Trouble::Resolve, e.to_string()))?;
    let mut last = match found.is_empty() {
        true => DialError::new(Trouble::Resolve, "the name has no address"),
        false => DialError::new(Trouble::Loop, "its address is one of this relay; check ACEFLEET_ADVERTISE"),
    };
    for address in found.into_iter().filter(|address| !is_ours(address.ip(), bind)) {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                let kind = match error.kind() {
                    ErrorKind::ConnectionRefused => Trouble::Refused,
                    ErrorKind::TimedOut => Trouble::Timeout,
                    _ => Trouble::Connect,
                };
                last = DialError::new(kind, format!("{address}: {error}"));
            }
        }
    }
    Err(last)
}

async fn resolve(host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
    Ok(lookup_host((host, port)).await?.collect())
}

/// Whether a connection to this address would arrive at one of our listeners.
fn is_ours(address: IpAddr, bind: &[IpAddr]) -> bool {
    let address = address.to_canonical();
    bind.iter().any(|ours| ours.to_canonical() == address)
        || bind.iter().any(IpAddr::is_unspecified) && is_this_machine(address)
}

/// Whether the host is this machine under another name, as far as its name can be resolved.
pub async fn is_same_machine(host: &str, port: u16) -> bool {
    let found = tokio::time::timeout(LIMIT, resolve(host, port)).await;
    matches!(found, Ok(Ok(addresses)) if addresses.iter().any(|a| is_this_machine(a.ip().to_canonical())))
}

/// For an own address, the system chooses the same address as the source. No packet is sent.
fn is_this_machine(address: IpAddr) -> bool {
    let routed = || {
        let any: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((address, 9))?;
        socket.local_addr()
    };
    address.is_loopback() || routed().is_ok_and(|local| local.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn own_listeners_are_recognised() {
        for (address, bind, ours) in [
            ("127.0.0.1", &["127.0.0.1", "::1"][..], true),
            ("::ffff:127.0.0.1", &["127.0.0.1"], true),
            ("::1", &["127.0.0.1", "::1"], true),
            ("127.0.0.3", &["127.0.0.1", "::1"], false),
            ("127.0.0.3", &["0.0.0.0"], true),
            ("127.0.0.3", &["::"], true),
            ("203.0.113.9", &["0.0.0.0"], false),
            ("203.0.113.9", &["127.0.0.1"], false),
        ] {
            assert_eq!(is_ours(address.parse().unwrap(), &ips(bind)), ours, "{address} on {bind:?}");
        }
    }

    #[tokio::test]
    async fn a_relay_never_calls_itself() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let refused = dial("localhost", port, &ips(&["127.0.0.1", "::1"])).await.unwrap_err();
        assert_eq!(refused.kind, Trouble::Loop);
        assert!(dial("127.0.0.1", port, &ips(&["127.0.0.2"])).await.is_ok());
    }
}
