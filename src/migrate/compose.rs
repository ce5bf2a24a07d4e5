//! Compose files, as far as the settings of one service go. What is hostile in them ends in an error: nothing is expanded without limits.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::config::table;
use crate::migrate::old;

/// What the image of the orchestrator has in its name.
pub const IMAGE: &str = "acestream-orchestrator";
/// Settings of the orchestrator in a service that is recognized by them alone.
const SETTINGS_MIN: usize = 3;
/// Variables of one service; no real one has so many.
const VARIABLES_MAX: usize = 2_000;

/// A compose file.
#[derive(Debug, Default, Deserialize)]
pub struct Project {
    /// Services by name.
    #[serde(default)]
    pub services: BTreeMap<String, Option<Service>>,
    /// Other files whose content belongs to it.
    #[serde(default)]
    pub include: Option<IgnoredAny>,
}

/// A service.
#[derive(Debug, Default, Deserialize)]
pub struct Service {
    /// Its image.
    #[serde(default)]
    pub image: Option<String>,
    /// The name of its container.
    #[serde(default)]
    pub container_name: Option<String>,
    /// Its variables.
    #[serde(default)]
    pub environment: Variables,
    /// Files with more of them.
    #[serde(default)]
    pub env_file: EnvFiles,
    /// Another service whose settings it has.
    #[serde(default)]
    pub extends: Option<IgnoredAny>,
    /// Whether it is built from a folder.
    #[serde(default)]
    pub build: Option<IgnoredAny>,
}

/// Variables by name; without a value, one is passed on. As a map or as a list of `NAME=VALUE`.
#[derive(Debug, Default)]
pub struct Variables(pub BTreeMap<String, Option<String>>);

impl<'de> Deserialize<'de> for Variables {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Variables;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("variables as a map or a list")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variables, A::Error> {
                let mut found = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Option<String>>()? {
                    found.insert(name, value);
                }
                Ok(Variables(found))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Variables, A::Error> {
                let mut found = BTreeMap::new();
                while let Some(entry) = list.next_element::<String>()? {
                    match entry.split_once('=') {
                        Some((name, value)) => found.insert(name.to_owned(), Some(value.to_owned())),
                        None => found.insert(entry, None),
                    };
                }
                Ok(Variables(found))
            }

            fn visit_unit<E>(self) -> Result<Variables, E> {
                Ok(Variables::default())
            }
        }
        from.deserialize_any(Either)
    }
}

/// Files with variables: one, or a list, each as a path or with options.
#[derive(Debug, Default)]
pub struct EnvFiles(pub Vec<EnvFile>);

/// A file with variables.
#[derive(Debug, Deserialize)]
pub struct EnvFile {
    /// Where it is.
    pub path: String,
}

impl<'de> Deserialize<'de> for EnvFiles {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum One {
            Path(String),
            File(EnvFile),
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Any {
            None(()),
            One(One),
            Many(Vec<One>),
        }
        let all = match Any::deserialize(from)? {
            Any::None(()) => Vec::new(),
            Any::One(one) => vec![one],
            Any::Many(many) => many,
        };
        let file = |one| match one {
            One::Path(path) => EnvFile { path },
            One::File(file) => file,
        };
        Ok(Self(all.into_iter().map(file).collect()))
    }
}

/// Why a text is no compose file. It never shows the text, which may hold a secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoCompose {
    /// At this line.
    #[error("it cannot be read as a compose file: look at line {0}, or ask `docker compose config`")]
    At(u64),
    /// Somewhere, or it is too large.
    #[error("it cannot be read as a compose file: ask `docker compose config`")]
    Somewhere,
}

/// Reads a compose file. Its length was limited by whoever read it.
///
/// # Errors
/// When it is none, or larger inside than any real one.
pub fn parse(text: &str) -> Result<Project, NoCompose> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 64,
            max_events: 200_000,
            max_nodes: 100_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_documents: 1,
            max_merge_keys: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 200_000,
            max_replay_stack_depth: 16,
        },
        with_snippet: false,
    };
    let project: Project = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map(|location| location.line()).filter(|line| *line > 0);
        line.map_or(NoCompose::Somewhere, NoCompose::At)
    })?;
    let is_long = |service: &Service| service.environment.0.len() > VARIABLES_MAX;
    match project.services.values().flatten().any(is_long) {
        true => Err(NoCompose::Somewhere),
        false => Ok(project),
    }
}

/// Why no service is taken for the orchestrator.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoService {
    /// None looks like it.
    #[error(
        "no service in it looks like the orchestrator (by its image, its name or its settings): name it with --service"
    )]
    None,
    /// Several look like it.
    #[error("{0} look like the orchestrator: name one with --service")]
    Several(String),
    /// The one that was named is not there.
    #[error("there is no service {0} in it")]
    Unknown(String),
}

/// The service of this name, or the one that looks most like the orchestrator: by its image, else by its name, else by its settings.
///
/// # Errors
/// When there is none, or more than one.
pub fn orchestrator<'a>(
    project: &'a Project,
    named: Option<&str>,
) -> Result<(&'a str, &'a Service), NoService> {
    if let Some(named) = named {
        let found = project.services.get_key_value(named);
        let found = found.and_then(|(name, service)| Some((name.as_str(), service.as_ref()?)));
        return found.ok_or_else(|| NoService::Unknown(named.to_owned()));
    }
    let services =
        project.services.iter().filter_map(|(name, service)| Some((name.as_str(), service.as_ref()?)));
    let likeness = |name: &str, service: &Service| -> usize {
        let names = [Some(name), service.container_name.as_deref()];
        let settings = service.environment.0.keys().filter(|name| is_of_orchestrator(name)).count();
        let by_image = service.image.as_deref().is_some_and(|image| image.contains(IMAGE));
        let is_named =
            names.into_iter().flatten().any(|name| name.to_ascii_lowercase().contains("orchestrator"));
        // Its image is built, or has the name of a copy; one with another image is something beside it.
        let is_other = service.build.is_none()
            && service
                .image
                .as_deref()
                .is_some_and(|image| !image.to_ascii_lowercase().contains("orchestrator"));
        let by_name = is_named && !is_other;
        let by_settings = if settings >= SETTINGS_MIN { settings.min(999) } else { 0 };
        usize::from(by_image) * 1_000_000 + usize::from(by_name) * 1_000 + by_settings
    };
    let rated: Vec<_> = services.map(|(name, service)| (likeness(name, service), name, service)).collect();
    let best =
        rated.iter().map(|(likeness, ..)| *likeness).max().filter(|best| *best > 0).ok_or(NoService::None)?;
    // What tells two images or two names apart is which settings they have; of several of one kind nobody knows.
    let kind = |likeness: usize| (likeness >= 1_000_000, likeness >= 1_000 && likeness % 1_000_000 >= 1_000);
    let alike: Vec<_> =
        rated.into_iter().filter(|(likeness, ..)| *likeness > 0 && kind(*likeness) == kind(best)).collect();
    match *alike {
        [(_, name, service)] => Ok((name, service)),
        _ => Err(NoService::Several(alike.iter().map(|(_, name, _)| *name).collect::<Vec<_>>().join(", "))),
    }
}

impl Project {
    /// What of this service is in other files, which are not read here.
    #[must_use]
    pub fn elsewhere(&self, service: &Service) -> Option<&'static str> {
        match (service.extends.is_some(), self.include.is_some()) {
            (true, _) => Some("`extends`"),
            (false, true) => Some("`include`"),
            (false, false) => None,
        }
    }
}

fn is_of_orchestrator(name: &str) -> bool {
    old::find(name).is_some() && (table::is_known(name) || old::family(name).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(text: &str) -> BTreeMap<String, Option<String>> {
        let project = parse(text).unwrap();
        orchestrator(&project, None).map(|(_, service)| service.environment.0.clone()).unwrap()
    }

    #[test]
    fn maps_lists_anchors_and_numbers_are_read() {
        let text = "x-all: &all\n  MIN_REPLICAS: 3\nservices:\n  orchestrator:\n    env_file: .env\n    environment:\n      <<: *all\n      \
                    AUTO_DELETE: true\n      MIN_PROVISION_INTERVAL_S: 0.50\n      API_KEY:\n";
        let found = variables(text);
        let value = |name: &str| found[name].as_deref();
        assert_eq!((value("MIN_REPLICAS"), value("AUTO_DELETE")), (Some("3"), Some("true")));
        assert_eq!((value("MIN_PROVISION_INTERVAL_S"), value("API_KEY")), (Some("0.50"), None));
        let text = "services:\n  a:\n    image: ghcr.io/x/acestream-orchestrator:latest\n    env_file:\n      - a.env\n      - path: b.env\n        \
                    required: false\n    environment:\n      - A=b=c\n      - PASSED\n";
        assert_eq!(variables(text), [("A".into(), Some("b=c".into())), ("PASSED".into(), None)].into());
        let project = parse(text).unwrap();
        let files = &orchestrator(&project, None).unwrap().1.env_file.0;
        assert_eq!(files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a.env", "b.env"]);
    }

    #[test]
    fn the_service_is_found_by_image_name_or_settings() {
        let found = |text: &str| {
            let project = parse(text).unwrap();
            orchestrator(&project, None).ok().map(|(name, _)| name.to_owned())
        };
        let image =
            "services: {orchestrator-db: {image: redis}, app: {image: 'me/acestream-orchestrator:1'}}";
        assert_eq!(found(image).as_deref(), Some("app"));
        assert_eq!(
            found("services: {gluetun: {image: g}, orchestrator: {build: .}}").as_deref(),
            Some("orchestrator")
        );
        let settings =
            "services: {x: {environment: [MIN_REPLICAS=1, MAX_REPLICAS=2, CONTAINER_LABEL=a=b]}, y: }";
        assert_eq!(found(settings).as_deref(), Some("x"));
        assert_eq!(found("services: {web: {image: nginx, environment: [API_KEY=1]}}"), None);
        assert_eq!(found("{}"), None);
        let beside = "services: {orchestrator-db: {image: redis}, app: {build: ., environment: [MIN_REPLICAS=1, MAX_REPLICAS=2, AUTO_DELETE=true]}}";
        assert_eq!(found(beside).as_deref(), Some("app"));
        let two = parse("services: {b: {image: acestream-orchestrator}, a: {image: acestream-orchestrator}}")
            .unwrap();
        assert_eq!(orchestrator(&two, None).unwrap_err(), NoService::Several("a, b".to_owned()));
        assert_eq!(orchestrator(&two, Some("b")).unwrap().0, "b");
        assert_eq!(orchestrator(&two, Some("c")).unwrap_err(), NoService::Unknown("c".to_owned()));
    }

    #[test]
    fn hostile_files_are_refused_soon() {
        let began = std::time::Instant::now();
        let bomb: String = (1..30)
            .map(|n| format!("x{n}: &x{n} [{}]\n", vec![format!("*x{}", n - 1); 10].join(", ")))
            .collect();
        let bomb = format!("x0: &x0 [a, a]\n{bomb}services: {{orchestrator: {{environment: *x29}}}}\n");
        assert!(parse(&bomb).is_err());
        assert!(parse(&"[".repeat(500_000)).is_err());
        assert!(parse(&"a: ".repeat(100_000)).is_err());
        assert!(parse(&format!("services:{}", "\n- ".repeat(300_000))).is_err());
        for secret in
            ["services: [hunter2", "services: hunter2", "services: {a: {environment: {A: [hunter2]}}}"]
        {
            let error = parse(secret).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }
}
