//! Inspects one VPN container periodically, and tells what it finds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::address::join;
use acefleet_registry::vpn::{PublicAddress, VpnHealth, VpnInfo, VpnStatus};
use futures::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::agent::context::Context;
use crate::agent::own_lack::OwnLack;
use crate::agent::runtime::{RuntimeError, VpnView};
use crate::agent::vpn::announce::announce;
use crate::agent::vpn::asking::{Asking, Told};
use crate::agent::vpn::control::{Control, ControlAnswer};
use crate::agent::vpn::known_port::KnownPort;
use crate::agent::vpn::network::Network;
use crate::agent::vpn::opinion::SecondOpinion;
use crate::agent::vpn::restarts::Restarts;
use crate::agent::vpn::tidings::Tidings;
use crate::agent::vpn::verdict::{Look, Tunnel, Verdict, Witness};
use crate::agent::vpn::words::{Answer, Inquiry, Word};
use crate::agent::vpn::{engines, ports};
use crate::config::VpnConfig;
use crate::peers::VpnSoft;

/// Pause while the last result contradicts the verdict.
const SOON: Duration = Duration::from_millis(500);
/// Between two questions for the public address.
const ADDRESS_EVERY: Duration = Duration::from_secs(60);
/// The same while it decides whether Gluetun is believed.
const PROOF_EVERY: Duration = Duration::from_secs(10);
/// Between two questions for the port to a control server that did not tell it: one that hangs takes its time.
const UNAVAILABLE_EVERY: Duration = Duration::from_secs(10);
/// An inspection waits so long for the port and the address: any server that works has answered.
const ANSWERS_WITHIN: Duration = Duration::from_millis(250);

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
    control: Control,
    asking: Asking,
    client: reqwest::Client,
    pub(super) verdict: Verdict,
    opinion: SecondOpinion,
    pub(super) inquiry: Inquiry,
    /// For whose word the VPN counts as healthy.
    witness: Option<Witness>,
    /// The run of the container that was seen last.
    instance: Option<String>,
    port: KnownPort,
    asked_address: Option<Instant>,
    public: Option<PublicAddress>,
    /// When this run was last asked for its address as a proof of its tunnel, and whether it told one.
    proof: Option<(Instant, bool)>,
    asked: Option<Instant>,
    complaint: Option<String>,
    /// The run of the container that was healthy last.
    healthy_instance: Option<String>,
    /// This run has waited for its port in vain.
    port_is_overdue: bool,
    pub(super) restarts: Restarts,
    pub(super) restarting: Option<JoinHandle<()>>,
    tidings: Tidings,
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

    /// What Docker says of a tunnel, corrected by those that know it better: Gluetun itself, then the engines behind it.
    async fn question(&mut self, view: &VpnView, look: Look) -> Look {
        let now = Instant::now();
        let bases = self.bases(view);
        let is_due = self.opinion.is_due(&look, now);
        let has_failed_for = self.opinion.fails_for(now).unwrap_or_default();
        let asked = async {
            match is_due {
                true => engines::ask(&self.ctx, &self.client, &self.vpn.container, has_failed_for).await,
                false => None,
            }
        };
        let can_tell = matches!(look, Look::Running(Tunnel::Up | Tunnel::Down | Tunnel::Unchecked));
        let is_asked = can_tell && self.inquiry.is_due(now);
        let said = async {
            match is_asked {
                true => self.control.word(&bases).await,
                false => Answer::None,
            }
        };
        let (answers, said) = tokio::join!(asked, said);
        if let Some(answers) = answers {
            self.opinion.note(answers, now);
        }
        let told = if is_asked { self.inquiry.note(&said, Instant::now()) } else { None };
        if let Some(why) = told {
            tracing::warn!(
                vpn = self.vpn.container,
                why,
                "Gluetun does not tell whether its tunnel is up; its outages are seen later"
            );
        }
        let runs = said == Answer::Word(Word::Running);
        let look = match said {
            Answer::Word(word) if !runs => Look::Running(Tunnel::Said(word)),
            _ => look,
        };
        let may_decide = look == Look::Running(Tunnel::Down) && self.opinion.is_without_engines();
        let gluetun_is_sure = may_decide && runs && self.has_address(&bases).await;
        let fails_for = self.opinion.fails_for(now).filter(|_| look == Look::Running(Tunnel::Down));
        let plays = fails_for.and_then(|fails_for| {
            engines::that_plays(&self.ctx, &self.vpn.container, fails_for.min(engines::PLAYS_WITHIN))
        });
        let look = self.opinion.weigh(look, plays, gluetun_is_sure, now);
        let witness = match &look {
            Look::Running(Tunnel::Vouched(witness)) => Some(witness.clone()),
            _ => None,
        };
        let vpn = &self.vpn.container;
        match (&self.witness, &witness) {
            (None | Some(Witness::Gluetun), Some(Witness::Engine(engine))) => tracing::warn!(
                vpn,
                engine,
                "Docker calls the VPN container unhealthy, but an engine behind it is connected, or its stream gets data: it counts as healthy"
            ),
            (None, Some(Witness::Gluetun)) => tracing::warn!(
                vpn,
                "Docker calls the VPN container unhealthy, but Gluetun says that its tunnel is up, and no engine is there that could be \
                 asked: it counts as healthy until engines say that they are not connected"
            ),
            _ => {}
        }
        self.witness = witness;
        look
    }

    /// True when Gluetun tells a public address. It learns that through the tunnel, and forgets it when the tunnel goes down.
    async fn has_address(&mut self, bases: &[String]) -> bool {
        if let Some((at, has)) = self.proof
            && at.elapsed() < PROOF_EVERY
        {
            return has;
        }
        let has = match self.control.address(bases).await {
            ControlAnswer::Value(public) => {
                self.public = Some(public);
                true
            }
            ControlAnswer::None | ControlAnswer::Unavailable(_) => false,
            ControlAnswer::NotAsked(lack, why) => {
                self.could_not_ask(lack, &why);
                return false;
            }
        };
        self.proof = Some((Instant::now(), has));
        has
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

    /// Asks the control server, when it is time or when the tunnel comes up.
    async fn ask(&mut self, view: &VpnView, comes_up: bool) {
        let period = match self.complaint {
            None => self.config.port_interval,
            Some(_) => self.config.port_interval.max(UNAVAILABLE_EVERY),
        };
        let is_due = self.asked.is_none_or(|asked| asked.elapsed() >= period);
        if (is_due || comes_up) && !self.asking.is_under_way() {
            self.asked = Some(Instant::now());
            let is_known = self.asked_address.is_some_and(|asked| asked.elapsed() < ADDRESS_EVERY);
            let bases = self.bases(view);
            self.asking.begin(&self.ctx, bases, comes_up || !is_known);
        }
        if let Some(told) = self.asking.told(ANSWERS_WITHIN).await {
            self.take_in(told);
        }
    }

    /// Takes in a forwarded port, unless something listens on it in this network, or will.
    fn note_port(&mut self, port: u16) {
        let view = self.ctx.cluster.view();
        let vpn = &self.vpn.container;
        let mut behind = view.state.engines_behind(self.ctx.node, vpn);
        let user = match port {
            _ if port == self.config.api_port => Some("Gluetun's control server listens on it".to_owned()),
            _ if self.vpn.ports.contains(port) => Some("it is among the ports of its engines".to_owned()),
            _ => behind
                .find(|engine| engine.ports.container_https == port)
                .map(|engine| format!("the engine {} listens on it", engine.container_name)),
        };
        let Some(user) = user else { return self.port.note(Some(port), Instant::now()) };
        let why = format!("no engine can use the forwarded port {port}: {user}");
        if self.port.note_useless(why.clone()) {
            tracing::warn!(vpn, why, "engines of the VPN run without a forwarded port");
        }
    }

    fn take_in(&mut self, told: Told) {
        let mut complaint = None;
        match told.port {
            ControlAnswer::Value(port) => self.note_port(port),
            ControlAnswer::None => self.port.note(None, Instant::now()),
            ControlAnswer::Unavailable(why) => complaint = Some(why),
            ControlAnswer::NotAsked(lack, why) => return self.could_not_ask(lack, &why),
        }
        match told.address {
            Some(ControlAnswer::Value(public)) => {
                self.public = Some(public);
                self.asked_address = Some(Instant::now());
            }
            Some(ControlAnswer::None) => self.asked_address = Some(Instant::now()),
            Some(ControlAnswer::Unavailable(why)) => complaint = Some(why),
            Some(ControlAnswer::NotAsked(lack, why)) => return self.could_not_ask(lack, &why),
            None => {}
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

    fn could_not_ask(&self, lack: OwnLack, why: &str) {
        self.ctx.lacks.note(lack, "Gluetun's control server", &why);
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
