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
use super::ask::{Call, Target, address, below, call, wait};
use super::exit_code::TEMPORARY;
use super::failed::{Failed, finish};
use super::feed::{self, Frame};
use super::output::{self, Printed};
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
    // The key stays here: everybody may read, and what other members are is known from an answer alone.
    let printed = address(file, &args.target).and_then(|(base, _key)| {
        wait(async {
            let filter = known(&base, &args.filter).await?;
            let reader = Reader { base, filter, args };
            match args.follow {
                true => output::while_read(reader.follow()).await,
                false => reader.list(&reader.base, args.filter.before).await,
            }
        })
    });
    finish(printed.map(Printed::code))
}

/// What reads the log.
struct Reader<'a> {
    /// The node that was named.
    base: Url,
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
}

impl Reader<'_> {
    /// So many of those that have happened are wanted.
    fn wanted(&self) -> usize {
        let otherwise = if self.filter.since.is_some() { usize::MAX } else { NEWEST };
        self.args.tail.unwrap_or(otherwise)
    }

    /// Prints those that have happened, before this id.
    async fn list(&self, node: &Url, mut before: Option<u64>) -> Result<Printed, Failed> {
        let wanted = self.wanted();
        let mut newest: Vec<Answer> = Vec::new();
        loop {
            // No list is empty by its limit.
            let limit = (wanted - newest.len()).clamp(1, PAGE);
            let page = self.page(node, limit, before).await?;
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

    /// Events before this id, the newest first.
    async fn page(&self, node: &Url, limit: usize, before: Option<u64>) -> Result<Vec<Answer>, Failed> {
        let mut url = below(node, &["events"]);
        let before = before.map(|id| ("before", id.to_string()));
        let query = std::iter::once(("limit", limit.to_string())).chain(self.filter.query()).chain(before);
        url.query_pairs_mut().extend_pairs(query);
        call(url, None, Call::get()).await?.list()
    }

    /// Follows at one node after the other, each behind what was read.
    async fn follow(&self) -> Result<Printed, Failed> {
        let mut nodes = vec![self.base.clone()];
        let mut last: Option<String> = None;
        let mut at = 0;
        let mut is_said = false;
        loop {
            let node = nodes[at % nodes.len()].clone();
            let mut url = below(&node, &["events", "stream"]);
            url.query_pairs_mut().append_pair("kinds", "event").extend_pairs(self.filter.feed_query());
            match feed::open(&url, None, last.as_deref()).await {
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
                        output::complain(&format!("no node says what happens, trying again: {}", failed.why));
                    }
                }
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
                    *nodes = members(&self.base, &hello.members);
                    // What has happened until here, once.
                    match last.is_none() && self.wanted() > 0 {
                        true => self.list(node, Some(hello.event.saturating_add(1))).await?,
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

/// The node that was named, then the others.
fn members(base: &Url, members: &[Member]) -> Vec<Url> {
    let urls = members.iter().filter_map(|member| Url::parse(&format!("http://{}/", member.http)).ok());
    std::iter::once(base.clone()).chain(urls.filter(|url| url != base)).collect()
}
