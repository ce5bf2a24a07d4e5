//! Questions to the control server that no inspection waits for: one that hangs must not hide an outage.

use std::sync::Arc;
use std::time::Duration;

use acefleet_registry::vpn::PublicAddress;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

use crate::agent::context::Context;
use crate::agent::vpn::control::{Control, ControlAnswer};

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
