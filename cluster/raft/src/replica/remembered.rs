//! Standing of the other members, as each of them last told this node.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::Standing;

#[derive(Debug, Default)]
pub(crate) struct Remembered {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    members: BTreeMap<u64, Standing>,
    fresh: bool,
}

impl Remembered {
    pub fn new(members: BTreeMap<u64, Standing>) -> Self {
        Self { state: Mutex::new(State { members, fresh: false }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a few plain assignments: a panic elsewhere cannot leave it half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A member told its standing.
    pub fn learn(&self, id: u64, told: &Standing) {
        let mut state = self.state();
        let known = state.members.entry(id).or_default();
        let before = *known;
        known.learn(told);
        let changed = *known != before;
        state.fresh |= changed;
    }

    /// Standing that a member told; empty before the first.
    pub fn of(&self, id: u64) -> Standing {
        self.state().members.get(&id).copied().unwrap_or_default()
    }

    /// Forgets former members.
    pub fn retain(&self, is_member: impl Fn(u64) -> bool) {
        let mut state = self.state();
        let before = state.members.len();
        state.members.retain(|id, _| is_member(*id));
        state.fresh |= state.members.len() != before;
    }

    /// Everything, if it changed since the last call.
    pub fn take(&self) -> Option<BTreeMap<u64, Standing>> {
        let mut state = self.state();
        std::mem::take(&mut state.fresh).then(|| state.members.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Db;
    use crate::testing::log_id;

    fn at(index: u64) -> Standing {
        Standing { vote: None, last: Some(log_id(index)), committed: Some(log_id(index)) }
    }

    #[test]
    fn a_standing_is_stored_once_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let remembered = Remembered::default();
        assert_eq!(remembered.take(), None);
        remembered.learn(2, &at(7));
        remembered.learn(3, &at(5));
        remembered.learn(2, &at(6));
        let taken = remembered.take().unwrap();
        assert_eq!(taken, BTreeMap::from([(2, at(7)), (3, at(5))]), "it went back");
        remembered.learn(2, &at(7));
        assert_eq!(remembered.take(), None, "nothing new");
        {
            let db = Db::create(dir.path()).unwrap();
            assert_eq!(db.remembered().unwrap(), BTreeMap::new());
            db.remember(&taken).unwrap();
            db.sync().unwrap();
        }
        let again = Remembered::new(Db::open(dir.path()).unwrap().remembered().unwrap());
        assert_eq!((again.of(2), again.of(3), again.of(4)), (at(7), at(5), Standing::default()));
        again.retain(|id| id == 3);
        assert_eq!(again.take(), Some(BTreeMap::from([(3, at(5))])));
    }
}
