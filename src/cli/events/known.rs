//! Names in a filter: that they exist, and what the log calls them.

use reqwest::Url;
use serde::Deserialize;

use super::filter::Filter;
use crate::cli::ask::Call;
use crate::cli::client::Caller;
use crate::cli::failed::{Failed, Named};

/// Docker's ids are hexadecimal. Engines that are gone without a stream are found by such a one alone.
const SHORTEST_ID: usize = 12;

#[derive(Deserialize)]
struct Container {
    id: String,
}

/// A stream that has ended.
#[derive(Deserialize)]
struct Stream {
    container_id: String,
    engine: Option<String>,
}

#[derive(Deserialize)]
struct Cluster {
    nodes: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    name: String,
}

/// The filter, with the id of the container that it names, which the log has alone.
///
/// # Errors
/// When there is no such engine or member.
pub(super) async fn known(base: &Url, caller: Caller<'_>, filter: &Filter) -> Result<Filter, Failed> {
    let mut filter = filter.clone();
    if let Some(node) = &filter.node {
        let answer = Call::get(&["cluster"]).at(base, caller).await?;
        let Cluster { nodes } = answer.read()?;
        if !nodes.iter().any(|member| member.name == *node) {
            return Err(Failed::no_member(node));
        }
    }
    let is_id = |text: &String| text.len() >= SHORTEST_ID && text.chars().all(|c| c.is_ascii_hexdigit());
    if let Some(engine) = filter.engine.take_if(|engine| !is_id(engine)) {
        filter.engine = Some(container(base, caller, &engine).await?);
    }
    Ok(filter)
}

/// The id of the container with this name. Of one that is gone, its streams may still tell.
async fn container(base: &Url, caller: Caller<'_>, engine: &str) -> Result<String, Failed> {
    match Call::get(&["containers", engine]).at(base, caller).await {
        Ok(answer) => answer.read::<Container>().map(|container| container.id),
        Err(failed) if failed.is_unknown() => {
            let ended = Call::get(&["streams"]).with("status", "ended").at(base, caller).await?;
            let ended: Vec<Stream> = ended.read()?;
            let newest = ended.into_iter().rev().find(|stream| stream.engine.as_deref() == Some(engine));
            newest.map(|stream| stream.container_id).ok_or_else(|| failed.about(Named::Engine, engine))
        }
        Err(failed) => Err(failed),
    }
}
