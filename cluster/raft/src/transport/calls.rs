//! The calls to other nodes, one function each.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tonic::Request;

use super::call_error::{CallError, bounded};
use super::pool::Lane;
use super::proto;
use super::protocol;
use super::wire::Wire;
use crate::store::Standing;
use crate::tls::node_key::NodeKey;
use crate::types::Member;
use crate::util::span::millis;

impl Wire {
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

    /// Sends a change of the members to the leader.
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

    /// Asks which node is at an address, within the back-off of that address.
    pub async fn hello(
        &self,
        address: &str,
        own_address: &str,
        limit: Duration,
    ) -> Result<proto::HelloReply, CallError> {
        self.hello_with(address, own_address, Vec::new(), limit).await
    }

    /// The same, with a nonce that the other node answers with a proof of its key.
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
        let reply = outcome?;
        match self.unproved(address, &reply) {
            None => Ok(reply),
            // It calls itself a member whose key it has not been asked for: now it is.
            Some(key) => self.hello_proved(address, own_address, Some(key), limit).await,
        }
    }

    /// The key that the node at this address has to prove for what it says of itself, if it has not been asked for.
    fn unproved(&self, address: &str, reply: &proto::HelloReply) -> Option<NodeKey> {
        let key = self.key_of(reply.node_id)?;
        (self.key_at(address) != Some(key)).then_some(key)
    }

    /// Asks which node is at an address now, over a connection of its own.
    pub async fn hello_once(
        &self,
        address: &str,
        own_address: &str,
        limit: Duration,
    ) -> Result<proto::HelloReply, CallError> {
        let reply = self.hello_proved(address, own_address, None, limit).await?;
        match self.key_of(reply.node_id) {
            None => Ok(reply),
            Some(key) => self.hello_proved(address, own_address, Some(key), limit).await,
        }
    }

    /// The same of a node that has to prove this key, if one is known.
    pub async fn hello_proved(
        &self,
        address: &str,
        own_address: &str,
        key: Option<NodeKey>,
        limit: Duration,
    ) -> Result<proto::HelloReply, CallError> {
        let mut client = self.aside(address, key);
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
        let mut client = self.aside(address, None);
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
        let mut client = self.aside(address, None);
        bounded(limit, client.join(Request::new(request))).await
    }

    /// Reports the standing of this disk to a member.
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
        let mut client = self.aside(&member.address, member.key);
        bounded(limit, client.farewell(Request::new(request))).await?;
        Ok(())
    }

    /// Sends a request that this crate does not understand, with the clocks and state points of this node.
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
