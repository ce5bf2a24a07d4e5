//! Restarts a VPN container when its outage lasts.

use std::sync::Arc;
use std::time::Instant;

use acefleet_registry::vpn::VpnHealth;

use crate::agent::vpn::engines;
use crate::agent::vpn::monitor::Monitor;
use crate::agent::vpn::verdict::{Look, Tunnel};

impl Monitor {
    /// Restarts a running container whose outage lasts. A stopped container was stopped on purpose, and so was a tunnel of which
    /// Gluetun says so. Docker may take a minute, in which the container is looked at as before.
    pub(super) fn heal(&mut self, look: &Look) {
        let now = Instant::now();
        let is_down = self.verdict.health() == VpnHealth::Unhealthy && !self.inquiry.is_on_purpose();
        self.restarts.note(is_down, now);
        let Some(limit) = self.config.restart_after else { return };
        let may_help = matches!(look, Look::Running(Tunnel::Down | Tunnel::Said(_)));
        let is_under_way = self.restarting.as_ref().is_some_and(|restarting| !restarting.is_finished());
        if !may_help || is_under_way || !self.restarts.is_due(limit, now) {
            return;
        }
        if let Some(engine) = engines::that_plays(&self.ctx, &self.vpn.container, engines::PLAYS_WITHIN) {
            if self.restarts.spares_viewers() {
                tracing::warn!(
                    vpn = self.vpn.container,
                    engine,
                    "the VPN stays down by its health check, but streams get data through it; not restarting its container"
                );
            }
            return;
        }
        self.restarts.done(now);
        tracing::warn!(
            vpn = self.vpn.container,
            after_s = limit.as_secs(),
            times = self.restarts.count(),
            "the VPN stays down; restarting its container"
        );
        let (ctx, container) = (Arc::clone(&self.ctx), self.vpn.container.clone());
        self.restarting = Some(self.ctx.background(async move {
            if let Err(error) = ctx.runtime.restart(&container).await {
                ctx.failed(&error);
                tracing::warn!(vpn = container, %error, "the VPN container could not be restarted");
            }
        }));
    }
}
