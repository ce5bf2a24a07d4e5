//! Calls to peers: adds the route, bounds the time, sorts the errors.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::Level;
use arc_swap::ArcSwap;
use bytes::Bytes;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use super::MAX_MESSAGE;
use super::forward::WriteStreams;
use super::pool::{Lane, Pool, dial_error};
use super::proto::{self, forward_client::ForwardClient, node_client::NodeClient};
use super::reach::Reach;
use super::ways::{System, Ways};
use crate::store::{IdentityFile, Standing};
use crate::transport::contacts::Contacts;
use crate::transport::protocol;
use crate::types::Member;
use crate::util::span::millis;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nothing left this node.
    #[error("{0}")]
    NotSent(String),
    /// The peer refused before it looked at the payload: another cluster, another node, stopping.
    #[error("{0}")]
    Refused(String),
    /// No answer in time; the peer may have handled the request.
    #[error("no answer in {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The connection broke; the peer may have handled the request.
    #[error("{0}")]
    Broken(String),
}

impl CallError {
    /// Sorts the error of a finished call.
    pub(super) fn from_status(status: &Status) -> Self {
        if let Some(error) = dial_error(status) {
            return Self::NotSent(error.to_string());
        }
        let text = match innermost(status) {
            Some(cause) => format!("the connection broke: {cause}"),
            None => format!("{}: {}", status.code(), status.message()),
        };
        match status.code() {
            Code::FailedPrecondition | Code::PermissionDenied | Code::InvalidArgument => Self::Refused(text),
            _ => Self::Broken(text),
        }
    }
}

/// What happened on this side of the connection; nothing when the peer sent this status.
fn innermost(status: &Status) -> Option<&dyn Error> {
    let mut found = status.source()?;
    while let Some(cause) = found.source() {
        found = cause;
    }
    Some(found)
}

/// Awaits a call for at most `limit`.
pub(super) async fn bounded<T>(
    limit: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(CallError::from_status(&status)),
        Err(_) => Err(CallError::Timeout(limit)),
    }
}

/// What every call needs: connections and who this node is.
pub(crate) struct Wire {
    pool: Pool,
    identity: Arc<IdentityFile>,
    contacts: Arc<Contacts>,
    version: String,
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
        self.contacts.heard_peer(id, version, level);
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
    pub(super) fn heard(&self, from: u64, address: &str, version: &str, level: u32, clock: u64) {
        self.reach(address).heard();
        if let Some(Member { name, .. }) = self.members.load().get(&from) {
            self.contacts.answered(from, name);
        }
        self.contacts.heard_peer(from, version, level);
        self.contacts.told_clock(from, clock);
    }

    /// Takes note of how a call to an address ended.
    fn note_at(&self, address: &str, error: Option<&CallError>) {
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

    fn node(&self, address: &str) -> NodeClient<Channel> {
        NodeClient::new(self.channel(address, Lane::Calls))
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    /// A connection for one call. Whoever asks to join says at which address to call back, so these are
    /// not kept.
    fn unverified(&self, address: &str) -> NodeClient<Channel> {
        NodeClient::new(self.pool.aside(address))
    }

    /// Asks the leader for a read index.
    pub async fn read_index(
        &self,
        to: u64,
        member: &Member,
        deadline: Instant,
    ) -> Result<proto::ReadIndexReply, CallError> {
        let limit = remaining(deadline);
        let request = proto::ReadIndexRequest { route: Some(self.route(to)?), remaining_ms: millis(limit) };
        let mut client = self.forward(member, Lane::Urgent);
        let outcome = bounded(limit, client.read_index(Request::new(request))).await;
        self.noted(to, &member.address, outcome)
    }

    /// Hands a change of the members to the leader.
    pub async fn change_members(
        &self,
        to: u64,
        member: &Member,
        change: Vec<u8>,
        deadline: Instant,
    ) -> Result<proto::MembersReply, CallError> {
        let limit = remaining(deadline);
        let request = proto::MembersRequest {
            route: Some(self.route(to)?),
            change: change.into(),
            remaining_ms: millis(limit),
        };
        let mut client = self.forward(member, Lane::Calls);
        let outcome = bounded(limit, client.change_members(Request::new(request))).await;
        self.noted(to, &member.address, outcome)
    }

    /// Asks an address of the settings or of a member who lives there, as often as it may be dialled.
    pub async fn hello(
        &self,
        address: &str,
        own_address: &str,
        limit: Duration,
    ) -> Result<proto::HelloReply, CallError> {
        self.hello_with(address, own_address, Vec::new(), limit).await
    }

    /// The same with a question about its key, see [`crate::membership::access`].
    pub async fn hello_with(
        &self,
        address: &str,
        own_address: &str,
        nonce: Vec<u8>,
        limit: Duration,
    ) -> Result<proto::HelloReply, CallError> {
        let mut client = self.node(address);
        let greeting = self.greeting(own_address, nonce);
        let outcome = bounded(limit, client.hello(Request::new(greeting))).await;
        self.note_at(address, outcome.as_ref().err());
        outcome
    }

    /// Asks an address who lives there now, over a connection of its own.
    pub async fn hello_once(
        &self,
        address: &str,
        own_address: &str,
        limit: Duration,
    ) -> Result<proto::HelloReply, CallError> {
        let mut client = self.unverified(address);
        bounded(limit, client.hello(Request::new(self.greeting(own_address, Vec::new())))).await
    }

    fn greeting(&self, own_address: &str, nonce: Vec<u8>) -> proto::HelloRequest {
        let identity = self.identity.load();
        proto::HelloRequest {
            name: identity.node_name.clone(),
            node_id: identity.node_id,
            address: own_address.to_owned(),
            version: self.version.clone(),
            protocol: Some(protocol::own()),
            nonce: nonce.into(),
        }
    }

    /// Tells a founder which cluster it belongs to.
    pub async fn form(
        &self,
        address: &str,
        request: proto::FormRequest,
        limit: Duration,
    ) -> Result<(), CallError> {
        let mut client = self.unverified(address);
        bounded(limit, client.form(Request::new(request))).await?;
        Ok(())
    }

    /// Asks a member to take this node in.
    pub async fn join(
        &self,
        address: &str,
        request: proto::JoinRequest,
        limit: Duration,
    ) -> Result<proto::JoinReply, CallError> {
        let mut client = self.unverified(address);
        bounded(limit, client.join(Request::new(request))).await
    }

    /// Tells a member how far the disk of this node has come.
    pub async fn report(
        &self,
        to: u64,
        member: &Member,
        standing: &Standing,
        limit: Duration,
    ) -> Result<(), CallError> {
        let request = proto::ReportRequest { route: Some(self.route(to)?), standing: Some(standing.into()) };
        let mut client = self.node(&member.address);
        let outcome = bounded(limit, client.report(Request::new(request))).await;
        self.noted(to, &member.address, outcome).map(|_| ())
    }

    /// Tells a node that it is no member any more.
    pub async fn farewell(&self, to: u64, member: &Member, limit: Duration) -> Result<(), CallError> {
        let request = proto::FarewellRequest { route: Some(self.route(to)?) };
        let mut client = self.unverified(&member.address);
        bounded(limit, client.farewell(Request::new(request))).await?;
        Ok(())
    }

    /// Asks a member something that this crate does not understand, and tells it this node's clocks and what it holds.
    pub async fn ask(
        &self,
        to: u64,
        member: &Member,
        request: Bytes,
        clock: proto::Clock,
        points: Vec<proto::StatePoint>,
        deadline: Instant,
    ) -> Result<proto::AskReply, CallError> {
        let request = proto::AskRequest { route: Some(self.route(to)?), request, clock: Some(clock), points };
        let mut client = self.node(&member.address);
        let outcome = bounded(remaining(deadline), client.ask(Request::new(request))).await;
        self.noted(to, &member.address, outcome)
    }
}

fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
