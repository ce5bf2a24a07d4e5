//! The protocol between nodes beside the log: JSON inside the cluster's opaque requests. Unknown fields are ignored, so nodes may be
//! one version apart.
//!
//! - [`question`]: what one node asks another, and the answers
//! - [`log`]: what containers write
//! - [`container`]: a container in an answer, also as the API shows it
//! - [`foreseen`]: which engine a client is about to take
//! - [`report`]: what each node tells all others once a second
//! - [`stream_detail`]: what an engine says of a stream when it is asked
//! - [`series`]: figures of the last hour
//! - [`soft`]: the last reports of all nodes

pub mod container;
pub mod foreseen;
pub mod log;
pub mod question;
pub mod report;
pub mod series;
pub mod soft;
pub mod stream_detail;

pub use container::{ContainerView, PortBinding};
pub use foreseen::{Candidate, Claim, Foreseen, ToldMark};
pub use log::{LogLine, LogPart, LogQuery, LogSource, LogStream};
pub use question::{Adoption, Answer, PlanView, Question, WaitView};
pub use report::{EngineSoft, EngineUsage, LeftBehind, NodeReport, StreamSample, VpnSoft};
pub use series::{SeriesOf, SeriesPart};
pub use soft::{SoftState, SoftView};
pub use stream_detail::{Detail, Details, LivePosition, Position};
