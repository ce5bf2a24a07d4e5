//! From looks at a VPN container to the verdict that the cluster acts on. Facts count at once, what a
//! health check says counts when it is said twice, and a look that failed counts for nothing.

use std::time::{Duration, Instant};

use acefleet_registry::vpn::VpnHealth;

/// Looks in a row that turn the verdict.
const IN_A_ROW: u32 = 2;
/// How long a tunnel that is up is waited for until its provider has forwarded a port: engines that are
/// started before could not be told.
const PORT_LIMIT: Duration = Duration::from_secs(30);

/// What one look showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// The daemon did not answer: nothing is known.
    Failed,
    /// There is no such container.
    Missing,
    /// It does not run; Docker's word for it.
    Stopped(String),
    /// It runs.
    Running(Tunnel),
}

/// What the health check of a running container says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// The tunnel is up, or there is no health check.
    Up,
    /// The first checks are under way.
    Starting,
    /// The tunnel is down.
    Down,
}

/// The verdict on one container, and what it is made of.
#[derive(Clone, Debug)]
pub struct Verdict {
    health: VpnHealth,
    reason: String,
    against: u32,
    up_since: Option<Instant>,
    settled: bool,
}

impl Verdict {
    /// Begins with what the registry says, so that a restart of the node changes nothing.
    #[must_use]
    pub fn new(health: VpnHealth, reason: &str) -> Self {
        Self { health, reason: reason.to_owned(), against: 0, up_since: None, settled: false }
    }

    /// The verdict.
    #[must_use]
    pub fn health(&self) -> VpnHealth {
        self.health
    }

    /// Why it is unhealthy; empty otherwise.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// False while the last look spoke for another verdict: the next one should come soon.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Takes in one look. `awaits_port` says that the provider is to forward a port and has not yet.
    pub fn note(&mut self, look: &Look, awaits_port: bool, now: Instant) {
        let tunnel = match look {
            Look::Failed => {
                self.settled = false;
                return;
            }
            Look::Missing => return self.turn(VpnHealth::Unhealthy, "there is no such container"),
            Look::Stopped(word) => {
                return self.turn(VpnHealth::Unhealthy, &format!("the container is {word}"));
            }
            Look::Running(tunnel) => *tunnel,
        };
        match tunnel {
            Tunnel::Up => self.up(awaits_port, now),
            Tunnel::Down => {
                self.up_since = None;
                if self.against(VpnHealth::Unhealthy) {
                    self.turn(VpnHealth::Unhealthy, "its health check says that the tunnel is down");
                }
            }
            // A container that was healthy and begins anew has no tunnel yet.
            Tunnel::Starting if self.health == VpnHealth::Healthy => {
                self.turn(VpnHealth::Unhealthy, "it has been started again and its tunnel is not up yet");
            }
            Tunnel::Starting => {
                self.up_since = None;
                self.settled = false;
            }
        }
    }

    fn up(&mut self, awaits_port: bool, now: Instant) {
        let since = *self.up_since.get_or_insert(now);
        if self.health == VpnHealth::Healthy {
            self.against = 0;
            self.settled = true;
            return;
        }
        // What was never unhealthy need not prove itself.
        let proved = self.against(VpnHealth::Healthy) || self.health == VpnHealth::Unknown;
        if proved && !(awaits_port && now.duration_since(since) < PORT_LIMIT) {
            self.turn(VpnHealth::Healthy, "");
        }
    }

    /// Counts a look that speaks for this verdict; true when it is one too many.
    fn against(&mut self, health: VpnHealth) -> bool {
        if self.health == health {
            self.against = 0;
            self.settled = true;
            return false;
        }
        self.against += 1;
        self.settled = false;
        self.against >= IN_A_ROW
    }

    fn turn(&mut self, health: VpnHealth, reason: &str) {
        if health == VpnHealth::Unhealthy {
            self.up_since = None;
        }
        self.health = health;
        self.reason = reason.to_owned();
        self.against = 0;
        self.settled = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use VpnHealth::{Healthy, Unhealthy, Unknown};

    const UP: Look = Look::Running(Tunnel::Up);
    const DOWN: Look = Look::Running(Tunnel::Down);
    const STARTING: Look = Look::Running(Tunnel::Starting);

    /// Looks five seconds apart and the verdicts after each.
    fn run(first: VpnHealth, looks: &[Look], awaits_port: bool) -> Vec<VpnHealth> {
        let begun = Instant::now();
        let mut verdict = Verdict::new(first, "");
        let mut note = |(n, look): (usize, &Look)| {
            verdict.note(look, awaits_port, begun + Duration::from_secs(5) * n as u32);
            assert_eq!(
                verdict.reason().is_empty(),
                verdict.health() != Unhealthy || first == Unhealthy && n == 0
            );
            verdict.health()
        };
        looks.iter().enumerate().map(&mut note).collect()
    }

    #[test]
    fn verdicts() {
        type Row<'a> = (VpnHealth, &'a [Look], &'a [VpnHealth]);
        let table: [Row<'_>; 8] = [
            (Unknown, &[UP], &[Healthy]),
            (Unknown, &[STARTING, STARTING, UP], &[Unknown, Unknown, Healthy]),
            (Unknown, &[DOWN, DOWN], &[Unknown, Unhealthy]),
            (
                Healthy,
                &[DOWN, UP, DOWN, UP, DOWN, DOWN],
                &[Healthy, Healthy, Healthy, Healthy, Healthy, Unhealthy],
            ),
            (
                Healthy,
                &[DOWN, DOWN, UP, DOWN, UP, UP],
                &[Healthy, Unhealthy, Unhealthy, Unhealthy, Unhealthy, Healthy],
            ),
            // The daemon is away: whatever was true may still be.
            (Healthy, &[Look::Failed, Look::Failed, DOWN, Look::Failed], &[Healthy; 4]),
            (Healthy, &[Look::Missing, UP, UP], &[Unhealthy, Unhealthy, Healthy]),
            (Healthy, &[STARTING, STARTING, UP, UP], &[Unhealthy, Unhealthy, Unhealthy, Healthy]),
        ];
        for (first, looks, wanted) in table {
            assert_eq!(run(first, looks, false), wanted, "{first:?} {looks:?}");
        }
        assert_eq!(run(Healthy, &[Look::Stopped("exited".to_owned())], false), [Unhealthy]);
    }

    #[test]
    fn a_port_that_is_to_come_is_waited_for_but_not_for_ever() {
        let looks = vec![UP; 8];
        let verdicts = run(Unknown, &looks, true);
        assert_eq!(verdicts.iter().filter(|health| **health == Unknown).count(), 6);
        assert_eq!(verdicts[6..], [Healthy, Healthy]);
        assert_eq!(run(Healthy, &[UP, UP], true), [Healthy, Healthy], "its port was lost later");
    }
}
