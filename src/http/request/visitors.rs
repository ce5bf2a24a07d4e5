//! Which web pages may call an open node. Without a key, any page in a browser near it could call it. So the origin of the page
//! (`Origin`) and the name in the call (`Host`) have to be our own.

use std::net::IpAddr;

use acefleet_registry::address::bare;
use acefleet_registry::{Scheme, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode, Uri};
use url::Url;

use crate::config::Config;
use crate::http::answer::problem::Problem;

/// Why a request to an open node is refused, if it is.
pub(crate) fn refused(config: &Config, state: &State, uri: &Uri, headers: &HeaderMap) -> Option<Problem> {
    let authority = match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers.get(HOST).map(|host| host.to_str().unwrap_or_default()),
    };
    // Browsers always send a host; the health checks of some load balancers do not.
    if let Some(authority) = authority
        && !is_ours(host_of(authority), config, state)
    {
        return Some(forbidden(&format!(
            "this node is open and does not know the name in Host: call it by address, by a name without dots, or by a name in \
             ACEFLEET_ALLOWED_HOSTS; or give it a key ({KEY_HINT})"
        )));
    }
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = origins.next()?;
    let known = origins.next().is_none()
        && origin.to_str().is_ok_and(|origin| {
            is_same_site(origin, authority.unwrap_or_default(), config)
                || is_of_member(origin, members(state))
        });
    (!known).then(|| {
        forbidden(&format!(
            "this node is open and answers no pages of other sites (Origin): add the host of the page to \
             ACEFLEET_ALLOWED_HOSTS, or give the node a key ({KEY_HINT})"
        ))
    })
}

const KEY_HINT: &str = "API_KEY in the place of ACEFLEET_OPEN, or `acefleet key --new` where that is not set";

fn forbidden(detail: &str) -> Problem {
    Problem::text(StatusCode::FORBIDDEN, detail)
}

fn host_of(authority: &str) -> &str {
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !host.ends_with(':') => host,
        _ => authority,
    }
}

/// Whether nobody else can make this name point to this node. The owner of a name with dots can point it anywhere.
fn is_ours(host: &str, config: &Config, state: &State) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    bare(host).parse::<IpAddr>().is_ok()
        || (!host.is_empty() && !host.contains('.'))
        || host.to_ascii_lowercase().ends_with(".localhost")
        || host.eq_ignore_ascii_case(&config.advertise_host)
        || state.nodes().any(|node| host.eq_ignore_ascii_case(&node.info.advertise_host))
        || is_allowed(host, config)
}

fn is_allowed(host: &str, config: &Config) -> bool {
    config.allowed_hosts.iter().any(|allowed| host.eq_ignore_ascii_case(allowed))
}

/// Whether the page comes from the address that it calls, with or without encryption.
pub(super) fn is_same_site(origin: &str, authority: &str, config: &Config) -> bool {
    let Ok(origin) = Url::parse(origin) else { return false };
    let Some(host) = origin.host_str() else { return false };
    if is_allowed(host, config) {
        return true;
    }
    let called = Url::parse(&format!("{}://{authority}", origin.scheme()));
    called.is_ok_and(|called| {
        called.host_str() == Some(host) && called.port_or_known_default() == origin.port_or_known_default()
    })
}

/// Where the APIs of the members are.
fn members(state: &State) -> impl Iterator<Item = (Scheme, &str, u16)> {
    state.nodes().map(|node| (node.info.scheme, node.info.advertise_host.as_str(), node.info.http_port))
}

/// Whether the page comes from a member: the panel goes on at another one when the node that served it ends.
fn is_of_member<'a>(origin: &str, mut members: impl Iterator<Item = (Scheme, &'a str, u16)>) -> bool {
    let Ok(origin) = Url::parse(origin) else { return false };
    let Some(host) = origin.host_str() else { return false };
    let port = origin.port_or_known_default();
    members.any(|(scheme, name, http)| {
        origin.scheme() == scheme.as_str()
            && bare(host).eq_ignore_ascii_case(bare(name))
            && port == Some(http)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Host, Sources, resolve};

    fn status(host: &str, origin: &[&str]) -> u16 {
        let environment = [
            ("ACEFLEET_NODE_NAME", "a"),
            ("ACEFLEET_ADVERTISE", "node-a.example.org"),
            ("ACEFLEET_OPEN", "true"),
            ("ACEFLEET_ALLOWED_HOSTS", "panel.example.net, tv.example.net"),
        ];
        let config =
            resolve(Sources::from_maps(&environment, &[], "", Host { root: true, ..Host::default() }));
        let mut headers = HeaderMap::new();
        if !host.is_empty() {
            headers.insert(HOST, host.parse().unwrap());
        }
        for origin in origin {
            headers.append(ORIGIN, origin.parse().unwrap());
        }
        let refused =
            refused(&config.unwrap().config, &State::default(), &Uri::from_static("/engines"), &headers);
        refused.map_or(200, |problem| problem.status_and_body().0.as_u16())
    }

    #[test]
    fn names_that_others_can_point_here_are_not_ours() {
        for ours in [
            "",
            "10.0.0.1:8000",
            "127.0.0.1",
            "[::1]:8000",
            "[fe80::1]",
            "localhost:8000",
            "LOCALHOST",
            "acefleet",
            "a:8000",
            "x.localhost",
            "node-a.example.org:8000",
            "NODE-A.example.org.",
            "panel.example.net",
            "tv.example.net:80",
        ] {
            assert_eq!(status(ours, &[]), 200, "{ours}");
        }
        for foreign in [
            "evil.example",
            "evil.example:8000",
            "10.0.0.1.evil.example",
            "localhost.evil.example",
            "net.",
            ".",
        ] {
            let expected = if foreign == "net." { 200 } else { 403 };
            assert_eq!(status(foreign, &[]), expected, "{foreign}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        for same in ["http://10.0.0.1:8000", "https://panel.example.net", "http://tv.example.net:3000"] {
            assert_eq!(status("10.0.0.1:8000", &[same]), 200, "{same}");
        }
        assert_eq!(status("a", &["http://a"]), 200);
        assert_eq!(status("a", &["https://a"]), 200, "behind a proxy that encrypts");
        assert_eq!(status("[::1]:8000", &["http://[::1]:8000"]), 200);
        for foreign in [
            "null",
            "http://10.0.0.1",
            "http://10.0.0.1:8001",
            "http://evil.example",
            "file://",
            "",
            "http://10.0.0.1:8000.evil.example",
        ] {
            assert_eq!(status("10.0.0.1:8000", &[foreign]), 403, "{foreign}");
        }
        assert_eq!(status("a", &["http://a", "http://a"]), 403, "two");
        assert_eq!(status("", &["http://a"]), 403);
    }

    #[test]
    fn pages_of_members_are_answered() {
        let members = [
            (Scheme::Http, "10.0.0.12", 8000),
            (Scheme::Http, "node-c.example.org", 80),
            (Scheme::Https, "fd00::1", 8000),
            (Scheme::Https, "node-d", 443),
        ];
        let is_of_member = |origin| is_of_member(origin, members.into_iter());
        for ours in
            ["http://10.0.0.12:8000", "http://Node-C.example.org", "https://[fd00::1]:8000", "https://node-d"]
        {
            assert!(is_of_member(ours), "{ours}");
        }
        for foreign in [
            "http://10.0.0.12",
            "http://10.0.0.12:8001",
            "https://10.0.0.12:8000",
            "http://[fd00::1]:8000",
            "http://node-d:443",
            "http://10.0.0.120:8000",
            "null",
            "",
        ] {
            assert!(!is_of_member(foreign), "{foreign}");
        }
    }
}
