//! What a node says when it refuses, in words for people.

use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use super::{Failed, Kind, Named, host, without_parameters};
use crate::cli::exit_code::{CONFIGURATION, INTERNAL, TEMPORARY};
use crate::cli::words::Word;

/// Characters of an unexpected answer that are shown.
const LONGEST_ANSWER: usize = 600;
/// What nodes say of addresses that they do not have.
const NO_SUCH_ADDRESS: &str = "Not Found";

/// A node that refuses.
pub(in crate::cli) fn refused(url: &Url, status: StatusCode, body: &str) -> Failed {
    let code = match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => TEMPORARY,
        _ if status.is_client_error() => CONFIGURATION,
        _ => INTERNAL,
    };
    let detail = serde_json::from_str::<Refusal>(body).ok().map(|refusal| refusal.detail);
    let at = without_parameters(url);
    let cut = |text: &str| text.chars().take(LONGEST_ANSWER).collect::<String>();
    match (detail, status) {
        (Some(Detail::Text(said)), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            let to_do = "run this as the user of the node on its host, with its settings and without --url, or set API_KEY or --api-key to the key of the cluster";
            Failed::new(code, format!("{} says: {}", host(url), cut(&said))).with(to_do)
        }
        (Some(Detail::Text(said)), _) if said == NO_SUCH_ADDRESS => {
            Failed::new(code, format!("{at} does not exist: is it a node, and of this version?"))
        }
        (Some(Detail::Text(said)), StatusCode::NOT_FOUND) => {
            Failed { kind: Kind::Unknown, ..Failed::new(code, cut(&said)) }
        }
        (Some(Detail::Text(said)), _) => Failed::new(code, cut(&said)),
        (Some(Detail::Blocked { message, recovery_eta_seconds, should_wait }), _) => {
            // Another node may see it otherwise.
            let failed = Failed::new(code, format!("{} says: {}", host(url), cut(&message)));
            match recovery_eta_seconds.filter(|_| should_wait) {
                Some(seconds) => failed.with(format!("try again in {seconds} s")),
                None => failed,
            }
        }
        (Some(Detail::Violations(all)), _) => {
            let all: Vec<_> = all.into_iter().map(Violation::told).collect();
            Failed::new(code, cut(&all.join("; ")))
        }
        (None, _) if body.trim().is_empty() => {
            Failed::new(code, format!("{at} answers {status}: is it a node?"))
        }
        (None, _) => Failed::new(code, format!("{at} answers {}: {}", status.as_u16(), cut(body))),
    }
}

/// The body of a refusal.
#[derive(Deserialize)]
struct Refusal {
    detail: Detail,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Detail {
    Text(String),
    Violations(Vec<Violation>),
    /// With more for programs.
    Blocked {
        message: String,
        recovery_eta_seconds: Option<u64>,
        #[serde(default)]
        should_wait: bool,
    },
}

/// What is wrong with one argument.
#[derive(Deserialize)]
struct Violation {
    #[serde(rename = "type")]
    kind: Option<Word<ViolationKind>>,
    #[serde(default)]
    loc: Vec<Value>,
    msg: String,
    #[serde(default)]
    input: Value,
    #[serde(default)]
    ctx: Context,
}

/// Kinds for which there is a command that helps.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ViolationKind {
    UnknownMember,
    UnknownSetting,
}

#[derive(Default, Deserialize)]
struct Context {
    /// The name that may be meant.
    meant: Option<String>,
}

impl Violation {
    fn told(self) -> String {
        let Self { kind, loc, msg, input, ctx } = self;
        let name = loc.last().and_then(Value::as_str);
        let why = msg.strip_prefix("Value error, ").unwrap_or(&msg);
        match (kind, name, input.as_str(), ctx.meant) {
            (Some(Word::Known(ViolationKind::UnknownMember)), _, Some(value), _) => {
                format!("{value}: no member is named so; {}", Named::Member.listed_by())
            }
            (Some(Word::Known(ViolationKind::UnknownSetting)), Some(name), _, None) => {
                format!("{name} is no setting of the cluster; `acefleet settings get` lists them")
            }
            (_, Some(name), Some(value), _) if !why.contains(name) => format!("{name} {value}: {why}"),
            _ => why.to_owned(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(status: u16, body: &Value) -> String {
        let url = Url::parse("http://localhost:8000/cluster?x=1").unwrap();
        refused(&url, StatusCode::from_u16(status).unwrap(), &body.to_string()).to_string()
    }

    #[test]
    fn refusals_are_shown_in_the_words_of_the_node() {
        for (status, body, expected) in [
            (409, json!({"detail": "drain it first"}), "drain it first"),
            (503, json!({"detail": {"message": "no leader"}}), "localhost:8000 says: no leader"),
            (
                503,
                json!({"detail": {"message": "no leader", "code": "no_leader", "recovery_eta_seconds": 2, "should_wait": true}}),
                "localhost:8000 says: no leader; try again in 2 s",
            ),
            (
                500,
                json!({"detail": {"message": "no image", "recovery_eta_seconds": null, "should_wait": false}}),
                "localhost:8000 says: no image",
            ),
            (
                422,
                json!({"detail": [{"msg": "too small"}, {"msg": "Value error, odd", "type": "value_error"}]}),
                "too small; odd",
            ),
            (
                422,
                json!({"detail": [{"loc": ["body", "image"], "input": "c", "msg": "it is nowhere"}]}),
                "image c: it is nowhere",
            ),
            (
                422,
                json!({"detail": [{"loc": ["body", "X"], "input": "1", "msg": "X: too large"}]}),
                "X: too large",
            ),
            (
                401,
                json!({"detail": "missing bearer token"}),
                "localhost:8000 says: missing bearer token; run this as the user of the node on its host, with its settings and without --url, or set API_KEY or \
                 --api-key to the key of the cluster",
            ),
            (
                404,
                json!({"detail": "Not Found"}),
                "http://localhost:8000/cluster does not exist: is it a node, and of this version?",
            ),
            (502, json!("no such route"), "http://localhost:8000/cluster answers 502: \"no such route\""),
        ] {
            assert_eq!(said(status, &body), expected);
        }
        let url = Url::parse("http://localhost:8000/cluster").unwrap();
        let line = refused(&url, StatusCode::BAD_GATEWAY, "").to_string();
        assert!(line.ends_with("answers 502 Bad Gateway: is it a node?"), "{line}");
    }

    #[test]
    fn commands_are_named_where_nodes_name_their_routes() {
        let violation = |kind: &str, at: &str, meant: Option<&str>| {
            json!({"detail": [{"type": kind, "loc": ["body", at], "input": "c", "ctx": {"meant": meant},
                "msg": "Value error, there is none; GET /x lists them"}]})
        };
        for (body, expected) in [
            (
                violation("unknown_member", "node", None),
                "c: no member is named so; `acefleet members` lists them",
            ),
            (
                violation("unknown_setting", "MAX", None),
                "MAX is no setting of the cluster; `acefleet settings get` lists them",
            ),
            (violation("unknown_setting", "MAX", Some("MIN")), "MAX c: there is none; GET /x lists them"),
        ] {
            assert_eq!(said(422, &body), expected);
        }
        let url = Url::parse("http://localhost:8000/cluster").unwrap();
        let unknown = || {
            refused(&url, StatusCode::NOT_FOUND, &json!({"detail": "none; GET /x lists them"}).to_string())
        };
        let expected = "c: no member is named so; `acefleet members` lists them";
        assert_eq!(unknown().about(Named::Member, "c").to_string(), expected);
        assert_eq!(Failed::no_member("c").to_string(), expected);
        assert_eq!(
            unknown().about(Named::Revision, "9").to_string(),
            "the settings of revision 9 are not known; `acefleet settings history` lists those that are"
        );
    }
}
