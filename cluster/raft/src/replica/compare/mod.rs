//! Replicas compare what they hold. Entries are the same on all of them, so states that differ at one index mean that a
//! program, a memory or a disk has failed; nothing else would ever notice.

mod comparison;
pub(crate) mod message;
mod point;
mod rule;
mod run;

pub(crate) use comparison::Comparison;
pub(crate) use point::Due;
pub(crate) use run::run;

#[cfg(test)]
mod tests;
