//! Command line and environment, in the forms that the engine images accept.
//!
//! Three image families carry the port in three ways: `CONF` (a configuration file's text) with
//! `HTTP_PORT` beside it, `ACESTREAM_ARGS`, and plain arguments (`python main.py --http-port P`).
//! Arguments win over `ACESTREAM_ARGS`, that over `CONF`, that over `HTTP_PORT`. Options that the
//! real engine knows and a simulation has no use for are accepted and ignored.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::faults::Faults;

/// The port of an engine that was told nothing.
pub const DEFAULT_HTTP_PORT: u16 = 6878;

/// Everything the process needs to know before it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Port of the HTTP API.
    pub http_port: u16,
    /// Port that the caller chose for HTTPS. It is reported, never opened.
    pub https_port: Option<u16>,
    /// Wait before the port opens, as an engine that loads slowly does.
    pub start_delay: Duration,
    /// Exit with this code before the port opens.
    pub exit_at_start: Option<i32>,
    /// Exit by itself this long after the port opened.
    pub die_after: Option<Duration>,
    /// Exit code of `die_after`.
    pub die_code: i32,
    /// The faults in force from the start; `reset` at run time returns to these.
    pub faults: Faults,
    /// The command line after the program's name, as received.
    pub args: Vec<String>,
    /// The environment, as received.
    pub environment: BTreeMap<String, String>,
}

/// A setting that cannot be used. The message names the setting and what it accepts.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// A value does not parse or lies outside its range.
    #[error("{name}: {value:?} is not valid, expected {expected}")]
    Value { name: String, value: String, expected: &'static str },
    /// A `SIM_` variable that does not exist, most likely a typing error.
    #[error("{0}: unknown setting, see chaos-tests/engine-sim/src/faults.rs for the list")]
    Unknown(String),
}

impl ConfigError {
    pub(crate) fn value(name: &str, value: &str, expected: &'static str) -> Self {
        Self::Value { name: name.to_owned(), value: value.to_owned(), expected }
    }
}

impl Config {
    /// Reads the arguments (without the program's name) and the environment.
    ///
    /// # Errors
    /// A port that is no port, a `SIM_` variable that is unknown or has an unusable value.
    pub fn parse(args: Vec<String>, environment: BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let mut faults = Faults::default();
        let mut config = Self {
            http_port: DEFAULT_HTTP_PORT,
            https_port: None,
            start_delay: Duration::ZERO,
            exit_at_start: None,
            die_after: None,
            die_code: 1,
            faults: Faults::default(),
            args,
            environment,
        };
        for (name, value) in &config.environment {
            let Some(setting) = name.strip_prefix("SIM_") else {
                continue;
            };
            match setting {
                "START_DELAY_MS" => config.start_delay = Duration::from_millis(int(name, value)?),
                "EXIT_AT_START" => config.exit_at_start = Some(exit_code(name, value)?),
                "DIE_AFTER_S" => config.die_after = Some(seconds(name, value)?),
                "DIE_CODE" => config.die_code = exit_code(name, value)?,
                _ => faults.apply_env(name, setting, value)?,
            }
        }
        config.faults = faults;
        config.http_port = config.port("--http-port", "HTTP_PORT")?.unwrap_or(DEFAULT_HTTP_PORT);
        config.https_port = config.port("--https-port", "HTTPS_PORT")?;
        Ok(config)
    }

    /// Looks a port up in the places that may carry it, strongest first.
    fn port(&self, option: &str, variable: &str) -> Result<Option<u16>, ConfigError> {
        let env = |name: &str| self.environment.get(name).map(String::as_str);
        let places = [
            option_value(self.args.iter().map(String::as_str), option),
            option_value(env("ACESTREAM_ARGS").unwrap_or("").split_whitespace(), option),
            option_value(env("CONF").unwrap_or("").split_whitespace(), option),
            env(variable).map(str::trim).filter(|v| !v.is_empty()),
        ];
        places
            .into_iter()
            .flatten()
            .next()
            .map(|text| match text.parse::<u16>() {
                Ok(port) if port > 0 => Ok(port),
                _ => Err(ConfigError::value(option, text, "a port from 1 to 65535")),
            })
            .transpose()
    }
}

/// The value of `--name V` or `--name=V`; the last one wins, as in the engine's own parser.
fn option_value<'a>(words: impl Iterator<Item = &'a str>, option: &str) -> Option<&'a str> {
    let mut found = None;
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        if word == option {
            // A missing value shows up as an unusable one instead of being skipped.
            found = Some(words.peek().copied().unwrap_or(""));
        } else if let Some(value) = word.strip_prefix(option).and_then(|rest| rest.strip_prefix('=')) {
            found = Some(value);
        }
    }
    found
}

pub(crate) fn int(name: &str, value: &str) -> Result<u64, ConfigError> {
    value.trim().parse().map_err(|_| ConfigError::value(name, value, "a whole number, 0 or more"))
}

/// Seconds, fractions allowed.
pub(crate) fn seconds(name: &str, value: &str) -> Result<Duration, ConfigError> {
    value
        .trim()
        .parse::<f64>()
        .ok()
        .and_then(|s| Duration::try_from_secs_f64(s).ok())
        .ok_or_else(|| ConfigError::value(name, value, "seconds, 0 or more"))
}

fn exit_code(name: &str, value: &str) -> Result<i32, ConfigError> {
    value
        .trim()
        .parse::<u8>()
        .map(i32::from)
        .map_err(|_| ConfigError::value(name, value, "an exit code from 0 to 255"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str], env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::parse(
            args.iter().map(|a| (*a).to_owned()).collect(),
            env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        )
    }

    #[test]
    fn every_form_of_the_port() {
        type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], u16);
        let cases: [Case; 7] = [
            (&[], &[], 6878),
            (&[], &[("HTTP_PORT", "40001")], 40001),
            (&[], &[("CONF", "--http-port=40002\n--https-port=45002\n--bind-all")], 40002),
            (&[], &[("ACESTREAM_ARGS", "--bind-all --http-port 40003 --https-port 45003")], 40003),
            (&["python", "main.py", "--bind-all", "--http-port", "40004", "--https-port", "1"], &[], 40004),
            (&[], &[("CONF", "--http-port=40005"), ("HTTP_PORT", "40006")], 40005),
            (
                &["main.py", "--http-port", "40007"],
                &[("ACESTREAM_ARGS", "--http-port 40008"), ("HTTP_PORT", "")],
                40007,
            ),
        ];
        for (args, env, port) in cases {
            assert_eq!(parse(args, env).unwrap().http_port, port, "{args:?} {env:?}");
        }
        let https = parse(&[], &[("CONF", "--http-port=1\n--https-port=45002")]).unwrap();
        assert_eq!(https.https_port, Some(45002));
    }

    #[test]
    fn unusable_values_are_refused() {
        assert!(parse(&["--http-port"], &[]).is_err());
        assert!(parse(&["--http-port", "0"], &[]).is_err());
        assert!(parse(&[], &[("HTTP_PORT", "65536")]).is_err());
        assert!(parse(&[], &[("SIM_EXIT_AT_START", "256")]).is_err());
        assert!(parse(&[], &[("SIM_DIE_AFTER_S", "-1")]).is_err());
        assert_eq!(parse(&[], &[("SIM_HNAG", "1")]).unwrap_err(), ConfigError::Unknown("SIM_HNAG".into()));
    }

    #[test]
    fn life_cycle_settings() {
        let config = parse(
            &[],
            &[
                ("SIM_START_DELAY_MS", "1500"),
                ("SIM_DIE_AFTER_S", "2.5"),
                ("SIM_DIE_CODE", "137"),
                ("SIM_EXIT_AT_START", "3"),
            ],
        )
        .unwrap();
        assert_eq!(config.start_delay, Duration::from_millis(1500));
        assert_eq!(config.die_after, Some(Duration::from_millis(2500)));
        assert_eq!((config.die_code, config.exit_at_start), (137, Some(3)));
    }
}
