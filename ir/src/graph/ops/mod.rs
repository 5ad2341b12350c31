//! The operators of the graph level: one file each, one row here.

/// What an operator computes, with its attributes.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {}
