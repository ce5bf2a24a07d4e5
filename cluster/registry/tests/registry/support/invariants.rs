//! The invariants of the registry, checked from the outside on the stored tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use acefleet_registry::cause::Cause;
use acefleet_registry::command::{InUse, StopWhen, Taken};
use acefleet_registry::conf::http_port;
use acefleet_registry::end_reason::EndReason;
use acefleet_registry::engine::{EngineSpec, Health, Phase};
use acefleet_registry::event::{Event, EventType};
use acefleet_registry::node::{Availability, DockerState};
use acefleet_registry::rules::hosts::{Demand, Observations, Obstacle, candidates as candidates_of};
use acefleet_registry::rules::load::{Load, loads};
use acefleet_registry::state::Tables;
use acefleet_registry::stream::Stream;
use acefleet_registry::weight;
use acefleet_registry::{
    Command, Elapsed, Engine, EngineId, Level, NodeId, OpId, Proposal, RefusalCode, Reply, Reserve, State,
    apply,
};

use super::ask;

type Checked = Result<(), String>;

/// How long an ended stream is certainly remembered.
const REMEMBERED_MS: u64 = 3_600_000;

macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds { return Err(format!($($why)+)); }
    };
}

mod reserved;

use reserved::check_reserved;

/// What has to be remembered across steps.
#[derive(Default)]
pub struct History {
    /// Sessions that ended, by stream id and session, with the moment of the end.
    over: BTreeMap<(Arc<str>, String), Elapsed>,
}

impl History {
    /// Everything that must hold after `proposal` led from `before` to `after`.
    pub fn check_step(
        &mut self,
        before: &State,
        after: &State,
        proposal: &Proposal,
        reply: &Reply,
    ) -> Checked {
        check_state(after)?;
        if before.op(proposal.op_id).is_some() {
            ensure!(before == after, "a repeat changed the state");
            let remembered = before.remembered(proposal.op_id);
            ensure!(remembered.is_none_or(|done| done == *reply), "a repeat got another reply");
            return Ok(());
        }
        ensure!(after.clock_ms() == before.clock_ms().max(proposal.at_ms), "the moment is wrong");
        let no_room = matches!(reply, Reply::Refused(refusal) if refusal.code == RefusalCode::NoRoom);
        let remembered = after.remembered(proposal.op_id);
        ensure!(no_room == remembered.is_none(), "the write is not remembered");
        ensure!(remembered.is_none_or(|done| done == *reply), "another reply is remembered");
        if let Reply::Refused(_) = reply {
            check_refusal(before, after, proposal)?;
        }
        check_foretold(before, proposal, reply)?;
        check_engines(before, after, &proposal.command)?;
        check_placement(before, after, proposal)?;
        check_hosts(after)?;
        check_events(before, after)?;
        self.check_streams(before, after, &proposal.command)
    }

    fn check_streams(&mut self, before: &State, after: &State, command: &Command) -> Checked {
        for stream in after.streams() {
            let id = &stream.start.id;
            let session = (id.clone(), stream.start.playback_session_id.clone());
            // Only the end that was a guess may turn out to be none.
            // The start of a batch shows that, and an end of the same batch may follow.
            let may_go_on = before.stream(id).is_some_and(|old| before.may_go_on(old));
            let is_named = command.started_streams().any(|started| started == &**id);
            let goes_on = may_go_on && (stream.is_started() || is_named);
            if goes_on {
                self.over.remove(&session);
            }
            let over = self.over.get(&session).is_some_and(|at| after.clock_ms().since(*at) <= REMEMBERED_MS);
            ensure!(!(over && stream.is_started() && !session.1.is_empty()), "{session:?} came back to life");
            if let Some(old) = before.stream(id).filter(|old| old.seq == stream.seq) {
                ensure!(
                    old.is_started() || !stream.is_started() || goes_on,
                    "{id} was started again in place"
                );
                ensure!(old.started_at_ms == stream.started_at_ms, "{id} changed its start");
                ensure!(old.engine.is_none() || old.engine == stream.engine, "{id} changed its engine");
                // A guessed end may be confirmed, which changes its reason and nothing else.
                let confirmed = Stream { end_reason: stream.end_reason.clone(), ..(**old).clone() };
                let is_guess = old.end_reason.as_ref().is_some_and(EndReason::is_guess);
                ensure!(
                    old.is_started() || old == stream || goes_on || (is_guess && confirmed == **stream),
                    "{id} changed after its end"
                );
            } else {
                let became_it = |old: &Stream| {
                    old.found
                        && old.started_at_ms == stream.started_at_ms
                        && after.stream(&old.start.id).is_none()
                };
                let was_found = before.streams().any(|old| became_it(old));
                // The record of a session that gave way to another of its id began with it.
                let is_same =
                    |old: &Stream| old.seq == stream.seq && old.started_at_ms == stream.started_at_ms;
                let gave_way = !stream.is_started() && before.streams().any(|old| is_same(old));
                ensure!(
                    was_found || gave_way || stream.started_at_ms == after.clock_ms(),
                    "{id} started at another time"
                );
            }
        }
        for old in before.streams() {
            let id = &old.start.id;
            // What was found gives way to the stream whose event comes, which may end with the same command.
            let began = |id| after.usage(id).last_stream_start_ms == Some(after.clock_ms());
            let is_kept = after.stream(id).is_some() || (old.found && old.engine.is_some_and(began));
            ensure!(!old.is_started() || is_kept, "started stream {id} was dropped");
            if after.stream(id).is_some_and(|new| new.seq != old.seq) {
                let at = old.ended_at_ms.unwrap_or(after.clock_ms());
                self.over.insert((id.clone(), old.start.playback_session_id.clone()), at);
            }
        }
        for stream in after.streams() {
            if let Some(at) = stream.ended_at_ms {
                self.over.insert((stream.start.id.clone(), stream.start.playback_session_id.clone()), at);
            }
        }
        Ok(())
    }
}

/// What holds of any state by itself.
pub fn check_state(state: &State) -> Checked {
    state.check()
}

/// What is said of a reservation beforehand is what comes of it.
fn check_foretold(before: &State, proposal: &Proposal, reply: &Reply) -> Checked {
    let Command::Reserve(ask) = &proposal.command else { return Ok(()) };
    let then = at_once_before(before, proposal);
    let foretold = then.blocked(ask, proposal.origin, proposal.at_ms);
    match (reply, foretold) {
        (Reply::Engine(engine), None) => {
            let starts = before.engine(engine.id).is_none();
            ensure!(!starts || then.lack(engine.node, &engine.spec).is_none(), "{engine:?} lacks something");
            Ok(())
        }
        (Reply::Engine(engine), Some(refusal)) => {
            let lack = then.lack(engine.node, &engine.spec);
            let told = lack.is_some_and(|(_, lacking)| lacking.message == refusal.message);
            ensure!(told, "{refusal:?} was foretold of {engine:?}");
            ensure!(engine.phase == Phase::Reserved, "an engine at hand needs no start");
            Ok(())
        }
        (Reply::Refused(refused), foretold) => {
            ensure!(foretold.as_ref() == Some(refused), "{refused:?} was foretold as {foretold:?}");
            Ok(())
        }
        (reply, _) => Err(format!("{reply:?} of a reservation")),
    }
}

/// A host that is passed over gets no new engine, whoever asks for one, and one that is not passed over is not what an engine fails
/// for.
fn check_hosts(state: &State) -> Checked {
    let (spec, failed) = (EngineSpec::acestream(), BTreeSet::new());
    for id in state.nodes().map(|node| node.info.id) {
        let alone = BTreeSet::from([id]);
        let wanted = Demand { spec: &spec, failed: &failed, observations: Observations::Stamped(&alone) };
        let obstacle = candidates_of(state, &wanted).obstacle(id);
        let refusal = state.blocked(&ask(spec.clone(), alone.clone()), id, state.clock_ms());
        // One that was not needed and is listed again needs no start. Where there is no room, neither does an idle one, or one that is
        // being started for nobody.
        let is_idle = |e: &Engine| e.phase < Phase::Stopping && state.active_streams(e.id) == 0;
        let is_offered = |e: &Engine| e.health == Health::Healthy || e.awaited_until_ms.is_none();
        let fits = |e: &Engine| e.node == id && e.spec == spec && e.health != Health::Unhealthy;
        let at_hand = state.spare_engines(&alone) > 0
            || state.live_engines().any(|e| fits(e) && is_idle(e) && is_offered(e));
        let Some(refusal) = refusal else {
            ensure!(obstacle.is_none() || at_hand, "{id} takes an engine although: {obstacle:?}");
            continue;
        };
        let of_host = match refusal.code {
            RefusalCode::NoHost | RefusalCode::NoFreePorts | RefusalCode::VpnDisconnected => true,
            RefusalCode::MaxCapacity => refusal.message.contains("ACEFLEET_CAPACITY"),
            _ => false,
        };
        ensure!(obstacle.is_some() || !of_host, "{id} is not passed over, but {refusal:?}");
    }
    Ok(())
}

/// A refusal changes nothing but what every write changes: the clock, the op-id, what is forgotten.
fn check_refusal(before: &State, after: &State, proposal: &Proposal) -> Checked {
    if matches!(proposal.command, Command::Sequence(_)) {
        // The other steps are done.
        return Ok(());
    }
    let mut plain = before.clone();
    let nothing = Command::EngineGone { engine: EngineId(u64::MAX), cause: Cause::Vanished, message: None };
    apply(&mut plain, &Proposal { command: nothing, ..proposal.clone() }, 0);
    // How many replies are remembered depends on their size, so on the words of this refusal.
    let without_ops = |state: &State| {
        let mut tables = Tables::from(state.clone());
        tables.ops.clear();
        tables.op_order.clear();
        tables
    };
    ensure!(without_ops(&plain) == without_ops(after), "a refusal changed the state");
    let known: BTreeSet<OpId> = Tables::from(before.clone()).op_order.into_iter().collect();
    let now = Tables::from(after.clone()).op_order;
    let made_up = now.iter().find(|op_id| **op_id != proposal.op_id && !known.contains(*op_id));
    ensure!(made_up.is_none(), "a refusal made {made_up:?} known");
    Ok(())
}

fn check_engines(before: &State, after: &State, command: &Command) -> Checked {
    for old in before.all_engines() {
        let id = old.id;
        let Some(new) = after.engine(id) else {
            ensure!(!old.phase.is_live(), "live engine {id} was dropped");
            continue;
        };
        let stays = |in_use: &InUse| in_use.engine == id && in_use.stays;
        let is_kept = matches!(command, Command::StreamsSeen { found, .. } if found.iter().any(stays))
            && (old.phase, new.phase.is_serving()) == (Phase::Stopping, true);
        ensure!(new.phase >= old.phase || is_kept, "engine {id} went back to {:?}", new.phase);
        ensure!(old.phase.is_live() || new.phase == old.phase, "engine {id} ended twice");
        let host = match command {
            Command::NodeReplaced { old: before, new } if *before == old.node => *new,
            _ => old.node,
        };
        let moved = new.node != old.node && after.node(old.node).is_none();
        ensure!(new.node == host || new.node == old.node, "engine {id} changed its host");
        ensure!(new.node == old.node || moved, "engine {id} has another host, and its old one is there");
        ensure!(new.spec == old.spec, "engine {id} became another");
        ensure!(
            old.container_id.is_none() || new.container_id == old.container_id,
            "{id} changed its container"
        );
        if new.phase != old.phase {
            let by_right = match command {
                Command::EngineStarted { engine, .. } => *engine == id && new.phase == Phase::Starting,
                Command::EngineHealth { engine, .. } => *engine == id && new.phase == Phase::Running,
                Command::EngineStop { engine, .. } => *engine == id && new.phase == Phase::Stopping,
                Command::EngineGone { engine, .. } => *engine == id && new.phase == Phase::Gone,
                Command::EngineFailed { engine, .. } => *engine == id && new.phase == Phase::Failed,
                Command::EngineLacks { engine, .. } => *engine == id && new.phase == Phase::Failed,
                Command::Conflict { engine, .. } => *engine == id && new.phase == Phase::Failed,
                Command::StreamsSeen { .. } => is_kept,
                Command::NodeRemoved { node } => *node == old.node && new.phase == Phase::Gone,
                Command::Recovered { survivor, .. } => *survivor != old.node && new.phase == Phase::Gone,
                _ => false,
            };
            ensure!(by_right, "engine {id} became {:?}", new.phase);
        }
    }
    if let Command::EngineStop { engine, when: StopWhen::IdleFor(_), .. } = command {
        let is_off = |s: &State| s.engine(*engine).is_some_and(|e| e.taken_off.is_some());
        let unlisted_now = is_off(after) && !is_off(before);
        ensure!(!unlisted_now || before.active_streams(*engine) == 0, "engine {engine} unlisted in use");
        ensure!(!unlisted_now || after.supply() >= after.policy().min_replicas, "the floor was broken");
        ensure!(
            !unlisted_now || after.free_supply() >= after.policy().min_free_replicas,
            "the free floor was broken"
        );
        ensure!(
            !unlisted_now || after.free_missing() <= before.free_missing(),
            "the spare for a host was broken"
        );
    }
    if let Command::EngineStop { engine, when, .. } = command {
        let drained = |s: &State| s.engine(*engine).is_some_and(|e| e.phase == Phase::Stopping);
        if drained(after) && !drained(before) {
            let Some(old) = before.engine(*engine) else { return Ok(()) };
            let is_off = old.taken_off.is_some() || old.failing.is_some();
            let unlisted = is_off || before.is_draining(old.node);
            let right = match when {
                StopWhen::Always => true,
                StopWhen::Unused => unlisted,
                StopWhen::OffVpn => !before.has_network(old),
                StopWhen::IdleFor(_) | StopWhen::Replaced => false,
            };
            ensure!(right, "engine {engine} was stopped while it is listed");
        }
    }
    if let Command::Conflict { engine, taken: Taken::HostPort(port) } = command
        && before.engine(*engine).is_some_and(|e| e.phase == Phase::Reserved)
    {
        let kept =
            after.engine(*engine).is_some_and(|e| e.phase.is_live() && e.leased_ports().any(|p| p == *port));
        ensure!(!kept, "engine {engine} kept a port that is in use");
    }
    Ok(())
}

fn live(state: &State) -> Vec<&Engine> {
    state.live_engines().map(|e| &**e).collect()
}

fn check_placement(before: &State, after: &State, proposal: &Proposal) -> Checked {
    let known: BTreeSet<EngineId> = before.all_engines().map(|e| e.id).collect();
    let fresh: Vec<&Engine> = live(after).into_iter().filter(|e| !known.contains(&e.id)).collect();
    ensure!(fresh.iter().all(|e| known.iter().all(|old| *old < e.id)), "an engine id was used twice");
    match (&proposal.command, fresh.as_slice()) {
        (_, []) | (Command::Adopt(_), [_]) => Ok(()),
        (Command::Reserve(ask), [engine]) => {
            check_reserved(&at_once_before(before, proposal), after, ask, engine)
        }
        _ => Err(format!("{} engines appeared from nowhere", fresh.len())),
    }
}

/// The state in which a write is decided: what is forgotten with it is forgotten already.
fn at_once_before(before: &State, proposal: &Proposal) -> State {
    let mut state = before.clone();
    let nothing = Command::EngineGone { engine: EngineId(u64::MAX), cause: Cause::Vanished, message: None };
    apply(&mut state, &Proposal { command: nothing, ..proposal.clone() }, 0);
    state
}

/// No event weighs as much, bytes.
const LARGE_EVENT: u64 = 64 << 10;

fn check_events(before: &State, after: &State) -> Checked {
    let last = before.events().iter().next_back().map_or(0, |e| e.id);
    let ids: Vec<u64> = after.events().iter().map(|e| e.id).collect();
    ensure!(ids.windows(2).all(|pair| pair[1] > pair[0]), "the event log is not in order");
    for of_stream in [true, false] {
        let is_one = |event: &&Arc<Event>| (event.event_type == EventType::Stream) == of_stream;
        let Some(oldest) = after.events().iter().find(is_one).map(|event| event.id) else { continue };
        let kept = |event: &&Arc<Event>| event.id >= oldest && is_one(event);
        let lost = before.events().iter().filter(kept).any(|event| ids.binary_search(&event.id).is_err());
        ensure!(!lost, "the event log lost one before older ones of its kind");
    }
    match ids.last() {
        Some(newest) => ensure!(*newest >= last, "newer events went before older ones"),
        // Where what lives fills the room, none may be left.
        None => ensure!(
            last == 0 || after.weights().total() + LARGE_EVENT > weight::STATE_MAX,
            "the event log was emptied"
        ),
    }
    Ok(())
}

/// The op-ids that are remembered, oldest first.
pub fn remembered(state: &State) -> Vec<OpId> {
    Tables::from(state.clone()).op_order.iter().copied().collect()
}
