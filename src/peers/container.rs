//! A container as the API shows it (`GET /containers/{id}`, `GET /by-label`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One published address of a container port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PortBinding {
    /// Address on the host.
    pub host_ip: String,
    /// Port on the host.
    pub host_port: String,
}

/// A managed container, as Docker shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContainerView {
    /// Full Docker id.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// Docker's word: `created`, `running`, `exited`, ….
    pub status: String,
    /// Image as it was named when the container was made.
    pub image: Option<String>,
    /// Docker's creation time, RFC 3339.
    pub created: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Published ports: `"19006/tcp"` to addresses on the host.
    pub ports: BTreeMap<String, Vec<PortBinding>>,
}
