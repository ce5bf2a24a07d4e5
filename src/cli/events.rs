//! `acefleet events`: the log of what happened, and what happens from now on, through whichever node answers.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use reqwest::Url;
use serde_json::Value;

use super::ask::{Failed, Target, address, get, wait};
use super::exit_code::TEMPORARY;
use super::feed;
use super::output;
use super::table::text;

/// Pause after all nodes were tried in vain.
const PAUSE: Duration = Duration::from_millis(500);

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
    let done = match args.follow {
        true => follow(file, args),
        false => list(file, args),
    };
    match done {
        Ok(()) => 0,
        Err((code, message)) => {
            output::complain(&message.replace('\n', " "));
            code
        }
    }
}

fn list(file: Option<&Path>, args: &Events) -> Result<(), Failed> {
    let (mut url, key) = address(file, &args.target)?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push("events");
    }
    url.query_pairs_mut().append_pair("limit", &args.tail.max(1).to_string());
    if let Some(event_type) = &args.event_type {
        url.query_pairs_mut().append_pair("event_type", event_type);
    }
    let answer = wait(get(url, key))?;
    for event in answer.as_array().into_iter().flatten().rev() {
        if line(&args.target, event) != 0 {
            break;
        }
    }
    Ok(())
}

fn stream_of(base: &Url, args: &Events) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(["events", "stream"]);
    }
    url.query_pairs_mut().append_pair("kinds", "event").append_pair("tail", &args.tail.to_string());
    if let Some(event_type) = &args.event_type {
        url.query_pairs_mut().append_pair("event_types", event_type);
    }
    url
}

/// Follows at one node after the other, each behind what was read.
fn follow(file: Option<&Path>, args: &Events) -> Result<(), Failed> {
    // The key stays here: everybody may read, and what other members are is known from an answer alone.
    let (base, _key) = address(file, &args.target)?;
    wait(async {
        let mut nodes = vec![base.clone()];
        let mut last: Option<String> = None;
        let mut at = 0;
        loop {
            let url = stream_of(&nodes[at % nodes.len()], args);
            match feed::open(&url, None, last.as_deref()).await {
                Ok(frames) => {
                    at = 0;
                    if !read(Box::pin(frames), args, &base, &mut nodes, &mut last).await {
                        return Ok(());
                    }
                }
                // A node that is behind, or gone, is no reason to end once something was read.
                Err((TEMPORARY, _)) if last.is_some() => at += 1,
                Err(error) => return Err(error),
            }
            if at % nodes.len() == 0 {
                tokio::time::sleep(PAUSE).await;
            }
        }
    })
}

/// Prints until the stream ends; false when nobody reads any more.
async fn read(
    mut frames: impl futures::Stream<Item = feed::Frame> + Unpin,
    args: &Events,
    base: &Url,
    nodes: &mut Vec<Url>,
    last: &mut Option<String>,
) -> bool {
    while let Some(frame) = frames.next().await {
        match frame.event.as_str() {
            "hello" => {
                note_lost(&frame.data);
                *nodes = members(base, &frame.data);
            }
            "event" if line(&args.target, &frame.data) != 0 => return false,
            _ => {}
        }
        if !frame.id.is_empty() {
            *last = Some(frame.id);
        }
    }
    true
}

fn note_lost(hello: &Value) {
    match hello["lost"].as_u64() {
        Some(0) => {}
        Some(lost) => output::complain(&format!("{lost} events are not in the log any more")),
        None => output::complain("the log is another one: what happened in between is not known"),
    }
}

/// The node that was named, then the others.
fn members(base: &Url, hello: &Value) -> Vec<Url> {
    let members = hello["members"].as_array().into_iter().flatten();
    let urls = members.filter_map(|member| Url::parse(&format!("http://{}/", member["http"].as_str()?)).ok());
    std::iter::once(base.clone()).chain(urls.filter(|url| url != base)).collect()
}

fn line(target: &Target, event: &Value) -> u8 {
    if target.wants_json() {
        return output::print(&event.to_string());
    }
    let [at, of, message] = ["timestamp", "event_type", "message"].map(|field| text(&event[field]));
    let by = match &event["by"] {
        Value::Null => String::new(),
        by => {
            let address =
                by["address"].as_str().map(|address| format!(" from {address}")).unwrap_or_default();
            format!("  ({}{address})", text(&by["name"]))
        }
    };
    output::print(&format!("{at}  {of:<6}  {message}{by}"))
}
