//! Files that commands make.

use std::fs;
use std::path::Path;

use acefleet_registry::WallMs;
use jiff::Timestamp;

use super::exit_code::CONFIGURATION;
use super::failed::Failed;

/// Whether a file may be written there: nothing is replaced that nobody wanted to be replaced.
///
/// # Errors
/// What is in the way.
pub(super) fn refuse_existing(file: &Path, force: bool) -> Result<(), Failed> {
    match fs::symlink_metadata(file) {
        Ok(found) if !found.is_file() => {
            Err(Failed::new(CONFIGURATION, format!("{} is no file: name another one", file.display())))
        }
        Ok(_) if !force => {
            let why = format!("{} is there: name another file, or replace it with --force", file.display());
            Err(Failed::new(CONFIGURATION, why))
        }
        _ => Ok(()),
    }
}

/// A moment in the name of a file: `20261130-170512`.
pub(super) fn second(at: WallMs) -> String {
    let at = i64::try_from(at.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.unwrap_or(Timestamp::UNIX_EPOCH).strftime("%Y%m%d-%H%M%S").to_string()
}
