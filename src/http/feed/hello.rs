//! The first frame of a feed: who answers, from where on, and which other nodes may be asked.

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::snapshot::Sight;
use crate::http::answer::sse;
use crate::http::app::App;
use crate::http::feed::wanted::Place;

/// Data of the frame `hello`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Hello {
    /// Name of the node that answers.
    node: String,
    cluster_id: Option<String>,
    /// Its software version.
    version: &'static str,
    /// Revision of the registry on it.
    revision: u64,
    /// Events of the log with higher ids follow.
    event: u64,
    /// The place that the reader gave is of this log.
    resumed: bool,
    /// At most so many events behind that place that the reader wants are not in the log any more; null when the place is of another log.
    lost: Option<u64>,
    /// Changes and logs need the key of the cluster. False for a reader whom a proxy has signed in.
    key_required: bool,
    /// Members at which the feed goes on when this node ends.
    members: Vec<HelloMember>,
}

/// A member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HelloMember {
    name: String,
    /// `host:port` of its public API.
    http: String,
    /// The same with how it is spoken to.
    #[schema(example = "https://10.0.0.11:8000")]
    url: String,
}

impl Hello {
    /// What this node says to a reader for whom the feed begins at this place.
    pub fn of(
        app: &App,
        sight: &Sight,
        place: Place,
        resumed: bool,
        lost: Option<u64>,
        keyless: bool,
    ) -> Self {
        let member = |node: &acefleet_registry::Node| HelloMember {
            name: node.info.name.clone(),
            http: node.info.api_address(),
            url: node.info.api_url(),
        };
        Self {
            node: app.fleet().config().node_name.clone(),
            cluster_id: app.fleet().cluster().cluster_id(),
            version: env!("CARGO_PKG_VERSION"),
            revision: place.revision,
            event: place.event,
            resumed,
            lost,
            key_required: !keyless && !app.key().is_open(),
            members: sight.view.state.nodes().map(|node| member(node)).collect(),
        }
    }
}

/// The frame, with the place from which a reader resumes who gets no further.
pub(crate) fn frame(hello: &Hello) -> Bytes {
    let place = Place { revision: hello.revision, event: hello.event };
    let cluster_id = hello.cluster_id.as_deref().unwrap_or_default();
    sse::frame("hello", Some(&place.id(cluster_id)), hello)
}
