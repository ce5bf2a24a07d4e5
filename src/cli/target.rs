//! Which nodes are asked, and how their answers are printed.

use std::path::{Path, PathBuf};

use acefleet::access;
use acefleet::config::table::{AUTHORITIES_NAME, URL_NAME};
use acefleet::config::{Config, load};
use clap::{Args, ValueEnum};
use reqwest::Url;

use super::client::{Caller, Client};
use super::exit_code::{CONFIGURATION, INTERNAL};
use super::failed::Failed;
use super::healthcheck;

/// Which nodes are asked.
#[derive(Clone, Args)]
pub struct Where {
    /// Base URL of a node, http:// or https://, or its HOST:PORT; else the node that runs here with the same settings. Of several with commas between, the next
    /// one is asked when one does not answer.
    #[arg(long, value_name = "URL", env = URL_NAME, value_parser = base_url, value_delimiter = ',')]
    pub(super) url: Vec<Url>,
    /// File with the authorities (PEM) that issued the certificates of the nodes; else those that this host trusts.
    #[arg(long, value_name = "FILE", env = AUTHORITIES_NAME)]
    ca: Option<PathBuf>,
}

impl Where {
    /// These nodes, else the one that runs here with these settings; none if neither is known. The key is the one that is given, else that of the
    /// settings; else, for the node here, its token.
    ///
    /// # Errors
    /// When the file of authorities cannot be read.
    pub(super) fn nodes(
        &self,
        api_key: Option<&str>,
        config: Option<&Config>,
    ) -> Result<Option<Nodes>, Failed> {
        let client = match &self.ca {
            Some(file) => Client::trusting(file)?,
            None => Client::new()?,
        };
        let of_settings = || config?.api_key.as_ref().map(|key| key.exposed().to_owned());
        let key = api_key.map(str::to_owned).or_else(of_settings);
        if !self.url.is_empty() {
            return Ok(Some(Nodes { urls: self.url.clone(), key, client }));
        }
        let Some(config) = config else { return Ok(None) };
        // A user who can read the token may call the node; others need the key.
        let token =
            || access::token_here(&config.data_dir).ok().flatten().map(|token| token.exposed().to_owned());
        Ok(Some(Nodes { urls: vec![own_url(config)?], key: key.or_else(token), client }))
    }
}

/// Which node is asked, and how it answers.
#[derive(Clone, Args)]
pub struct Target {
    #[command(flatten)]
    place: Where,
    /// Key of the API; else API_KEY from the settings, else the token of the node here, which its own user can read. Other users of this
    /// host can see arguments.
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// Print the answer as a table, or as JSON.
    #[arg(short, long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    output: Format,
    /// The same as --output json.
    #[arg(long)]
    json: bool,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Nodes, and what lets callers in.
pub(super) struct Nodes {
    /// In the order in which they are asked; one at least.
    pub urls: Vec<Url>,
    key: Option<String>,
    client: Client,
}

impl Nodes {
    /// What asks the nodes that were named.
    pub(super) fn caller(&self) -> Caller<'_> {
        Caller { client: &self.client, key: self.key.as_deref() }
    }

    /// What asks this node. Where else a command goes on is known from answers alone: nothing there is shown a key.
    pub(super) fn caller_for(&self, url: &Url) -> Caller<'_> {
        let key = self.key.as_deref().filter(|_| self.urls.contains(url));
        Caller { key, ..self.caller() }
    }
}

impl Target {
    /// Whether answers are for programs.
    pub(super) fn wants_json(&self) -> bool {
        self.json || self.output == Format::Json
    }

    /// The first node alone: the one that is meant where a command is about the node that is asked.
    pub(super) fn first(&self) -> Self {
        let url = self.place.url.iter().take(1).cloned().collect();
        Self { place: Where { url, ..self.place.clone() }, ..self.clone() }
    }

    /// Whether the arguments or the environment name a node.
    pub(super) fn is_named(&self) -> bool {
        !self.place.url.is_empty()
    }

    /// The nodes and the key. Invalid settings matter only if the arguments do not replace them.
    ///
    /// # Errors
    /// When neither the arguments nor the settings name a node.
    pub(super) fn nodes(&self, file: Option<&Path>) -> Result<Nodes, Failed> {
        let (named, key) = (self.is_named(), self.api_key.as_deref());
        if named && key.is_some() {
            return self.place.nodes(key, None)?.ok_or_else(unnamed);
        }
        let loaded = load(file);
        if let Some(nodes) = self.place.nodes(key, loaded.as_ref().ok().map(|loaded| &loaded.config))? {
            return Ok(nodes);
        }
        let Err(errors) = loaded else { return Err(unnamed()) };
        let lines: Vec<_> = errors.problems.into_iter().map(|problem| problem.line).collect();
        let why = format!("the settings are not valid, so use --url and --api-key: {}", lines.join("; "));
        Err(Failed::new(CONFIGURATION, why))
    }
}

fn unnamed() -> Failed {
    Failed::new(INTERNAL, "no node was named")
}

/// A URL, for which `http://` may be left out.
fn base_url(text: &str) -> Result<Url, String> {
    let text = text.trim();
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&full).map_err(|error| format!("{error}; write http://HOST:PORT or HOST:PORT"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "nodes know no user and password: leave them out, and give the key with --api-key or API_KEY"
                .to_owned(),
        );
    }
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!(
            "a node has no {other}:// address; write http://HOST:PORT, https://HOST:PORT or HOST:PORT"
        )),
    }
}

/// The node that runs here with these settings.
pub(super) fn own_url(config: &Config) -> Result<Url, Failed> {
    let url = format!("http://{}/", healthcheck::local(config.http_bind));
    Url::parse(&url).map_err(|error| Failed::new(INTERNAL, format!("{url}: {error}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_of_a_url_may_be_left_out() {
        for (text, expected) in [
            ("localhost:8000", "http://localhost:8000/"),
            (" a", "http://a/"),
            ("10.0.0.1:81/sub", "http://10.0.0.1:81/sub"),
            ("[::1]:8000", "http://[::1]:8000/"),
            ("https://a:8443", "https://a:8443/"),
        ] {
            assert_eq!(base_url(text).unwrap().as_str(), expected);
        }
        for text in ["", "ftp://a", "unix:///x", "http://", "a b"] {
            assert!(base_url(text).is_err_and(|why| why.contains("HOST:PORT")), "{text}");
        }
    }
}
