//! Commands that wait: they look again and again, say how far it is, and say what is left when they end early.

use std::cell::RefCell;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::answer::Answer;
use super::ask::{Call, at_one_of};
use super::exit_code::{INTERNAL, TEMPORARY};
use super::failed::Failed;
use super::output;
use super::target::Nodes;

/// How often a wait looks again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a look shows.
pub(super) enum Found<T> {
    /// What was waited for.
    There(T),
    /// How far it is.
    NotYet(String),
}

/// A command of several steps, which may end at any of them.
pub(super) struct Steps {
    nodes: Nodes,
    /// What is left when it ends now.
    left: RefCell<String>,
    said: RefCell<String>,
}

impl Steps {
    /// A command that asks these nodes.
    pub fn new(nodes: Nodes) -> Self {
        Self { nodes, left: RefCell::new("nothing was changed".to_owned()), said: RefCell::default() }
    }

    /// From now on this is left when the command ends early.
    pub fn leaves(&self, left: impl Into<String>) {
        *self.left.borrow_mut() = left.into();
    }

    /// Does the work until it is done, the time is over, or a signal ends it.
    ///
    /// # Errors
    /// Those of the work, and that it was not done; all say what is left.
    pub async fn run<T>(
        &self,
        limit: Option<Duration>,
        work: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, Failed> {
        let stopped = async || {
            let mut term = signal(SignalKind::terminate())?;
            let mut int = signal(SignalKind::interrupt())?;
            tokio::select! { _ = term.recv() => {} _ = int.recv() => {} }
            Ok(())
        };
        let over = async {
            match limit {
                Some(limit) => sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let early = |why: String| Failed::new(TEMPORARY, why);
        let done = tokio::select! {
            done = work => done,
            stopped = stopped() => Err(match stopped {
                Ok(()) => early("it was interrupted".to_owned()),
                Err::<_, std::io::Error>(error) => Failed::new(INTERNAL, format!("no signal can be taken: {error}")),
            }),
            () = over => Err(early(format!("it was not done within {} s", limit.unwrap_or_default().as_secs()))),
        };
        done.map_err(|failed| failed.leaving(&self.left.borrow()))
    }

    /// Asks one of the nodes.
    ///
    /// # Errors
    /// As those of [`at_one_of`].
    pub async fn ask(&self, call: &Call) -> Result<Answer, Failed> {
        let nodes = &self.nodes;
        at_one_of(&nodes.urls, async |url| call.at(url, nodes.caller()).await).await
    }

    /// Asks the first of the nodes: the one that is meant where the command is about the node that is asked.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub async fn ask_first(&self, call: &Call) -> Result<Answer, Failed> {
        let nodes = &self.nodes;
        at_one_of(&nodes.urls[..1], async |url| call.at(url, nodes.caller()).await).await
    }

    /// Looks until something is there. Nodes that do not answer may be away for a while.
    ///
    /// # Errors
    /// When a node refuses, or `look` does.
    pub async fn until<T>(
        &self,
        ask: impl AsyncFn() -> Result<Answer, Failed>,
        look: impl Fn(Answer) -> Result<Found<T>, Failed>,
    ) -> Result<T, Failed> {
        loop {
            let line = match ask().await {
                Err(failed) if failed.code == TEMPORARY => failed.to_string(),
                answer => match look(answer?)? {
                    Found::There(found) => return Ok(found),
                    Found::NotYet(line) => line,
                },
            };
            self.say(&line);
            sleep(LOOK_EVERY).await;
        }
    }

    /// Says something that was not said last.
    pub fn say(&self, line: &str) {
        if *self.said.borrow() != line {
            output::complain(line);
            line.clone_into(&mut self.said.borrow_mut());
        }
    }
}
