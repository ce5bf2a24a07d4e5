//! systemd of this machine, booted as the first process of a container on a test host, with the node installed as its unit.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use acefleet_chaos::hosts::artifacts::{self, ENGINE_IMAGE};
use acefleet_chaos::hosts::{Host, tools};
use acefleet_chaos::node::NodeClient;
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, ensure};

/// Key of the nodes.
pub const KEY: &str = "a-key-for-tests-of-the-unit";
const UNIT: &str = "acefleet.service";
const SETTINGS: &str = "etc/acefleet/acefleet.env";
const BOOT: Duration = Duration::from_secs(60);
const INSTALL: Duration = Duration::from_secs(120);

/// One machine with systemd; the node on it is installed and not started.
pub struct Machine<'a> {
    host: &'a Host,
    installed: PathBuf,
    client: NodeClient,
}

impl<'a> Machine<'a> {
    /// Installs the node as `make install` does and boots. `settings` are lines of its environment file.
    pub async fn boot(host: &'a Host, settings: &[(&str, &str)]) -> Result<Self> {
        host.docker().load(&artifacts::image("systemd").await?).await?;
        let installed = host.state_dir().join("installed");
        install(&installed)?;
        let client = NodeClient::new(host.name(), &format!("http://{}:8000", host.address()), Some(KEY))?;
        let machine = Self { host, installed, client };
        let address = host.address().to_string();
        machine.set(&[
            ("ACEFLEET_NODE_NAME", host.name()),
            ("ACEFLEET_ADVERTISE", &address),
            ("API_KEY", KEY),
            ("TARGET_IMAGE", ENGINE_IMAGE),
        ])?;
        machine.set(settings)?;
        machine.start_container().await?;
        Ok(machine)
    }

    async fn start_container(&self) -> Result<()> {
        let socket = self.host.docker().url();
        let socket = socket.strip_prefix("unix://").context("Docker of a test host is not on a socket")?;
        let place = |below: &str| self.installed.join(below).display().to_string();
        let mounts = [
            "/usr:/usr:ro".to_owned(),
            format!("{}:/usr/local:ro", place("usr/local")),
            format!("{}:/etc/acefleet", place("etc/acefleet")),
            format!("{socket}:/run/docker.sock"),
            "/sys/fs/cgroup:/sys/fs/cgroup".to_owned(),
        ];
        // What systemd needs to give each service a view of the system of its own.
        let mut words = vec!["run", "--detach", "--name", "machine", "--network", "host"];
        words.extend(["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"]);
        words.extend(["--security-opt", "apparmor=unconfined", "--tmpfs", "/run", "--tmpfs", "/tmp"]);
        words.extend(mounts.iter().flat_map(|mount| ["--volume", mount.as_str()]));
        words.push("acefleet/systemd:dev");
        self.host.docker().call(&words).await?;
        wait_for(&format!("systemd on {} to have booted", self.host.name()), BOOT, || async {
            let state = self.run(&["systemctl", "is-system-running", "--wait"]).await;
            let state = state.context("it does not run, or units have failed")?;
            ensure!(state == "running", "it is {state}");
            Ok(())
        })
        .await?;
        // The group that owns the socket is called `docker` everywhere, with any number.
        let line = format!("echo docker:x:{}: >> /etc/group", std::fs::metadata(socket)?.gid());
        self.run(&["sh", "-c", &line]).await.map(drop)
    }

    /// Appends to the node's environment file; the last line wins.
    pub fn set(&self, settings: &[(&str, &str)]) -> Result<()> {
        let path = self.installed.join(SETTINGS);
        let mut text = std::fs::read_to_string(&path)?;
        for (name, value) in settings {
            text.push_str(&format!("{name}={value}\n"));
        }
        Ok(std::fs::write(path, text)?)
    }

    /// Runs a program on the machine and returns its standard output, trimmed.
    pub async fn run(&self, command: &[&str]) -> Result<String> {
        let words: Vec<_> = ["exec", "machine"].into_iter().chain(command.iter().copied()).collect();
        self.host.docker().call(&words).await
    }

    /// `systemctl VERB acefleet`.
    pub async fn unit(&self, verb: &str) -> Result<()> {
        self.run(&["systemctl", verb, UNIT]).await.map(drop)
    }

    /// Sends a signal to the node itself, behind the back of systemd.
    pub async fn signal(&self, signal: &str) -> Result<()> {
        let main = self.state().await?.main_pid;
        ensure!(main > 1, "the node does not run");
        self.run(&["sh", "-c", &format!("kill -s {signal} {main}")]).await.map(drop)
    }

    /// What systemd says about the unit.
    pub async fn state(&self) -> Result<State> {
        // Without the list, what is empty is left out.
        let wanted = "--property=ActiveState,Result,StatusText,MainPID,NRestarts,ExecMainStatus";
        let shown = self.run(&["systemctl", "show", wanted, UNIT]).await?;
        let mut fields: BTreeMap<_, _> = shown.lines().filter_map(|line| line.split_once('=')).collect();
        let mut field = |name: &str| fields.remove(name).with_context(|| format!("systemd shows no {name}"));
        Ok(State {
            active: field("ActiveState")?.to_owned(),
            result: field("Result")?.to_owned(),
            status: field("StatusText")?.to_owned(),
            main_pid: field("MainPID")?.parse()?,
            restarts: field("NRestarts")?.parse()?,
            exit_code: field("ExecMainStatus")?.parse()?,
        })
    }

    /// The log of the unit.
    pub async fn log(&self) -> Result<String> {
        self.run(&["journalctl", "--no-pager", "--unit", UNIT]).await
    }

    /// The host that it is.
    pub fn host(&self) -> &'a Host {
        self.host
    }

    /// The node's API.
    pub fn client(&self) -> &NodeClient {
        &self.client
    }

    /// `Name: value` of the node's process, as in `/proc/<pid>/status`.
    pub async fn process(&self, name: &str) -> Result<String> {
        let status = self.run(&["cat", &format!("/proc/{}/status", self.state().await?.main_pid)]).await?;
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(value.with_context(|| format!("no {name} in {status}"))?.trim().to_owned())
    }
}

/// What systemd says about the unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// `active`, `failed`, `inactive`, …
    pub active: String,
    /// Why it is in its state: `success`, `exit-code`, `watchdog`, …
    pub result: String,
    /// What the node said last.
    pub status: String,
    /// 0 = none.
    pub main_pid: u32,
    /// Restarts by systemd itself.
    pub restarts: u32,
    /// Exit code of the last process.
    pub exit_code: i32,
}

fn install(into: &Path) -> Result<()> {
    let repository = std::fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))?;
    let script = repository.join("scripts/install.sh");
    let (binary, into) = (artifacts::acefleet(None)?, into.display().to_string());
    let (binary, into) = (format!("NODE_BIN={}", binary.display()), format!("DESTDIR={into}"));
    let words = [binary.as_str(), &into, "PREFIX=/usr/local", &script.to_string_lossy(), "install"];
    tools::run_for("env", &words, INSTALL).map(drop)
}
