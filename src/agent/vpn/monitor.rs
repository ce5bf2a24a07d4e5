//! Inspects one VPN container periodically, and tells what it finds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::vpn::{PublicAddress, VpnHealth, VpnInfo, VpnStatus};
use futures::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::agent::context::Context;
use crate::agent::runtime::{RuntimeError, VpnView};
use crate::agent::vpn::announce::announce;
use crate::agent::vpn::asking::Asking;
use crate::agent::vpn::control::Control;
use crate::agent::vpn::known_port::KnownPort;
use crate::agent::vpn::network::Network;
use crate::agent::vpn::opinion::SecondOpinion;
use crate::agent::vpn::ports;
use crate::agent::vpn::restarts::Restarts;
use crate::agent::vpn::tidings::Tidings;
use crate::agent::vpn::verdict::{Look, Tunnel, Verdict, Witness};
use crate::agent::vpn::words::Inquiry;
use crate::config::VpnConfig;
use crate::peers::VpnSoft;

/// Pause while the last result contradicts the verdict.
const SOON: Duration = Duration::from_millis(500);

/// Watches the VPN containers of this host for ever.
pub(crate) async fn run(ctx: Arc<Context>, client: reqwest::Client) {
    let Some(config) = ctx.config.vpn.clone() else { return std::future::pending().await };
    // Verdicts start with the health in the registry.
    ctx.cluster.recovered().await;
    let watches = config.containers.iter().map(|vpn| {
        let (ctx, config, client) = (Arc::clone(&ctx), config.clone(), client.clone());
        async move {
            let known =
                ctx.cluster.view().state.vpn(ctx.node, &vpn.container).map(|known| known.status.clone());
            let (tell, found) = watch::channel(None);
            let monitor =
                Monitor::new(Arc::clone(&ctx), config, vpn.clone(), client, known.unwrap_or_default(), tell);
            tokio::join!(monitor.watch(), announce(ctx, vpn.container.clone(), found));
        }
    });
    join_all(watches).await;
}

pub(super) struct Monitor {
    pub(super) ctx: Arc<Context>,
    pub(super) config: VpnConfig,
    pub(super) vpn: VpnInfo,
    pub(super) control: Control,
    pub(super) asking: Asking,
    pub(super) client: reqwest::Client,
    pub(super) verdict: Verdict,
    pub(super) opinion: SecondOpinion,
    pub(super) inquiry: Inquiry,
    /// For whose word the VPN counts as healthy.
    pub(super) witness: Option<Witness>,
    /// The run of the container that was seen last.
    pub(super) instance: Option<String>,
    pub(super) port: KnownPort,
    pub(super) asked_address: Option<Instant>,
    pub(super) public: Option<PublicAddress>,
    /// When this run was last asked for its address as a proof of its tunnel, and whether it told one.
    pub(super) proof: Option<(Instant, bool)>,
    pub(super) asked: Option<Instant>,
    pub(super) complaint: Option<String>,
    /// The run of the container that was healthy last.
    pub(super) healthy_instance: Option<String>,
    /// This run has waited for its port in vain.
    pub(super) port_is_overdue: bool,
    pub(super) restarts: Restarts,
    pub(super) restarting: Option<JoinHandle<()>>,
    pub(super) tidings: Tidings,
    pub(super) tell: watch::Sender<Option<VpnStatus>>,
}

impl Monitor {
    fn new(
        ctx: Arc<Context>,
        config: VpnConfig,
        vpn: VpnInfo,
        client: reqwest::Client,
        known: VpnStatus,
        tell: watch::Sender<Option<VpnStatus>>,
    ) -> Self {
        Self {
            ctx,
            control: Control::new(client.clone(), config.auth.clone()),
            asking: Asking::new(Control::new(client.clone(), config.auth.clone())),
            client,
            config,
            vpn,
            verdict: Verdict::new(known.health, &known.reason),
            opinion: SecondOpinion::default(),
            inquiry: Inquiry::default(),
            witness: None,
            instance: None,
            port: KnownPort::new(known.forwarded_port),
            asked_address: None,
            public: known.public,
            proof: None,
            asked: None,
            complaint: None,
            healthy_instance: None,
            port_is_overdue: false,
            restarts: Restarts::default(),
            restarting: None,
            tidings: Tidings::default(),
            tell,
        }
    }

    async fn watch(mut self) {
        loop {
            self.look().await;
            let pause =
                if self.verdict.is_settled() { self.config.interval } else { self.config.interval.min(SOON) };
            tokio::time::sleep(pause).await;
        }
    }

    /// Tells what holds now.
    fn found(&self) {
        let status = VpnStatus {
            health: self.verdict.health(),
            reason: self.verdict.reason().to_owned(),
            forwarded_port: self.port.get(),
            public: self.public.clone(),
        };
        self.tell.send_replace(Some(status));
    }

    async fn look(&mut self) {
        let name = self.vpn.container.clone();
        let seen = self.ctx.runtime.vpn(&name).await;
        if let Err(error) = &seen {
            self.ctx.failed(error);
        }
        let mut look = look_of(&seen);
        let instance = seen.as_ref().ok().map(VpnView::instance);
        if look == Look::Running(Tunnel::Starting) && instance.is_some() && instance == self.healthy_instance
        {
            look = Look::Running(Tunnel::Unchecked);
        }
        if let Ok(view) = &seen {
            // Engines of an earlier run are seen before anybody is asked, which takes its time.
            self.lend(view);
            look = self.question(view, look).await;
        } else if look == Look::Missing {
            self.lend_nothing();
        }
        match &seen {
            Ok(view) if look.is_up() => self.ask(view, self.verdict.health() != VpnHealth::Healthy).await,
            _ => {
                self.asking.forget();
                self.port.interrupted();
            }
        }
        let forwards = seen.as_ref().is_ok_and(|view| view.forwards_port) && self.port.get().is_none();
        // A server that does not answer tells no port later either, and engines that run have waited once.
        let may_come = self.complaint.is_none() && self.port.useless().is_none();
        let awaits_port = forwards && may_come && !self.port_is_overdue;
        self.verdict.note(&look, awaits_port, Instant::now());
        self.say_change();
        if self.verdict.health() == VpnHealth::Healthy {
            self.port_is_overdue = forwards;
            self.healthy_instance = instance;
        }
        self.report(&seen);
        self.found();
        self.heal(&look);
    }

    fn say_change(&mut self) {
        // What is known from before this node was started may not hold any more.
        if !self.verdict.is_settled() {
            return;
        }
        let Some(changes) = self.tidings.due(self.verdict.health(), Instant::now()) else { return };
        let (vpn, reason) = (&self.vpn.container, self.verdict.reason());
        match self.verdict.health() {
            VpnHealth::Unhealthy => tracing::warn!(vpn, reason, changes, "the VPN is down"),
            VpnHealth::Healthy => tracing::info!(vpn, changes, "the VPN is up"),
            VpnHealth::Unknown => {}
        }
    }

    /// Lets engines join the network of the container that runs now.
    fn lend(&mut self, view: &VpnView) {
        let network = view.running.then(|| Network {
            container_id: view.id.clone(),
            instance: view.instance(),
            addresses: view.addresses.clone(),
        });
        let fresh = network.is_some();
        if self.ctx.networks.put(&self.vpn.container, network) && fresh {
            tracing::info!(vpn = self.vpn.container, instance = view.instance(), "the VPN container runs");
            ports::check_published(&self.vpn, view);
            ports::check_neighbours(&self.ctx, &self.vpn);
            (self.asked, self.asked_address, self.proof) = (None, None, None);
            self.asking.forget();
            let instance = view.instance();
            // A tunnel of its own, of which only the container that runs now can tell the port.
            if self.instance.as_ref().is_some_and(|before| *before != instance) {
                (self.port, self.public) = (KnownPort::default(), None);
                (self.port_is_overdue, self.opinion) = (false, SecondOpinion::default());
            }
            // Nor does anything hold that the server of an earlier run has said.
            self.inquiry = Inquiry::default();
            // It has been restarted, whether Docker says so or not.
            if let Some(restarting) = self.restarting.take() {
                restarting.abort();
            }
            self.instance = Some(instance);
            // Engines of an earlier run are in a dead network.
            self.ctx.relist.notify_one();
        }
        if !fresh {
            self.asked = None;
        }
    }

    fn lend_nothing(&mut self) {
        self.ctx.networks.put(&self.vpn.container, None);
        self.asked = None;
    }

    fn report(&self, seen: &Result<VpnView, RuntimeError>) {
        let (status, health, provider) = match seen {
            Ok(view) => (view.status.clone(), view.health.clone(), view.provider.clone()),
            Err(RuntimeError::NotFound) => ("not_found".to_owned(), None, None),
            Err(_) => ("error".to_owned(), None, None),
        };
        let complaints = [self.complaint.as_deref(), self.inquiry.complaint(), self.port.useless()];
        let complaints: Vec<&str> = complaints.into_iter().flatten().collect();
        let error = match seen {
            Err(RuntimeError::NotFound) | Ok(_) => (!complaints.is_empty()).then(|| complaints.join("; ")),
            Err(error) => Some(error.to_string()),
        };
        let overruled = self.witness.as_ref().map(|witness| {
            let why = match witness {
                Witness::Engine(engine) => format!("the engine {engine} is connected"),
                Witness::Gluetun => {
                    "Gluetun says that it is up, and no engine is there that could be asked".to_owned()
                }
            };
            format!("Docker's health check says that the tunnel is down, but {why}")
        });
        let last_check_ms = Some(self.ctx.cluster.wall_now());
        let soft = VpnSoft { status, health, provider, error, overruled, last_check_ms };
        self.ctx.report.vpn(&self.vpn.container, soft);
    }
}

fn look_of(seen: &Result<VpnView, RuntimeError>) -> Look {
    match seen {
        Ok(view) if !view.running => Look::Stopped(view.status.clone()),
        Ok(view) => Look::Running(match view.health.as_deref() {
            None | Some("healthy") => Tunnel::Up,
            Some("unhealthy") => Tunnel::Down,
            Some(_) => Tunnel::Starting,
        }),
        Err(RuntimeError::NotFound) => Look::Missing,
        Err(_) => Look::Failed,
    }
}
