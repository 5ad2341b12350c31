//! One layer: a loop nest becomes a function.

use ir::diag::Diagnostic;
use ir::loops::Nest;

use crate::cores::Core;
use crate::emit::{Emitted, Names, emit};
use crate::frame::Home;
use crate::isa::Extension;
use crate::mir::Function;
use crate::regalloc::{Allocator, Assigned, Belady, Regalloc2, assign};
use crate::schedule::Scheduler;
use crate::schedule::settle::settle;
pub use crate::schedule::{ORDERS, Order};
use crate::select::{Offsets, select};

/// What every function of a program is compiled for.
#[derive(Clone, Copy)]
pub struct Options {
    /// The core.
    pub core: &'static dyn Core,
    /// Whether the S registers, where the core has some, may hold values; they never pass any.
    pub fpu: bool,
    /// The allocators that compete for each function, at least one: [`ALLOCATORS`].
    pub allocators: &'static [&'static (dyn Allocator + Sync)],
    /// The orders of instructions that compete, at least one: [`ORDERS`].
    pub orders: &'static [Order],
}

impl Options {
    /// Every allocator and every order competes.
    pub fn new(core: &'static dyn Core, fpu: bool) -> Self {
        Self { core, fpu, allocators: ALLOCATORS, orders: ORDERS }
    }
}

/// All allocators. The first is better where registers are short, the second in deep nests of small loops.
pub const ALLOCATORS: &[&(dyn Allocator + Sync)] = &[&Belady, &Regalloc2];

/// Compiles a nest that the verifier accepted; `offsets` places its parameters and scratch in the arena.
///
/// Orders of instructions and allocators compete by the cycles of the code that they make.
pub fn compile(
    nest: &Nest,
    offsets: &Offsets,
    names: &Names,
    options: Options,
) -> Result<Emitted, Diagnostic> {
    let mut function = select(nest, offsets, options.core)?;
    let mut contest = Contest { nest, names, options, best: None };
    if !contest.home().fpu {
        function.parked.clear(); // On the stack a value is further away than in any register.
    }
    let scheduler = Scheduler::new(&function, options.core);
    let (first, further) = options.allocators.split_first().expect("there is an allocator");
    let (mut winner, only) = (options.orders[0], options.orders.len() == 1);
    for order in options.orders.iter().filter(|order| only || order.suits(options.core)) {
        if contest.enter(&scheduler.run(*order), *first) {
            winner = *order;
        }
    }
    // An order that is better with one allocator is so with others, as a rule: not all pairs are tried.
    for allocator in further {
        let source = options.orders.iter().find(|order| **order == Order::SOURCE && winner != Order::SOURCE);
        for order in source.into_iter().chain([&winner]) {
            contest.enter(&scheduler.run(*order), *allocator);
        }
    }
    Ok(contest.best.expect("there is an order and an allocator").1)
}

/// The best code so far, by cycles and then bytes.
struct Contest<'a> {
    nest: &'a Nest,
    names: &'a Names<'a>,
    options: Options,
    best: Option<((u64, usize), Emitted)>,
}

impl Contest<'_> {
    /// Where values wait: not in S registers that the core lacks.
    fn home(&self) -> Home {
        Home { fpu: self.options.fpu && self.options.core.has(Extension::Fpu) }
    }

    /// Prices the code that an allocator makes of a function; says whether it is the best so far.
    fn enter(&mut self, function: &Function, allocator: &dyn Allocator) -> bool {
        let assigned = assign(function, allocator, &self.home());
        let assigned = assigned.unwrap_or_else(|failure| panic!("`{}`: {failure}", self.nest.name));
        let raw = self.price(&assigned);
        self.price(&settle(&assigned, self.options.core)) || raw
    }

    fn price(&mut self, assigned: &Assigned) -> bool {
        let code = emit(assigned, self.home(), self.names);
        let price = (code.cycles(self.options.core), code.code.bytes.len());
        let best = self.best.as_ref().is_none_or(|(best, _)| price < *best);
        if best {
            self.best = Some((price, code));
        }
        best
    }
}
