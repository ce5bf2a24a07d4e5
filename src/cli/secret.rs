//! `acefleet secret`: shows what a further node needs to speak to this one.

use std::path::Path;

use acefleet::config::load;

use super::exit_code::CONFIGURATION;
use super::failed::{Failed, finish};
use super::output;

/// Prints the secret alone on standard output.
pub fn secret(file: Option<&Path>) -> u8 {
    let config = match load(file) {
        Ok(loaded) => loaded.config,
        Err(errors) => return output::refuse(&errors.problems),
    };
    if let Some(secret) = &config.cluster_secret {
        return output::print(&String::from_utf8_lossy(secret.exposed()));
    }
    let dir = config.data_dir.display();
    let kept = acefleet_raft::kept_secret(&config.data_dir)
        .map_err(|error| {
            format!(
                "the secret in {dir} cannot be read: {error}. Run this as the user of the node, or as root"
            )
        })
        .and_then(|kept| {
            kept.ok_or_else(|| format!("no node has run with the data directory {dir} yet: start it first, or give this command the settings of the node"))
        });
    finish(kept.map_err(|why| Failed::new(CONFIGURATION, why)).map(|secret| output::print(&secret)))
}
