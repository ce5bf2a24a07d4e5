//! Saves a backup of a node to a file. It is written beside, read back as a whole, and only then put in its place.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use acefleet::whole_file::{WholeFile, folder_of};
use acefleet_raft::backup::{self as format, BackupHeader};
use clap::Args;
use serde::Serialize;

use super::json;
use crate::cli::ask::{Call, at_one_of, wait};
use crate::cli::exit_code::{CONFIGURATION, INTERNAL, TEMPORARY};
use crate::cli::failed::Failed;
use crate::cli::new_file::{refuse_existing, second};
use crate::cli::output;
use crate::cli::target::Target;

#[derive(Args)]
pub struct Save {
    /// Where it is saved: a file, a directory, or - for standard output; else a file here that is named after the cluster and the time.
    #[arg(value_name = "FILE")]
    to: Option<PathBuf>,
    /// Leave out what identifies people, to show the file to others: addresses of callers, keys and URLs of streams, variables of engines, the hash
    /// of the API key. No cluster can be restored from it.
    #[arg(long)]
    redact: bool,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    target: Target,
}

/// What was saved, for programs.
#[derive(Serialize)]
struct Saved<'a> {
    file: &'a Path,
    bytes: u64,
    #[serde(flatten)]
    header: &'a BackupHeader,
}

/// Saves it.
pub(super) fn save(settings: Option<&Path>, args: &Save) -> Result<u8, Failed> {
    let is_stdout = args.to.as_deref() == Some(Path::new("-"));
    let place = if is_stdout { None } else { args.to.clone() };
    let (dir, named) = match place {
        None => (PathBuf::from("."), None),
        Some(dir) if dir.is_dir() => (dir, None),
        Some(file) => (folder_of(&file), Some(file)),
    };
    if let Some(file) = &named {
        refuse_existing(file, args.force)?;
    }
    let temporary = if is_stdout { WholeFile::in_memory() } else { WholeFile::new(&dir) };
    let temporary = temporary.map_err(|error| unsaved(&dir, &error))?;
    let backup = fetch(settings, &args.target, args.redact, &temporary)?;
    let bytes = temporary.file().metadata().map(|found| found.len()).unwrap_or_default();
    if is_stdout {
        return piped(&temporary);
    }
    let file = named.unwrap_or_else(|| dir.join(default_name(&backup.header)));
    refuse_existing(&file, args.force)?;
    temporary.keep_as(&file).map_err(|error| unsaved(&file, &error))?;
    if args.target.wants_json() {
        return json(&Saved { file: &file, bytes, header: &backup.header });
    }
    let BackupHeader { cluster_id, node, revision, .. } = &backup.header;
    let late = match backup.header.leaderless_ms {
        0..2_000 => String::new(),
        ms => format!(
            ". {node} has had no leader for {} s and may lack what was written since: ask another node",
            ms / 1_000
        ),
    };
    let what = if args.redact { ", without what identifies people" } else { "" };
    Ok(output::print(&format!(
        "{}: cluster {cluster_id} at revision {revision}, as {node} has it ({bytes} bytes{what}){late}",
        file.display()
    )))
}

/// A backup of a node, checked, which is only looked at.
pub(in crate::cli) fn fetched(settings: Option<&Path>, target: &Target) -> Result<format::Backup, Failed> {
    let temporary = WholeFile::in_memory();
    let temporary =
        temporary.map_err(|error| Failed::new(INTERNAL, format!("no room for a backup: {error}")))?;
    fetch(settings, target, false, &temporary)
}

/// Saves a backup of a node to a file, and reads it back.
fn fetch(
    settings: Option<&Path>,
    target: &Target,
    redact: bool,
    temporary: &WholeFile,
) -> Result<format::Backup, Failed> {
    let nodes = target.nodes(settings)?;
    let call = Call::get(&["cluster", "backup"]).long();
    let call = if redact { call.with("redact", "true") } else { call };
    wait(at_one_of(&nodes.urls, async |url| {
        let file = temporary.file().try_clone();
        let mut file = file.map_err(|error| unsaved(temporary.path(), &error))?;
        call.save(url, nodes.caller(), &mut file).await
    }))?;
    format::read(temporary.path()).map_err(|why| {
        Failed::new(TEMPORARY, format!("what came from the node is no whole backup: {why}; repeat it"))
    })
}

fn piped(from: &WholeFile) -> Result<u8, Failed> {
    let copied = File::open(from.path()).and_then(|mut file| {
        let mut out = io::stdout().lock();
        io::copy(&mut file, &mut out).and_then(|_| out.flush())
    });
    copied.map(|()| 0).map_err(|error| {
        Failed::new(INTERNAL, format!("the backup cannot be written to standard output: {error}"))
    })
}

/// `acefleet-1f2e3d4c-20261130-170512.backup`, by the time of day of the cluster.
fn default_name(header: &BackupHeader) -> String {
    let short: String = header.cluster_id.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    let at = second(header.taken_ms);
    format!("acefleet-{short}-{at}.backup")
}

fn unsaved(at: &Path, error: &io::Error) -> Failed {
    Failed::new(CONFIGURATION, format!("{}: the backup cannot be saved there: {error}", at.display()))
}
