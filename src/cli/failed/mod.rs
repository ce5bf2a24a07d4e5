//! Why a call has no answer: one line and an exit code.

mod refused;

use std::fmt::{self, Display, Formatter};

use acefleet::config::table::URL_NAME;
use reqwest::Url;

use super::client::Unanswered;
use super::exit_code::{CONFIGURATION, TEMPORARY};
use super::output;
pub(super) use refused::refused;

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Failed {
    /// Exit code of the command.
    pub code: u8,
    why: String,
    /// What helps.
    to_do: Option<String>,
    kind: Kind,
}

/// What is known of a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The node does not know what was named.
    Unknown,
    /// Nothing was sent.
    NotConnected,
    /// It was sent, and there is no answer.
    Silent,
    /// The same of a change, which may have been done.
    Unsure,
    Other,
}

impl Failed {
    /// A failure with this exit code.
    pub fn new(code: u8, why: impl Into<String>) -> Self {
        Self { code, why: why.into(), to_do: None, kind: Kind::Other }
    }

    /// The same, with what helps.
    fn with(self, to_do: impl Into<String>) -> Self {
        Self { to_do: Some(to_do.into()), ..self }
    }

    /// No member has this name.
    pub fn no_member(name: &str) -> Self {
        Self { kind: Kind::Unknown, ..Self::new(CONFIGURATION, "") }.about(Named::Member, name)
    }

    /// Says of what the node does not know how it was named, and how the right name is found.
    pub fn about(self, named: Named, name: &str) -> Self {
        match self.kind {
            Kind::Unknown => Self {
                why: named.unknown(name, &self.why),
                to_do: Some(named.listed_by().to_owned()),
                kind: Kind::Other,
                ..self
            },
            _ => self,
        }
    }

    /// Whether the node does not know what was named.
    pub fn is_unknown(&self) -> bool {
        self.kind == Kind::Unknown
    }

    /// The same of a call that would have changed something.
    pub fn of_a_change(self) -> Self {
        match self.kind {
            Kind::Silent => {
                let to_do = format!(
                    "it may have been done all the same: look at another node, with --url or {URL_NAME}, before you repeat it"
                );
                Self { to_do: Some(to_do), kind: Kind::Unsure, ..self }
            }
            _ => self,
        }
    }

    /// Says what to do when nobody knows whether it was done.
    pub fn when_unsure(self, to_do: impl Into<String>) -> Self {
        match self.kind {
            Kind::Unsure => self.with(to_do),
            _ => self,
        }
    }

    /// Whether another node may be asked the same: this one did nothing.
    pub fn may_ask_another(&self) -> bool {
        matches!(self.kind, Kind::NotConnected | Kind::Silent)
    }

    /// The same of a command of several steps, with what it leaves behind.
    pub fn leaving(self, left: &str) -> Self {
        Self { why: format!("{}; {left}", self.why), ..self }
    }

    /// Both; what helps is said once.
    pub fn and(self, other: Self) -> Self {
        Self { why: format!("{}; {}", self.why, other.why), ..other }
    }
}

impl Display for Failed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)?;
        self.to_do.iter().try_for_each(|to_do| write!(f, "; {to_do}"))
    }
}

/// What a name in the arguments stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named {
    /// A member.
    Member,
    /// An engine.
    Engine,
    /// An engine or a VPN container, both of which have logs.
    Container,
    /// A stream.
    Stream,
    /// A revision of the settings.
    Revision,
}

impl Named {
    /// That there is none. Nodes name their routes in what they say of members and settings, which are not called by hand here.
    fn unknown(self, name: &str, said: &str) -> String {
        match self {
            Self::Member => format!("{name}: no member is named so"),
            Self::Revision => format!("the settings of revision {name} are not known"),
            Self::Engine | Self::Container | Self::Stream => format!("{name}: {said}"),
        }
    }

    fn listed_by(self) -> &'static str {
        match self {
            Self::Member => "`acefleet members` lists them",
            Self::Engine => "`acefleet engine ls` lists the engines",
            Self::Container => "`acefleet engine ls` lists the engines, `acefleet vpn` the VPN containers",
            Self::Stream => "`acefleet stream ls` lists the streams",
            Self::Revision => "`acefleet settings history` lists those that are",
        }
    }
}

/// A name in the arguments that becomes a part of an address, where these would stand for another address.
pub(super) fn name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" | "." | ".." => Err("this is no name".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// The exit code of a command. Says why it failed, in one line.
pub(super) fn finish(done: Result<u8, Failed>) -> u8 {
    done.unwrap_or_else(|failed| {
        output::complain(&failed.to_string());
        failed.code
    })
}

/// An address that was asked, without parameters, which nobody gave.
pub(super) fn without_parameters(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.to_string()
}

/// A node that does not answer.
pub(super) fn unreachable(url: &Url, error: &Unanswered) -> Failed {
    let (kind, to_do) = match error {
        Unanswered::Untrusted(_) => (
            Kind::NotConnected,
            "name the file of the authority that issued its certificate with --ca, call it by a name that the certificate has, or name \
             another one",
        ),
        Unanswered::NoAuthorities(_) => (
            Kind::NotConnected,
            "install ca-certificates, name a file of authorities with --ca, or name another one",
        ),
        Unanswered::NoTls => (Kind::NotConnected, "write http://, or name another one"),
        error if error.is_connect() => {
            (Kind::NotConnected, "start a node there with `acefleet serve`, or name another one")
        }
        _ => (Kind::Silent, "its process may hang or be stopped: look on its host, or name another node"),
    };
    let why = format!("{} does not answer: {error}", host(url));
    Failed { code: TEMPORARY, why, to_do: Some(format!("{to_do} with --url or {URL_NAME}")), kind }
}

/// A node that ends in the middle of an answer.
pub(super) fn broken_off(url: &Url) -> Failed {
    let why = format!("{} ends before it has answered", host(url));
    let to_do = Some(format!("name another node with --url or {URL_NAME}"));
    Failed { code: TEMPORARY, why, to_do, kind: Kind::Silent }
}

/// Where a node is, for people.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
