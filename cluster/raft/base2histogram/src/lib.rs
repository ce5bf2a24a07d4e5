//! Stands in for the crate of this name, with the part of its interface that openraft uses.
//!
//! openraft counts the sizes of its batches in histograms that it hands out only under its feature
//! `runtime-stats`, which is off here, so nobody can read them. The real crate computes tables for all
//! its resolutions at the first use: 28 MiB in every process. This one counts how often it was called
//! and keeps nothing else. `Cargo.toml` of the workspace puts it in the other's place; ADR 0011 says why.
//!
//! Either of two requests upstream would end it: that the real crate make its tables on demand, or that openraft count
//! only under `runtime-stats`.

use std::fmt;
use std::marker::PhantomData;

/// Takes values and forgets them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    samples: u64,
    data: PhantomData<T>,
}

impl<T> Histogram<T> {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self { samples: 0, data: PhantomData }
    }

    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts a value several times.
    pub fn record_n(&mut self, _value: u64, count: u64) {
        self.samples = self.samples.wrapping_add(count);
    }

    /// How many values there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.samples
    }

    /// The number of values; percentiles are not known and zero.
    #[must_use]
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats { samples: self.samples, ..PercentileStats::default() }
    }
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// What is known of the values of a [`Histogram`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PercentileStats {
    /// Number of values.
    pub samples: u64,
    /// 0.1th percentile; not kept.
    pub p0_1: u64,
    /// 1st percentile; not kept.
    pub p1: u64,
    /// 5th percentile; not kept.
    pub p5: u64,
    /// 10th percentile; not kept.
    pub p10: u64,
    /// Median; not kept.
    pub p50: u64,
    /// 90th percentile; not kept.
    pub p90: u64,
    /// 99th percentile; not kept.
    pub p99: u64,
    /// 99.9th percentile; not kept.
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} samples", self.samples)
    }
}

/// Would draw histograms; says how many values each had.
#[derive(Clone, Debug, Default)]
pub struct AsciiChart {
    lines: Vec<(String, u64)>,
}

impl AsciiChart {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line. `Self` comes back, as callers chain.
    #[must_use]
    #[allow(clippy::should_implement_trait)]
    pub fn add<T>(mut self, name: impl Into<String>, histogram: Histogram<T>) -> Self {
        self.lines.push((name.into(), histogram.total()));
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|(name, samples)| writeln!(f, "{name}: {samples} samples"))
    }
}
