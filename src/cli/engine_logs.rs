//! `acefleet engine logs`: what an engine, or a VPN container, writes.

use std::path::Path;

use acefleet::peers::log::without_colours;
use clap::Args;
use futures::StreamExt;
use reqwest::Url;
use serde::Deserialize;

use super::answer::Answer;
use super::ask::{Call, ask, at_one_of, wait};
use super::engines::One;
use super::failed::{Failed, Named, finish};
use super::feed;
use super::output::{self, Printed};
use super::since::since;
use super::target::Target;
use super::words::{Words, shown};

#[derive(Args)]
pub struct Logs {
    #[command(flatten)]
    one: One,
    /// Go on with what it writes from now on.
    #[arg(short, long)]
    follow: bool,
    /// So many of the last lines.
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 100)]
    tail: u32,
    /// Nothing before this time: 10m, 2h, 3d, or 2026-03-02T20:15:09Z.
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<String>,
}

/// A line.
#[derive(Deserialize)]
struct Line {
    at: Words,
    text: String,
}

/// The end of a log.
#[derive(Deserialize)]
struct End {
    reason: Words,
}

/// Prints the lines that there are, and with `--follow` those that come.
pub fn logs(file: Option<&Path>, args: &Logs) -> u8 {
    let One { engine, target } = &args.one;
    let call = Call::get(&["containers", engine, "logs"]).with("tail", args.tail.to_string());
    let call = match &args.since {
        Some(since) => call.with("since", since),
        None => call,
    };
    let printed = match args.follow {
        true => follow(file, target, &call.with("follow", "true")),
        false => ask(file, target, &call).and_then(|answer| all(target, answer)),
    };
    finish(printed.map(Printed::code).map_err(|failed| failed.about(Named::Container, engine)))
}

fn all(target: &Target, answer: Answer) -> Result<Printed, Failed> {
    for entry in answer.part("entries")?.list()? {
        match line(target, &entry)? {
            Printed::Written => {}
            printed => return Ok(printed),
        }
    }
    Ok(Printed::Written)
}

fn follow(file: Option<&Path>, target: &Target, call: &Call) -> Result<Printed, Failed> {
    let nodes = target.nodes(file)?;
    wait(output::while_read(async {
        let mut last: Option<String> = None;
        loop {
            let open =
                async |url: &Url| feed::open(&call.address(url), nodes.caller(), last.as_deref()).await;
            let mut frames = Box::pin(at_one_of(&nodes.urls, open).await?);
            while let Some(frame) = frames.next().await {
                let frame = frame?;
                match frame.event.as_str() {
                    "line" => match line(target, &frame.data)? {
                        Printed::Written => last = Some(frame.id),
                        printed => return Ok(printed),
                    },
                    "end" => {
                        let End { reason } = frame.data.read()?;
                        output::complain(&format!("the log ends here: {reason}"));
                        return Ok(Printed::Written);
                    }
                    _ => {}
                }
            }
            tokio::time::sleep(feed::PAUSE).await;
        }
    }))
}

fn line(target: &Target, entry: &Answer) -> Result<Printed, Failed> {
    let Line { at, text } = entry.read()?;
    Ok(match target.wants_json() {
        true => entry.print_line(),
        false => output::write(&format!("{at}  {}", shown(&without_colours(&text)))),
    })
}
