//! The health of a VPN container, from repeated inspections. Facts count at once. The result of a health check counts when it comes
//! twice in a row. A failed inspection counts for nothing.

use std::time::{Duration, Instant};

use acefleet_registry::vpn::VpnHealth;

use crate::agent::vpn::words::Word;

/// Results in a row that change the verdict.
const IN_A_ROW: u32 = 2;
/// The same of what Gluetun says. While it starts anew it says so for a moment, and another time while its tunnel is up.
const SAID_IN_A_ROW: u32 = 3;
/// How long a tunnel that is up has to wait for its forwarded port. Engines that start before would not get it.
const PORT_LIMIT: Duration = Duration::from_secs(30);

/// Result of one inspection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// The daemon did not answer.
    Failed,
    /// There is no such container.
    Missing,
    /// It does not run; Docker's word for it.
    Stopped(String),
    /// It runs.
    Running(Tunnel),
}

/// What is known of the tunnel of a running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// The tunnel is up, or there is no health check.
    Up,
    /// The first checks are running.
    Starting,
    /// The tunnel is down.
    Down,
    /// Docker's health check says that the tunnel is down, but this one knows better.
    Vouched(Witness),
    /// Gluetun says that its tunnel is not up. Docker's health check sees that later.
    Said(Word),
    /// The first checks are running since Docker was started again; the container was not.
    Unchecked,
}

/// Who says that a tunnel works while Docker's health check fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Witness {
    /// This engine: it is connected through it, or its stream gets data.
    Engine(String),
    /// Gluetun itself, while there is no engine that could be asked.
    Gluetun,
}

/// The verdict on one container.
#[derive(Clone, Debug)]
pub struct Verdict {
    health: VpnHealth,
    reason: String,
    against: u32,
    up_since: Option<Instant>,
    settled: bool,
}

impl Verdict {
    /// Starts with the health in the registry, so that a restart of the node changes nothing.
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

    /// False while the last result contradicts the verdict; the next inspection should come soon.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Adds one result. `awaits_port`: the provider should forward a port and has not yet.
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
            Look::Running(tunnel) => tunnel,
        };
        match tunnel {
            Tunnel::Up | Tunnel::Vouched(_) => self.up(awaits_port, now),
            Tunnel::Down => self.down("its health check says that the tunnel is down", IN_A_ROW),
            Tunnel::Said(word) => {
                self.down(&format!("Gluetun says that its tunnel is {word}"), SAID_IN_A_ROW);
            }
            Tunnel::Unchecked => self.settled = true,
            // A healthy container that starts again has no tunnel yet.
            Tunnel::Starting if self.health == VpnHealth::Healthy => {
                self.turn(VpnHealth::Unhealthy, "it has been started again and its tunnel is not up yet");
            }
            Tunnel::Starting => {
                self.up_since = None;
                self.settled = false;
            }
        }
    }

    fn down(&mut self, reason: &str, in_a_row: u32) {
        self.up_since = None;
        if self.against(VpnHealth::Unhealthy, in_a_row) {
            self.turn(VpnHealth::Unhealthy, reason);
        }
    }

    fn up(&mut self, awaits_port: bool, now: Instant) {
        let since = *self.up_since.get_or_insert(now);
        if self.health == VpnHealth::Healthy {
            self.against = 0;
            self.settled = true;
            return;
        }
        // A container that was never unhealthy counts as healthy at once.
        let proved = self.against(VpnHealth::Healthy, IN_A_ROW) || self.health == VpnHealth::Unknown;
        if proved && !(awaits_port && now.duration_since(since) < PORT_LIMIT) {
            self.turn(VpnHealth::Healthy, "");
        }
    }

    /// Counts a result in favour of this verdict. True when there are enough in a row.
    fn against(&mut self, health: VpnHealth, in_a_row: u32) -> bool {
        if self.health == health {
            self.against = 0;
            self.settled = true;
            return false;
        }
        self.against += 1;
        self.settled = false;
        self.against >= in_a_row
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

impl Look {
    /// True when the tunnel works.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Running(Tunnel::Up | Tunnel::Vouched(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use VpnHealth::{Healthy, Unhealthy, Unknown};

    const UP: Look = Look::Running(Tunnel::Up);
    const DOWN: Look = Look::Running(Tunnel::Down);
    const STARTING: Look = Look::Running(Tunnel::Starting);

    /// The verdict after each of these results, five seconds apart.
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
        let vouched = || Look::Running(Tunnel::Vouched(Witness::Gluetun));
        let table: [Row<'_>; 10] = [
            (Healthy, &[DOWN, vouched(), DOWN, vouched()], &[Healthy; 4]),
            (Unhealthy, &[vouched(), vouched()], &[Unhealthy, Healthy]),
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
            // The daemon does not answer, so the verdict stays.
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
    fn what_gluetun_says_of_its_tunnel_counts_when_it_lasts() {
        let said = || Look::Running(Tunnel::Said(Word::Crashed));
        assert_eq!(
            run(Healthy, &[said(), UP, said(), said(), said()], false),
            [Healthy, Healthy, Healthy, Healthy, Unhealthy]
        );
        assert_eq!(run(Healthy, &[said(), DOWN], false), [Healthy, Unhealthy]);
        let lasts = [said(), said(), said(), UP, said(), UP, UP];
        assert_eq!(run(Healthy, &lasts, false)[5..], [Unhealthy, Healthy]);
    }

    #[test]
    fn checks_that_begin_anew_with_docker_change_nothing() {
        const UNCHECKED: Look = Look::Running(Tunnel::Unchecked);
        assert_eq!(run(Healthy, &[UNCHECKED, UNCHECKED, UP], false), [Healthy; 3]);
        assert_eq!(run(Healthy, &[UNCHECKED, DOWN, DOWN], false), [Healthy, Healthy, Unhealthy]);
    }

    #[test]
    fn a_tunnel_waits_for_its_forwarded_port_but_not_for_ever() {
        let looks = vec![UP; 8];
        let verdicts = run(Unknown, &looks, true);
        assert_eq!(verdicts.iter().filter(|health| **health == Unknown).count(), 6);
        assert_eq!(verdicts[6..], [Healthy, Healthy]);
        assert_eq!(run(Healthy, &[UP, UP], true), [Healthy, Healthy], "its port was lost later");
    }
}
