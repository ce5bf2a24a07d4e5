//! Docker Compose, version 1 or 2, on the Docker of a test host.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use acefleet_chaos::hosts::artifacts::{self, ENGINE_IMAGE};
use acefleet_chaos::hosts::node::CLUSTER_SECRET;
use acefleet_chaos::hosts::process::ending;
use acefleet_chaos::hosts::{Host, tools};
use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::time::timeout;

/// Key of the nodes.
pub const KEY: &str = "a-key-for-tests-of-compose-files";
/// One command; containers get half a minute to stop.
const COMMAND: Duration = Duration::from_secs(180);

/// Loads images that `scripts/images.sh` makes into the Docker of a host.
pub async fn load_images(host: &Host, names: &[&str]) -> Result<()> {
    for name in names {
        host.docker().load(&artifacts::image(name).await?).await?;
    }
    Ok(())
}

/// One compose file on one host, with the images made here.
#[derive(Clone)]
pub struct Compose<'a> {
    host: &'a Host,
    files: Vec<PathBuf>,
    settings: PathBuf,
    directory: PathBuf,
    env: BTreeMap<String, String>,
}

impl<'a> Compose<'a> {
    /// The file of the repository, with a few services changed (YAML below `services:`).
    pub fn new(host: &'a Host, file: &str, changed: &str) -> Result<Self> {
        let repository = std::fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))?;
        let mut files = vec![repository.join(file)];
        if !changed.is_empty() {
            let extra = host.state_dir().join("compose.override.yml");
            std::fs::write(&extra, format!("services:\n{changed}"))?;
            files.push(extra);
        }
        // Instead of the .env that may lie in the repository.
        let settings = host.state_dir().join("compose.env");
        std::fs::write(&settings, "")?;
        let socket = host.docker().url();
        let socket = socket.strip_prefix("unix://").context("Docker of a test host is not on a socket")?;
        let mut env = BTreeMap::new();
        let mut set = |name: &str, value: &str| env.insert(name.to_owned(), value.to_owned());
        set("DOCKER_HOST", &host.docker().url());
        set("DOCKER_SOCKET", socket);
        set("DOCKER_GID", &std::fs::metadata(socket)?.gid().to_string());
        set("API_KEY", KEY);
        set("ACEFLEET_CLUSTER_SECRET", CLUSTER_SECRET);
        set("ACEFLEET_IMAGE", "acefleet/acefleet:dev");
        set("ACEXY_IMAGE", "acefleet/acexy-sim:dev");
        set("HAPROXY_IMAGE", "acefleet/haproxy:dev");
        set("TARGET_IMAGE", ENGINE_IMAGE);
        let directory = files[0].parent().context("a file has a directory")?.to_path_buf();
        Ok(Self { host, files, settings, directory, env })
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Takes a variable away.
    pub fn without(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    /// Runs a command of Compose and returns its standard output, trimmed.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        let shown = || format!("docker-compose {} on {}", arguments.join(" "), self.host.name());
        let mut command = program().await?;
        // Settings of whoever runs the tests must not reach what is tested.
        command
            .env_clear()
            .envs(["PATH", "HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(&self.env).args(["--project-name", "acefleet", "--env-file"]).arg(&self.settings);
        command.arg("--project-directory").arg(&self.directory);
        for file in &self.files {
            command.arg("--file").arg(file);
        }
        command.args(arguments).kill_on_drop(true);
        let output = timeout(COMMAND, command.output())
            .await
            .with_context(|| format!("`{}` did not end within {COMMAND:?}", shown()))?
            .with_context(shown)?;
        let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "`{}` failed ({}): {error}{out}", shown(), output.status);
        Ok(out.trim().to_owned())
    }

    /// Id of the container of a service, running or not.
    pub async fn container(&self, service: &str) -> Result<String> {
        let label = format!("label=com.docker.compose.service={service}");
        let ids =
            self.host.docker().call(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &label]).await?;
        ensure!(!ids.is_empty() && !ids.contains('\n'), "containers of {service}: {ids:?}");
        Ok(ids)
    }

    /// The last that a service has written, for error messages.
    pub async fn log_end(&self, service: &str) -> Result<String> {
        let log = self.run(&["logs", "--no-color", "--tail=20", service]).await?;
        Ok(ending(&log))
    }
}

/// `TEST_COMPOSE` names a program, of version 1 or 2. Otherwise version 1 is a program of its own, and of version 2 a plug-in
/// of the client is tried if there is no such program.
async fn program() -> Result<Command> {
    if let Some(path) = std::env::var_os("TEST_COMPOSE").map(PathBuf::from) {
        ensure!(path.is_file(), "{} is not a file (see TEST_COMPOSE)", path.display());
        return Ok(Command::new(path));
    }
    if let Some(path) = tools::find("docker-compose") {
        return Ok(Command::new(path));
    }
    let docker = tools::find("docker").context("`docker` is not installed")?;
    let plugin = Command::new(&docker).args(["compose", "version"]).output().await?;
    ensure!(plugin.status.success(), "Docker Compose is not installed (Debian package docker-compose)");
    let mut command = Command::new(docker);
    command.arg("compose");
    Ok(command)
}
