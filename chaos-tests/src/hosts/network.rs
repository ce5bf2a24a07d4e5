//! Bridge, namespaces and cuts.
//!
//! All functions block for a few milliseconds (they run `ip` and `iptables`), and they undo nothing by themselves: what they
//! make carries the bed's name, and the janitor removes it by that.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};

use super::state::BedNumber;
use super::tools::{SHORT, run, run_for};

/// Makes the bridge, gives the machine its address on it, and lets bridged traffic through the machine's own firewall.
///
/// A `dockerd` in the machine's own namespace sets the policy of FORWARD to DROP, and bridged traffic passes that chain.
pub fn make_bridge(bed: BedNumber) -> Result<()> {
    let bridge = bed.bridge();
    run("ip", &["link", "add", &bridge, "type", "bridge"])?;
    run("ip", &["addr", "add", &format!("{}/24", bed.gateway()), "dev", &bridge])?;
    run("ip", &["link", "set", &bridge, "up"])?;
    for direction in ["-i", "-o"] {
        let comment = bed.rule_comment();
        let rule = [
            "-w",
            "10",
            "-I",
            "FORWARD",
            direction,
            &bridge,
            "-m",
            "comment",
            "--comment",
            &comment,
            "-j",
            "ACCEPT",
        ];
        run("iptables", &rule).context("cannot let the bed's traffic through the firewall")?;
    }
    Ok(())
}

/// Makes a host's namespace and plugs it into the bridge.
pub fn make_namespace(bed: BedNumber, host: &str, address: Ipv4Addr) -> Result<()> {
    let (namespace, cable) = (bed.namespace(host), bed.cable(host));
    run("ip", &["netns", "add", &namespace])?;
    run("ip", &["link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &namespace])?;
    run("ip", &["link", "set", &cable, "master", &bed.bridge(), "up"])?;
    run("ip", &["-n", &namespace, "link", "set", "lo", "up"])?;
    run("ip", &["-n", &namespace, "addr", "add", &format!("{address}/24"), "dev", "eth0"])?;
    run("ip", &["-n", &namespace, "link", "set", "eth0", "up"])?;
    Ok(())
}

/// Pulls a host's cable (`up = false`) or plugs it in again: cuts it from everything, the test process included.
pub fn set_cable(bed: BedNumber, host: &str, up: bool) -> Result<()> {
    run("ip", &["link", "set", &bed.cable(host), if up { "up" } else { "down" }]).map(drop)
}

/// From now on `host` receives nothing from `peer`, neither for itself nor for its containers.
///
/// The rule sits before connection tracking, so that established connections are cut as well.
pub fn drop_from(bed: BedNumber, host: &str, peer: Ipv4Addr) -> Result<()> {
    let source = peer.to_string();
    let comment = bed.rule_comment();
    let rule = [
        "-t",
        "raw",
        "-A",
        "PREROUTING",
        "-s",
        &source,
        "-m",
        "comment",
        "--comment",
        &comment,
        "-j",
        "DROP",
    ];
    in_namespace(bed, host, &rule).map(drop)
}

/// `host` receives from everybody again: removes every cut at this host.
pub fn heal(bed: BedNumber, host: &str) -> Result<()> {
    let rules = in_namespace(bed, host, &["-t", "raw", "-S", "PREROUTING"])?;
    for rule in own_rules(&rules, &bed.rule_comment()) {
        let mut words = vec!["-t", "raw"];
        words.extend(rule.iter().map(String::as_str));
        in_namespace(bed, host, &words)?;
    }
    set_cable(bed, host, true)
}

/// Packets that the cuts at this host have swallowed: the proof that a cut was real.
pub fn dropped(bed: BedNumber, host: &str) -> Result<u64> {
    let listing = in_namespace(bed, host, &["-t", "raw", "-L", "PREROUTING", "-v", "-x", "-n"])?;
    let comment = bed.rule_comment();
    let count = |line: &str| line.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
    Ok(listing.lines().filter(|line| line.contains(&comment)).filter_map(count).sum())
}

/// The commands that delete the rules carrying this comment, from the output of `iptables -S`.
pub fn own_rules(listing: &str, comment: &str) -> Vec<Vec<String>> {
    let is_ours = |line: &&str| line.split_whitespace().any(|word| word.trim_matches('"') == comment);
    listing
        .lines()
        .filter(is_ours)
        .filter_map(|line| line.strip_prefix("-A "))
        .map(|rule| {
            let words = rule.split_whitespace().map(|word| word.trim_matches('"').to_owned());
            std::iter::once("-D".to_owned()).chain(words).collect()
        })
        .collect()
}

fn in_namespace(bed: BedNumber, host: &str, rule: &[&str]) -> Result<String> {
    let net = format!("--net=/run/netns/{}", bed.namespace(host));
    let iptables = super::tools::find("iptables").context("`iptables` is not installed")?;
    let iptables = iptables.to_string_lossy();
    let mut words = vec![net.as_str(), "--", iptables.as_ref(), "-w", "10"];
    words.extend(rule);
    run_for("nsenter", &words, SHORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_beds_own_rules_are_deleted() {
        let listing = "-P FORWARD DROP\n\
            -A FORWARD -i afb1 -m comment --comment \"acefleet-bed-1\" -j ACCEPT\n\
            -A FORWARD -i afb12 -m comment --comment acefleet-bed-12 -j ACCEPT\n\
            -A FORWARD -o afb1 -m comment --comment acefleet-bed-1 -j ACCEPT\n\
            -A FORWARD -j DOCKER-USER\n";
        let rules = own_rules(listing, "acefleet-bed-1");
        assert_eq!(rules.len(), 2);
        assert_eq!(rules[0].join(" "), "-D FORWARD -i afb1 -m comment --comment acefleet-bed-1 -j ACCEPT");
    }
}
