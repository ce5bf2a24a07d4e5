//! Parsers of values that Docker has rules for, and of the API key, as in [`super::parse`].

use std::path::PathBuf;

use url::Url;

use super::image_pattern::ImagePattern;
use super::label_pattern::LabelPattern;
use super::parse::{Reason, host, port};

/// `unix:///PATH`, `tcp://HOST:PORT`, `http://HOST:PORT` or `https://HOST:PORT`.
pub fn daemon(text: &str) -> Result<String, Reason> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(if text.starts_with('/') {
            format!("the scheme is missing, as in unix://{text}")
        } else {
            "the scheme is missing".into()
        });
    };
    match scheme {
        "unix" if rest.starts_with('/') && rest.len() > 1 => Ok(text.to_owned()),
        "unix" => Err("the path of the socket is not absolute".into()),
        "tcp" | "http" | "https" => {
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            if rest.contains('@') {
                return Err("user and password are not supported".into());
            }
            let (daemon_host, daemon_port) = rest.rsplit_once(':').ok_or("the port is missing")?;
            host(daemon_host).map_err(|reason| format!("the host: {reason}"))?;
            port(daemon_port).map_err(|reason| format!("the port is {reason}"))?;
            Ok(format!("{scheme}://{rest}"))
        }
        "ssh" | "npipe" | "fd" => Err(format!("{scheme}:// is not supported")),
        _ => Err("unknown scheme".into()),
    }
}

/// Host of a daemon on TCP, in the form of URLs.
pub(crate) fn daemon_host(docker_host: &str) -> Option<String> {
    let rest =
        ["tcp://", "http://", "https://"].iter().find_map(|scheme| docker_host.strip_prefix(scheme))?;
    Url::parse(&format!("http://{rest}")).ok()?.host_str().map(str::to_owned)
}

/// The name of a network.
pub fn network(text: &str) -> Result<String, Reason> {
    if text.starts_with("container:") {
        return Err("the network of another container is not supported".into());
    }
    if text == "none" {
        return Err("nobody can reach engines without a network: leave it out, or name a network".into());
    }
    named(text, 255, "the name").map(|()| text.to_owned())
}

/// The name of a container.
pub fn container(text: &str) -> Result<String, Reason> {
    named(text, 255, "the name").map(|()| text.to_owned())
}

/// An image, with registry, tag or digest.
pub fn image(text: &str) -> Result<String, Reason> {
    if text.contains("://") {
        return Err("it is a URL, leave the scheme out".into());
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/' | b':' | b'@');
    let starts = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if !starts || !text.bytes().all(allowed) || text.len() > 512 {
        return Err("not the name of an image".into());
    }
    Ok(text.to_owned())
}

/// Patterns of images, separated by commas.
pub fn images(text: &str) -> Result<Vec<ImagePattern>, Reason> {
    let pattern = |entry: &str| ImagePattern::parse(entry).map_err(|why| format!("entry {entry:?}: {why}"));
    text.split(',').map(str::trim).map(pattern).collect()
}

/// Patterns of keys of labels, separated by commas.
pub fn labels(text: &str) -> Result<Vec<LabelPattern>, Reason> {
    let pattern = |entry: &str| LabelPattern::parse(entry).map_err(|why| format!("entry {entry:?}: {why}"));
    text.split(',').map(str::trim).map(pattern).collect()
}

/// A tag.
pub fn tag(text: &str) -> Result<String, Reason> {
    named(text, 128, "the tag").map(|()| text.to_owned())
}

/// Docker's rule for names: letters, digits and `_ . -`, starting with a letter or digit.
fn named(text: &str, longest: usize, what: &str) -> Result<(), Reason> {
    let starts = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    let allowed = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    match starts && allowed && text.len() <= longest {
        true => Ok(()),
        false => Err(format!("{what} has characters that Docker does not allow, or is too long")),
    }
}

/// A directory; it is not opened.
pub fn directory(text: &str) -> Result<PathBuf, Reason> {
    if text.starts_with('~') {
        return Err("~ is not expanded here, write the whole path".into());
    }
    if text.contains(char::is_control) {
        return Err("there are control characters in it".into());
    }
    Ok(PathBuf::from(text))
}

/// A file; it is not opened.
pub fn file(text: &str) -> Result<PathBuf, Reason> {
    match text.contains("-----BEGIN") {
        true => Err("this is what belongs into the file: name the file instead".into()),
        false => directory(text),
    }
}

/// Keys that stand in examples, in lower case, letters and digits only.
const SAMPLES: &[&str] = &[
    "apikey",
    "apikeyhere",
    "changeit",
    "changeme",
    "changemenow",
    "changethis",
    "default",
    "defaultapikey",
    "defaultkey",
    "defaultpassword",
    "example",
    "examplekey",
    "holaholahola",
    "insertkeyhere",
    "insertyourkeyhere",
    "myapikey",
    "mysecretkey",
    "none",
    "null",
    "orchestratorapikey",
    "password",
    "placeholder",
    "pleasechangeme",
    "replaceme",
    "replacethis",
    "sample",
    "samplekey",
    "secret",
    "secretkey",
    "secretkeyhere",
    "secureapikey",
    "securekey",
    "supersecret",
    "testapikey",
    "todo",
    "youracestreamapikey",
    "yourapikey",
    "yourapikeygoeshere",
    "yourapikeyhere",
    "yourkey",
    "yourkeyhere",
    "yourorchestratorapikey",
    "yoursecretapikey",
    "yoursecretapikeyhere",
    "yoursecretkey",
    "yoursecretkeyhere",
    "yoursecureapikey",
    "yoursecureapikeyhere",
    "yoursecurekey",
    "yoursecurekeyhere",
    "yourstrongapikey",
    "yourtoken",
];

/// A key that fits into a header and is no sample.
pub fn key(text: &str) -> Result<String, Reason> {
    if text.contains(char::is_whitespace) {
        return Err("there is white space in it".into());
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("there are characters in it that are not printable ASCII".into());
    }
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    if plain.is_empty() {
        return Err("there is no letter or digit in it".into());
    }
    if SAMPLES.contains(&plain.as_str()) {
        return Err(
            "it is the sample of an example, which everybody knows; make one with: openssl rand -hex 24"
                .into(),
        );
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_daemon_on_tcp_is_found() {
        assert_eq!(daemon_host("tcp://docker:2375").as_deref(), Some("docker"));
        assert_eq!(daemon_host("http://10.0.0.7:2375").as_deref(), Some("10.0.0.7"));
        assert_eq!(daemon_host("tcp://[fd00::1]:2375").as_deref(), Some("[fd00::1]"));
        assert_eq!(daemon_host("https://docker:2376").as_deref(), Some("docker"));
        assert_eq!(daemon_host("unix:///run/docker.sock"), None);
    }
}
