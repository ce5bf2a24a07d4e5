//! What the client makes of refusals: attempts, waits, and the answer to the player.

use serde_json::Value;

use super::records::{BlockedDetail, Provisioning};
use super::report::Outcome;

/// Attempts per play.
pub const ATTEMPTS: usize = 3;

/// A body that came with any status but 200.
#[derive(Debug, PartialEq, Eq)]
pub enum Understood {
    /// `{"detail": {…}}` with a code.
    Structured(BlockedDetail),
    /// `{"detail": "text"}`, guessed from its words.
    Text(BlockedDetail),
    /// Nothing that the client understands, and why.
    Nothing(String),
}

/// Reads a refusal as the client does.
pub fn understand(body: &[u8]) -> Understood {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Envelope {
        detail: Value,
    }
    let detail = match super::decode::decode::<Envelope>(body) {
        Ok(envelope) => envelope.detail,
        Err(error) => return Understood::Nothing(error),
    };
    match detail {
        Value::String(text) => Understood::Text(guess(text)),
        Value::Object(_) => match super::decode::decode::<BlockedDetail>(detail.to_string().as_bytes()) {
            Ok(refusal) if refusal.code.is_empty() => Understood::Nothing("detail has no code".to_owned()),
            Ok(refusal) => Understood::Structured(refusal),
            Err(error) => Understood::Nothing(format!("detail.{error}")),
        },
        Value::Null => Understood::Nothing("no detail".to_owned()),
        _ => Understood::Nothing("detail is neither object nor text".to_owned()),
    }
}

fn guess(text: String) -> BlockedDetail {
    let (code, eta) = if text.contains("VPN") {
        ("vpn_disconnected", Some(60))
    } else if text.contains("circuit breaker") || text.contains("Circuit breaker") {
        ("circuit_breaker", Some(180))
    } else if text.contains("capacity") {
        ("max_capacity", Some(30))
    } else {
        ("general_error", None)
    };
    BlockedDetail {
        code: code.to_owned(),
        message: text,
        should_wait: eta.is_some(),
        recovery_eta_seconds: eta,
        ..BlockedDetail::default()
    }
}

/// What follows a refused attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Post again after so many seconds.
    After(u64),
    /// Answer the player.
    GiveUp,
}

/// `attempt` counts from 1.
pub fn next(refusal: &BlockedDetail, attempt: usize) -> Next {
    if !refusal.should_wait || attempt >= ATTEMPTS {
        return Next::GiveUp;
    }
    let eta = eta(refusal).unwrap_or(0);
    // Half the estimate, cut to whole seconds, then all of it.
    Next::After(if attempt == 1 { eta / 2 } else { eta })
}

fn eta(refusal: &BlockedDetail) -> Option<u64> {
    let seconds = refusal.recovery_eta_seconds?;
    u64::try_from(seconds).ok().filter(|seconds| *seconds > 0)
}

/// The player's answer after the last refusal.
pub fn refused(refusal: &BlockedDetail) -> Outcome {
    let text = fixed_text(&refusal.code).map_or_else(|| unavailable(&refusal.message), ToOwned::to_owned);
    Outcome::Unavailable { text, retry_after: eta(refusal).and_then(|s| i64::try_from(s).ok()), json: true }
}

/// The player's answer when the last poll said that provisioning is blocked.
pub fn blocked(state: &Provisioning) -> Outcome {
    match &state.blocked_reason_details {
        Some(details) if details.should_wait => Outcome::Unavailable {
            text: fixed_text(&details.code)
                .map_or_else(|| unavailable(&state.blocked_reason), ToOwned::to_owned),
            retry_after: eta(details).and_then(|s| i64::try_from(s).ok()),
            json: true,
        },
        _ => {
            Outcome::Unavailable { text: blocked_text(&state.blocked_reason), retry_after: None, json: false }
        }
    }
}

/// Without details, or with ones that say not to wait, the client goes by words of the reason.
fn blocked_text(reason: &str) -> String {
    if reason.contains("VPN") {
        unavailable(OWN_WORDS_VPN)
    } else if reason.contains("circuit breaker") {
        unavailable("too many failures")
    } else {
        unavailable(&format!("cannot provision: {reason}"))
    }
}

fn unavailable(reason: &str) -> String {
    format!("Service temporarily unavailable: {reason}")
}

/// Stands for sentences about the VPN that are not on record: the player does not see the server's words.
const OWN_WORDS_VPN: &str = "(the client's sentence about the VPN)";

/// Texts by code; other codes show the server's own words.
fn fixed_text(code: &str) -> Option<&'static str> {
    match code {
        "circuit_breaker" => Some("Service temporarily unavailable: System is recovering from errors"),
        "max_capacity" => Some("Service at capacity: Please try again in a moment"),
        "vpn_disconnected" | "vpn_error" => Some(OWN_WORDS_VPN),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structured(body: &str) -> BlockedDetail {
        match understand(body.as_bytes()) {
            Understood::Structured(refusal) => refusal,
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn structured_refusals_and_their_waits() {
        let wait = structured(
            r#"{"detail":{"error":"provisioning_blocked","code":"circuit_breaker","message":"open",
                "recovery_eta_seconds":5,"can_retry":false,"should_wait":true}}"#,
        );
        let waits: Vec<Next> = (1..=3).map(|attempt| next(&wait, attempt)).collect();
        assert_eq!(waits, [Next::After(2), Next::After(5), Next::GiveUp]);
        let text = "Service temporarily unavailable: System is recovering from errors";
        let answer =
            |text: &str, retry_after| Outcome::Unavailable { text: text.to_owned(), retry_after, json: true };
        assert_eq!(refused(&wait), answer(text, Some(5)));

        let no_eta = structured(r#"{"detail":{"code":"no_leader","message":"m","should_wait":true}}"#);
        assert_eq!(next(&no_eta, 1), Next::After(0));
        assert_eq!(refused(&no_eta), answer("Service temporarily unavailable: m", None));

        let fast = structured(r#"{"detail":{"code":"x","recovery_eta_seconds":45}}"#);
        assert_eq!(next(&fast, 1), Next::GiveUp);
    }

    #[test]
    fn other_bodies() {
        let text = |body: &str| match understand(body.as_bytes()) {
            Understood::Text(refusal) => (refusal.code, refusal.should_wait),
            other => panic!("{body}: {other:?}"),
        };
        assert_eq!(text(r#"{"detail":"VPN down"}"#), ("vpn_disconnected".into(), true));
        assert_eq!(text(r#"{"detail":"at capacity"}"#), ("max_capacity".into(), true));
        assert_eq!(text(r#"{"detail":"no token"}"#), ("general_error".into(), false));
        for body in [
            "",
            "<html>",
            r#"{"status":"provisioning"}"#,
            r#"{"detail":[{"type":"missing"}]}"#,
            r#"{"detail":{"message":"no code"}}"#,
            r#"{"detail":{"code":"x","recovery_eta_seconds":5.5}}"#,
        ] {
            let read = understand(body.as_bytes());
            assert!(matches!(read, Understood::Nothing(_)), "{body}: {read:?}");
        }
    }

    #[test]
    fn the_polled_state() {
        let read = |body: &str| super::super::decode::decode::<Provisioning>(body.as_bytes());
        let details = read(
            r#"{"blocked_reason":"Maximum capacity reached","blocked_reason_details":
                {"code":"max_capacity","recovery_eta_seconds":30,"should_wait":true}}"#,
        );
        let Outcome::Unavailable { retry_after, json, .. } = blocked(&details.unwrap()) else {
            panic!("not a 503");
        };
        assert_eq!((retry_after, json), (Some(30), true));
        let bare = read(r#"{"blocked_reason":"Maximum capacity reached"}"#).unwrap();
        let Outcome::Unavailable { text, json, .. } = blocked(&bare) else {
            panic!("not a 503");
        };
        assert!(text.ends_with("cannot provision: Maximum capacity reached") && !json);
        let words = |reason: &str| blocked_text(reason);
        assert!(words("VPN of n1 is away").ends_with(OWN_WORDS_VPN));
        assert!(words("circuit breaker is open").ends_with("too many failures"));
        assert!(words("Circuit breaker is open").ends_with("cannot provision: Circuit breaker is open"));
    }
}
