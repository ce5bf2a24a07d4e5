//! Exit codes of all commands, as in `sysexits.h`.

/// Settings or arguments are wrong (`EX_USAGE`): a restart does not help.
pub const CONFIGURATION: u8 = 64;
/// A fault of the program or the system (`EX_SOFTWARE`).
pub const INTERNAL: u8 = 70;
/// A temporary failure (`EX_TEMPFAIL`): a repeat may help.
pub const TEMPORARY: u8 = 75;
