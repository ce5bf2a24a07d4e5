//! Names in a filter: that they exist, and what the log calls them.

use reqwest::Url;
use serde::Deserialize;

use super::filter::Filter;
use crate::cli::ask::Call;
use crate::cli::failed::{Failed, Named};

/// Docker's ids are hexadecimal. An engine that is gone is found by such a one alone.
const SHORTEST_ID: usize = 12;

#[derive(Deserialize)]
struct Container {
    id: String,
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
pub(super) async fn known(base: &Url, filter: &Filter) -> Result<Filter, Failed> {
    let mut filter = filter.clone();
    if let Some(node) = &filter.node {
        let answer = Call::get(&["cluster"]).at(base, None).await?;
        let Cluster { nodes } = answer.read()?;
        if !nodes.iter().any(|member| member.name == *node) {
            return Err(Failed::no_member(node));
        }
    }
    let is_id = |text: &String| text.len() >= SHORTEST_ID && text.chars().all(|c| c.is_ascii_hexdigit());
    if let Some(engine) = filter.engine.take_if(|engine| !is_id(engine)) {
        let answer = Call::get(&["containers", &engine]).at(base, None).await;
        let answer = answer.map_err(|failed| failed.about(Named::Engine, &engine))?;
        filter.engine = Some(answer.read::<Container>()?.id);
    }
    Ok(filter)
}
