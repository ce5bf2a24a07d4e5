//! Metrics of this process under the names that all clients of Prometheus use. Of a system without `/proc` there are none.

use std::io;
use std::time::Duration;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::{SysconfVar, sysconf};

use crate::http::status::metrics::scrape::Scrape;

/// This process now.
struct Process {
    cpu: Duration,
    resident_bytes: f64,
    virtual_bytes: f64,
    open_fds: usize,
    max_fds: u64,
    threads: f64,
    /// Seconds since 1970.
    started_at: f64,
}

impl Process {
    fn now() -> io::Result<Self> {
        let page = system(SysconfVar::PAGE_SIZE)?;
        let stat = Stat::parse(&std::fs::read_to_string("/proc/self/stat")?).ok_or_else(malformed)?;
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        let us = (usage.user_time() + usage.system_time()).num_microseconds();
        let behind_boot = stat.start_ticks / system(SysconfVar::CLK_TCK)?;
        Ok(Self {
            cpu: Duration::from_micros(u64::try_from(us).unwrap_or(0)),
            resident_bytes: stat.resident_pages * page,
            virtual_bytes: stat.virtual_bytes,
            // Less the one that the look itself takes.
            open_fds: std::fs::read_dir("/proc/self/fd")?.count().saturating_sub(1),
            max_fds: getrlimit(Resource::RLIMIT_NOFILE)?.0,
            threads: stat.threads,
            started_at: booted_at()? + behind_boot,
        })
    }
}

fn system(what: SysconfVar) -> io::Result<f64> {
    Ok(sysconf(what)?.ok_or_else(malformed)? as f64)
}

fn malformed() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}

/// When the machine was started, seconds since 1970.
fn booted_at() -> io::Result<f64> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let word = text.lines().find_map(|line| line.strip_prefix("btime "));
    word.and_then(|word| word.trim().parse().ok()).ok_or_else(malformed)
}

/// Fields of `/proc/self/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    threads: f64,
    /// From the start of the machine to that of the process.
    start_ticks: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

impl Stat {
    /// The name of the program, in brackets, may contain anything.
    fn parse(text: &str) -> Option<Self> {
        let (_, behind_name) = text.rsplit_once(')')?;
        let words: Vec<&str> = behind_name.split_whitespace().collect();
        // proc(5) counts from 1, and the first word here is the third.
        let field = |number: usize| words.get(number - 3)?.parse().ok();
        Some(Self {
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// Processor time, memory, files, threads.
pub(super) fn write(scrape: &Scrape) -> prometheus::Result<()> {
    let process = match Process::now() {
        Ok(process) => process,
        Err(error) => {
            tracing::debug!(%error, "there are no figures of this process");
            return Ok(());
        }
    };
    let help = "Processor time of this process, user and system";
    scrape.seconds("process_cpu_seconds_total", help, process.cpu.as_secs_f64())?;
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Memory of this process", process.resident_bytes),
        ("process_virtual_memory_bytes", "Address space of this process", process.virtual_bytes),
        ("process_open_fds", "Files and sockets that this process has open", process.open_fds as f64),
        ("process_max_fds", "Files and sockets that it may open", process.max_fds as f64),
        ("process_threads", "Threads of this process", process.threads),
        ("process_start_time_seconds", "Start of this process, seconds since 1970", process.started_at),
    ] {
        scrape.gauge(name, help, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_confuses_nothing() {
        let text = "71 (a ) b) S 1 71 71 0 -1 4194560 9 0 0 0 12 5 0 0 20 0 17 0 4242 900100 333 18446744073709551615 1 1\n";
        let expected =
            Stat { threads: 17.0, start_ticks: 4242.0, virtual_bytes: 900_100.0, resident_pages: 333.0 };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("71 (a) S 1"), None);
    }

    #[test]
    fn this_process_is_as_it_is() {
        let process = Process::now().unwrap();
        #[expect(clippy::disallowed_methods, reason = "the clock of the machine is meant")]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - process.started_at;
        // The start of the machine is known to the second.
        assert!((-2.0..86_400.0).contains(&age), "{age}");
        assert!(process.open_fds >= 3 && process.threads >= 2.0 && process.resident_bytes > 1e6);
        assert!(process.virtual_bytes > process.resident_bytes && process.max_fds > 3);
    }
}
