//! Names and types of the metrics: the rules of `promtool check metrics`, checked with and without it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use crate::bed::Bed;
use crate::monitoring::bed::busy;
use crate::monitoring::tools::program;

const DESCRIPTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/MONITORING.md");
/// Names that clients of the orchestrator know, whatever is wrong with them.
const FIXED: [&str; 3] = ["orch_engines_total", "orch_total_downloaded_mb", "orch_total_uploaded_mb"];
/// Units are written out.
const ABBREVIATED: [&str; 14] =
    ["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"];
/// There is a base unit for each of these.
const NOT_BASE: [&str; 12] = [
    "milliseconds",
    "microseconds",
    "nanoseconds",
    "minutes",
    "hours",
    "days",
    "bits",
    "kilobytes",
    "megabytes",
    "gigabytes",
    "percent",
    "percentage",
];

/// A metric as the text has it.
#[derive(Default)]
struct Family<'a> {
    help: &'a str,
    kind: &'a str,
    /// Names of series with their labels.
    series: BTreeSet<&'a str>,
}

fn families(text: &str) -> BTreeMap<&str, Family<'_>> {
    let mut families: BTreeMap<&str, Family> = BTreeMap::new();
    let mut last = "";
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            families.entry(name).or_default().help = help;
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            families.entry(name).or_default().kind = kind;
            last = name;
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(series.starts_with(last), "{line} is not below its type");
            assert!(families.get_mut(last).unwrap().series.insert(series), "{series} is there twice");
        }
    }
    families
}

/// What is wrong with a name.
fn faults(name: &str, family: &Family) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |bad: bool, fault: &str| {
        if bad {
            faults.push(format!("{name}: {fault}"));
        }
    };
    let words: Vec<&str> = name.split('_').collect();
    check(
        !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
        "is not in snake case",
    );
    check(!["acefleet", "orch", "process"].contains(&words[0]), "has no known prefix");
    check(family.help.is_empty(), "says nothing of itself");
    check(!["counter", "gauge", "histogram"].contains(&family.kind), "has no known type");
    check((family.kind == "counter") != name.ends_with("_total"), "only counters end in _total");
    check(
        ["_count", "_sum", "_bucket"].iter().any(|end| name.ends_with(end)),
        "looks like a part of a histogram",
    );
    check(words.iter().skip(1).any(|word| ABBREVIATED.contains(word)), "abbreviates a unit");
    check(words.iter().any(|word| NOT_BASE.contains(word)), "has no base unit");
    check(words.iter().any(|word| ["gauge", "counter", "histogram"].contains(word)), "names its type");
    check(family.kind != "histogram" && family.series.iter().any(|s| s.contains("{le=")), "has classes");
    check(family.series.is_empty(), "has no series");
    faults
}

#[tokio::test]
async fn names_follow_the_rules_but_for_those_that_others_know() {
    let (_folder, beds) = busy().await;
    let text = beds[0].get("/metrics").await.text;
    let families = families(&text);
    let wrong: Vec<String> = families
        .iter()
        .filter(|(name, _)| !FIXED.contains(name))
        .flat_map(|(name, of)| faults(name, of))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for name in FIXED {
        assert!(!faults(name, &families[name]).is_empty(), "{name} needs no exception");
    }
    for (name, labels) in [
        ("process_cpu_seconds_total", ""),
        ("process_open_fds", ""),
        ("acefleet_fsync_duration_seconds", "_bucket{le=\"+Inf\"}"),
        ("acefleet_raft_leader_changes_total", ""),
        ("acefleet_provisioning_blocked", "{code=\"max_capacity\"}"),
        ("acefleet_host_availability", "{availability=\"draining\",node=\"c\"}"),
        ("acefleet_engine_streams", "{engine=\"acestream-913\",node=\"c\"}"),
        ("acefleet_feed_readers", ""),
        ("acefleet_feed_looks_total", ""),
    ] {
        let series = format!("{name}{labels}");
        assert!(families[name].series.contains(series.as_str()), "{series}: {:?}", families[name].series);
    }
    let described = std::fs::read_to_string(DESCRIPTION).unwrap();
    let unknown: Vec<_> = families.keys().filter(|name| !described.contains(&format!("`{name}`"))).collect();
    assert!(unknown.is_empty(), "docs/MONITORING.md does not say what these are: {unknown:?}");
    let value = |series: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
    };
    assert_eq!(value("acefleet_provisioning_refused_total{code=\"vpn_disconnected\"}"), 1.0);
    assert_eq!(value("acefleet_host_availability{availability=\"draining\",node=\"c\"}"), 1.0);
    assert_eq!(value("acefleet_host_drain_streams{node=\"c\"}"), 1.0);
    assert_eq!(value("acefleet_raft_voters_in_contact"), 3.0);
    assert!(value("acefleet_fsync_duration_seconds_count") > 0.0);
    assert!(value("acefleet_fsync_duration_seconds_sum") > 0.0);
    assert!(value("acefleet_raft_leader_changes_total") >= 1.0);
    stop(beds).await;
}

#[tokio::test]
async fn promtool_finds_nothing_but_those() {
    let Some(promtool) = program("promtool") else { return };
    let (_folder, beds) = busy().await;
    let text = beds[1].get("/metrics").await.text;
    let mut command = Command::new(promtool);
    let command = command
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    running.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let done = running.wait_with_output().unwrap();
    let said = [done.stdout, done.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    let found: BTreeSet<&str> = said.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(found, BTreeSet::from(FIXED), "{said}");
    stop(beds).await;
}

async fn stop(beds: [Bed; 3]) {
    for bed in beds {
        bed.stop().await;
    }
}
