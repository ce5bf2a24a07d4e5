//! What the process tells the supervisor that started it (systemd's notify protocol): ready, alive,
//! stopping. Without a supervisor that asks, nothing is sent. It must not decide whether to end.

use std::time::Duration;

use acefleet_raft::Cluster;
use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Signs of life in each period of the watchdog: one that is late must not end the process.
const SIGNS: u32 = 3;

/// Both listeners take connections.
pub fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// The process ends by itself; what is under way gets time to finish.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping; engines keep running")]);
}

/// Gives signs of life as long as the Raft core lives and the runtime has time for this task. Returns
/// at once when no watchdog asks for them.
pub async fn keep_alive(cluster: Cluster, stop: CancellationToken) {
    let Some(period) = sd_notify::watchdog_enabled().map(|limit| limit / SIGNS) else { return };
    let mut ticks = tokio::time::interval(period.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let failed = cluster.failed();
    tokio::pin!(failed);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            failure = &mut failed => {
                tracing::debug!(%failure, "no more signs of life");
                return;
            }
            _ = ticks.tick() => tell(&[NotifyState::Watchdog]),
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot tell the supervisor (NOTIFY_SOCKET)");
    }
}
