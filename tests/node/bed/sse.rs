//! Reads server-sent events.

use std::time::Duration;

use serde_json::Value;

/// Events of one answer.
pub struct Events {
    response: reqwest::Response,
    read: String,
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    pub event: String,
    pub id: Option<String>,
    pub data: Value,
}

impl Events {
    pub fn of(response: reqwest::Response) -> Self {
        let kind = response.headers()["content-type"].to_str().unwrap();
        assert_eq!(kind, "text/event-stream");
        Self { response, read: String::new() }
    }

    /// The next event; comments are passed over. None when the answer has ended.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((frame, rest)) = self.read.split_once("\n\n") {
                let (event, rest) = (parsed(frame), rest.to_owned());
                self.read = rest;
                if let Some(event) = event {
                    return Some(event);
                }
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.response.chunk());
            let chunk = chunk.await.expect("something comes each second").unwrap()?;
            self.read.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

fn parsed(frame: &str) -> Option<Event> {
    let mut event = Event::default();
    for line in frame.lines().filter(|line| !line.starts_with(':')) {
        match line.split_once(": ").unwrap_or_else(|| panic!("{line:?}")) {
            ("event", word) => event.event = word.to_owned(),
            ("id", id) => event.id = Some(id.to_owned()),
            ("data", data) => event.data = serde_json::from_str(data).unwrap(),
            other => panic!("{other:?}"),
        }
    }
    (event != Event::default()).then_some(event)
}
