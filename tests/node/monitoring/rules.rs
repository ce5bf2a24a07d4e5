//! The alert rules: `promtool` takes them, their own tests pass, and each has one.

use std::path::Path;
use std::process::Command;

use crate::monitoring::DEPLOY;
use crate::monitoring::tools::program;

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(DEPLOY).join("prometheus").join(file)).unwrap()
}

#[test]
fn promtool_takes_the_rules_and_their_tests_pass() {
    let Some(promtool) = program("promtool") else { return };
    for arguments in [
        ["check", "rules", "acefleet.rules.yml"],
        ["test", "rules", "acefleet.test.yml"],
        ["check", "config", "prometheus.yml"],
    ] {
        let mut command = Command::new(&promtool);
        let done =
            command.args(arguments).current_dir(Path::new(DEPLOY).join("prometheus")).output().unwrap();
        let said =
            [done.stdout, done.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
        assert!(done.status.success(), "promtool {arguments:?}: {said}");
    }
}

#[test]
fn each_alert_is_seen_to_fire_and_says_what_to_do() {
    let (rules, tests) = (read("acefleet.rules.yml"), read("acefleet.test.yml"));
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 20, "{}", alerts.len());
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        for part in ["severity: ", "summary: ", "description: "] {
            assert!(alert.contains(part), "{name} has no {part}");
        }
        let fires = format!("alertname: {name}\n        exp_alerts:\n");
        assert!(tests.contains(&fires), "no test lets {name} fire");
    }
}
