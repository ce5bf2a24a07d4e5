//! What every call needs: connections, the route, and a note of how the call ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use acefleet_registry::Level;
use tonic::transport::Channel;

use super::MAX_MESSAGE;
use super::call_error::CallError;
use super::contacts::Contacts;
use super::pool::{Lane, Pool};
use super::proto::{self, forward_client::ForwardClient, node_client::NodeClient};
use super::reach::Reach;
use super::roll::Roll;
use super::ways::{System, Ways};
use super::write_streams::WriteStreams;
use crate::store::IdentityFile;
use crate::tls::Door;
use crate::tls::node_key::NodeKey;
use crate::types::Member;

/// Connections, and the identity of this node.
pub(crate) struct Wire {
    pool: Pool,
    pub(super) identity: Arc<IdentityFile>,
    contacts: Arc<Contacts>,
    pub(super) version: String,
    level: Level,
    roll: Arc<Roll>,
    /// The open stream of writes.
    pub(super) writes: WriteStreams,
}

impl Wire {
    pub fn new(
        door: Door,
        identity: Arc<IdentityFile>,
        contacts: Arc<Contacts>,
        version: String,
        level: Level,
    ) -> Self {
        Self::over(Arc::new(System), door, identity, contacts, version, level)
    }

    /// The same with other ways to connect.
    pub fn over(
        ways: Arc<dyn Ways>,
        door: Door,
        identity: Arc<IdentityFile>,
        contacts: Arc<Contacts>,
        version: String,
        level: Level,
    ) -> Self {
        let roll = Arc::new(Roll::default());
        Self {
            pool: Pool::new(ways, door, Arc::clone(&roll)),
            identity,
            contacts,
            version,
            level,
            roll,
            writes: WriteStreams::default(),
        }
    }

    /// Lets callers in, too.
    pub fn door(&self) -> &Door {
        self.pool.door()
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

    pub fn has_members(&self) -> bool {
        !self.roll.members().is_empty()
    }

    /// Takes over the membership in force.
    pub fn set_members(&self, members: BTreeMap<u64, Member>) {
        self.contacts.retain(&members);
        self.roll.set(members);
    }

    /// Dials a member at another address, while its record names the one where it was not found.
    pub fn redirect(&self, id: u64, recorded: &str, address: &str) {
        self.roll.redirect(id, recorded, address);
    }

    /// The present address of a member; openraft keeps passing the one that a client was made with.
    pub fn address(&self, id: u64, known: &Member) -> String {
        let members = self.roll.members();
        let recorded = members.get(&id).map_or(&known.address, |member| &member.address);
        self.roll.dialled(id, recorded)
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

    /// A member called.
    pub(crate) fn called_by(&self, id: u64, version: &str, level: u32) {
        self.contacts.contact(id, version, level);
        if let Some(member) = self.roll.members().get(&id) {
            self.called_from(&self.address(id, member));
        }
    }

    /// A node called that gives this address as its own.
    pub(crate) fn called_from(&self, address: &str) {
        if let Some(reach) = self.pool.known(address) {
            reach.called();
        }
    }

    /// Notes how a call to a member ended; returns the outcome.
    pub(super) fn noted<T>(
        &self,
        to: u64,
        address: &str,
        outcome: Result<T, CallError>,
    ) -> Result<T, CallError> {
        self.note(to, address, outcome.as_ref().err());
        outcome
    }

    /// Notes how a call to a member ended.
    pub(super) fn note(&self, to: u64, address: &str, error: Option<&CallError>) {
        self.note_at(address, error);
        // A node that is no member has no name here.
        if let Some(Member { name, .. }) = self.roll.members().get(&to) {
            match error {
                None => self.contacts.answered(to, name),
                Some(error) => self.contacts.missed(to, name, error),
            }
        }
    }

    pub(super) fn member_answered(&self, from: u64, address: &str, version: &str, level: u32, clock: u64) {
        self.reach(address).member_answered();
        if let Some(Member { name, .. }) = self.roll.members().get(&from) {
            self.contacts.answered(from, name);
        }
        self.contacts.contact(from, version, level);
        self.contacts.told_clock(from, clock);
    }

    /// Notes how a call to an address ended.
    pub(super) fn note_at(&self, address: &str, error: Option<&CallError>) {
        match error {
            // A refusal is an answer, perhaps of another node.
            None | Some(CallError::Refused(_)) => self.reach(address).answered(),
            Some(error @ (CallError::Timeout(_) | CallError::Broken(_))) => self.reach(address).failed(error),
            // The dial has noted it.
            Some(CallError::NotSent(_) | CallError::Unauthenticated(_)) => {}
        }
    }

    /// The envelope of a call; absent before this node belongs to a cluster.
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

    pub(super) fn key_of(&self, id: u64) -> Option<NodeKey> {
        self.roll.key_of(id)
    }

    pub(super) fn key_at(&self, address: &str) -> Option<NodeKey> {
        self.roll.key_at(address)
    }

    /// A connection for one call, to a node with this key, if one is known. The caller chooses the address, so the connection is not pooled.
    pub(super) fn aside(&self, address: &str, key: Option<NodeKey>) -> NodeClient<Channel> {
        NodeClient::new(self.pool.aside(address, key))
    }
}
