//! What the simulation pretends. `GET /sim/set?…` changes it, so that a test can do it from any host:
//!
//! | parameter | meaning |
//! |---|---|
//! | `healthy=true\|false` | what the health check says of a tunnel that is up |
//! | `tunnel=up\|down` | the tunnel: when it is down, the health check fails and the control server says so |
//! | `port=N` | forwarded port; 0 = none |
//! | `ip=A` | public address |
//! | `status=N` | the control server answers every route with this status; 0 = as usual |
//! | `hang=true\|false` | it takes requests and does not answer them |

use std::sync::{Mutex, PoisonError};

use crate::config::{Config, FIRST_PORT};

/// What is pretended now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pretence {
    /// Whether the health check succeeds while the tunnel is up.
    pub healthy: bool,
    /// Whether the tunnel is up.
    pub tunnel: bool,
    /// Forwarded port; 0 = none.
    pub port: u16,
    /// Public address.
    pub ip: String,
    /// Status of every answer of the control server; 0 = as usual.
    pub status: u16,
    /// No answers at all.
    pub hang: bool,
}

/// The simulation.
#[derive(Debug)]
pub struct Sim {
    /// What it was started with.
    pub config: Config,
    now: Mutex<Pretence>,
}

impl Sim {
    /// A healthy VPN.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let port = if config.forwards { FIRST_PORT } else { 0 };
        let ip = "203.0.113.24".to_owned();
        Self {
            config,
            now: Mutex::new(Pretence { healthy: true, tunnel: true, port, ip, status: 0, hang: false }),
        }
    }

    /// What is pretended now.
    #[must_use]
    pub fn now(&self) -> Pretence {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what the parameters name.
    ///
    /// # Errors
    /// The parameter that is not understood; nothing is changed then.
    pub fn set<'a>(&self, parameters: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Pretence, String> {
        let mut next = self.now();
        for (name, value) in parameters {
            let wrong =
                || format!("{name}={value} is not understood, see chaos-tests/gluetun-sim/src/sim.rs");
            match name {
                "healthy" => next.healthy = value.parse().map_err(|_| wrong())?,
                "tunnel" => {
                    next.tunnel = match value {
                        "up" => true,
                        "down" => false,
                        _ => return Err(wrong()),
                    }
                }
                "hang" => next.hang = value.parse().map_err(|_| wrong())?,
                "port" => next.port = value.parse().map_err(|_| wrong())?,
                "status" => next.status = value.parse().map_err(|_| wrong())?,
                "ip" => next.ip = value.to_owned(),
                _ => return Err(wrong()),
            }
        }
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = next.clone();
        Ok(next)
    }
}
