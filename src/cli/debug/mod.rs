//! `acefleet debug bundle`: one file with what helps to find a fault.
//!
//! - [`ask`]: what the nodes say; [`local`]: what this host says; [`contents`]: what is in the file, and what is not

mod ask;
mod contents;
mod local;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use acefleet::config::load;
use acefleet::whole_file::{WholeFile, folder_of};
use clap::{Args, Subcommand};

use super::ask::wait;
use super::exit_code::{INTERNAL, TEMPORARY};
use super::failed::{Failed, finish};
use super::new_file::{refuse_existing, second};
use super::output;
use super::target::{Nodes, Where};
use contents::Contents;

#[derive(Subcommand)]
pub enum Debug {
    /// Save what helps to find a fault to one file: versions, settings without secrets, and what each node says of itself.
    ///
    /// Every member is asked over its HTTP API for its view of the cluster, its status, plan, events, settings and metrics. What does not answer is
    /// named in the file. Where reads need a key, name all nodes with --url: others are not shown it. There is no key, password or secret in it, but names and addresses of hosts, and those of callers in events.
    /// The newest log lines of a node need a key.
    Bundle(Bundle),
}

#[derive(Args)]
pub struct Bundle {
    /// Where it is saved, or - for standard output; else a file here that is named after the time.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
    /// Seconds that each node has for all of its answers.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
    #[command(flatten)]
    place: Where,
    /// Key of the API, for nodes whose reads need one; else API_KEY from the settings, else the token of the node here.
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
}

/// Performs a `debug` command.
pub fn debug(file: Option<&Path>, command: &Debug) -> u8 {
    match command {
        Debug::Bundle(args) => finish(bundle(file, args)),
    }
}

fn bundle(file: Option<&Path>, args: &Bundle) -> Result<u8, Failed> {
    let is_stdout = args.output.as_deref() == Some(Path::new("-"));
    let at = acefleet_raft::host_clock();
    let name = format!("acefleet-debug-{}", second(at));
    let place = args.output.clone().unwrap_or_else(|| format!("{name}.tar.zst").into());
    if !is_stdout {
        refuse_existing(&place, args.force)?;
    }
    let loaded = load(file);
    let config = loaded.as_ref().ok().map(|loaded| &loaded.config);
    let mut contents = Contents::new(local::secrets(config));
    local::settings(&loaded, &mut contents);
    let nodes = args.place.nodes(args.api_key.as_deref(), config)?;
    let answered = ask_nodes(nodes.as_ref(), Duration::from_secs(args.timeout), &mut contents)?;
    local::versions(&answered, &mut contents);
    let packed = contents.pack(&name, at).map_err(|error| unsaved(&place, &error))?;
    let summary = contents.summary(packed.len());
    if is_stdout {
        let mut out = io::stdout().lock();
        out.write_all(&packed).and_then(|()| out.flush()).map_err(|error| unsaved(&place, &error))?;
        summary.lines().for_each(output::complain);
    } else {
        let saved = WholeFile::new(&folder_of(&place)).and_then(|whole| {
            whole.file().write_all(&packed)?;
            whole.keep_as(&place)
        });
        saved.map_err(|error| unsaved(&place, &error))?;
        // The file is what was wanted; whoever reads no more of this has it.
        let _ = output::write(&format!("{}: {summary}", place.display()));
    }
    match answered.is_empty() {
        true => Err(Failed::new(TEMPORARY, "no node answered: the bundle has what this host knows alone")),
        false => Ok(0),
    }
}

/// Asks all nodes. Returns versions by the names of those that answered.
fn ask_nodes(
    nodes: Option<&Nodes>,
    within: Duration,
    contents: &mut Contents,
) -> Result<ask::Answered, Failed> {
    let Some(nodes) = nodes else {
        contents.leave_out("nodes", "the settings are not valid, so no node is known: name one with --url");
        return Ok(ask::Answered::default());
    };
    wait(ask::all(nodes, within, contents))
}

fn unsaved(at: &Path, error: &io::Error) -> Failed {
    Failed::new(INTERNAL, format!("{}: the bundle cannot be saved there: {error}", at.display()))
}
