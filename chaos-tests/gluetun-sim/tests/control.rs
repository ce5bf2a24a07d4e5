//! The control server over real sockets.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gluetun_sim::config::{Config, Roles};
use gluetun_sim::server;
use gluetun_sim::sim::Sim;

async fn serve(roles: Option<&str>) -> String {
    let environment = [("VPN_SERVICE_PROVIDER", "protonvpn"), ("VPN_PORT_FORWARDING", "on")];
    let environment: BTreeMap<_, _> =
        environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut config = Config::read(&environment).unwrap();
    config.roles = roles.map(|text| Roles::parse(text).unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, server::control(Arc::new(Sim::new(config)))).await });
    base
}

async fn get(url: String) -> (u16, String) {
    let answer = reqwest::Client::new().get(url).timeout(Duration::from_secs(10)).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn routes_and_faults() {
    let base = serve(None).await;
    for route in ["/v1/portforward", "/v1/openvpn/portforwarded"] {
        assert_eq!(get(format!("{base}{route}")).await, (200, r#"{"port":51413}"#.to_owned()));
    }
    assert!(get(format!("{base}/v1/publicip/ip")).await.1.contains("203.0.113.24"));
    assert_eq!(get(format!("{base}/v1/nothing")).await.0, 404);
    assert_eq!(get(format!("{base}/sim/set?port=7&ip=203.0.113.9")).await.0, 200);
    assert_eq!(get(format!("{base}/v1/portforward")).await.1, r#"{"port":7}"#);
    assert_eq!(get(format!("{base}/sim/set?port=x")).await.0, 400);
    assert_eq!(get(format!("{base}/sim/set?status=401")).await.0, 200);
    assert_eq!(get(format!("{base}/v1/portforward")).await.0, 401);
    get(format!("{base}/sim/set?status=0&hang=true")).await;
    let hung = reqwest::Client::new().get(format!("{base}/v1/portforward"));
    assert!(hung.timeout(Duration::from_millis(200)).send().await.unwrap_err().is_timeout());
    get(format!("{base}/sim/set?hang=false")).await;
    assert_eq!(get(format!("{base}/v1/portforward")).await.0, 200);
}

#[tokio::test]
async fn a_role_file_closes_what_it_does_not_name() {
    let base =
        serve(Some("[[roles]]\nname = \"a\"\nroutes = [\"GET /v1/portforward\"]\nauth = \"none\"\n")).await;
    assert_eq!(get(format!("{base}/v1/portforward")).await.0, 200);
    assert_eq!(get(format!("{base}/v1/openvpn/portforwarded")).await.0, 401);
}
