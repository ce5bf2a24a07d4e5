//! One host: namespace, Docker, and commands run beside it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::docker::{Docker, DockerPlace};
use super::network;
use super::options::BedOptions;
use super::process::{Process, Recipe, enter};
use super::scan::Marks;
use super::state::BedNumber;

/// One host of a bed.
#[derive(Debug)]
pub struct Host {
    bed: BedNumber,
    name: String,
    namespace: String,
    address: Ipv4Addr,
    state: PathBuf,
    data: PathBuf,
    cgroup: String,
    docker: Docker,
}

impl Host {
    /// Makes namespace and cable of the host with this index (from 0) and prepares its Docker.
    pub(super) fn make(bed: BedNumber, index: u8, options: &BedOptions) -> Result<Self> {
        let name = format!("h{}", index + 1);
        let namespace = bed.namespace(&name);
        let address = bed.address(index);
        network::make_namespace(bed, &name, address)?;
        let (state, data) = (bed.state_dir().join(&name), bed.data_dir().join(&name));
        let cgroup = format!("{}/{name}", bed.cgroup());
        let docker = Docker::prepare(&DockerPlace {
            host: &name,
            namespace: &namespace,
            state: &state,
            data: &data,
            cgroup: &cgroup,
            live_restore: options.live_restore,
        })?;
        Ok(Self { bed, name, namespace, address, state, data, cgroup, docker })
    }

    /// Name of the host, `h1` and up.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Address on the bridge: reachable from the other hosts and from the test process.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Docker of this host.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Logs, sockets and records of this host.
    pub fn state_dir(&self) -> &Path {
        &self.state
    }

    /// Data of this host; on a real disk, gone with the bed.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// Name of the network namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A program that runs on this host, where `localhost` is the host's; to be started by the caller.
    pub fn process(&self, name: &str, command: Vec<std::ffi::OsString>) -> Process {
        Process::new(Recipe {
            name: format!("{name} on {}", self.name),
            namespace: Some(self.namespace.clone()),
            command,
            env: std::collections::BTreeMap::new(),
            dir: self.state.join(name),
            log: self.state.join(format!("{name}.log")),
        })
    }

    /// Runs a program on this host to its end, with a deadline, and returns its status and output.
    pub async fn run(
        &self,
        program: impl AsRef<std::ffi::OsStr>,
        args: &[&str],
        deadline: Duration,
    ) -> Result<Output> {
        let program = program.as_ref();
        let shown = || format!("{} {} on {}", program.display(), args.join(" "), self.name);
        let mut command = tokio::process::Command::from(enter(&self.namespace, program)?);
        command.args(args).kill_on_drop(true);
        timeout(deadline, command.output())
            .await
            .with_context(|| format!("`{}` did not end within {deadline:?}", shown()))?
            .with_context(shown)
    }

    /// `GET` from this host, as a program beside its node would do it (`localhost` is the host's): status and body.
    pub async fn get(&self, address: SocketAddr, path: &str, deadline: Duration) -> Result<(u16, String)> {
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
        let task = self.inside(move || {
            let mut stream = TcpStream::connect_timeout(&address, deadline)?;
            stream.set_read_timeout(Some(deadline))?;
            stream.set_write_timeout(Some(deadline))?;
            stream.write_all(request.as_bytes())?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        });
        let shown = || format!("GET http://{address}{path} from {}", self.name);
        let answer = timeout(deadline, task)
            .await
            .with_context(|| format!("{}: no answer within {deadline:?}", shown()))?;
        let answer = answer.with_context(shown)?;
        let (head, body) =
            answer.split_once("\r\n\r\n").with_context(|| format!("{}: {answer:?}", shown()))?;
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Ok((status.with_context(|| format!("{}: {head:?}", shown()))?, body.to_owned()))
    }

    /// Runs a short function on a thread of its own inside the namespace.
    async fn inside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let namespace = std::fs::File::open(Path::new("/run/netns").join(&self.namespace))?;
        let (send, receive) = oneshot::channel();
        // Never a thread of the runtime: whatever ran on it later would be inside as well.
        std::thread::spawn(move || {
            let entered = setns(namespace, CloneFlags::CLONE_NEWNET).context("cannot enter the namespace");
            // Nobody waits any more when the deadline has passed.
            let _ = send.send(entered.and_then(|()| work()));
        });
        receive.await.context("the thread inside the namespace died")?
    }

    /// A connection that was opened on this host: `localhost` is the host's. It stays there, wherever it is used.
    pub async fn connect(&self, address: SocketAddr, deadline: Duration) -> Result<tokio::net::TcpStream> {
        let opened = self.inside(move || {
            let stream = TcpStream::connect_timeout(&address, deadline)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        });
        let stream = opened.await.with_context(|| format!("cannot reach {address} from {}", self.name))?;
        Ok(tokio::net::TcpStream::from_std(stream)?)
    }

    /// A socket of a foreign process that holds this TCP port on the host, on all its addresses, until it is dropped.
    pub async fn occupy(&self, port: u16) -> Result<TcpListener> {
        // A socket belongs for good to the namespace in which it was made; the thread that entered it ends.
        let bound = self.inside(move || Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?)).await;
        bound.with_context(|| format!("cannot occupy port {port} on {}", self.name))
    }

    /// Receives nothing from `peer` any more, while `peer` still receives from here.
    pub fn deafen_to(&self, peer: &Host) -> Result<()> {
        network::drop_from(self.bed, &self.name, peer.address)
    }

    /// Neither of the two receives anything from the other any more; everything else goes on.
    pub fn cut_from(&self, peer: &Host) -> Result<()> {
        self.deafen_to(peer)?;
        peer.deafen_to(self)
    }

    /// Pulls the cable: nobody reaches this host, not even the test process.
    pub fn unplug(&self) -> Result<()> {
        network::set_cable(self.bed, &self.name, false)
    }

    /// Undoes all cuts *at* this host and plugs the cable in. A cut between two hosts is healed at both.
    pub fn heal(&self) -> Result<()> {
        network::heal(self.bed, &self.name)
    }

    /// Packets that the cuts at this host have swallowed so far.
    pub fn dropped(&self) -> Result<u64> {
        network::dropped(self.bed, &self.name)
    }

    /// What marks processes of this host, its containers included.
    pub(super) fn marks(&self) -> Marks {
        let mut marks = Marks {
            dirs: vec![self.state.clone(), self.data.clone()],
            cgroup: self.cgroup.clone(),
            ..Marks::default()
        };
        marks.add_namespace(&self.namespace);
        marks
    }
}
