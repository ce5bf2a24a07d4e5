//! What the steps of the plan come to if nothing else happens and every start succeeds: what people are told before they change settings.

use crate::plan::{self, Wait, idle};
use crate::records::engine::{Engine, Phase};
use crate::records::ids::EngineId;
use crate::records::time::Elapsed;
use crate::rules::hosts::Candidates;
use crate::state::State;

/// How many engines come and go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Engines that are started, one batch after the other, for floors and as replacements.
    pub started: u32,
    /// Engines that are taken back onto the list instead.
    pub listed: u32,
    /// Engines that leave now, as nobody has used them for long.
    pub leaving: u32,
    /// Why no more are started at last.
    pub short: Vec<Wait>,
}

/// What the leader would do with engines from this moment on, if these hosts can be had.
#[must_use]
pub fn ahead(state: &State, hosts: &Candidates, now_ms: Elapsed) -> Ahead {
    let mut then = state.at(now_ms);
    let leaving = idle::leaving(&then, now_ms, |_| true).commands.len();
    let mut ahead = Ahead { leaving: u32::try_from(leaving).unwrap_or(u32::MAX), ..Ahead::default() };
    // Each round makes an engine at least, and there are never more than so many.
    for _ in 0..=state.policy().max_replicas {
        let last = EngineId(then.tables.last_engine);
        let (missing, _) = plan::starts(&then, hosts, now_ms);
        ahead.short = missing.plan.waits;
        let planned = u32::try_from(missing.plan.commands.len()).unwrap_or(u32::MAX);
        if planned == 0 {
            break;
        }
        then = missing.then;
        let new = then.live_engines().filter(|engine| engine.id > last && engine.phase == Phase::Reserved);
        let new: Vec<Engine> = new.map(|engine| (**engine).clone()).collect();
        let started = u32::try_from(new.len()).unwrap_or(u32::MAX);
        ahead.started += started;
        ahead.listed += planned.saturating_sub(started);
        for engine in new {
            then.put_engine(Engine { phase: Phase::Running, ..engine });
        }
    }
    ahead
}
