//! Backups in a bucket of an object store that speaks as S3 does.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use acefleet_raft::backup::Made;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::time::timeout;

use super::connector::Connector;
use super::keep::Kept;
use super::name::Name;
use super::place::Unkept;

/// Longest time of one call, with all of its repeats.
const WITHIN: Duration = Duration::from_secs(120);

/// A part of a bucket.
#[derive(Clone, Debug)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// For people.
    shown: String,
}

impl Bucket {
    /// The bucket, with what the environment says of the store: `AWS_ENDPOINT`, `AWS_REGION`, `AWS_ACCESS_KEY_ID` and so on.
    ///
    /// # Errors
    /// What of that cannot be.
    pub fn of_environment(bucket: &str, prefix: &str) -> Result<Self, Unkept> {
        Self::of(AmazonS3Builder::from_env(), bucket, prefix)
    }

    fn of(store: AmazonS3Builder, bucket: &str, prefix: &str) -> Result<Self, Unkept> {
        let shown = format!("s3://{bucket}/{prefix}");
        let unusable =
            |why: String| Unkept(format!("{shown} cannot be used: {why}; look at the AWS_ variables"));
        let prefix = Path::parse(prefix).map_err(|error| unusable(error.to_string()))?;
        // One at a time are deleted anyway, and not every store takes many.
        let store = store.with_bucket_name(bucket).with_disable_bulk_delete(true);
        let store = store.with_http_connector(Connector).build();
        let store = store.map_err(|error| unusable(in_one_line(&error)))?;
        Ok(Self { store: Arc::new(store), prefix, shown })
    }

    /// The backups in it.
    ///
    /// # Errors
    /// When the store does not answer, or refuses.
    pub async fn list(&self) -> Result<Vec<Kept>, Unkept> {
        let found = self.within("listed", self.store.list_with_delimiter(Some(&self.prefix))).await?;
        let kept = found.objects.iter().filter_map(|object| {
            let name = Name::parse(object.location.filename()?)?;
            Some(Kept { name, bytes: object.size })
        });
        Ok(kept.collect())
    }

    /// Writes a backup: with one call, so that it is there whole or not at all.
    ///
    /// # Errors
    /// When the store does not answer, or refuses.
    pub async fn write(&self, name: &Name, made: Made) -> Result<(), Unkept> {
        let Made { front, mut file, room, .. } = made;
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = front;
            file.read_to_end(&mut bytes).map(|_| bytes)
        });
        // The task panicked; the panic goes on here.
        let read = read.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        drop(room);
        let bytes = read.map_err(|error| Unkept(format!("the backup cannot be read: {error}")))?;
        self.within("written to", self.store.put(&self.at(name), PutPayload::from(bytes))).await.map(drop)
    }

    /// Deletes a backup.
    ///
    /// # Errors
    /// When the store does not answer, or refuses.
    pub async fn remove(&self, name: &Name) -> Result<(), Unkept> {
        match timeout(WITHIN, self.store.delete(&self.at(name))).await {
            Ok(Ok(()) | Err(Error::NotFound { .. })) => Ok(()),
            Ok(Err(error)) => Err(self.why("tidied", &in_one_line(&error))),
            Err(_) => Err(self.why("tidied", "it does not answer")),
        }
    }

    fn at(&self, name: &Name) -> Path {
        self.prefix.clone().join(name.to_string())
    }

    async fn within<T>(
        &self,
        done: &str,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, Unkept> {
        let limited = timeout(WITHIN, call).await;
        let answer = limited.map_err(|_| self.why(done, "it does not answer"))?;
        answer.map_err(|error| self.why(done, &in_one_line(&error)))
    }

    fn why(&self, done: &str, error: &str) -> Unkept {
        Unkept(format!("{} cannot be {done}: {error}", self.shown))
    }
}

/// The words of a store, which may have lines, and another number in each: the same failure has to be the same text.
fn in_one_line(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let words = cause.to_string();
    // The rest of what stores answer names the call.
    let part = |name: &str| {
        let (_, behind) = words.split_once(&format!("<{name}>"))?;
        behind.split_once(&format!("</{name}>")).map(|(part, _)| part)
    };
    let said = match (part("Code"), part("Message")) {
        (None, _) => words.as_str().to_owned(),
        (Some(code), message) => [code, message.unwrap_or_default()].join(" "),
    };
    said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect()
}

#[cfg(test)]
#[path = "bucket_tests.rs"]
mod tests;
