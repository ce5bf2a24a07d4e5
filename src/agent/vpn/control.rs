//! Gluetun's HTTP control server: the forwarded port and the public address of a tunnel.

use std::time::Duration;

use acefleet_registry::vpn::PublicAddress;
use serde_json::Value;
use url::Url;

use crate::agent::causes::with_causes;
use crate::agent::fetch::{self, FetchError};
use crate::agent::legible::shortened;
use crate::agent::own_lack::OwnLack;
use crate::agent::vpn::words::Answer;
use crate::config::ControlAuth;

/// Time for one answer.
const LIMIT: Duration = Duration::from_millis(1_500);
/// The first route is that of newer versions of Gluetun.
const PORT_ROUTES: [&str; 2] = ["/v1/portforward", "/v1/openvpn/portforwarded"];
const ADDRESS_ROUTE: &str = "/v1/publicip/ip";
const STATUS_ROUTE: &str = "/v1/vpn/status";
/// Time for an answer about the tunnel, which every inspection waits for.
const STATUS_LIMIT: Duration = Duration::from_millis(800);
/// Names of places are cut at this length.
const LONGEST_TEXT: usize = 64;

/// Answer of a control server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ControlAnswer<T> {
    /// The value.
    Value(T),
    /// There is none, or the server does not allow the question.
    None,
    /// The server did not answer. The last value may still be true.
    Unavailable(String),
    /// This node could not ask; what it lacks, and what it tried.
    NotAsked(OwnLack, String),
}

impl<T> ControlAnswer<T> {
    fn failed(error: &FetchError) -> Self {
        match error.own_lack() {
            Some(lack) => Self::NotAsked(lack, with_causes(error)),
            None => Self::Unavailable(with_causes(error)),
        }
    }
}

/// Asks one control server, wherever it is reached.
pub(super) struct Control {
    client: reqwest::Client,
    auth: ControlAuth,
    /// Base address and port route that answered last.
    base: Option<String>,
    route: usize,
}

impl Control {
    pub(super) fn new(client: reqwest::Client, auth: ControlAuth) -> Self {
        Self { client, auth, base: None, route: 0 }
    }

    /// The forwarded port. `bases` are where the server may be reached.
    pub(super) async fn port(&mut self, bases: &[String]) -> ControlAnswer<u16> {
        let mut refusal = None;
        for turn in 0..PORT_ROUTES.len() {
            let route = (self.route + turn) % PORT_ROUTES.len();
            match self.get(bases, PORT_ROUTES[route]).await {
                Ok(body) => {
                    self.route = route;
                    return match forwarded(&body) {
                        Some(0) => ControlAnswer::None,
                        Some(port) => ControlAnswer::Value(port),
                        None => ControlAnswer::Unavailable(format!(
                            "its answer on {} is unreadable",
                            PORT_ROUTES[route]
                        )),
                    };
                }
                Err(FetchError::Status(status)) if is_unknown_route(status) => {}
                // This one is closed to us. Older versions have the other one only, and close all that they do not know.
                Err(FetchError::Status(status)) if is_closed(status) => {
                    let is_newer = route == 0;
                    refusal = refusal.filter(|_| !is_newer).or(Some(closed(status, PORT_ROUTES[route])));
                }
                Err(error) => return ControlAnswer::failed(&error),
            }
        }
        refusal.map_or(ControlAnswer::None, ControlAnswer::Unavailable)
    }

    /// The public address.
    pub(super) async fn address(&mut self, bases: &[String]) -> ControlAnswer<PublicAddress> {
        match self.get(bases, ADDRESS_ROUTE).await {
            Ok(body) => address(&body).map_or(ControlAnswer::None, ControlAnswer::Value),
            Err(FetchError::Status(status)) if is_unknown_route(status) => ControlAnswer::None,
            Err(FetchError::Status(status)) if is_closed(status) => {
                ControlAnswer::Unavailable(closed(status, ADDRESS_ROUTE))
            }
            Err(error) => ControlAnswer::failed(&error),
        }
    }

    /// Gluetun's word for its tunnel.
    pub(super) async fn word(&mut self, bases: &[String]) -> Answer {
        match tokio::time::timeout(STATUS_LIMIT, self.get(bases, STATUS_ROUTE)).await {
            Ok(Ok(body)) => word(&body),
            Ok(Err(FetchError::Status(status))) if is_closed(status) => {
                Answer::Closed(closed(status, STATUS_ROUTE))
            }
            Ok(Err(FetchError::Status(status))) if is_unknown_route(status) => Answer::NoSuchRoute,
            Ok(Err(_)) | Err(_) => Answer::None,
        }
    }

    /// Asks where it answered last, then elsewhere. An answer, even a refusal, ends the search.
    async fn get(&mut self, bases: &[String], route: &str) -> Result<Value, FetchError> {
        let mut order: Vec<&String> = bases.iter().collect();
        order.sort_by_key(|base| self.base.as_ref() != Some(base));
        let mut last = FetchError::Nowhere;
        for base in order {
            let Ok(url) = Url::parse(&format!("{base}{route}")) else { continue };
            match fetch::json_with(self.request(url), LIMIT).await {
                Err(error @ (FetchError::NoAnswer(_) | FetchError::Nowhere)) => last = error,
                answer => {
                    self.base = Some(base.clone());
                    return answer;
                }
            }
        }
        Err(last)
    }

    fn request(&self, url: Url) -> reqwest::RequestBuilder {
        let request = self.client.get(url);
        match &self.auth {
            ControlAuth::None => request,
            ControlAuth::Key(key) => request.header("X-API-Key", key.exposed()),
            ControlAuth::Basic { user, password } => request.basic_auth(user, Some(password.exposed())),
        }
    }
}

fn is_closed(status: u16) -> bool {
    matches!(status, 401 | 403)
}

/// Gluetun up to 3.39 answers 400 for routes that it does not know.
fn is_unknown_route(status: u16) -> bool {
    matches!(status, 400 | 404 | 405)
}

fn closed(status: u16, route: &str) -> String {
    format!(
        "it answers {status} for {route}: allow the route in its role file, or set GLUETUN_API_KEY, or GLUETUN_API_USERNAME and \
         GLUETUN_API_PASSWORD"
    )
}

fn forwarded(body: &Value) -> Option<u16> {
    let port = body.get("port")?.as_u64()?;
    u16::try_from(port).ok()
}

fn word(body: &Value) -> Answer {
    let said = body.get("status").and_then(Value::as_str).unwrap_or_default();
    said.parse().map_or_else(|_| Answer::Unknown(shortened(said, LONGEST_TEXT)), Answer::Word)
}

/// What is in there comes from a service on the Internet: anything but an address is none.
fn address(body: &Value) -> Option<PublicAddress> {
    let text = |key: &str| {
        let text = shortened(body.get(key)?.as_str()?, LONGEST_TEXT);
        (!text.is_empty()).then_some(text)
    };
    let ip = text("public_ip")?.parse::<std::net::IpAddr>().ok()?;
    Some(PublicAddress {
        ip: ip.to_string(),
        country: text("country"),
        city: text("city"),
        region: text("region"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::vpn::words::Word;
    use serde_json::json;

    #[test]
    fn answers_are_read_with_care() {
        for (body, port) in [
            (json!({"port": 51413}), Some(51_413)),
            (json!({"port": 0}), Some(0)),
            (json!({"port": 70_000}), None),
            (json!({"port": "51413"}), None),
            (json!([]), None),
        ] {
            assert_eq!(forwarded(&body), port, "{body}");
        }
        let unknown = |said: &str| Answer::Unknown(said.to_owned());
        for (body, said) in [
            (json!({"status": "running"}), Answer::Word(Word::Running)),
            (json!({"status": "stopped"}), Answer::Word(Word::Stopped)),
            (json!({"status": "crashed"}), Answer::Word(Word::Crashed)),
            (json!({"status": "o\u{1b}k"}), unknown("ok")),
            (json!({"status": "x".repeat(1_000)}), unknown(&"x".repeat(LONGEST_TEXT))),
            (json!({"status": ""}), unknown("")),
            (json!({"status": 1}), unknown("")),
            (json!([]), unknown("")),
        ] {
            assert_eq!(word(&body), said, "{body}");
        }
        let full =
            json!({"public_ip": "203.0.113.24", "country": "Netherlands", "city": "", "region": "a\nb"});
        let read = address(&full).unwrap();
        assert_eq!((read.ip.as_str(), read.country.as_deref()), ("203.0.113.24", Some("Netherlands")));
        assert_eq!((read.city, read.region.as_deref()), (None, Some("ab")));
        for bad in [json!({"public_ip": ""}), json!({"public_ip": "nowhere"}), json!(null)] {
            assert_eq!(address(&bad), None, "{bad}");
        }
    }
}
