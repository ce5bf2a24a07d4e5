//! `acefleet events`: the log of what happened, and what happens from now on, through whichever node answers.

use std::path::Path;

use clap::Args;
use futures::StreamExt;
use reqwest::Url;
use serde::Deserialize;

use super::answer::Answer;
use super::ask::{Target, address, below, get, wait};
use super::exit_code::TEMPORARY;
use super::failed::{Failed, finish};
use super::feed;
use super::output::{self, Printed};
use super::words::Words;

#[derive(Args)]
pub struct Events {
    /// Go on with what happens from now on. When the node ends, another one answers, and nothing is missed.
    #[arg(short, long)]
    follow: bool,
    /// So many of the newest.
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    tail: u32,
    /// Only of this type: engine, stream, vpn, health or system.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Prints events, the oldest first.
pub fn events(file: Option<&Path>, args: &Events) -> u8 {
    finish(match args.follow {
        true => follow(file, args),
        false => list(file, args),
    })
}

fn list(file: Option<&Path>, args: &Events) -> Result<u8, Failed> {
    // No list is empty by its limit. One that should be still says whether its type is known.
    let limit = args.tail.max(1).to_string();
    let mut query = vec![("limit", limit.as_str())];
    query.extend(args.event_type.as_deref().map(|event_type| ("event_type", event_type)));
    let answer = get(file, &args.target, &["events"], &query)?;
    let newest = answer.list()?;
    for event in newest[..newest.len().min(args.tail as usize)].iter().rev() {
        match line(&args.target, event)? {
            Printed::Written => {}
            printed => return Ok(printed.code()),
        }
    }
    Ok(0)
}

fn stream_of(base: &Url, args: &Events) -> Url {
    let mut url = below(base, &["events", "stream"]);
    url.query_pairs_mut().append_pair("kinds", "event").append_pair("tail", &args.tail.to_string());
    if let Some(event_type) = &args.event_type {
        url.query_pairs_mut().append_pair("event_types", event_type);
    }
    url
}

/// Follows at one node after the other, each behind what was read.
fn follow(file: Option<&Path>, args: &Events) -> Result<u8, Failed> {
    // The key stays here: everybody may read, and what other members are is known from an answer alone.
    let (base, _key) = address(file, &args.target)?;
    wait(async {
        let mut nodes = vec![base.clone()];
        let mut last: Option<String> = None;
        let mut at = 0;
        let mut is_said = false;
        loop {
            let url = stream_of(&nodes[at % nodes.len()], args);
            match feed::open(&url, None, last.as_deref()).await {
                Ok(frames) => {
                    (at, is_said) = (0, false);
                    let printed = read(Box::pin(frames), args, &base, &mut nodes, &mut last).await?;
                    if printed != Printed::Written {
                        return Ok(printed.code());
                    }
                }
                // A node that is behind, or gone, is no reason to end once something was read.
                Err(failed) if failed.code == TEMPORARY && last.is_some() => {
                    at += 1;
                    if at >= nodes.len() && !std::mem::replace(&mut is_said, true) {
                        output::complain(&format!("no node says what happens, trying again: {}", failed.why));
                    }
                }
                Err(error) => return Err(error),
            }
            if at % nodes.len() == 0 {
                tokio::time::sleep(feed::PAUSE).await;
            }
        }
    })
}

/// Prints until the stream ends, or nothing can be written any more.
async fn read(
    mut frames: impl futures::Stream<Item = Result<feed::Frame, Failed>> + Unpin,
    args: &Events,
    base: &Url,
    nodes: &mut Vec<Url>,
    last: &mut Option<String>,
) -> Result<Printed, Failed> {
    while let Some(frame) = frames.next().await {
        let frame = frame?;
        match frame.event.as_str() {
            "hello" => {
                let hello: Hello = frame.data.read()?;
                note_lost(hello.lost);
                *nodes = members(base, &hello.members);
            }
            "event" => match line(&args.target, &frame.data)? {
                Printed::Written => {}
                printed => return Ok(printed),
            },
            _ => {}
        }
        if !frame.id.is_empty() {
            *last = Some(frame.id);
        }
    }
    Ok(Printed::Written)
}

/// First frame of the feed.
#[derive(Deserialize)]
struct Hello {
    lost: Option<u64>,
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    http: String,
}

fn note_lost(lost: Option<u64>) {
    match lost {
        Some(0) => {}
        Some(1) => output::complain("1 event is not in the log any more"),
        Some(lost) => output::complain(&format!("{lost} events are not in the log any more")),
        None => output::complain("the log is another one: what happened in between is not known"),
    }
}

/// The node that was named, then the others.
fn members(base: &Url, members: &[Member]) -> Vec<Url> {
    let urls = members.iter().filter_map(|member| Url::parse(&format!("http://{}/", member.http)).ok());
    std::iter::once(base.clone()).chain(urls.filter(|url| url != base)).collect()
}

/// What is shown of an event.
#[derive(Deserialize)]
struct Event {
    timestamp: Words,
    event_type: Words,
    message: Words,
    by: Option<By>,
}

/// Who made a change.
#[derive(Deserialize)]
struct By {
    name: Words,
    address: Option<Words>,
}

fn line(target: &Target, event: &Answer) -> Result<Printed, Failed> {
    let Event { timestamp, event_type, message, by } = event.read()?;
    Ok(match target.wants_json() {
        true => event.print_line(),
        false => {
            let by = by.map(told).unwrap_or_default();
            output::write(&format!("{timestamp}  {event_type:<6}  {message}{by}"))
        }
    })
}

fn told(By { name, address }: By) -> String {
    match address {
        Some(address) => format!("  ({name} from {address})"),
        None => format!("  ({name})"),
    }
}
