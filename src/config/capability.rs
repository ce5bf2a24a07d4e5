//! Capabilities of Linux that an engine may keep: none but those that Docker gives without being asked.

use std::collections::BTreeSet;

use strum::{EnumString, IntoStaticStr};

use super::parse::Reason;

/// The word for no capability at all.
const NONE: &str = "none";

/// A capability, named as in `man 7 capabilities` without its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names are those of the kernel")]
pub enum Capability {
    AuditWrite,
    Chown,
    DacOverride,
    Fowner,
    Fsetid,
    Kill,
    Mknod,
    NetBindService,
    NetRaw,
    Setfcap,
    Setgid,
    Setpcap,
    Setuid,
    SysChroot,
}

/// Capabilities, separated by commas, or the word for none.
pub fn capabilities(text: &str) -> Result<BTreeSet<Capability>, Reason> {
    if text.eq_ignore_ascii_case(NONE) {
        return Ok(BTreeSet::new());
    }
    let read = |entry: &str| {
        let upper = entry.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        name.parse().map_err(|_| format!("{entry:?} is none that an engine may keep"))
    };
    text.split(',').map(str::trim).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_as_people_write_them() {
        let some = [Capability::Chown, Capability::NetBindService];
        for text in
            ["CHOWN,NET_BIND_SERVICE", "cap_chown, CAP_NET_BIND_SERVICE", "net_bind_service,chown,chown"]
        {
            assert_eq!(capabilities(text), Ok(some.into()), "{text}");
        }
        assert_eq!(capabilities("None"), Ok(BTreeSet::new()));
        for text in ["", "ALL", "SYS_ADMIN", "NET_ADMIN", "CHOWN,", "CHOWN SETUID"] {
            assert!(capabilities(text).is_err(), "{text:?}");
        }
    }
}
