//! Why engines that are wanted are not started now.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::Reserve;
use crate::plan::Wait;
use crate::plan::floors::{asks, helps_spare, only_for_spare, start_before, start_rests_for, waits_for_home};
use crate::plan::waits::Shortage;
use crate::records::engine::EngineSpec;
use crate::records::group::Group;
use crate::records::ids::{EngineId, NodeId, OpId};
use crate::records::time::Elapsed;
use crate::rules::admission;
use crate::state::State;

/// What it takes to say why engines are missing.
pub(super) struct Short<'a> {
    pub(super) state: &'a State,
    /// The state as if the plan's reservations had been made.
    pub(super) then: &'a State,
    pub(super) reachable: &'a BTreeSet<NodeId>,
    pub(super) plain: &'a Reserve,
    pub(super) now_ms: Elapsed,
}

impl Short<'_> {
    /// Why a further reservation is not made: its refusal, or a pause. `None` if it could be.
    pub(super) fn why(&self, ask: &Reserve) -> Option<Shortage> {
        let ask = Reserve { eligible: self.reachable.clone(), ..ask.clone() };
        let whys: Vec<Option<Shortage>> =
            asks(self.then, &ask, self.now_ms).iter().map(|ask| self.why_among(ask)).collect();
        match whys.iter().any(Option::is_none) {
            true => None,
            false => whys.into_iter().flatten().next(),
        }
    }

    /// The same where only these hosts are asked.
    fn why_among(&self, ask: &Reserve) -> Option<Shortage> {
        let decided = admission::decide(&mut self.then.clone(), ask, OpId::from_u128(0), NodeId(0));
        let decision = match decided {
            Ok(decision) => decision,
            Err(refusal) => {
                // Elsewhere one could be had, but would be of no use.
                let anywhere = Reserve { eligible: self.reachable.clone(), ..ask.clone() };
                let would_be_had = |ask: &Reserve| {
                    admission::decide(&mut self.then.clone(), ask, OpId::from_u128(0), NodeId(0)).is_ok()
                };
                let home = ask.replaces.filter(|lost| waits_for_home(self.then, *lost));
                let home = home.and_then(|lost| self.then.home(lost)).filter(|_| would_be_had(&anywhere));
                return Some(match home {
                    Some((home, _)) => Shortage::OnlyAtHome { host: self.state.node_name(home) },
                    None => Shortage::Refused(refusal),
                });
            }
        };
        let left_ms = start_rests_for(self.then, &decision, self.now_ms);
        if left_ms > 0 {
            let first = start_before(self.then, &decision.engine, self.now_ms);
            // One that this plan makes has no name yet.
            return Some(match first.filter(|(engine, _)| self.state.engine(*engine).is_some()) {
                Some((engine, _)) => Shortage::OtherFirst { engine, left_ms },
                None => Shortage::Pause { left_ms },
            });
        }
        let helps = || helps_spare(&mut self.then.clone(), ask, self.now_ms);
        let host = || self.state.node_name(decision.engine.node);
        (only_for_spare(self.then, ask) && !helps()).then(|| Shortage::OnlyThere { host: host() })
    }

    pub(super) fn waits(
        &self,
        owed: &[(EngineId, EngineSpec)],
        lacking: u32,
        reserves: &[Reserve],
    ) -> Vec<Wait> {
        let is_made = |id: EngineId| reserves.iter().any(|ask| ask.replaces == Some(id));
        let waiting = owed.iter().filter(|(id, _)| !is_made(*id));
        // A lost VPN leaves many, and those of one kind wait for the same thing: it is looked for once.
        type Kind<'a> = (Option<&'a str>, Group, Option<(NodeId, &'a str)>);
        let mut known: BTreeMap<Kind<'_>, Option<Shortage>> = BTreeMap::new();
        let mut waits: Vec<Wait> = Vec::new();
        for (id, spec) in waiting {
            let kind = (spec.image.as_deref(), self.state.group(spec, Some(*id)), self.then.home(*id));
            let why = known.entry(kind).or_insert_with(|| {
                self.why(&Reserve { spec: spec.clone(), replaces: Some(*id), ..self.plain.clone() })
            });
            waits.extend(why.clone().map(|why| Wait::Replacement { lost: *id, why }));
        }
        let fills = |lost: Option<EngineId>| lost.is_none_or(|id| !waits_for_home(self.state, id));
        let reserved = reserves.iter().filter(|ask| fills(ask.replaces)).count();
        let waiting = waits.iter().filter(|wait| match wait {
            Wait::Replacement { lost, .. } => fills(Some(*lost)),
            _ => true,
        });
        let missing = lacking.saturating_sub((reserved + waiting.count()) as u32);
        if missing > 0
            && let Some(why) = self.why(self.plain)
        {
            waits.push(Wait::Floor { missing, why });
        }
        waits
    }
}
