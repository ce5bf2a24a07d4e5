//! Standard output that may close early, and lines on standard error.

use std::io::{ErrorKind, Write};

use acefleet::config::Finding;

use super::exit_code::{CONFIGURATION, INTERNAL};

/// Prints a text with exactly one line break at its end. Returns the exit code.
pub fn print(text: &str) -> u8 {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Ok(()) => 0,
        // The reader wants no more, as in `acefleet config show | head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => 0,
        Err(error) => {
            complain(&format!("cannot write to standard output: {error}"));
            INTERNAL
        }
    }
}

/// Writes one line to standard error. A failure cannot be reported anywhere.
pub fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "acefleet: {line}");
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
