//! What a Docker daemon counts of a container, read as `docker stats` reads it. No IO.

use bollard::models::{ContainerBlkioStatEntry, ContainerMemoryStats, ContainerStatsResponse};

use crate::agent::runtime::Counters;

/// The counters; `None` for a container that does not run.
pub(super) fn counters(stats: ContainerStatsResponse) -> Option<Counters> {
    let memory = stats.memory_stats.unwrap_or_default();
    let cpu_ns = stats.cpu_stats?.cpu_usage?.total_usage.filter(|ns| *ns > 0)?;
    // Containers in the network of another one have none of their own.
    let networks = stats.networks.filter(|networks| !networks.is_empty());
    let sum = |of: fn(&bollard::models::ContainerNetworkStats) -> Option<u64>| {
        networks.as_ref().map(|all| all.values().filter_map(of).fold(0, u64::saturating_add))
    };
    let blocks = stats.blkio_stats.and_then(|blocks| blocks.io_service_bytes_recursive).unwrap_or_default();
    Some(Counters {
        cpu_ns,
        memory_bytes: without_cache(&memory),
        memory_limit_bytes: memory.limit,
        rx_bytes: sum(|network| network.rx_bytes),
        tx_bytes: sum(|network| network.tx_bytes),
        read_bytes: moved(&blocks, "read"),
        written_bytes: moved(&blocks, "write"),
    })
}

/// Memory without what the kernel can drop at once: files that were not used lately.
fn without_cache(memory: &ContainerMemoryStats) -> Option<u64> {
    let usage = memory.usage?;
    let named = |name: &str| memory.stats.as_ref()?.get(name).copied();
    // The first is the name of the older control groups.
    let cache = named("total_inactive_file").or_else(|| named("inactive_file"));
    Some(usage - cache.filter(|cache| *cache < usage).unwrap_or(0))
}

fn moved(blocks: &[ContainerBlkioStatEntry], word: &str) -> u64 {
    let of_word =
        blocks.iter().filter(|entry| entry.op.as_deref().is_some_and(|op| op.eq_ignore_ascii_case(word)));
    of_word.filter_map(|entry| entry.value).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(stats: serde_json::Value) -> Option<Counters> {
        counters(serde_json::from_value(stats).unwrap())
    }

    #[test]
    fn counters_are_those_of_docker_stats() {
        let stats = json!({
            "read": "2025-10-02T18:04:11.512340123Z", "preread": "0001-01-01T00:00:00Z",
            "cpu_stats": {"cpu_usage": {"total_usage": 12_000_000_000u64}, "system_cpu_usage": 9, "online_cpus": 4},
            "memory_stats": {"usage": 300, "limit": 1_000, "stats": {"inactive_file": 100, "active_file": 50}},
            "networks": {"eth0": {"rx_bytes": 5, "tx_bytes": 7}, "eth1": {"rx_bytes": 1, "tx_bytes": 1}},
            "blkio_stats": {"io_service_bytes_recursive": [
                {"major": 8, "minor": 0, "op": "read", "value": 40}, {"major": 8, "minor": 0, "op": "Write", "value": 2},
                {"major": 9, "minor": 0, "op": "Read", "value": 3}]}});
        let expected = Counters {
            cpu_ns: 12_000_000_000,
            memory_bytes: Some(200),
            memory_limit_bytes: Some(1_000),
            rx_bytes: Some(6),
            tx_bytes: Some(8),
            read_bytes: 43,
            written_bytes: 2,
        };
        assert_eq!(read(stats.clone()), Some(expected));
        let mut older = stats.clone();
        older["memory_stats"]["stats"] = json!({"total_inactive_file": 250, "inactive_file": 1});
        older["networks"] = json!(null);
        older["blkio_stats"] = json!({"io_service_bytes_recursive": null});
        let older = read(older).unwrap();
        assert_eq!((older.memory_bytes, older.rx_bytes, older.read_bytes), (Some(50), None, 0));
        let odd = json!({"cpu_stats": {"cpu_usage": {"total_usage": 1}}, "memory_stats": {"usage": 3, "stats": {"inactive_file": 9}}});
        assert_eq!(read(odd).unwrap().memory_bytes, Some(3));
    }

    #[test]
    fn a_container_that_does_not_run_has_none() {
        let stopped = json!({"read": "0001-01-01T00:00:00Z", "cpu_stats": {"cpu_usage": {"total_usage": 0}}, "memory_stats": {}});
        assert_eq!(read(stopped), None);
        assert_eq!(read(json!({})), None);
    }
}
