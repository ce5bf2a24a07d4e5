//! What a setting is: its kind, its section of the documents, its default and its meaning.

use acefleet_registry::settings::{Form, Name};

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
    /// A span of time with its unit, within inclusive bounds in seconds.
    Span {
        /// Shortest.
        min: u64,
        /// Longest.
        max: u64,
    },
    /// Where backups are kept.
    BackupPlace,
    /// True or false.
    Flag,
    /// An inclusive range of ports.
    Ports,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A container label.
    Label,
    /// Patterns of keys of container labels.
    Labels,
    /// An amount of memory.
    Memory,
    /// Capabilities of Linux.
    Capabilities,
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
    /// The name of a header of HTTP.
    Header,
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
    /// Patterns of Docker images.
    Images,
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
    /// The kind of a cluster-wide setting.
    const fn of(form: Form) -> Self {
        match form {
            Form::Count { min, max } => Self::Count { min, max },
            Form::Millis { min, max } => {
                Self::Seconds { min: min as f64 / 1_000.0, max: max as f64 / 1_000.0 }
            }
            Form::Flag => Self::Flag,
            Form::Ports => Self::Ports,
            Form::Label => Self::Label,
        }
    }

    /// What is accepted, in words that follow "accepted:".
    #[must_use]
    pub fn accepts(self) -> String {
        match self {
            Self::Port => "a port from 1 to 65535".into(),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Seconds { min, max } => format!("seconds from {min} to {max}, decimals allowed"),
            Self::Span { min, max } => {
                format!("a whole number with a unit s, m, h or d, from {min}s to {}d", max / 86_400)
            }
            Self::BackupPlace => "the whole path of a folder, such as /var/backups/acefleet, or s3://BUCKET/PREFIX".into(),
            Self::Flag => "true or false (also yes/no, on/off, 1/0)".into(),
            Self::Ports => "two ports FIRST-LAST from 1 to 65535, FIRST not above LAST".into(),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Label => "KEY=VALUE with exactly one = and a key that is not empty".into(),
            Self::Labels => "keys of labels, separated by commas; a star stands for any run of characters".into(),
            Self::Memory => {
                "digits with an optional unit b, k, m or g, from 32m to 128g; 0 = unlimited".into()
            }
            Self::Capabilities => {
                "none, or some of AUDIT_WRITE, CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, MKNOD, NET_BIND_SERVICE, NET_RAW, SETFCAP, \
                 SETGID, SETPCAP, SETUID and SYS_CHROOT, separated by commas"
                    .into()
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
            Self::Header => "the name of a header that a proxy sets, such as Remote-User, and that means nothing else".into(),
            Self::Peers => "NAME=HOST:PORT, separated by commas, this node included".into(),
            Self::Members => "HOST:PORT of cluster listeners, separated by commas".into(),
            Self::Name => "1 to 63 of the characters A-Z a-z 0-9 . _ -".into(),
            Self::Directory => "a directory".into(),
            Self::File => "a file".into(),
            Self::Image => "a Docker image, such as registry.example.org/name:tag".into(),
            Self::Images => {
                "Docker images, separated by commas; a star stands for any run of characters but a slash, and alone for every image".into()
            }
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
    /// Backups that a node makes by itself.
    Backups,
    /// Logs.
    Logs,
}

impl Section {
    /// All of them, in the order of the documents.
    pub const ALL: [Self; 9] = [
        Self::Node,
        Self::Cluster,
        Self::Api,
        Self::Engines,
        Self::Vpn,
        Self::Scaling,
        Self::Health,
        Self::Backups,
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
            Self::Backups => "Backups",
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
    /// Of use once. Its file may be gone afterwards.
    pub passing: bool,
    /// The cluster-wide setting of which this is the first value; none for settings of a node.
    pub shared: Option<Name>,
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
        Self {
            name,
            section,
            kind,
            default,
            default_words: "",
            example,
            meaning,
            secret: false,
            passing: false,
            shared: None,
        }
    }

    /// A cluster-wide setting, of which nodes have the first value only.
    #[must_use]
    pub const fn shared(
        name: Name,
        section: Section,
        default: &'static str,
        example: &'static str,
        meaning: &'static str,
    ) -> Self {
        let setting = Self::new(name.as_str(), section, Kind::of(name.form()), default, example, meaning);
        Self { shared: Some(name), ..setting }
    }

    /// The same without a fixed default; `words` describe it.
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

    /// The same, of use once.
    #[must_use]
    pub const fn passing(mut self) -> Self {
        self.passing = true;
        self
    }
}
