//! What is to be done, in the order in which it is safe.

use crate::migrate::host::Seen;
use crate::migrate::judge::Judged;

/// Short sentences with commands. `is_startable` says whether a node would start; `seen` is missing when Docker does not answer.
#[must_use]
pub fn steps(judged: &Judged, is_startable: bool, seen: Option<&Seen>) -> Vec<String> {
    let mut steps = Vec::new();
    if !is_startable {
        steps.push("Correct what is refused above, and repeat `acefleet migrate`.".to_owned());
    }
    let unseen = Seen::default();
    let seen = seen.unwrap_or_else(|| {
        steps.push(
            "Run `acefleet migrate` where Docker answers: what runs there is unknown. Until then do not stop the orchestrator of before if \
             its engines are to stay: it removes them when it stops (SIGTERM)."
                .to_owned(),
        );
        &unseen
    });
    if let Some(network) = seen.network.as_ref().filter(|network| !network.exists) {
        let name = &network.name;
        steps.push(format!(
            "Make the network, or no engine can start: `docker network create {name}`. A compose project may have made it under \
             another name, which `docker network ls` shows."
        ));
    }
    if !seen.unlabelled.is_empty() {
        steps.push(
            "Set CONTAINER_LABEL to the label of the engines named above, and repeat `acefleet migrate`: with another label no node sees them. Until \
             then do not stop the orchestrator of before if they are to stay: it removes them when it stops (SIGTERM)."
                .to_owned(),
        );
    }
    if !seen.taken.is_empty() {
        steps.push(
            "Free the ports named above, or set another PORT_RANGE_HOST. A node goes around them, and warns each time.".to_owned(),
        );
    }
    if seen.orchestrators.is_empty() && !seen.engines.is_empty() {
        steps.push(
            "Find the container that made these engines with `docker ps`: none has the usual image. If it runs, kill it, so that its engines \
             stay: `docker update --restart=no NAME`, then `docker kill -s KILL NAME`. A stop (SIGTERM) makes it remove them."
                .to_owned(),
        );
    }
    let deletes = judged.config.as_ref().is_some_and(|config| config.policy.auto_delete);
    if deletes && !seen.engines.is_empty() {
        steps.push(
            "Set AUTO_DELETE=false until `/streams` shows the viewers of these engines: until then they count as idle.".to_owned(),
        );
    }
    for found in seen.orchestrators.iter().filter(|_| seen.unlabelled.is_empty()) {
        let name = &found.name;
        steps.push(match seen.engines.is_empty() {
            true => format!("Stop the orchestrator of before: `docker stop {name}`."),
            false => format!(
                "Kill the orchestrator of before, so that its engines stay: `docker update --restart=no {name}`, then \
                 `docker kill -s KILL {name}`. A stop (SIGTERM) and a start both make it remove all its engines. So neither stop it, nor \
                 restart it, nor run `docker compose down`."
            ),
        });
    }
    if judged.config.as_ref().is_some_and(|config| config.api_key.is_none() && !config.open) {
        steps.push(
            "There is no API_KEY. The new cluster makes one, which `acefleet key` shows: give it to the proxy, too.".to_owned(),
        );
    }
    if judged.lines.iter().any(|line| line.is_of_compose) {
        steps.push(
            "Give the node the settings of the compose file, too: `acefleet migrate --print-env` with the same arguments prints all that count \
             as one `.env`, with secrets."
                .to_owned(),
        );
    }
    steps.push(
        "Start a node with these settings: `acefleet config check`, then `acefleet serve` (docs/DEPLOY.md)."
            .to_owned(),
    );
    if !seen.engines.is_empty() {
        steps.push(
            "See the engines of before as left behind in `acefleet status`, and take them over: `acefleet adopt --force`. Nothing else \
             touches them."
                .to_owned(),
        );
    }
    if !seen.orchestrators.is_empty() {
        let names: Vec<&str> = seen.orchestrators.iter().map(|found| found.name.as_str()).collect();
        steps.push(format!(
            "Remove what is left of it, so that nothing starts it again: `docker rm {}`.",
            names.join(" ")
        ));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::host::{Found, Network};

    fn found(name: &str) -> Found {
        Found { name: name.to_owned(), image: "i".to_owned(), host_port: Some(19_000) }
    }

    fn judged() -> Judged {
        Judged { lines: vec![], problems: vec![], warnings: vec![], config: None, place: None }
    }

    #[test]
    fn an_orchestrator_with_engines_is_killed_and_one_without_is_stopped() {
        let network = Network { name: "orchestrator".to_owned(), exists: false };
        let mut seen = Seen {
            engines: vec![found("acestream-1")],
            orchestrators: vec![found("old")],
            network: Some(network),
            ..Seen::default()
        };
        let all = steps(&judged(), true, Some(&seen));
        let at = |words: &str| {
            let place = all.iter().position(|step| step.contains(words));
            place.unwrap_or_else(|| panic!("no {words} in {all:#?}"))
        };
        let order = [
            "docker network create orchestrator",
            "docker kill -s KILL old",
            "acefleet serve",
            "acefleet adopt --force",
            "docker rm old",
        ];
        assert!(order.map(at).is_sorted(), "{all:#?}");
        assert!(!all.iter().any(|step| step.contains("docker stop")), "{all:#?}");
        let orchestrators = std::mem::take(&mut seen.orchestrators);
        let all = steps(&judged(), true, Some(&seen)).join("\n");
        assert!(all.contains("docker kill -s KILL NAME"), "one that was built here is not known: {all}");
        seen.orchestrators = orchestrators;
        seen.engines.clear();
        let all = steps(&judged(), true, Some(&seen)).join("\n");
        assert!(
            all.contains("`docker stop old`") && !all.contains("KILL") && !all.contains("adopt"),
            "{all}"
        );
    }

    #[test]
    fn nobody_is_told_to_stop_anything_while_there_are_engines_with_another_label() {
        let (unlabelled, orchestrators) = (vec![found("acestream-1")], vec![found("old")]);
        let seen = Seen { unlabelled, orchestrators, ..Seen::default() };
        let all = steps(&judged(), true, Some(&seen)).join("\n");
        assert!(all.contains("CONTAINER_LABEL") && !all.contains("docker stop"), "{all}");
    }

    #[test]
    fn without_docker_nobody_is_told_to_stop_anything() {
        let all = steps(&judged(), false, None).join("\n");
        assert!(all.contains("Correct what is refused") && all.contains("do not stop"), "{all}");
    }
}
