//! Exit codes of all commands, as in `sysexits.h`.

/// Settings or arguments are wrong (`EX_USAGE`): a restart does not help.
pub const CONFIGURATION: u8 = 64;
/// A fault inside or around the program (`EX_SOFTWARE`).
pub const INTERNAL: u8 = 70;
/// Not now (`EX_TEMPFAIL`): a repeat may help.
pub const TEMPORARY: u8 = 75;
