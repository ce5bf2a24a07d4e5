//! Events in every order. [`TABLE`] says what each event does to what is known under an id; `docs/EVENTS.md` shows it, and a model that
//! knows nothing else has to come to the same as the registry.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use acefleet_registry::end_reason::EndReason;
use acefleet_registry::stream::{StreamEnd, StreamStart};
use acefleet_registry::{Command, EngineId, Level, NodeId, OpId, Proposal, State, apply};

use crate::support::{World, gone, playing};

/// What is known under the id of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    Nothing,
    EndFirst,
    Plays,
    Over,
    HostDown,
}

/// What comes, seen from that id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    Start,
    StartNamedAfterSession,
    StartOnEndedEngine,
    StartOfSameSession,
    StartOfSameSessionWithHostBack,
    StartOfPastSession,
    End,
    EndOfEngineAlone,
    EngineGone,
    HostDown,
}

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Nothing,
    Begins,
    Replaces,
    Refreshes,
    GoesOn,
    Ends(&'static str),
    BeginsAndEnds(&'static str),
    Confirms,
    Remembers,
}

const SAID: &str = "said";
const LATE: &str = "ended before it was reported as started";

/// What is known, what comes, and what it does. The first row that fits counts; without one, nothing changes.
const TABLE: [(Known, Comes, Then); 22] = [
    (Known::Nothing, Comes::StartNamedAfterSession, Then::Begins),
    (Known::Nothing, Comes::Start, Then::Begins),
    (Known::Nothing, Comes::StartOnEndedEngine, Then::BeginsAndEnds("engine_gone")),
    (Known::Nothing, Comes::End, Then::Remembers),
    (Known::EndFirst, Comes::StartNamedAfterSession, Then::BeginsAndEnds(LATE)),
    (Known::EndFirst, Comes::Start, Then::Begins),
    (Known::EndFirst, Comes::StartOnEndedEngine, Then::BeginsAndEnds(LATE)),
    (Known::EndFirst, Comes::End, Then::Remembers),
    (Known::Plays, Comes::StartOfSameSession, Then::Refreshes),
    (Known::Plays, Comes::StartOfPastSession, Then::Nothing),
    (Known::Plays, Comes::StartOnEndedEngine, Then::Nothing),
    (Known::Plays, Comes::Start, Then::Replaces),
    (Known::Plays, Comes::End, Then::Ends(SAID)),
    (Known::Plays, Comes::EndOfEngineAlone, Then::Ends(SAID)),
    (Known::Plays, Comes::EngineGone, Then::Ends("engine_gone")),
    (Known::Plays, Comes::HostDown, Then::Ends("host_down")),
    (Known::Over, Comes::StartOfSameSession, Then::Nothing),
    (Known::Over, Comes::Start, Then::Begins),
    (Known::HostDown, Comes::StartOfSameSession, Then::Nothing),
    (Known::HostDown, Comes::StartOfSameSessionWithHostBack, Then::GoesOn),
    (Known::HostDown, Comes::Start, Then::Begins),
    (Known::HostDown, Comes::End, Then::Confirms),
];

fn then(known: Known, comes: Comes) -> Then {
    let row = TABLE.iter().find(|(at, event, _)| (*at, *event) == (known, comes));
    row.map_or(Then::Nothing, |(_, _, then)| *then)
}

/// The table as people read it.
fn markdown() -> String {
    let known = |known| match known {
        Known::Nothing => "nothing",
        Known::EndFirst => "its end came first",
        Known::Plays => "it plays",
        Known::Over => "it is over",
        Known::HostDown => "it is over because its host was down",
    };
    let comes = |comes| match comes {
        Comes::Start => "start of a new session",
        Comes::StartNamedAfterSession => "start of a new session, id `…\\|<session>`",
        Comes::StartOnEndedEngine => "start of a new session on an engine that is gone",
        Comes::StartOfSameSession => "start of the same session",
        Comes::StartOfSameSessionWithHostBack => "start of the same session, host and engine back",
        Comes::StartOfPastSession => "start of a session that was replaced",
        Comes::End => "end with its id",
        Comes::EndOfEngineAlone => "end without an id, it is the newest on its engine",
        Comes::EngineGone => "its engine goes",
        Comes::HostDown => "its host is down",
    };
    let then = |then| match then {
        Then::Nothing => "nothing".to_owned(),
        Then::Begins => "it begins".to_owned(),
        Then::Replaces => "the old session is over, the new one begins".to_owned(),
        Then::Refreshes => "its record is refreshed and keeps `started_at`".to_owned(),
        Then::GoesOn => "it goes on".to_owned(),
        Then::Ends(SAID) => "it ends".to_owned(),
        Then::Ends(reason) => format!("it ends: `{reason}`"),
        Then::BeginsAndEnds(LATE) => "it begins and ends at once".to_owned(),
        Then::BeginsAndEnds(reason) => format!("it begins and ends at once: `{reason}`"),
        Then::Confirms => "it stays over, with the reason of the event".to_owned(),
        Then::Remembers => "remembered for ten minutes, unless the id ends with `\\|`".to_owned(),
    };
    let mut text = "| known under the id | event | effect |\n|---|---|---|\n".to_owned();
    for (at, event, effect) in TABLE {
        writeln!(text, "| {} | {} | {} |", known(at), comes(event), then(effect)).unwrap();
    }
    text
}

#[test]
fn the_documents_have_the_table() {
    let page = include_str!("../../../../docs/EVENTS.md");
    assert!(page.contains(&markdown()), "docs/EVENTS.md has another table:\n{}", markdown());
}

/// One letter of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// Start: id, session, engine.
    Start(&'static str, &'static str, usize),
    /// End with this id.
    End(&'static str),
    /// End that names the first engine alone.
    EndOfEngine,
    /// End with an id that nothing has, and the first engine.
    EndOfOther,
    /// The first engine goes.
    Gone,
    /// The host of the first engine is down, or back.
    Down(bool),
}

const OWN: &str = "k|s";
const SHARED: &str = "shared";
const NAMELESS: &str = "k|";

const EVENTS: [Event; 13] = [
    Event::Start(OWN, "s", 0),
    Event::End(OWN),
    Event::Start(SHARED, "a", 0),
    Event::Start(SHARED, "b", 1),
    Event::Start(SHARED, "b", 0),
    Event::End(SHARED),
    Event::Start(NAMELESS, "", 0),
    Event::End(NAMELESS),
    Event::EndOfEngine,
    Event::EndOfOther,
    Event::Gone,
    Event::Down(true),
    Event::Down(false),
];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    known: Known,
    session: &'static str,
    past: Vec<&'static str>,
    engine: usize,
    /// Order in which it began.
    began: usize,
    reason: Option<&'static str>,
}

/// What the table says, applied.
#[derive(Clone, Default)]
struct Model {
    records: BTreeMap<&'static str, Record>,
    gone: bool,
    down: bool,
    count: usize,
}

impl Model {
    fn known(&self, id: &str) -> Known {
        self.records.get(id).map_or(Known::Nothing, |record| record.known)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Start(id, session, engine) => self.start(id, session, engine),
            Event::End(id) => self.comes(id, Comes::End),
            Event::EndOfOther => {}
            Event::EndOfEngine => {
                let on_first =
                    |(_, record): &(_, &Record)| record.known == Known::Plays && record.engine == 0;
                let newest = self.records.iter().filter(on_first).max_by_key(|(_, record)| record.began);
                if let Some(id) = newest.map(|(id, _)| *id) {
                    self.comes(id, Comes::EndOfEngineAlone);
                }
            }
            Event::Gone => {
                self.on_first(Comes::EngineGone);
                self.gone = true;
            }
            Event::Down(down) => {
                if down && !self.down && !self.gone {
                    self.on_first(Comes::HostDown);
                }
                self.down = down;
            }
        }
    }

    fn on_first(&mut self, comes: Comes) {
        let on_first = self.records.iter().filter(|(_, record)| record.engine == 0);
        for id in on_first.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.comes(id, comes);
        }
    }

    fn start(&mut self, id: &'static str, session: &'static str, engine: usize) {
        let known = self.records.get(id).filter(|record| record.known != Known::EndFirst);
        let is_same = known.is_some_and(|known| known.session == session);
        // What has no session cannot be told from its repeat once it is over.
        let is_plain = session.is_empty() && known.is_none_or(|known| known.known != Known::Plays);
        let comes = if is_same && !is_plain {
            match self.known(id) == Known::HostDown && !self.down && !self.gone {
                true => Comes::StartOfSameSessionWithHostBack,
                false => Comes::StartOfSameSession,
            }
        } else if !session.is_empty() && known.is_some_and(|known| known.past.contains(&session)) {
            Comes::StartOfPastSession
        } else if self.gone && engine == 0 && !(self.known(id) == Known::EndFirst && id == OWN) {
            Comes::StartOnEndedEngine
        } else if known.is_none() && id == OWN {
            Comes::StartNamedAfterSession
        } else {
            Comes::Start
        };
        let past =
            known.map_or_else(Vec::new, |known| known.past.iter().copied().chain([known.session]).collect());
        let effect = then(self.known(id), comes);
        self.count += 1;
        let fresh = Record { known: Known::Plays, session, past, engine, began: self.count, reason: None };
        match effect {
            Then::Begins | Then::Replaces => drop(self.records.insert(id, fresh)),
            Then::BeginsAndEnds(reason) => {
                let over = Record { known: Known::Over, reason: Some(reason), ..fresh };
                self.records.insert(id, over);
            }
            Then::GoesOn => {
                let record = self.records.get_mut(id).unwrap();
                (record.known, record.reason) = (Known::Plays, None);
            }
            Then::Nothing | Then::Refreshes => {}
            other => panic!("a start does {other:?}"),
        }
    }

    fn comes(&mut self, id: &'static str, comes: Comes) {
        match (then(self.known(id), comes), self.records.get_mut(id)) {
            (Then::Ends(reason), Some(record)) => {
                record.known = if comes == Comes::HostDown { Known::HostDown } else { Known::Over };
                record.reason = Some(reason);
            }
            (Then::Confirms, Some(record)) => (record.known, record.reason) = (Known::Over, Some(SAID)),
            (Then::Remembers, _) if id != NAMELESS => {
                let (session, past) = ("", Vec::new());
                let end = Record { known: Known::EndFirst, session, past, engine: 1, began: 0, reason: None };
                self.records.insert(id, end);
            }
            (Then::Nothing | Then::Remembers, _) => {}
            other => panic!("{comes:?} does {other:?}"),
        }
    }
}

/// A cluster with an engine on each of two hosts, and what the letters become there.
struct Stage {
    state: State,
    engines: [(EngineId, u16, String); 2],
}

impl Stage {
    fn new() -> Self {
        let mut world = World::new(2, 10);
        world.run(Command::RaiseLevel(Level::CURRENT));
        let [first, second] = [world.running(), world.running()];
        assert_ne!(first.node, second.node);
        let part = |engine: &acefleet_registry::Engine| {
            (engine.id, engine.ports.host_http, engine.container_id.as_deref().unwrap().to_owned())
        };
        Self { engines: [part(&first), part(&second)], state: world.state }
    }

    fn command(&self, event: Event) -> Command {
        let first = &self.engines[0];
        let (reason, container_id) = (Some(EndReason::Said(SAID.to_owned())), Some(first.2.clone()));
        match event {
            Event::Start(id, session, engine) => {
                let start = playing("k", session, self.engines[engine].1);
                Command::StreamStarted(StreamStart { id: id.into(), ..start }.into())
            }
            Event::End(id) => {
                Command::StreamEnded(StreamEnd { stream_id: Some(id.to_owned()), container_id: None, reason })
            }
            Event::EndOfEngine => Command::StreamEnded(StreamEnd { stream_id: None, container_id, reason }),
            Event::EndOfOther => {
                let stream_id = Some("k|other".to_owned());
                Command::StreamEnded(StreamEnd { stream_id, container_id, reason })
            }
            Event::Gone => gone(first.0),
            Event::Down(down) => Command::NodeDown { node: self.state.engine(first.0).unwrap().node, down },
        }
    }

    /// The streams as the model has them: without what is kept of sessions that gave way to others.
    fn streams(&self, state: &State) -> BTreeMap<String, (bool, String, usize, Option<String>)> {
        let of = |stream: &acefleet_registry::Stream| {
            let engine = self.engines.iter().position(|engine| Some(engine.0) == stream.engine);
            let reason = stream.end_reason.clone().map(String::from);
            let session = stream.start.playback_session_id.clone();
            (stream.start.id.to_string(), (stream.is_started(), session, engine.unwrap_or(9), reason))
        };
        let (aside, streams): (Vec<_>, Vec<_>) =
            state.streams().partition(|stream| stream.start.id.starts_with("superseded|"));
        assert!(aside.iter().all(|stream| !stream.is_started()));
        streams.into_iter().map(|stream| of(stream)).collect()
    }
}

fn expected(model: &Model) -> BTreeMap<String, (bool, String, usize, Option<String>)> {
    let listed = model.records.iter().filter(|(_, record)| record.known != Known::EndFirst);
    listed
        .map(|(id, record)| {
            let reason = record.reason.map(str::to_owned);
            let plays = record.known == Known::Plays;
            ((*id).to_owned(), (plays, record.session.to_owned(), record.engine, reason))
        })
        .collect()
}

fn every(stage: &Stage, state: &State, model: &Model, before: &mut Vec<Event>, left: usize, count: &mut u64) {
    for event in EVENTS {
        before.push(event);
        let (mut state, mut model) = (state.clone(), model.clone());
        let at_ms = state.clock_ms().plus(1);
        let op_id = OpId(7, before.len() as u64);
        apply(
            &mut state,
            &Proposal { op_id, at_ms, origin: NodeId(1), by: None, command: stage.command(event) },
            1,
        );
        model.take(event);
        assert_eq!(stage.streams(&state), expected(&model), "after {before:?}");
        *count += 1;
        if left > 1 {
            every(stage, &state, &model, before, left - 1, count);
        }
        before.pop();
    }
}

#[test]
fn every_order_of_five_events_comes_to_what_the_table_says() {
    let stage = Stage::new();
    let mut count = 0;
    every(&stage, &stage.state, &Model::default(), &mut Vec::new(), 5, &mut count);
    let letters = EVENTS.len() as u64;
    assert_eq!(count, (1..=5).map(|length| letters.pow(length)).sum::<u64>());
}
