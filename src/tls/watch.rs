//! Looks whether the files have changed, and what is to be said of the certificate in use.

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::pair::Contents;
use super::remark::{date, day, of_time};
use super::{Keeper, Pair, PairError, Remark, remarks};
use crate::config::TlsFiles;

/// How often the files are read. They are small, and programs that renew certificates tell nobody.
const EVERY: Duration = Duration::from_secs(5);

type Digest = [u8; 32];

/// What a look has found.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing new.
    Same,
    /// A pair to use from now on.
    New(Pair),
    /// Files that cannot be used: what is in use stays.
    Broken(PairError),
}

/// What was seen in the files.
pub(super) struct Seen {
    in_use: Digest,
    /// Of files that could not be used, and whether that was said.
    broken: Option<(Digest, bool)>,
}

impl Seen {
    pub(super) fn new(in_use: Digest) -> Self {
        Self { in_use, broken: None }
    }

    /// What these contents mean. Broken ones are told at the second look: programs write one file after the other.
    pub(super) fn look(&mut self, contents: &Contents) -> Found {
        let digest = contents.digest();
        if digest == self.in_use {
            self.broken = None;
            return Found::Same;
        }
        let said = match self.broken {
            Some((known, said)) if known == digest => Some(said),
            _ => None,
        };
        if said == Some(true) {
            return Found::Same;
        }
        match contents.pair() {
            Ok(pair) => {
                *self = Self::new(digest);
                Found::New(pair)
            }
            Err(error) => {
                self.broken = Some((digest, said.is_some()));
                if said.is_some() { Found::Broken(error) } else { Found::Same }
            }
        }
    }
}

/// Keeps the pair in use that of the files, until cancelled. `now` gives seconds since 1970; `host` is under what others know this node.
/// `contents` are those of the pair in use.
pub async fn run(
    files: TlsFiles,
    contents: Contents,
    keeper: Arc<Keeper>,
    host: String,
    now: impl Fn() -> i64,
    cancel: CancellationToken,
) {
    let mut seen = Seen::new(contents.digest());
    let mut said = Said::new();
    // A pair that clients would refuse now, while they take the one in use.
    let mut waits: Option<Pair> = None;
    let keep = async {
        loop {
            if let Some(pair) = waits.take_if(|pair| takes_over(pair, &keeper.pair(), now()).is_ok()) {
                tracing::info!(
                    until = date(pair.until),
                    "new connections get the certificate that is in the files now"
                );
                keeper.take(pair);
                said.clear();
            }
            warn(&keeper.pair(), &host, now(), &mut said);
            tokio::time::sleep(EVERY).await;
            let files = files.clone();
            let Ok(contents) = tokio::task::spawn_blocking(move || Contents::read(&files)).await else {
                // A panic was reported where it happened.
                continue;
            };
            match seen.look(&contents) {
                Found::Same => {}
                Found::New(pair) => {
                    if let Err(why) = takes_over(&pair, &keeper.pair(), now()) {
                        tracing::warn!(
                            until = date(keeper.until()),
                            "the files of the certificate have changed, and the one before stays in use: the new one {why}"
                        );
                    }
                    waits = Some(pair);
                }
                Found::Broken(error) => tracing::warn!(
                    %error,
                    until = date(keeper.until()),
                    "the files of the certificate have changed and cannot be used: the one before stays in use"
                ),
            }
        }
    };
    cancel.run_until_cancelled(keep).await;
}

/// Whether a new pair is used in the place of the one in use. The error says what clients would have against it, while they take the other.
pub(super) fn takes_over(new: &Pair, old: &Pair, now: i64) -> Result<(), String> {
    let is_taken =
        |pair: &Pair| matches!(of_time(pair.from, pair.until, now), None | Some(Remark::EndsSoon { .. }));
    match of_time(new.from, new.until, now) {
        Some(Remark::Ended { until }) if is_taken(old) => Err(format!("has ended ({})", date(until))),
        Some(Remark::NotYet { from }) if is_taken(old) => {
            Err(format!("does not count before {}, and is used from then on", date(from)))
        }
        _ => Ok(()),
    }
}

/// What was said of the certificate in use, each with its day.
type Said = HashMap<Discriminant<Remark>, i64>;

/// Says each remark once a day, and those that no time changes once for each certificate.
fn warn(pair: &Pair, host: &str, now: i64, said: &mut Said) {
    let today = day(now);
    for remark in remarks(pair, host, now) {
        let last = said.insert(discriminant(&remark), today);
        let again = !matches!(remark, Remark::OtherName { .. } | Remark::OfAuthority);
        if last.is_none_or(|last| again && last != today) {
            tracing::warn!("{remark}");
        }
    }
}
