//! The levels of tinyc as data: graph and loops, each with a text form, a verifier and a reference evaluation.
//!
//! This crate knows no other: no files, no target, no pass. What a pass may ask of a core stands in [`target`].

pub mod diag;
pub mod entity;
pub mod fixed;
pub mod graph;
pub mod known;
pub mod loops;
pub mod text;
pub mod ty;
