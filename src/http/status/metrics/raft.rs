//! Metrics of replication, as this node sees it: leader, log, disk, members, clocks.

use std::time::Duration;

use acefleet_raft::{FsyncTimes, RaftStatus, Role};
use acefleet_registry::rules::liveness::SUSPECT_AFTER;
use prometheus::proto::{Bucket, Histogram, Metric, MetricFamily, MetricType};

use crate::http::answer::snapshot::Snapshot;
use crate::http::app::App;
use crate::http::status::metrics::scrape::Scrape;

/// Everything but the histogram of syncs.
pub(super) fn write(scrape: &Scrape, app: &App, snapshot: &Snapshot) -> prometheus::Result<()> {
    let status = app.fleet().cluster().status();
    let queued = app.fleet().cluster().outbox().len();
    let leads = status.leader == Some(status.node_id);
    scrape.gauges(
        "acefleet_build_info",
        "Software version",
        "version",
        &[(env!("CARGO_PKG_VERSION"), 1.0)],
    )?;
    for (name, help, value) in [
        ("acefleet_raft_term", "Newest term that this node has seen", status.term),
        ("acefleet_raft_is_leader", "1 on the leader", u64::from(leads)),
        ("acefleet_raft_has_leader", "1 when this node knows a leader", u64::from(status.leader.is_some())),
        ("acefleet_raft_voters", "Voters in the cluster", status.voters as u64),
        (
            "acefleet_raft_voters_in_contact",
            "Voters with which this node has had contact within 3 s, itself included",
            voters_in_contact(&status) as u64,
        ),
        ("acefleet_raft_last_log_index", "Last log entry stored on this node", status.last_log),
        ("acefleet_raft_applied_index", "Last log entry applied on this node", status.last_applied),
        ("acefleet_raft_snapshot_index", "Log entries in the newest snapshot", status.snapshot_index),
        ("acefleet_outbox_events", "Events queued on this node until there is a leader", queued),
        ("acefleet_outbox_bytes", "Bytes of these events", app.fleet().cluster().outbox().bytes()),
        ("acefleet_revision", "Revision of the registry on this node", snapshot.view.revision),
        (
            "acefleet_replicas_differing",
            "Members whose replica differs from this one",
            status.differing.len() as u64,
        ),
        (
            "acefleet_replica_disputed",
            "Replicas differ and no majority says which is right: 1",
            status.disputed.into(),
        ),
    ] {
        scrape.gauge(name, help, value as f64)?;
    }
    let stale = status.staleness_ms as f64 / 1e3;
    scrape.gauge("acefleet_staleness_seconds", "How old answers of this node may be", stale)?;
    if let Some(us) = status.fsync_last_us {
        scrape.gauge(
            "acefleet_fsync_last_seconds",
            "Time of the last sync of the log to disk",
            us as f64 / 1e6,
        )?;
    }
    let help = "Leaders that this node has learnt of since its start, the first included";
    let leaders = app.fleet().cluster().leaders_seen();
    scrape.counter("acefleet_raft_leader_changes_total", help, leaders)?;
    if let Some(disk) = status.disk {
        let help = "of the file system that holds the data directory";
        scrape.gauge("acefleet_disk_free_bytes", &format!("Free bytes {help}"), disk.free_bytes as f64)?;
        scrape.gauge("acefleet_disk_total_bytes", &format!("Bytes {help}"), disk.total_bytes as f64)?;
        let low = f64::from(disk.is_low());
        scrape.gauge("acefleet_disk_low", "1 when free space runs short", low)?;
    }
    let contacts: Vec<(String, f64)> = status
        .members
        .iter()
        .filter_map(|member| Some((member.name.clone(), member.last_contact_ms? as f64 / 1e3)))
        .collect();
    let contacts: Vec<(&str, f64)> =
        contacts.iter().map(|(name, seconds)| (name.as_str(), *seconds)).collect();
    scrape.gauges(
        "acefleet_peer_last_contact_seconds",
        "Time since the last contact with another node",
        "node",
        &contacts,
    )?;
    let skews = app.fleet().cluster().clock_skews();
    let skew = |id| skews.iter().find(|(of, _)| *of == id).map(|(_, ms)| *ms as f64 / 1e3);
    let skews: Vec<(&str, f64)> =
        status.members.iter().filter_map(|member| Some((member.name.as_str(), skew(member.id)?))).collect();
    let help = "How far the clock of a node is ahead of the time of day that the cluster shows";
    scrape.gauges("acefleet_clock_skew_seconds", help, "node", &skews)
}

/// This node and the voters with which it has had contact lately. As many as a majority has are needed to write.
fn voters_in_contact(status: &RaftStatus) -> usize {
    let is_near = |ms: u64| Duration::from_millis(ms) <= SUSPECT_AFTER;
    let voters = status.members.iter().filter(|member| member.role != Role::Learner);
    voters.filter(|voter| voter.id == status.node_id || voter.last_contact_ms.is_some_and(is_near)).count()
}

/// How long syncs of the log took. The library has no histogram of counts that were made elsewhere.
pub(super) fn fsyncs(times: &FsyncTimes) -> MetricFamily {
    let bucket = |(up_to, count): &(Duration, u64)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(up_to.as_secs_f64());
        bucket.set_cumulative_count(*count);
        bucket
    };
    let mut histogram = Histogram::default();
    histogram.set_bucket(times.up_to.iter().map(bucket).collect());
    histogram.set_sample_count(times.count);
    histogram.set_sample_sum(times.sum.as_secs_f64());
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    let mut family = MetricFamily::default();
    family.set_name("acefleet_fsync_duration_seconds".to_owned());
    family.set_help("Time of a sync of the log to disk".to_owned());
    family.set_field_type(MetricType::HISTOGRAM);
    family.set_metric(vec![metric]);
    family
}
