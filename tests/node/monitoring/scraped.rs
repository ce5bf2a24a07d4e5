//! A real Prometheus that scrapes three nodes: every query of the dashboard has data, and every rule is evaluated.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::bed::eventually;
use crate::monitoring::DEPLOY;
use crate::monitoring::bed::busy;
use crate::monitoring::tools::program;

/// A running Prometheus. It ends with this value.
struct Prometheus {
    url: String,
    client: reqwest::Client,
    _child: Child,
    _dir: tempfile::TempDir,
}

impl Prometheus {
    async fn start(program: &Path, targets: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rules = Path::new(DEPLOY).join("prometheus/acefleet.rules.yml");
        let config = format!(
            "global: {{scrape_interval: 500ms, evaluation_interval: 500ms}}\nrule_files: [{rules:?}]\n\
             scrape_configs: [{{job_name: acefleet, static_configs: [{{targets: {targets:?}}}]}}]\n"
        );
        let file = dir.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={free}"))
            .arg("--log.level=warn")
            .current_dir(dir.path())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        Self { url: format!("http://{free}"), client, _child: child, _dir: dir }
    }

    /// Data of an answer; none while it does not answer.
    async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Option<Value> {
        let answer = self.client.get(format!("{}{path}", self.url)).query(query).send().await.ok()?;
        let body: Value = answer.json().await.ok()?;
        assert_eq!(body["status"], "success", "{query:?}: {body}");
        Some(body["data"].clone())
    }

    /// Whether a query has data now. Quantiles of nothing are none, but have a series.
    async fn has_data(&self, query: &str) -> bool {
        let Some(data) = self.ask("/api/v1/query", &[("query", query)]).await else { return false };
        let is_number = |series: &Value| {
            let text = series["value"][1].as_str().unwrap_or_default();
            query.contains("histogram_quantile") || text.parse::<f64>().is_ok_and(f64::is_finite)
        };
        data["result"].as_array().is_some_and(|series| series.iter().any(is_number))
    }
}

/// Queries of the dashboard, with the titles of their panels, as Grafana would send them for a short time.
fn queries() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(Path::new(DEPLOY).join("grafana/acefleet.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let filled = |query: &str| {
        let values = [("$__rate_interval", "5s"), ("$job", "acefleet"), ("$node", ".*")];
        values.iter().fold(query.to_owned(), |query, (variable, value)| query.replace(variable, value))
    };
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert!(panel["type"] == "row" || !targets.is_empty(), "{title} asks for nothing");
        for target in targets {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            queries.push((title.to_owned(), filled(target["expr"].as_str().unwrap())));
        }
    }
    let annotations = dashboard["annotations"]["list"].as_array().unwrap();
    // It has data only at the moment of a change.
    queries.extend(annotations.iter().map(|of| {
        let query = filled(of["expr"].as_str().unwrap()).replace(" > 0", " >= 0");
        (of["name"].as_str().unwrap().to_owned(), query)
    }));
    queries
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_the_dashboard_has_data_of_three_nodes() {
    let Some(program) = program("prometheus") else { return };
    let (_folder, beds) = busy().await;
    let targets = beds.each_ref().map(|bed| bed.address.as_str());
    let prometheus = Prometheus::start(&program, &targets).await;
    eventually("three nodes are scraped", async || {
        prometheus.has_data("count(up{job=\"acefleet\"} == 1) == 3").await.then_some(())
    })
    .await;
    let queries = queries();
    assert!(queries.len() >= 60, "{}", queries.len());
    for (title, query) in &queries {
        eventually(&format!("{title}: {query}"), async || prometheus.has_data(query).await.then_some(()))
            .await;
    }
    let rules = eventually("every rule is evaluated", async || {
        let data = prometheus.ask("/api/v1/rules", &[]).await?;
        let groups = data["groups"].as_array()?.iter();
        let rules: Vec<Value> = groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    })
    .await;
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    let name_of_no_leader = rules.iter().find(|rule| rule["name"] == "AcefleetNoLeader").unwrap();
    assert_eq!(name_of_no_leader["state"], "inactive");
    for bed in beds {
        bed.stop().await;
    }
}
