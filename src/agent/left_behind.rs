//! Engines that an earlier life of this host left behind, because its data directory was lost or its node got another name, and those
//! of the orchestrator that ran here before. They are shown, and adopted on command. Nothing else touches them, as they may belong to
//! another cluster that shares the Docker daemon.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acefleet_registry::engine::Kind;
use acefleet_registry::{Actor, Command, Policy, Reply, State};

use crate::agent::context::Context;
use crate::agent::docker_state::Docker;
use crate::agent::runtime::{Observed, Scope};
use crate::agent::{AgentHandle, plan, spec};
use crate::op_id::new_op_id;
use crate::peers::{Adoption, LeftBehind};

/// Pause between searches.
const PERIOD: Duration = Duration::from_secs(30);
/// Engines that are shown for each host at the most.
const SHOWN_MAX: usize = 256;
/// Time for the write that adopts one.
const WRITE_WITHIN: Duration = Duration::from_secs(2);

/// Who made an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maker {
    /// This host, in an earlier life.
    Own,
    /// A node of another name in another cluster: perhaps this host under an earlier name, perhaps a living one.
    Other,
    /// No node of any cluster: the orchestrator of before, or something else with the same label.
    Before,
}

struct Found<'a> {
    container: &'a Observed,
    maker: Maker,
    why: String,
}

/// The engines left behind, among all containers of the daemon.
fn find<'a>(state: &State, scope: &Scope, all: &'a [Observed]) -> Vec<Found<'a>> {
    // Another node on the same daemon may have adopted it.
    let known: BTreeSet<&str> = state.live_engines().filter_map(|e| e.container_id.as_deref()).collect();
    let is_left =
        |c: &&Observed| c.is_alive() && !scope.covers(&c.id, &c.labels) && !known.contains(c.id.as_str());
    let left = all.iter().filter(is_left);
    let left = left.filter_map(|found| {
        let Some(cluster) = found.labels.get(spec::LABEL_CLUSTER) else {
            return is_of_before(found, state.policy()).then(|| Found {
                container: found,
                maker: Maker::Before,
                why: format!(
                    "the orchestrator of before, or something else with the label {}, made it: when that is stopped for good, adopt \
                     with --force",
                    state.policy().container_label
                ),
            });
        };
        let node = found.labels.get(spec::LABEL_NODE).map_or("", String::as_str);
        let (maker, why) = match scope.cluster_ids.contains(cluster) {
            // It belongs to another node on the same daemon.
            true if state.nodes().any(|member| member.info.name == node) => return None,
            true => (Maker::Own, format!("the node {node} that made it is no member any more")),
            false if node == scope.node_name => {
                (Maker::Own, format!("the node {node} made it in another cluster, {cluster}"))
            }
            false => (
                Maker::Other,
                format!(
                    "the node {node} made it in another cluster, {cluster}, which may live: only if it is gone, adopt with --force"
                ),
            ),
        };
        Some(Found { container: found, maker, why })
    });
    let mut left: Vec<_> = left.collect();
    left.sort_by(|a, b| a.container.name.cmp(&b.container.name));
    left
}

/// Whether a container is an engine that no node made: with the label of managed containers, and those that the orchestrator of before
/// gave its engines.
#[must_use]
pub fn is_of_before(found: &Observed, policy: &Policy) -> bool {
    let (key, value) = spec::management_label(policy);
    found.labels.get(key).is_some_and(|own| own == value)
        && [spec::LABEL_HTTP, spec::LABEL_HOST_HTTP].iter().all(|label| found.labels.contains_key(*label))
        && ![spec::LABEL_CLUSTER, spec::LABEL_NODE].iter().any(|label| found.labels.contains_key(*label))
}

/// Searches for ever, and logs when the result changes.
pub(super) async fn watch(ctx: Arc<Context>) {
    let mut docker = ctx.docker.clone();
    let mut known: Vec<LeftBehind> = Vec::new();
    loop {
        if docker.wait_for(|seen| *seen == Docker::Up).await.is_err() {
            return;
        }
        match ctx.runtime.all().await {
            Ok(all) => {
                let view = ctx.cluster.view();
                // Before this node has caught up, it does not know the other nodes on this daemon.
                let mut found = match view.state.node(ctx.cluster.node_id()) {
                    Some(_) => find(&view.state, &ctx.scope(), &all),
                    None => Vec::new(),
                };
                found.truncate(SHOWN_MAX);
                let shown: Vec<_> = found
                    .iter()
                    .map(|found| LeftBehind {
                        container_id: found.container.id.clone(),
                        name: found.container.name.clone(),
                        why: found.why.clone(),
                    })
                    .collect();
                let own = found.iter().filter(|found| found.maker == Maker::Own);
                let own: Vec<_> =
                    own.map(|found| format!("{} ({})", found.container.name, found.why)).collect();
                if !own.is_empty() && shown != known {
                    tracing::warn!(
                        engines = own.join("; "),
                        "engines of an earlier life of this host run here; `acefleet adopt` takes them over"
                    );
                }
                ctx.report.left_behind(&shown);
                known = shown;
            }
            Err(error) => ctx.failed(&error),
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = ctx.look_behind.notified() => {}
        }
    }
}

impl AgentHandle {
    /// Adopts every engine that was left behind on this host and whose ports and name are free. `force` includes those that a node of
    /// another name made in another cluster, or the orchestrator of before, which then must be gone. `by` asks for it.
    ///
    /// # Errors
    /// When Docker does not answer: retry.
    pub async fn adopt_left_behind(&self, force: bool, by: Option<Actor>) -> anyhow::Result<Vec<Adoption>> {
        let Some(scope) = self.scope() else { return Ok(Vec::new()) };
        let all = self.parts.runtime.all().await?;
        let view = self.parts.cluster.view();
        let mut adoptions = Vec::new();
        for Found { container: found, maker, why } in find(&view.state, &scope, &all) {
            let refused = match maker {
                Maker::Other | Maker::Before if !force => Some(why),
                Maker::Other | Maker::Before | Maker::Own => {
                    self.adopt(&view.state, found, by.clone()).await.err()
                }
            };
            match &refused {
                None => tracing::info!(name = found.name, "adopted an engine that was left behind"),
                Some(why) => {
                    tracing::warn!(name = found.name, why, "cannot adopt an engine that was left behind")
                }
            }
            adoptions.push(Adoption { name: found.name.clone(), refused });
        }
        self.parts.look_behind.notify_one();
        Ok(adoptions)
    }

    async fn adopt(&self, state: &State, found: &Observed, by: Option<Actor>) -> Result<(), String> {
        let node = self.parts.cluster.node_id();
        let adopt = plan::adoption(found, node, state.policy());
        let adopt = adopt.ok_or("its labels do not say under which port it is reached")?;
        // It would be stopped at once, with its viewers.
        if adopt.spec.kind == Kind::Acestream && state.is_misplaced(node, adopt.vpn.as_deref()) {
            return Err("its label acestream.vpn_container names no VPN container of this node, which therefore would stop it at once".to_owned());
        }
        let adopt = self.parts.shown.with_address(&*self.parts.runtime, adopt).await;
        let adopt = adopt.map_err(|error| error.to_string())?;
        let deadline = Instant::now() + WRITE_WITHIN;
        let adopt = Command::Adopt(adopt);
        let written = self.parts.cluster.propose_by(by, new_op_id(), adopt, deadline).await;
        match written.map_err(|error| error.to_string())?.reply {
            Reply::Refused(refusal) => Err(refusal.message),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::agent::book::{Book, OTHER};

    fn container(name: &str, cluster: &str, node: &str, status: &str) -> Observed {
        let labels = [(spec::LABEL_CLUSTER, cluster), (spec::LABEL_NODE, node)];
        Observed {
            id: format!("id-{name}"),
            name: name.to_owned(),
            status: status.to_owned(),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..Observed::default()
        }
    }

    /// An engine of the orchestrator of before, without these labels.
    fn of_before(name: &str, without: &[&str]) -> Observed {
        let labels = [
            ("ondemand.app", "myservice"),
            (spec::LABEL_HTTP, "19004"),
            (spec::LABEL_HTTPS, "45004"),
            (spec::LABEL_HOST_HTTP, "19004"),
        ];
        let kept = labels.into_iter().filter(|(key, _)| !without.contains(key));
        Observed {
            labels: kept.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            ..Observed { labels: BTreeMap::new(), ..container(name, "", "", "running") }
        }
    }

    #[test]
    fn engines_of_the_orchestrator_of_before_are_found_by_its_label_and_those_of_engines() {
        let state = Book::new().state;
        let scope = Scope::new("now", &state, "alpha");
        let mut another = of_before("another", &[]);
        another.labels.insert("ondemand.app".to_owned(), "theirs".to_owned());
        let mut dead = of_before("dead", &[]);
        dead.status = "exited".to_owned();
        let all = [
            of_before("old", &[]),
            of_before("no label", &["ondemand.app"]),
            of_before("no engine", &[spec::LABEL_HTTP]),
            of_before("no port", &[spec::LABEL_HOST_HTTP]),
            another,
            dead,
        ];
        let found = find(&state, &scope, &all);
        let names: Vec<_> = found.iter().map(|found| (found.container.name.as_str(), found.maker)).collect();
        assert_eq!(names, [("old", Maker::Before)]);
        assert!(found[0].why.contains("ondemand.app=myservice") && found[0].why.contains("--force"));
        let adopt = plan::adoption(found[0].container, OTHER, state.policy()).unwrap();
        assert_eq!((adopt.container_name.as_str(), adopt.ports.host_http), ("old", 19_004));
        assert_eq!(adopt.spec.labels, BTreeMap::new());
    }

    #[test]
    fn engines_of_earlier_lives_are_found_and_those_of_members_are_not() {
        let mut book = Book::new();
        // The neighbour, on the same daemon, has adopted one.
        let taken =
            plan::adoption(&container("taken", "before", "alpha", "running"), OTHER, book.state.policy());
        let reply = book.write(Command::Adopt(taken.unwrap()));
        assert!(matches!(reply, Reply::Engine(_)), "{reply:?}");
        let state = book.state;
        let scope = Scope::new("now", &state, "alpha");
        let foreign =
            Observed { name: "web".to_owned(), status: "running".to_owned(), ..Observed::default() };
        let all = [
            container("own", "now", "alpha", "running"),
            container("neighbours", "now", "beta", "running"),
            container("renamed", "now", "3f2a9c", "running"),
            container("lost", "before", "alpha", "running"),
            container("taken", "before", "alpha", "running"),
            container("another's", "elsewhere", "gamma", "running"),
            container("ended", "before", "alpha", "exited"),
            foreign,
        ];
        let found = find(&state, &scope, &all).into_iter();
        let found: BTreeMap<&str, (Maker, String)> =
            found.map(|found| (found.container.name.as_str(), (found.maker, found.why))).collect();
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), ["another's", "lost", "renamed"]);
        assert!(found["renamed"].1.contains("3f2a9c") && found["lost"].1.contains("another cluster, before"));
        assert_eq!((found["renamed"].0, found["lost"].0), (Maker::Own, Maker::Own));
        assert!(found["another's"].0 == Maker::Other && found["another's"].1.contains("--force"));
    }
}
