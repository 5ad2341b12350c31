//! The command line as its user sees it: each test starts the program.
//!
//! What it prints stands in `tests/cli/snapshots`; `INSTA_UPDATE=always cargo test --test cli` rewrites it, and the diff
//! is then read like code.

mod build;
mod firmware;
mod help;
mod inspect;
mod opt;
mod refusals;
mod run;
mod schedule;
mod support;
