//! HTTP load at a fixed rate, whether or not answers come: a slow answer delays no later question, and the time that a question
//! had to wait for its turn counts.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::future::try_join_all;
use tokio::sync::mpsc;

use super::client::{Ask, Tally, connect};
use super::figures::ms;

/// Asks `rate` times a second for `time`, over so many connections in turn.
///
/// A thread of its own keeps the beat: timers of the runtime are a millisecond coarse.
pub async fn open_loop(
    target: SocketAddr,
    connections: usize,
    rate: u32,
    time: Duration,
    ask: Ask,
) -> Result<Tally> {
    let opened = connect(target, connections, "").await?;
    let mut queues = Vec::new();
    let mut clients = Vec::new();
    for mut connection in opened {
        let (queue, mut due) = mpsc::unbounded_channel::<Instant>();
        queues.push(queue);
        let ask = ask.clone();
        clients.push(tokio::spawn(async move {
            let mut times = Vec::new();
            while let Some(due) = due.recv().await {
                connection.ask(&ask).await?;
                times.push(ms(due.elapsed()));
            }
            anyhow::Ok(times)
        }));
    }
    let begun = Instant::now();
    let beat = std::thread::spawn(move || keep_beat(&queues, rate, time));
    let times = try_join_all(clients).await?;
    let took = begun.elapsed();
    beat.join().ok().context("the thread that keeps the beat panicked")?;
    let times: Vec<f64> = times.into_iter().collect::<Result<Vec<_>>>()?.concat();
    Ok(Tally { rate: times.len() as f64 / took.as_secs_f64(), times })
}

fn keep_beat(queues: &[mpsc::UnboundedSender<Instant>], rate: u32, time: Duration) {
    let begun = Instant::now();
    let questions = (f64::from(rate) * time.as_secs_f64()) as u64;
    for (number, queue) in (0..questions).zip(queues.iter().cycle()) {
        let due = begun + time.mul_f64(number as f64 / questions as f64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        // A client that failed says so itself.
        let _ = queue.send(due);
    }
}
