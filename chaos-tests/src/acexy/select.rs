//! Which engine the real client takes.

use std::cmp::Reverse;

use super::records::EngineEntry;

/// The best of the engines with room, as (entry, started streams); `None` when all are full.
///
/// Rank: healthy, fewer streams, forwarded, longest unused (never is longest), first in the list.
/// Being unhealthy only ranks lower: whatever is listed can be taken.
pub fn best(candidates: &[(EngineEntry, usize)], max_streams: usize) -> Option<&EngineEntry> {
    candidates
        .iter()
        .filter(|(_, active)| *active < max_streams)
        // The first of equals wins.
        .min_by_key(|(engine, active)| {
            (
                Reverse(engine.health_status == "healthy"),
                *active,
                Reverse(engine.forwarded),
                engine.last_stream_usage,
            )
        })
        .map(|(engine, _)| engine)
}

#[cfg(test)]
mod tests {
    use super::super::decode::GoTime;
    use super::*;

    fn engine(id: &str, health: &str, forwarded: bool, used: Option<i64>) -> EngineEntry {
        EngineEntry {
            container_id: id.to_owned(),
            health_status: health.to_owned(),
            forwarded,
            last_stream_usage: used.map(|s| GoTime(jiff::Timestamp::from_second(s).unwrap())),
            ..EngineEntry::default()
        }
    }

    fn pick(candidates: &[(EngineEntry, usize)], max: usize) -> Option<&str> {
        best(candidates, max).map(|e| e.container_id.as_str())
    }

    #[test]
    fn the_keys_count_in_order() {
        let e = engine;
        let cases = [
            (e("sick", "unknown", true, None), 0, e("b", "healthy", false, Some(9)), 1),
            (e("busy", "healthy", true, None), 1, e("b", "healthy", false, Some(9)), 0),
            (e("plain", "healthy", false, None), 0, e("b", "healthy", true, Some(9)), 0),
            (e("recent", "healthy", true, Some(9)), 0, e("b", "healthy", true, Some(8)), 0),
            (e("used", "healthy", true, Some(1)), 0, e("b", "healthy", true, None), 0),
        ];
        for (first, n, second, m) in cases {
            let name = first.container_id.clone();
            assert_eq!(pick(&[(first, n), (second, m)], 2), Some("b"), "against {name}");
        }
        let same = [(e("a", "healthy", false, None), 0), (e("b", "healthy", false, None), 0)];
        assert_eq!(pick(&same, 1), Some("a"), "the first of equals");
    }

    #[test]
    fn full_engines_are_out_and_sick_ones_are_not() {
        let full = [(engine("a", "healthy", false, None), 1)];
        assert_eq!(pick(&full, 1), None);
        assert_eq!(pick(&[], 1), None);
        let sick = [full[0].clone(), (engine("b", "unhealthy", false, None), 0)];
        assert_eq!(pick(&sick, 1), Some("b"));
    }
}
