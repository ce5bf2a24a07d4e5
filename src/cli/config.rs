//! `acefleet config …`.

use std::path::Path;

use acefleet::config::{Config, load, show as documents};
use acefleet::node::raft_options;
use acefleet::tls::{Pair, PairError, remarks};
use clap::Args;

use super::exit_code::CONFIGURATION;
use super::{output, prepare};

#[derive(Args)]
#[group(multiple = false)]
pub struct Show {
    /// Print the tables of docs/CONFIG.md instead.
    #[arg(long)]
    markdown: bool,
    /// Print an example .env file instead.
    #[arg(long)]
    env_example: bool,
    /// Print an example TOML file instead.
    #[arg(long)]
    toml_example: bool,
}

/// Prints problems and warnings, and whether a node would start.
pub fn check(file: Option<&Path>) -> u8 {
    match load(file) {
        Ok(loaded) => {
            output::warn(&loaded.warnings);
            match startable(&loaded.config) {
                Ok(None) => output::print("The settings are valid."),
                Ok(Some(fault)) => {
                    output::complain(&fault);
                    CONFIGURATION
                }
                Err(code) => code,
            }
        }
        Err(errors) => {
            output::warn(&errors.warnings);
            output::refuse(&errors.problems)
        }
    }
}

/// What keeps a node with these valid settings from starting, if anything does; or the exit code when that cannot be found out.
pub fn startable(config: &Config) -> Result<Option<String>, u8> {
    if let Some(missing) = acefleet_raft::missing_secret(&raft_options(config)) {
        return Ok(Some(missing.to_string()));
    }
    if let Err(error) = certificate(config) {
        return Ok(Some(error.to_string()));
    }
    prepare::run(acefleet::node::reach::fault(config))
}

/// Looks at the certificate of the API, and prints what is worth a warning.
fn certificate(config: &Config) -> Result<(), PairError> {
    let Some(files) = &config.tls else { return Ok(()) };
    let pair = Pair::read(files)?;
    let now = i64::try_from(acefleet_raft::host_clock().0 / 1_000).unwrap_or(i64::MAX);
    for remark in remarks(&pair, &config.advertise_host, now) {
        output::complain(&format!("warning: {remark}"));
    }
    Ok(())
}

/// Prints the values of this node, or one of the documents that come from the table of settings.
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
            let code = output::print(&documents::values(&loaded.shown));
            output::warn(&loaded.warnings);
            code
        }
        Err(errors) => {
            output::print(&documents::values(&errors.shown));
            output::warn(&errors.warnings);
            output::refuse(&errors.problems)
        }
    }
}
