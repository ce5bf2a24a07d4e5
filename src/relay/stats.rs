//! Counters of the relay. Written by many connections at once, read by the metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What went wrong, as the label `kind` of the metric has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Trouble {
    /// A listener could not accept: mostly too many open files.
    Accept,
    /// More connections than allowed.
    Limit,
    /// The name of the engine's host cannot be resolved.
    Resolve,
    /// The way to the engine leads back to this relay.
    Loop,
    /// The engine's host refused the connection.
    Refused,
    /// The engine's host did not answer in time.
    Timeout,
    /// The engine's host could not be reached for another reason.
    Connect,
    /// A connection to an engine broke.
    EngineLost,
    /// The port cannot be opened on this host because something else has it.
    PortTaken,
    /// The port cannot be opened for another reason.
    Bind,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Accept,
        Self::Limit,
        Self::Resolve,
        Self::Loop,
        Self::Refused,
        Self::Timeout,
        Self::Connect,
        Self::EngineLost,
        Self::PortTaken,
        Self::Bind,
    ];

    /// The label.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Limit => "limit",
            Self::Resolve => "resolve",
            Self::Loop => "loop",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::EngineLost => "engine_lost",
            Self::PortTaken => "port_taken",
            Self::Bind => "bind",
        }
    }
}

/// Counters since the process started, and gauges.
#[derive(Debug, Default)]
pub struct Stats {
    open: AtomicU64,
    accepted: AtomicU64,
    listeners: AtomicU64,
    waiting: AtomicU64,
    /// Bytes that clients sent to engines.
    pub to_engine: AtomicU64,
    /// Bytes that engines sent to clients.
    pub to_client: AtomicU64,
    troubles: [AtomicU64; Trouble::ALL.len()],
}

/// Counts a connection as open until it is dropped.
#[derive(Debug)]
pub struct Open<'a>(&'a Stats);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

impl Stats {
    /// Connections that are open now.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.open.load(Relaxed)
    }

    /// Connections so far.
    #[must_use]
    pub fn connections_total(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// Ports that are relayed now.
    #[must_use]
    pub fn listeners(&self) -> u64 {
        self.listeners.load(Relaxed)
    }

    /// Ports that should be relayed and cannot be opened, mostly because something else has them.
    #[must_use]
    pub fn ports_waiting(&self) -> u64 {
        self.waiting.load(Relaxed)
    }

    /// How often something went wrong.
    #[must_use]
    pub fn troubles(&self, kind: Trouble) -> u64 {
        self.troubles[kind as usize].load(Relaxed)
    }

    /// Bytes so far: to engines, to clients.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.to_engine.load(Relaxed), self.to_client.load(Relaxed))
    }

    pub(super) fn opened(&self) -> Open<'_> {
        self.accepted.fetch_add(1, Relaxed);
        self.open.fetch_add(1, Relaxed);
        Open(self)
    }

    pub(super) fn trouble(&self, kind: Trouble) {
        self.troubles[kind as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn ports(&self, listening: usize, waiting: usize) {
        self.listeners.store(listening as u64, Relaxed);
        self.waiting.store(waiting as u64, Relaxed);
    }
}
