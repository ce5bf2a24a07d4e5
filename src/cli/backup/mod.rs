//! `acefleet backup`: saves all that the cluster knows to a file, and looks into such files.
//!
//! - [`save`]: from a node to a file; [`summary`]: what is in one; [`compare`]: what differs between two

pub(super) mod compare;
pub(super) mod save;
pub(super) mod summary;

use std::path::{Path, PathBuf};

use acefleet_raft::backup as format;
use clap::{Args, Subcommand, ValueEnum};

use super::exit_code::{CONFIGURATION, INTERNAL};
use super::failed::{Failed, finish};
use super::output;
use super::words::shown;
use summary::Summary;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Backup {
    #[command(subcommand)]
    command: Option<OfFile>,
    #[command(flatten)]
    save: save::Save,
}

#[derive(Subcommand)]
enum OfFile {
    /// Show what is in a backup.
    Inspect(Inspect),
    /// Check every byte of a backup, and whether a cluster can be restored from it. Exit code 0, or 64 when none can.
    Verify {
        /// The backup.
        file: PathBuf,
    },
}

#[derive(Args)]
struct Inspect {
    /// The backup.
    file: PathBuf,
    /// Print it as a table, or as JSON.
    #[arg(short, long, value_enum, default_value_t = Form::Table, value_name = "FORMAT")]
    output: Form,
    /// The same as --output json.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Saves a backup, or looks into one.
pub fn backup(settings: Option<&Path>, args: &Backup) -> u8 {
    finish(match &args.command {
        None => save::save(settings, &args.save),
        Some(OfFile::Inspect(args)) => inspect(args),
        Some(OfFile::Verify { file }) => verify(file),
    })
}

/// A whole backup.
///
/// # Errors
/// Why the file is none.
pub(super) fn read(file: &Path) -> Result<format::Backup, Failed> {
    format::read(file).map_err(|why| Failed::new(CONFIGURATION, format!("{}: {why}", file.display())))
}

fn inspect(args: &Inspect) -> Result<u8, Failed> {
    let summary = Summary::of(&read(&args.file)?);
    if args.json || args.output == Form::Json {
        return json(&summary);
    }
    Ok(output::print(&summary.text(acefleet_raft::host_clock())))
}

fn verify(file: &Path) -> Result<u8, Failed> {
    let backup = read(file)?;
    let unusable = |why: format::Unsound| {
        Failed::new(CONFIGURATION, format!("{}: {}", file.display(), shown(&why.to_string())))
    };
    backup.sound().map_err(unusable)?;
    let (cluster, revision) = (&backup.header.cluster_id, backup.header.revision);
    Ok(output::print(&format!(
        "{}: whole and sound, cluster {cluster} at revision {revision}",
        file.display()
    )))
}

/// Prints a value for programs.
pub(super) fn json(value: &impl serde::Serialize) -> Result<u8, Failed> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| output::print(&text)).map_err(|error| Failed::new(INTERNAL, error.to_string()))
}
