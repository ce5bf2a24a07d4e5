//! What a setting is: its kind, where it stands in the documents, and the lookups over the one table of
//! all settings ([`super::settings`], [`super::retired`]). Documents, examples and checks come from it.

pub use super::retired::{RETIRED, Retired};
pub use super::settings::SETTINGS;

/// Prefix of the settings that only this program has. Unknown names with it are refused.
pub const PREFIX: &str = "ACEFLEET_";

/// Names the TOML file; it is read from the environment and `.env`, never from the file itself.
pub const CONFIG_NAME: &str = "ACEFLEET_CONFIG";

/// What the compose files, scripts and tests of this project read. They stand in the same shells and `.env`
/// files as settings and mean nothing to a node.
const TOOL_NAMES: [&str; 13] = [
    "ACEFLEET_BED_LOG",
    "ACEFLEET_BENCH_DIR",
    "ACEFLEET_BIN",
    "ACEFLEET_BLESS",
    "ACEFLEET_COMPOSE",
    "ACEFLEET_ENGINE_SIM_TAR",
    "ACEFLEET_IMAGE",
    "ACEFLEET_IMAGES",
    "ACEFLEET_IMAGE_ARCH",
    "ACEFLEET_IMAGE_LOAD",
    "ACEFLEET_IMAGE_TAR",
    "ACEFLEET_LEADER_KILLS",
    "ACEFLEET_PROFILE",
];

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A TCP port.
    Port,
    /// A whole number within inclusive bounds.
    Count {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// Seconds, decimals allowed, within inclusive bounds.
    Seconds {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
    },
    /// True or false.
    Flag,
    /// An inclusive range of ports.
    Ports,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A container label.
    Label,
    /// An amount of memory.
    Memory,
    /// An IP address without a port.
    Address,
    /// IP addresses without ports.
    Addresses,
    /// IP addresses and networks.
    Networks,
    /// An IP address with a port.
    Listener,
    /// A host name or IP address without a port.
    Host,
    /// Host names.
    Hosts,
    /// The first members of a cluster.
    Peers,
    /// Addresses of members of a running cluster.
    Members,
    /// A node name.
    Name,
    /// A directory.
    Directory,
    /// A file.
    File,
    /// A Docker image.
    Image,
    /// A tag of a Docker image.
    Tag,
    /// The name of a Docker network.
    Network,
    /// The name of a container.
    Container,
    /// The address of a Docker daemon.
    Docker,
    /// A log filter.
    Filter,
    /// An API key.
    Key,
}

impl Kind {
    /// What is accepted, in words that follow "accepted:".
    #[must_use]
    pub fn accepts(self) -> String {
        match self {
            Self::Port => "a port from 1 to 65535".into(),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Seconds { min, max } => format!("seconds from {min} to {max}, decimals allowed"),
            Self::Flag => "true or false (also yes/no, on/off, 1/0)".into(),
            Self::Ports => "two ports FIRST-LAST from 1 to 65535, FIRST not above LAST".into(),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Label => "KEY=VALUE with exactly one = and a key that is not empty".into(),
            Self::Memory => {
                "digits with an optional unit b, k, m or g, from 32m to 128g; 0 = unlimited".into()
            }
            Self::Address => "an IP address without a port, such as 0.0.0.0, 127.0.0.1 or ::".into(),
            Self::Addresses => {
                "IP addresses without ports, separated by commas, such as 127.0.0.1,::1".into()
            }
            Self::Networks => {
                "IP addresses and networks, separated by commas, such as 10.0.0.5,172.18.0.0/16,fd00::/8"
                    .into()
            }
            Self::Listener => "ADDRESS:PORT with an IP address, such as 0.0.0.0:8001 or [::]:8001".into(),
            Self::Host => "a host name or an IP address, without scheme and port".into(),
            Self::Hosts => "host names without ports, separated by commas".into(),
            Self::Peers => "NAME=HOST:PORT, separated by commas, this node included".into(),
            Self::Members => "HOST:PORT of cluster listeners, separated by commas".into(),
            Self::Name => "1 to 63 of the characters A-Z a-z 0-9 . _ -".into(),
            Self::Directory => "a directory".into(),
            Self::File => "a file".into(),
            Self::Image => "a Docker image, such as registry.example.org/name:tag".into(),
            Self::Tag => "a tag of a Docker image".into(),
            Self::Network => "the name of a Docker network".into(),
            Self::Container => "the name of a container".into(),
            Self::Docker => "unix:///PATH, tcp://HOST:PORT, http://HOST:PORT or https://HOST:PORT".into(),
            Self::Filter => {
                "a level (error, warn, info, debug, trace, off) or TARGET=LEVEL, separated by commas".into()
            }
            Self::Key => "printable ASCII characters without white space".into(),
        }
    }
}

/// A part of the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Who this node is and what it listens on.
    Node,
    /// Forming a cluster.
    Cluster,
    /// The public API.
    Api,
    /// Docker and the containers of engines.
    Engines,
    /// VPN containers.
    Vpn,
    /// How many engines there are.
    Scaling,
    /// Probes, statistics, breakers.
    Health,
    /// Logs.
    Logs,
}

impl Section {
    /// All of them, in the order of the documents.
    pub const ALL: [Self; 8] = [
        Self::Node,
        Self::Cluster,
        Self::Api,
        Self::Engines,
        Self::Vpn,
        Self::Scaling,
        Self::Health,
        Self::Logs,
    ];

    /// Its heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Node => "This node",
            Self::Cluster => "Cluster",
            Self::Api => "API",
            Self::Engines => "Docker and engines",
            Self::Vpn => "VPN (Gluetun) of this host",
            Self::Scaling => "How many engines",
            Self::Health => "Health, statistics, circuit breakers",
            Self::Logs => "Logs",
        }
    }
}

/// One setting that this version acts on.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Name in every source.
    pub name: &'static str,
    /// Where the documents have it.
    pub section: Section,
    /// What it takes.
    pub kind: Kind,
    /// Value when nothing sets it; empty when that is computed or none.
    pub default: &'static str,
    /// How a computed or missing default is described; empty when `default` says it all.
    pub default_words: &'static str,
    /// A value that somebody might set.
    pub example: &'static str,
    /// What it does, one or more sentences.
    pub meaning: &'static str,
    /// Never shown; can also be given as `NAME_FILE`.
    pub secret: bool,
}

impl Setting {
    /// A setting with a fixed default.
    #[must_use]
    pub const fn new(
        name: &'static str,
        section: Section,
        kind: Kind,
        default: &'static str,
        example: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self { name, section, kind, default, default_words: "", example, meaning, secret: false }
    }

    /// The same without a fixed default; `words` say what holds instead.
    #[must_use]
    pub const fn default_words(mut self, words: &'static str) -> Self {
        self.default_words = words;
        self
    }

    /// The same as a secret.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// The setting of this name, which is in upper case.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The retired setting of this name, which is in upper case.
#[must_use]
pub fn find_retired(name: &str) -> Option<&'static Retired> {
    RETIRED.iter().find(|retired| retired.name == name)
}

/// The secret whose value the file of this setting (`NAME_FILE`) holds.
#[must_use]
pub fn secret_of_file(name: &str) -> Option<&'static Setting> {
    find(name.strip_suffix("_FILE")?).filter(|setting| setting.secret)
}

/// True for every name that means something to this program.
#[must_use]
pub fn is_known(name: &str) -> bool {
    name == CONFIG_NAME
        || find(name).is_some()
        || find_retired(name).is_some()
        || secret_of_file(name).is_some()
}

/// True for a variable of this project's tools.
#[must_use]
pub fn is_tool_variable(name: &str) -> bool {
    TOOL_NAMES.contains(&name)
}

/// All names that somebody may have meant, for suggestions.
pub fn all_names() -> impl Iterator<Item = String> {
    SETTINGS
        .iter()
        .flat_map(|setting| {
            let file = setting.secret.then(|| format!("{}_FILE", setting.name));
            [Some(setting.name.to_owned()), file].into_iter().flatten()
        })
        .chain(std::iter::once(CONFIG_NAME.to_owned()))
}
