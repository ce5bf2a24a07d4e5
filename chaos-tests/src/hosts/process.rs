//! A child process that can be paused, stopped and killed, and that proves that this happened.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::scan::state_of;
use super::tools;
use crate::wait::wait_for;

/// How long the kernel may take to carry out a signal that cannot be refused.
const KERNEL: Duration = Duration::from_secs(10);
/// Bytes of a log's end that go into error messages: enough for what happened last, on each of several nodes.
const TAIL: usize = 800;
/// What the consensus library says of itself, hundreds of bytes at a time.
const NOISE: &str = " INFO openraft::";

/// How to start the process, again and again.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Name for messages.
    pub name: String,
    /// Network namespace to run in; `None` = the machine's own.
    pub namespace: Option<String>,
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// The whole environment but for `PATH` and `HOME`; nothing else is inherited.
    pub env: BTreeMap<String, String>,
    /// Working directory (created; empty of settings files that the caller did not put there).
    pub dir: PathBuf,
    /// Standard output and error are appended here.
    pub log: PathBuf,
}

/// A process made from a [`Recipe`].
#[derive(Debug)]
pub struct Process {
    recipe: Mutex<Recipe>,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// A process that is not started yet.
    pub fn new(recipe: Recipe) -> Self {
        Self { recipe: Mutex::new(recipe), child: Mutex::new(None) }
    }

    /// Changes how the process is started the next time.
    pub fn change(&self, change: impl FnOnce(&mut Recipe)) {
        change(&mut self.recipe.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A copy of how the process is started.
    pub fn recipe(&self) -> Recipe {
        self.recipe.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the process; an error when it runs already.
    pub fn start(&self) -> Result<u32> {
        let recipe = self.recipe();
        let mut slot = self.child();
        if let Some(child) = slot.as_mut() {
            ensure!(child.try_wait()?.is_some(), "{} runs already (pid {})", recipe.name, child.id());
        }
        std::fs::create_dir_all(&recipe.dir)
            .with_context(|| format!("cannot create {}", recipe.dir.display()))?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(&recipe.log)
            .with_context(|| format!("cannot open {}", recipe.log.display()))?;
        let child = recipe
            .build()?
            .current_dir(&recipe.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}: {:?}", recipe.name, recipe.command))?;
        let pid = child.id();
        *slot = Some(child);
        Ok(pid)
    }

    /// Process id while it runs (also while it is paused).
    pub fn pid(&self) -> Option<u32> {
        let mut slot = self.child();
        let child = slot.as_mut()?;
        match child.try_wait() {
            Ok(None) => Some(child.id()),
            _ => None,
        }
    }

    /// How the last run ended; `None` while it runs or when it was never started.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.child().as_mut()?.try_wait().ok().flatten()
    }

    /// An error with the end of the log when the process is not running.
    pub fn expect_running(&self) -> Result<u32> {
        match self.pid() {
            Some(pid) => Ok(pid),
            None => bail!(
                "{} is not running ({:?}); end of its log:\n{}",
                self.name(),
                self.exit_status(),
                self.log_tail()
            ),
        }
    }

    /// SIGTERM, then waits; an error when the process is still there at the deadline.
    pub async fn stop(&self, deadline: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        let what = format!("{} to end after SIGTERM", self.name());
        wait_for(&what, deadline, || async { self.exit_status().context("it still runs") }).await
    }

    /// SIGKILL, then waits until the process is gone; proves that it was this signal that ended it.
    pub async fn kill(&self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        let what = format!("{} to end after SIGKILL", self.name());
        let status =
            wait_for(&what, KERNEL, || async { self.exit_status().context("it still runs") }).await?;
        ensure!(
            status.signal() == Some(Signal::SIGKILL as i32),
            "{} was to be killed but had ended by itself before: {status}; end of its log:\n{}",
            self.name(),
            self.log_tail()
        );
        Ok(())
    }

    /// SIGSTOP; returns once the kernel says that the process stands still.
    pub async fn pause(&self) -> Result<()> {
        let pid = self.expect_running()?;
        self.signal(Signal::SIGSTOP)?;
        wait_for(&format!("{} to stand still", self.name()), KERNEL, || async {
            let state = state_of(pid).context("it is gone")?;
            ensure!(state == 'T', "its state is {state}");
            Ok(())
        })
        .await
    }

    /// SIGCONT after [`Process::pause`].
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Sends a signal to the running process.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.expect_running()?)?;
        kill(Pid::from_raw(pid), signal)
            .with_context(|| format!("cannot send {signal} to {} ({pid})", self.name()))
    }

    /// SIGKILL without any check, for clearing away; waits until the kernel is done.
    pub fn discard(&self) {
        if let Some(mut child) = self.child().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Name for messages.
    pub fn name(&self) -> String {
        self.recipe().name
    }

    /// Where the output goes.
    pub fn log_path(&self) -> PathBuf {
        self.recipe().log
    }

    /// The whole log, of all runs; empty before the first.
    pub fn log(&self) -> Result<String> {
        let path = self.log_path();
        match std::fs::read(&path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// The end of the log, for error messages.
    pub fn log_tail(&self) -> String {
        self.log().map_or_else(|error| error.to_string(), |log| ending(&log))
    }
}

impl Recipe {
    /// The command, to be run inside the namespace where one is named.
    ///
    /// `nsenter --net` and not `ip netns exec`: that one mounts a fresh `/sys`, and the control groups are gone with it.
    pub fn build(&self) -> Result<Command> {
        let mut words = self.command.iter();
        let program = words.next().context("empty command")?;
        let mut command = match &self.namespace {
            Some(namespace) => enter(namespace, program)?,
            None => Command::new(program),
        };
        command.args(words).env_clear().envs(inherited()).envs(&self.env);
        Ok(command)
    }
}

/// A command that runs a program inside a network namespace.
pub fn enter(namespace: &str, program: impl Into<OsString>) -> Result<Command> {
    let nsenter = tools::find("nsenter").context("`nsenter` is not installed (Debian package util-linux)")?;
    let mut command = Command::new(nsenter);
    command.arg(format!("--net=/run/netns/{namespace}")).arg("--").arg(program.into());
    Ok(command)
}

fn inherited() -> Vec<(String, String)> {
    // Only what programs need to find each other; settings of whoever runs the tests must not reach what is tested.
    let mut env = vec![(
        "PATH".to_owned(),
        format!(
            "{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            std::env::var("PATH").unwrap_or_default()
        ),
    )];
    env.extend(std::env::var("HOME").map(|home| ("HOME".to_owned(), home)));
    env.extend(std::env::var("RUST_BACKTRACE").map(|value| ("RUST_BACKTRACE".to_owned(), value)));
    env
}

/// The last lines of a log, for error messages: whole ones, but at least the last one, and without noise.
pub fn ending(log: &str) -> String {
    let mut room = TAIL;
    let mut lines = Vec::new();
    for line in log.lines().rev().filter(|line| !line.contains(NOISE)) {
        if line.len() + 1 > room && !lines.is_empty() {
            break;
        }
        room = room.saturating_sub(line.len() + 1);
        lines.push(line);
    }
    lines.reverse();
    lines.join("\n").chars().take(TAIL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(dir: &std::path::Path, script: &str) -> Process {
        Process::new(Recipe {
            name: "sleeper".into(),
            namespace: None,
            command: ["/bin/sh", "-c", script].map(OsString::from).to_vec(),
            env: BTreeMap::new(),
            dir: dir.to_path_buf(),
            log: dir.join("log"),
        })
    }

    #[tokio::test]
    async fn kill_of_a_process_that_ended_by_itself_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let process = sleeper(dir.path(), "echo over; exit 3");
        process.start().unwrap();
        wait_for("the end", KERNEL, || async { process.exit_status().context("runs") }).await.unwrap();
        let error = process.kill().await.unwrap_err().to_string();
        assert!(error.contains("not running") && error.contains("over"), "{error}");
    }

    #[test]
    fn the_ending_of_a_log_is_short_and_begins_with_a_line() {
        let log: String = (0..100).map(|at| format!("line {at} with some words\n")).collect();
        let shown = ending(&log);
        assert!(
            shown.len() <= TAIL && shown.starts_with("line ") && shown.ends_with("line 99 with some words")
        );
        assert_eq!(ending("said\n10:00  INFO openraft::engine: startup begin: state\n"), "said");
        assert_eq!(ending(&"x".repeat(3 * TAIL)).len(), TAIL);
        assert_eq!(ending(""), "");
    }

    #[tokio::test]
    async fn pause_resume_stop_and_start_again() {
        let dir = tempfile::tempdir().unwrap();
        let process = sleeper(dir.path(), "exec sleep 600");
        let first = process.start().unwrap();
        assert!(process.start().is_err());
        process.pause().await.unwrap();
        assert_eq!(state_of(first), Some('T'));
        process.resume().unwrap();
        process.stop(KERNEL).await.unwrap();
        let second = process.start().unwrap();
        assert_ne!(first, second);
        process.kill().await.unwrap();
        assert_eq!(process.pid(), None);
    }
}
