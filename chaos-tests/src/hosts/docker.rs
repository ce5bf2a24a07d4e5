//! `containerd` and `dockerd` of one host, and the `docker` client for it.
//!
//! Each host has its own `containerd`, because a `dockerd` that finds the machine's one would use that, and two of them would
//! then see each other's containers.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;
use tokio::time::timeout;

use super::process::{Process, Recipe};
use super::tools;
use crate::wait::wait_for;

/// From the start of the processes to the first answer of the API.
const START: Duration = Duration::from_secs(60);
/// One call of the `docker` client.
const CALL: Duration = Duration::from_secs(60);

/// Storage drivers in the order in which they are tried; `vfs` works everywhere, for a price in disk space.
const DRIVERS: [&str; 2] = ["overlay2", "vfs"];

/// Docker of one host.
#[derive(Debug)]
pub struct Docker {
    containerd: Process,
    dockerd: Process,
    socket: PathBuf,
}

/// Where a host's Docker lives.
#[derive(Debug)]
pub struct DockerPlace<'a> {
    /// Name of the host, for messages.
    pub host: &'a str,
    /// Network namespace of the host.
    pub namespace: &'a str,
    /// Sockets, logs and records of the host.
    pub state: &'a Path,
    /// Images, containers and volumes.
    pub data: &'a Path,
    /// Control group under which the containers run, as `/name`.
    pub cgroup: &'a str,
    /// Whether containers survive the end of `dockerd`.
    pub live_restore: bool,
}

impl Docker {
    /// Writes the configuration; starts nothing.
    pub fn prepare(place: &DockerPlace<'_>) -> Result<Self> {
        let (state, data) = (place.state, place.data);
        std::fs::create_dir_all(state).with_context(|| format!("cannot create {}", state.display()))?;
        std::fs::create_dir_all(data).with_context(|| format!("cannot create {}", data.display()))?;
        let containerd_socket = state.join("containerd.sock");
        let configuration = format!(
            "version = 2\nroot = {root:?}\nstate = {state:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = {socket:?}\n[plugins.\"io.containerd.internal.v1.opt\"]\npath = {opt:?}\n",
            root = data.join("containerd"),
            state = state.join("containerd"),
            socket = containerd_socket,
            opt = data.join("containerd-opt"),
        );
        std::fs::write(state.join("containerd.toml"), configuration)?;
        // An empty configuration, so that the machine's own `/etc/docker/daemon.json` has no say.
        std::fs::write(state.join("daemon.json"), "{}\n")?;
        let recipe = |name: &str, command: Vec<OsString>| Recipe {
            name: format!("{name} of {}", place.host),
            namespace: Some(place.namespace.to_owned()),
            command,
            env: BTreeMap::new(),
            dir: state.to_path_buf(),
            log: state.join(format!("{name}.log")),
        };
        let containerd = recipe(
            "containerd",
            vec![program("containerd")?, "--config".into(), state.join("containerd.toml").into()],
        );
        let socket = state.join("docker.sock");
        let mut words = vec![program("dockerd")?];
        for (option, value) in [
            ("--config-file", state.join("daemon.json").into_os_string()),
            ("--containerd", containerd_socket.into_os_string()),
            ("--data-root", data.join("docker").into_os_string()),
            ("--exec-root", state.join("exec").into_os_string()),
            ("--pidfile", state.join("docker.pid").into_os_string()),
            ("--host", format!("unix://{}", socket.display()).into()),
            ("--exec-opt", "native.cgroupdriver=cgroupfs".into()),
            ("--cgroup-parent", place.cgroup.into()),
            ("--storage-driver", DRIVERS[0].into()),
        ] {
            words.push(option.into());
            words.push(value);
        }
        if place.live_restore {
            words.push("--live-restore".into());
        }
        let dockerd = recipe("dockerd", words);
        Ok(Self { containerd: Process::new(containerd), dockerd: Process::new(dockerd), socket })
    }

    /// Starts both processes and waits until the API answers; a storage driver that does not work here is replaced by the next.
    pub async fn start(&self) -> Result<()> {
        for driver in DRIVERS {
            self.dockerd.change(|recipe| {
                if let Some(last) = recipe.command.iter().position(|word| word == "--storage-driver") {
                    recipe.command[last + 1] = driver.into();
                }
            });
            match self.start_once().await {
                Ok(()) => return Ok(()),
                Err(error)
                    if driver != DRIVERS[DRIVERS.len() - 1]
                        && self.dockerd.log().is_ok_and(|log| log.contains("driver not supported")) =>
                {
                    tracing::warn!(driver, "storage driver does not work here, trying the next: {error:#}");
                }
                Err(error) => return Err(error),
            }
        }
        bail!("no storage driver of {DRIVERS:?} works on this machine")
    }

    async fn start_once(&self) -> Result<()> {
        if self.containerd.pid().is_none() {
            self.containerd.start()?;
        }
        self.dockerd.start()?;
        self.wait_ready().await
    }

    /// Waits until the API answers; fails at once when a process ends.
    pub async fn wait_ready(&self) -> Result<()> {
        let ended = |process: &Process| process.expect_running().err();
        let outcome = wait_for(&format!("the API of {}", self.dockerd.name()), START, || async {
            if let Some(error) = ended(&self.dockerd).or_else(|| ended(&self.containerd)) {
                return Ok(Err(error));
            }
            self.call(&["version", "--format", "{{.Server.Version}}"]).await.map(Ok)
        })
        .await;
        outcome
            .with_context(|| {
                format!("end of {}:\n{}", self.dockerd.log_path().display(), self.dockerd.log_tail())
            })?
            .map(drop)
    }

    /// Runs the `docker` client against this host and returns its standard output, trimmed.
    pub async fn call(&self, args: &[&str]) -> Result<String> {
        let docker = program("docker")?;
        let mut command = Command::new(docker);
        command
            .env_remove("DOCKER_HOST")
            .env_remove("DOCKER_CONTEXT")
            .arg("--host")
            .arg(self.url())
            .args(args)
            .kill_on_drop(true);
        let shown = || format!("docker {} on {}", args.join(" "), self.dockerd.name());
        let output = timeout(CALL, command.output())
            .await
            .with_context(|| format!("`{}` did not end within {CALL:?}", shown()))?
            .with_context(shown)?;
        ensure!(
            output.status.success(),
            "`{}` failed ({}): {}",
            shown(),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Loads an image from a tar, as a registry cannot be reached from the bed.
    pub async fn load(&self, tar: &Path) -> Result<()> {
        self.call(&["load", "--quiet", "--input", &tar.to_string_lossy()]).await.map(drop)
    }

    /// Ids of all containers with this label (`name` or `name=value`), running or not.
    pub async fn containers(&self, label: &str) -> Result<Vec<String>> {
        let filter = format!("label={label}");
        let list = self.call(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]).await?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    /// Ids of all running containers.
    pub async fn running(&self) -> Result<Vec<String>> {
        let list = self.call(&["ps", "--quiet", "--no-trunc"]).await?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    /// Address of the API as `DOCKER_HOST` wants it.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The `dockerd` process: to stop, kill, pause and resume it. Start it again with [`Docker::start`].
    pub fn daemon(&self) -> &Process {
        &self.dockerd
    }

    /// Takes away both processes without any check.
    pub(super) fn discard(&self) {
        self.dockerd.discard();
        self.containerd.discard();
    }
}

fn program(name: &str) -> Result<OsString> {
    tools::find(name).map(PathBuf::into_os_string).with_context(|| format!("`{name}` is not installed"))
}
