//! What every call needs: connections, the route, and a note of how the call ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use acefleet_registry::Level;
use arc_swap::ArcSwap;
use tonic::transport::Channel;

use super::MAX_MESSAGE;
use super::call_error::CallError;
use super::contacts::Contacts;
use super::pool::{Lane, Pool};
use super::proto::{self, forward_client::ForwardClient, node_client::NodeClient};
use super::reach::Reach;
use super::ways::{System, Ways};
use super::write_streams::WriteStreams;
use crate::store::IdentityFile;
use crate::types::Member;

/// What every call needs: connections and who this node is.
pub(crate) struct Wire {
    pool: Pool,
    pub(super) identity: Arc<IdentityFile>,
    contacts: Arc<Contacts>,
    pub(super) version: String,
    level: Level,
    /// The membership in force.
    members: ArcSwap<BTreeMap<u64, Member>>,
    /// Addresses where members were not found, and those where they were.
    redirects: ArcSwap<BTreeMap<u64, (String, String)>>,
    /// The open stream of writes.
    pub(super) writes: WriteStreams,
}

impl Wire {
    pub fn new(identity: Arc<IdentityFile>, contacts: Arc<Contacts>, version: String, level: Level) -> Self {
        Self::over(Arc::new(System), identity, contacts, version, level)
    }

    /// The same with other ways to connect.
    pub fn over(
        ways: Arc<dyn Ways>,
        identity: Arc<IdentityFile>,
        contacts: Arc<Contacts>,
        version: String,
        level: Level,
    ) -> Self {
        Self {
            pool: Pool::new(ways),
            identity,
            contacts,
            version,
            level,
            members: ArcSwap::default(),
            redirects: ArcSwap::default(),
            writes: WriteStreams::default(),
        }
    }

    pub fn version(&self) -> &str {
        &self.version
    }

    /// Level of commands that this program knows.
    pub fn level(&self) -> Level {
        self.level
    }

    pub fn contacts(&self) -> &Contacts {
        &self.contacts
    }

    /// Whether it knows any members.
    pub fn has_members(&self) -> bool {
        !self.members.load().is_empty()
    }

    /// Takes over the membership in force.
    pub fn set_members(&self, members: BTreeMap<u64, Member>) {
        self.contacts.retain(&members);
        self.members.store(Arc::new(members));
    }

    /// Dials a member somewhere else, as long as its record says that it lives where it was not found.
    pub fn redirect(&self, id: u64, recorded: &str, address: &str) {
        self.redirects.rcu(|known| {
            let mut known = BTreeMap::clone(known);
            known.insert(id, (recorded.to_owned(), address.to_owned()));
            known
        });
    }

    /// Where a member lives now; openraft keeps telling the address it had when a client was made.
    pub fn address(&self, id: u64, known: &Member) -> String {
        let members = self.members.load();
        let recorded = members.get(&id).map_or(&known.address, |member| &member.address);
        let redirects = self.redirects.load();
        let redirect = redirects.get(&id).filter(|(missed, _)| missed == recorded);
        redirect.map_or(recorded, |(_, address)| address).clone()
    }

    pub(super) fn channel(&self, address: &str, lane: Lane) -> Channel {
        self.pool.channel(address, lane)
    }

    pub(super) fn node_id(&self) -> u64 {
        self.identity.load().node_id
    }

    /// When an address may be dialled.
    pub(super) fn reach(&self, address: &str) -> Arc<Reach> {
        self.pool.reach(address)
    }

    /// A member called this node.
    pub(crate) fn called_by(&self, id: u64, version: &str, level: u32) {
        self.contacts.contact(id, version, level);
        if let Some(member) = self.members.load().get(&id) {
            self.called_from(&self.address(id, member));
        }
    }

    /// Somebody who says to live there called this node.
    pub(crate) fn called_from(&self, address: &str) {
        if let Some(reach) = self.pool.known(address) {
            reach.called();
        }
    }

    /// Takes note of how a call to a member ended, and hands that on.
    pub(super) fn noted<T>(
        &self,
        to: u64,
        address: &str,
        outcome: Result<T, CallError>,
    ) -> Result<T, CallError> {
        self.note(to, address, outcome.as_ref().err());
        outcome
    }

    /// Takes note of how a call to a member ended.
    pub(super) fn note(&self, to: u64, address: &str, error: Option<&CallError>) {
        self.note_at(address, error);
        // Whoever is no member has no name, and is nobody's loss.
        if let Some(Member { name, .. }) = self.members.load().get(&to) {
            match error {
                None => self.contacts.answered(to, name),
                Some(error) => self.contacts.missed(to, name, error),
            }
        }
    }

    /// A member has answered.
    pub(super) fn member_answered(&self, from: u64, address: &str, version: &str, level: u32, clock: u64) {
        self.reach(address).member_answered();
        if let Some(Member { name, .. }) = self.members.load().get(&from) {
            self.contacts.answered(from, name);
        }
        self.contacts.contact(from, version, level);
        self.contacts.told_clock(from, clock);
    }

    /// Takes note of how a call to an address ended.
    pub(super) fn note_at(&self, address: &str, error: Option<&CallError>) {
        match error {
            // A refusal is an answer, though perhaps not of the node that was meant.
            None | Some(CallError::Refused(_)) => self.reach(address).answered(),
            Some(error @ (CallError::Timeout(_) | CallError::Broken(_))) => self.reach(address).failed(error),
            // The dial has said so itself.
            Some(CallError::NotSent(_)) => {}
        }
    }

    /// The envelope of a call; there is none before this node belongs to a cluster.
    pub(super) fn route(&self, to: u64) -> Result<proto::Route, CallError> {
        let identity = self.identity.load();
        let cluster_id = identity
            .cluster_id
            .clone()
            .ok_or_else(|| CallError::NotSent("this node belongs to no cluster yet".into()))?;
        Ok(proto::Route {
            cluster_id,
            from: identity.node_id,
            to,
            version: self.version.clone(),
            level: self.level.0,
        })
    }

    pub(super) fn forward(&self, member: &Member, lane: Lane) -> ForwardClient<Channel> {
        ForwardClient::new(self.channel(&member.address, lane))
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    pub(super) fn node(&self, address: &str) -> NodeClient<Channel> {
        NodeClient::new(self.channel(address, Lane::Calls))
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    /// A connection for one call. Whoever asks to join says at which address to call back, so these are
    /// not kept.
    pub(super) fn unverified(&self, address: &str) -> NodeClient<Channel> {
        NodeClient::new(self.pool.aside(address))
    }
}
