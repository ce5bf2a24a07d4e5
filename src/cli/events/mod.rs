//! `acefleet events`: the log of what happened, and what happens from now on, through whichever node answers.

mod filter;
mod known;
mod line;

use std::path::Path;

use clap::Args;
use futures::StreamExt;
use reqwest::Url;
use serde::Deserialize;

use super::answer::Answer;
use super::ask::{Call, at_one_of, wait};
use super::exit_code::TEMPORARY;
use super::failed::{Failed, finish};
use super::feed::{self, FEED, Frame};
use super::output::{self, Printed};
use super::target::{Nodes, Target};
use filter::{Filter, Subject};
use known::known;

/// Events that are shown if nothing says how many.
const NEWEST: usize = 30;
/// Longest list that a node gives.
const PAGE: usize = 1_000;

#[derive(Args)]
pub struct Events {
    /// Go on with what happens from now on. When the node ends, another one answers, and nothing is missed.
    #[arg(short, long)]
    follow: bool,
    /// So many of the newest; else 30, or with --since all.
    #[arg(short = 'n', long, value_name = "COUNT")]
    tail: Option<usize>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    target: Target,
}

/// Prints events, the oldest first.
pub fn events(file: Option<&Path>, args: &Events) -> u8 {
    let printed = args.target.nodes(file).and_then(|named| {
        wait(async {
            let ask = async |url: &Url| known(url, named.caller_for(url), &args.filter).await;
            let filter = at_one_of(&named.urls, ask).await?;
            let reader = Reader { named, filter, args };
            match args.follow {
                true => output::while_read(reader.follow()).await,
                false => reader.list(&reader.named.urls, args.filter.before).await,
            }
        })
    });
    finish(printed.map(Printed::code))
}

/// What reads the log.
struct Reader<'a> {
    /// The nodes that were named.
    named: Nodes,
    filter: Filter,
    args: &'a Events,
}

/// First frame of the feed.
#[derive(Deserialize)]
struct Hello {
    /// Events with higher ids follow.
    event: u64,
    lost: Option<u64>,
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    http: String,
    /// Nodes of earlier versions do not say it.
    url: Option<String>,
}

impl Reader<'_> {
    /// So many of those that have happened are wanted.
    fn wanted(&self) -> usize {
        let otherwise = if self.filter.since.is_some() { usize::MAX } else { NEWEST };
        self.args.tail.unwrap_or(otherwise)
    }

    /// Prints those that have happened, before this id.
    async fn list(&self, nodes: &[Url], mut before: Option<u64>) -> Result<Printed, Failed> {
        let wanted = self.wanted();
        let mut newest: Vec<Answer> = Vec::new();
        loop {
            // No list is empty by its limit.
            let limit = (wanted - newest.len()).clamp(1, PAGE);
            let call = self.page(limit, before);
            let page =
                at_one_of(nodes, async |url| call.at(url, self.named.caller_for(url)).await).await?.list()?;
            let oldest = page.last().map(Answer::read::<Subject>).transpose()?.map(|event| event.id);
            let is_last = page.len() < limit;
            newest.extend(page);
            // A node that goes on from elsewhere would never come to an end.
            if is_last || newest.len() >= wanted || before.is_some_and(|before| oldest >= Some(before)) {
                break;
            }
            before = oldest;
        }
        newest.truncate(wanted);
        for event in newest.iter().rev() {
            match line::print(&self.args.target, event)? {
                Printed::Written => {}
                printed => return Ok(printed),
            }
        }
        Ok(Printed::Written)
    }

    /// Asks for events before this id, the newest first.
    fn page(&self, limit: usize, before: Option<u64>) -> Call {
        let call = Call::get(&["events"]).with("limit", limit.to_string());
        let call = self.filter.query().into_iter().fold(call, |call, (name, value)| call.with(name, value));
        match before {
            Some(before) => call.with("before", before.to_string()),
            None => call,
        }
    }

    /// Follows at one node after the other, each behind what was read.
    async fn follow(&self) -> Result<Printed, Failed> {
        let mut nodes = self.named.urls.clone();
        let mut last: Option<String> = None;
        let mut at = 0;
        let mut is_said = false;
        loop {
            let node = nodes[at % nodes.len()].clone();
            let call = Call::get(&FEED).with("kinds", "event");
            let call =
                self.filter.feed_query().into_iter().fold(call, |call, (name, value)| call.with(name, value));
            match feed::open(&call.address(&node), self.named.caller_for(&node), last.as_deref()).await {
                Ok(frames) => {
                    (at, is_said) = (0, false);
                    match self.read(Box::pin(frames), &node, &mut nodes, &mut last).await? {
                        Printed::Written => {}
                        printed => return Ok(printed),
                    }
                }
                // A node that is behind, or gone, is no reason to end once something was read.
                Err(failed) if failed.code == TEMPORARY && last.is_some() => {
                    at += 1;
                    if at >= nodes.len() && !std::mem::replace(&mut is_said, true) {
                        output::complain(&format!("no node says what happens, trying again: {failed}"));
                    }
                }
                Err(failed) if failed.may_ask_another() && at + 1 < nodes.len() => at += 1,
                Err(failed) => return Err(failed),
            }
            if at % nodes.len() == 0 {
                tokio::time::sleep(feed::PAUSE).await;
            }
        }
    }

    /// Prints until the stream of this node ends, or nothing can be written any more.
    async fn read(
        &self,
        mut frames: impl futures::Stream<Item = Result<Frame, Failed>> + Unpin,
        node: &Url,
        nodes: &mut Vec<Url>,
        last: &mut Option<String>,
    ) -> Result<Printed, Failed> {
        while let Some(frame) = frames.next().await {
            let Frame { event, id, data } = frame?;
            let printed = match event.as_str() {
                "hello" => {
                    let hello: Hello = data.read()?;
                    note_lost(hello.lost);
                    *nodes = members(&self.named.urls, &hello.members);
                    // What has happened until here, once.
                    match last.is_none() && self.wanted() > 0 {
                        true => {
                            self.list(std::slice::from_ref(node), Some(hello.event.saturating_add(1))).await?
                        }
                        false => Printed::Written,
                    }
                }
                "event" if self.filter.takes(&data.read()?) => line::print(&self.args.target, &data)?,
                _ => Printed::Written,
            };
            if printed != Printed::Written {
                return Ok(printed);
            }
            if !id.is_empty() {
                *last = Some(id);
            }
        }
        Ok(Printed::Written)
    }
}

fn note_lost(lost: Option<u64>) {
    match lost {
        Some(0) => {}
        Some(1) => output::complain("1 event is not in the log any more"),
        Some(lost) => output::complain(&format!("{lost} events are not in the log any more")),
        None => output::complain("the log is another one: what happened in between is not known"),
    }
}

/// The nodes that were named, then the others.
fn members(named: &[Url], members: &[Member]) -> Vec<Url> {
    let urls = members.iter().filter_map(|member| {
        let url = member.url.clone().unwrap_or_else(|| format!("http://{}", member.http));
        Url::parse(&url).ok()
    });
    named.iter().cloned().chain(urls.filter(|url| !named.contains(url))).collect()
}
