//! One layer: a loop nest becomes a function, or several nests one function with parameters.

use std::borrow::Cow;
use std::sync::Arc;

use ir::diag::Diagnostic;
use ir::loops::{BufferId, Nest};

use crate::cores::Core;
use crate::emit::{self, Emitted, Names};
use crate::ends::{crowded, ends};
use crate::frame::Home;
use crate::isa::Extension;
use crate::mir::{BlockId, Function, Word};
use crate::regalloc::{Allocator, Assigned, Belady, Check, Regalloc2, assign};
use crate::reload::reload;
use crate::schedule::settle::settle;
pub use crate::schedule::{ORDERS, Order};
use crate::schedule::{Ordered, Scheduler, Style};
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

    /// For a price that is near enough to leave out what costs far more: one allocator and the order of the nest, which is at no
    /// other's mercy where registers are short.
    pub fn for_estimate(self) -> Self {
        Self { allocators: &ALLOCATORS[..1], orders: &[Order::SOURCE], check: Check::Off, ..self }
    }

    /// For one that is nearer: the order that is made for the core too.
    pub fn for_better_estimate(self) -> Self {
        Self { orders: self.core.style().first(), ..self.for_estimate() }
    }
}

/// What the code of a nest costs, for who does not want the code.
#[derive(Clone, Debug)]
pub struct Cost {
    /// Predicted cycles of one call.
    pub cycles: u64,
    /// Bytes of code.
    pub bytes: usize,
    /// The constants that it reads; of those that lie together the first.
    pub constants: Vec<BufferId>,
    /// What each order costs with the first allocator, as far as that is known.
    orders: Vec<Tried>,
}

/// What an order costs with the first allocator.
#[derive(Clone, Debug)]
struct Tried {
    order: Order,
    /// The groups of each block in this order.
    blocks: Arc<[Ordered]>,
    /// Cycles and bytes.
    price: (u64, usize),
    /// Loops that are short of registers, by their last blocks, where this was the best so far.
    crowded: Vec<BlockId>,
}

/// What code costs that [`compile`] makes, up to its check. What `known` says of the same nest with fewer orders or allocators is not
/// found out again.
pub fn price(
    nest: &Nest,
    offsets: &Offsets,
    options: Options,
    known: Option<&Cost>,
) -> Result<Cost, Diagnostic> {
    let function = selected(&[Member { nest, offsets }], options)?;
    let known = known.map_or(&[][..], |known| &known.orders);
    let contest = Contest::held(&function, "", options, known);
    let (cycles, bytes) = contest.best.ok_or_else(|| too_many(nest))?;
    Ok(Cost { cycles, bytes, constants: function.constants(), orders: contest.orders })
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
    best(&function, names, options).map(|(emitted, _)| emitted).ok_or_else(|| too_many(nest))
}

/// Compiles nests that are alike as one function, whose parameters are in a table; what competes is priced for all together.
pub fn compile_shared(members: &[Member], names: &Names, options: Options) -> Result<Shared, Diagnostic> {
    let function = selected(members, options)?;
    let (emitted, assigned) = best(&function, names, options).ok_or_else(|| too_many(members[0].nest))?;
    if members.len() == 1 {
        return Ok(Shared { bodies: vec![emitted], parameters: Vec::new() });
    }
    let body = |member| emit::emit(&for_member(&assigned, &function, member), home(options), names);
    let bodies = (0..members.len()).map(body).collect();
    Ok(Shared { bodies, parameters: assigned.parameters })
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
            *touched = touched.of_member(member).into();
        }
    }
    assigned
}

/// Where values wait: not in S registers that the core lacks.
fn home(options: Options) -> Home {
    Home { fpu: options.fpu && options.core.has(Extension::Fpu) }
}

/// The best code for a function; `None` where none keeps its values.
fn best(function: &Function, names: &Names, options: Options) -> Option<(Emitted, Assigned)> {
    let best = Contest::held(function, &names.symbol, options, &[]).code?;
    Some((emit::emit(&best, home(options), names), best))
}

fn too_many(nest: &Nest) -> Diagnostic {
    let message =
        format!("the code of `{}` has more values at once than its stack frame can hold", nest.name);
    Diagnostic::new(message)
        .help("fewer copies of its statements: smaller numbers for `unroll` and `unroll-and-jam`")
}

/// A function in the best order, and the allocator that is best for it.
type Won<'f> = (Cow<'f, Function>, &'static (dyn Allocator + Sync));

/// The best code so far, by cycles and then bytes.
struct Contest<'a> {
    symbol: &'a str,
    options: Options,
    best: Option<(u64, usize)>,
    /// The code, unless only its price was known.
    code: Option<Assigned>,
    /// Its loops that are short of registers, by their last blocks.
    crowded: Vec<BlockId>,
    /// What orders cost with the first allocator.
    orders: Vec<Tried>,
}

impl<'a> Contest<'a> {
    /// Orders and allocators for a function, of which some orders may be `known`.
    fn held(function: &Function, symbol: &'a str, options: Options, known: &[Tried]) -> Self {
        let mut contest =
            Contest { symbol, options, best: None, code: None, crowded: Vec::new(), orders: Vec::new() };
        let scheduler = Scheduler::new(function, options.core);
        let (first, further) = options.allocators.split_first().expect("there is an allocator");
        let (mut winner, only) = (options.orders[0], options.orders.len() == 1);
        for order in options.orders.iter().filter(|order| only || order.suits(options.core)) {
            let before = contest.best;
            contest.try_order(*order, &scheduler, *first, known);
            if contest.best != before {
                winner = *order;
            }
        }
        // An order that is better with one allocator is so with others, as a rule: not all pairs are tried.
        let tried = |order: Order| contest.orders.iter().find(move |tried| tried.order == order).cloned();
        let source = Some(Order::SOURCE).filter(|source| winner != *source);
        let orders: Vec<Tried> = source.into_iter().chain([winner]).filter_map(tried).collect();
        let mut won = orders.last().map(|Tried { blocks, .. }| (scheduler.function(blocks), *first));
        for allocator in further {
            for Tried { blocks, .. } in &orders {
                let ordered = scheduler.function(blocks);
                if contest.improves(&ordered, *allocator) {
                    won = Some((ordered, *allocator));
                }
            }
        }
        // Where everything competes.
        if options.orders.len() == ORDERS.len()
            && let Some(won) = won
        {
            contest.enter_other_forms(function, winner, won);
        }
        contest
    }

    /// Enters other forms of a function, of which an order is the best so far: `won` has it, with the allocator.
    fn enter_other_forms(&mut self, function: &Function, order: Order, won: Won) {
        let (core, first) = (self.options.core, self.options.allocators[0]);
        let (mut ordered, mut allocator) = won;
        // Where a load behind others costs no more than to bring a word back.
        if core.style() == Style::Grouped
            && let Some(reloaded) = reload(function)
        {
            let reloaded = Scheduler::new(&reloaded, core).run(order);
            if self.improves(&reloaded, first) {
                (ordered, allocator) = (Cow::Owned(reloaded), first);
            }
        }
        // Where a loop is short of registers.
        if let Some(ended) = ends(&ordered, &self.crowded) {
            self.enter(&ended, allocator);
        }
    }

    /// Enters a function; says whether that is the best so far.
    fn improves(&mut self, function: &Function, allocator: &dyn Allocator) -> bool {
        let before = self.best;
        self.enter(function, allocator);
        self.best != before
    }

    /// Enters an order with an allocator, unless it is known or comes to the same as one before.
    fn try_order(&mut self, order: Order, scheduler: &Scheduler, allocator: &dyn Allocator, known: &[Tried]) {
        if let Some(known) = known.iter().find(|known| known.order == order) {
            self.enter_known(known);
            self.orders.push(known.clone());
            return;
        }
        let before: Vec<(Order, &[Ordered])> =
            self.orders.iter().map(|tried| (tried.order, &tried.blocks[..])).collect();
        let blocks = scheduler.ordered(order, &before);
        let same = |(a, b): (&Ordered, &Ordered)| a.nodes == b.nodes;
        let is_same = |tried: &&Tried| tried.blocks.iter().zip(&blocks).all(same);
        let before = self.best;
        let price = match self.orders.iter().find(is_same) {
            Some(tried) => Some(tried.price),
            None => self.enter(&scheduler.function(&blocks), allocator),
        };
        let Some(price) = price else { return };
        let crowded = if self.best == before { Vec::new() } else { self.crowded.clone() };
        self.orders.push(Tried { order, blocks: blocks.into(), price, crowded });
    }

    /// The price of the code that an allocator makes of a function; `None` where the frame has no room for its values.
    fn enter(&mut self, function: &Function, allocator: &dyn Allocator) -> Option<(u64, usize)> {
        let assigned = assign(function, allocator, &home(self.options), self.options.check);
        let assigned = assigned.unwrap_or_else(|failure| panic!("`{}`: {failure}", self.symbol))?;
        let settled = settle(&assigned, self.options.core);
        let price = self.price(assigned);
        Some(settled.map_or(price, |settled| price.min(self.price(settled))))
    }

    fn enter_known(&mut self, known: &Tried) {
        if self.best.is_none_or(|best| known.price < best) {
            (self.best, self.code, self.crowded) = (Some(known.price), None, known.crowded.clone());
        }
    }

    fn price(&mut self, assigned: Assigned) -> (u64, usize) {
        let price = emit::price(&assigned, home(self.options), self.options.core);
        if self.best.is_none_or(|best| price < best) {
            self.crowded = crowded(&assigned);
            (self.best, self.code) = (Some(price), Some(assigned));
        }
        price
    }
}
