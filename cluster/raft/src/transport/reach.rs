//! The back-off of an address, for dials and for streams, shared by all connections to it. A member that is away costs few
//! dials, and one that refuses streams costs few streams, however often it is called.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::pause;

/// A member whose own side fails brings no more than one dial and one row of streams forward in this time.
const REVIVED_EVERY: Duration = Duration::from_secs(1);

/// The back-off of one address. Only an answer ends it: a connection without an answer is no success.
#[derive(Debug)]
pub(super) struct Reach {
    state: Mutex<State>,
    /// Fires when somebody who waits should look again.
    moved: Notify,
}

#[derive(Debug)]
struct State {
    /// Dials since the last answer.
    dials: u32,
    /// No dial before this.
    next: Instant,
    /// A dial without a result yet.
    open: bool,
    /// Failed streams of log entries or snapshots in a row, whatever else the member answered.
    dry: u32,
    /// No stream before this.
    rest: Instant,
    /// When an answer last ended that.
    answered: Option<Instant>,
    /// When a call from the member last brought a dial forward.
    called: Option<Instant>,
    /// Newest election for which a dial was brought forward.
    term: u64,
    /// Why the last attempt failed.
    why: String,
}

/// No dial now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waits {
    /// Why the last attempt failed.
    pub why: String,
    /// When the next may be made.
    pub next: Instant,
}

impl Reach {
    pub fn new() -> Self {
        let state = State {
            dials: 0,
            next: Instant::now(),
            open: false,
            dry: 0,
            rest: Instant::now(),
            answered: None,
            called: None,
            term: 0,
            why: "no answer yet".to_owned(),
        };
        Self { state: Mutex::new(state), moved: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The data is plain: a panic elsewhere cannot leave it half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Permits a dial. While another dial is open it waits for the result of that one.
    pub async fn enter(&self) -> Result<(), Waits> {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let next = {
                let mut state = self.state();
                let now = Instant::now();
                if now >= state.next {
                    state.dials = state.dials.saturating_add(1);
                    state.next = now + pause::after(state.dials);
                    state.open = true;
                    return Ok(());
                }
                if !state.open {
                    return Err(Waits { why: state.why.clone(), next: state.next });
                }
                state.next
            };
            tokio::select! {
                () = moved => {}
                () = tokio::time::sleep_until(next.into()) => {}
            }
        }
    }

    /// Waits until a dial and a stream are allowed.
    pub async fn ready(&self) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let next = {
                let state = self.state();
                state.next.max(state.rest)
            };
            if Instant::now() >= next {
                return;
            }
            tokio::select! {
                () = moved => {}
                () = tokio::time::sleep_until(next.into()) => {}
            }
        }
    }

    /// Some node answered.
    pub fn answered(&self) {
        let mut state = self.state();
        if state.dials > 0 {
            (state.dials, state.open, state.next) = (0, false, Instant::now());
            drop(state);
            self.moved.notify_waiters();
        }
    }

    /// The member itself answered a call: it may accept now what it refused before.
    pub fn member_answered(&self) {
        self.answered();
        let now = Instant::now();
        let mut state = self.state();
        let lately = state.answered.is_some_and(|at| now < at + REVIVED_EVERY);
        if state.dry > 0 && !lately {
            state.answered = Some(now);
            (state.dry, state.rest) = (0, now);
            drop(state);
            self.moved.notify_waiters();
        }
    }

    /// A stream brought an answer, or ended without one.
    pub fn flowed(&self, answered: bool) {
        let mut state = self.state();
        state.dry = if answered { 0 } else { state.dry.saturating_add(1) };
        // One failure may be the end of an old connection, which a new one mends.
        state.rest = Instant::now() + pause::after(state.dry.saturating_sub(1));
    }

    /// A dial or a call failed.
    pub fn failed(&self, why: &dyn std::fmt::Display) {
        let mut state = self.state();
        state.why = why.to_string();
        if std::mem::take(&mut state.open) {
            drop(state);
            self.moved.notify_waiters();
        }
    }

    /// The member called: it runs again, so it is dialled at once.
    pub fn called(&self) {
        let now = Instant::now();
        let mut state = self.state();
        let lately = state.called.is_some_and(|at| now < at + REVIVED_EVERY);
        if (state.dials > 0 || state.dry > 0) && !lately {
            state.called = Some(now);
            state.next = state.next.min(now);
            (state.dry, state.rest) = (0, now);
            drop(state);
            self.moved.notify_waiters();
        }
    }

    /// This node stands for election: one more dial for each term, as every vote may be needed.
    pub fn elects(&self, term: u64) {
        let mut state = self.state();
        if term > state.term {
            state.term = term;
            if state.dials > 0 {
                state.next = Instant::now();
                drop(state);
                self.moved.notify_waiters();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// Dials in this time by a caller that always tries.
    async fn dials(reach: &Reach, during: Duration) -> usize {
        let end = Instant::now() + during;
        let mut made = 0;
        while Instant::now() < end {
            match reach.enter().await {
                Ok(()) => {
                    made += 1;
                    reach.failed(&"refused");
                }
                Err(waits) => {
                    assert_eq!(waits.why, "refused");
                    tokio::time::sleep_until(waits.next.min(end).into()).await;
                }
            }
        }
        made
    }

    #[tokio::test]
    async fn dials_become_rare_and_an_answer_ends_that() {
        let reach = Reach::new();
        // At 0, 100, 300 and 700 ms; a slow machine makes fewer.
        assert!((2..=4).contains(&dials(&reach, Duration::from_secs(1)).await));
        assert!(reach.enter().await.is_err());
        reach.answered();
        assert_eq!(reach.enter().await, Ok(()));
    }

    #[tokio::test]
    async fn a_second_caller_waits_for_the_result_of_the_first_dial() {
        let reach = Reach::new();
        reach.enter().await.unwrap();
        let (second, ()) = tokio::join!(reach.enter(), async { reach.failed(&"reset") });
        assert_eq!(second.unwrap_err().why, "reset");

        reach.answered();
        reach.enter().await.unwrap();
        let (second, ()) = tokio::join!(reach.enter(), async { reach.answered() });
        assert_eq!(second, Ok(()));
    }

    #[tokio::test]
    async fn a_call_from_the_member_and_an_election_bring_one_dial_forward() {
        let reach = Reach::new();
        for term in 1..=8 {
            reach.elects(term);
            reach.enter().await.unwrap();
            reach.failed(&"refused");
        }
        assert!(reach.enter().await.is_err());
        reach.elects(8);
        assert!(reach.enter().await.is_err(), "a second dial for one term");
        reach.called();
        reach.enter().await.unwrap();
        reach.failed(&"refused");
        reach.called();
        assert!(reach.enter().await.is_err(), "calls that come one after the other bring one dial");
    }

    #[tokio::test]
    async fn failed_streams_become_rare_until_the_member_calls_or_answers() {
        let reach = Reach::new();
        let may = || reach.ready().now_or_never().is_some();
        let refuse = || {
            for _ in 0..8 {
                reach.answered();
                reach.flowed(false);
            }
        };
        reach.flowed(false);
        assert!(may(), "one failure may be the end of an old connection");
        refuse();
        assert!(!may(), "a refusal is an answer, but brings no stream");
        assert_eq!(reach.enter().await, Ok(()), "other calls are made all the same");
        reach.member_answered();
        assert!(may());
        refuse();
        reach.member_answered();
        assert!(!may(), "a member that answers calls and refuses streams is tried again each time");
        reach.called();
        assert!(may());
        refuse();
        reach.called();
        assert!(!may());
        reach.flowed(true);
        assert!(may());

        refuse();
        let began = Instant::now();
        reach.state().called = None;
        let ((), ()) = tokio::join!(reach.ready(), async { reach.called() });
        assert!(began.elapsed() < pause::after(7), "it waited for the end of the pause");
    }

    #[tokio::test]
    async fn an_answer_ends_the_wait() {
        let reach = Reach::new();
        for term in 1..=8 {
            reach.elects(term);
            reach.enter().await.unwrap();
            reach.failed(&"refused");
        }
        let began = Instant::now();
        let ((), ()) = tokio::join!(reach.ready(), async { reach.answered() });
        assert!(began.elapsed() < pause::after(8), "it waited for the next dial");
    }
}
