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

use crate::cores::Core;
use crate::mir::Function;
use graph::Graph;
pub use list::Style;
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
    graphs: Vec<Graph>,
    core: &'a dyn Core,
}

impl<'a> Scheduler<'a> {
    /// Looks at a function.
    pub fn new(function: &'a Function, core: &'a dyn Core) -> Self {
        let liveness = Liveness::new(function);
        let graph = |(at, block)| Graph::new(block, &|reg| liveness.lives_out(at, reg), &function.parked);
        Self { function, graphs: function.blocks.iter().enumerate().map(graph).collect(), core }
    }

    /// The function with its blocks in an order.
    pub fn run(&self, order: Order) -> Function {
        let mut function = self.function.clone();
        let Some(style) = order.style else { return function };
        for ((block, graph), old) in function.blocks.iter_mut().zip(&self.graphs).zip(&self.function.blocks) {
            let order = list::order(graph, old, self.core, style, order.limit);
            block.groups = order.into_iter().map(|node| old.groups[node].clone()).collect();
        }
        function
    }
}
