//! What nodes cost once a scenario is over and nothing happens any more: what no scenario looks at by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use acefleet_chaos::hosts::TestHosts;
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, ensure};

/// Deadline of the last work that a scenario left behind.
const AT_REST: Duration = Duration::from_secs(60);
const WINDOW: Duration = Duration::from_secs(1);
/// Processor time of a node at rest in one window, in hundredths of a second. A node that spins takes all it gets.
const TICKS: u64 = 35;
/// Lines that a node at rest logs in one window.
const LINES: usize = 10;
/// Bytes that a node logs in a whole scenario.
const LOGGED: u64 = 4 << 20;
/// Resident memory, bytes: far above what a scenario needs in a build without optimisation.
const RESIDENT: u64 = 512 << 20;
const OPEN_FILES: usize = 1_024;

/// One node's process at one moment.
struct Cost {
    name: String,
    ticks: u64,
    log: PathBuf,
    lines: usize,
}

/// Waits until all nodes that run are at rest; fails at once when one has logged, holds or opened too much.
pub async fn expect_rest(bed: &TestHosts) -> Result<()> {
    for (name, pid, log) in running(bed) {
        let logged = fs::metadata(&log).with_context(|| log.display().to_string())?.len();
        ensure!(logged <= LOGGED, "{name} has logged {logged} bytes");
        let resident = resident(pid)?;
        ensure!(resident <= RESIDENT, "{name} holds {resident} bytes of memory");
        let files = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        ensure!(files <= OPEN_FILES, "{name} has {files} files open");
    }
    wait_for("all nodes to rest", AT_REST, || async {
        let before = costs(bed)?;
        tokio::time::sleep(WINDOW).await;
        for (before, after) in before.iter().zip(costs(bed)?) {
            let ticks = after.ticks.saturating_sub(before.ticks);
            let lines = after.lines.saturating_sub(before.lines);
            ensure!(ticks <= TICKS, "{} uses {ticks} % of a core", before.name);
            ensure!(
                lines <= LINES,
                "{} logs {lines} lines a second: see {}",
                before.name,
                before.log.display()
            );
        }
        Ok(())
    })
    .await
}

fn running(bed: &TestHosts) -> Vec<(String, u32, PathBuf)> {
    let nodes = bed.nodes().iter();
    let running = nodes
        .filter_map(|node| Some((node.name().to_owned(), node.process().pid()?, node.process().log_path())));
    running.collect()
}

fn costs(bed: &TestHosts) -> Result<Vec<Cost>> {
    let cost = |(name, pid, log): (String, u32, PathBuf)| {
        Ok(Cost { name, ticks: ticks(pid)?, lines: lines(&log)?, log })
    };
    running(bed).into_iter().map(cost).collect()
}

fn lines(log: &Path) -> Result<usize> {
    Ok(fs::read(log)?.iter().filter(|byte| **byte == b'\n').count())
}

/// Processor time of a process so far, in user and kernel, hundredths of a second (proc(5), stat).
fn ticks(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name of the program may contain anything, the fields after it do not.
    let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field =
        |at: usize| fields.get(at).context("a short stat")?.parse::<u64>().context("no number in stat");
    Ok(field(11)? + field(12)?)
}

/// Resident memory of a process, bytes (proc(5), statm).
fn resident(pid: u32) -> Result<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages: u64 = statm.split_whitespace().nth(1).context("a short statm")?.parse()?;
    Ok(pages * 4096)
}
