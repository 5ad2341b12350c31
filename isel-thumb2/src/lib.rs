//! From loop nests to a Thumb-2 object file.

pub mod cores;
pub mod isa;
pub mod object;
