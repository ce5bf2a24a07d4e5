//! Saves a backup of a node to a file. It is written beside, read back as a whole, and only then put in its place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use acefleet_raft::backup::{self as format, BackupHeader};
use clap::Args;
use jiff::Timestamp;
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::Serialize;

use super::json;
use crate::cli::ask::{Call, at_one_of, wait};
use crate::cli::exit_code::{CONFIGURATION, INTERNAL, TEMPORARY};
use crate::cli::failed::Failed;
use crate::cli::output;
use crate::cli::target::{Nodes, Target};

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
        Some(file) => (beside(&file), Some(file)),
    };
    if let Some(file) = &named {
        refuse_existing(file, args.force)?;
    }
    let temporary = if is_stdout { Temporary::in_memory() } else { Temporary::new(&dir) };
    let mut temporary = temporary.map_err(|error| unsaved(&dir, &error))?;
    let backup = fetch(settings, &args.target, args.redact, &temporary)?;
    let bytes = temporary.file.metadata().map(|found| found.len()).unwrap_or_default();
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
    let temporary = Temporary::in_memory();
    let temporary =
        temporary.map_err(|error| Failed::new(INTERNAL, format!("no room for a backup: {error}")))?;
    fetch(settings, target, false, &temporary)
}

/// Saves a backup of a node to a file, and reads it back.
fn fetch(
    settings: Option<&Path>,
    target: &Target,
    redact: bool,
    temporary: &Temporary,
) -> Result<format::Backup, Failed> {
    let Nodes { urls, key } = target.nodes(settings)?;
    let call = Call::get(&["cluster", "backup"]).long();
    let call = if redact { call.with("redact", "true") } else { call };
    wait(at_one_of(&urls, async |url| {
        let file = temporary.file.try_clone();
        let mut file = file.map_err(|error| unsaved(&temporary.path, &error))?;
        call.save(url, key.as_deref(), &mut file).await
    }))?;
    format::read(&temporary.path).map_err(|why| {
        Failed::new(TEMPORARY, format!("what came from the node is no whole backup: {why}; repeat it"))
    })
}

/// A file for its owner alone, which is removed when it is dropped.
struct Temporary {
    path: PathBuf,
    file: File,
    /// Nothing has to be removed.
    is_kept: bool,
}

impl Temporary {
    fn new(dir: &Path) -> io::Result<Self> {
        let path = dir.join(format!(".acefleet-{}.part", uuid::Uuid::new_v4().simple()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path, file, is_kept: false })
    }

    /// One without a place on a disk, which not every container has.
    fn in_memory() -> io::Result<Self> {
        let file = File::from(memfd_create("acefleet", MFdFlags::MFD_CLOEXEC)?);
        Ok(Self { path: format!("/proc/self/fd/{}", file.as_raw_fd()).into(), file, is_kept: true })
    }

    /// Puts it in its place, durably.
    fn keep_as(&mut self, file: &Path) -> io::Result<()> {
        fs::rename(&self.path, file)?;
        self.is_kept = true;
        File::open(beside(file))?.sync_all()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_kept {
            // What is left of it does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The directory of a file.
fn beside(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn refuse_existing(file: &Path, force: bool) -> Result<(), Failed> {
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

fn piped(from: &Temporary) -> Result<u8, Failed> {
    let copied = File::open(&from.path).and_then(|mut file| {
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
    let at = i64::try_from(header.taken_ms.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let at = at.unwrap_or(Timestamp::UNIX_EPOCH).strftime("%Y%m%d-%H%M%S").to_string();
    format!("acefleet-{short}-{at}.backup")
}

fn unsaved(at: &Path, error: &io::Error) -> Failed {
    Failed::new(CONFIGURATION, format!("{}: the backup cannot be saved there: {error}", at.display()))
}
