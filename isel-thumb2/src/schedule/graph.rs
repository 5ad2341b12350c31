//! What must keep its order in a block: values before their uses, memory that may be the same, flags.
//!
//! An order is kept where a value is read behind its definition, where one of two accesses stores and their bytes are
//! not proven apart, where a register is written over that others read before, and where the end of the block reads
//! flags: what sets them comes behind everything else that does. Everything else may change places.

use std::collections::{BTreeMap, BTreeSet};

use crate::isa::Reg;
use crate::isa::row::Access;
use crate::memory::Transfer;
use crate::mir::{Block, End, Group};

/// A group, by its position in the block.
pub type NodeId = usize;
/// A value that the block touches, numbered from 0.
pub type ValueId = usize;

/// The groups of a block with the orders among them, and the values that they pass on.
#[derive(Debug, Default)]
pub struct Graph {
    /// In the order of the block.
    pub nodes: Vec<Node>,
    /// By number.
    pub values: Vec<Value>,
    /// What sets the flags that the end of the block reads.
    pub decides: Option<NodeId>,
}

/// A group.
#[derive(Debug, Default)]
pub struct Node {
    /// What must come before.
    pub before: Vec<NodeId>,
    /// What must come behind.
    pub behind: Vec<NodeId>,
    /// Values that it reads.
    pub uses: Vec<ValueId>,
    /// Values that it defines.
    pub defs: Vec<ValueId>,
    /// Values that it writes over.
    pub ties: Vec<ValueId>,
    /// Whether it loads.
    pub loads: bool,
    /// Whether what it reads stays in its registers until all results are written.
    pub late: bool,
}

/// A value.
#[derive(Debug)]
pub struct Value {
    /// Its register.
    pub reg: Reg,
    /// The groups that read it, in the order of the block.
    pub users: Vec<NodeId>,
    /// Whether it comes from before the block.
    pub lives_in: bool,
    /// Whether it is needed behind the block, or passed on at its end.
    pub lives_out: bool,
    /// Whether it comes from before the block and is not needed soon: until its first use it waits elsewhere.
    pub waits_before: bool,
    /// Whether it lives through the block and its last use is long before the end: behind it, it waits elsewhere.
    pub waits_behind: bool,
    /// How far away a use is for which it does not keep its register.
    pub far: usize,
}

/// A use this many groups away is not soon: by then a register is worth more than a move to get the value back.
const FAR: usize = 32;
/// The same for a parked value.
const FAR_PARKED: usize = 4;

impl Graph {
    /// The graph of a block; `lives_out` tells what is needed at its end, and `parked` what waits elsewhere if it can.
    pub fn new(block: &Block, lives_out: &dyn Fn(Reg) -> bool, parked: &BTreeSet<Reg>) -> Self {
        let mut graph = Graph::default();
        let mut numbers: BTreeMap<Reg, ValueId> = BTreeMap::new();
        for group in &block.groups {
            graph.add(group, &mut numbers, lives_out);
        }
        graph.order_values(&block.groups);
        graph.order_memory(&block.groups);
        graph.order_flags(block);
        graph.finish(&block.params, parked);
        graph
    }

    fn add(&mut self, group: &Group, numbers: &mut BTreeMap<Reg, ValueId>, lives_out: &dyn Fn(Reg) -> bool) {
        let node = self.nodes.len();
        let (uses, defs) = group.operands();
        let mut number = |reg: Reg, lives_in: bool, values: &mut Vec<Value>| {
            *numbers.entry(reg).or_insert_with(|| {
                let lives_out = lives_out(reg);
                let users = Vec::new();
                values.push(Value {
                    reg,
                    users,
                    lives_in,
                    lives_out,
                    waits_before: false,
                    waits_behind: false,
                    far: FAR,
                });
                values.len() - 1
            })
        };
        let uses: Vec<ValueId> = uses.iter().map(|reg| number(*reg, true, &mut self.values)).collect();
        let defs: Vec<ValueId> = defs.iter().map(|reg| number(*reg, false, &mut self.values)).collect();
        let ties = group.all_ties();
        let ties = ties.iter().map(|(_, old)| number(*old, true, &mut self.values)).collect();
        uses.iter().for_each(|value| self.values[*value].users.push(node));
        let loads = group.insts.iter().any(|inst| inst.mem().is_some_and(|mem| mem.access == Access::Load));
        let late = group.insts.len() > 1;
        self.nodes.push(Node { uses, defs, ties, loads, late, ..Node::default() });
    }

    /// Values come before their uses; a register is written over when those who read it before have done so.
    fn order_values(&mut self, groups: &[Group]) {
        let mut defined_by: BTreeMap<ValueId, NodeId> = BTreeMap::new();
        for node in 0..self.nodes.len() {
            for value in self.nodes[node].uses.clone() {
                if let Some(before) = defined_by.get(&value) {
                    self.order(*before, node);
                }
            }
            for value in self.nodes[node].ties.clone() {
                let earlier: Vec<NodeId> =
                    self.values[value].users.iter().copied().filter(|user| *user < node).collect();
                earlier.into_iter().for_each(|user| self.order(user, node));
            }
            for value in &self.nodes[node].defs {
                defined_by.insert(*value, node);
            }
        }
        // What is there at the start stays at the start; register lists keep their order, as they share registers.
        let mut last_fixed = None;
        for (node, group) in groups.iter().enumerate() {
            if group.insts.is_empty() {
                (node + 1..groups.len()).for_each(|behind| self.order(node, behind));
            } else if !group.fixed.is_empty() {
                if let Some(before) = last_fixed {
                    self.order(before, node);
                }
                last_fixed = Some(node);
            }
        }
    }

    fn order_memory(&mut self, groups: &[Group]) {
        let mut earlier: Vec<(NodeId, Transfer)> = Vec::new();
        for (node, group) in groups.iter().enumerate() {
            let Some(now) = group.transfer() else { continue };
            for (before, _) in earlier.iter().filter(|(_, before)| before.may_meet(&now)) {
                self.order(*before, node);
            }
            earlier.push((node, now));
        }
    }

    /// The flags that the end of the block reads are set last.
    fn order_flags(&mut self, block: &Block) {
        let End::Branch(..) = block.end else { return };
        let sets = |group: &Group| group.insts.iter().any(|inst| inst.effects().sets_flags);
        let Some(decides) = block.groups.iter().rposition(sets) else { return };
        let touches = |group: &Group| {
            group.insts.iter().any(|inst| inst.effects().sets_flags || inst.effects().reads_flags)
        };
        for (node, _) in block.groups[..decides].iter().enumerate().filter(|(_, group)| touches(group)) {
            self.order(node, decides);
        }
        for (node, _) in block.groups.iter().enumerate().skip(decides + 1).filter(|(_, group)| touches(group))
        {
            self.order(decides, node);
        }
        self.decides = Some(decides);
    }

    fn order(&mut self, before: NodeId, behind: NodeId) {
        self.nodes[behind].before.push(before);
    }

    fn finish(&mut self, params: &[Reg], parked: &BTreeSet<Reg>) {
        for value in &mut self.values {
            let (first, last) = (value.users.first().copied(), value.users.last().copied());
            let is_parked = parked.contains(&value.reg);
            if is_parked {
                value.far = FAR_PARKED;
            }
            value.waits_before = value.lives_in && first.is_some_and(|first| first >= value.far);
            value.waits_behind = value.lives_out
                && (is_parked || value.lives_in && !params.contains(&value.reg))
                && last.map_or(is_parked, |last| last + value.far < self.nodes.len());
        }
        for node in 0..self.nodes.len() {
            let before = &mut self.nodes[node].before;
            before.sort_unstable();
            before.dedup();
            for at in before.clone() {
                self.nodes[at].behind.push(node);
            }
        }
    }
}
