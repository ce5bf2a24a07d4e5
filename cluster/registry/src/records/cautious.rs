//! How shared tables are decoded. Whoever wrote the bytes may lie about how many entries follow, and the containers would ask for memory for
//! all of them at once, which ends the process. Those of the standard library grow with what comes.

use std::collections::{BTreeMap, BTreeSet};

use imbl::{OrdMap, OrdSet, Vector};
use serde::{Deserialize, Deserializer};

pub(crate) fn map<'de, D, K, V>(from: D) -> Result<OrdMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord + Clone,
    V: Deserialize<'de> + Clone,
{
    BTreeMap::deserialize(from).map(|all| all.into_iter().collect())
}

pub(crate) fn set<'de, D, T>(from: D) -> Result<OrdSet<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Ord + Clone,
{
    BTreeSet::deserialize(from).map(|all| all.into_iter().collect())
}

pub(crate) fn vector<'de, D, T>(from: D) -> Result<Vector<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Clone,
{
    Vec::deserialize(from).map(Vector::from)
}
