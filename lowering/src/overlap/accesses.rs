//! Ticks of a nest: its loads and stores, those put together whose order among each other does not matter.
//!
//! Loops in which nothing is written are one tick, and those in which nothing is read: the order is as fine as the answer
//! needs it. Where it is not known what a load touches, it is taken for more; what a store touches has to be known.

use ir::loops::{Access, BufferId, Expr, Index, Loop, Nest, Reduce, Stmt, VarId};

use super::order::{Node, Sweep};

/// Positions of one access within one tick that are worked out, at most.
const MAX_POSITIONS: u64 = 1 << 20;

/// A load or store of one statement.
pub struct Touch {
    /// The buffer.
    pub buffer: BufferId,
    /// Whether it is a store.
    pub stores: bool,
    /// Where it begins, in bytes.
    pub at: Index,
    /// How many bytes it touches.
    pub bytes: i64,
    /// The loops of the same tick that move it.
    loops: Vec<(VarId, u32)>,
}

/// The ticks of a nest in their order, and the loops around several; `None` where that takes too long.
pub fn ticks(nest: &Nest) -> Option<Vec<Node<Sweep>>> {
    sweeps(nest, steps(nest, &nest.body))
}

/// The steps of a block. Loops around a single tick are part of it.
fn steps(nest: &Nest, block: &[Stmt]) -> Vec<Node<Touch>> {
    let mut nodes = Vec::new();
    for stmt in block {
        match stmt {
            Stmt::For(l, body) => push(&mut nodes, looped(std::slice::from_ref(l), steps(nest, body))),
            Stmt::Reduce(Reduce { loops, init, update, finish, .. }) => {
                push(&mut nodes, steps(nest, init));
                push(&mut nodes, looped(loops, steps(nest, update)));
                push(&mut nodes, steps(nest, finish));
            }
            Stmt::Let(_, value) | Stmt::Set(_, _, value) => push(&mut nodes, vec![loads(nest, value)]),
            Stmt::Store(to, value) => {
                push(&mut nodes, vec![loads(nest, value), Node::Tick(vec![touch(nest, to, true)])]);
            }
        }
    }
    nodes
}

/// Appends steps; those of one kind become one tick, and no order among them is known any more.
fn push(nodes: &mut Vec<Node<Touch>>, more: Vec<Node<Touch>>) {
    for node in more {
        match (nodes.last_mut(), node) {
            (_, Node::Tick(touches)) if touches.is_empty() => {}
            (Some(Node::Tick(last)), Node::Tick(touches)) if last[0].stores == touches[0].stores => {
                last.extend(touches);
            }
            (_, node) => nodes.push(node),
        }
    }
}

fn looped(loops: &[Loop], mut body: Vec<Node<Touch>>) -> Vec<Node<Touch>> {
    for l in loops.iter().rev() {
        match &mut body[..] {
            [] => {}
            [Node::Tick(touches)] => touches.iter_mut().for_each(|touch| touch.move_by(l)),
            _ => body = vec![Node::For(l.var, l.extent, body)],
        }
    }
    body
}

fn loads(nest: &Nest, value: &Expr) -> Node<Touch> {
    let mut touches = Vec::new();
    collect(nest, value, &mut touches);
    Node::Tick(touches)
}

/// Appends the loads of a value.
pub fn collect(nest: &Nest, value: &Expr, touches: &mut Vec<Touch>) {
    match value {
        Expr::Load(access) if !nest.buffers[access.buffer.idx()].is_const() => {
            touches.push(touch(nest, access, false));
        }
        Expr::Lookup(buffer, at) => {
            collect(nest, at, touches);
            let data = &nest.buffers[buffer.idx()];
            if !data.is_const() {
                let (at, bytes) = (Index::constant(0), data.bytes() as i64);
                touches.push(Touch { buffer: *buffer, stores: false, at, bytes, loops: Vec::new() });
            }
        }
        Expr::Op { args, .. } => args.iter().for_each(|arg| collect(nest, arg, touches)),
        Expr::Load(_) | Expr::Int(..) | Expr::Index(_) | Expr::Local(..) => {}
    }
}

/// A load or store that no loop moves so far.
pub fn touch(nest: &Nest, access: &Access, stores: bool) -> Touch {
    let buffer = &nest.buffers[access.buffer.idx()];
    let at = buffer.map.position(&access.index).scale(buffer.elem.bytes() as i64);
    Touch { buffer: access.buffer, stores, at, bytes: access.ty.bytes() as i64, loops: Vec::new() }
}

impl Touch {
    fn move_by(&mut self, l: &Loop) {
        if vars(&self.at).contains(&l.var) {
            self.loops.push((l.var, l.extent));
        }
    }

    /// What the loops around the tick decide, and what those of the tick do; `None` where an atom depends on both.
    fn split(&self) -> Option<(Index, Index)> {
        let (mut base, mut own) = (Index::constant(0), Index::constant(self.at.constant));
        for (coefficient, atom) in &self.at.terms {
            let term = Index { terms: vec![(*coefficient, atom.clone())], constant: 0 };
            let is_own = |var: &VarId| self.loops.iter().any(|(own, _)| own == var);
            let vars = vars(&term);
            match vars.iter().filter(|var| is_own(var)).count() {
                0 => base = base.add(&term),
                all if all == vars.len() => own = own.add(&term),
                _ => return None,
            }
        }
        Some((base, own))
    }
}

fn vars(index: &Index) -> Vec<VarId> {
    let mut vars = Vec::new();
    index.vars(&mut vars);
    vars
}

/// The steps with the bytes that they touch; `None` where that takes too long.
fn sweeps(nest: &Nest, nodes: Vec<Node<Touch>>) -> Option<Vec<Node<Sweep>>> {
    let mut all = Vec::new();
    for node in nodes {
        match node {
            Node::For(var, extent, body) => all.push(Node::For(var, extent, sweeps(nest, body)?)),
            Node::Tick(touches) => all.push(tick(nest, touches)?),
        }
    }
    Some(all)
}

fn tick(nest: &Nest, touches: Vec<Touch>) -> Option<Node<Sweep>> {
    let mut sweeps: Vec<Sweep> = Vec::new();
    for mut touch in touches {
        let Some((base, own)) = touch.split() else {
            // All that it can be, whatever the loops around are at: more than it touches, which is safe.
            let all = nest.buffers[touch.buffer.idx()].bytes() as i64;
            touch = Touch { at: Index::constant(0), bytes: all, loops: Vec::new(), ..touch };
            if touch.stores {
                return None; // A store too many is not safe.
            }
            sweeps.push(Sweep::new(touch.buffer, false, touch.at, vec![(0, all)]));
            continue;
        };
        let found = runs(&own, &touch.loops, touch.bytes)?;
        let is_alike =
            |s: &&mut Sweep| s.buffer == touch.buffer && s.stores == touch.stores && s.base == base;
        match sweeps.iter_mut().find(is_alike) {
            Some(sweep) => sweep.runs.extend(found),
            None => sweeps.push(Sweep::new(touch.buffer, touch.stores, base, found)),
        }
    }
    sweeps.iter_mut().for_each(|sweep| join(&mut sweep.runs));
    Some(Node::Tick(sweeps))
}

/// The bytes that an access touches while loops run.
fn runs(at: &Index, loops: &[(VarId, u32)], bytes: i64) -> Option<Vec<(i64, i64)>> {
    let positions: u64 = loops.iter().map(|(_, extent)| u64::from(*extent)).product();
    if positions > MAX_POSITIONS {
        return None;
    }
    let mut found: Vec<(i64, i64)> = Vec::new();
    for number in 0..positions {
        let value = |var: VarId| {
            let mut rest = number;
            for (own, extent) in loops {
                if *own == var {
                    return (rest % u64::from(*extent)) as i64;
                }
                rest /= u64::from(*extent);
            }
            0
        };
        let start = at.eval(&value);
        match found.last_mut() {
            Some(last) if last.1 == start => last.1 += bytes,
            _ => found.push((start, start + bytes)),
        }
    }
    join(&mut found);
    Some(found)
}

/// Makes one of intervals that touch each other.
fn join(runs: &mut Vec<(i64, i64)>) {
    runs.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for run in runs.drain(..) {
        match joined.last_mut() {
            Some(last) if run.0 <= last.1 => last.1 = last.1.max(run.1),
            _ => joined.push(run),
        }
    }
    *runs = joined;
}
