//! One probe of an engine: what is asked, and what its answer means.

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::time::Duration;

use acefleet_registry::Engine;
use acefleet_registry::health::HealthFault;
use serde_json::Value;
use url::Url;

use crate::agent::address;
use crate::agent::context::Context;
use crate::agent::fetch::{self, FetchError};
use crate::agent::legible::shortened;
use crate::agent::own_lack::OwnLack;

/// Time for one answer, whoever asks: a later one is too late for clients.
pub(super) const LIMIT: Duration = Duration::from_millis(1_500);
/// For so long an answer is waited for, also when it is too late: it tells a slow engine from one that hangs.
pub(super) const LONGEST: Duration = Duration::from_secs(5);
/// The same for each address, of an engine that has several.
const OF_SEVERAL: Duration = Duration::from_millis(1_500);
/// What engines say is cut at this length.
const LONGEST_TEXT: usize = 64;

pub(super) const STATUS: &str = "/server/api?api_version=3&method=get_status";
const VERSION: &str = "/webui/api/service?method=get_version";

/// What an engine says of itself: platform and version.
pub(super) type Version = (Option<String>, Option<String>);

/// Why a probe brought no usable answer.
#[derive(Debug)]
pub(super) struct Failed {
    /// What is wrong with the engine, or what this node lacked to ask it.
    pub fault: Result<HealthFault, OwnLack>,
    /// Each address that did not answer, with the error.
    pub tried: String,
}

/// Asks an engine for its status at its addresses, the one that answered last first.
pub(super) async fn ask(ctx: &Context, client: &reqwest::Client, engine: &Engine) -> Result<(), Failed> {
    let bases = ctx.addresses.bases(engine);
    let limit = if bases.len() > 1 { OF_SEVERAL } else { LONGEST };
    let mut failed: Option<Failed> = None;
    for (index, base) in bases.iter().enumerate() {
        let Some(url) = address::rebase(base, STATUS) else { continue };
        match status(client, url, limit).await {
            Ok(()) => {
                ctx.addresses.prefer(engine.id, index);
                return Ok(());
            }
            Err(error) => {
                tracing::debug!(engine = %engine.id, base, %error, "probe failed");
                let fault = fault(&error);
                let tried = format!("{base}: {}", anyhow::Error::from(error).root_cause());
                failed = Some(match failed {
                    Some(first) => {
                        let tried = format!("{}; {tried}", first.tried);
                        Failed { fault: of_both(first.fault, fault), tried }
                    }
                    None => Failed { fault, tried },
                });
            }
        }
    }
    let nowhere = || Failed { fault: Ok(HealthFault::NotConnected), tried: "it has no address".to_owned() };
    Err(failed.unwrap_or_else(nowhere))
}

/// What the address that answered last shows counts, unless this node could not ask properly at another one.
fn of_both(
    first: Result<HealthFault, OwnLack>,
    other: Result<HealthFault, OwnLack>,
) -> Result<HealthFault, OwnLack> {
    match other {
        Err(lack) if lack.is_general() => other,
        _ => first,
    }
}

/// Asks for the status of an engine at this address.
pub(super) async fn status(client: &reqwest::Client, url: Url, limit: Duration) -> Result<(), NoStatus> {
    check(&fetch::json(client, url, limit).await?)
}

/// Engines of all versions answer with a result and no error; what the result says differs between them.
fn check(answer: &Value) -> Result<(), NoStatus> {
    match answer.get("error") {
        None | Some(Value::Null) => {}
        Some(error) => return Err(NoStatus::Refused(shortened(&error.to_string(), LONGEST_TEXT))),
    }
    let has_result = ["result", "response"].iter().any(|key| answer.get(key).is_some());
    if has_result { Ok(()) } else { Err(NoStatus::Form) }
}

/// Why an engine told no status.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoStatus {
    /// It gave no answer in JSON.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It says that something is wrong.
    #[error("it answers with the error {0}")]
    Refused(String),
    /// The answer is not an engine's.
    #[error("the answer has no result")]
    Form,
}

impl NoStatus {
    /// What this node lacked for the question, if it failed for that.
    pub(super) fn own_lack(&self) -> Option<OwnLack> {
        match self {
            Self::Fetch(error) => error.own_lack(),
            Self::Refused(_) | Self::Form => None,
        }
    }
}

/// What is wrong with an engine that gave this instead of an answer, unless this node is at fault.
fn fault(error: &NoStatus) -> Result<HealthFault, OwnLack> {
    if let Some(lack) = error.own_lack() {
        return Err(lack);
    }
    Ok(match error {
        NoStatus::Refused(_) | NoStatus::Fetch(FetchError::Status(_)) => HealthFault::ErrorStatus,
        NoStatus::Form | NoStatus::Fetch(FetchError::NotJson(_) | FetchError::TooLong) => {
            HealthFault::NotJson
        }
        NoStatus::Fetch(FetchError::Nowhere) => HealthFault::NotConnected,
        NoStatus::Fetch(FetchError::NoAnswer(error)) => match io_kind(error) {
            Some(ErrorKind::ConnectionRefused) => HealthFault::PortClosed,
            Some(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) => HealthFault::NotConnected,
            _ => HealthFault::NoAnswer,
        },
    })
}

fn io_kind(error: &reqwest::Error) -> Option<ErrorKind> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        source = error.source();
    }
    None
}

/// Platform and version; `None` when the engine gave no usable answer and is asked again.
pub(super) async fn version(ctx: &Context, client: &reqwest::Client, engine: &Engine) -> Option<Version> {
    let url = address::rebase(&ctx.addresses.base(engine), VERSION)?;
    let answer = fetch::json(client, url, LONGEST).await.ok()?;
    let text = |key: &str| -> Option<String> {
        let text = answer.get("result").and_then(|result| result.get(key)).and_then(Value::as_str)?;
        Some(shortened(text, LONGEST_TEXT))
    };
    Some((text("platform"), text("version")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_port_and_an_answer_that_does_not_come_are_told_apart() {
        let client = fetch::client().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = |port: u16| format!("http://127.0.0.1:{port}/").parse().unwrap();
        let port = listener.local_addr().unwrap().port();
        let hung = status(&client, url(port), Duration::from_millis(100)).await.unwrap_err();
        assert_eq!(fault(&hung), Ok(HealthFault::NoAnswer));
        drop(listener);
        let closed = status(&client, url(port), Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(fault(&closed), Ok(HealthFault::PortClosed));
    }

    #[test]
    fn what_this_node_lacks_at_one_address_says_nothing_of_an_engine_with_several() {
        let (closed, hung) = (Ok(HealthFault::PortClosed), Ok(HealthFault::NoAnswer));
        assert_eq!(of_both(closed, hung), closed, "the address that answered last counts");
        assert_eq!(of_both(hung, Err(OwnLack::Handles)), Err(OwnLack::Handles));
        assert_eq!(of_both(Err(OwnLack::Handles), hung), Err(OwnLack::Handles));
        assert_eq!(of_both(closed, Err(OwnLack::Port)), closed, "a host without a way to the other address");
        assert_eq!(of_both(Err(OwnLack::Port), closed), Err(OwnLack::Port));
    }

    #[test]
    fn only_a_result_without_an_error_is_a_status() {
        let judged = |answer: &str| {
            check(&serde_json::from_str(answer).unwrap()).map_err(|error| fault(&error).unwrap())
        };
        for sound in [
            r#"{"result":{"version":"3.1.74"},"error":null}"#,
            r#"{"result":{"version":{"platform":"linux","version":"3.2.3"},"loading":false}}"#,
            r#"{"response":{"status":"idle"},"error":null}"#,
            r#"{"result":{},"error":null}"#,
        ] {
            assert_eq!(judged(sound), Ok(()), "{sound}");
        }
        for foreign in ["null", "5", "true", r#""ok""#, "[]", r#"[{"result":{}}]"#, "{}", r#"{"error":null}"#]
        {
            assert_eq!(judged(foreign), Err(HealthFault::NotJson), "{foreign}");
        }
        for refusal in [
            r#"{"error":"not running","result":null}"#,
            r#"{"result":{},"error":{"code":5}}"#,
            r#"{"error":""}"#,
        ] {
            assert_eq!(judged(refusal), Err(HealthFault::ErrorStatus), "{refusal}");
        }
    }
}
