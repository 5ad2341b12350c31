//! From loop nests to a Thumb-2 object file.
//!
//! `select` turns a nest into machine code on virtual registers (`mir`), `schedule` orders it for the core, `regalloc`
//! assigns real registers, `emit` lays the blocks out and encodes them; `isa` is the table of instructions that all of them and the `cores` read. `layer` is
//! these calls in order, `entry` makes the functions that a firmware calls, `program` puts all of it into an `object`,
//! and `listing` shows it.

pub mod cores;
pub mod emit;
pub mod ends;
pub mod entry;
pub mod frame;
pub mod isa;
pub mod layer;
pub mod listing;
pub mod memory;
pub mod mir;
pub mod object;
pub mod program;
pub mod regalloc;
pub mod reload;
pub mod schedule;
pub mod select;
