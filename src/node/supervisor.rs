//! Messages to the supervisor that started the process (systemd's notify protocol): ready, alive, stopping, draining. Nothing is sent unless the
//! supervisor asks for it.

use std::time::Duration;

use acefleet_raft::Cluster;
use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Signs of life in each period of the watchdog: a late one must not end the process.
const SIGNS: u32 = 3;
/// From the last relayed connection to the end of the process.
const AFTER_DRAIN: Duration = Duration::from_secs(10);

/// Both listeners take connections.
pub fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// The process stops in order.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping; engines keep running")]);
}

/// The process goes on for at most `limit` because of relayed connections: a shorter limit of the supervisor does not end it before.
pub fn draining(limit: Duration) {
    let wait = u32::try_from((limit + AFTER_DRAIN).as_micros()).unwrap_or(u32::MAX);
    let status = NotifyState::Status("stopped but for relayed connections; a second signal cuts them");
    tell(&[NotifyState::ExtendTimeoutUsec(wait), status]);
}

/// Sends signs of life while the Raft core and the runtime work. Returns at once without a watchdog.
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
