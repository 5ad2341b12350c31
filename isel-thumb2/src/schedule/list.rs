//! Puts the groups of a block into an order, one after the other, by the core's timing and the registers that are left.
//!
//! A group that needs no further register is a *step*; one that does, most often a load, is a *start*. Starts are made
//! for an aim: the live value whose last uses need the fewest registers and groups before they can run. So what is loaded
//! is used up before more is loaded, in whatever order the nest was unrolled.

use super::graph::{Graph, NodeId, ValueId};
use super::pressure::{Effect, Pressure};
use crate::cores::{Core, Machine};
use crate::mir::Block;

/// What the scheduler strives for. All obey the same orders and limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Loads stand together, then everything that they allow runs: for cores where a load behind another is cheaper.
    Grouped,
    /// Whatever the core is done with soonest comes next: for cores that run two instructions at a time.
    Soonest,
}

/// The most values that are looked at as aims, the most groups before one is given up, and the most candidates that the
/// core tries. They bound the time that a long block takes.
const MOST_AIMS: usize = 16;
const LONGEST_AIM: usize = 40;
const MOST_TRIED: usize = 6;
/// What decides where the block goes on waits until so few groups are left.
const LAST: usize = 4;

/// An order of the groups of a block.
#[derive(Clone, Debug)]
pub struct Ordered {
    /// All groups.
    pub nodes: Vec<NodeId>,
    /// Whether the limit has kept a group back; where it has not, every higher one leads to the same order.
    pub is_limited: bool,
}

impl Ordered {
    /// The order of the block.
    pub fn as_they_are(n_groups: usize) -> Self {
        Self { nodes: (0..n_groups).collect(), is_limited: false }
    }
}

/// An order for a block in which no more than `limit` values are in registers, where there is one to be found.
pub fn order(graph: &Graph, block: &Block, core: &dyn Core, style: Style, limit: u32) -> Ordered {
    let mut list = List::new(graph, block, core, limit);
    while list.order.len() < graph.nodes.len() {
        let next = match style {
            Style::Grouped => list.next_grouped(),
            Style::Soonest => list.next_soonest(),
        };
        list.run(next);
    }
    Ordered { nodes: list.order, is_limited: list.is_limited }
}

struct List<'a> {
    graph: &'a Graph,
    block: &'a Block,
    limit: u32,
    is_limited: bool,
    machine: Box<dyn Machine>,
    pressure: Pressure,
    /// Groups before each that have not run.
    waits: Vec<usize>,
    done: Vec<bool>,
    ready: Vec<NodeId>,
    order: Vec<NodeId>,
    /// The first user of each value that may not have run.
    next_user: Vec<usize>,
    /// The mark of those groups that the search for an aim has seen.
    seen: Vec<u32>,
    mark: u32,
}

/// A group that could come next.
#[derive(Clone, Copy)]
struct Candidate {
    node: NodeId,
    effect: Effect,
}

impl<'a> List<'a> {
    fn new(graph: &'a Graph, block: &'a Block, core: &dyn Core, limit: u32) -> Self {
        let waits: Vec<usize> = graph.nodes.iter().map(|node| node.before.len()).collect();
        let ready = (0..waits.len()).filter(|node| waits[*node] == 0).collect();
        Self {
            graph,
            block,
            limit,
            is_limited: false,
            machine: core.machine(),
            pressure: Pressure::new(graph),
            waits,
            done: vec![false; graph.nodes.len()],
            ready,
            order: Vec::new(),
            next_user: vec![0; graph.values.len()],
            seen: vec![0; graph.nodes.len()],
            mark: 0,
        }
    }

    fn run(&mut self, node: NodeId) {
        issue(&mut *self.machine, self.block, node);
        self.pressure.run(self.graph, node);
        self.done[node] = true;
        self.order.push(node);
        self.ready.retain(|other| *other != node);
        for behind in &self.graph.nodes[node].behind {
            self.waits[*behind] -= 1;
            if self.waits[*behind] == 0 {
                self.ready.push(*behind);
            }
        }
        self.ready.sort_unstable();
        for value in &self.graph.nodes[node].uses {
            let users = &self.graph.values[*value].users;
            while users.get(self.next_user[*value]).is_some_and(|user| self.done[*user]) {
                self.next_user[*value] += 1;
            }
        }
    }

    /// Those that may run now, and whether each is a step.
    fn candidates(&self) -> (Vec<Candidate>, Vec<Candidate>) {
        let last = self.order.len() + LAST >= self.graph.nodes.len();
        let now = self.ready.iter().filter(|node| last || self.graph.decides != Some(**node));
        let now: Vec<NodeId> = now.copied().collect();
        let now = if now.is_empty() { self.ready.clone() } else { now };
        let candidate = |node: NodeId| Candidate { node, effect: self.pressure.effect(self.graph, node) };
        now.into_iter().map(candidate).partition(|candidate| candidate.effect.net <= 0)
    }

    /// Those for which there are registers.
    fn fitting(&mut self, starts: &[Candidate]) -> Vec<Candidate> {
        let n_live = self.pressure.n_live();
        let fits = |start: &Candidate| n_live.saturating_add_signed(start.effect.peak) <= self.limit;
        let fitting: Vec<Candidate> = starts.iter().copied().filter(fits).collect();
        self.is_limited |= fitting.len() < starts.len();
        fitting
    }

    fn loads(&self, candidate: &Candidate) -> bool {
        self.graph.nodes[candidate.node].loads
    }

    fn next_grouped(&mut self) -> NodeId {
        let (mut steps, starts) = self.candidates();
        let after_load = self.order.last().is_some_and(|last| self.graph.nodes[*last].loads);
        let fitting = self.fitting(&starts);
        if after_load {
            let loads = steps.iter().chain(&fitting).copied();
            let loads: Vec<Candidate> = loads.filter(|candidate| self.loads(candidate)).collect();
            if let Some(next) = self.nearest(&loads) {
                return next;
            }
        }
        // A load that needs no further register is put off until others go with it.
        if steps.iter().any(|step| !self.loads(step)) {
            steps.retain(|step| !self.graph.nodes[step.node].loads);
        }
        steps.sort_by_key(|step| (step.effect.net, step.node));
        steps.truncate(MOST_TRIED);
        let step = steps.iter().min_by_key(|step| (step.effect.net, self.ticks(step.node), step.node));
        if let Some(step) = step {
            return step.node;
        }
        self.nearest(&fitting).unwrap_or_else(|| self.least(&starts))
    }

    fn next_soonest(&mut self) -> NodeId {
        let (mut steps, starts) = self.candidates();
        let fitting = self.fitting(&starts);
        steps.sort_by_key(|step| (step.effect.net, step.node));
        steps.truncate(MOST_TRIED);
        let mut tried: Vec<NodeId> = steps.iter().map(|step| step.node).collect();
        tried.extend(self.nearest(&fitting));
        let soonest = tried.iter().enumerate().min_by_key(|(rank, node)| (self.ticks(**node), *rank));
        soonest.map(|(_, node)| *node).unwrap_or_else(|| self.least(&starts))
    }

    /// Where nothing fits: what needs the fewest registers.
    fn least(&self, starts: &[Candidate]) -> NodeId {
        let least = starts.iter().min_by_key(|start| (start.effect.net, start.node));
        least.expect("a graph has no circles, so something can run").node
    }

    /// The time at which the core has issued a group.
    fn ticks(&self, node: NodeId) -> u64 {
        let mut machine = self.machine.fork();
        issue(&mut *machine, self.block, node);
        machine.ticks()
    }

    /// The candidate that the best aim needs, the first in the block where several do.
    fn nearest(&mut self, candidates: &[Candidate]) -> Option<NodeId> {
        if candidates.len() < 2 {
            return candidates.first().map(|candidate| candidate.node);
        }
        let mut best: Option<((i32, usize), NodeId)> = None;
        for value in self.aims() {
            let Some(needed) = self.needed_for(value) else { continue };
            let Some(start) = candidates.iter().find(|start| needed.contains(&start.node)) else { continue };
            let price = (self.pressure.net_of(self.graph, &needed), needed.len());
            if best.is_none_or(|(have, _)| price < have) {
                best = Some((price, start.node));
            }
        }
        best.map(|(_, node)| node).or_else(|| candidates.first().map(|candidate| candidate.node))
    }

    /// Live values, those that are read soonest in the order of the block first.
    fn aims(&self) -> Vec<ValueId> {
        let live = (0..self.graph.values.len()).filter(|value| self.pressure.is_live(*value));
        let next = |value: ValueId| self.graph.values[value].users.get(self.next_user[value]).copied();
        let mut aims: Vec<(NodeId, ValueId)> = live.filter_map(|value| Some((next(value)?, value))).collect();
        aims.sort_unstable();
        aims.truncate(MOST_AIMS);
        aims.into_iter().map(|(_, value)| value).collect()
    }

    /// All groups that must run for the last use of a value, itself among them; none if they are too many.
    fn needed_for(&mut self, value: ValueId) -> Option<Vec<NodeId>> {
        self.mark += 1;
        let mut needed: Vec<NodeId> = Vec::new();
        let left = self.graph.values[value].users[self.next_user[value]..].iter();
        let mut stack: Vec<NodeId> = left.copied().filter(|user| !self.done[*user]).collect();
        while let Some(node) = stack.pop() {
            if std::mem::replace(&mut self.seen[node], self.mark) == self.mark {
                continue;
            }
            needed.push(node);
            if needed.len() > LONGEST_AIM {
                return None;
            }
            stack.extend(self.graph.nodes[node].before.iter().filter(|before| !self.done[**before]));
        }
        Some(needed)
    }
}

fn issue(machine: &mut dyn Machine, block: &Block, node: NodeId) {
    let group = &block.groups[node];
    for inst in &group.insts {
        let touched = group.touched.as_ref().filter(|_| inst.mem().is_some());
        machine.issue(inst, touched.map(|touched| &touched.address));
    }
}
