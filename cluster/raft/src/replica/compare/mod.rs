//! Replicas compare their states. Entries are the same on all, so a difference after one entry means that a program, a memory
//! or a disk has failed; nothing else would notice.

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
