//! One source of values.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// One of the places that values come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The environment of the process.
    Environment,
    /// A `.env` file.
    DotEnv(PathBuf),
    /// A service of a compose file.
    Compose(PathBuf),
    /// A TOML file.
    Toml(PathBuf),
    /// The file that a `NAME_FILE` setting names.
    SecretFile(PathBuf),
    /// Nothing set it.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("environment"),
            Self::DotEnv(path) | Self::Compose(path) | Self::Toml(path) | Self::SecretFile(path) => {
                write!(f, "{}", path.display())
            }
            Self::Default => f.write_str("default"),
        }
    }
}

/// The values of one source, by name as it stands there (TOML: in upper case).
#[derive(Clone, Debug)]
pub struct Layer {
    /// Where they come from.
    pub source: Source,
    /// The values as text.
    pub values: BTreeMap<String, String>,
}
