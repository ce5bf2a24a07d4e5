//! Playback sessions: who plays what, with one reader each.
//!
//! The rules of the real engine: the same content with the same player id is one session, and a
//! new request takes it over from the reader it had; other player ids get sessions of their own.
//! A session ends when it is stopped, when it is lost by a fault, or when it had no reader for
//! about a minute; asking for its statistics does not keep it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::oneshot;
use uuid::Uuid;

/// All sessions that are alive, by session id.
#[derive(Debug, Default)]
pub struct Sessions {
    live: BTreeMap<String, Session>,
    readers: u64,
    clients: u64,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    /// 40 hex digits.
    pub infohash: String,
    /// The player's id; empty when it gave none.
    pub pid: String,
    /// When the session began.
    pub created: Instant,
    /// Number that the engine gives the client.
    pub client_session_id: u64,
    bytes: Arc<AtomicU64>,
    idle_since: Instant,
    reader: Option<Reader>,
}

#[derive(Debug)]
struct Reader {
    number: u64,
    /// Dropping it cuts the reader off.
    _connected: oneshot::Sender<()>,
}

/// What a reader holds while it is connected.
#[derive(Debug)]
pub struct Attached {
    /// Names this reader when it leaves.
    pub number: u64,
    /// Resolves when the session ends or another reader takes over.
    pub cut: oneshot::Receiver<()>,
    /// Bytes delivered in this session so far.
    pub bytes: Arc<AtomicU64>,
    /// When the session began.
    pub created: Instant,
}

/// A session as `/sim/control` shows it.
#[derive(Debug, Serialize)]
pub struct SessionView {
    id: String,
    infohash: String,
    pid: String,
    has_reader: bool,
    bytes: u64,
    age_ms: u128,
}

impl Sessions {
    /// Starts a session or takes over the one of the same content and player. A reader that it
    /// had is cut off.
    pub fn open(&mut self, infohash: &str, pid: &str) -> (String, &Session) {
        let existing =
            self.live.iter().find(|(_, s)| s.infohash == infohash && s.pid == pid).map(|(id, _)| id.clone());
        let id = existing.unwrap_or_else(|| Uuid::new_v4().simple().to_string());
        let now = Instant::now();
        let session = self.live.entry(id.clone()).or_insert_with(|| {
            self.clients += 1;
            Session {
                infohash: infohash.to_owned(),
                pid: pid.to_owned(),
                created: now,
                client_session_id: self.clients,
                bytes: Arc::default(),
                idle_since: now,
                reader: None,
            }
        });
        session.reader = None;
        session.idle_since = now;
        (id, session)
    }

    /// A session by its id; the infohash in the URL must be its own.
    pub fn get(&self, infohash: &str, id: &str) -> Option<&Session> {
        self.live.get(id).filter(|s| s.infohash == infohash)
    }

    /// A session by its id alone, as segment URLs name it. Keeps it alive for another while,
    /// because an HLS player has no connection that stays.
    pub fn touch(&mut self, id: &str) -> Option<&Session> {
        let session = self.live.get_mut(id)?;
        session.idle_since = Instant::now();
        Some(session)
    }

    /// Connects a reader; the previous one is cut off. `None`: no such session.
    pub fn attach(&mut self, infohash: &str, id: &str) -> Option<Attached> {
        let session = self.live.get_mut(id).filter(|s| s.infohash == infohash)?;
        let (connected, cut) = oneshot::channel();
        self.readers += 1;
        session.reader = Some(Reader { number: self.readers, _connected: connected });
        Some(Attached { number: self.readers, cut, bytes: session.bytes.clone(), created: session.created })
    }

    /// A reader left. Without effect when another one has taken over.
    pub fn detach(&mut self, id: &str, number: u64) {
        if let Some(session) = self.live.get_mut(id)
            && session.reader.as_ref().is_some_and(|r| r.number == number)
        {
            session.reader = None;
            session.idle_since = Instant::now();
        }
    }

    /// Ends a session and cuts its reader off. Returns whether there was one.
    pub fn end(&mut self, id: &str) -> bool {
        self.live.remove(id).is_some()
    }

    /// Ends all sessions; returns their number.
    pub fn end_all(&mut self) -> usize {
        std::mem::take(&mut self.live).len()
    }

    /// Ends the sessions that have had no reader for longer than `ttl`.
    pub fn expire(&mut self, now: Instant, ttl: Duration) {
        self.live.retain(|_, session| {
            session.reader.is_some() || now.saturating_duration_since(session.idle_since) <= ttl
        });
    }

    /// All sessions, for display.
    pub fn views(&self) -> Vec<SessionView> {
        self.live
            .iter()
            .map(|(id, s)| SessionView {
                id: id.clone(),
                infohash: s.infohash.clone(),
                pid: s.pid.clone(),
                has_reader: s.reader.is_some(),
                bytes: s.bytes.load(Ordering::Relaxed),
                age_ms: s.created.elapsed().as_millis(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn player_ids_separate_sessions() {
        let mut sessions = Sessions::default();
        let one = sessions.open(A, "p1").0;
        assert_ne!(one, sessions.open(A, "p2").0, "another player");
        assert_ne!(one, sessions.open(B, "p1").0, "another content");
        assert_eq!(one, sessions.open(A, "p1").0, "the same player again");
        assert_eq!(sessions.views().len(), 3);
    }

    #[test]
    fn one_reader_at_a_time() {
        let mut sessions = Sessions::default();
        let id = sessions.open(A, "p").0;
        let mut first = sessions.attach(A, &id).unwrap();
        assert!(first.cut.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        let mut second = sessions.attach(A, &id).unwrap();
        assert!(first.cut.try_recv() == Err(oneshot::error::TryRecvError::Closed));

        sessions.detach(&id, first.number);
        assert!(sessions.live[&id].reader.is_some(), "the first no longer counts");
        sessions.open(A, "p");
        assert!(second.cut.try_recv() == Err(oneshot::error::TryRecvError::Closed));
        assert!(sessions.attach(B, &id).is_none(), "wrong infohash");
    }

    #[test]
    fn stopping_cuts_the_reader() {
        let mut sessions = Sessions::default();
        let id = sessions.open(A, "p").0;
        let mut reader = sessions.attach(A, &id).unwrap();
        assert!(sessions.end(&id));
        assert!(reader.cut.try_recv() == Err(oneshot::error::TryRecvError::Closed));
        assert!(!sessions.end(&id));
        assert!(sessions.get(A, &id).is_none());
    }

    #[test]
    fn only_sessions_without_reader_expire() {
        let mut sessions = Sessions::default();
        let (watched, idle) = (sessions.open(A, "p").0, sessions.open(B, "p").0);
        let _reader = sessions.attach(A, &watched).unwrap();
        let ttl = Duration::from_secs(60);
        sessions.expire(Instant::now() + ttl - Duration::from_secs(1), ttl);
        assert!(sessions.get(B, &idle).is_some());
        sessions.expire(Instant::now() + ttl + Duration::from_secs(1), ttl);
        assert!(sessions.get(A, &watched).is_some() && sessions.get(B, &idle).is_none());
    }
}
