//! Bodies of calls that start a container: checks them and turns them into a specification.

use std::collections::BTreeMap;

use acefleet_registry::engine::{EngineSpec, Kind};
use acefleet_registry::{NodeId, Policy};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::agent::allowed;
use crate::config::Config;
use crate::http::answer::problem::Problem;
use crate::http::request::validate::{Checker, Fields, Place, TextLimits, Unknown};

// All in bytes.
/// Labels of one container.
const LABELS: TextLimits = TextLimits { entries: 256, name: 256, value: 8 << 10, total: 16 << 10 };
/// Variables of one container; `CONF` has several lines.
const ENV: TextLimits = TextLimits { entries: 256, name: 256, value: 16 << 10, total: 32 << 10 };
/// Longest image name.
const IMAGE_MAX: usize = 512;
/// Longest prefix of a container name.
const PREFIX_MAX: usize = 64;
/// Longest name of a node.
const NODE_MAX: usize = 255;
/// Published ports of one container.
const PORTS_MAX: usize = 64;

/// An AceStream engine to start. Unknown keys are ignored; `{}` is enough.
#[derive(Debug, ToSchema)]
#[schema(example = json!({}))]
pub(crate) struct AceProvisionRequest {
    /// Image instead of the configured one, of those that `ACEFLEET_ALLOWED_IMAGES` allows.
    image: Option<String>,
    /// Labels of the container, of those that `ACEFLEET_ALLOWED_LABELS` allows.
    #[schema(required = false)]
    labels: BTreeMap<String, String>,
    /// Environment of the container; our own takes precedence, except for `CONF`.
    #[schema(required = false)]
    env: BTreeMap<String, String>,
    /// Fixed host port.
    #[schema(minimum = 1, maximum = 65535)]
    host_port: Option<u16>,
    /// Name of the node on whose host it is to start, instead of the least loaded one.
    #[schema(example = json!(null))]
    node: Option<String>,
}

/// Any container to start.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"image": "jopsis/acestream:x64", "name_prefix": "svc"}))]
pub(crate) struct StartRequest {
    /// Image, of those that `ACEFLEET_ALLOWED_IMAGES` allows; without it `TARGET_IMAGE`.
    image: Option<String>,
    #[schema(required = false)]
    env: BTreeMap<String, String>,
    /// Labels, of those that `ACEFLEET_ALLOWED_LABELS` allows.
    #[schema(required = false)]
    labels: BTreeMap<String, String>,
    /// Container port to host port.
    #[schema(required = false, example = json!({"40001/tcp": 19001}))]
    ports: BTreeMap<String, u16>,
    /// The name becomes `<prefix>-<n>`.
    #[schema(required = false, example = "svc")]
    name_prefix: String,
}

/// An engine as a checked body describes it, and the host that the caller chose. `by` is what may be started, `member` finds a node by
/// its name.
///
/// # Errors
/// 422 that lists violations.
pub(crate) fn engine(
    body: Option<&Value>,
    by: (&Config, &Policy),
    member: impl Fn(&str) -> Option<NodeId>,
) -> Result<(EngineSpec, Option<NodeId>), Problem> {
    let mut checker = Checker::default();
    let fields = Place::body(body).object(&mut checker);
    let request = AceProvisionRequest {
        image: image(&mut checker, &fields),
        labels: fields.at("labels").strings(&mut checker, &LABELS),
        env: env(&mut checker, &fields),
        host_port: fields.at("host_port").optional_port(&mut checker, 1..=u16::MAX),
        node: fields.at("node").optional_string(&mut checker, NODE_MAX),
    };
    let node = request.node.as_deref().and_then(|name| {
        let node = member(name);
        if node.is_none() {
            let reason = "no member has this name; GET /cluster lists them";
            fields.at("node").unknown(&mut checker, Unknown::Member, reason, None);
        }
        node
    });
    checker.finish()?;
    let spec = EngineSpec {
        image: request.image,
        env: request.env,
        labels: request.labels,
        host_port: request.host_port,
        ..EngineSpec::acestream()
    };
    Ok((allowed(spec, by)?, node))
}

/// Any container as a checked body describes it. `by` is what may be started.
///
/// # Errors
/// 422 that lists violations.
pub(crate) fn generic(body: Option<&Value>, by: (&Config, &Policy)) -> Result<EngineSpec, Problem> {
    let mut checker = Checker::default();
    let fields = Place::body(body).object(&mut checker);
    let request = StartRequest {
        image: image(&mut checker, &fields).or_else(|| by.0.target_image.clone()),
        env: env(&mut checker, &fields),
        labels: fields.at("labels").strings(&mut checker, &LABELS),
        ports: ports(&mut checker, &fields),
        name_prefix: name_prefix(&mut checker, &fields),
    };
    if fields.exist() && request.image.is_none() {
        fields.at("image").refuse(&mut checker, "name an image, or set TARGET_IMAGE");
    }
    checker.finish()?;
    let spec = EngineSpec {
        kind: Kind::Generic { ports: request.ports },
        image: request.image,
        env: request.env,
        labels: request.labels,
        host_port: None,
        name_prefix: request.name_prefix,
    };
    allowed(spec, by)
}

/// What was asked for, if this node would have it started.
fn allowed(spec: EngineSpec, (config, policy): (&Config, &Policy)) -> Result<EngineSpec, Problem> {
    let mut checker = Checker::default();
    for fault in allowed::faults(&spec, config, policy) {
        let loc: Vec<Value> = std::iter::once("body").chain(fault.place()).map(Value::from).collect();
        let reason = fault.to_string();
        let ctx = match fault.setting() {
            Some(setting) => json!({ "error": reason, "setting": setting }),
            None => json!({ "error": reason }),
        };
        let given = Value::from(fault.given());
        checker.add(fault.code(), &loc, format!("Value error, {reason}"), &given, Some(ctx));
    }
    checker.finish()?;
    Ok(spec)
}

fn image(checker: &mut Checker, fields: &Fields<'_>) -> Option<String> {
    fields.at("image").optional_string(checker, IMAGE_MAX).filter(|image| !image.is_empty())
}

fn env(checker: &mut Checker, fields: &Fields<'_>) -> BTreeMap<String, String> {
    let place = fields.at("env");
    let env = place.strings(checker, &ENV);
    if env.keys().any(|name| name.is_empty() || name.contains('=')) {
        place.refuse(checker, "a variable needs a name without an equals sign");
    }
    env
}

fn name_prefix(checker: &mut Checker, fields: &Fields<'_>) -> String {
    let place = fields.at("name_prefix");
    let Some(prefix) = place.optional_string(checker, PREFIX_MAX) else { return "svc".to_owned() };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if !prefix.starts_with(|c: char| c.is_ascii_alphanumeric()) || !prefix.chars().all(legal) {
        place.refuse(checker, "a name begins with a letter or digit and goes on with letters, digits, _ . -");
    }
    prefix
}

fn ports(checker: &mut Checker, fields: &Fields<'_>) -> BTreeMap<String, u16> {
    let place = fields.at("ports");
    let ports = place.entries(checker, PORTS_MAX, |checker, name, place| {
        if container_port(name).is_none() {
            place.refuse(checker, "a container port is written like 40001/tcp");
        }
        place.port(checker, 1..=u16::MAX)
    });
    let mut hosts: Vec<u16> = ports.values().copied().collect();
    hosts.sort_unstable();
    if hosts.windows(2).any(|pair| pair[0] == pair[1]) {
        place.refuse(checker, "a host port can be used once");
    }
    ports.into_iter().filter_map(|(name, host)| Some((container_port(&name)?, host))).collect()
}

/// `40001` and `40001/tcp` in the full form.
fn container_port(text: &str) -> Option<String> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let known = matches!(protocol, "tcp" | "udp" | "sctp");
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port: u16 = port.parse().ok().filter(|port| known && digits && *port != 0)?;
    Some(format!("{port}/{protocol}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{Host, Sources, resolve};

    fn config(settings: &[(&str, &str)]) -> Config {
        let mut all = vec![("ACEFLEET_NODE_NAME", "a"), ("ACEFLEET_DATA_DIR", "/d")];
        all.extend_from_slice(settings);
        resolve(Sources::from_maps(&all, &[], "", Host::default())).unwrap().config
    }

    fn engine(body: Option<&Value>) -> Result<(EngineSpec, Option<NodeId>), Problem> {
        let config = config(&[("ACEFLEET_ALLOWED_LABELS", "labels,team")]);
        super::engine(body, (&config, &config.policy), |name| (name == "b").then_some(NodeId(2)))
    }

    fn generic(body: Option<&Value>) -> Result<EngineSpec, Problem> {
        let config = config(&[("ACEFLEET_ALLOWED_IMAGES", "img")]);
        super::generic(body, (&config, &config.policy))
    }

    /// What is refused: code, place and setting of each violation.
    fn refused<T>(result: Result<T, Problem>) -> Vec<(String, String, String)> {
        let Err(problem) = result else { return Vec::new() };
        let (_, body) = problem.status_and_body();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let place =
            |found: &Value| found["loc"].as_array().unwrap().iter().map(text).collect::<Vec<_>>().join("/");
        let violations = body["detail"].as_array().unwrap().iter();
        violations.map(|found| (text(&found["type"]), place(found), text(&found["ctx"]["setting"]))).collect()
    }

    #[test]
    fn an_image_that_is_not_allowed_is_refused_with_the_setting_that_would_allow_it() {
        let image = |name: &str| json!({"image": name});
        let expected = |setting: &str| {
            vec![("image_not_allowed".to_owned(), "body/image".to_owned(), setting.to_owned())]
        };
        for (name, setting) in
            [("nginx", "ACEFLEET_ALLOWED_IMAGES"), ("sha256:00", ""), ("a b", ""), ("../x", "")]
        {
            assert_eq!(refused(engine(Some(&image(name)))), expected(setting), "{name}");
            assert_eq!(refused(generic(Some(&image(name)))), expected(setting), "{name}");
        }
        assert!(engine(Some(&image("jopsis/acestream:arm64-v3.2.14"))).is_ok());
        let own = config(&[("TARGET_IMAGE", "own:1")]);
        assert_eq!(
            super::generic(Some(&json!({})), (&own, &own.policy)).unwrap().image.as_deref(),
            Some("own:1")
        );
    }

    #[test]
    fn an_empty_object_is_a_plain_engine() {
        assert_eq!(engine(Some(&json!({}))).unwrap(), (EngineSpec::acestream(), None));
        let on_b = engine(Some(&json!({"node": "b"}))).unwrap();
        assert_eq!(on_b, (EngineSpec::acestream(), Some(NodeId(2))));
        let (plain, _) = engine(Some(&json!({"labels": {}, "env": {}, "x": 1}))).unwrap();
        assert_eq!(plain, EngineSpec::acestream());
        assert!(engine(Some(&json!({"node": "elsewhere"}))).is_err());
    }

    #[test]
    fn bodies_that_docker_would_refuse_are_refused_here() {
        for body in [
            json!(null),
            json!([]),
            json!({"host_port": 0}),
            json!({"host_port": 65_536}),
            json!({"host_port": "x"}),
            json!({"host_port": 1.5}),
            json!({"labels": {"a": 1}}),
            json!({"labels": null}),
            json!({"env": {"a": true}}),
            json!({"env": {"": "x"}}),
            json!({"env": {"a=b": "x"}}),
            json!({"env": {"a": "x\0"}}),
            json!({"image": "a b"}),
            json!({"image": 1}),
        ] {
            assert!(engine(Some(&body)).is_err(), "{body}");
        }
        assert!(engine(None).is_err());
    }

    #[test]
    fn generic_containers_need_an_image_and_good_ports() {
        let spec =
            generic(Some(&json!({"image": "img", "ports": {"40001": 19001, "53/udp": "19002"}}))).unwrap();
        let expected = BTreeMap::from([("40001/tcp".to_owned(), 19_001), ("53/udp".to_owned(), 19_002)]);
        assert_eq!(spec.kind, Kind::Generic { ports: expected });
        assert_eq!((spec.image.as_deref(), spec.name_prefix.as_str()), (Some("img"), "svc"));
        for body in [
            json!({"image": "img", "ports": {"0/tcp": 1}}),
            json!({"image": "img", "ports": {"80/xyz": 1}}),
            json!({"image": "img", "ports": {"80": 0}}),
            json!({"image": "img", "ports": {"80": 5, "81": 5}}),
            json!({"image": "img", "name_prefix": "-x"}),
            json!({"image": "img", "name_prefix": ""}),
            json!({"image": "img", "name_prefix": "a/b"}),
        ] {
            assert!(generic(Some(&body)).is_err(), "{body}");
        }
        assert!(generic(Some(&json!({}))).is_err());
    }
}
