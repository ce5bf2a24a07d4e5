//! A reader of the feed.

use std::time::Duration;

use serde_json::Value;

use super::Bed;

/// One frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    pub event: String,
    pub id: Option<String>,
    pub data: Value,
}

/// Reads frames of a node.
pub struct Follower {
    response: reqwest::Response,
    text: String,
}

impl Follower {
    /// Follows with these parameters, behind this place.
    pub async fn of(bed: &Bed, parameters: &str, last: Option<&str>) -> Self {
        let feed = Self::at(&reqwest::Client::new(), &bed.address, parameters, last).await;
        feed.unwrap_or_else(|status| panic!("the feed is refused: {status}"))
    }

    /// The same with this client, at the node with this address; the status when it refuses.
    pub async fn at(
        client: &reqwest::Client,
        address: &str,
        parameters: &str,
        last: Option<&str>,
    ) -> Result<Self, u16> {
        let mut request = client.get(format!("http://{address}/events/stream?{parameters}"));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let response = request.send().await.unwrap();
        if response.status() != 200 {
            return Err(response.status().as_u16());
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Ok(Self { response, text: String::new() })
    }

    /// The next frame; `None` at the end.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let frame = parse(block);
                self.text = rest.to_owned();
                if frame.is_some() {
                    return frame;
                }
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.response.chunk()).await;
            // A node that is killed ends the connection in the middle.
            let chunk = chunk.expect("the feed falls silent").ok().flatten()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next frame of this kind; others are passed over.
    pub async fn next_of(&mut self, event: &str) -> Frame {
        loop {
            let frame = self.next().await.unwrap_or_else(|| panic!("the feed ended before a frame {event}"));
            if frame.event == event {
                return frame;
            }
            assert_ne!(frame.event, "bye", "the feed ends before a frame {event}: {}", frame.data);
        }
    }
}

fn parse(block: &str) -> Option<Frame> {
    let mut frame = Frame { event: String::new(), id: None, data: Value::Null };
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("event", event)) => frame.event = event.to_owned(),
            Some(("id", id)) => frame.id = Some(id.to_owned()),
            Some(("data", data)) => frame.data = serde_json::from_str(data).unwrap(),
            Some(("", _)) => {}
            other => panic!("no line of a frame: {line} {other:?}"),
        }
    }
    (!frame.event.is_empty()).then_some(frame)
}
