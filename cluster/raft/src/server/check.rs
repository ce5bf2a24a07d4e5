//! What is checked of each call before its payload: the cluster, the node that is meant, and whether the connection may speak for the node
//! that it names.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tonic::{Request, Status};

use super::Service;
use super::door::Origin;
use crate::membership::introduction::{self, Said};
use crate::membership::speaks::{Part, Refused, owns, speaks};
use crate::replica::trust::Trust;
use crate::tls::Shown;
use crate::transport::proto;
use crate::types::Vote;
use crate::util::seldom::Seldom;

/// No election brings a term forward by so much: a vote that does is none.
const TERMS_AT_ONCE: u64 = 1 << 32;

/// Log lines about calls that are refused: one a minute of each kind.
#[derive(Debug, Default)]
pub(crate) struct RefusedCalls(Mutex<BTreeMap<Refused, Seldom>>);

impl RefusedCalls {
    fn refused(&self, why: Refused, origin: Origin, claimed: &str) {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(times) = kinds.entry(why).or_default().due() {
            let from = origin.address.map(|address| address.to_string()).unwrap_or_default();
            match why {
                Refused::OtherKey | Refused::NoKey => {
                    tracing::warn!(from, %why, times, "the cluster port refuses a call that claims to be of {claimed}");
                }
                // A node that was just taken in calls those, too, whose log does not list it yet.
                Refused::NoMember | Refused::NoVote => {
                    tracing::info!(from, %why, times, "the cluster port refuses a call that claims to be of {claimed}");
                }
            }
        }
    }
}

/// Who made a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender {
    /// The node.
    pub id: u64,
    /// Who is at the other end of its connection.
    pub origin: Origin,
}

/// Who is at the other end of the connection of a call.
pub(super) fn origin<T>(request: &Request<T>) -> Origin {
    let unknown = Origin { shown: Shown::Nothing, address: None };
    request.extensions().get().copied().unwrap_or(unknown)
}

impl Service {
    /// Refuses a call of another cluster, for another node, or of one that may not speak for the node that it names; returns that node.
    pub(super) fn check(
        &self,
        origin: Origin,
        route: Option<&proto::Route>,
        part: Part,
    ) -> Result<Sender, Status> {
        let route = route.ok_or_else(|| Status::invalid_argument("the route is missing"))?;
        let identity = self.0.identity.load();
        match identity.cluster_id.as_deref() {
            None => {
                return Err(Status::failed_precondition(format!(
                    "node {} belongs to no cluster yet",
                    identity.node_name
                )));
            }
            Some(own) if own != route.cluster_id => {
                return Err(Status::permission_denied(format!(
                    "node {} belongs to cluster {own}, the call is of cluster {}",
                    identity.node_name, route.cluster_id
                )));
            }
            Some(_) if route.to != identity.node_id => {
                return Err(Status::failed_precondition(format!(
                    "the call is for node id {}, but here is {} with node id {}",
                    route.to, identity.node_name, identity.node_id
                )));
            }
            Some(_) => {}
        }
        let sender = Sender { id: route.from, origin };
        self.may(sender, part)?;
        if self.0.is_recorded(route.from) {
            self.0.wire.called_by(route.from, &route.version, route.level);
        }
        Ok(sender)
    }

    /// The same for calls of leaders and candidates, which a node refuses until it has compared its disk.
    pub(super) fn check_part(&self, origin: Origin, route: Option<&proto::Route>) -> Result<Sender, Status> {
        let sender = self.check(origin, route, Part::Voter)?;
        match *self.0.trust.borrow() {
            Trust::Sound => Ok(sender),
            Trust::Waiting => Err(Status::failed_precondition(format!(
                "{} has not compared its disk with the other members yet; retry",
                self.0.options.node_name
            ))),
            Trust::Forgot => Err(Status::failed_precondition(format!(
                "the disk of {} has lost what it had acknowledged, and takes no part",
                self.0.options.node_name
            ))),
        }
    }

    /// Whether a sender may do this now: on open streams that is asked again for each message.
    pub(super) fn may(&self, sender: Sender, part: Part) -> Result<(), Status> {
        let Sender { id, origin } = sender;
        let known = self.0.known(id);
        let mut judged = speaks(origin.shown, known, part);
        let is_unknown = matches!(judged, Err(Refused::NoMember | Refused::NoVote));
        if part == Part::Voter && is_unknown {
            judged = match introduction::of(&self.0, id) {
                Some(Said::Member(told)) => speaks(origin.shown, Some(told), part),
                Some(Said::NoMember) => judged,
                // Nobody can tell, and without this leader the node might have none.
                Some(Said::Nothing) => owns(origin.shown, known.and_then(|known| known.key)),
                None => {
                    return Err(Status::failed_precondition(format!(
                        "{} does not know the node with id {id} and asks the other members about it; retry",
                        self.0.options.node_name
                    )));
                }
            };
        }
        if judged.is_ok() && part != Part::Any && known.is_some_and(|known| known.key.is_none()) {
            self.0.keys_seen.note(id, origin.shown);
        }
        judged.map_err(|why| {
            self.0.refused_calls.refused(why, origin, &self.0.name(id));
            Status::permission_denied(format!(
                "{} refuses calls of node id {id}: {why}",
                self.0.options.node_name
            ))
        })
    }

    /// The same for the vote of a leader, which a majority has granted.
    pub(super) fn check_leader(&self, sender: Sender, vote: &Vote) -> Result<(), Status> {
        self.check_vote(sender, vote)?;
        match vote.committed {
            true => Ok(()),
            false => Err(Status::invalid_argument(format!("node id {} has not won an election", sender.id))),
        }
    }

    /// Refuses a vote that is not the sender's own, or that no election can have led to.
    pub(super) fn check_vote(&self, sender: Sender, vote: &Vote) -> Result<(), Status> {
        let (Sender { id, .. }, voted) = (sender, &vote.leader_id);
        if voted.node_id != id {
            return Err(Status::permission_denied(format!(
                "node id {id} speaks for node id {}, which speaks for itself",
                voted.node_id
            )));
        }
        let (own, _) = self.0.leader();
        if voted.term.saturating_sub(own) > TERMS_AT_ONCE {
            return Err(Status::invalid_argument(format!(
                "term {} cannot follow upon term {own}",
                voted.term
            )));
        }
        Ok(())
    }
}
