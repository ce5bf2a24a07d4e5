//! One player's life, as Acexy leads it: an engine out of the list or a new one, a session on it, and two events, each sent once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use acefleet_chaos::acexy::records::EngineEntry;
use acefleet_chaos::acexy::select;
use acefleet_chaos::hosts::{Host, Node, TestHosts};
use acefleet_chaos::node::{Answer, Engine, NodeClient};
use acefleet_chaos::workload::player::Player;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::draw::{Dice, Fault};
use super::harm;
use crate::common::LATER;

/// Within this a life finds an engine on which its fault can happen.
const LIFE: Duration = Duration::from_secs(180);
/// A player's call that is not answered.
const CALL: Duration = Duration::from_secs(4);
/// A player waits for so long for an engine's session. Acexy waits for 20 s.
const SESSION: Duration = Duration::from_secs(6);

/// What all lives share.
pub struct World<'a> {
    /// Hosts and nodes.
    pub bed: &'a TestHosts,
    /// Held by the fault that befalls a host.
    pub hosts: tokio::sync::Mutex<()>,
    seen: Mutex<Seen>,
}

/// What happened in all lives.
#[derive(Debug, Default)]
pub struct Seen {
    /// How often each fault was made.
    pub made: BTreeMap<Fault, usize>,
    /// Streams whose start was answered 2xx.
    pub started: BTreeSet<String>,
    /// Events that no node took.
    pub untaken: usize,
    /// Why lives began anew, and how often.
    pub anew: BTreeMap<String, usize>,
}

impl<'a> World<'a> {
    pub fn new(bed: &'a TestHosts) -> Self {
        Self { bed, hosts: tokio::sync::Mutex::default(), seen: Mutex::default() }
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn node(&self, dice: &mut Dice) -> &'a Node {
        dice.pick(self.bed.nodes())
    }

    /// The host that has this engine.
    pub fn host_of(&self, engine: &Engine) -> Result<&'a Host> {
        let host = self.bed.hosts().iter().find(|host| host.address().to_string() == engine.host);
        host.with_context(|| format!("no host has the address {}", engine.host))
    }

    /// Lives a life in which this fault happens. What other lives break on its way begins it anew.
    pub async fn live(&self, seed: u64, number: usize, fault: Fault) -> Result<()> {
        let mut dice = Dice::new(seed, number as u64);
        let begun = Instant::now();
        for attempt in 0.. {
            let key = format!("{seed:016x}{number:016x}{attempt:08x}");
            match self.attempt(&mut dice, fault, &key).await {
                Ok(()) => break,
                Err(error) if begun.elapsed() < LIFE && !error.is::<harm::Broken>() => {
                    let why = error.root_cause().to_string();
                    let kind: String = why.chars().filter(|c| !c.is_ascii_digit()).take(60).collect();
                    *self.seen().anew.entry(kind).or_default() += 1;
                    sleep(dice.between(200, 1_000)).await;
                }
                Err(error) => return Err(error).with_context(|| format!("life {number}, {fault:?}")),
            }
        }
        *self.seen().made.entry(fault).or_default() += 1;
        Ok(())
    }

    async fn attempt(&self, dice: &mut Dice, fault: Fault, key: &str) -> Result<()> {
        let engine = self.engine(dice, fault == Fault::DiesYoung).await?;
        let opened = timeout(SESSION, Player::open(&engine.host, engine.port, key)).await;
        // Like Acexy: no event tells of it.
        let player = opened.context("no session in time")??;
        let made = self.play(dice, fault, &engine, &player).await;
        if fault != Fault::PlayerGone {
            let stop = format!("{}?method=stop", player.event.command_url);
            let http = reqwest::Client::builder().timeout(CALL).no_proxy().build()?;
            // The engine may be dead by now, and Acexy does not mind.
            let _ = http.get(stop).send().await;
        }
        let silent = matches!(fault, Fault::EndLost | Fault::PlayerGone | Fault::SharedId);
        if !silent || made.is_err() {
            self.end(dice, &player).await;
        }
        if fault == Fault::Doubled {
            self.end(dice, &player).await;
        }
        made
    }

    /// From the start of the session until its end; the fault is made meanwhile.
    async fn play(&self, dice: &mut Dice, fault: Fault, engine: &Engine, player: &Player) -> Result<()> {
        match fault {
            // So long that its connection is seen.
            Fault::StartLost => sleep(dice.between(1_000, 14_000)).await,
            Fault::Reordered => {
                self.end(dice, player).await;
                sleep(dice.between(0, 1_000)).await;
                self.start(dice, player).await;
            }
            Fault::Doubled => {
                let (mut one, mut two) = (Dice::new(dice.below(1 << 30) as u64, 1), Dice::new(7, 2));
                tokio::join!(self.start(&mut one, player), self.start(&mut two, player));
            }
            _ => self.start(dice, player).await,
        }
        sleep(dice.between(300, 3_000)).await;
        match fault {
            Fault::SharedId => {
                self.end(dice, player).await;
                sleep(dice.between(1_000, 14_000)).await;
            }
            Fault::PlayerGone => harm::forget_soon(engine).await?,
            _ => harm::make(self, dice, fault, engine).await?,
        }
        sleep(dice.between(300, 3_000)).await;
        Ok(())
    }

    async fn start(&self, dice: &mut Dice, player: &Player) {
        let node = self.node(dice);
        match node.client().stream_started(&player.event).await {
            Ok(answer) if answer.status.is_success() => {
                self.seen().started.insert(player.event.stream_id());
            }
            _ => self.seen().untaken += 1,
        }
    }

    async fn end(&self, dice: &mut Dice, player: &Player) {
        let node = self.node(dice);
        let answer = node.client().stream_ended(&player.event.stream_id(), "client_disconnected").await;
        if !answer.is_ok_and(|answer| answer.status.is_success()) {
            self.seen().untaken += 1;
        }
    }

    /// An engine as Acexy chooses it, or a new one.
    async fn engine(&self, dice: &mut Dice, is_new: bool) -> Result<Engine> {
        let node = self.node(dice).client();
        let listed = call(node.get::<Vec<EngineEntry>>("/engines")).await?;
        let mut candidates = Vec::new();
        for engine in listed {
            let path = format!("/streams?container_id={}&status=started", engine.container_id);
            // Left out like an engine that is full.
            let Ok(streams) = call(node.get::<Vec<Value>>(&path)).await else { continue };
            candidates.push((engine, streams.len()));
        }
        match select::best(&candidates, 1).filter(|_| !is_new) {
            Some(best) => found(node, &best.container_id).await,
            None => self.provision(dice, node).await,
        }
    }

    async fn provision(&self, dice: &mut Dice, node: &NodeClient) -> Result<Engine> {
        let begun = Instant::now();
        loop {
            let answer: Answer = call(node.try_provision()).await?;
            if answer.status.is_success() {
                let id: Value = answer.json()?;
                let id = id["container_id"].as_str().context("no id")?.to_owned();
                // Acexy waits for 5 s before it looks at the list, and plays.
                sleep(dice.between(500, 5_000)).await;
                return found(node, &id).await;
            }
            let refusal = answer.detail()?;
            ensure!(refusal.should_wait && begun.elapsed() < LATER, "refused: {}", refusal.code);
            let eta = refusal.recovery_eta_seconds.unwrap_or(1);
            sleep(Duration::from_millis(u64::from(eta.min(4)) * 500)).await;
        }
    }
}

/// A call of a player's proxy, which waits for 3 s.
async fn call<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(CALL, call).await.context("a node does not answer")?
}

/// The engine with this id, where the list has it.
async fn found(node: &NodeClient, id: &str) -> Result<Engine> {
    let listed = call(node.engines()).await?;
    let Some(engine) = listed.into_iter().find(|engine| engine.container_id == id) else {
        bail!("an engine that was chosen is not listed");
    };
    Ok(engine)
}

/// Asks the simulator for a fault.
pub async fn control(engine: &Engine, body: &Value) -> Result<()> {
    let url = format!("http://{}:{}/sim/control", engine.host, engine.port);
    let http = reqwest::Client::builder().timeout(CALL).no_proxy().build()?;
    let answer = http.post(url).json(body).send().await.context("the simulator does not answer")?;
    ensure!(answer.status().is_success(), "the engine refuses {body}: {}", answer.text().await?);
    Ok(())
}

/// The answer of every call to an engine.
pub fn all_answers(fault: &Value) -> Value {
    json!({"endpoints": {"server_api": fault, "stat": fault, "getstream": fault}})
}
