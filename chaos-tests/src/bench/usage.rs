//! What a process uses, and what the machine is.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::figures::{median, ms};

/// Resident memory of a process, bytes.
pub fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

/// CPU time that a process has used.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may contain anything.
    let (_, fields) = stat.rsplit_once(") ").context("no fields in stat")?;
    let mut ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
    let (Some(user), Some(system)) = (ticks.next(), ticks.next()) else {
        anyhow::bail!("too few fields in stat");
    };
    let hertz = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.context("no clock tick")?;
    Ok(Duration::from_secs_f64((user? + system?) as f64 / hertz as f64))
}

/// One line about the machine and its disk.
pub fn machine(dir: &Path) -> Result<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let cores = std::thread::available_parallelism()?;
    Ok(format!(
        "{}, {cores} cores, Linux {}, disk sync {:.2} ms (median), load average at start {}",
        model.trim_start_matches([' ', '\t', ':']).trim(),
        kernel.trim(),
        disk_sync(dir)?,
        load.split(' ').next().unwrap_or_default()
    ))
}

/// Median time of writing and syncing 4 KiB, milliseconds.
fn disk_sync(dir: &Path) -> Result<f64> {
    let mut file = File::create(dir.join("sync-probe"))?;
    let mut times = Vec::new();
    for _ in 0..50 {
        let begun = Instant::now();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(ms(begun.elapsed()));
    }
    Ok(median(&times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let pid = std::process::id();
        assert!(resident(pid).unwrap() > 100_000);
        let before = cpu_time(pid).unwrap();
        let begun = Instant::now();
        let mut sum = 0u64;
        while cpu_time(pid).unwrap() == before {
            assert!(begun.elapsed() < Duration::from_secs(30), "no CPU time was counted");
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }
}
