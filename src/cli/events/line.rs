//! One event, as a line.

use serde::Deserialize;

use crate::cli::answer::Answer;
use crate::cli::failed::Failed;
use crate::cli::output::{self, Printed};
use crate::cli::target::Target;
use crate::cli::words::Words;

/// What is shown of an event.
#[derive(Deserialize)]
struct Event {
    timestamp: Words,
    event_type: Words,
    message: Words,
    by: Option<By>,
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
    let Event { timestamp, event_type, message, by } = event.read()?;
    Ok(match target.wants_json() {
        true => event.print_line(),
        false => {
            let by = by.map(told).unwrap_or_default();
            output::write(&format!("{timestamp}  {event_type:<6}  {message}{by}"))
        }
    })
}

fn told(By { name, address }: By) -> String {
    match address {
        Some(address) => format!("  ({name} from {address})"),
        None => format!("  ({name})"),
    }
}
