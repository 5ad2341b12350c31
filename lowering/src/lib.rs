//! From the graph level to loop nests, and from tensors to places in one arena.

pub mod builder;
pub mod memory;
