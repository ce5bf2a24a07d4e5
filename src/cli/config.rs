//! `acefleet config …`.

use std::path::Path;

use acefleet::config::{Finding, load, show as documents};

use super::{CONFIGURATION, Show, output, prepare};

/// Prints problems and warnings, and whether a node would start.
pub fn check(file: Option<&Path>) -> u8 {
    match load(file) {
        Ok(loaded) => {
            warn(&loaded.warnings);
            match prepare::run(acefleet::node::reach::fault(&loaded.config)) {
                Ok(None) => output::print("The settings are valid."),
                Ok(Some(fault)) => {
                    output::complain(&fault);
                    CONFIGURATION
                }
                Err(code) => code,
            }
        }
        Err(errors) => {
            warn(&errors.warnings);
            refuse(&errors.problems)
        }
    }
}

/// Prints what is in force, or one of the documents that are made of the table of settings.
pub fn show(file: Option<&Path>, show: &Show) -> u8 {
    if show.markdown {
        return output::print(&documents::markdown());
    }
    if show.env_example {
        return output::print(&documents::env_example());
    }
    if show.toml_example {
        return output::print(&documents::toml_example());
    }
    match load(file) {
        Ok(loaded) => {
            let code = output::print(&documents::in_force(&loaded.shown));
            warn(&loaded.warnings);
            code
        }
        Err(errors) => {
            output::print(&documents::in_force(&errors.shown));
            warn(&errors.warnings);
            refuse(&errors.problems)
        }
    }
}

/// Prints problems to standard error, one line each, and returns the exit code for them.
pub fn refuse(problems: &[Finding]) -> u8 {
    for problem in problems {
        output::complain(&problem.line);
    }
    CONFIGURATION
}

/// Prints warnings to standard error, one line each.
pub fn warn(warnings: &[Finding]) {
    for warning in warnings {
        output::complain(&format!("warning: {}", warning.line));
    }
}
