//! What each life gets: a fault, and numbers that follow from the seed alone, in whichever order lives are over.

use std::time::Duration;

/// What happens once in a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The engine's container is killed.
    Killed,
    /// Its process is stopped: it takes connections and answers nothing.
    Hung,
    /// Its container is paused.
    Paused,
    /// It answers with the status 500.
    Error,
    /// It answers with HTML.
    NotJson,
    /// It ends by itself within seconds of its start.
    DiesYoung,
    /// No event tells of the stream's start.
    StartLost,
    /// No event tells of its end.
    EndLost,
    /// Both events are sent twice, through two nodes at once.
    Doubled,
    /// The end is sent before the start.
    Reordered,
    /// The player is gone without a word to the engine or to a node.
    PlayerGone,
    /// Two viewers have one id: the first of them ends it, and nothing is said at the true end.
    SharedId,
    /// The leader's node is killed and started again.
    LeaderKilled,
    /// A host's cable is pulled.
    Unplugged,
    /// A host's cable is pulled for so long that the host counts as down.
    Away,
    /// A host loses its power, and gets it back.
    PowerLost,
    /// A host's Docker stands still.
    DockerPaused,
    /// All engines of a host hang.
    HostHung,
}

/// All of them.
pub const FAULTS: [Fault; 18] = [
    Fault::Killed,
    Fault::Hung,
    Fault::Paused,
    Fault::Error,
    Fault::NotJson,
    Fault::DiesYoung,
    Fault::StartLost,
    Fault::EndLost,
    Fault::Doubled,
    Fault::Reordered,
    Fault::PlayerGone,
    Fault::SharedId,
    Fault::LeaderKilled,
    Fault::Unplugged,
    Fault::Away,
    Fault::PowerLost,
    Fault::DockerPaused,
    Fault::HostHung,
];

/// While a host is away, no other host has a fault. So only the first deck and every one of so many have it.
const AWAY_EACH: usize = 6;

impl Fault {
    /// True for what befalls a host or a node: one at a time, so that a majority is left.
    pub fn is_of_host(self) -> bool {
        matches!(
            self,
            Self::LeaderKilled
                | Self::Unplugged
                | Self::Away
                | Self::PowerLost
                | Self::DockerPaused
                | Self::HostHung
        )
    }
}

/// The fault of each life. The first ones are one of each kind; then those of hosts, which have to wait for one another, are rarer.
pub fn faults(seed: u64, lives: usize) -> Vec<Fault> {
    let mut dice = Dice::new(seed, u64::MAX);
    let mut all = Vec::new();
    let mut deck = shuffled(FAULTS.to_vec(), &mut dice);
    let mut decks = 1;
    while all.len() < lives {
        if deck.is_empty() {
            decks += 1;
            let is_rare = |fault: &Fault| *fault == Fault::Away && decks % AWAY_EACH != 0;
            let of_engines = FAULTS.into_iter().filter(|fault| !fault.is_of_host());
            let further = FAULTS.into_iter().filter(|fault| !is_rare(fault)).chain(of_engines);
            deck = shuffled(further.collect(), &mut dice);
        }
        all.extend(deck.pop());
    }
    all
}

fn shuffled(mut faults: Vec<Fault>, dice: &mut Dice) -> Vec<Fault> {
    for at in (1..faults.len()).rev() {
        faults.swap(at, dice.below(at + 1));
    }
    faults
}

/// SplitMix64.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Those of one life.
    pub fn new(seed: u64, life: u64) -> Self {
        let mut mixed = Self(seed ^ life.wrapping_mul(0xd6e8_feb8_6659_fd93));
        Self(mixed.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// A time between these, in milliseconds.
    pub fn between(&mut self, least_ms: u64, most_ms: u64) -> Duration {
        Duration::from_millis(least_ms + self.below((most_ms - least_ms) as usize) as u64)
    }
}

#[test]
fn each_kind_comes_once_before_any_comes_twice() {
    for seed in 0..100 {
        let mut first = faults(seed, FAULTS.len());
        assert_eq!(first, faults(seed, 3 * FAULTS.len())[..FAULTS.len()], "the same seed, another number");
        first.sort_unstable();
        assert_eq!(first, FAULTS);
    }
    assert_ne!(faults(1, FAULTS.len()), faults(2, FAULTS.len()));
}
