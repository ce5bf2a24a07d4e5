//! Scaling by hand and collecting idle engines.

use std::collections::BTreeMap;
use std::time::Instant;

use acefleet_registry::cause::Cause;
use acefleet_registry::engine::EngineSpec;
use acefleet_registry::{Command, Reserve, plan};
use futures::future::{join_all, try_join_all};

use crate::fleet::{Fleet, FleetError};

impl Fleet {
    /// Brings the number of engines to `demand`, within `MIN_REPLICAS` and `MAX_REPLICAS`. Scaling down
    /// takes only engines off the list that have been idle for `ENGINE_GRACE_PERIOD_S`.
    ///
    /// # Errors
    /// When no leader is found in time. Failures of hosts are only logged.
    pub async fn scale(&self, demand: i64, deadline: Instant) -> Result<(), FleetError> {
        self.wait_settings(deadline).await;
        let view = self.view();
        // Marks and outages go on although nothing is written.
        let now = self.cluster().moment();
        let state = view.state.at(now);
        let policy = state.policy();
        let demand = u32::try_from(demand.max(0)).unwrap_or(u32::MAX);
        let target = demand.max(policy.min_replicas).min(policy.max_replicas);
        let supply = state.supply();
        if supply > target {
            let mut stops = plan::stop_idle(&state, policy.grace_ms, &Cause::ScaledDown, now);
            stops.truncate((supply - target) as usize);
            return self.unlist(stops, deadline).await;
        }
        let reserve = Reserve {
            spec: EngineSpec::acestream(),
            eligible: Default::default(),
            exclude: Default::default(),
            only_below: Some(target),
            claim_abandoned: false,
            patience_ms: None,
            automatic: true,
            replaces: None,
        };
        let starts = (supply..target).map(|_| self.reserve_and_wait(reserve.clone(), deadline));
        let mut missing: BTreeMap<String, usize> = BTreeMap::new();
        for result in join_all(starts).await {
            match result {
                Ok(_) => {}
                Err(FleetError::Write(error)) => return Err(error.into()),
                Err(error) => *missing.entry(error.to_string()).or_default() += 1,
            }
        }
        for (error, engines) in missing {
            tracing::warn!(engines, target, error, "scaling up fell short");
        }
        Ok(())
    }

    /// Takes engines off the list that have been idle for `IDLE_TTL_S`, as far as the floors allow.
    ///
    /// # Errors
    /// When no leader is found in time.
    pub async fn collect_garbage(&self, deadline: Instant) -> Result<(), FleetError> {
        let view = self.view();
        let now = self.cluster().moment();
        let stops = plan::stop_idle(&view.state, view.state.policy().idle_ttl_ms, &Cause::IdleTtl, now);
        self.unlist(stops, deadline).await
    }

    /// Engines in use by the time of the write stay.
    async fn unlist(&self, stops: Vec<Command>, deadline: Instant) -> Result<(), FleetError> {
        try_join_all(stops.into_iter().map(|stop| self.write(stop, deadline))).await.map(drop)
    }
}
