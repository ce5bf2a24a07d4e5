//! Forwarded ports that containers were told, as Docker has them: what the list of engines says is compared with it.

use std::collections::{BTreeMap, BTreeSet};

use acefleet_chaos::hosts::{Host, TestHosts};
use anyhow::{Context, Result, ensure};

use super::watch::Listed;

/// What a container was told.
struct Told {
    /// The network it runs in, as Docker names it.
    network: String,
    port: Option<u16>,
}

/// In no network have two running containers been told the same port, and what the list says of a port is what its container knows.
pub async fn check(bed: &TestHosts, listed: &[Listed]) -> Result<()> {
    for host in bed.hosts() {
        let told = told(host).await?;
        let mut taken = BTreeSet::new();
        for (id, Told { network, port }) in &told {
            let Some(port) = port else { continue };
            ensure!(taken.insert((network, port)), "{id} was told {port} as another one in {network}");
        }
        for engine in listed.iter().filter(|engine| engine.forwarded) {
            let Some(Told { port, .. }) = told.get(&engine.container_id) else { continue };
            ensure!(*port == engine.forwarded_port, "{} was told {port:?}: {engine:?}", engine.container_id);
        }
    }
    Ok(())
}

/// By container id.
async fn told(host: &Host) -> Result<BTreeMap<String, Told>> {
    let ids = host.docker().running().await?;
    let mut all = BTreeMap::new();
    for id in ids {
        // One that has ended since is no matter.
        let format = "{{json .HostConfig.NetworkMode}} {{json .Config.Env}}";
        let Ok(shown) = host.docker().call(&["inspect", "--format", format, &id]).await else { continue };
        let (network, env) = shown.split_once(' ').context("Docker shows no network")?;
        let network = serde_json::from_str(network)?;
        let env: Option<Vec<String>> = serde_json::from_str(env)?;
        let port = env.iter().flatten().find_map(|line| line.strip_prefix("P2P_PORT="));
        let port = port.map(str::parse).transpose().context("no port")?;
        all.insert(id, Told { network, port });
    }
    Ok(all)
}
