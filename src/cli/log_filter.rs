//! Which log lines are written: those that the settings want, without what libraries repeat, and never what has secrets in it.

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt, FilterFn, LevelFilter};
use tracing_subscriber::layer::Filter;
use tracing_subscriber::registry::LookupSpan;

/// Below this level bollard writes what it sends to Docker and gets from there, with the environments of containers: keys of VPNs, passwords.
const OF_DOCKER: (&str, Level) = ("bollard", Level::INFO);

/// The filter for these words of `ACEFLEET_LOG`.
///
/// # Errors
/// Why they are no filter.
pub fn of<S>(wanted: &str) -> Result<impl Filter<S> + use<S>, String>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    let wants = EnvFilter::builder().parse(quieter(wanted)).map_err(|error| error.to_string())?;
    // Without a hint of its own it would take that of the other one away, and each line of a library would be looked at.
    Ok(wants.and(FilterFn::new(is_safe).with_max_level_hint(LevelFilter::TRACE)))
}

/// The words with those for libraries whose messages repeat ours or tell nobody anything, unless they name the library.
fn quieter(wanted: &str) -> String {
    let quiet =
        [("openraft", acefleet_raft::LOG_FILTER), ("h2", "h2=error"), ("memory_serve", "memory_serve=warn")];
    let left_out =
        quiet.into_iter().filter(|(library, _)| !wanted.contains(library)).map(|(_, filter)| filter);
    left_out.chain([wanted]).collect::<Vec<_>>().join(",")
}

/// Whether a line of this origin cannot have a secret in it, whatever the settings want.
fn is_safe(line: &Metadata<'_>) -> bool {
    may_log(line.target(), *line.level())
}

fn may_log(target: &str, level: Level) -> bool {
    let (library, least) = OF_DOCKER;
    let is_of_docker =
        target.strip_prefix(library).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    !is_of_docker || level <= least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_quiet_unless_they_are_named() {
        assert_eq!(quieter("info"), "openraft=error,openraft::raft=off,h2=error,memory_serve=warn,info");
        assert_eq!(quieter("info,openraft=debug"), "h2=error,memory_serve=warn,info,openraft=debug");
        assert_eq!(quieter("memory_serve=info,openraft=info"), "h2=error,memory_serve=info,openraft=info");
    }

    #[test]
    fn what_docker_is_told_is_never_logged() {
        assert!(!may_log("bollard::docker", Level::DEBUG) && !may_log("bollard", Level::TRACE));
        assert!(may_log("bollard::docker", Level::INFO) && may_log("bollards", Level::DEBUG));
        assert!(may_log("acefleet::agent::docker_connection", Level::TRACE));
    }

    #[test]
    fn words_that_are_no_filter_are_refused() {
        assert!(of::<tracing_subscriber::Registry>("acefleet=loud").is_err());
        let hint =
            of::<tracing_subscriber::Registry>("info,bollard=debug").map(|filter| filter.max_level_hint());
        assert_eq!(hint, Ok(Some(LevelFilter::DEBUG)), "lines that nobody wants cost nothing");
    }
}
