//! What a host does not start, whoever of the members has let it through.

use std::collections::BTreeMap;

use crate::agent::reconcile::{SERVING, ending};
use crate::bed::agent::{Node, generic};
use crate::bed::fake::Fake;
use acefleet_registry::engine::{EngineSpec, Phase};

#[tokio::test]
async fn what_a_member_lets_through_is_refused_by_the_host_that_would_start_it() {
    let fake = Fake::new();
    let settings = [("ACEFLEET_ALLOWED_IMAGES", "here:1"), ("ACEFLEET_ALLOWED_LABELS", "team")];
    let mut node = Node::with_settings(fake.clone(), &settings, |_| {}).await;
    node.start().await;
    // As a member writes it that checks nothing.
    for spec in
        [generic("evil:1"), EngineSpec { image: Some("evil:1".to_owned()), ..EngineSpec::acestream() }]
    {
        let id = node.reserve(spec).await.id;
        let failed = node.wait_phase(id, &[Phase::Failed]).await;
        let (cause, message) = ending(&failed);
        assert_eq!(cause, "not_allowed");
        for part in ["host alpha does not start it", "evil:1", "ACEFLEET_ALLOWED_IMAGES"] {
            assert!(message.contains(part), "{message}");
        }
    }
    let env = BTreeMap::from([("VIRTUAL_HOST".to_owned(), "panel.example".to_owned())]);
    let id = node.reserve(EngineSpec { env, ..EngineSpec::acestream() }).await.id;
    let failed = node.wait_phase(id, &[Phase::Failed]).await;
    assert_eq!(ending(&failed).0, "not_allowed");
    let id = node.reserve(EngineSpec { host_port: Some(8001), ..EngineSpec::acestream() }).await.id;
    let failed = node.wait_phase(id, &[Phase::Failed]).await;
    assert_eq!(ending(&failed).0, "not_allowed");
    let allowed = node.reserve(generic("here:1")).await.id;
    node.wait_phase(allowed, &SERVING).await;
    node.running().await;
    assert_eq!((fake.count(), fake.world().pulls.as_slice()), (2, &[][..]));
}
