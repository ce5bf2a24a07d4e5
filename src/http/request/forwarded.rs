//! Users whom a proxy has signed in, and names in a header of its own (forward authentication). Only trusted proxies are believed. A browser
//! sends what the proxy knows it by with calls of every page (CSRF), so a page that calls has to come from where it calls.

use std::net::IpAddr;

use acefleet_registry::{BadUserName, UserName};
use axum::http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use axum::http::{Extensions, HeaderMap, Method, StatusCode, Uri};

use crate::config::Config;
use crate::http::answer::problem::Problem;
use crate::http::request::origin::Peer;
use crate::http::request::shown::API_KEY_HEADER;
use crate::http::request::visitors::is_same_site;

/// What programs behind the proxy send with changes, since they send no origin. Pages of other sites cannot: a browser asks before it sends such a
/// header with what it keeps for the proxy, and no node allows that.
const OWN_HEADER: &str = "x-requested-with";

/// Removes the name of a user where nobody is to be believed about it; nothing behind this asks again.
///
/// # Errors
/// 403 for a change that the page of another site may have made the browser of a user send.
pub(crate) fn clear(
    config: &Config,
    method: &Method,
    uri: &Uri,
    extensions: &Extensions,
    headers: &mut HeaderMap,
) -> Result<(), Problem> {
    let Some(users) = &config.users else { return Ok(()) };
    if !headers.contains_key(&users.header) {
        return Ok(());
    }
    let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let is_believed = extensions.get::<Peer>().is_some_and(|peer| is_trusted(config, peer.0));
    if is_believed && is_of_own_page(config, changes, uri, headers) {
        return Ok(());
    }
    headers.remove(&users.header);
    match is_believed
        && changes
        && !headers.contains_key(AUTHORIZATION)
        && !headers.contains_key(API_KEY_HEADER)
    {
        false => Ok(()),
        true => Err(Problem::text(
            StatusCode::FORBIDDEN,
            "a proxy has signed this user in, and a page of another site (Origin) may have sent this change: let the proxy pass Host on, or name \
             the host of the page in ACEFLEET_ALLOWED_HOSTS; programs send X-Requested-With",
        )),
    }
}

/// The user whom the proxy names, where [`clear`] has left one.
pub(super) fn user(headers: &HeaderMap, header: &HeaderName) -> Option<Result<UserName, BadUserName>> {
    let mut named = headers.get_all(header).iter();
    let first = named.next()?;
    // A proxy that adds its header to one of the caller's lets callers choose.
    if named.next().is_some() {
        return Some(Err(BadUserName::Several));
    }
    Some(first.to_str().map_err(|_| BadUserName::Characters).and_then(str::parse))
}

fn is_trusted(config: &Config, peer: IpAddr) -> bool {
    config.trusted_proxies.iter().any(|network| network.contains(&peer.to_canonical()))
}

fn is_of_own_page(config: &Config, changes: bool, uri: &Uri, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let Some(origin) = origins.next() else { return !changes || headers.contains_key(OWN_HEADER) };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = uri.authority().map(|authority| authority.as_str()).or(host).unwrap_or_default();
    origins.next().is_none() && origin.to_str().is_ok_and(|origin| is_same_site(origin, authority, config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Host, Sources, resolve};

    fn config() -> Config {
        let environment = [
            ("ACEFLEET_NODE_NAME", "a"),
            ("ACEFLEET_TRUSTED_PROXIES", "10.0.0.5"),
            ("ACEFLEET_AUTH_HEADER", "Remote-User"),
            ("ACEFLEET_ALLOWED_HOSTS", "tv.example.org"),
        ];
        let sources = Sources::from_maps(&environment, &[], "", Host { root: true, ..Host::default() });
        resolve(sources).unwrap().config
    }

    /// The user that is left, or the status of the refusal.
    fn left(
        peer: &str,
        method: Method,
        headers: &[(&'static str, &'static str)],
    ) -> Result<Option<String>, u16> {
        let config = config();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let mut extensions = Extensions::new();
        extensions.insert(Peer(peer.parse().unwrap()));
        clear(&config, &method, &Uri::from_static("/gc"), &extensions, &mut map)
            .map_err(|problem| problem.status_and_body().0.as_u16())?;
        let header = &config.users.as_ref().unwrap().header;
        Ok(user(&map, header).map(|user| user.map_or_else(|why| why.to_string(), |user| user.to_string())))
    }

    const ALICE: (&str, &str) = ("remote-user", "alice@example.org");
    const HOST: (&str, &str) = ("host", "acefleet.example.org");

    #[test]
    fn only_a_trusted_proxy_says_who_calls() {
        let alice = Ok(Some("alice@example.org".to_owned()));
        assert_eq!(left("10.0.0.5", Method::GET, &[ALICE]), alice);
        assert_eq!(left("::ffff:10.0.0.5", Method::GET, &[ALICE]), alice);
        for peer in ["10.0.0.6", "127.0.0.1", "::1"] {
            assert_eq!(left(peer, Method::GET, &[ALICE]), Ok(None), "{peer}");
            let changes = [ALICE, ("x-requested-with", "curl"), ("x-forwarded-for", "10.0.0.5")];
            assert_eq!(left(peer, Method::POST, &changes), Ok(None), "{peer}");
        }
        assert_eq!(left("10.0.0.5", Method::GET, &[("remote-name", "alice")]), Ok(None));
    }

    #[test]
    fn pages_of_other_sites_change_nothing_in_the_name_of_a_user() {
        let own = ("origin", "https://acefleet.example.org");
        let by_proxy = |method: Method, headers: &[_]| left("10.0.0.5", method, headers);
        let alice = Ok(Some("alice@example.org".to_owned()));
        for headers in [
            vec![ALICE, HOST, own],
            vec![ALICE, HOST, ("origin", "https://tv.example.org")],
            vec![ALICE, HOST, ("x-requested-with", "curl")],
        ] {
            assert_eq!(by_proxy(Method::POST, &headers), alice, "{headers:?}");
            assert_eq!(by_proxy(Method::GET, &headers), alice, "{headers:?}");
        }
        for headers in [
            vec![ALICE, HOST, ("origin", "https://evil.example")],
            vec![ALICE, HOST, ("origin", "null")],
            vec![ALICE, HOST, own, own],
            vec![ALICE, HOST, ("origin", "https://evil.example"), ("x-requested-with", "x")],
            vec![ALICE, ("host", "acefleet:8000"), own],
        ] {
            for method in [Method::POST, Method::DELETE, Method::PATCH] {
                assert_eq!(by_proxy(method, &headers), Err(403), "{headers:?}");
            }
            // Feeds that a page opens without being asked (WebSocket) are none of a user's either.
            assert_eq!(by_proxy(Method::GET, &headers), Ok(None), "{headers:?}");
        }
        assert_eq!(
            by_proxy(Method::POST, &[ALICE, HOST]),
            Err(403),
            "browsers always say the origin of a change"
        );
        // Whoever shows a key is judged by that.
        let with_key = [ALICE, HOST, ("authorization", "Bearer k")];
        assert_eq!(by_proxy(Method::POST, &with_key), Ok(None));
    }

    #[test]
    fn a_name_that_cannot_be_one_is_refused() {
        let named = |name: &'static str| left("10.0.0.5", Method::GET, &[("remote-user", name)]);
        for bad in ["", "API key", "a\"b", "-a", "a/b"] {
            assert_ne!(named(bad), Ok(Some(bad.to_owned())));
        }
        let two = left("10.0.0.5", Method::GET, &[ALICE, ("remote-user", "bob")]);
        assert_eq!(two, Ok(Some(BadUserName::Several.to_string())));
    }
}
