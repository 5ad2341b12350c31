//! One layer: a loop nest becomes a function.

use ir::diag::Diagnostic;
use ir::loops::Nest;

use crate::emit::{Emitted, Names, emit};
use crate::frame::Home;
use crate::regalloc::{Belady, assign};
use crate::select::{Offsets, select};

/// What every function of a program is compiled for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether the S registers may hold values; they never pass any.
    pub fpu: bool,
}

/// Compiles a nest that the verifier accepted; `offsets` places its parameters and scratch in the arena.
pub fn compile(
    nest: &Nest,
    offsets: &Offsets,
    names: &Names,
    options: Options,
) -> Result<Emitted, Diagnostic> {
    let home = Home { fpu: options.fpu };
    let function = select(nest, offsets)?;
    let assigned =
        assign(&function, &Belady, &home).unwrap_or_else(|failure| panic!("`{}`: {failure}", nest.name));
    Ok(emit(&assigned, home, names))
}
