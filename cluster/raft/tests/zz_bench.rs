#![allow(clippy::unwrap_used)]
mod support;
use std::time::Instant;
use support::*;
#[tokio::test(flavor = "multi_thread")]
async fn bench() {
    let fleet = Fleet::formed(3).await;
    let leader = fleet.leader().await;
    for at in [leader, (leader + 1) % 3] {
        let t = Instant::now();
        let mut worst = std::time::Duration::ZERO;
        for _ in 0..200 {
            let s = Instant::now();
            fleet.nodes[at].must_write().await;
            worst = worst.max(s.elapsed());
        }
        println!("sequential leader={} avg {:?} worst {:?}", at == leader, t.elapsed() / 200, worst);
        let t = Instant::now();
        let mut tasks = Vec::new();
        for _ in 0..64 {
            let c = fleet.nodes[at].cluster().clone();
            tasks.push(tokio::spawn(async move {
                for _ in 0..50 {
                    let n = unique();
                    c.propose(op_id(n), mark(n), soon()).await.unwrap();
                }
            }));
        }
        for t in tasks {
            t.await.unwrap();
        }
        println!("64 writers: {:.0}/s", 3200.0 / t.elapsed().as_secs_f64());
        let t = Instant::now();
        for _ in 0..200 {
            fleet.nodes[at].cluster().read_barrier(soon()).await.unwrap();
        }
        println!("barrier avg {:?}", t.elapsed() / 200);
    }
    println!("{:?}", fleet.nodes[leader].cluster().status());
}
