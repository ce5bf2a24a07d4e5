//! Inspects one VPN container periodically, writes changes into the registry, and restarts it when its outage lasts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::address::join;
use acefleet_registry::vpn::{PublicAddress, VpnHealth, VpnInfo, VpnStatus};
use acefleet_registry::{Command, Reply};
use futures::future::join_all;
use tokio::sync::watch;

use crate::agent::context::Context;
use crate::agent::runtime::{RuntimeError, VpnView};
use crate::agent::vpn::control::{Control, ControlAnswer};
use crate::agent::vpn::network::Network;
use crate::agent::vpn::verdict::{Look, Tunnel, Verdict};
use crate::config::VpnConfig;
use crate::peers::VpnSoft;

/// Pause while the last result contradicts the verdict.
const SOON: Duration = Duration::from_millis(500);
/// Between two questions for the public address.
const ADDRESS_EVERY: Duration = Duration::from_secs(60);
/// Between two questions for the port to a control server that did not tell it: one that hangs takes its time.
const UNAVAILABLE_EVERY: Duration = Duration::from_secs(10);
/// For so long there may be no port between two connections.
const NO_PORT_FOR: Duration = Duration::from_secs(5);
/// Pause after a refused announcement.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

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

struct Monitor {
    ctx: Arc<Context>,
    config: VpnConfig,
    vpn: VpnInfo,
    control: Control,
    verdict: Verdict,
    port: Option<u16>,
    no_port_since: Option<Instant>,
    asked_address: Option<Instant>,
    public: Option<PublicAddress>,
    asked: Option<Instant>,
    complaint: Option<String>,
    unhealthy_since: Option<Instant>,
    restarted: bool,
    tell: watch::Sender<Option<VpnStatus>>,
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
            control: Control::new(client, config.auth.clone()),
            config,
            vpn,
            verdict: Verdict::new(known.health, &known.reason),
            port: known.forwarded_port,
            no_port_since: None,
            asked_address: None,
            public: known.public,
            asked: None,
            complaint: None,
            unhealthy_since: None,
            restarted: false,
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
            forwarded_port: self.port,
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
        if let Ok(view) = &seen
            && look == Look::Running(Tunnel::Up)
            && let Some(word) = self.control.down(&self.bases(view)).await
        {
            look = Look::Running(Tunnel::Said(word));
        }
        let before = self.verdict.health();
        if let Ok(view) = &seen {
            self.lend(view);
            if look == Look::Running(Tunnel::Up) {
                self.ask(view, before != VpnHealth::Healthy).await;
            }
        } else if look == Look::Missing {
            self.lend_nothing();
        }
        let awaits_port = seen.as_ref().is_ok_and(|view| view.forwards_port) && self.port.is_none();
        self.verdict.note(&look, awaits_port, Instant::now());
        self.report(&seen);
        self.found();
        self.heal(&look).await;
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
            self.check_ports(view);
            self.check_neighbours();
            (self.asked, self.asked_address) = (None, None);
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

    /// Warns of engine ports that are not published; such engines are unreachable without another sign.
    fn check_ports(&self, view: &VpnView) {
        let range = self.vpn.ports;
        let missing =
            (range.first..=range.last).filter(|port| view.published.get(port) != Some(port)).count();
        if missing > 0 {
            tracing::warn!(
                vpn = self.vpn.container,
                missing,
                first = range.first,
                last = range.last,
                "the VPN container does not publish all ports of its engines under the same number; publish the \
                 range on it or set GLUETUN_PORT_RANGE_1"
            );
        }
    }

    /// Warns of ports that two hosts publish: `localhost` of one host does not reach the engines of the other.
    fn check_neighbours(&self) {
        let view = self.ctx.cluster.view();
        let range = self.vpn.ports;
        let meets = |other: &VpnInfo| other.ports.first <= range.last && range.first <= other.ports.last;
        let others = view.state.vpns().filter(|(node, other, _)| *node != self.ctx.node && meets(other));
        for (node, other, _) in others {
            let name = view.state.node(node).map_or("", |node| node.info.name.as_str());
            tracing::warn!(
                vpn = self.vpn.container,
                node = name,
                other = other.container,
                first = range.first,
                last = range.last,
                "the VPN of another node publishes some of these ports, too, so localhost does not reach engines \
                 there and the two share the ports; give each node a GLUETUN_PORT_RANGE_1 of its own"
            );
        }
    }

    /// Asks the control server, when it is time or when the tunnel comes up.
    async fn ask(&mut self, view: &VpnView, comes_up: bool) {
        let period = match self.complaint {
            None => self.config.port_interval,
            Some(_) => self.config.port_interval.max(UNAVAILABLE_EVERY),
        };
        let due = self.asked.is_none_or(|asked| asked.elapsed() >= period);
        if !due && !comes_up {
            return;
        }
        self.asked = Some(Instant::now());
        let bases = self.bases(view);
        let mut complaint = None;
        match self.control.port(&bases).await {
            ControlAnswer::Value(port) => {
                self.no_port_since = None;
                self.port = Some(port);
            }
            ControlAnswer::None => {
                let since = *self.no_port_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= NO_PORT_FOR {
                    self.port = None;
                }
            }
            ControlAnswer::Unavailable(why) => complaint = Some(why),
        }
        let is_known = self.asked_address.is_some_and(|asked| asked.elapsed() < ADDRESS_EVERY);
        if complaint.is_none() && (comes_up || !is_known) {
            match self.control.address(&bases).await {
                ControlAnswer::Value(public) => {
                    self.public = Some(public);
                    self.asked_address = Some(Instant::now());
                }
                ControlAnswer::None => self.asked_address = Some(Instant::now()),
                ControlAnswer::Unavailable(why) => complaint = Some(why),
            }
        }
        // One warning per outage, which may last for days.
        if complaint.is_some() && self.complaint.is_none() {
            let why = complaint.as_deref().unwrap_or_default();
            tracing::warn!(
                vpn = self.vpn.container,
                why,
                "Gluetun's control server is unavailable; using the last known values"
            );
        }
        self.complaint = complaint;
    }

    /// Possible addresses of the control server: the container's own, and its published port.
    fn bases(&self, view: &VpnView) -> Vec<String> {
        let port = self.config.api_port;
        let inside = view.addresses.iter().map(|address| format!("http://{}", join(address, port)));
        let outside =
            view.published.get(&port).map(|port| format!("http://{}:{port}", self.ctx.addresses.host()));
        inside.chain(outside).collect()
    }

    fn report(&self, seen: &Result<VpnView, RuntimeError>) {
        let (status, health, provider) = match seen {
            Ok(view) => (view.status.clone(), view.health.clone(), view.provider.clone()),
            Err(RuntimeError::NotFound) => ("not_found".to_owned(), None, None),
            Err(_) => ("error".to_owned(), None, None),
        };
        let error = match seen {
            Err(RuntimeError::NotFound) | Ok(_) => self.complaint.clone(),
            Err(error) => Some(error.to_string()),
        };
        let soft =
            VpnSoft { status, health, provider, error, last_check_ms: Some(self.ctx.cluster.wall_now()) };
        self.ctx.report.vpn(&self.vpn.container, soft);
    }

    /// Restarts a running container whose outage lasts, once. A stopped container was stopped on purpose.
    async fn heal(&mut self, look: &Look) {
        if self.verdict.health() != VpnHealth::Unhealthy {
            (self.unhealthy_since, self.restarted) = (None, false);
            return;
        }
        let since = *self.unhealthy_since.get_or_insert_with(Instant::now);
        let Some(limit) = self.config.restart_after else { return };
        if self.restarted
            || since.elapsed() < limit
            || !matches!(look, Look::Running(Tunnel::Down | Tunnel::Said(_)))
        {
            return;
        }
        self.restarted = true;
        tracing::warn!(
            vpn = self.vpn.container,
            after_s = limit.as_secs(),
            "the VPN stays down; restarting its container"
        );
        if let Err(error) = self.ctx.runtime.restart(&self.vpn.container).await {
            self.ctx.failed(&error);
            tracing::warn!(vpn = self.vpn.container, %error, "the VPN container could not be restarted");
        }
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

/// Writes the findings of the monitor into the registry when they differ from it.
async fn announce(ctx: Arc<Context>, container: String, mut found: watch::Receiver<Option<VpnStatus>>) {
    let mut changes = ctx.cluster.changes();
    loop {
        let seen = found.borrow_and_update().clone();
        changes.borrow_and_update();
        let view = ctx.cluster.view();
        let known = view.state.vpn(ctx.node, &container).map(|vpn| vpn.status.clone());
        // Before the first result there is nothing to write.
        let news = seen.filter(|seen| *seen != known.clone().unwrap_or_default());
        if let Some(status) = news {
            match ctx
                .writer
                .settle(Command::VpnChanged { node: ctx.node, container: container.clone(), status })
                .await
            {
                None => return,
                // This node has not registered with its VPN yet.
                Some(Reply::Refused(_)) => tokio::time::sleep(LOOK_AGAIN).await,
                Some(_) => {}
            }
            continue;
        }
        tokio::select! {
            gone = found.changed() => if gone.is_err() { return },
            gone = changes.changed() => if gone.is_err() { return },
        }
    }
}
