//! What a person reads in the log when leadership or the members change.

use std::time::Instant;

use crate::testing::lab::{self, Log, Node, PATIENCE, until};
use crate::{MembershipChange, NodeId};

/// Lines since `before`, each for people: names, no ids and no dumps of Rust.
fn readable(log: &Log, nodes: &[NodeId], before: usize) -> Vec<String> {
    let lines = log.lines().split_off(before);
    for line in &lines {
        assert!(!line.contains('{') && !line.contains("Some("), "a dump: {line}");
        for id in nodes {
            assert!(!line.contains(&id.to_string()), "an id: {line}");
        }
    }
    lines
}

fn ids(nodes: &[Node]) -> Vec<NodeId> {
    nodes.iter().map(|node| node.cluster().node_id()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_change_says_who_was_lost_and_who_leads_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = lab::formed(dir.path(), &["ann", "bob", "cyd"]).await;
    let ids = ids(&nodes);
    let dead = lab::leader(&nodes).await;
    for node in &nodes {
        until("each node names its first leader", || node.log.count(&["leads since term"]) >= 1).await;
    }
    // From the first line on, when the members of the cluster are not known everywhere yet.
    let first = nodes.iter().flat_map(|node| node.log.lines());
    for line in first.filter(|line| line.contains("leads since term")) {
        assert!(!line.contains("node id"), "{line}");
    }
    let before: Vec<usize> = nodes.iter().map(|node| node.log.lines().len()).collect();
    let lost = nodes[dead].options.node_name.clone();
    nodes[dead].kill();
    let next = lab::leader(&nodes).await;
    let leads = nodes[next].options.node_name.clone();
    let term = nodes[next].cluster().status().term;
    nodes[next].write().await;

    let line = format!("{leads} leads since term {term}: it was elected, as {lost} had been silent for ");
    for at in (0..3).filter(|at| *at != dead) {
        let log = &nodes[at].log;
        until("who leads", || log.count(&[&line]) == 1).await;
        let all = readable(log, &ids, before[at]);
        let leading = all.iter().filter(|line| line.contains("leads since")).count();
        assert_eq!(leading, 1, "{all:#?}");
    }
    let gone = format!("{lost} does not answer any more");
    until("who is lost", || nodes[next].log.count(&[&gone, "The last contact was"]) == 1).await;
    nodes[dead].start().await;
    let back = format!("{lost} answers again, after ");
    until("who is back", || nodes[next].log.count(&[&back]) == 1).await;
    readable(&nodes[next].log, &ids, before[next]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_do_with_members_is_one_line_each_with_names() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = lab::formed(dir.path(), &["ann", "bob", "cyd"]).await;
    let ids = ids(&nodes);
    let old = lab::leader(&nodes).await;
    let before = nodes[old].log.lines().len();
    let before_name = nodes[old].options.node_name.clone();
    assert!(nodes[old].cluster().transfer_leadership(|_| true).await);
    let new = lab::leader(&nodes).await;
    let name = nodes[new].options.node_name.clone();
    let handed = format!("leadership transferred: {name} leads since term ");
    until("the old leader says so", || nodes[old].log.count(&[&handed]) == 1).await;
    let taken = format!("{before_name} transferred leadership");
    until("the new leader says so", || nodes[new].log.count(&[&name, &taken]) == 1).await;
    readable(&nodes[old].log, &ids, before);

    let before = nodes[new].log.lines().len();
    let third = (0..3).find(|at| ![old, new].contains(at)).unwrap();
    let removed = nodes[third].options.node_name.clone();
    let change = MembershipChange::Remove { id: ids[third] };
    nodes[old].cluster().change_members(change, Instant::now() + PATIENCE).await.unwrap();
    let line = format!("{removed} was removed from the cluster: 2 members are left");
    until("who was removed", || nodes[new].log.count(&[&line]) == 1).await;
    readable(&nodes[new].log, &ids, before);
    nodes[third].kill();

    let bind = lab::free_address().await;
    let mut joiner = Node::new(dir.path(), "dot", bind, bind.to_string(), Vec::new());
    joiner.options.join = vec![nodes[new].options.advertise.clone()];
    let term = nodes[new].cluster().status().term;
    joiner.start().await;
    for line in [
        format!("dot at {bind} is a member now, without a vote"),
        "dot has caught up and is a voter now, one of 3".to_owned(),
    ] {
        let on = |node: &Node| node.log.count(&[&line]);
        // What one leader has begun, on a busy machine another one may finish, who says nothing of it.
        let is_finished = || {
            let status = nodes[new].cluster().status();
            status.term > term && status.voters == 3
        };
        until(&line, || on(&nodes[new]) + on(&nodes[old]) == 1 || is_finished()).await;
    }
}
