//! Which settings can be in force together. A node's configuration is judged by the same rules.

use crate::records::policy::Policy;
use crate::records::settings::{Form, Name, Value};

/// Longest label, in bytes: it is in the state and in events.
pub const LABEL_MAX: usize = 1_024;

/// A setting that cannot be in force, by itself or beside others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The setting.
    pub name: Name,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong with a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its value has another form.
    OtherForm,
    /// Its value is out of bounds.
    OutOfBounds,
    /// Its range has no ports, or port 0.
    NoRange,
    /// It is no label.
    NoLabel(&'static str),
    /// The floor is above `MAX_REPLICAS`.
    AboveCeiling,
    /// The range has fewer ports than `MAX_REPLICAS` engines need.
    FewPorts {
        /// Ports of the range.
        there: u64,
        /// What the engines need.
        needed: u64,
        /// Two for each, with `ACE_MAP_HTTPS`.
        doubled: bool,
    },
    /// The range is one port, which is a host port, too.
    SamePort,
}

impl Fault {
    /// The settings that it is about. Those of a configuration are judged together only if each is sound by itself.
    #[must_use]
    pub fn involved(&self) -> &'static [Name] {
        match self.why {
            Why::OtherForm | Why::OutOfBounds | Why::NoRange | Why::NoLabel(_) => &[],
            Why::AboveCeiling if self.name == Name::MinReplicas => &[Name::MinReplicas, Name::MaxReplicas],
            Why::AboveCeiling => &[Name::MinFreeReplicas, Name::MaxReplicas],
            Why::FewPorts { .. } => &[Name::HostPorts, Name::MaxReplicas, Name::MapHttps],
            Why::SamePort => &[Name::HostPorts, Name::HttpsPorts],
        }
    }

    /// For people; `quote` shows a setting with its value.
    #[must_use]
    pub fn describe(&self, quote: &dyn Fn(Name) -> String) -> String {
        let own = quote(self.name);
        match &self.why {
            Why::OtherForm => {
                format!("{own} is no value of {}: accepted: {}", self.name, accepts(self.name.form()))
            }
            Why::OutOfBounds => format!("{own} is out of bounds: accepted: {}", accepts(self.name.form())),
            Why::NoRange => format!("{own} is no range of ports: accepted: {}", accepts(self.name.form())),
            Why::NoLabel(why) => format!("{own} is no label: {why}"),
            Why::AboveCeiling => {
                format!("{own} is above {}: lower the one or raise the other", quote(Name::MaxReplicas))
            }
            Why::FewPorts { there, needed, doubled } => {
                let each = if *doubled { ", two for each engine with ACE_MAP_HTTPS" } else { "" };
                let most = quote(Name::MaxReplicas);
                format!(
                    "{own} has {there} ports but {most} needs {needed}{each}: widen the range or lower MAX_REPLICAS"
                )
            }
            Why::SamePort => {
                format!(
                    "{own} is a single port inside {}: an engine could get it twice",
                    quote(Name::HostPorts)
                )
            }
        }
    }
}

/// What is accepted, in words.
#[must_use]
pub fn accepts(form: Form) -> String {
    match form {
        Form::Count { min, max } => format!("a whole number from {min} to {max}"),
        Form::Millis { min, max } => {
            format!("seconds from {} to {}, decimals allowed", min as f64 / 1_000.0, max as f64 / 1_000.0)
        }
        Form::Flag => "true or false".to_owned(),
        Form::Ports => "two ports FIRST-LAST from 1 to 65535, FIRST not above LAST".to_owned(),
        Form::Label => "KEY=VALUE with exactly one = and a key that is not empty".to_owned(),
    }
}

/// What is wrong with a value by itself.
#[must_use]
pub fn fault(name: Name, value: &Value) -> Option<Fault> {
    let is_within = |number: u64, min: u64, max: u64| (min..=max).contains(&number);
    let why = match (name.form(), value) {
        (Form::Count { min, max }, Value::Count(count)) => {
            (!is_within(u64::from(*count), min, max)).then_some(Why::OutOfBounds)
        }
        (Form::Millis { min, max }, Value::Millis(ms)) => {
            (!is_within(*ms, min, max)).then_some(Why::OutOfBounds)
        }
        (Form::Flag, Value::Flag(_)) => None,
        (Form::Ports, Value::Ports(range)) => {
            (range.first == 0 || range.first > range.last).then_some(Why::NoRange)
        }
        (Form::Label, Value::Label(label)) => label_fault(label).map(Why::NoLabel),
        _ => Some(Why::OtherForm),
    };
    why.map(|why| Fault { name, why })
}

/// What the labels begin with that carry an engine's owner and ports. Another one of this kind would overwrite one of them, or be
/// overwritten.
pub const OWN_LABELS: [&str; 3] = ["acestream.", "acefleet.", "host."];

/// Why a text is no label of containers.
#[must_use]
pub fn label_fault(text: &str) -> Option<&'static str> {
    let Some((key, value)) = text.split_once('=') else { return Some("there is no =") };
    if value.contains('=') {
        return Some("there is more than one =");
    }
    if key.is_empty() {
        return Some("the key is empty");
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Some("there is white space in it");
    }
    if text.len() > LABEL_MAX {
        return Some("it is longer than 1024 bytes");
    }
    let is_taken = OWN_LABELS.iter().any(|taken| key.starts_with(taken));
    is_taken.then_some("keys that begin with acestream., acefleet. or host. are used for other labels")
}

/// Everything that is wrong with these settings: each by itself, then beside others.
#[must_use]
pub fn faults(policy: &Policy) -> Vec<Fault> {
    let each = Name::ALL.into_iter().zip(policy.values());
    let alone: Vec<Fault> = each.filter_map(|(name, value)| fault(name, &value)).collect();
    let is_sound = |name: &Name| alone.iter().all(|fault| fault.name != *name);
    let together = contradictions(policy).into_iter().filter(|fault| fault.involved().iter().all(is_sound));
    let together: Vec<Fault> = together.collect();
    alone.into_iter().chain(together).collect()
}

/// Settings that contradict each other, whether or not each is sound by itself.
#[must_use]
pub fn contradictions(policy: &Policy) -> Vec<Fault> {
    let Policy { min_replicas, min_free_replicas, max_replicas, host_ports, https_ports, .. } = policy;
    let doubled = policy.map_https;
    let needed = u64::from(*max_replicas) * if doubled { 2 } else { 1 };
    let there = host_ports.count();
    let is_same = https_ports.count() == 1 && host_ports.contains(https_ports.first);
    let found = [
        (min_replicas > max_replicas, Name::MinReplicas, Why::AboveCeiling),
        (min_free_replicas > max_replicas, Name::MinFreeReplicas, Why::AboveCeiling),
        (there < needed, Name::HostPorts, Why::FewPorts { there, needed, doubled }),
        (is_same, Name::HttpsPorts, Why::SamePort),
    ];
    found.into_iter().filter(|(is_wrong, ..)| *is_wrong).map(|(_, name, why)| Fault { name, why }).collect()
}
