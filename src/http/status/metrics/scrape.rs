//! Collects the metrics of one answer.

use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, GaugeVec, IntCounter, IntCounterVec, Opts, Registry};

/// Metrics of one answer.
#[derive(Default)]
pub(super) struct Scrape {
    registry: Registry,
}

impl Scrape {
    pub fn gauge(&self, name: &str, help: &str, value: f64) -> prometheus::Result<()> {
        let gauge = Gauge::new(name, help)?;
        gauge.set(value);
        self.registry.register(Box::new(gauge))
    }

    pub fn counter(&self, name: &str, help: &str, value: u64) -> prometheus::Result<()> {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(value);
        self.registry.register(Box::new(counter))
    }

    /// A counter of time.
    pub fn seconds(&self, name: &str, help: &str, value: f64) -> prometheus::Result<()> {
        let counter = Counter::new(name, help)?;
        counter.inc_by(value);
        self.registry.register(Box::new(counter))
    }

    pub fn counters(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, u64)],
    ) -> prometheus::Result<()> {
        let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
        for (word, value) in values {
            counters.with_label_values(&[word]).inc_by(*value);
        }
        self.registry.register(Box::new(counters))
    }

    /// One series for each value of a label.
    pub fn gauges(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, f64)],
    ) -> prometheus::Result<()> {
        let values: Vec<_> = values.iter().map(|(word, value)| ([*word], *value)).collect();
        self.series(name, help, [label], &values)
    }

    /// One series for each combination of labels that is given.
    pub fn series<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
        values: &[([&str; N], f64)],
    ) -> prometheus::Result<()> {
        let gauges = GaugeVec::new(Opts::new(name, help), &labels)?;
        for (words, value) in values {
            gauges.with_label_values(words).set(*value);
        }
        self.registry.register(Box::new(gauges))
    }

    /// One series for each word; the current one is 1.
    pub fn one_of(
        &self,
        name: &str,
        help: &str,
        label: &str,
        words: &[&str],
        now: &str,
    ) -> prometheus::Result<()> {
        let values: Vec<(&str, f64)> = words.iter().map(|word| (*word, f64::from(*word == now))).collect();
        self.gauges(name, help, label, &values)
    }

    /// All of them.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}
