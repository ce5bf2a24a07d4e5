//! The program from outside: its commands, its output, its exit codes.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

mod support;

mod backup;
mod calls;
mod commands;
mod disk_that_forgot;
mod full_disk;
mod golden;
mod key;
mod migrate;
mod serve;
mod supervised;
mod tls;
