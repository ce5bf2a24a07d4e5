//! Failures of calls that come from this node itself: they say nothing about whom it called.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Mutex;

use acefleet_raft::Seldom;
use nix::errno::Errno;

use crate::agent::lock::unpoisoned;

/// What this node lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnLack {
    /// It has as many files and connections open as it may.
    Handles,
    /// It has no memory for a connection.
    Memory,
    /// It has no address or free port to call from.
    Port,
    /// It may not call there.
    Permission,
}

impl OwnLack {
    /// What a failed call shows, if it failed for want of something here.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let Some(io) = error.downcast_ref::<io::Error>() else {
                cause = error.source();
                continue;
            };
            if let Some(code) = io.raw_os_error() {
                return Self::of_code(Errno::from_raw(code));
            }
            // What an error of the library wraps is no source of it.
            cause = io.get_ref().map(|inner| inner as &(dyn Error + 'static));
        }
        None
    }

    fn of_code(code: Errno) -> Option<Self> {
        match code {
            Errno::EMFILE | Errno::ENFILE => Some(Self::Handles),
            Errno::ENOBUFS | Errno::ENOMEM => Some(Self::Memory),
            Errno::EADDRNOTAVAIL => Some(Self::Port),
            Errno::EACCES | Errno::EPERM => Some(Self::Permission),
            _ => None,
        }
    }

    /// Whether it spoils every call, and not only those to one address.
    pub(super) fn is_general(self) -> bool {
        matches!(self, Self::Handles | Self::Memory)
    }
}

impl fmt::Display for OwnLack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handles => "file handles (raise its `LimitNOFILE`, in a container `--ulimit nofile`)",
            Self::Memory => "memory for connections",
            Self::Port => "an address or a free port to call from (see `net.ipv4.ip_local_port_range`)",
            Self::Permission => "the permission to call (look at this host's firewall)",
        })
    }
}

/// Tells what this node lacks, once a minute while it lasts.
#[derive(Debug, Default)]
pub(super) struct Lacks(Mutex<[Seldom; 4]>);

impl Lacks {
    /// A call failed for this; `what` names whom it would have asked.
    pub(super) fn note(&self, lack: OwnLack, what: &str, error: &dyn fmt::Display) {
        let mut told = unpoisoned(&self.0);
        if let Some(times) = told[lack as usize].due() {
            tracing::warn!(
                what,
                times,
                %error,
                "this node lacks {lack}: it cannot ask, and takes nobody for sick because of that"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_lack_is_found_however_deep_it_is_wrapped() {
        for (code, lack) in [
            (Errno::EMFILE, Some(OwnLack::Handles)),
            (Errno::ENFILE, Some(OwnLack::Handles)),
            (Errno::ENOBUFS, Some(OwnLack::Memory)),
            (Errno::ENOMEM, Some(OwnLack::Memory)),
            (Errno::EADDRNOTAVAIL, Some(OwnLack::Port)),
            (Errno::EACCES, Some(OwnLack::Permission)),
            (Errno::EPERM, Some(OwnLack::Permission)),
            (Errno::ECONNREFUSED, None),
            (Errno::EHOSTUNREACH, None),
            (Errno::ECONNRESET, None),
            (Errno::ETIMEDOUT, None),
        ] {
            let raw = || io::Error::from_raw_os_error(code as i32);
            assert_eq!(OwnLack::of(&raw()), lack, "{code}");
            assert_eq!(OwnLack::of(&Outer(io::Error::other(Outer(io::Error::other(raw()))))), lack, "{code}");
        }
        assert_eq!(
            OwnLack::of(&io::Error::from(io::ErrorKind::PermissionDenied)),
            None,
            "nobody knows whose"
        );
    }
}
