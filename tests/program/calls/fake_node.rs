//! Made-up nodes, and runs of the program that call them.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
pub const TOKEN: &str = "local_0123456789abcdef";

pub const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
pub const PAGE: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html>A router</html>";

/// A node of one call.
pub struct FakeNode {
    pub at: SocketAddr,
    asked: Receiver<String>,
}

impl FakeNode {
    /// Answers with this and is gone.
    pub fn once(answer: &str) -> Self {
        Self::new(vec![format!("{HEAD}{answer}")], None)
    }

    /// Answers each call with one of these, heads and all, and is gone.
    pub fn each(answers: &[&str]) -> Self {
        Self::new(answers.iter().map(|answer| (*answer).to_owned()).collect(), None)
    }

    /// Answers with this and goes on with `again` for as long as somebody reads it.
    pub fn endless(answer: &str, again: String) -> Self {
        Self::new(vec![format!("{HEAD}{answer}")], Some(again))
    }

    /// Takes connections and says nothing, as the system of a host does for a process that is stopped.
    pub fn frozen() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        (listener, at)
    }

    fn new(answers: Vec<String>, again: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let (sender, asked) = channel();
        thread::spawn(move || {
            // Each answer ends with its connection.
            let mut last = None;
            for answer in answers {
                drop(last.take());
                last = Some(serve(&listener, &answer, &sender));
            }
            // Whoever comes back finds nobody.
            drop(listener);
            let mut stream = last.unwrap();
            while let Some(again) = &again {
                if stream.write_all(again.as_bytes()).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(10));
            }
        });
        Self { at, asked }
    }

    /// The head of the call.
    pub fn asked(&self) -> String {
        self.asked.recv_timeout(PATIENCE).unwrap().to_ascii_lowercase()
    }
}

fn serve(listener: &TcpListener, answer: &str, asked: &Sender<String>) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    asked.send(head(&mut stream)).unwrap();
    stream.write_all(answer.as_bytes()).unwrap();
    stream
}

fn head(stream: &mut TcpStream) -> String {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    lines.by_ref().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

pub fn frame(kind: &str, id: &str, data: &Value) -> String {
    format!("event: {kind}\nid: {id}\ndata: {data}\n\n")
}

pub fn event(id: u64) -> Value {
    json!({"id": id, "timestamp": "2025-10-02T18:04:11Z", "event_type": "system", "category": "leader",
        "message": "a leads", "details": {"node": "a"}, "by": null})
}

/// A run of the program on the host of this node, whose token it can read.
pub fn start(dir: &Path, node: SocketAddr, arguments: &[&str], out: impl Into<Stdio>) -> Run {
    std::fs::create_dir_all(dir.join("data")).unwrap();
    std::fs::write(dir.join("data/local.token"), TOKEN).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_acefleet"));
    command.env_clear().current_dir(dir).args(arguments).stdout(out).stderr(Stdio::piped());
    command.env("APP_PORT", node.port().to_string()).env("ACEFLEET_HTTP_BIND", node.ip().to_string());
    Run(command.env("ACEFLEET_DATA_DIR", "data").spawn().unwrap())
}

/// A run that does not outlive its test.
pub struct Run(pub Child);

impl Drop for Run {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Run {
    /// The first line that it prints. Nobody reads the others.
    pub fn first_line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        line
    }

    /// Its exit code.
    pub fn code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it still runs");
            thread::sleep(Duration::from_millis(20));
        }
    }
}
