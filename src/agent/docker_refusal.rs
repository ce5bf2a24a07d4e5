//! The meaning of refusals by a proxy in front of the Docker socket, which forbids single calls and answers with HTML pages.

use bollard::errors::Error;

use crate::agent::runtime::RuntimeError;

/// Longest text of an answer that is passed on, in characters.
const TEXT_MAX: usize = 300;

/// The calls of Docker's API that such proxies allow or forbid one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Version,
    Ping,
    List,
    Inspect,
    Logs,
    Stats,
    Create,
    Start,
    Stop,
    Restart,
    Remove,
    Events,
    Image,
    Pull,
    Network,
}

impl Call {
    /// Method and path, and the variables by which docker-socket-proxy allows it.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Version => ("GET /version", "VERSION=1"),
            Self::Ping => ("GET /_ping", "PING=1"),
            Self::List => ("GET /containers/json", "CONTAINERS=1"),
            Self::Inspect => ("GET /containers/<id>/json", "CONTAINERS=1"),
            Self::Logs => ("GET /containers/<id>/logs", "CONTAINERS=1"),
            Self::Stats => ("GET /containers/<id>/stats", "CONTAINERS=1"),
            Self::Create => ("POST /containers/create", "CONTAINERS=1 and POST=1"),
            Self::Start => ("POST /containers/<id>/start", "CONTAINERS=1 and POST=1"),
            Self::Stop => ("POST /containers/<id>/stop", "CONTAINERS=1 and POST=1"),
            Self::Restart => {
                ("POST /containers/<id>/restart", "CONTAINERS=1 and POST=1, or ALLOW_RESTARTS=1")
            }
            Self::Remove => ("DELETE /containers/<id>", "CONTAINERS=1 and POST=1"),
            Self::Events => ("GET /events", "EVENTS=1"),
            Self::Image => ("GET /images/<name>/json", "IMAGES=1"),
            Self::Pull => ("POST /images/create", "IMAGES=1 and POST=1"),
            Self::Network => ("GET /networks/<name>", "NETWORKS=1"),
        }
    }
}

/// The error for a forbidden call, if this is one.
pub(super) fn forbidden(error: &Error, call: Call) -> Option<RuntimeError> {
    let Error::DockerResponseServerError { status_code: 403, message } = error else { return None };
    let (request, permission) = call.words();
    let said = match is_page(message) {
        // A page says no more than that the call is forbidden.
        true => String::new(),
        false => format!(" ({})", plain(message)),
    };
    Some(RuntimeError::Forbidden(format!(
        "{request} is forbidden{said}: allow it where Docker's socket is guarded, for docker-socket-proxy with {permission}"
    )))
}

/// True for an answer that no Docker daemon gives.
pub(super) fn is_page(message: &str) -> bool {
    message.trim_start().starts_with('<')
}

/// A message as one short line without markup.
pub(super) fn plain(message: &str) -> String {
    let mut text = String::new();
    let mut in_tag = false;
    let page = is_page(message);
    for c in message.chars() {
        match c {
            '<' if page => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                text.push(' ');
            }
            _ if in_tag => {}
            c if c.is_whitespace() || c.is_control() => text.push(' '),
            c => text.push(c),
        }
    }
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What docker-socket-proxy answers.
    const PAGE: &str =
        "<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>\n";

    fn answer(status_code: u16, message: &str) -> Error {
        Error::DockerResponseServerError { status_code, message: message.to_owned() }
    }

    #[test]
    fn a_forbidden_call_is_one_line_with_the_permission_to_give() {
        let Some(RuntimeError::Forbidden(text)) = forbidden(&answer(403, PAGE), Call::Create) else {
            panic!("not seen")
        };
        assert!(text.starts_with("POST /containers/create is forbidden:"), "{text}");
        assert!(text.ends_with("CONTAINERS=1 and POST=1"), "{text}");
        assert!(!text.contains(['<', '\n']) && text.len() < 200, "{text}");
        let plugin = answer(403, "authorization denied by plugin opa: no");
        let text = forbidden(&plugin, Call::Pull).unwrap().to_string();
        assert!(
            text.contains("authorization denied by plugin opa: no") && text.contains("IMAGES=1"),
            "{text}"
        );
        assert_eq!(forbidden(&answer(500, PAGE), Call::Create), None);
    }

    #[test]
    fn pages_become_lines() {
        assert_eq!(plain(PAGE), "403 Forbidden Request forbidden by administrative rules.");
        assert_eq!(plain("network <none>\nnot found"), "network <none> not found");
        assert_eq!(plain(&"x".repeat(1_000)).len(), TEXT_MAX);
    }
}
