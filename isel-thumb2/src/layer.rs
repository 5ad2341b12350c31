//! One layer: a loop nest becomes a function.

use ir::diag::Diagnostic;
use ir::loops::Nest;

use crate::cores::Core;
use crate::emit::{Emitted, Names, emit};
use crate::frame::Home;
use crate::regalloc::{Allocator, Belady, Regalloc2, assign};
use crate::select::{Offsets, select};

/// What every function of a program is compiled for.
#[derive(Clone, Copy)]
pub struct Options {
    /// The core.
    pub core: &'static dyn Core,
    /// Whether the S registers may hold values; they never pass any.
    pub fpu: bool,
    /// The allocators that compete for each function, at least one: [`ALLOCATORS`].
    pub allocators: &'static [&'static (dyn Allocator + Sync)],
}

/// All allocators. The first is better where registers are short, the second in deep nests of small loops.
pub const ALLOCATORS: &[&(dyn Allocator + Sync)] = &[&Belady, &Regalloc2];

/// Compiles a nest that the verifier accepted; `offsets` places its parameters and scratch in the arena.
///
/// Each allocator's code is priced by its cycles, and the faster one is taken.
pub fn compile(
    nest: &Nest,
    offsets: &Offsets,
    names: &Names,
    options: Options,
) -> Result<Emitted, Diagnostic> {
    let home = Home { fpu: options.fpu };
    let function = select(nest, offsets)?;
    let emitted = options.allocators.iter().map(|allocator| {
        let assigned = assign(&function, *allocator, &home);
        emit(&assigned.unwrap_or_else(|failure| panic!("`{}`: {failure}", nest.name)), home, names)
    });
    let fastest = emitted.min_by_key(|code| (code.cycles(options.core), code.code.bytes.len()));
    Ok(fastest.expect("there is an allocator"))
}
