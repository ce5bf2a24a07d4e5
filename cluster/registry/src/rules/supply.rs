//! How many engines there are: for clients, against `MAX_REPLICAS`, and for floors.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::level::Level;
use crate::records::engine::{Engine, EngineSpec, Health, Phase};
use crate::records::ids::{EngineId, NodeId};
use crate::records::time::Elapsed;
use crate::rules::engines::{replaced, unlisted};
use crate::rules::health;
use crate::rules::spare::Spares;
use crate::rules::standing::Unlisted;
use crate::state::State;

impl State {
    /// Published engines that take new streams, by ascending host port.
    pub fn listed_engines(&self) -> impl Iterator<Item = &Arc<Engine>> {
        self.published_engines().filter(|engine| unlisted(self, engine).is_none())
    }

    /// AceStream engines that count against `MAX_REPLICAS`: live ones, without those that are replaced before they leave. One that
    /// is only not needed counts, as it is taken before another is started. Of unhealthy ones a tenth of the maximum, at least one,
    /// does not count: their replacements are started first. Those behind a VPN that stays down are as good as unhealthy.
    #[must_use]
    pub fn engine_count(&self) -> u32 {
        self.count_without(Phase::Gone)
    }

    /// The same of those that have not come to this phase yet.
    fn count_without(&self, phase: Phase) -> u32 {
        let is_at_hand = |engine: &Engine| {
            self.level() < Level::COUNTS_WHAT_IS_AT_HAND || self.is_of_use(engine) || engine.failing.is_some()
        };
        let counts = |engine: &Engine| match replaced(self, engine) {
            None => true,
            Some(Unlisted::TakenOff { may_stay: true, .. }) => is_at_hand(engine),
            Some(_) => false,
        };
        let (mut sound, mut failing) = (0u32, 0u32);
        let live = self.live_engines().filter(|engine| engine.phase < phase);
        for engine in live.filter(|engine| engine.is_acestream() && counts(engine)) {
            let is_sick = engine.failing.is_some() || self.is_given_up(engine);
            let count = if is_sick { &mut failing } else { &mut sound };
            *count += 1;
        }
        sound + failing.saturating_sub(health::surplus(self.policy().max_replicas))
    }

    /// True when an unhealthy engine has to leave before those that nothing replaces yet can be replaced.
    pub(crate) fn lacks_room(&self) -> bool {
        let replaced: BTreeSet<EngineId> = self.replacements().filter_map(|e| e.replaces).collect();
        let live = self.live_engines().filter(|e| e.phase < Phase::Stopping);
        let fails = |engine: &Engine| engine.failing.is_some() && engine.start_failed.is_none();
        let failing = live.filter(|engine| engine.is_acestream() && fails(engine));
        let owed = failing.filter(|engine| !replaced.contains(&engine.id)).count() as u32;
        owed > 0 && self.count_without(Phase::Stopping) + owed > self.policy().max_replicas
    }

    pub(crate) fn supplied(&self) -> impl Iterator<Item = &Arc<Engine>> {
        let live =
            self.live_engines().filter(|engine| engine.is_acestream() && engine.phase < Phase::Stopping);
        let is_sound = |engine: &Engine| engine.failing.is_none() && !self.is_given_up(engine);
        live.filter(move |engine| is_sound(engine) && replaced(self, engine).is_none())
    }

    /// AceStream engines that count against floors: reserved, starting and running ones. Those that are replaced before they leave,
    /// and those that are unhealthy or behind a VPN that stays down, do not count, so that others are started in time.
    #[must_use]
    pub fn supply(&self) -> u32 {
        self.supplied().count() as u32
    }

    /// Engines of the supply on which no stream runs and to which no client is on the way, at the moment of this state.
    #[must_use]
    pub fn free_supply(&self) -> u32 {
        self.supplied().filter(|engine| self.is_free(engine)).count() as u32
    }

    pub(crate) fn is_free(&self, engine: &Engine) -> bool {
        self.active_streams(engine.id) == 0 && !self.is_expecting(engine, self.clock_ms())
    }

    /// Engines of the supply that have answered, and those among them that have been free for `idle_ms` at `now_ms`. Once, those that
    /// were being started counted, too.
    pub(crate) fn ready_supply(&self, idle_ms: u64, now_ms: Elapsed) -> (u32, u32) {
        let ready = self.supplied().filter(|engine| self.is_ready(engine));
        let is_free = |e: &Engine| self.is_free(e) && now_ms.since(self.idle_since_ms(e)) >= idle_ms;
        let both = |(all, free): (u32, u32), e: &Arc<Engine>| (all + 1, free + u32::from(is_free(e)));
        ready.fold((0, 0), both)
    }

    /// What a VPN hides is supply at first, as it may be back in a moment, but stands in for nobody meanwhile.
    fn is_ready(&self, engine: &Engine) -> bool {
        let is_hidden = self.level() >= Level::COUNTS_WHAT_IS_SEEN && !self.has_network(engine);
        !is_hidden && (engine.phase == Phase::Running || self.level() < Level::KEEPS_WHAT_IS_READY)
    }

    /// How many engines are missing to the floors without those that a VPN hides: so many are taken back onto the list, if there are.
    pub(crate) fn missing_on_list(&self) -> u32 {
        let seen = || self.supplied().filter(|engine| self.has_network(engine));
        let count = |engines: &mut dyn Iterator<Item = &Arc<Engine>>| engines.count() as u32;
        let (all, free) = (count(&mut seen()), count(&mut seen().filter(|engine| self.is_free(engine))));
        let policy = self.policy();
        let of_spare =
            self.spares(|engine| self.has_network(engine)).missing().map_or(0, |(missing, _)| missing);
        let missing =
            policy.min_replicas.saturating_sub(all).max(policy.min_free_replicas.saturating_sub(free));
        missing.max(of_spare)
    }

    /// What the spare for a host consists of when nothing has to be started any more.
    pub(crate) fn ready_spares(&self) -> Spares {
        self.spares(|engine| self.is_ready(engine))
    }

    /// True for an engine that is off the list only because it was not needed.
    #[must_use]
    pub fn is_spare(&self, engine: &Engine) -> bool {
        engine.may_stay() && engine.phase < Phase::Stopping && self.active_streams(engine.id) == 0
    }

    /// How many plain engines on these hosts can be taken back onto the list instead of starting others.
    #[must_use]
    pub fn spare_engines(&self, hosts: &BTreeSet<NodeId>) -> u32 {
        let plain = |e: &Engine| hosts.contains(&e.node) && e.spec == EngineSpec::acestream();
        let is_nobodys = |e: &Engine| self.is_spare(e) && !self.is_expecting(e, self.clock_ms());
        self.live_engines().filter(|e| is_nobodys(e) && plain(e) && self.is_of_use(e)).count() as u32
    }

    /// True if a client could use this engine now.
    pub(crate) fn is_of_use(&self, engine: &Engine) -> bool {
        let is_sound = self.has_network(engine) && engine.health != Health::Unhealthy;
        is_sound && !self.is_draining(engine.node) && !self.is_lost(engine)
    }
}
