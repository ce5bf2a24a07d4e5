//! `GET /cluster/backup`: everything that the answering node knows of the cluster, as one file.

use std::time::{Duration, Instant};

use acefleet_raft::backup::{BackupError, Made};
use acefleet_registry::Command;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream, StreamExt};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::http::answer::headers::REVISION;
use crate::http::answer::problem::{BlockedBody, DetailBody, InvalidBody, Problem};
use crate::http::app::App;
use crate::http::request::call::Caller;
use crate::http::request::query::Query;

/// A cluster without a leader holds up its backups for no longer.
const NOTED_WITHIN: Duration = Duration::from_secs(1);
/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// A backup of the cluster
///
/// What this node has applied, as a file for `acefleet restore`, `acefleet backup inspect` and `verify`. It holds all that the cluster knows: streams,
/// addresses, settings, the hash of the key, but no key. Any node makes one, with a leader or without.
#[utoipa::path(
    get, path = "/cluster/backup", tag = "cluster", operation_id = "backup",
    params(("redact" = Option<bool>, Query, description = "Without what identifies people. No cluster can be restored from such a file")),
    security(("bearer" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "The file", content_type = "application/octet-stream", body = String),
        (status = 422, description = "A parameter is wrong", body = InvalidBody),
        (status = 500, description = "The data directory of the node does not take it; the message says why", body = DetailBody),
        (status = 503, description = "The cluster has not formed yet, others read backups of this node, or it stops", body = BlockedBody),
    )
)]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let words = [("true", true), ("1", true), ("false", false), ("0", false)];
    let redacted = Query::parse(query.as_deref()).one_of("redact", &words)?.unwrap_or(false);
    let made = app.fleet().cluster().backup(redacted).await?;
    note(&app, &caller, redacted, &made).await;
    let name = format!("attachment; filename=\"acefleet-{}.backup\"", made.header.revision);
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (CONTENT_LENGTH, made.bytes.into()),
        (REVISION, made.header.revision.into()),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let mut answer = (headers, Body::from_stream(pieces(made))).into_response();
    // It is plain text by what it is made of.
    if let Ok(name) = HeaderValue::try_from(name) {
        answer.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(answer)
}

/// Notes in the log of the cluster who takes it, as whoever has it has all that the cluster knows. Without a leader that needs the backup
/// most, so it is given at any rate, and the log of the node says who took it.
async fn note(app: &App, caller: &Caller, redacted: bool, made: &Made) {
    let (revision, bytes) = (made.header.revision, made.bytes);
    let (by, address) = (caller.credential().as_str(), caller.address());
    tracing::info!(revision, bytes, redacted, by, address, "somebody takes a backup");
    let deadline = Instant::now() + NOTED_WITHIN;
    if let Err(error) = caller.fleet(app).write(Command::BackupTaken { redacted }, deadline).await {
        tracing::warn!(%error, by, address, "the log of the cluster does not say who took this backup");
    }
}

/// The file, a piece at a time. The next one is read when the one before was taken.
fn pieces(made: Made) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    let Made { front, file, room, .. } = made;
    let first = stream::once(async move { Ok(Bytes::from(front)) });
    first.chain(stream::try_unfold((File::from_std(file), room), |(mut file, room)| async move {
        let mut piece = BytesMut::with_capacity(PIECE);
        let read = file.read_buf(&mut piece).await?;
        Ok((read > 0).then(|| (piece.freeze(), (file, room))))
    }))
}

impl From<BackupError> for Problem {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::NotFormed => Self::not_formed(),
            BackupError::Busy => Self::busy(&error.to_string()),
            BackupError::Stopping => Self::stopping(&error.to_string()),
            BackupError::Disk(_) => Self::text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }
}
