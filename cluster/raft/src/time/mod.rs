//! The two times of a cluster: the time that its leaders have watched, by which rules decide, and the time of day, for people.

pub(crate) mod elapsed;
pub(crate) mod wall;
