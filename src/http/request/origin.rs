//! From where a call comes: the address of the caller, or what a trusted proxy says of it.

use std::net::{IpAddr, SocketAddr};

use acefleet_registry::{Actor, Credential};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

use crate::http::app::App;
use crate::http::connections::slots;

/// Header in which proxies list the addresses on the way, the caller first.
const FORWARDED: &str = "x-forwarded-for";

/// Address of the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub IpAddr);

/// The caller of a request, who showed this credential.
pub(crate) fn actor(parts: &Parts, app: &App, credential: Credential) -> Actor {
    let address = address_of(&parts.extensions, &parts.headers, app);
    Actor::new(credential, address.map(|address| address.to_string()))
}

/// Address of the caller of a request with these extensions and headers.
pub(crate) fn address_of(extensions: &Extensions, headers: &HeaderMap, app: &App) -> Option<IpAddr> {
    let peer = extensions.get::<Peer>()?.0.to_canonical();
    Some(address(peer, headers, &app.fleet().config().trusted_proxies))
}

/// The same as it is counted: none for those that are not limited.
pub(crate) fn counted(extensions: &Extensions, headers: &HeaderMap, app: &App) -> Option<IpAddr> {
    slots::counted(address_of(extensions, headers, app)?, &app.fleet().config().trusted_proxies)
}

/// The address behind trusted proxies: the last one on the way that none of them has.
pub(in crate::http) fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    // Whoever calls can send such a header, too: what stands before the first unknown address may be made up, and need not be text.
    let way =
        headers.get_all(FORWARDED).iter().rev().flat_map(|value| value.as_bytes().rsplit(|b| *b == b','));
    let mut last = peer;
    for told in way {
        let Some(address) = std::str::from_utf8(told).ok().and_then(|told| told_address(told.trim())) else {
            break;
        };
        last = address.to_canonical();
        if !is_trusted(&last) {
            break;
        }
    }
    last
}

/// An address; some proxies add the port of the caller.
fn told_address(told: &str) -> Option<IpAddr> {
    told.parse().or_else(|_| told.parse::<SocketAddr>().map(|told| told.ip())).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed_and_only_as_far_as_they_know() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/24".parse().unwrap()];
        let seen_bytes = |peer: &str, told: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in told {
                headers.append(FORWARDED, HeaderValue::from_bytes(value).unwrap());
            }
            address(peer.parse().unwrap(), &headers, &trusted).to_string()
        };
        let seen = |peer: &str, told: &[&str]| {
            seen_bytes(peer, &told.iter().map(|line| line.as_bytes()).collect::<Vec<_>>())
        };
        assert_eq!(seen("192.0.2.7", &["198.51.100.1"]), "192.0.2.7", "not trusted");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.0.0.2"]), "198.51.100.1", "made up");
        assert_eq!(seen("10.0.0.1", &["203.0.113.9", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["nonsense"]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(seen("10.0.0.1", &["::ffff:198.51.100.1"]), "198.51.100.1");
        // What the caller sends stands before what the proxy adds to it, and hides nothing of that.
        let mixed: &[&[u8]] = &[b"\xe9, 203.0.113.9, \x80\xff, 198.51.100.1 , 10.0.0.2"];
        assert_eq!(seen_bytes("10.0.0.1", mixed), "198.51.100.1");
        assert_eq!(seen_bytes("10.0.0.1", &[b"203.0.113.9", b"198.51.100.1\xe9"]), "10.0.0.1");
    }
}
