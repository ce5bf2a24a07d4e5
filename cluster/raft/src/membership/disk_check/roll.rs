//! The members as a starting node knows them.

use std::collections::{BTreeMap, BTreeSet};

use crate::membership::removal::told_members;
use crate::store::MemberRecord;
use crate::transport::proto::HelloReply;

#[derive(Clone, Debug, Default)]
pub(super) struct Roll {
    pub index: u64,
    pub voters: BTreeSet<u64>,
    /// Names and addresses.
    pub members: BTreeMap<u64, (String, String)>,
}

impl Roll {
    pub fn of_founders(founders: &[MemberRecord]) -> Self {
        let member = |founder: &MemberRecord| (founder.id, (founder.name.clone(), founder.address.clone()));
        Self {
            index: 0,
            voters: founders.iter().map(|founder| founder.id).collect(),
            members: founders.iter().map(member).collect(),
        }
    }

    /// Adopts the members of a greeting if they are newer.
    pub fn learn(&mut self, hello: &HelloReply) {
        let Some((index, members)) = told_members(hello) else { return };
        if self.members.is_empty() || index > self.index {
            self.index = index;
            self.voters = members.iter().filter(|member| member.votes).map(|member| member.id).collect();
            self.members = members.iter().map(|m| (m.id, (m.name.clone(), m.address.clone()))).collect();
        }
    }
}
