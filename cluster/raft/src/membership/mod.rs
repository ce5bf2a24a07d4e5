//! Formation, joining, changes of the members, and what a node does about its own membership.

pub(crate) mod access;
pub(crate) mod admit;
pub(crate) mod change;
pub(crate) mod commit;
pub(crate) mod disk_check;
pub(crate) mod enroll;
pub(crate) mod formation;
pub(crate) mod introduction;
pub(crate) mod join;
pub(crate) mod keys;
mod moves;
pub(crate) mod place;
pub(crate) mod reconfigure;
mod removal;
mod replace;
pub(crate) mod speaks;
pub(crate) mod submit;
pub(crate) mod tend;
pub(crate) mod twin;
