//! Starts the container of a reserved engine and reports the result. Each engine gets exactly one container, however often the node or
//! the daemon fails meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use acefleet_registry::cause::Cause;
use acefleet_registry::command::Taken;
use acefleet_registry::lack::Lack;
use acefleet_registry::{Command, Engine, EngineId, Reply};
use tokio::time::Instant;

use crate::agent::address::Reach;
use crate::agent::context::Context;
use crate::agent::docker_state::Docker;
use crate::agent::engine_network::EngineNetwork;
use crate::agent::last_words;
use crate::agent::pull::Pulled;
use crate::agent::runtime::{Inspection, RuntimeError};
use crate::agent::spec::{self, ContainerSpec};
use crate::agent::vpn::Network;

/// Leases that are replaced for one engine before it fails.
const MAX_CONFLICTS: u32 = 100;
/// Attempts with a name that Docker reports as used without showing a container.
const AGAIN_MAX: u32 = 3;
/// Names of other containers that a host reports; each is replicated.
const NAMES_MAX: usize = 4_096;
/// A container that ends within this time never ran: a wrong image or command, not a crash.
const SETTLE: Duration = Duration::from_millis(100);
/// A start that takes Docker longer is logged, as callers may have given up by then.
const SLOW: Duration = Duration::from_secs(2);

/// Result of one attempt.
enum Attempt {
    /// The container runs, and is reached there.
    Runs(String, Reach),
    /// Something else uses a leased port or name.
    Taken(Taken),
    /// Another attempt with the same leases may work.
    Again,
    /// The image has to be pulled first.
    NoImage,
    /// Something is missing by name.
    Lacks(Lack, String),
    /// The engine cannot run here.
    Failed { cause: Cause, message: String },
}

fn failure(cause: Cause, message: impl Into<String>) -> Attempt {
    Attempt::Failed { cause, message: message.into() }
}

/// Starts a reserved engine, or reports why that is not possible.
pub(super) async fn start(ctx: &Context, id: EngineId) {
    let limit = Duration::from_millis(ctx.cluster.view().state.policy().startup_timeout_ms);
    let began = Instant::now();
    let deadline = began + limit;
    // Who waits for the port of another engine keeps nobody else from being started.
    if let Err(message) = network(ctx, id, deadline).await {
        return fail(ctx, id, Cause::VpnError, message).await;
    }
    let Some(mut slot) = ctx.pace.enter().await else { return };
    let queued = began.elapsed();
    let (mut conflicts, mut repeats, mut pulled) = (0, 0, false);
    loop {
        let (engine, network) = match network(ctx, id, deadline).await {
            Ok(Some(ready)) => ready,
            Ok(None) => return,
            Err(message) => return fail(ctx, id, Cause::VpnError, message).await,
        };
        let view = ctx.cluster.view();
        let cluster_id = &ctx.cluster_id;
        let spec = spec::container(&engine, &ctx.config, view.state.policy(), cluster_id, network.as_deref());
        let spec = match spec {
            Ok(spec) => spec,
            Err(fault) => {
                let message = format!("host {} does not start it: {fault}", ctx.config.node_name);
                return fail(ctx, id, Cause::NotAllowed, message).await;
            }
        };
        let mut attempted = attempt(ctx, &engine, &spec, deadline).await;
        if repeats == AGAIN_MAX && matches!(attempted, Attempt::Again) {
            // The container with this name can be neither used nor removed: take another name.
            attempted = names_taken(ctx, &engine, &spec.name).await;
            repeats = 0;
        }
        let (cause, message) = match attempted {
            Attempt::Runs(container, reach) => {
                let (queued_ms, docker_ms) = (queued.as_millis(), (began.elapsed() - queued).as_millis());
                tracing::info!(engine = %id, name = spec.name, container, queued_ms, docker_ms, "engine started");
                return report_started(ctx, &engine, spec, container, reach).await;
            }
            Attempt::Taken(taken) if conflicts < MAX_CONFLICTS => {
                conflicts += 1;
                say_taken(&ctx.config.node_name, &engine, &taken);
                match ctx.writer.settle(Command::Conflict { engine: id, taken }).await {
                    Some(Reply::Engine(_)) => continue,
                    Some(_) | None => return,
                }
            }
            Attempt::Taken(taken) => (
                Cause::Conflict,
                format!(
                    "{MAX_CONFLICTS} leases in a row were in use on this host, lastly {}",
                    described(&taken)
                ),
            ),
            Attempt::Again => {
                repeats += 1;
                tokio::time::sleep(SETTLE).await;
                continue;
            }
            Attempt::NoImage if pulled => {
                return no_image(ctx, id, &spec.image, "it vanished after the pull").await;
            }
            Attempt::Lacks(lack, message) => return lacks(ctx, id, lack, message).await,
            Attempt::NoImage => {
                drop(slot);
                match ctx.pulls.fetch(&spec.image, deadline).await {
                    Pulled::Done => {
                        pulled = true;
                        let Some(again) = ctx.pace.enter().await else { return };
                        slot = again;
                        continue;
                    }
                    Pulled::Failed(reason) => {
                        return no_image(ctx, id, &spec.image, &reason).await;
                    }
                    Pulled::Late => {
                        let (image, node) = (&spec.image, &ctx.config.node_name);
                        let message = format!(
                            "the image {image} is still being pulled on host {node}; engines start there when that is done"
                        );
                        return fail(ctx, id, Cause::ImagePulling, message).await;
                    }
                }
            }
            Attempt::Failed { cause, message } => (cause, message),
        };
        return fail(ctx, id, cause, message).await;
    }
}

/// A reserved engine with the VPN network that it gets. Waits until no other engine uses its forwarded port. Nothing when it is not to be
/// started any more.
async fn network(
    ctx: &Context,
    id: EngineId,
    deadline: Instant,
) -> Result<Option<(Arc<Engine>, Option<Arc<Network>>)>, String> {
    let mut changes = ctx.cluster.changes();
    loop {
        changes.borrow_and_update();
        // The one that it waits for may stay, with the port.
        let Some(engine) = ctx.reserved(id) else { return Ok(None) };
        let Some(vpn) = engine.vpn.clone() else { return Ok(Some((engine, None))) };
        let Some(network) = ctx.networks.of(&vpn) else {
            return Err(format!("the VPN container {vpn} does not run on host {}", ctx.config.node_name));
        };
        if ctx.cluster.view().state.port_predecessor(&engine).is_none() {
            return Ok(Some((engine, Some(network))));
        }
        if !matches!(tokio::time::timeout_at(deadline, changes.changed()).await, Ok(Ok(()))) {
            return Err(format!(
                "another engine did not give up the forwarded port of the VPN container {vpn}"
            ));
        }
    }
}

fn described(taken: &Taken) -> String {
    match taken {
        Taken::HostPort(port) => format!("port {port}"),
        Taken::Names(names) => names.iter().take(3).cloned().collect::<Vec<_>>().join(", "),
    }
}

fn say_taken(node: &str, engine: &Engine, taken: &Taken) {
    match taken {
        Taken::HostPort(port) => {
            tracing::warn!(engine = %engine.id, port, "another program on {node} uses the port; asking for another");
        }
        Taken::Names(names) => {
            let (name, count) = (&engine.container_name, names.len());
            tracing::warn!(
                engine = %engine.id, name, count, "other containers on {node} hold names like it; avoiding them all"
            );
        }
    }
}

async fn no_image(ctx: &Context, engine: EngineId, image: &str, reason: &str) {
    let node = &ctx.config.node_name;
    let message = format!(
        "the image {image} is not on host {node}: {reason}. Run `docker pull {image}` there or set TARGET_IMAGE"
    );
    lacks(ctx, engine, Lack::Image(image.to_owned()), message).await;
}

fn no_network(ctx: &Context, network: &str) -> Attempt {
    let node = &ctx.config.node_name;
    let message = format!(
        "host {node} has no Docker network {network}: run `docker network create {network}` there or set DOCKER_NETWORK"
    );
    Attempt::Lacks(Lack::Network(network.to_owned()), message)
}

async fn lacks(ctx: &Context, engine: EngineId, lack: Lack, message: String) {
    tracing::warn!(%engine, cause = %lack.cause(), message, "the engine could not be started");
    ctx.writer.settle(Command::EngineLacks { engine, lack, message }).await;
}

async fn fail(ctx: &Context, engine: EngineId, cause: Cause, message: String) {
    tracing::warn!(%engine, %cause, message, "the engine could not be started");
    ctx.writer.settle(Command::EngineFailed { engine, cause, message }).await;
}

/// Reports that the container runs, and removes it if its record has changed meanwhile.
async fn report_started(
    ctx: &Context,
    engine: &Engine,
    spec: ContainerSpec,
    container: String,
    reach: Reach,
) {
    let command = Command::EngineStarted {
        engine: engine.id,
        container_id: container.clone(),
        image: spec.image,
        variant: spec.variant,
        address: (engine.is_acestream() && engine.vpn.is_none()).then(|| ctx.shown.usual_or(reach)).flatten(),
    };
    match ctx.writer.settle(command).await {
        None => {}
        Some(Reply::Engine(now)) if now.container_id.as_deref() == Some(container.as_str()) => {
            ctx.relist.notify_one();
        }
        Some(reply) => {
            let reason = match reply {
                Reply::Refused(refusal) => refusal.message,
                _ => "another container has its place".to_owned(),
            };
            tracing::warn!(
                engine = engine.container_name,
                container,
                reason,
                "the engine is not wanted any more"
            );
            ctx.remove_for_sure(&container, Duration::ZERO).await;
        }
    }
}

/// One attempt. Ends early when the daemon fails or the deadline passes.
async fn attempt(ctx: &Context, engine: &Engine, spec: &ContainerSpec, deadline: Instant) -> Attempt {
    let mut docker = ctx.docker.clone();
    if tokio::time::timeout_at(deadline, docker.wait_for(|seen| *seen != Docker::Unknown)).await.is_err() {
        return failure(Cause::DockerUnavailable, "Docker has not answered yet");
    }
    tokio::select! {
        done = create(ctx, engine, spec, deadline) => done,
        away = docker.wait_for(|seen| matches!(seen, Docker::Down(_))) => {
            let why = away.map(|seen| seen.clone());
            match why {
                Ok(Docker::Down(reason)) => failure(Cause::DockerUnavailable, reason),
                Ok(_) | Err(_) => failure(Cause::DockerUnavailable, "Docker became unavailable"),
            }
        }
        () = tokio::time::sleep_until(deadline) => {
            failure(Cause::StartupTimeout, "Docker did not start the container in time; it is removed when it appears")
        }
    }
}

async fn create(ctx: &Context, engine: &Engine, spec: &ContainerSpec, deadline: Instant) -> Attempt {
    let mut run = ctx.runtime.run(spec);
    let ran = match tokio::time::timeout(SLOW, &mut run).await {
        Ok(ran) => ran,
        Err(_) => {
            tracing::warn!(engine = %engine.id, name = spec.name, "Docker has taken two seconds to start a container so far");
            run.await
        }
    };
    match ran {
        Ok(container) => settle(ctx, engine, container, deadline).await,
        Err(RuntimeError::NameTaken(_)) => take_up(ctx, engine, spec, deadline).await,
        Err(RuntimeError::PortTaken(port)) => Attempt::Taken(Taken::HostPort(port)),
        Err(error @ RuntimeError::Other(_)) => match missing(ctx, engine, spec).await {
            Some(Lack::Image(_)) => Attempt::NoImage,
            Some(Lack::Network(name)) => no_network(ctx, &name),
            None => refused(ctx, &error),
        },
        Err(error) => refused(ctx, &error),
    }
}

/// What a refused container needs and this host lacks. This asks the daemon, because the texts of refusals differ by daemon and version.
/// `None` when it cannot be asked.
async fn missing(ctx: &Context, engine: &Engine, spec: &ContainerSpec) -> Option<Lack> {
    let network = EngineNetwork::of(&ctx.config).name().filter(|_| engine.vpn.is_none());
    let needs = [Some(Lack::Image(spec.image.clone())), network.map(|name| Lack::Network(name.to_owned()))];
    for need in needs.into_iter().flatten() {
        if matches!(ctx.runtime.has(&need).await, Ok(false)) {
            return Some(need);
        }
    }
    None
}

fn refused(ctx: &Context, error: &RuntimeError) -> Attempt {
    ctx.failed(error);
    match error {
        RuntimeError::Unavailable(_) | RuntimeError::Forbidden(_) => {
            failure(Cause::DockerUnavailable, error.to_string())
        }
        RuntimeError::NoNetwork(_) => failure(Cause::VpnError, error.to_string()),
        RuntimeError::NotFound => failure(Cause::Vanished, "the container was removed while it started"),
        _ => failure(Cause::DockerError, error.to_string()),
    }
}

/// A container has the name. If it is this engine's own, made before a crash or by a call whose answer was lost, it is used or
/// removed. Otherwise the engine gets another name.
async fn take_up(ctx: &Context, engine: &Engine, spec: &ContainerSpec, deadline: Instant) -> Attempt {
    let found = match ctx.runtime.inspect(&spec.name).await {
        Ok(found) => found,
        Err(RuntimeError::NotFound) => return Attempt::Again,
        Err(error) => return refused(ctx, &error),
    };
    let labels = &found.view.labels;
    if !ctx.is_ours(labels) || spec::engine_of(labels) != Some(engine.id) {
        // What is left of an engine that has ended is removed after its record is written, and gives way.
        if is_left_over(ctx, &found) && ctx.runtime.remove(&found.view.id, Duration::ZERO).await.is_ok() {
            return Attempt::Again;
        }
        return names_taken(ctx, engine, &spec.name).await;
    }
    // The image may add labels of its own. Other ports than ours are from an earlier lease.
    let same = spec.labels.iter().all(|(key, value)| labels.get(key) == Some(value));
    if found.is_alive() && same {
        tracing::info!(engine = %engine.id, container = found.view.id, "taking up the engine's existing container");
        return settle(ctx, engine, found.view.id, deadline).await;
    }
    match ctx.runtime.remove(&found.view.id, Duration::ZERO).await {
        Ok(()) => Attempt::Again,
        Err(error) => refused(ctx, &error),
    }
}

/// True for a dead container of this node whose engine has ended.
fn is_left_over(ctx: &Context, found: &Inspection) -> bool {
    let labels = &found.view.labels;
    let owner = spec::engine_of(labels).filter(|_| ctx.is_ours(labels) && !found.is_alive());
    owner.is_some_and(|id| ctx.cluster.view().state.engine(id).is_none_or(|engine| !engine.phase.is_live()))
}

/// This name and all others with its prefix that containers use here, also remains of our own that cannot be removed. The next engines
/// avoid all of them.
async fn names_taken(ctx: &Context, engine: &Engine, name: &str) -> Attempt {
    let found = match ctx.runtime.all().await {
        Ok(found) => found,
        Err(error) => return refused(ctx, &error),
    };
    let prefix = format!("{}-", engine.spec.name_prefix);
    let others = found.into_iter().filter(|c| c.name.starts_with(&prefix));
    let mut names: BTreeSet<String> = others.map(|c| c.name).collect();
    names.insert(name.to_owned());
    if names.len() > NAMES_MAX {
        let (count, node) = (names.len(), &ctx.config.node_name);
        let message = format!("{count} other containers on host {node} are named {prefix}…: remove some");
        return failure(Cause::Conflict, message);
    }
    Attempt::Taken(Taken::Names(names))
}

/// Waits until the container has run for a moment. Removes one that does not run.
async fn settle(ctx: &Context, engine: &Engine, container: String, deadline: Instant) -> Attempt {
    loop {
        tokio::time::sleep(SETTLE).await;
        match ctx.runtime.inspect(&container).await {
            Ok(found) if found.is_alive() => {
                return Attempt::Runs(container, Reach::shown(&found, engine.ports.container_http));
            }
            Ok(found) if found.view.status == "created" && Instant::now() + SETTLE < deadline => {}
            Ok(found) => {
                let verdict = verdict(ctx, &found).await;
                ctx.remove_for_sure(&container, Duration::ZERO).await;
                return verdict;
            }
            Err(error) => return refused(ctx, &error),
        }
    }
}

async fn verdict(ctx: &Context, found: &Inspection) -> Attempt {
    if found.view.status == "created" {
        return failure(
            Cause::StartupTimeout,
            "the container was created but Docker did not start it in time",
        );
    }
    let cause = if found.oom_killed { Cause::Oom } else { Cause::Exited };
    failure(cause, format!("the container ended at once with {}", last_words::take_down(ctx, found).await))
}
