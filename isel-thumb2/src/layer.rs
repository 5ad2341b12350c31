//! One layer: a loop nest becomes a function, or several nests one function with parameters.

use ir::diag::Diagnostic;
use ir::loops::Nest;

use crate::cores::Core;
use crate::emit::{self, Emitted, Names};
use crate::frame::Home;
use crate::isa::Extension;
use crate::mir::{Function, Word};
use crate::regalloc::{Allocator, Assigned, Belady, Check, Regalloc2, assign};
use crate::schedule::Scheduler;
use crate::schedule::settle::settle;
pub use crate::schedule::{ORDERS, Order};
use crate::select::{Member, Offsets, select_shared};

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
    /// Whether allocations are checked; without it the code is good for its price only.
    pub check: Check,
}

impl Options {
    /// Every allocator and every order competes.
    pub fn new(core: &'static dyn Core, fpu: bool) -> Self {
        Self { core, fpu, allocators: ALLOCATORS, orders: ORDERS, check: Check::Full }
    }

    /// The same for code that is only priced.
    pub fn for_price(self) -> Self {
        Self { check: Check::Off, ..self }
    }

    /// For a price that is near enough to leave out what costs far more: one order and one allocator. The order of the nest
    /// comes nearest to the best on the mean, since it is at no other's mercy where registers are short.
    pub fn for_estimate(self) -> Self {
        Self { allocators: &ALLOCATORS[..1], orders: &[Order::SOURCE], check: Check::Off, ..self }
    }
}

/// All allocators. The first is better where registers are short, the second in deep nests of small loops.
pub const ALLOCATORS: &[&(dyn Allocator + Sync)] = &[&Belady, &Regalloc2];

/// Code that serves several nests.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The same code for each member, timed with its numbers.
    pub bodies: Vec<Emitted>,
    /// The words that the code loads from the table in r1, by position and then by member.
    pub parameters: Vec<Vec<Word>>,
}

/// Compiles a nest that the verifier accepted; `offsets` places its parameters and scratch in the arena.
///
/// Orders of instructions and allocators compete by the cycles of the code that they make.
pub fn compile(
    nest: &Nest,
    offsets: &Offsets,
    names: &Names,
    options: Options,
) -> Result<Emitted, Diagnostic> {
    let function = selected(&[Member { nest, offsets }], options)?;
    Ok(best(&function, names, options).0)
}

/// Compiles nests that are alike as one function, whose parameters are in a table; what competes is priced for all together.
pub fn compile_shared(members: &[Member], names: &Names, options: Options) -> Result<Shared, Diagnostic> {
    let function = selected(members, options)?;
    let (emitted, assigned) = best(&function, names, options);
    if members.len() == 1 {
        return Ok(Shared { bodies: vec![emitted], parameters: Vec::new() });
    }
    let body = |member| emit::emit(&for_member(&assigned, &function, member), home(options), names);
    Ok(Shared { bodies: (0..members.len()).map(body).collect(), parameters: function.parameters })
}

/// Machine code on virtual registers for all members.
fn selected(members: &[Member], options: Options) -> Result<Function, Diagnostic> {
    let mut function = select_shared(members, options.core)?;
    if !home(options).fpu {
        function.parked.clear(); // On the stack a value is further away than in any register.
    }
    Ok(function)
}

/// The code with the counts and places of one member of a group.
fn for_member(assigned: &Assigned, function: &Function, member: usize) -> Assigned {
    let mut assigned = assigned.clone();
    for (block, counts) in assigned.blocks.iter_mut().zip(&function.counts) {
        block.count = counts[member];
        for touched in block.code.iter_mut().filter_map(|coded| coded.touched.as_mut()) {
            *touched = touched.of_member(member);
        }
    }
    assigned
}

/// Where values wait: not in S registers that the core lacks.
fn home(options: Options) -> Home {
    Home { fpu: options.fpu && options.core.has(Extension::Fpu) }
}

/// The best code for a function.
fn best(function: &Function, names: &Names, options: Options) -> (Emitted, Assigned) {
    let mut contest = Contest { names, options, best: None };
    let scheduler = Scheduler::new(function, options.core);
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
    let (_, best) = contest.best.expect("there is an order and an allocator");
    (emit::emit(&best, home(options), names), best)
}

/// The best code so far, by cycles and then bytes.
struct Contest<'a> {
    names: &'a Names<'a>,
    options: Options,
    best: Option<((u64, usize), Assigned)>,
}

impl Contest<'_> {
    /// Prices the code that an allocator makes of a function; says whether it is the best so far.
    fn enter(&mut self, function: &Function, allocator: &dyn Allocator) -> bool {
        let assigned = assign(function, allocator, &home(self.options), self.options.check);
        let assigned = assigned.unwrap_or_else(|failure| panic!("`{}`: {failure}", self.names.symbol));
        let settled = settle(&assigned, self.options.core);
        let raw = self.price(assigned);
        self.price(settled) || raw
    }

    fn price(&mut self, assigned: Assigned) -> bool {
        let price = emit::price(&assigned, home(self.options), self.options.core);
        let best = self.best.as_ref().is_none_or(|(best, _)| price < *best);
        if best {
            self.best = Some((price, assigned));
        }
        best
    }
}
