//! Where the members are, and which key each of them has to prove.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::tls::node_key::NodeKey;
use crate::types::Member;

/// The members in force.
#[derive(Debug, Default)]
pub(super) struct Roll {
    members: ArcSwap<BTreeMap<u64, Member>>,
    /// By member: the recorded address where it was not found, and the one where it was.
    redirects: ArcSwap<BTreeMap<u64, (String, String)>>,
}

impl Roll {
    pub fn members(&self) -> arc_swap::Guard<Arc<BTreeMap<u64, Member>>> {
        self.members.load()
    }

    pub fn set(&self, members: BTreeMap<u64, Member>) {
        self.members.store(Arc::new(members));
    }

    /// A member answers at another address than the recorded one.
    pub fn redirect(&self, id: u64, recorded: &str, address: &str) {
        self.redirects.rcu(|known| {
            let mut known = BTreeMap::clone(known);
            known.insert(id, (recorded.to_owned(), address.to_owned()));
            known
        });
    }

    /// The address at which a member is dialled, if it is recorded at this one.
    pub fn dialled(&self, id: u64, recorded: &str) -> String {
        let redirects = self.redirects.load();
        let redirect = redirects.get(&id).filter(|(missed, _)| missed == recorded);
        redirect.map_or(recorded, |(_, address)| address).to_owned()
    }

    /// The key of a member, if it is known.
    pub fn key_of(&self, id: u64) -> Option<NodeKey> {
        self.members.load().get(&id)?.key
    }

    /// The key of the member that is dialled at this address, if it is known.
    pub fn key_at(&self, address: &str) -> Option<NodeKey> {
        let members = self.members.load();
        let at = members.iter().find(|(id, member)| self.dialled(**id, &member.address) == address);
        at.and_then(|(_, member)| member.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_to_prove_its_key_where_it_is_dialled() {
        let roll = Roll::default();
        let key = NodeKey::of_test(1);
        let member = Member { key: Some(key), ..Member::new("b", "b:1") };
        roll.set([(2, member), (3, Member::new("c", "c:1"))].into());
        assert_eq!((roll.key_at("b:1"), roll.key_at("c:1"), roll.key_at("d:1")), (Some(key), None, None));
        roll.redirect(2, "b:1", "b:2");
        assert_eq!((roll.key_at("b:1"), roll.key_at("b:2")), (None, Some(key)));
        assert_eq!(roll.dialled(2, "b:3"), "b:3", "it has moved since");
    }
}
