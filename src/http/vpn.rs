//! `GET /vpn/status`.

use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::snapshot::Snapshot;

/// State of the VPN. All fields are there although no VPN is configured.
#[derive(Serialize, ToSchema)]
struct VpnStatus {
    mode: &'static str,
    enabled: bool,
    status: &'static str,
    container_name: Option<String>,
    container: Option<String>,
    health: &'static str,
    connected: bool,
    forwarded_port: Option<u16>,
    public_ip: Option<String>,
    provider: Option<String>,
    country: Option<String>,
    city: Option<String>,
    region: Option<String>,
    last_check: Option<String>,
    last_check_at: Option<String>,
    #[schema(value_type = Option<Object>)]
    vpn1: Option<()>,
    #[schema(value_type = Option<Object>)]
    vpn2: Option<()>,
    emergency_mode: EmergencyMode,
}

/// Redundant mode with one VPN down.
#[derive(Serialize, ToSchema)]
struct EmergencyMode {
    active: bool,
    failed_vpn: Option<String>,
    healthy_vpn: Option<String>,
    duration_seconds: u64,
}

/// State of the VPN
///
/// Engines run without a VPN: `enabled` is false and `status` is `disabled`.
#[utoipa::path(
    get, path = "/vpn/status", tag = "status", operation_id = "vpn_status",
    params(super::openapi::Freshness),
    responses((status = 200, description = "State", body = VpnStatus))
)]
pub(crate) async fn status(snapshot: Snapshot) -> Response {
    snapshot.answer(&VpnStatus {
        mode: "disabled",
        enabled: false,
        status: "disabled",
        container_name: None,
        container: None,
        health: "unknown",
        connected: false,
        forwarded_port: None,
        public_ip: None,
        provider: None,
        country: None,
        city: None,
        region: None,
        last_check: None,
        last_check_at: None,
        vpn1: None,
        vpn2: None,
        emergency_mode: EmergencyMode {
            active: false,
            failed_vpn: None,
            healthy_vpn: None,
            duration_seconds: 0,
        },
    })
}
