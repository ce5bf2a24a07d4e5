//! Which engine a client gets that asks for one before it plays: the one that plays the same already, else one by a consistent hash of the
//! content, so that the next client of that content comes to the same. No engine gets much more than its share.

use std::sync::Arc;

use consistent_hash::{DefaultHash, RingHash};

use crate::command::Select;
use crate::records::engine::{Engine, Health};
use crate::records::ids::{EngineId, OpId};
use crate::records::seat::{Content, Seat};
use crate::records::time::Elapsed;
use crate::reply::{Refusal, RefusalCode};
use crate::rules::admission::no_room;
use crate::state::State;
use crate::weight::{SEATS_MAX, Weigh};

/// An engine gets this many hundredths of the mean load before the hash looks further.
const SHARE: u64 = 125;

/// Why a client gets no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSeat {
    /// No engine is listed that answers.
    NoEngine,
    /// The registry holds as many bytes of seats as it may.
    TooMany,
    /// Each has as many streams and seats as it may have. The first seat ends after so many milliseconds, if there is one.
    AllTaken {
        /// Until the first seat ends.
        left_ms: Option<u64>,
    },
}

impl NoSeat {
    /// For the client.
    pub(crate) fn refusal(self) -> Refusal {
        let (code, message, retry_after_s) = match self {
            Self::TooMany => return no_room("reservations", SEATS_MAX),
            Self::NoEngine => (
                RefusalCode::NoHost,
                "no engine is listed that answers: call POST /provision/acestream",
                None,
            ),
            Self::AllTaken { left_ms } => (
                RefusalCode::MaxCapacity,
                "every engine has as many streams and reservations as it may have: call POST /provision/acestream, or ask again",
                left_ms.map(|ms| ms.div_ceil(1_000).max(1)),
            ),
        };
        Refusal { code, message: message.to_owned(), retry_after_s }
    }
}

impl State {
    /// Seats on an engine that have not ended at this moment, the oldest first.
    pub fn seats<'a>(&self, engine: &'a Engine, now_ms: Elapsed) -> impl Iterator<Item = &'a Seat> + use<'a> {
        engine.seats.iter().filter(move |seat| now_ms < seat.until_ms)
    }

    /// Whether somebody is on the way to an engine, by a mark or a seat.
    #[must_use]
    pub fn is_expecting(&self, engine: &Engine, now_ms: Elapsed) -> bool {
        self.mark(engine, now_ms).is_some() || self.seats(engine, now_ms).next().is_some()
    }

    /// Streams on an engine, and clients on the way to it.
    #[must_use]
    pub fn taken(&self, engine: &Engine, now_ms: Elapsed) -> usize {
        let marked = usize::from(self.mark(engine, now_ms).is_some());
        self.active_streams(engine.id) + marked + self.seats(engine, now_ms).count()
    }

    /// The live engine with the seat of this id, which may have ended.
    #[must_use]
    pub fn engine_of_seat(&self, id: OpId) -> Option<&Arc<Engine>> {
        self.live_engines().find(|engine| engine.seats.iter().any(|seat| seat.id == id))
    }
}

/// Chooses an engine for a client.
///
/// # Errors
/// Why it gets none.
pub(crate) fn select(state: &State, ask: &Select, now_ms: Elapsed) -> Result<Arc<Engine>, NoSeat> {
    let answers = |engine: &&Arc<Engine>| engine.is_acestream() && engine.health != Health::Unhealthy;
    let all: Vec<(usize, &Arc<Engine>)> =
        state.listed_engines().filter(answers).map(|engine| (state.taken(engine, now_ms), engine)).collect();
    if all.is_empty() {
        return Err(NoSeat::NoEngine);
    }
    let seats = state.live_engines().flat_map(|engine| &engine.seats);
    if seats.map(Weigh::weight).sum::<u64>() > SEATS_MAX {
        return Err(NoSeat::TooMany);
    }
    let max = usize::try_from(ask.max_streams).unwrap_or(usize::MAX);
    let mut open: Vec<(usize, &Arc<Engine>)> =
        all.iter().copied().filter(|(taken, _)| *taken < max).collect();
    if open.is_empty() {
        let left = all.iter().flat_map(|(_, engine)| state.seats(engine, now_ms));
        let left_ms = left.map(|seat| seat.until_ms.since(now_ms)).min();
        return Err(NoSeat::AllTaken { left_ms });
    }
    // One that has answered before one of which nobody knows yet.
    let is_healthy = |engine: &Engine| engine.health == Health::Healthy;
    if open.iter().any(|(_, engine)| is_healthy(engine)) {
        open.retain(|(_, engine)| is_healthy(engine));
    }
    let plays = |engine: &Engine| {
        let on_it = state.streams_of(engine.id).any(|stream| ask.content.is_played_by(&stream.start));
        on_it || state.seats(engine, now_ms).any(|seat| seat.content == ask.content)
    };
    let playing =
        open.iter().filter(|(_, engine)| plays(engine)).min_by_key(|(taken, engine)| (taken, engine.id));
    if let Some((_, engine)) = playing {
        return Ok(Arc::clone(engine));
    }
    let load: usize = all.iter().map(|(taken, _)| taken).sum();
    let share = share(load + 1, all.len());
    let within = |(taken, _): &&(usize, &Arc<Engine>)| (*taken as u64) < share;
    let by_hash = |(_, engine): &&(usize, &Arc<Engine>)| (weight(engine.id, &ask.content), engine.id);
    let chosen = open.iter().filter(within).max_by_key(by_hash).or_else(|| open.iter().max_by_key(by_hash));
    chosen.map(|(_, engine)| Arc::clone(engine)).ok_or(NoSeat::AllTaken { left_ms: None })
}

/// The most that an engine of so many has when so much is spread over them.
fn share(load: usize, engines: usize) -> u64 {
    (load as u64).saturating_mul(SHARE).div_ceil((engines as u64).saturating_mul(100).max(1))
}

/// How much an engine is meant for a content: the one with the most gets it, and when that is gone, the next one.
fn weight(engine: EngineId, content: &Content) -> u64 {
    // Neither has a `usize` in it, so 32-bit and 64-bit members of one cluster decide alike.
    DefaultHash.hash_item(&(engine.0, content.key.as_str()))
}
