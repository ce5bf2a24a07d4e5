//! The forwarded port of a tunnel as it is known: a control server that tells none for a moment has not lost it. Pure.

use std::time::{Duration, Instant};

/// For so long there may be no port between two connections.
const NONE_FOR: Duration = Duration::from_secs(5);

/// The port, and since when the tunnel is up without one.
#[derive(Clone, Debug, Default)]
pub struct KnownPort {
    port: Option<u16>,
    /// Why the port that is forwarded is none for engines.
    useless: Option<String>,
    none_since: Option<Instant>,
}

impl KnownPort {
    /// Starts with the port in the registry.
    #[must_use]
    pub fn new(port: Option<u16>) -> Self {
        Self { port, ..Self::default() }
    }

    /// The port.
    #[must_use]
    pub fn get(&self) -> Option<u16> {
        self.port
    }

    /// Why the port that is forwarded is none for engines, for people.
    #[must_use]
    pub fn useless(&self) -> Option<&str> {
        self.useless.as_deref()
    }

    /// A port was told that no engine can use. True when that is new.
    pub fn note_useless(&mut self, why: String) -> bool {
        let is_new = self.useless.as_ref() != Some(&why);
        *self = Self { useless: Some(why), ..Self::default() };
        is_new
    }

    /// Takes in what was told: a port, or that there is none.
    pub fn note(&mut self, told: Option<u16>, now: Instant) {
        self.useless = None;
        if told.is_some() {
            *self = Self::new(told);
            return;
        }
        let since = *self.none_since.get_or_insert(now);
        if now.duration_since(since) >= NONE_FOR {
            self.port = None;
        }
    }

    /// The tunnel is not up, so that nobody can tell its port: it has its time anew.
    pub fn interrupted(&mut self) {
        self.none_since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_no_engine_can_use_is_none_at_once() {
        let mut known = KnownPort::new(Some(51_413));
        assert!(known.note_useless("taken".to_owned()) && !known.note_useless("taken".to_owned()));
        assert_eq!((known.get(), known.useless()), (None, Some("taken")));
        known.note(Some(51_414), Instant::now());
        assert_eq!((known.get(), known.useless()), (Some(51_414), None));
    }

    #[test]
    fn a_port_is_lost_after_five_seconds_without_one_while_the_tunnel_is_up() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut known = KnownPort::new(Some(51_413));
        known.note(None, at(0));
        known.note(None, at(4));
        assert_eq!(known.get(), Some(51_413));
        known.note(None, at(5));
        assert_eq!(known.get(), None);
        known.note(Some(51_414), at(6));
        known.note(None, at(7));
        known.note(Some(51_414), at(8));
        known.note(None, at(12));
        assert_eq!(known.get(), Some(51_414), "the time without one is not that of before");
        known.interrupted();
        known.note(None, at(30));
        assert_eq!(known.get(), Some(51_414), "an outage counts as time without a port");
        known.note(None, at(35));
        assert_eq!(known.get(), None);
    }
}
