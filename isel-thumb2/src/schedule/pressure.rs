//! Which values are needed at the end of each block, and how many registers a block in some order holds at a time.

use std::collections::BTreeMap;

use super::graph::{Graph, NodeId, ValueId};
use crate::isa::Reg;
use crate::mir::{End, Function};

/// The registers that are needed at the end of each block, what its end passes on among them.
pub struct Liveness {
    lives_out: Vec<Vec<bool>>,
}

impl Liveness {
    /// Finds them for all blocks.
    pub fn new(function: &Function) -> Self {
        let n_regs = function.n_regs as usize;
        let blocks = function.blocks.iter();
        let mut lives_out: Vec<Vec<bool>> = blocks.clone().map(|_| vec![false; n_regs]).collect();
        let mut lives_in = lives_out.clone();
        loop {
            let mut changed = false;
            for (at, block) in function.blocks.iter().enumerate().rev() {
                let mut live = lives_out[at].clone();
                for next in block.end.successors() {
                    let params = &function.blocks[next.idx()].params;
                    let needed = lives_in[next.idx()].iter().enumerate().filter(|(_, needed)| **needed);
                    needed.for_each(|(reg, _)| live[reg] |= params.iter().all(|param| idx(*param) != reg));
                }
                if let End::Jump(_, args) = &block.end {
                    args.iter().for_each(|arg| live[idx(*arg)] = true);
                }
                changed |= live != lives_out[at];
                lives_out[at].clone_from(&live);
                for group in block.groups.iter().rev() {
                    let (uses, defs) = group.operands();
                    defs.iter().for_each(|reg| live[idx(*reg)] = false);
                    uses.iter().for_each(|reg| live[idx(*reg)] = true);
                }
                changed |= live != lives_in[at];
                lives_in[at] = live;
            }
            if !changed {
                return Self { lives_out };
            }
        }
    }

    /// Whether a register is needed at the end of a block.
    pub fn lives_out(&self, block: usize, reg: Reg) -> bool {
        self.lives_out[block][idx(reg)]
    }
}

fn idx(reg: Reg) -> usize {
    debug_assert!(reg.is_virtual(), "code before allocation is on virtual registers");
    reg.number() as usize
}

/// The values that are in registers at one point of a block. Those that live through it unused, or are needed long before
/// or behind only, are left out: they wait elsewhere if need be.
#[derive(Clone, Debug)]
pub struct Pressure {
    /// Uses still to come, by value.
    left: Vec<u32>,
    live: Vec<bool>,
    n_live: u32,
}

/// What a group, or several, do to the number of live values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Change of the number.
    pub net: i32,
    /// The largest change on the way.
    pub peak: i32,
}

impl Pressure {
    /// At the start of the block.
    pub fn new(graph: &Graph) -> Self {
        let left = graph.values.iter().map(|value| value.users.len() as u32).collect();
        let live: Vec<bool> =
            graph.values.iter().map(|value| value.lives_in && !value.waits_before).collect();
        let n_live = live.iter().filter(|live| **live).count() as u32;
        Self { left, live, n_live }
    }

    /// Registers in use.
    pub fn n_live(&self) -> u32 {
        self.n_live
    }

    /// Whether a value is in a register.
    pub fn is_live(&self, value: ValueId) -> bool {
        self.live[value]
    }

    /// What one group does.
    pub fn effect(&self, graph: &Graph, node: NodeId) -> Effect {
        let this = &graph.nodes[node];
        let ends = |value: &&ValueId| self.rests(graph, **value, 1);
        let ending = this.uses.iter().filter(ends).count() as i32;
        let fetched = this.uses.iter().filter(|value| !self.live[**value]).count() as i32;
        let wanted = this.defs.iter().filter(|value| self.stays(graph, **value)).count() as i32;
        // A value that is written over but lives on is copied first.
        let lives_on = |value: &&ValueId| self.left[**value] > 1 || kept(graph, **value);
        let copied = this.ties.iter().filter(lives_on).count() as i32;
        let defined = this.defs.len() as i32;
        let net = fetched + wanted - ending;
        let peak = if this.late { fetched + defined } else { fetched + defined - ending + copied };
        Effect { net, peak: peak.max(net).max(fetched) }
    }

    /// What several groups do together.
    pub fn net_of(&self, graph: &Graph, nodes: &[NodeId]) -> i32 {
        let mut uses: BTreeMap<ValueId, u32> = BTreeMap::new();
        let mut net = 0;
        for node in nodes {
            graph.nodes[*node].uses.iter().for_each(|value| *uses.entry(*value).or_default() += 1);
            net += graph.nodes[*node].defs.iter().filter(|value| self.stays(graph, **value)).count() as i32;
        }
        let waits = |value: ValueId| {
            let known = &graph.values[value];
            !self.live[value] && (known.lives_in || (self.left[value] as usize) < known.users.len())
        };
        let change = |(value, n): (&ValueId, &u32)| {
            i32::from(waits(*value)) - i32::from(self.rests(graph, *value, *n))
        };
        net + uses.iter().map(change).sum::<i32>()
    }

    /// Goes on behind a group.
    pub fn run(&mut self, graph: &Graph, node: NodeId) {
        for value in &graph.nodes[node].uses {
            self.n_live += u32::from(!std::mem::replace(&mut self.live[*value], true));
            if self.rests(graph, *value, 1) {
                self.live[*value] = false;
                self.n_live -= 1;
            }
            self.left[*value] -= 1;
        }
        for value in &graph.nodes[node].defs {
            self.live[*value] = self.stays(graph, *value);
            self.n_live += u32::from(self.live[*value]);
        }
    }

    fn stays(&self, graph: &Graph, value: ValueId) -> bool {
        self.left[value] > 0 || kept(graph, value)
    }

    /// Whether a value leaves its register when this many more of its uses have run: there is none left, or the next is far.
    fn rests(&self, graph: &Graph, value: ValueId, uses: u32) -> bool {
        let (known, left) = (&graph.values[value], (self.left[value] - uses) as usize);
        match known.users.len() - left {
            _ if left == 0 => !kept(graph, value),
            next => known.users[next] - known.users[next - 1] >= known.far,
        }
    }
}

/// Whether a value stays in its register behind its last use.
fn kept(graph: &Graph, value: ValueId) -> bool {
    graph.values[value].lives_out && !graph.values[value].waits_behind
}

/// The most values in registers at a time when the groups of a block run in an order.
pub fn most_live(graph: &Graph, order: &[NodeId]) -> u32 {
    let mut pressure = Pressure::new(graph);
    let mut most = pressure.n_live();
    for node in order {
        let effect = pressure.effect(graph, *node);
        most = most.max(pressure.n_live().saturating_add_signed(effect.peak));
        pressure.run(graph, *node);
    }
    most
}
