//! The simulated Acexy plays through each of three nodes: no answer that the real one would reject, and all nodes agree.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::common::{LATER, SOON, acexy, conclude, turn};
use acefleet_chaos::hosts::{BedOptions, Node, TestHosts};
use acefleet_chaos::node::{Engine, NodeClient, Stream};
use acefleet_chaos::wait::wait_for;
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use serde_json::Value;

/// A whole run of the simulator.
const RUN: Duration = Duration::from_secs(240);
/// Streams through each node.
const STREAMS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_streams_through_each_node_without_a_complaint() -> Result<()> {
    let _turn = turn().await?;
    let bed = TestHosts::start(BedOptions::new(3)).await?;
    conclude(bed, play_through_each).await
}

async fn play_through_each(bed: &TestHosts) -> Result<()> {
    provision_by_playing(bed).await?;
    let engines = bed.nodes()[0].client().engines().await?;
    assert_eq!(engines.len(), 3);
    let hosts: BTreeSet<&String> = engines.iter().map(|engine| &engine.host).collect();
    assert_eq!(hosts.len(), 3, "the least-loaded host was not chosen: {engines:?}");

    let mut played = BTreeSet::new();
    for node in bed.nodes() {
        let streams = STREAMS.to_string();
        // The list says whom to ask first, so the streams of one run spread over the engines as they start.
        let args =
            ["--streams", &streams, "--hold", "8s", "--ramp", "200ms", "--max-streams-per-engine", "10"];
        let prefix = format!("{}-", node.name());
        let run = acexy::run(bed, node, &prefix, &args);
        let busy = wait_for("all nodes to show the same streams while they run", RUN, || async {
            let view = same_view(bed).await?;
            ensure!(view.running() >= 2, "{} streams run", view.running());
            Ok(())
        });
        let (report, ()) = tokio::try_join!(run, busy)?;
        assert_eq!(report.plays.len(), STREAMS);
        for play in report.plays {
            let id = play.stream_id.context("a play without a stream")?;
            ensure!(played.insert(id.clone()), "stream {id} was played twice");
            assert!(
                play.engine.is_some_and(|engine| engine.via == "listed"),
                "{id} was not on a listed engine"
            );
        }
        // Each stream was reported once and ended once, on all nodes.
        wait_for("all nodes to show that everything has ended", SOON, || async {
            let view = same_view(bed).await?;
            ensure!(view.running() == 0, "{} streams still run", view.running());
            let missing: Vec<&String> = played.iter().filter(|id| !view.streams.contains_key(*id)).collect();
            ensure!(missing.is_empty(), "{} streams are missing: {missing:?}", missing.len());
            Ok(())
        })
        .await
        .with_context(|| format!("after {}", node.name()))?;
    }
    Ok(())
}

/// The first play through each node finds no engine with room, so one is provisioned for it, beside the node that was asked: the
/// client looks for it at `localhost`.
async fn provision_by_playing(bed: &TestHosts) -> Result<()> {
    let run = async |node: &Node| {
        acexy::run(bed, node, &format!("{}-", node.name()), &["--streams", "1", "--hold", "60s"]).await
    };
    let [first, second, third] = bed.nodes() else { panic!("three nodes, not {}", bed.nodes().len()) };
    let after = |streams: usize| async move {
        wait_for(&format!("{streams} streams to run"), LATER, || async {
            let view = same_view(bed).await?;
            ensure!(view.running() == streams, "{} streams run", view.running());
            Ok(())
        })
        .await
    };
    // Each begins once the one before plays, and all end later than the last has begun.
    let reports = try_join_all([
        Box::pin(run(first)) as std::pin::Pin<Box<dyn Future<Output = Result<acexy::Report>>>>,
        Box::pin(async {
            after(1).await?;
            run(second).await
        }),
        Box::pin(async {
            after(2).await?;
            run(third).await
        }),
    ])
    .await?;
    for report in reports {
        let play = &report.plays[0];
        assert!(play.engine.as_ref().is_some_and(|engine| engine.via == "provisioned"), "{:?}", play.engine);
        assert_eq!(play.listed_after_provisioning, Some(true), "{:?}", play.engine);
    }
    Ok(())
}

/// What the nodes agree on.
struct View {
    streams: BTreeMap<String, Stream>,
}

impl View {
    fn running(&self) -> usize {
        self.streams.values().filter(|stream| stream.status == "started").count()
    }
}

/// The view that all nodes share at this moment; an error when they differ.
async fn same_view(bed: &TestHosts) -> Result<View> {
    let views = try_join_all(bed.nodes().iter().map(|node| look(node.client()))).await?;
    let (first, others) = views.split_first().context("no nodes")?;
    for (other, node) in others.iter().zip(&bed.nodes()[1..]) {
        ensure!(first.0 == other.0, "engines at {} differ: {:?} {:?}", node.name(), first.0, other.0);
        ensure!(first.1 == other.1, "streams at {} differ: {:?} {:?}", node.name(), first.1, other.1);
        ensure!(first.2 == other.2, "status at {} differs: {:?} {:?}", node.name(), first.2, other.2);
    }
    Ok(View { streams: first.1.clone() })
}

type Shown = (BTreeMap<String, Engine>, BTreeMap<String, Stream>, Value);

async fn look(node: &NodeClient) -> Result<Shown> {
    let engines =
        node.engines().await?.into_iter().map(|engine| (engine.container_id.clone(), engine)).collect();
    let mut status = node.status().await?;
    // The time of the answer is the only thing in it that may differ.
    status.as_object_mut().context("no object")?.remove("timestamp");
    Ok((engines, node.all_streams().await?, status))
}
