//! The Thumb-2 instruction set: one row per instruction form, and everything that follows from the rows.
//!
//! `table` holds the rows; `encode`, `print` and `narrow` interpret them, and so do the operand lists of
//! [`Inst`]. An instruction is the same type before and after register allocation: only its registers change.
//! It does not know cycles (see `cores`), labels or symbols: a branch carries an offset that emission fills
//! in.

pub mod imm;
pub mod inst;
pub mod reg;
pub mod row;
pub mod table;

mod encode;
mod narrow;
mod print;

pub use encode::Code;
pub use imm::{Cond, ImmKind};
pub use inst::Inst;
pub use narrow::narrow;
pub use print::Display;
pub use reg::{Reg, RegClass};
pub use row::{Access, Addressing, Class, Effects, Extension, Form, Immediate, Mem, Operand, Role, Row};
pub use table::inst as ops;
