//! The files of the orchestrator of before: `.env`, and a compose file with the files that it names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::dotenv;
use crate::config::layer::{Layer, Source};
use crate::config::report::Findings;
use crate::config::sources::read_file;
use crate::migrate::compose::{self, Service};
use crate::migrate::interpolate::interpolate;

/// Names of compose files, the one that counts first.
const COMPOSE_FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// Files that a service may name.
const ENV_FILES_MAX: usize = 16;

/// Why there is nothing to judge.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Fault {
    /// A file that was named does not exist.
    #[error("the file {0} does not exist")]
    Missing(PathBuf),
    /// A file cannot be read.
    #[error("{0}: {1}")]
    Unreadable(PathBuf, String),
    /// There is no file.
    #[error("there is neither a .env nor a compose file here: name them with --env and --compose")]
    Nothing,
    /// A compose file has no service that looks like the orchestrator.
    #[error("{0}: no service in it looks like the orchestrator (by its image, its name or its settings)")]
    NoService(PathBuf),
}

/// What the files say.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Values, the strongest first.
    pub layers: Vec<Layer>,
    /// What is wrong with the files.
    pub findings: Findings,
    /// The files that were read, and the service of the compose file.
    pub read: Vec<String>,
}

/// Reads the files, or those of the working directory when none is named.
///
/// # Errors
/// When there is nothing to judge.
pub fn gather(env: Option<&Path>, compose: Option<&Path>) -> Result<Given, Fault> {
    let mut given = Given::default();
    let env_path = match (env, compose) {
        (Some(env), _) => env.to_owned(),
        // A compose file gets its variables from beside it.
        (None, Some(compose)) => compose.with_file_name(".env"),
        (None, None) => PathBuf::from(".env"),
    };
    let env_text = read(&env_path)?;
    if env.is_some() && env_text.is_none() {
        return Err(Fault::Missing(env_path));
    }
    let env_layer = env_text.map(|text| {
        given.read.push(env_path.display().to_string());
        dotenv::layer(env_path, &text, &mut given.findings)
    });
    let here = || COMPOSE_FILES.iter().map(PathBuf::from).find(|path| path.is_file());
    let compose_path = match (env, compose) {
        (_, Some(compose)) => Some(compose.to_owned()),
        (None, None) => here(),
        (Some(_), None) => None,
    };
    if let Some(path) = compose_path {
        let text = read(&path)?.ok_or_else(|| Fault::Missing(path.clone()))?;
        of_compose(&path, &text, env_layer.as_ref(), &mut given)?;
    }
    given.layers.extend(env_layer);
    if given.layers.is_empty() { Err(Fault::Nothing) } else { Ok(given) }
}

fn read(path: &Path) -> Result<Option<String>, Fault> {
    read_file(path).map_err(|why| Fault::Unreadable(path.to_owned(), why))
}

/// Adds what the service of the orchestrator says. Its `environment` is stronger than the files that it names.
fn of_compose(path: &Path, text: &str, env: Option<&Layer>, given: &mut Given) -> Result<(), Fault> {
    let project =
        compose::parse(text).map_err(|fault| Fault::Unreadable(path.to_owned(), fault.to_string()))?;
    let (name, service) = compose::orchestrator(&project).ok_or_else(|| Fault::NoService(path.to_owned()))?;
    given.read.push(format!("{} (service {name})", path.display()));
    let empty = BTreeMap::new();
    let variables = env.map_or(&empty, |layer| &layer.values);
    let values = environment(service, variables, path, given);
    given.layers.push(Layer { source: Source::Compose(path.to_owned()), values });
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    // The last one that is named is the strongest.
    for file in service.env_file.0.iter().take(ENV_FILES_MAX).rev() {
        let named = interpolate(&file.path, variables).unwrap_or_default();
        let file = folder.join(named.strip_prefix("./").unwrap_or(&named));
        // It is read already, and is the weakest.
        if env.is_some_and(|layer| layer.source == Source::DotEnv(file.clone())) {
            continue;
        }
        match read(&file)? {
            Some(text) => {
                given.read.push(file.display().to_string());
                let layer = dotenv::layer(file, &text, &mut given.findings);
                given.layers.push(layer);
            }
            None => {
                let shown = file.display().to_string();
                given
                    .findings
                    .warning(&shown, format!("{shown}, which the compose file names, does not exist"));
            }
        }
    }
    Ok(())
}

fn environment(
    service: &Service,
    variables: &BTreeMap<String, String>,
    path: &Path,
    given: &mut Given,
) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for (name, value) in &service.environment.0 {
        let value = match value {
            // Without a value it is passed on.
            None => variables.get(name).cloned(),
            Some(text) => match interpolate(text, variables) {
                Ok(value) => Some(value),
                Err(why) => {
                    given.findings.problem(name, format!("{name} ({}): {why}", path.display()));
                    Some(String::new())
                }
            },
        };
        values.extend(value.map(|value| (name.clone(), value)));
    }
    values
}
