//! Asks those that know a tunnel better than Docker's health check.

use std::time::{Duration, Instant};

use crate::agent::runtime::VpnView;
use crate::agent::vpn::control::ControlAnswer;
use crate::agent::vpn::engines;
use crate::agent::vpn::monitor::Monitor;
use crate::agent::vpn::verdict::{Look, Tunnel, Witness};
use crate::agent::vpn::words::{Answer, Word};

/// Between two questions for the public address while it decides whether Gluetun is believed.
const PROOF_EVERY: Duration = Duration::from_secs(10);

impl Monitor {
    /// What Docker says of a tunnel, corrected by those that know it better: Gluetun itself, then the engines behind it.
    pub(super) async fn question(&mut self, view: &VpnView, look: Look) -> Look {
        let now = Instant::now();
        let bases = self.bases(view);
        let is_due = self.opinion.is_due(&look, now);
        let has_failed_for = self.opinion.fails_for(now).unwrap_or_default();
        let asked = async {
            match is_due {
                true => engines::ask(&self.ctx, &self.client, &self.vpn.container, has_failed_for).await,
                false => None,
            }
        };
        let can_tell = matches!(look, Look::Running(Tunnel::Up | Tunnel::Down | Tunnel::Unchecked));
        let is_asked = can_tell && self.inquiry.is_due(now);
        let said = async {
            match is_asked {
                true => self.control.word(&bases).await,
                false => Answer::None,
            }
        };
        let (answers, said) = tokio::join!(asked, said);
        if let Some(answers) = answers {
            self.opinion.note(answers, now);
        }
        let told = if is_asked { self.inquiry.note(&said, Instant::now()) } else { None };
        if let Some(why) = told {
            tracing::warn!(
                vpn = self.vpn.container,
                why,
                "Gluetun does not tell whether its tunnel is up; its outages are seen later"
            );
        }
        let runs = said == Answer::Word(Word::Running);
        let look = match said {
            Answer::Word(word) if !runs => Look::Running(Tunnel::Said(word)),
            _ => look,
        };
        let may_decide = look == Look::Running(Tunnel::Down) && self.opinion.is_without_engines();
        let gluetun_is_sure = may_decide && runs && self.has_address(&bases).await;
        let fails_for = self.opinion.fails_for(now).filter(|_| look == Look::Running(Tunnel::Down));
        let plays = fails_for.and_then(|fails_for| {
            engines::that_plays(&self.ctx, &self.vpn.container, fails_for.min(engines::PLAYS_WITHIN))
        });
        let look = self.opinion.weigh(look, plays, gluetun_is_sure, now);
        let witness = match &look {
            Look::Running(Tunnel::Vouched(witness)) => Some(witness.clone()),
            _ => None,
        };
        let vpn = &self.vpn.container;
        match (&self.witness, &witness) {
            (None | Some(Witness::Gluetun), Some(Witness::Engine(engine))) => tracing::warn!(
                vpn,
                engine,
                "Docker calls the VPN container unhealthy, but an engine behind it is connected, or its stream gets data: it counts as healthy"
            ),
            (None, Some(Witness::Gluetun)) => tracing::warn!(
                vpn,
                "Docker calls the VPN container unhealthy, but Gluetun says that its tunnel is up, and no engine is there that could be \
                 asked: it counts as healthy until engines say that they are not connected"
            ),
            _ => {}
        }
        self.witness = witness;
        look
    }

    /// True when Gluetun tells a public address. It learns that through the tunnel, and forgets it when the tunnel goes down.
    async fn has_address(&mut self, bases: &[String]) -> bool {
        if let Some((at, has)) = self.proof
            && at.elapsed() < PROOF_EVERY
        {
            return has;
        }
        let has = match self.control.address(bases).await {
            ControlAnswer::Value(public) => {
                self.public = Some(public);
                true
            }
            ControlAnswer::None | ControlAnswer::Unavailable(_) => false,
            ControlAnswer::NotAsked(lack, why) => {
                self.could_not_ask(lack, &why);
                return false;
            }
        };
        self.proof = Some((Instant::now(), has));
        has
    }
}
