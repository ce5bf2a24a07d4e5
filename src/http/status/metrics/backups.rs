//! Metrics of the backups that this node makes by itself. Without a place for them there are none.

use crate::backups::Figure;
use crate::fleet::Fleet;
use crate::http::status::metrics::scrape::Scrape;

/// Times, numbers and bytes of this node.
pub(super) fn write(scrape: &Scrape, fleet: &Fleet) -> prometheus::Result<()> {
    let Some(plan) = &fleet.config().backups else { return Ok(()) };
    let Figure { last_success, written, last_bytes, kept, failures, failing, crowded_out, room: _ } =
        fleet.backups().now();
    let every = plan.every.as_secs_f64();
    let success = last_success.map_or(0.0, |at| at.0 as f64 / 1_000.0);
    for (name, help, value) in [
        ("acefleet_backup_interval_seconds", "How often this node looks whether to make a backup", every),
        (
            "acefleet_backup_last_success_timestamp_seconds",
            "When the place of its backups last had the newest state, seconds since 1970; 0: never",
            success,
        ),
        (
            "acefleet_backup_failing",
            "Whether the last attempt to keep a backup failed",
            f64::from(failing.is_some()),
        ),
        ("acefleet_backup_kept", "Backups of this node in this cluster that are there", kept as f64),
        ("acefleet_backup_last_bytes", "Size of the last backup that this node wrote", last_bytes as f64),
    ] {
        scrape.gauge(name, help, value)?;
    }
    scrape.counter("acefleet_backup_written_total", "Backups that this node has written", written)?;
    scrape.counter(
        "acefleet_backup_crowded_out_total",
        "Backups that were deleted before their time, to make room for newer ones",
        crowded_out,
    )?;
    scrape.counter("acefleet_backup_failures_total", "Attempts to keep a backup that failed", failures)
}
