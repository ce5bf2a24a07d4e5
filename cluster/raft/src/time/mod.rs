//! The two times of a cluster: elapsed time, by which rules decide, and the time of day, which people see.

pub(crate) mod elapsed;
pub(crate) mod wall;
