//! Parsers, one for each kind of value. Errors are the reason alone; the reader adds the name of the setting, its source and what is
//! accepted.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use acefleet_raft::{ClusterSecret, JoinToken};
use acefleet_registry::address::{bare, join};
use acefleet_registry::policy::PortRange;
use acefleet_registry::rules::settings::label_fault;
use axum::http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderName, ORIGIN,
    PROXY_AUTHORIZATION, REFERER, UPGRADE,
};
use ipnet::IpNet;

use super::values::BackupPlace;

/// What is wrong with a value.
pub type Reason = String;

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// The secret of a cluster.
pub fn cluster_secret(text: &str) -> Result<ClusterSecret, Reason> {
    ClusterSecret::parse(text).map_err(|weak| weak.to_string())
}

/// A token to join with.
pub fn join_token(text: &str) -> Result<JoinToken, Reason> {
    JoinToken::parse(text).map_err(|why| why.to_string())
}

/// A whole number within inclusive bounds.
pub fn count(text: &str, min: u64, max: u64) -> Result<u64, Reason> {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return Err("not a whole number".into());
    }
    // Too many digits for u64 are above every maximum.
    match unsigned.parse::<u64>() {
        Ok(number) if number < min => Err(format!("below {min}")),
        Ok(number) if number <= max => Ok(number),
        _ => Err(format!("above {max}")),
    }
}

/// A port.
pub fn port(text: &str) -> Result<u16, Reason> {
    let number = count(text, 1, u64::from(u16::MAX))?;
    u16::try_from(number).map_err(|_| "above 65535".into())
}

/// Seconds within inclusive bounds, to the millisecond.
pub fn seconds(text: &str, min: f64, max: f64) -> Result<Duration, Reason> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number = text.parse::<f64>().ok().filter(|_| plain).ok_or("not a number of seconds")?;
    if number < min {
        return Err(format!("below {min}"));
    }
    if number > max {
        return Err(format!("above {max}"));
    }
    Ok(Duration::from_millis((number * 1_000.0).round() as u64))
}

/// A span of time with its unit, within inclusive bounds in seconds.
pub fn span(text: &str, min: u64, max: u64) -> Result<Duration, Reason> {
    let unit = text.chars().last().and_then(|unit| match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3_600),
        'd' => Some(86_400),
        _ => None,
    });
    let (Some(unit), Some(number)) = (unit, text.get(..text.len().saturating_sub(1))) else {
        return Err("there is no unit behind the number".into());
    };
    let seconds = count(number, 0, u64::MAX / 86_400)?.saturating_mul(unit);
    match seconds {
        few if few < min => Err(format!("shorter than {min}s")),
        many if many > max => Err(format!("longer than {}d", max / 86_400)),
        _ => Ok(Duration::from_secs(seconds)),
    }
}

/// Where backups are kept.
pub fn backup_place(text: &str) -> Result<BackupPlace, Reason> {
    if let Some(place) = text.strip_prefix("s3://") {
        return bucket(place);
    }
    let path = super::docker::directory(text)?;
    match path.is_absolute() {
        true => Ok(BackupPlace::Folder(path)),
        false => Err("not the whole path of a folder".into()),
    }
}

fn bucket(place: &str) -> Result<BackupPlace, Reason> {
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let of_names = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(of_names) {
        return Err("the bucket has no name of 3 to 63 of the characters a-z 0-9 . -".into());
    }
    let prefix = prefix.trim_matches('/');
    let of_prefixes = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '=');
    let is_strange = |part: &str| matches!(part, "" | "." | "..");
    if !prefix.chars().all(of_prefixes) || (!prefix.is_empty() && prefix.split('/').any(is_strange)) {
        return Err("the prefix has other characters than A-Z a-z 0-9 . _ - = between its slashes".into());
    }
    Ok(BackupPlace::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

/// True or false.
pub fn flag(text: &str) -> Result<bool, Reason> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("neither true nor false".into()),
    }
}

/// An inclusive range `FIRST-LAST`.
pub fn ports(text: &str) -> Result<PortRange, Reason> {
    let (first, last) = text.split_once('-').ok_or("not FIRST-LAST")?;
    let first = port(first.trim()).map_err(|reason| format!("the first port is {reason}"))?;
    let last = port(last.trim()).map_err(|reason| format!("the last port is {reason}"))?;
    if first > last {
        return Err("the first port is above the last".into());
    }
    Ok(PortRange { first, last })
}

/// The position of a word in a list, in any case.
pub fn one_of(text: &str, words: &[&str]) -> Result<usize, Reason> {
    words.iter().position(|word| word.eq_ignore_ascii_case(text)).ok_or_else(|| "unknown word".into())
}

/// Bytes, or none for unlimited.
pub fn memory(text: &str) -> Result<Option<u64>, Reason> {
    let lower = text.to_ascii_lowercase();
    let (digits, unit) = match lower.strip_suffix(['b', 'k', 'm', 'g']) {
        Some(digits) => (digits, lower.as_bytes()[digits.len()]),
        None => (lower.as_str(), b'b'),
    };
    let number = count(digits, 0, u64::MAX).map_err(|_| "not digits with a unit b, k, m or g")?;
    let factor = match unit {
        b'k' => 1024,
        b'm' => MIB,
        b'g' => GIB,
        _ => 1,
    };
    match number.checked_mul(factor) {
        Some(0) => Ok(None),
        Some(bytes) if bytes < 32 * MIB => Err("below 32m".into()),
        Some(bytes) if bytes <= 128 * GIB => Ok(Some(bytes)),
        _ => Err("above 128g".into()),
    }
}

/// `key=value` for a container.
pub fn label(text: &str) -> Result<String, Reason> {
    label_fault(text).map_or_else(|| Ok(text.to_owned()), |why| Err(why.into()))
}

/// An IP address without a port.
pub fn address(text: &str) -> Result<IpAddr, Reason> {
    if let Ok(address) = bare(text).parse() {
        return Ok(address);
    }
    if text.parse::<SocketAddr>().is_ok() {
        return Err("it has a port, which belongs into APP_PORT".into());
    }
    Err("not an IP address".into())
}

/// IP addresses without ports, each once.
pub fn addresses(text: &str) -> Result<Vec<IpAddr>, Reason> {
    let mut addresses = Vec::new();
    for entry in text.split(',').map(str::trim) {
        let address: IpAddr = bare(entry).parse().map_err(|_| format!("{entry:?} is not an IP address"))?;
        if address.is_multicast() {
            return Err(format!("nobody can listen on {address}"));
        }
        if addresses.contains(&address) {
            return Err(format!("{address} is there twice"));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

/// IP addresses and networks in CIDR notation.
pub fn networks(text: &str) -> Result<Vec<IpNet>, Reason> {
    let network = |entry: &str| {
        let network = entry.parse().or_else(|_| bare(entry).parse::<IpAddr>().map(IpNet::from));
        network.map_err(|_| format!("{entry:?} is neither an IP address nor a network such as 172.18.0.0/16"))
    };
    text.split(',').map(str::trim).map(network).collect()
}

/// An IP address with a port.
pub fn listener(text: &str) -> Result<SocketAddr, Reason> {
    if let Ok(listener) = text.parse::<SocketAddr>() {
        return if listener.port() == 0 { Err("the port is 0".into()) } else { Ok(listener) };
    }
    if let Ok(address) = bare(text).parse::<IpAddr>() {
        return Err(format!("the port is missing, as in {}", SocketAddr::new(address, 8001)));
    }
    if let Some(port) = text.strip_prefix(':').or(Some(text)).and_then(|text| port(text).ok()) {
        return Err(format!("the address is missing, as in 0.0.0.0:{port}"));
    }
    Err("not an IP address with a port".into())
}

/// A host name or IP address, without a port. Addresses come back without brackets.
pub fn host(text: &str) -> Result<String, Reason> {
    if text.contains("://") || text.contains('/') {
        return Err("it is a URL, give the host alone".into());
    }
    let bare = bare(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        if address.is_unspecified() || address.is_multicast() {
            return Err("nobody can connect to this address".into());
        }
        return Ok(address.to_string());
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && port.bytes().all(|b| b.is_ascii_digit())
        && !host.is_empty()
    {
        return Err(format!("it has a port, give {host} alone"));
    }
    let valid = !text.is_empty()
        && text.len() <= 253
        && text
            .split('.')
            .all(|part| (1..=63).contains(&part.len()) && !part.starts_with('-') && !part.ends_with('-'))
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if !valid {
        return Err("not a host name or IP address".into());
    }
    // 10.0.0 and 10.0.0.300 are nearly always a mistyped address, never a host name.
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err("neither a host name nor a whole IPv4 address".into());
    }
    Ok(text.to_owned())
}

/// Host names without ports, each once.
pub fn hosts(text: &str) -> Result<Vec<String>, Reason> {
    let mut hosts: Vec<String> = Vec::new();
    for entry in text.split(',').map(str::trim) {
        let name = host(entry).map_err(|reason| format!("entry {entry:?}: {reason}"))?.to_ascii_lowercase();
        if hosts.contains(&name) {
            return Err(format!("{name} is there twice"));
        }
        hosts.push(name);
    }
    Ok(hosts)
}

/// The name of a header in which a proxy names a user.
pub fn user_header(text: &str) -> Result<HeaderName, Reason> {
    let name = HeaderName::from_str(text).map_err(|_| "there are other characters in it")?;
    let taken = [
        AUTHORIZATION,
        PROXY_AUTHORIZATION,
        COOKIE,
        HOST,
        ORIGIN,
        REFERER,
        CONTENT_TYPE,
        CONTENT_LENGTH,
        CONNECTION,
        UPGRADE,
    ];
    let is_taken = taken.contains(&name)
        || ["x-api-key", "x-forwarded-for", "x-requested-with", "last-event-id"].contains(&name.as_str());
    if is_taken { Err(format!("{name} means something else")) } else { Ok(name) }
}

/// A node name.
pub fn name(text: &str) -> Result<String, Reason> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    match text.len() {
        0 => Err("empty".into()),
        1..=63 if text.bytes().all(allowed) => Ok(text.to_owned()),
        1..=63 => Err("there are other characters in it".into()),
        _ => Err("longer than 63 characters".into()),
    }
}

/// `NAME=HOST:PORT,…` as (name, `host:port`), with brackets round IPv6 addresses.
pub fn peers(text: &str) -> Result<Vec<(String, String)>, Reason> {
    let mut peers: Vec<(String, String)> = Vec::new();
    for entry in text.split(',').map(str::trim) {
        if entry.is_empty() {
            return Err("there is an empty entry (two commas, or one at an end)".into());
        }
        let bad = |reason: &str| format!("entry {entry:?}: {reason}");
        let (node, target) = entry.split_once('=').ok_or_else(|| bad("there is no ="))?;
        let node = name(node).map_err(|reason| bad(&format!("the name is no node name: {reason}")))?;
        let target = target_address(target).map_err(|reason| bad(&reason))?;
        if peers.iter().any(|(known, _)| *known == node) {
            return Err(format!("the name {node} is there twice"));
        }
        if peers.iter().any(|(_, known)| known.eq_ignore_ascii_case(&target)) {
            return Err(format!("the address {target} is there twice"));
        }
        peers.push((node, target));
    }
    Ok(peers)
}

/// `HOST:PORT,…`, with brackets round IPv6 addresses.
pub fn members(text: &str) -> Result<Vec<String>, Reason> {
    let mut members: Vec<String> = Vec::new();
    for entry in text.split(',').map(str::trim) {
        if entry.is_empty() {
            return Err("there is an empty entry (two commas, or one at an end)".into());
        }
        let bad = |reason: &str| format!("entry {entry:?}: {reason}");
        if entry.contains('=') {
            return Err(bad("write HOST:PORT alone, without a name"));
        }
        let target = target_address(entry).map_err(|reason| bad(&reason))?;
        if members.iter().any(|known| known.eq_ignore_ascii_case(&target)) {
            return Err(format!("the address {target} is there twice"));
        }
        members.push(target);
    }
    Ok(members)
}

/// `HOST:PORT` in the form of [`join`].
fn target_address(target: &str) -> Result<String, Reason> {
    let (target_host, target_port) = target.rsplit_once(':').ok_or("the port is missing")?;
    if target.contains("://") {
        return Err("it is a URL, write HOST:PORT alone".into());
    }
    // Without brackets the last group of an IPv6 address would count as the port.
    if target_host.contains(':') && target_host.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') {
        return Err("put the IPv6 address in brackets, as in [fd00::1]:8001".into());
    }
    let target_host = host(target_host).map_err(|reason| format!("the host: {reason}"))?;
    let target_port = port(target_port).map_err(|reason| format!("the port is {reason}"))?;
    Ok(join(&target_host, target_port))
}

/// Host and port of an address that [`join`] made.
#[must_use]
pub fn split(target: &str) -> Option<(&str, u16)> {
    let (host, port) = target.rsplit_once(':')?;
    Some((bare(host), port.parse().ok()?))
}
