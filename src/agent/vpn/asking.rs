//! Asks the control server for port and address. No inspection waits for the answer: a server that hangs must not hide an outage.

use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::address::join;
use acefleet_registry::vpn::PublicAddress;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

use crate::agent::context::Context;
use crate::agent::own_lack::OwnLack;
use crate::agent::runtime::VpnView;
use crate::agent::vpn::control::{Control, ControlAnswer};
use crate::agent::vpn::monitor::Monitor;

/// Between two questions for the public address.
const ADDRESS_EVERY: Duration = Duration::from_secs(60);
/// Between two questions for the port to a control server that did not tell it: one that hangs takes its time.
const UNAVAILABLE_EVERY: Duration = Duration::from_secs(10);
/// An inspection waits so long for the port and the address: any server that works has answered.
const ANSWERS_WITHIN: Duration = Duration::from_millis(250);

/// What a control server has told.
pub(super) struct Told {
    /// The forwarded port.
    pub port: ControlAnswer<u16>,
    /// The public address, if it was asked for that, too.
    pub address: Option<ControlAnswer<PublicAddress>>,
}

/// One question at a time.
pub(super) struct Asking {
    control: Arc<Mutex<Control>>,
    under_way: Option<(oneshot::Receiver<Told>, JoinHandle<()>)>,
}

impl Asking {
    pub(super) fn new(control: Control) -> Self {
        Self { control: Arc::new(Mutex::new(control)), under_way: None }
    }

    /// True while an answer is awaited.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Asks; what is under way is dropped.
    pub(super) fn begin(&mut self, ctx: &Context, bases: Vec<String>, with_address: bool) {
        self.forget();
        let (tell, told) = oneshot::channel();
        let control = Arc::clone(&self.control);
        let job = ctx.background(async move {
            let mut control = control.lock().await;
            let port = control.port(&bases).await;
            let answers = !matches!(port, ControlAnswer::Unavailable(_) | ControlAnswer::NotAsked(..));
            let address = match with_address && answers {
                true => Some(control.address(&bases).await),
                false => None,
            };
            // Nobody waits any more for what is forgotten.
            let _ = tell.send(Told { port, address });
        });
        self.under_way = Some((told, job));
    }

    /// The answer, if it comes within this time.
    pub(super) async fn told(&mut self, within: Duration) -> Option<Told> {
        let (told, _) = self.under_way.as_mut()?;
        let told = tokio::time::timeout(within, told).await.ok()?;
        self.under_way = None;
        told.ok()
    }

    /// Whatever comes now is of another tunnel.
    pub(super) fn forget(&mut self) {
        if let Some((_, job)) = self.under_way.take() {
            job.abort();
        }
    }
}

impl Monitor {
    /// Asks the control server, when it is time or when the tunnel comes up.
    pub(super) async fn ask(&mut self, view: &VpnView, comes_up: bool) {
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

    pub(super) fn could_not_ask(&self, lack: OwnLack, why: &str) {
        self.ctx.lacks.note(lack, "Gluetun's control server", &why);
    }

    /// Possible addresses of the control server: the container's own, and its published port.
    pub(super) fn bases(&self, view: &VpnView) -> Vec<String> {
        let port = self.config.api_port;
        let inside = view.addresses.iter().map(|address| format!("http://{}", join(address, port)));
        let outside =
            view.published.get(&port).map(|port| format!("http://{}:{port}", self.ctx.addresses.host()));
        inside.chain(outside).collect()
    }
}
