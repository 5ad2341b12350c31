//! The order of instructions within blocks, before registers are assigned.
//!
//! The code that selection leaves names values in the order in which an unrolled nest computes them. A schedule keeps what
//! must keep its order ([`graph`]), asks the core's own timing machine what comes cheapest next, and holds no more values
//! in registers than there are ([`list`], [`pressure`]). When registers are assigned, the moves that this took find their
//! places ([`settle`]). No code moves between blocks.

pub mod graph;
pub mod list;
pub mod pressure;
pub mod settle;

use std::borrow::Cow;
use std::cell::OnceCell;

use crate::cores::Core;
use crate::mir::{Block, Function};
use graph::Graph;
pub use list::{Ordered, Style};
use pressure::Liveness;

/// The registers that allocation has.
pub const REGISTERS: u32 = 14;

/// A way to order blocks. Which is best depends on the nest, so several compete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// What it strives for; `None` leaves the order of the nest.
    pub style: Option<Style>,
    /// Registers that are in use at a time, at most. More than there are means that something waits in an S register,
    /// such as a counter that is needed at the end only.
    pub limit: u32,
}

impl Order {
    /// The order of the nest.
    pub const SOURCE: Order = Order { style: None, limit: REGISTERS };

    /// Whether it can be worth its price on a core: what is not made for the core is tried once at most.
    pub fn suits(self, core: &dyn Core) -> bool {
        self.limit == REGISTERS || self.style == Some(core.style())
    }

    /// An order by the scheduler.
    pub const fn of(style: Style, limit: u32) -> Order {
        Order { style: Some(style), limit }
    }
}

/// All orders that compete.
pub const ORDERS: &[Order] = &[
    Order::SOURCE,
    Order::of(Style::Grouped, REGISTERS),
    Order::of(Style::Grouped, REGISTERS + 1),
    Order::of(Style::Grouped, REGISTERS + 2),
    Order::of(Style::Soonest, REGISTERS),
    Order::of(Style::Soonest, REGISTERS + 1),
    Order::of(Style::Soonest, REGISTERS + 2),
];

impl Style {
    /// The order of the nest, and this one with no more values than there are registers: one of them is not far from the best.
    pub fn first(self) -> &'static [Order] {
        const GROUPED: &[Order] = &[Order::SOURCE, Order::of(Style::Grouped, REGISTERS)];
        const SOONEST: &[Order] = &[Order::SOURCE, Order::of(Style::Soonest, REGISTERS)];
        match self {
            Style::Grouped => GROUPED,
            Style::Soonest => SOONEST,
        }
    }
}

/// Blocks with what their order depends on, found once for all orders.
pub struct Scheduler<'a> {
    function: &'a Function,
    /// Once an order asks for them.
    graphs: OnceCell<Vec<Graph>>,
    core: &'a dyn Core,
}

impl<'a> Scheduler<'a> {
    /// Looks at a function.
    pub fn new(function: &'a Function, core: &'a dyn Core) -> Self {
        Self { function, graphs: OnceCell::new(), core }
    }

    /// The function with its blocks in an order.
    pub fn run(&self, order: Order) -> Function {
        self.function(&self.ordered(order, &[])).into_owned()
    }

    /// How an order has the groups of each block. What `known` says of lower limits is not found out again.
    pub fn ordered(&self, order: Order, known: &[(Order, &[Ordered])]) -> Vec<Ordered> {
        let blocks = self.function.blocks.iter();
        let Some(style) = order.style else {
            return blocks.map(|block| Ordered::as_they_are(block.groups.len())).collect();
        };
        let lower =
            known.iter().filter(|(known, _)| known.style == order.style && known.limit <= order.limit);
        let lower: Vec<&[Ordered]> = lower.map(|(_, blocks)| *blocks).collect();
        let graphs = self.graphs();
        let of_block = |(at, block): (usize, &Block)| match lower.iter().find(|blocks| !blocks[at].is_limited)
        {
            Some(blocks) => blocks[at].clone(),
            None => list::order(&graphs[at], block, self.core, style, order.limit),
        };
        blocks.enumerate().map(of_block).collect()
    }

    /// The function with the groups of each block in such an order.
    pub fn function(&self, ordered: &[Ordered]) -> Cow<'a, Function> {
        if ordered.iter().all(|ordered| ordered.nodes.is_sorted()) {
            return Cow::Borrowed(self.function);
        }
        let block = |(ordered, old): (&Ordered, &Block)| Block {
            params: old.params.clone(),
            groups: ordered.nodes.iter().map(|node| old.groups[*node].clone()).collect(),
            end: old.end.clone(),
            count: old.count,
        };
        Cow::Owned(Function {
            blocks: ordered.iter().zip(&self.function.blocks).map(block).collect(),
            n_regs: self.function.n_regs,
            parked: self.function.parked.clone(),
            parameters: self.function.parameters.clone(),
            counts: self.function.counts.clone(),
        })
    }

    fn graphs(&self) -> &[Graph] {
        self.graphs.get_or_init(|| {
            let liveness = Liveness::new(self.function);
            let graph =
                |(at, block)| Graph::new(block, &|reg| liveness.lives_out(at, reg), &self.function.parked);
            self.function.blocks.iter().enumerate().map(graph).collect()
        })
    }
}
