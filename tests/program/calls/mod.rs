//! Commands that call a node: what they send to whom, what they print, and when they end.

mod asked;
mod fake_node;
mod following;
mod no_answer;
mod several;
mod tables;
mod terminal;
