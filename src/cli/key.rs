//! `acefleet key`: shows the key of the cluster where it was made, or makes another one.

use std::path::Path;

use acefleet::access;
use acefleet::config::{Config, Secret, load};
use clap::Args;
use serde::Deserialize;

use super::ask::{self, Call};
use super::exit_code::{CONFIGURATION, INTERNAL};
use super::failed::{Failed, finish};
use super::named_keys::{self, Keys};
use super::output;

/// Path of the calls that check the key and make a new one.
const PATH: [&str; 2] = ["cluster", "key"];

/// Whether callers need a key.
#[derive(Deserialize)]
struct State {
    required: bool,
}

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Key {
    #[command(subcommand)]
    named: Option<Keys>,
    /// Make a new key, through the node that runs here, and show it. The old one is invalid at once, on all nodes.
    #[arg(long)]
    new: bool,
}

/// Runs one of the commands.
pub fn run(file: Option<&Path>, args: &Key) -> u8 {
    match &args.named {
        Some(named) => named_keys::run(file, named),
        None => key(file, args),
    }
}

/// Prints the key alone on standard output; everything else goes to standard error.
fn key(file: Option<&Path>, args: &Key) -> u8 {
    let config = match load(file) {
        Ok(loaded) => loaded.config,
        Err(errors) => return output::refuse(&errors.problems),
    };
    let shown = match args.new {
        true => renewed(&config),
        false => current(&config),
    };
    finish(shown.map(|key| output::print(key.exposed())))
}

/// What lets the user of the node here call it.
fn token(config: &Config) -> Result<Secret, Failed> {
    access::token_here(&config.data_dir).map_err(unreadable)?.ok_or_else(|| {
        let dir = config.data_dir.display();
        Failed::new(CONFIGURATION, format!("no node has run with the data directory {dir}: start it first"))
    })
}

fn renewed(config: &Config) -> Result<Secret, Failed> {
    ask::here(config, &Call::post(&PATH), &token(config)?)?;
    in_force(config)?.ok_or_else(|| Failed::new(INTERNAL, "the new key is not in force; try again"))
}

fn current(config: &Config) -> Result<Secret, Failed> {
    if let Some(key) = &config.api_key {
        return Ok(key.clone());
    }
    if config.open {
        let why = "there is no key: ACEFLEET_OPEN=true lets everybody call this node";
        return Err(Failed::new(CONFIGURATION, why));
    }
    if let Some(key) = in_force(config)? {
        return Ok(key);
    }
    token(config)?;
    let why = "the key of the cluster is not on this host: ask on the node that made it, or make a new one with `acefleet \
               key --new`";
    Err(Failed::new(CONFIGURATION, why))
}

/// The key in the files of this host that is in force, as the node here says; if it does not answer, the likely one.
fn in_force(config: &Config) -> Result<Option<Secret>, Failed> {
    let keys = access::keys_here(&config.data_dir).map_err(unreadable)?;
    for key in &keys {
        let answer = ask::here(config, &Call::get(&PATH), key);
        match answer.and_then(|answer| answer.read()) {
            Ok(State { required: false }) => {
                return Err(Failed::new(CONFIGURATION, "there is no key: the cluster is open"));
            }
            Ok(_) => return Ok(Some(key.clone())),
            // That key was replaced.
            Err(failed) if failed.code == CONFIGURATION => {}
            Err(failed) => {
                output::complain(&format!("not checked whether this key is in force: {failed}"));
                return Ok(Some(key.clone()));
            }
        }
    }
    Ok(None)
}

fn unreadable(error: std::io::Error) -> Failed {
    Failed::new(CONFIGURATION, format!("{error}; run this as the user that runs the node"))
}
