//! What starts of engines share, and fail for together.

use std::collections::BTreeMap;
use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use strum::AsRefStr;

use crate::records::breaker::BreakerKind;
use crate::records::engine::{Engine, EngineSpec};
use crate::records::ids::{EngineId, NodeId};

/// Something that starts share. Each failure counts against one of them, and holds back no start that does not share it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, AsRefStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Group {
    /// Image and options that the hosts are set up with.
    Plain(BreakerKind),
    /// Image and options that a caller chose.
    Chosen(Recipe),
    /// A host.
    Host(NodeId),
    /// A VPN container of a host.
    Vpn(NodeId, String),
}

/// What a caller chose for an engine, as far as it may be the fault of a failure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Recipe {
    /// The image.
    pub image: Option<String>,
    /// Names the environment; 0 when it is empty.
    pub options: u64,
}

impl Recipe {
    fn of(spec: &EngineSpec) -> Self {
        Self { image: spec.image.clone(), options: options(&spec.env) }
    }
}

fn options(env: &BTreeMap<String, String>) -> u64 {
    if env.is_empty() {
        return 0;
    }
    let mut hasher = SipHasher13::new();
    for text in env.iter().flat_map(|(key, value)| [key, value]) {
        hasher.write(&(text.len() as u64).to_le_bytes());
        hasher.write(text.as_bytes());
    }
    hasher.finish().max(1)
}

impl Group {
    /// Image and options of an engine that replaces this one, or none.
    #[must_use]
    pub fn of_spec(spec: &EngineSpec, replaces: Option<EngineId>) -> Self {
        match spec.is_chosen() {
            true => Self::Chosen(Recipe::of(spec)),
            false => Self::Plain(BreakerKind::over(replaces)),
        }
    }

    /// The VPN container in whose network an engine runs.
    #[must_use]
    pub fn vpn_of(engine: &Engine) -> Option<Self> {
        engine.vpn.as_ref().map(|container| Self::Vpn(engine.node, container.clone()))
    }

    /// True for an engine that shares it.
    #[must_use]
    pub fn covers(&self, engine: &Engine) -> bool {
        engine.is_acestream()
            && match self {
                Self::Plain(_) | Self::Chosen(_) => Self::of_spec(&engine.spec, engine.replaces) == *self,
                Self::Host(node) => engine.node == *node,
                Self::Vpn(..) => Self::vpn_of(engine).as_ref() == Some(self),
            }
    }

    /// The host that it is about; none for what an engine runs.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        match self {
            Self::Host(node) | Self::Vpn(node, _) => Some(*node),
            Self::Plain(_) | Self::Chosen(_) => None,
        }
    }
}
