//! Why a call has no answer: one line and an exit code.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use acefleet::config::table::URL_NAME;
use reqwest::{StatusCode, Url};
use serde_json::Value;

use super::ask::CONNECT_LIMIT;
use super::exit_code::{CONFIGURATION, INTERNAL, TEMPORARY};
use super::output;

/// Characters of an unexpected answer that are shown.
const LONGEST_ANSWER: usize = 600;
/// What nodes say of addresses that they do not have.
const NO_SUCH_ADDRESS: &str = "Not Found";

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Failed {
    /// Exit code of the command.
    pub code: u8,
    why: String,
    /// What helps.
    to_do: Option<String>,
    kind: Kind,
}

/// What is known of a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The node does not know what was named.
    Unknown,
    /// Nothing was sent.
    NotConnected,
    /// It was sent, and there is no answer.
    Silent,
    Other,
}

impl Failed {
    /// A failure with this exit code.
    pub fn new(code: u8, why: impl Into<String>) -> Self {
        Self { code, why: why.into(), to_do: None, kind: Kind::Other }
    }

    /// No member has this name.
    pub fn no_member(name: &str) -> Self {
        Self::new(CONFIGURATION, format!("{name}: no member is named so; `acefleet members` lists them"))
    }

    /// Says of what the node does not know how it was named, and how the right name is found.
    pub fn about(self, named: Named, name: &str) -> Self {
        match self.kind {
            Kind::Unknown => Self {
                why: format!("{name}: {}", self.why),
                to_do: Some(named.listed_by().to_owned()),
                kind: Kind::Other,
                ..self
            },
            _ => self,
        }
    }

    /// The same of a call that would have changed something.
    pub fn of_a_change(self) -> Self {
        match self.kind {
            Kind::Silent => {
                let to_do = format!(
                    "it may have been done all the same: look at another node, with --url or {URL_NAME}, before you repeat it"
                );
                Self { to_do: Some(to_do), kind: Kind::Other, ..self }
            }
            _ => self,
        }
    }

    /// Whether another node may be asked the same: this one did nothing.
    pub fn may_ask_another(&self) -> bool {
        matches!(self.kind, Kind::NotConnected | Kind::Silent)
    }

    /// Both; what helps is said once.
    pub fn and(self, other: Self) -> Self {
        Self { why: format!("{}; {}", self.why, other.why), ..other }
    }
}

impl Display for Failed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)?;
        self.to_do.iter().try_for_each(|to_do| write!(f, "; {to_do}"))
    }
}

/// What a name in the arguments stands for. Of members, the nodes say themselves how they are found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named {
    /// An engine.
    Engine,
    /// An engine or a VPN container, both of which have logs.
    Container,
    /// A stream.
    Stream,
}

impl Named {
    fn listed_by(self) -> &'static str {
        match self {
            Self::Engine => "`acefleet engine ls` lists the engines",
            Self::Container => "`acefleet engine ls` lists the engines, `acefleet vpn` the VPN containers",
            Self::Stream => "`acefleet stream ls` lists the streams",
        }
    }
}

/// A name in the arguments that becomes a part of an address, where these would stand for another address.
pub(super) fn name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" | "." | ".." => Err("this is no name".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// The exit code of a command. Says why it failed, in one line.
pub(super) fn finish(done: Result<u8, Failed>) -> u8 {
    done.unwrap_or_else(|failed| {
        output::complain(&failed.to_string());
        failed.code
    })
}

/// An address that was asked, without parameters, which nobody gave.
pub(super) fn without_parameters(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.to_string()
}

/// What stopped a call, without what it was wrapped in on its way.
pub(super) fn cause(error: &reqwest::Error, limit: Duration) -> String {
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => return format!("no connection within {} s", CONNECT_LIMIT.as_secs()),
        (false, true) => return format!("nothing came for {} s", limit.as_secs()),
        _ => {}
    }
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// A node that does not answer within this time.
pub(super) fn unreachable(url: &Url, error: &reqwest::Error, limit: Duration) -> Failed {
    let (kind, to_do) = match error.is_connect() {
        true => (Kind::NotConnected, "start a node there with `acefleet serve`, or name another one"),
        false => (Kind::Silent, "its process may hang or be stopped: look on its host, or name another node"),
    };
    let why = format!("{} does not answer: {}", host(url), cause(error, limit));
    Failed { code: TEMPORARY, why, to_do: Some(format!("{to_do} with --url or {URL_NAME}")), kind }
}

/// A node that ends in the middle of an answer.
pub(super) fn broken_off(url: &Url) -> Failed {
    let why = format!("{} ends before it has answered", host(url));
    let to_do = Some(format!("name another node with --url or {URL_NAME}"));
    Failed { code: TEMPORARY, why, to_do, kind: Kind::Silent }
}

/// A node that refuses.
pub(super) fn refused(url: &Url, status: StatusCode, body: &str) -> Failed {
    let answer = serde_json::from_str::<Value>(body).ok();
    let code = match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => TEMPORARY,
        _ if status.is_client_error() => CONFIGURATION,
        _ => INTERNAL,
    };
    let why = complaint(url, status, answer.as_ref(), body);
    // An unknown address is another fault.
    let is_unknown = status == StatusCode::NOT_FOUND
        && answer.is_some_and(|answer| answer["detail"].is_string() && answer["detail"] != NO_SUCH_ADDRESS);
    Failed { kind: if is_unknown { Kind::Unknown } else { Kind::Other }, ..Failed::new(code, why) }
}

/// Where a node is, for people.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn complaint(url: &Url, status: StatusCode, answer: Option<&Value>, body: &str) -> String {
    let detail = answer.map_or(&Value::Null, |answer| &answer["detail"]);
    let wrong = detail.as_array().into_iter().flatten().filter_map(violation);
    let wrong = wrong.collect::<Vec<_>>().join("; ");
    let message =
        detail.as_str().or_else(|| detail["message"].as_str()).or((!wrong.is_empty()).then_some(&wrong));
    let message: String = message.unwrap_or(body).chars().take(LONGEST_ANSWER).collect();
    let url = without_parameters(url);
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            format!(
                "{url}: {message}; run this as the user of the node on its host, or set API_KEY or --api-key to the key of the cluster"
            )
        }
        _ if *detail == NO_SUCH_ADDRESS => {
            format!("{url} does not exist: is it a node, and of this version?")
        }
        _ if detail.is_string() => message,
        _ if message.trim().is_empty() => format!("{url} answers {status}: is it a node?"),
        _ => format!("{url} answers {}: {message}", status.as_u16()),
    }
}

/// What is wrong with one argument, which it names.
fn violation(wrong: &Value) -> Option<String> {
    let why = wrong["msg"].as_str()?;
    let why = why.strip_prefix("Value error, ").unwrap_or(why);
    match (wrong["loc"].as_array().and_then(|at| at.last()?.as_str()), wrong["input"].as_str()) {
        (Some(name), Some(value)) if !why.contains(name) => Some(format!("{name} {value}: {why}")),
        _ => Some(why.to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refusals_are_shown_in_the_words_of_the_node() {
        let url = Url::parse("http://localhost:8000/cluster").unwrap();
        for (status, body, expected) in [
            (409, json!({"detail": "drain it first"}), "drain it first"),
            (503, json!({"detail": {"message": "no leader"}}), "answers 503: no leader"),
            (
                422,
                json!({"detail": [{"msg": "too small"}, {"msg": "Value error, odd"}]}),
                "answers 422: too small; odd",
            ),
            (
                422,
                json!({"detail": [{"loc": ["body", "node"], "input": "c", "msg": "no member has this name"}]}),
                "answers 422: node c: no member has this name",
            ),
            (
                422,
                json!({"detail": [{"loc": ["body", "X"], "input": "1", "msg": "there is no setting X"}]}),
                "answers 422: there is no setting X",
            ),
            (401, json!({"detail": "missing bearer token"}), "API_KEY"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let line = complaint(&url, status, Some(&body), &body.to_string());
            assert!(line.contains(expected), "{line}");
        }
        let line = complaint(&url, StatusCode::BAD_GATEWAY, None, "");
        assert!(line.ends_with("answers 502 Bad Gateway: is it a node?"), "{line}");
        let line = complaint(&url, StatusCode::BAD_GATEWAY, None, "no such route");
        assert!(line.contains("502: no such route"), "{line}");
    }
}
