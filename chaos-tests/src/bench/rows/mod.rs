//! The rows of the table. Each function starts what it measures, measures it, and leaves nothing behind.
//!
//! Reads: `engines`, `selection`, `streams`, `panels`. Writes: `events`, `provision`, `kills`. The rest: `relay`,
//! `memory`, `idle`.

use anyhow::Result;
use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::place::Place;
use super::table::Row;

mod engines;
mod events;
mod idle;
mod kills;
mod memory;
mod panels;
mod provision;
mod relay;
mod selection;
mod streams;

/// Measures one group of rows.
pub type Measure = for<'a> fn(&'a Place) -> LocalBoxFuture<'a, Result<Vec<Row>>>;

/// All groups, by the names under which they are selected.
pub const GROUPS: [(&str, Measure); 10] = [
    ("engines", |place| engines::measure(place).boxed_local()),
    ("selection", |place| selection::measure(place).boxed_local()),
    ("events", |place| events::measure(place).boxed_local()),
    ("streams", |place| streams::measure(place).boxed_local()),
    ("panels", |place| panels::measure(place).boxed_local()),
    ("provision", |place| provision::measure(place).boxed_local()),
    ("relay", |place| relay::measure(place).boxed_local()),
    ("kills", |place| kills::measure(place).boxed_local()),
    ("memory", |place| memory::measure(place).boxed_local()),
    ("idle", |place| idle::measure(place).boxed_local()),
];
