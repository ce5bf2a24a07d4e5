//! Where values come from: environment, `.env`, TOML file, the strongest first. Nothing is interpreted here.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Read;
use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::layer::{Layer, Source};
use super::report::Findings;
use super::table::CONFIG_NAME;
use super::{dotenv, toml_file};

/// Files that are read when nothing names one: in the working directory, then for the whole machine.
const FILES: [&str; 2] = ["acefleet.toml", "/etc/acefleet/acefleet.toml"];
/// Longest file that is read, in bytes: a device or a wrong file must not fill the memory.
const LONGEST_FILE: u64 = 1024 * 1024;

/// What a default may depend on.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Name of this machine.
    pub name: Option<String>,
    /// Address that it uses towards other machines.
    pub address: Option<IpAddr>,
    /// The process runs as root.
    pub root: bool,
    /// The name that a data directory has for its node, if it has one.
    pub recorded: Option<fn(&Path) -> Option<String>>,
}

impl Host {
    /// This machine.
    #[must_use]
    pub fn here() -> Self {
        Self {
            name: nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()),
            address: main_address(),
            root: nix::unistd::geteuid().is_root(),
            recorded: Some(acefleet_raft::recorded_name),
        }
    }
}

/// Connecting a UDP socket sends nothing but chooses the local address for the default route. The
/// targets are addresses for documentation, which nobody has.
fn main_address() -> Option<IpAddr> {
    [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")].into_iter().find_map(|(local, remote)| {
        let socket = UdpSocket::bind(local).ok()?;
        socket.connect(remote).ok()?;
        let address = socket.local_addr().ok()?.ip();
        (!address.is_unspecified()).then_some(address)
    })
}

/// All sources, the strongest first, and the findings from reading them.
#[derive(Clone, Debug)]
pub struct Sources {
    pub(super) layers: Vec<Layer>,
    pub(super) findings: Findings,
    pub(super) host: Host,
}

impl Sources {
    /// Reads the environment, `.env` in the working directory and the TOML file: `config`, else the one
    /// that `ACEFLEET_CONFIG` names, else the first that exists of `./acefleet.toml` and
    /// `/etc/acefleet/acefleet.toml`.
    #[must_use]
    pub fn gather(config: Option<&Path>) -> Self {
        let mut findings = Findings::default();
        let mut layers = vec![environment(&mut findings)];
        let path = PathBuf::from(".env");
        match read_file(&path) {
            Ok(Some(text)) => layers.push(dotenv::layer(path, &text, &mut findings)),
            Ok(None) => {}
            Err(reason) => findings.problem(".env", format!(".env: {reason}")),
        }
        let named = config.map(|path| (path.to_owned(), "--config".to_owned())).or_else(|| {
            layers.iter().find_map(|layer| {
                let path = layer.values.get(CONFIG_NAME).filter(|path| !path.trim().is_empty())?;
                Some((PathBuf::from(path.trim()), format!("{CONFIG_NAME} ({})", layer.source)))
            })
        });
        layers.extend(toml_layer(named, &mut findings));
        Self { layers, findings, host: Host::here() }
    }

    /// Sources made of given values, for tests: `toml` is the text of a file `acefleet.toml`.
    #[must_use]
    pub fn from_maps(environment: &[(&str, &str)], dotenv: &[(&str, &str)], toml: &str, host: Host) -> Self {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let mut findings = Findings::default();
        let mut layers = vec![
            Layer { source: Source::Environment, values: map(environment) },
            Layer { source: Source::DotEnv(".env".into()), values: map(dotenv) },
        ];
        layers.extend(toml_file::layer("acefleet.toml".into(), toml, &mut findings));
        Self { layers, findings, host }
    }

    /// Layers that somebody has read, the strongest first, and the findings from reading them.
    pub(crate) fn of_layers(layers: Vec<Layer>, findings: Findings, host: Host) -> Self {
        Self { layers, findings, host }
    }

    /// A variable of the environment that is not a setting, when it is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        let environment = self.layers.iter().find(|layer| layer.source == Source::Environment)?;
        environment.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

fn environment(findings: &mut Findings) -> Layer {
    let mut values = BTreeMap::new();
    for (name, value) in std::env::vars_os() {
        // A name that is not UTF-8 is none of ours.
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => {
                values.insert(name, value);
            }
            Err(_) if super::table::is_known(&name) => {
                findings.problem(&name, format!("{name} (environment): the value is not UTF-8 text"));
            }
            Err(_) => {}
        }
    }
    Layer { source: Source::Environment, values }
}

fn toml_layer(named: Option<(PathBuf, String)>, findings: &mut Findings) -> Option<Layer> {
    if let Some((path, by)) = named {
        return match read_file(&path) {
            Ok(Some(text)) => toml_file::layer(path, &text, findings),
            Ok(None) => {
                findings.problem(CONFIG_NAME, format!("{by}: the file {} does not exist", path.display()));
                None
            }
            Err(reason) => {
                findings.problem(CONFIG_NAME, format!("{by}: {}: {reason}", path.display()));
                None
            }
        };
    }
    for path in FILES.map(PathBuf::from) {
        match read_file(&path) {
            Ok(Some(text)) => return toml_file::layer(path, &text, findings),
            Ok(None) => {}
            Err(reason) => {
                let path = path.display().to_string();
                findings.problem(&path, format!("{path}: {reason}"));
                return None;
            }
        }
    }
    None
}

/// The text of a file, or none when there is no such file.
pub(crate) fn read_file(path: &Path) -> Result<Option<String>, String> {
    // To open a pipe waits for who writes, which may be for ever.
    let opened = OpenOptions::new().read(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits()).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot be read: {error}")),
    };
    let kind = file.metadata().map_err(|error| format!("cannot be read: {error}"))?;
    if !kind.is_file() {
        return Err(
            "is no regular file: write the value into one that only the user of the node can read".into()
        );
    }
    let mut bytes = Vec::new();
    file.take(LONGEST_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err("is longer than 1 MiB and cannot be a file of settings".into());
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())?;
    // Some editors put a byte order mark in front.
    Ok(Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)))
}
