//! The files of the orchestrator of before: `.env`, and a compose file with the files that it names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::dotenv;
use crate::config::interpolate::interpolate;
use crate::config::layer::{Layer, Source};
use crate::config::report::Findings;
use crate::config::sources::read_file;
use crate::migrate::compose::{self, NoService, Service};

/// Names of compose files, the one that counts first.
const COMPOSE_FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// Names of files that Compose reads beside them.
const OVERRIDES: [&str; 4] = [
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];
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
    /// No service of a compose file is taken for the orchestrator.
    #[error("{0}: {1}")]
    NoService(PathBuf, NoService),
    /// A compose file is only a part of what Compose would read.
    #[error(
        "{0}: it has more in other files ({1}), which only Compose puts together: save `docker compose config` as one file, and name that with --compose"
    )]
    Partial(PathBuf, String),
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

impl Given {
    /// Notes what is wrong with a file. Where the compose file itself sets a value, it does not matter that another one cannot be used.
    fn note(&mut self, found: Findings) {
        let compose = self.layers.iter().find(|layer| matches!(layer.source, Source::Compose(_)));
        let is_set = |name: &str| {
            let value = compose.and_then(|layer| layer.values.get(name));
            value.is_some_and(|value| !value.trim().is_empty())
        };
        let (weaker, problems): (Vec<_>, Vec<_>) =
            found.problems.into_iter().partition(|finding| is_set(&finding.setting));
        self.findings.problems.extend(problems);
        self.findings.warnings.extend(found.warnings.into_iter().chain(weaker));
    }
}

/// Reads the files, or those of the working directory when none is named.
///
/// # Errors
/// When there is nothing to judge.
pub fn gather(env: Option<&Path>, compose: Option<&Path>, service: Option<&str>) -> Result<Given, Fault> {
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
    let mut env_findings = Findings::default();
    let env_layer = env_text.map(|text| {
        given.read.push(env_path.display().to_string());
        dotenv::layer(env_path, &text, &mut env_findings)
    });
    let here = || COMPOSE_FILES.iter().map(PathBuf::from).find(|path| path.is_file());
    let compose_path = match (env, compose) {
        (_, Some(compose)) => Some(compose.to_owned()),
        (None, None) => here(),
        (Some(_), None) => None,
    };
    if let Some(path) = compose_path {
        let text = read(&path)?.ok_or_else(|| Fault::Missing(path.clone()))?;
        let is_standard =
            path.file_name().is_some_and(|name| COMPOSE_FILES.iter().any(|known| name == *known));
        let beside =
            OVERRIDES.iter().filter(|_| is_standard).find(|name| path.with_file_name(name).is_file());
        if let Some(name) = beside {
            return Err(Fault::Partial(path, (*name).to_owned()));
        }
        of_compose(&path, &text, service, env_layer, &mut given)?;
    } else {
        given.layers.extend(env_layer);
    }
    given.note(env_findings);
    if given.layers.is_empty() { Err(Fault::Nothing) } else { Ok(given) }
}

fn read(path: &Path) -> Result<Option<String>, Fault> {
    read_file(path).map_err(|why| Fault::Unreadable(path.to_owned(), why))
}

/// Adds what the service of the orchestrator says. Its `environment` is stronger than the files that it names.
fn of_compose(
    path: &Path,
    text: &str,
    named: Option<&str>,
    env: Option<Layer>,
    given: &mut Given,
) -> Result<(), Fault> {
    let project =
        compose::parse(text).map_err(|fault| Fault::Unreadable(path.to_owned(), fault.to_string()))?;
    let (name, service) =
        compose::orchestrator(&project, named).map_err(|why| Fault::NoService(path.to_owned(), why))?;
    if let Some(what) = project.elsewhere(service) {
        return Err(Fault::Partial(path.to_owned(), what.to_owned()));
    }
    if service.env_file.0.len() > ENV_FILES_MAX {
        let why = format!("the service {name} names more than {ENV_FILES_MAX} files with variables");
        return Err(Fault::Unreadable(path.to_owned(), why));
    }
    given.read.push(format!("{} (service {name})", path.display()));
    let empty = BTreeMap::new();
    let variables = env.as_ref().map_or(&empty, |layer| &layer.values);
    let values = environment(service, variables, path, given);
    given.layers.push(Layer { source: Source::Compose(path.to_owned()), values });
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let mut is_named = false;
    // The last one that is named is the strongest.
    for file in service.env_file.0.iter().rev() {
        let named = interpolate(&file.path, variables).map(|filled| filled.text).unwrap_or_default();
        let file = folder.join(named.strip_prefix("./").unwrap_or(&named));
        if let Some(layer) = env.as_ref().filter(|layer| layer.source == Source::DotEnv(file.clone())) {
            is_named = true;
            given.layers.push(layer.clone());
            continue;
        }
        match read(&file)? {
            Some(text) => {
                given.read.push(file.display().to_string());
                let mut findings = Findings::default();
                let layer = dotenv::layer(file, &text, &mut findings);
                given.note(findings);
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
    if let Some(layer) = env.filter(|_| !is_named) {
        let shown = layer.source.to_string();
        let note = format!(
            "{shown}: the service does not name it as env_file, so Compose took from it only the variables in the compose file. A node in the same \
             folder reads all of it"
        );
        given.findings.warning(&shown, note);
        given.layers.push(layer);
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
                Ok(filled) => {
                    if !filled.unset.is_empty() {
                        let unset: Vec<&str> = filled.unset.iter().map(String::as_str).take(3).collect();
                        let unset = unset.join(", ");
                        let note = format!(
                            "{name} ({}): .env does not set {unset}, which is empty then",
                            path.display()
                        );
                        given.findings.warning(name, note);
                    }
                    Some(filled.text)
                }
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
