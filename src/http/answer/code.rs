//! How the words by which machines tell refusals apart are written and described.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, Schema};
use utoipa::openapi::{RefOr, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::fleet::Code;

/// What was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BlockedKind {
    /// No host tried to start it.
    ProvisioningBlocked,
    /// A host tried to start it.
    ProvisioningFailed,
    /// A change of the registry.
    WriteBlocked,
    /// A read that asks for more than this node has.
    ReadBlocked,
    /// Anything else.
    RequestBlocked,
    /// What the node of a container would have to do.
    OwnerUnreachable,
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        let about = "Why it was not done, for machines. `docs/API.md` says what each word means; newer nodes may have more.";
        let words = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Self::words()));
        RefOr::T(words.description(Some(about)).examples(["max_capacity"]).into())
    }
}

impl ToSchema for Code {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("BlockedCode")
    }
}
