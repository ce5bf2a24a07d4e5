//! The rules: pure functions of the state, of what was observed and of the moment. A rule says why not.

pub mod hosts;
