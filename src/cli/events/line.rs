//! One event, as a line.

use std::fmt::{self, Display, Formatter};

use serde::Deserialize;

use crate::cli::answer::Answer;
use crate::cli::failed::Failed;
use crate::cli::output::{self, Printed};
use crate::cli::target::Target;
use crate::cli::words::{Word, Words};

/// What is shown of an event.
#[derive(Deserialize)]
struct Event {
    timestamp: Words,
    event_type: Words,
    message: Words,
    by: Option<By>,
    details: Details,
}

#[derive(Deserialize)]
struct Details {
    /// Why it leads in the place of another one.
    reason: Option<Word<Reason>>,
    /// Who asked for that.
    asked_by: Option<By>,
}

/// Why another node leads.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reason {
    Asked,
    LeaderStopped,
    LeaderDrained,
    Unknown,
}

/// Who made a change.
#[derive(Deserialize)]
struct By {
    name: Words,
    address: Option<Words>,
}

/// Prints an event.
///
/// # Errors
/// When it is none.
pub(super) fn print(target: &Target, event: &Answer) -> Result<Printed, Failed> {
    let Event { timestamp, event_type, message, by, details } = event.read()?;
    Ok(match target.wants_json() {
        true => event.print_line(),
        false => {
            let by = by.map(|by| format!("  ({by})")).unwrap_or_default();
            let why = details.why().map(|why| format!(": {why}")).unwrap_or_default();
            output::write(&format!("{timestamp}  {event_type:<6}  {message}{why}{by}"))
        }
    })
}

impl Details {
    /// Why another node leads; none of other events.
    fn why(self) -> Option<String> {
        let asked = match self.asked_by {
            Some(by) => format!("{by} asked for it"),
            None => "it was asked to".to_owned(),
        };
        self.reason.map(|reason| match reason {
            Word::Known(Reason::Asked) => asked,
            Word::Known(Reason::LeaderStopped) => "the leader before is being stopped".to_owned(),
            Word::Known(Reason::LeaderDrained) => "the leader before drains".to_owned(),
            Word::Known(Reason::Unknown) => {
                "why is not known: the leader before fell silent or was cut off".to_owned()
            }
            Word::Other(word) => word.to_string(),
        })
    }
}

impl Display for By {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, address } = self;
        match address {
            Some(address) => write!(f, "{name} from {address}"),
            None => write!(f, "{name}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn it_is_told_why_another_node_leads() {
        let why = |details: Value| serde_json::from_value::<Details>(details).unwrap().why();
        let by = json!({"name": "API key", "address": "10.0.0.9", "node": "a"});
        for (details, expected) in [
            (json!({"node": "a"}), None),
            (json!({"reason": "asked", "asked_by": by}), Some("API key from 10.0.0.9 asked for it")),
            (
                json!({"reason": "asked", "asked_by": {"name": "ops", "key": "ops", "address": "10.0.0.9"}}),
                Some("ops from 10.0.0.9 asked for it"),
            ),
            (json!({"reason": "asked"}), Some("it was asked to")),
            (json!({"reason": "leader_stopped"}), Some("the leader before is being stopped")),
            (json!({"reason": "leader_drained"}), Some("the leader before drains")),
            (
                json!({"reason": "unknown"}),
                Some("why is not known: the leader before fell silent or was cut off"),
            ),
            (json!({"reason": "bored"}), Some("bored")),
        ] {
            assert_eq!(why(details.clone()).as_deref(), expected, "{details}");
        }
    }
}
