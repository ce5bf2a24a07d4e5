//! Containers by id, prefix, name and label; nothing that is not ours.

use serde_json::json;

use crate::bed::Bed;

#[tokio::test]
async fn containers_are_found_by_id_prefix_and_name() {
    let bed = Bed::new().await;
    let id = bed.engine(901).await;
    for name in [id.as_str(), &id[..12], "acestream-901"] {
        // Twelve zeros are the beginning of every id of this bed, so the prefix is unambiguous here.
        let answer = bed.get(&format!("/containers/{name}")).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        let container = answer.json();
        assert_eq!((&container["id"], &container["name"]), (&json!(id), &json!("acestream-901")));
        assert_eq!(container["status"], "running");
        assert_eq!(container["ports"], json!({"901/tcp": [{"HostIp": "0.0.0.0", "HostPort": "901"}]}));
        assert_eq!(container["labels"]["orchestrator.managed"], "acestream");
        let engine = bed.get(&format!("/engines/{name}")).await.json();
        assert_eq!(engine["engine"]["container_id"], id);
    }
    for name in ["none", "0000", "a%2Fb", "..%2F..%2Fetc"] {
        let answer = bed.get(&format!("/containers/{name}")).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (404, json!({"detail": "container not found"})));
        let deleted = bed.call("DELETE", &format!("/containers/{name}"), &json!(null)).await;
        assert_eq!(
            (deleted.status.as_u16(), deleted.json()),
            (404, json!({"detail": "container not found"}))
        );
    }
    bed.stop().await;
}

#[tokio::test]
async fn a_deleted_container_is_gone_with_its_streams() {
    let bed = Bed::new().await;
    bed.engine(901).await;
    bed.post("/events/stream_started", &crate::api::events::started("k", "s", 901)).await;
    let deleted = bed.call("DELETE", "/containers/acestream-901", &json!(null)).await;
    assert_eq!(
        (deleted.status.as_u16(), deleted.json()),
        (200, json!({"deleted": "acestream-901", "streams": 1}))
    );
    assert_eq!(bed.runtime.count(), 0);
    assert_eq!(bed.get("/engines").await.text, "[]");
    assert_eq!(bed.get("/streams?status=started").await.text, "[]");
    let again = bed.call("DELETE", "/containers/acestream-901", &json!(null)).await;
    assert_eq!(again.status, 404);
    bed.stop().await;
}

#[tokio::test]
async fn labels_are_searched_with_the_key() {
    let bed = Bed::new().await;
    let id = bed.engine(901).await;
    bed.engine(902).await;
    let by_port = bed.call("GET", "/by-label?key=host.http_port&value=901", &json!(null)).await;
    assert_eq!(by_port.status, 200);
    let found = by_port.json();
    assert_eq!((found.as_array().unwrap().len(), &found[0]["id"]), (1, &json!(id)));
    let managed = bed.call("GET", "/by-label?key=orchestrator.managed&value=acestream", &json!(null)).await;
    assert_eq!(managed.json().as_array().unwrap().len(), 2);
    let none = bed.call("GET", "/by-label?key=no%20such&value=", &json!(null)).await;
    assert_eq!((none.status.as_u16(), none.text.as_str()), (200, "[]"));
    bed.stop().await;
}
