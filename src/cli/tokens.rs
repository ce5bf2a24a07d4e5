//! `acefleet token create`, `ls`, `revoke`: tokens by which further nodes join, by calls to a node.

use std::path::Path;

use acefleet_registry::join_token::{TTL_MAX_MS, TokenId, USES_MAX};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use super::answer::{Answer, show};
use super::ask::{Call, ask};
use super::failed::{Failed, finish};
use super::output;
use super::table::columns;
use super::target::Target;
use super::time_span;
use super::words::Words;

/// Path of the tokens.
const PATH: [&str; 2] = ["cluster", "tokens"];

#[derive(Subcommand)]
pub enum Tokens {
    /// Make a join token, and print the line to run on the new host.
    ///
    /// A node that joins with it gets the secret of the cluster, so treat it like the secret until it ends. It is shown this once, and nobody keeps it.
    Create(Create),
    /// List the join tokens, and who has used them.
    #[command(alias = "list")]
    Ls(Look),
    /// Revoke a join token. Nodes that have joined with it stay.
    Revoke(Revoke),
}

#[derive(Args)]
pub struct Create {
    /// Let it end after this time: 10m, 1h, 7d; one minute at least, a week at the most.
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "1h")]
    ttl: u64,
    /// Nodes that may join with it.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=i64::from(USES_MAX)), default_value = "1")]
    uses: u32,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Look {
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Revoke {
    /// What the list calls it.
    id: TokenId,
    #[command(flatten)]
    target: Target,
}

/// A token that was made.
#[derive(Deserialize)]
struct Made {
    id: Words,
    ends_at: Words,
    uses: u32,
    token: Words,
    member: Words,
}

/// A token in the list.
#[derive(Deserialize)]
struct Entry {
    id: Words,
    created_at: Words,
    ends_at: Words,
    ended: bool,
    uses: u32,
    used_by: Vec<Words>,
}

#[derive(Deserialize)]
struct Revoked {
    revoked: Words,
}

/// A length of time in whole seconds. Days have 24 hours.
fn seconds(text: &str) -> Result<u64, String> {
    let seconds = time_span::seconds(text, "10m, 1h or 7d")?;
    match (60..=TTL_MAX_MS / 1_000).contains(&seconds) {
        true => Ok(seconds),
        false => Err("a join token lasts for a minute at least and for a week at the most".to_owned()),
    }
}

/// Runs one of the commands.
pub fn run(file: Option<&Path>, command: &Tokens) -> u8 {
    match command {
        Tokens::Create(Create { ttl, uses, target }) => {
            let body = json!({ "ttl_seconds": ttl, "uses": uses });
            let made = ask(file, target, &Call::post(&PATH).body(Some(body)));
            let lost = "look with `acefleet token ls`: if a token was made, revoke it with `acefleet token revoke`, as nobody has it";
            created(made.map_err(|failed| failed.when_unsure(lost)), target)
        }
        Tokens::Ls(Look { target }) => show(ask(file, target, &Call::get(&PATH)), target, list),
        Tokens::Revoke(Revoke { id, target }) => {
            let id = id.to_string();
            let answer = ask(file, target, &Call::delete(&["cluster", "tokens", &id]));
            show(answer, target, |Revoked { revoked }| format!("the join token {revoked} is revoked"))
        }
    }
}

/// Prints the line for the new host alone on standard output; everything else goes to standard error.
fn created(answer: Result<Answer, Failed>, target: &Target) -> u8 {
    let line = |made: &Made| format!("acefleet join {} --token {}", made.member, made.token);
    if target.wants_json() {
        return show(answer, target, |made: Made| line(&made));
    }
    finish(answer.and_then(|answer| {
        let made: Made = answer.read()?;
        let nodes = match made.uses {
            1 => "one node".to_owned(),
            uses => format!("{uses} nodes"),
        };
        output::complain(&format!(
            "the join token {} counts for {nodes}, until {}; it is not shown again. On the new host, with an empty data directory:",
            made.id, made.ends_at
        ));
        Ok(output::print(&line(&made)))
    }))
}

fn list(tokens: Vec<Entry>) -> String {
    if tokens.is_empty() {
        return "There are no join tokens; `acefleet token create` makes one.".to_owned();
    }
    let row = |token: Entry| {
        let end = if token.ended { format!("{} (ended)", token.ends_at) } else { token.ends_at.to_string() };
        let names: Vec<_> = token.used_by.iter().map(Words::to_string).collect();
        let used = match names.is_empty() {
            true => format!("0 of {}", token.uses),
            false => format!("{} of {}: {}", names.len(), token.uses, names.join(", ")),
        };
        [token.id.to_string(), token.created_at.to_string(), end, used]
    };
    columns(["TOKEN", "CREATED", "ENDS", "USED"], tokens.into_iter().map(row))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lasts_for_a_week_at_the_most() {
        for (text, expected) in [("60s", 60), ("10m", 600), ("1h", 3_600), ("7d", 604_800), ("1w", 604_800)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "1", "59s", "-1h", "8d", "soon"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_say_who_has_used_what() {
        let tokens = json!([
            {"id": "9f86d081884c7d65", "created_at": "2026-03-02T20:15:09Z", "created_by": null, "ends_at": "2026-03-02T21:15:09Z",
             "ended": true, "uses": 2, "used_by": ["node-d", "node-e"]},
            {"id": "60303ae22b998861", "created_at": "2026-03-02T20:15:09Z", "created_by": null, "ends_at": "2026-03-03T20:15:09Z",
             "ended": false, "uses": 1, "used_by": []},
        ]);
        let text = list(serde_json::from_value(tokens).unwrap());
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].ends_with("21:15:09Z (ended)  2 of 2: node-d, node-e"), "{text}");
        assert!(lines[2].ends_with("0 of 1"), "{text}");
        assert!(list(Vec::new()).contains("acefleet token create"));
    }
}
