//! Levels of commands: a command is written only when all members know it.

use acefleet_registry::Level;

use crate::replica::core::Core;

/// Refuses commands above the level in force. The error names the members that hold them back.
pub(crate) fn check(core: &Core, in_force: Level, needed: Level) -> Result<(), String> {
    if needed <= in_force {
        return Ok(());
    }
    let slow: Vec<String> = members(core)
        .into_iter()
        .filter(|(_, told)| told.is_none_or(|told| told < needed))
        .map(|(id, told)| {
            let name = core.recorded(id).map_or_else(|| id.to_string(), |member| member.name);
            match (told, core.wire.contacts().version(id)) {
                (None, _) => format!("{name} has not said yet what it knows: start it"),
                (Some(told), Some(version)) => {
                    format!("{name} (version {version}) knows level {told} only: upgrade it")
                }
                (Some(told), None) => format!("{name} knows level {told} only: upgrade it"),
            }
        })
        .collect();
    let why = match slow.is_empty() {
        true => "all members know it, and the leader is about to say so: retry in a moment".to_owned(),
        false => slow.join("; "),
    };
    Err(format!("this write needs level {needed} and the cluster is at level {in_force}: {why}"))
}

/// All members, learners too, with the levels that they last told.
pub(crate) fn members(core: &Core) -> Vec<(u64, Option<Level>)> {
    let own = std::iter::once((core.node_id(), Some(core.wire.level())));
    own.chain(core.others().into_iter().map(|(id, _)| (id, core.wire.contacts().level(id)))).collect()
}

/// Refuses a node below the level in force.
pub(crate) fn admits(in_force: Level, name: &str, theirs: u32) -> Result<(), String> {
    let theirs = Level(theirs).max(Level::FIRST);
    match theirs >= in_force {
        true => Ok(()),
        false => Err(format!(
            "the cluster uses commands of level {in_force} and {name} knows level {theirs} only: upgrade {name} first"
        )),
    }
}

/// Why a program of level `own` cannot use a state of this level.
pub(crate) fn too_new(state: Level, own: Level) -> Option<String> {
    (state > own).then(|| {
        format!(
            "the cluster uses commands of level {state} and this program knows level {own} only: run the newer version again"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_not_all_members_know_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let cluster = crate::testing::single_node(dir.path()).await;
        cluster.read_barrier(std::time::Instant::now() + std::time::Duration::from_secs(60)).await.unwrap();
        let core = cluster.core();
        let above = Level(Level::CURRENT.0 + 1);
        assert_eq!(check(core, Level(2), Level(2)), Ok(()));
        let known = check(core, Level::FIRST, Level::CURRENT).unwrap_err();
        assert!(known.contains("all members know it") && known.contains("retry"), "{known}");
        let unknown = check(core, Level::CURRENT, above).unwrap_err();
        assert!(unknown.contains(&format!("a knows level {} only: upgrade it", Level::CURRENT)), "{unknown}");
        cluster.shutdown().await;
    }

    #[test]
    fn a_node_below_the_level_in_force_is_not_taken_in() {
        assert_eq!(admits(Level::FIRST, "b", 0), Ok(()), "one that says nothing is of the first level");
        assert_eq!(admits(Level(2), "b", 2), Ok(()));
        assert!(admits(Level(2), "b", 0).unwrap_err().contains("knows level 1 only: upgrade b"));
        assert_eq!(too_new(Level(2), Level(2)), None);
        assert!(too_new(Level(3), Level(2)).unwrap().contains("run the newer version again"));
    }
}
