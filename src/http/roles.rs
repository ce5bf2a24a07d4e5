//! Which role each operation of the API needs: the only place that says so. The check of every request reads this table, and so do the
//! descriptions of the API.

use acefleet_registry::Role;
use axum::http::Method;

use crate::config::Reads;

/// What a caller of an operation has to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing, ever: probes, and the status, which Acexy polls without a key.
    Nothing,
    /// Nothing while reads are open, else any key: lists by which proxies choose engines.
    Listing,
    /// Nothing while reads are open, else a key of a viewer.
    Reading,
    /// Any key.
    Key,
    /// A key with this role.
    Role(Role),
    /// The token of the host of this node, which its commands have: a file there is written.
    Host,
}

impl Needs {
    /// Whether a caller has to show a key.
    pub fn a_key(self, reads: Reads) -> bool {
        match self {
            Self::Nothing => false,
            Self::Listing | Self::Reading => reads == Reads::Key,
            Self::Key | Self::Role(_) | Self::Host => true,
        }
    }

    /// The role that the key has to have, if not any will do.
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Nothing | Self::Listing | Self::Key => None,
            Self::Reading => Some(Role::Viewer),
            Self::Role(role) => Some(role),
            Self::Host => Some(Role::Admin),
        }
    }
}

const VIEWER: Needs = Needs::Role(Role::Viewer);
const PROXY: Needs = Needs::Role(Role::Proxy);
const OPERATOR: Needs = Needs::Role(Role::Operator);
const ADMIN: Needs = Needs::Role(Role::Admin);

/// Every operation: method, path as it is routed, and what it needs.
pub(crate) const OPERATIONS: &[(Method, &str, Needs)] = &[
    (Method::GET, "/livez", Needs::Nothing),
    (Method::GET, "/readyz", Needs::Nothing),
    (Method::GET, "/health", Needs::Nothing),
    (Method::GET, "/health/ready", Needs::Nothing),
    (Method::GET, "/orchestrator/status", Needs::Nothing),
    (Method::GET, "/engines", Needs::Listing),
    (Method::GET, "/streams", Needs::Listing),
    (Method::GET, "/engines/{container_id}", Needs::Reading),
    (Method::GET, "/engines/{container_id}/placement", Needs::Reading),
    (Method::GET, "/engines/{container_id}/stats", Needs::Reading),
    (Method::GET, "/engines/health-score", Needs::Reading),
    (Method::GET, "/engines/stats/all", Needs::Reading),
    (Method::GET, "/engines/stats/total", Needs::Reading),
    (Method::GET, "/containers/{container_id}", Needs::Reading),
    (Method::GET, "/streams/{stream_id}/stats", Needs::Reading),
    (Method::GET, "/streams/{stream_id}/livepos", Needs::Reading),
    (Method::GET, "/streams/{stream_id}/extended-stats", Needs::Reading),
    (Method::GET, "/events", Needs::Reading),
    (Method::GET, "/events/stats", Needs::Reading),
    (Method::GET, "/events/stream", Needs::Reading),
    (Method::GET, "/ws/engines", Needs::Reading),
    (Method::GET, "/vpn/status", Needs::Reading),
    (Method::GET, "/vpn/publicip", Needs::Reading),
    (Method::GET, "/health/status", Needs::Reading),
    (Method::GET, "/orchestrator/plan", Needs::Reading),
    (Method::GET, "/series", Needs::Reading),
    (Method::GET, "/metrics", Needs::Reading),
    (Method::GET, "/widget", Needs::Reading),
    (Method::GET, "/settings", Needs::Reading),
    (Method::GET, "/settings/history", Needs::Reading),
    (Method::GET, "/cluster", Needs::Reading),
    (Method::GET, "/cluster/nodes/{name}/removal", Needs::Reading),
    (Method::GET, "/cluster/key", Needs::Key),
    // It changes nothing, and gives nothing that the key does not.
    (Method::POST, "/session", Needs::Key),
    (Method::GET, "/by-label", VIEWER),
    (Method::GET, "/containers/{container_id}/logs", VIEWER),
    (Method::GET, "/cluster/nodes/{name}/log", VIEWER),
    (Method::POST, "/provision/acestream", PROXY),
    (Method::POST, "/engines/select", PROXY),
    (Method::DELETE, "/engines/reservations/{id}", PROXY),
    (Method::POST, "/events/stream_started", PROXY),
    (Method::POST, "/events/stream_ended", PROXY),
    (Method::POST, "/events/batch", PROXY),
    (Method::POST, "/provision", OPERATOR),
    (Method::POST, "/scale/{demand}", OPERATOR),
    (Method::POST, "/gc", OPERATOR),
    (Method::DELETE, "/containers/{container_id}", OPERATOR),
    (Method::POST, "/engines/{container_id}/replace", OPERATOR),
    (Method::DELETE, "/streams/{stream_id}", OPERATOR),
    (Method::POST, "/health/circuit-breaker/reset", OPERATOR),
    (Method::POST, "/cluster/nodes/{name}/cordon", OPERATOR),
    (Method::POST, "/cluster/nodes/{name}/uncordon", OPERATOR),
    (Method::POST, "/cluster/nodes/{name}/drain", OPERATOR),
    (Method::POST, "/cluster/nodes/{name}/lead", OPERATOR),
    (Method::DELETE, "/cluster/nodes/{name}", ADMIN),
    (Method::POST, "/cluster/nodes/{name}/adopt", ADMIN),
    (Method::POST, "/cluster/key", Needs::Host),
    (Method::GET, "/cluster/backup", ADMIN),
    (Method::PATCH, "/settings", ADMIN),
    (Method::POST, "/settings/revert", ADMIN),
    (Method::GET, "/cluster/tokens", ADMIN),
    (Method::POST, "/cluster/tokens", ADMIN),
    (Method::DELETE, "/cluster/tokens/{id}", ADMIN),
    (Method::GET, "/keys", ADMIN),
    (Method::POST, "/keys", ADMIN),
    (Method::DELETE, "/keys/{name}", ADMIN),
];

/// What an operation needs; none where there is no such operation.
pub(crate) fn needs(method: &Method, path: &str) -> Option<Needs> {
    OPERATIONS.iter().find(|(of, at, _)| at == &path && of == method).map(|(_, _, needs)| *needs)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::path::PathBuf;

    use serde_json::Value;
    use strum::VariantArray;

    use super::*;
    use crate::http::openapi_json;

    fn documented() -> Vec<(String, String)> {
        let document: Value = serde_json::from_str(&openapi_json()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone()))
        });
        operations.collect()
    }

    #[test]
    fn every_operation_has_one_row_and_every_row_is_an_operation() {
        let rows: Vec<_> =
            OPERATIONS.iter().map(|(method, path, _)| (method.to_string(), (*path).to_owned())).collect();
        let distinct: BTreeSet<_> = rows.iter().collect();
        assert_eq!(distinct.len(), rows.len(), "an operation has two rows");
        let documented = documented();
        let missing: Vec<_> = documented.iter().filter(|operation| !distinct.contains(operation)).collect();
        assert!(missing.is_empty(), "src/http/roles.rs does not say who may call these: {missing:?}");
        assert_eq!(rows.len(), documented.len(), "a row is about nothing");
    }

    #[test]
    fn what_changes_something_always_needs_a_key_with_a_role() {
        for (method, path, needs) in OPERATIONS {
            let is_read = *method == Method::GET || *path == "/session";
            assert!(is_read || matches!(needs, Needs::Role(_) | Needs::Host), "{method} {path}");
            let role = needs.role();
            assert!(
                is_read || role.is_some_and(|role| role != Role::Viewer),
                "{method} {path}: viewers read"
            );
        }
    }

    #[test]
    fn a_proxy_may_what_acexy_calls_and_nothing_else_that_is_kept_from_somebody() {
        let may = |needs: &Needs| needs.role().is_none_or(|role| Role::Proxy.includes(role));
        let own: Vec<_> =
            OPERATIONS.iter().filter(|(_, _, needs)| may(needs)).map(|(_, path, _)| *path).collect();
        let probes = ["/livez", "/readyz", "/health", "/health/ready"];
        let calls = [
            "/orchestrator/status",
            "/engines",
            "/streams",
            "/cluster/key",
            "/session",
            "/provision/acestream",
            "/engines/select",
            "/engines/reservations/{id}",
            "/events/stream_started",
            "/events/stream_ended",
            "/events/batch",
        ];
        assert_eq!(own, [&probes[..], &calls[..]].concat());
    }

    fn mark(needs: Needs, role: Option<Role>) -> &'static str {
        let by_key = || role.is_some_and(|role| needs.role().is_none_or(|needed| role.includes(needed)));
        match needs {
            Needs::Nothing => "yes",
            Needs::Host => role.filter(|role| *role == Role::Admin).map_or("", |_| "on the host"),
            _ if by_key() => "yes",
            _ if needs.a_key(Reads::Open) => "",
            _ => "while reads are open",
        }
    }

    /// The table of the document: every operation, and who may call it.
    fn table() -> String {
        let roles = Role::VARIANTS.iter().copied();
        let mut table = String::from("| operation | no key |");
        roles.clone().for_each(|role| write!(table, " {role} |").unwrap());
        table.push_str("\n|---|---|---|---|---|---|\n");
        for (method, path, needs) in OPERATIONS {
            let marks: Vec<_> =
                [None].into_iter().chain(roles.clone().map(Some)).map(|role| mark(*needs, role)).collect();
            writeln!(table, "| `{method} {path}` | {} |", marks.join(" | ")).unwrap();
        }
        table
    }

    #[test]
    fn the_document_has_the_table_of_roles() {
        const BEGIN: &str = "<!-- roles -->\n";
        const END: &str = "<!-- end of roles -->";
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/SECURITY.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once(BEGIN).expect("docs/SECURITY.md has a place for the table");
        let (has, after) = rest.split_once(END).unwrap();
        let table = table();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
            return;
        }
        assert!(
            has == table,
            "docs/SECURITY.md has another table of roles: run this test with UPDATE_DOCS=1"
        );
    }
}
