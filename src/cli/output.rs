//! Standard output that may close early, and lines on standard error.

use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;

use acefleet::config::Finding;
use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

use super::exit_code::{CONFIGURATION, INTERNAL};
use super::words::shown;

/// What became of a text for standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "whoever prints on and on has to end with the reader"]
pub enum Printed {
    /// It was written.
    Written,
    /// The reader wants no more, as in `acefleet config show | head`.
    Closed,
    /// It could not be written, which was said.
    Failed,
}

impl Printed {
    /// The exit code of a command that ends with this text.
    pub fn code(self) -> u8 {
        match self {
            Self::Written | Self::Closed => 0,
            Self::Failed => INTERNAL,
        }
    }
}

/// Writes a text with exactly one line break at its end.
pub fn write(text: &str) -> Printed {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Ok(()) => Printed::Written,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Printed::Closed,
        Err(error) => {
            complain(&format!("cannot write to standard output: {error}"));
            Printed::Failed
        }
    }
}

/// Does the work, which prints from time to time, until whoever reads standard output has gone.
pub async fn while_read<E>(work: impl Future<Output = Result<Printed, E>>) -> Result<Printed, E> {
    // A pipe says at once that it has no reader any more. Of a file nothing is to be known.
    let out = std::io::stdout().as_fd().try_clone_to_owned().and_then(Sender::from_owned_fd_unchecked);
    let Ok(out) = out else { return work.await };
    tokio::select! {
        done = work => done,
        _ = out.ready(Interest::ERROR) => Ok(Printed::Closed),
    }
}

/// Whether NO_COLOR is set (<https://no-color.org>).
pub fn no_colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Prints a text that is all that a command says. Returns the exit code.
pub fn print(text: &str) -> u8 {
    write(text).code()
}

/// Writes one line to standard error. A failure cannot be reported anywhere.
pub fn complain(line: &str) {
    // Some of it may be the words of a server, of several lines.
    let _ = writeln!(std::io::stderr().lock(), "acefleet: {}", shown(line));
}

/// Prints problems to standard error, one line each, and returns the exit code for them.
pub fn refuse(problems: &[Finding]) -> u8 {
    for problem in problems {
        complain(&problem.line);
    }
    CONFIGURATION
}

/// Prints warnings to standard error, one line each.
pub fn warn(warnings: &[Finding]) {
    for warning in warnings {
        complain(&format!("warning: {}", warning.line));
    }
}
