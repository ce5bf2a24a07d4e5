//! Gluetun's environment, as far as a simulation has use for it, and its role file.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Where Gluetun looks for roles unless a variable says otherwise.
pub const ROLE_FILE: &str = "/gluetun/auth/config.toml";
/// The port that a provider with port forwarding gives at first.
pub const FIRST_PORT: u16 = 51_413;

/// What the process has to know before it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// `HTTP_CONTROL_SERVER_ADDRESS`.
    pub address: SocketAddr,
    /// `VPN_PORT_FORWARDING` is on.
    pub forwards: bool,
    /// Who may ask what; none for the old Gluetun that lets everybody.
    pub roles: Option<Roles>,
}

/// The role file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roles {
    /// Roles.
    #[serde(default)]
    pub roles: Vec<Role>,
}

/// Routes and who may ask them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// For people.
    pub name: String,
    /// `METHOD /path`.
    pub routes: Vec<String>,
    /// `none`, `apikey` or `basic`.
    pub auth: String,
    /// For `apikey`.
    #[serde(default)]
    pub apikey: String,
    /// For `basic`.
    #[serde(default)]
    pub username: String,
    /// For `basic`.
    #[serde(default)]
    pub password: String,
}

impl Config {
    /// Reads the environment and the role file that it names.
    ///
    /// # Errors
    /// What the real one refuses, too.
    pub fn read(environment: &BTreeMap<String, String>) -> Result<Self> {
        let get = |name: &str| environment.get(name).map(String::as_str).filter(|value| !value.is_empty());
        if get("VPN_SERVICE_PROVIDER").is_none() {
            bail!("VPN_SERVICE_PROVIDER is not set");
        }
        let address = get("HTTP_CONTROL_SERVER_ADDRESS").unwrap_or(":8000");
        let address = match address.strip_prefix(':') {
            Some(port) => format!("0.0.0.0:{port}"),
            None => address.to_owned(),
        };
        let address = address.parse().with_context(|| format!("HTTP_CONTROL_SERVER_ADDRESS={address}"))?;
        let forwards = match get("VPN_PORT_FORWARDING").unwrap_or("off") {
            "on" => true,
            "off" => false,
            other => bail!("VPN_PORT_FORWARDING={other}: neither on nor off"),
        };
        let path = get("HTTP_CONTROL_SERVER_AUTH_CONFIG_FILEPATH").unwrap_or(ROLE_FILE);
        let roles = match std::fs::read_to_string(path) {
            Ok(text) => Some(Roles::parse(&text).with_context(|| path.to_owned())?),
            Err(_) => None,
        };
        Ok(Self { address, forwards, roles })
    }
}

impl Roles {
    /// Reads the file's text.
    ///
    /// # Errors
    /// What is no role file.
    pub fn parse(text: &str) -> Result<Self> {
        let roles: Self = toml::from_str(text)?;
        for role in &roles.roles {
            let complete = match role.auth.as_str() {
                "none" => true,
                "apikey" => !role.apikey.is_empty(),
                "basic" => !role.username.is_empty() && !role.password.is_empty(),
                other => bail!("role {}: unknown auth {other}", role.name),
            };
            if !complete {
                bail!("role {}: credentials are missing", role.name);
            }
        }
        Ok(roles)
    }

    /// Whether a request with these headers may ask `route`.
    #[must_use]
    pub fn allow(&self, route: &str, api_key: &str, authorization: &str) -> bool {
        let named = self.roles.iter().filter(|role| role.routes.iter().any(|name| name == route));
        named.into_iter().any(|role| match role.auth.as_str() {
            "none" => true,
            "apikey" => api_key == role.apikey,
            _ => authorization == basic(&role.username, &role.password),
        })
    }
}

/// The header of basic authentication (RFC 7617).
fn basic(user: &str, password: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = "Basic ".to_owned();
    for chunk in format!("{user}:{password}").as_bytes().chunks(3) {
        let bits =
            chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            match digit <= chunk.len() {
                true => text.push(char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize])),
                false => text.push('='),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn basic_authentication() {
        for (user, password, header) in [
            ("me", "hunter2", "Basic bWU6aHVudGVyMg=="),
            ("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("a", "b", "Basic YTpi"),
        ] {
            assert_eq!(basic(user, password), header);
        }
    }

    #[test]
    fn roles_open_their_own_routes_only() {
        let roles = Roles::parse(
            "[[roles]]\nname = \"a\"\nroutes = [\"GET /v1/portforward\"]\nauth = \"apikey\"\napikey = \"k\"\n\
             [[roles]]\nname = \"b\"\nroutes = [\"GET /v1/publicip/ip\"]\nauth = \"none\"\n",
        )
        .unwrap();
        assert!(roles.allow("GET /v1/portforward", "k", ""));
        assert!(!roles.allow("GET /v1/portforward", "", ""));
        assert!(roles.allow("GET /v1/publicip/ip", "", ""));
        assert!(!roles.allow("PUT /v1/vpn/status", "k", ""));
        for bad in ["[[roles]]\nname = \"a\"\nroutes = []\nauth = \"apikey\"\n", "x = 1\n", "[[roles]]\n"] {
            assert!(Roles::parse(bad).is_err(), "{bad}");
        }
    }
}
