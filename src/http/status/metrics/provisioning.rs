//! Metrics of what holds starts of engines back: causes that count now, breakers, limits.

use acefleet_registry::breaker::BreakerState;
use acefleet_registry::group::Group;

use crate::fleet::Code;
use crate::http::answer::snapshot::Snapshot;
use crate::http::app::App;
use crate::http::provision::circuit_word;
use crate::http::status::metrics::scrape::Scrape;

/// All states of a breaker.
pub(super) const BREAKER_STATES: [BreakerState; 3] =
    [BreakerState::Closed, BreakerState::Open, BreakerState::HalfOpen];
/// What a breaker may be over besides the whole cluster, as [`Group`] says it.
const KINDS: [&str; 3] = ["chosen", "host", "vpn"];

/// Why no engine can be started now, breakers and limits.
pub(super) fn write(scrape: &Scrape, app: &App, snapshot: &Snapshot) -> prometheus::Result<()> {
    let state = &snapshot.view.state;
    let blocked = app.fleet().admission().blocked;
    let is_now = |code: &Code| f64::from(blocked.iter().any(|blocked| blocked.code == *code));
    let codes = Code::OF_STATUS.each_ref().map(|code| (code.as_str(), is_now(code)));
    let help = "1 while no engine can be started for this cause";
    scrape.gauges("acefleet_provisioning_blocked", help, "code", &codes)?;
    let states = BREAKER_STATES.map(circuit_word);
    let now = circuit_word(app.fleet().replacement_circuit());
    let help = "State of the circuit breaker over replacements";
    scrape.one_of("acefleet_replacement_circuit_state", help, "state", &states, now)?;
    let now_ms = app.fleet().cluster().moment();
    let is_open = |group: &&Group| {
        let (breaker, policy) = state.breaker_over(group, now_ms);
        breaker.state(policy, now_ms) != BreakerState::Closed
    };
    let open: Vec<&Group> = state.failing().filter(is_open).collect();
    let of_kind = |kind: &str| open.iter().filter(|group| AsRef::<str>::as_ref(**group) == kind).count();
    let kinds = KINDS.map(|kind| (kind, of_kind(kind) as f64));
    let help = "Circuit breakers over hosts, VPNs and choices of callers that are not closed";
    scrape.gauges("acefleet_open_breakers", help, "kind", &kinds)?;
    let policy = state.policy();
    let (least, most) = (f64::from(policy.min_replicas), f64::from(policy.max_replicas));
    scrape.gauge("acefleet_engines_min", "MIN_REPLICAS", least)?;
    scrape.gauge("acefleet_engines_max", "MAX_REPLICAS", most)
}

#[cfg(test)]
mod tests {
    use acefleet_registry::NodeId;
    use acefleet_registry::breaker::BreakerKind;

    use super::*;

    #[test]
    fn the_kinds_are_those_of_groups() {
        let vpn = Group::Vpn(NodeId(1), String::new());
        let words = [Group::Host(NodeId(1)), vpn].map(|group| group.as_ref().to_owned());
        assert_eq!(words, KINDS[1..]);
        assert_eq!(Group::Plain(BreakerKind::General).as_ref(), "plain");
    }
}
