//! Sends a snapshot file, piece by piece.

use std::io::ErrorKind;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use openraft::RPCTypes;
use openraft::errors::{NetworkError, RPCError};
use openraft::raft::SnapshotResponse;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tonic::{Code, Request};

use super::call_error::bounded;
use super::peer::{PeerClient, unreachable};
use super::pool::Lane;
use super::proto::{self, snapshot_part::Part};
use crate::snapshot::SnapshotFile;
use crate::types::{TypeConfig, Vote};
use crate::util::codec;

/// Size of one piece of a snapshot.
const CHUNK: usize = 1 << 20;

/// Slowest line, in bytes a second, on which a snapshot is still sent.
const SLOWEST_LINE: u64 = 256 << 10;

impl PeerClient {
    pub(super) async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: SnapshotFile,
        patience: Duration,
    ) -> Result<SnapshotResponse<TypeConfig>, RPCError<TypeConfig>> {
        let address = self.address();
        self.wire.reach(&address).ready().await;
        let network = |e: std::io::Error| RPCError::Network(NetworkError::new(&e));
        let head = proto::SnapshotHead {
            route: Some(self.wire.route(self.target).map_err(|e| unreachable(&e))?),
            vote: codec::encode(&vote).map_err(network)?.into(),
            size: snapshot.size,
        };
        // The file is opened after the head has left: the member may be away.
        let parts = stream::iter([Part::Head(head)]).chain(chunks(snapshot.clone()));
        let parts = parts.map(|part| proto::SnapshotPart { part: Some(part) });
        let mut stub = self.stub(Lane::Bulk);
        // Pings show a receiver that is gone; a slow line only needs time.
        let limit = patience + Duration::from_secs(snapshot.size / SLOWEST_LINE);
        let answer = bounded(limit, async {
            let answer = stub.snapshot(Request::new(parts)).await;
            answer.inspect_err(|status| {
                if status.code() == Code::DataLoss {
                    snapshot.doubt();
                }
            })
        });
        let answer = self.wire.noted(self.target, &address, answer.await);
        self.wire.reach(&address).flowed(answer.is_ok());
        let reply = answer.map_err(|error| self.rpc_error(&error, RPCTypes::InstallSnapshot))?;
        self.answered(&address, &reply.version, reply.level, reply.clock);
        codec::decode(&reply.payload).map_err(network)
    }
}

/// The file in pieces. It ends early at an error; the receiver knows the size and notices.
fn chunks(snapshot: SnapshotFile) -> impl Stream<Item = Part> + Send + 'static {
    stream::unfold((snapshot, None), |(snapshot, file)| async move {
        match piece(&snapshot, file).await {
            Ok((chunk, _)) if chunk.is_empty() => None,
            Ok((chunk, file)) => Some((Part::Chunk(chunk.into()), (snapshot, Some(file)))),
            Err(error) => {
                let path = snapshot.path.display();
                match error.kind() {
                    // Newer snapshots may have replaced it: the next attempt sends the newest.
                    ErrorKind::NotFound => tracing::debug!(%path, "the snapshot to be sent is gone"),
                    _ => tracing::error!(%path, %error, "a snapshot cannot be read"),
                }
                snapshot.doubt();
                None
            }
        }
    })
}

/// The next piece of a file; empty at its end.
async fn piece(snapshot: &SnapshotFile, file: Option<File>) -> std::io::Result<(Vec<u8>, File)> {
    let mut file = match file {
        Some(file) => file,
        None => File::open(&snapshot.path).await?,
    };
    let mut chunk = Vec::with_capacity(CHUNK);
    (&mut file).take(CHUNK as u64).read_to_end(&mut chunk).await?;
    Ok((chunk, file))
}
