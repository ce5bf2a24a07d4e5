//! Hosts as text: names and addresses, IPv6 with or without the brackets that URLs need.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

/// `host` without the brackets in which URLs, but not events and settings, put an IPv6 address.
#[must_use]
pub fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// `host` as URLs want it: IPv6 addresses in brackets.
#[must_use]
pub fn bracketed(host: &str) -> Cow<'_, str> {
    match host.parse::<Ipv6Addr>() {
        Ok(_) => Cow::Owned(format!("[{host}]")),
        Err(_) => Cow::Borrowed(host),
    }
}

/// `host:port`, with brackets round IPv6 addresses.
#[must_use]
pub fn join(host: &str, port: u16) -> String {
    format!("{}:{port}", bracketed(host))
}

/// Whether a host, with or without brackets, is this one to whoever names it.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    match bare(host).parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => {
            let name = host.to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_are_recognised() {
        for host in [
            "localhost",
            "LOCALHOST",
            "a.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "::1",
            "::ffff:127.0.0.1",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "10.0.0.1", "acestream-1", "localhost.example.org", "::2", "[::2]"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn brackets_come_and_go() {
        assert_eq!((bare("[fd00::1]"), bare("fd00::1"), bare("[x")), ("fd00::1", "fd00::1", "[x"));
        assert_eq!(
            (join("fd00::1", 80), join("[fd00::1]", 80)),
            ("[fd00::1]:80".into(), "[fd00::1]:80".into())
        );
        assert_eq!((join("10.0.0.1", 80), join("a.b", 80)), ("10.0.0.1:80".into(), "a.b:80".into()));
    }
}
