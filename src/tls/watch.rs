//! Looks whether the files have changed, and what is to be said of the certificate in use.

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::pair::Contents;
use super::remark::{date, day};
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
    let keep = async {
        loop {
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
                    tracing::info!(
                        until = date(pair.until),
                        "new connections get the certificate that is in the files now"
                    );
                    keeper.take(pair);
                    said.clear();
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
