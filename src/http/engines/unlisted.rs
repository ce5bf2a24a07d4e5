//! Why clients do not get an engine, for machines and for people.

use acefleet_registry::cause::Cause;
use acefleet_registry::rules::standing::{Standing, Unlisted};
use serde::Serialize;
use utoipa::ToSchema;

/// Why clients do not get an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UnlistedCode {
    /// Its host is starting it.
    Reserved,
    /// It is a container of another kind.
    NotAnEngine,
    /// Its host is down.
    HostDown,
    /// It is lost with its host and has not answered since.
    HostUnavailable,
    /// Its host is draining.
    HostDraining,
    /// It was taken off the list, for a cause.
    TakenOff,
    /// Its network does not work, or is none of its host's VPNs.
    Network,
    /// It fails its health checks.
    Unhealthy,
    /// Its container does not run yet, or has no address.
    NoAddress,
    /// It has not answered since its start.
    NotAnswered,
    /// It is being removed, for a cause.
    Stopping,
}

/// The same with its cause, and for people.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct UnlistedReason {
    pub code: UnlistedCode,
    /// Why it was taken off or stops: a cause as events name it, e.g. `idle`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "idle")]
    pub cause: Option<String>,
    /// For people.
    #[schema(example = "its host is draining")]
    pub message: String,
}

impl UnlistedReason {
    /// Why clients do not get an engine that stands so; none when they do.
    pub fn of(standing: &Standing) -> Option<Self> {
        let (code, cause, message) = match standing {
            Standing::Listed => return None,
            Standing::Reserved => (UnlistedCode::Reserved, None, "its host is starting it".to_owned()),
            Standing::Unlisted(why) => (code(why), cause(why), why.to_string()),
            Standing::Stopping(cause) | Standing::Ended(cause) => {
                (UnlistedCode::Stopping, Some(cause), format!("it is stopping: {cause}"))
            }
        };
        Some(Self { code, cause: cause.map(|cause| cause.as_str().to_owned()), message })
    }
}

fn code(why: &Unlisted) -> UnlistedCode {
    match why {
        Unlisted::NotAnEngine => UnlistedCode::NotAnEngine,
        Unlisted::HostDown => UnlistedCode::HostDown,
        Unlisted::HostUnavailable => UnlistedCode::HostUnavailable,
        Unlisted::HostDraining => UnlistedCode::HostDraining,
        Unlisted::TakenOff { .. } => UnlistedCode::TakenOff,
        Unlisted::Network(_) => UnlistedCode::Network,
        Unlisted::Unhealthy(_) => UnlistedCode::Unhealthy,
        Unlisted::NoAddress => UnlistedCode::NoAddress,
        Unlisted::NotAnswered => UnlistedCode::NotAnswered,
    }
}

fn cause(why: &Unlisted) -> Option<&Cause> {
    match why {
        Unlisted::TakenOff { cause, .. } => Some(cause),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_reason_has_a_code_and_its_cause_if_it_has_one() {
        let said = |standing| json!(UnlistedReason::of(&standing));
        assert_eq!(said(Standing::Listed), json!(null));
        assert_eq!(said(Standing::Reserved)["code"], "reserved");
        let off = Unlisted::TakenOff { cause: Cause::Idle, may_stay: true };
        for (why, word) in [(off.clone(), "taken_off"), (Unlisted::HostDraining, "host_draining")] {
            let text = why.to_string();
            // The words are those of the registry, too.
            assert_eq!(why.as_ref(), word);
            let shown = said(Standing::Unlisted(why));
            assert_eq!((&shown["code"], &shown["message"]), (&json!(word), &json!(text)));
        }
        assert_eq!(said(Standing::Unlisted(off))["cause"], "idle");
        let stopping = said(Standing::Stopping(Cause::Deleted));
        assert_eq!((&stopping["code"], &stopping["cause"]), (&json!("stopping"), &json!("deleted")));
    }
}
