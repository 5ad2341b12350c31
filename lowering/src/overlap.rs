//! How far the buffers of a layer may lie on each other: when each byte is touched for the last and for the first time.
//!
//! ```text
//! for p in 0..4 { for n in 0..2 { … y[p, n] = … x[p, k] … } }    // x: i8[4, 3], y: i8[4, 2]
//! => y may begin where x does, or anywhere before: what it writes over has been read by then
//! ```
//!
//! The statements of a nest are walked in their order with a clock. Where `d` is the distance from the start of `x` to the
//! start of `y`, both may share memory if every byte that they have in common is left by `x` before `y` writes it. That is
//! all that code needs which keeps the order of accesses to one address.
//!
//! Loops in which nothing is written are one tick, and those in which nothing is read: the clock is as fine as the answer
//! needs it. A nest that takes more steps than a limit has no answer, and its buffers lie apart.

use std::collections::BTreeMap;

use ir::loops::{Access, Atom, BufferId, Expr, Index, Loop, Nest, Reduce, Stmt, VarId};

/// Intervals of bytes that a walk may mark, after which it gives up: some tens of milliseconds.
const MAX_MARKS: usize = 4_000_000;
/// Positions of one access within one tick that are worked out, at most.
const MAX_POSITIONS: u64 = 1 << 20;
/// No tick: the byte is never touched.
const NEVER: u32 = u32::MAX;

/// The distances at which one buffer may lie on another, in bytes from the start of the one that is left to the start of
/// the one that comes to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distances {
    /// All up to this one.
    pub up_to: i64,
    /// All from this one on.
    pub from: i64,
    /// These between both.
    pub single: Vec<i64>,
}

/// All that decides when the bytes of a nest's parameters and scratch are touched: many drafts of a layer differ in other things.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    /// Loops are numbered as they occur, buffers among those that are no constants.
    nodes: Vec<Node<Sweep>>,
    /// Bytes of each of these buffers.
    bytes: Vec<usize>,
    n_vars: usize,
}

/// When the bytes of a buffer are touched. So many of them as all accesses begin and end at multiples of are one grain.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Touches {
    /// Bytes of a grain.
    grain: usize,
    grains: usize,
    /// By grain: the first store; nothing where nobody asks.
    first_store: Vec<u32>,
    /// By grain: the tick behind the last load or store; nothing where nobody asks.
    left: Vec<u32>,
}

/// What is kept of when the bytes of a buffer are touched.
#[derive(Clone, Copy)]
struct Kept {
    first_store: bool,
    left: bool,
}

/// Bytes of a buffer and ticks that ascend with them: of all bytes those that say where it may lie.
type Profile = Vec<(i64, u32)>;

/// Both profiles of a buffer: from its first byte on, and from its last one on in a mirror.
struct Profiles([Profile; 2]);

impl Distances {
    /// Where two buffers of these sizes have no byte in common.
    pub fn apart(left: i64, comes: i64) -> Self {
        Distances { up_to: -comes, from: left, single: Vec::new() }
    }

    /// Whether this distance is one of them.
    pub fn allow(&self, distance: i64) -> bool {
        distance <= self.up_to || distance >= self.from || self.single.contains(&distance)
    }
}

impl Order {
    /// That of a nest; `None` where it takes too long to find out.
    pub fn of(nest: &Nest) -> Option<Self> {
        let mut vars = BTreeMap::new();
        let mut numbered = |node: Node<Sweep>| node.numbered(nest, &mut vars);
        let nodes = sweeps(nest, steps(nest, &nest.body))?.into_iter().map(&mut numbered).collect();
        let touched = nest.buffers.iter().filter(|buffer| !buffer.is_const());
        let bytes = touched.map(|buffer| buffer.map.len() * buffer.elem.bytes()).collect();
        Some(Self { nodes, bytes, n_vars: vars.len() })
    }

    /// The distances at which the second buffer of each pair may lie on the first, by [`number`]; `None` where that takes too long to
    /// find out.
    pub fn distances(&self, pairs: &[(usize, usize)]) -> Option<Vec<Distances>> {
        let touches = Touches::of(self, |buffer| Kept {
            first_store: pairs.iter().any(|(_, comes)| *comes == buffer),
            left: pairs.iter().any(|(leaves, _)| *leaves == buffer),
        })?;
        let (mut left, mut stored) = (BTreeMap::new(), BTreeMap::new());
        let mut distances = |(leaves, comes): &(usize, usize)| {
            let leaves =
                (&touches[*leaves], &*left.entry(*leaves).or_insert_with(|| touches[*leaves].left()));
            let comes =
                (&touches[*comes], &*stored.entry(*comes).or_insert_with(|| touches[*comes].stored()));
            distances(leaves, comes)
        };
        Some(pairs.iter().map(&mut distances).collect())
    }

    /// Bytes of a buffer, by [`number`].
    pub fn bytes(&self, buffer: usize) -> u64 {
        self.bytes[buffer] as u64
    }
}

/// The number of a buffer among those of the nest that are no constants.
pub fn number(nest: &Nest, buffer: BufferId) -> usize {
    nest.buffers[..buffer.idx()].iter().filter(|buffer| !buffer.is_const()).count()
}

impl Touches {
    /// Those of each buffer as far as they are kept; `None` where that takes too long to find out.
    fn of(order: &Order, kept: impl Fn(usize) -> Kept) -> Option<Vec<Touches>> {
        let mut grains = order.bytes.clone();
        order.nodes.iter().for_each(|node| node.limit(&mut grains));
        let nodes: Vec<Node<Sweep>> = order.nodes.iter().map(|node| node.in_grains(&grains)).collect();
        let none = |buffer: usize| Touches::none(order.bytes[buffer], grains[buffer], kept(buffer));
        let touches = (0..grains.len()).map(none).collect();
        let mut walk = Walk { values: vec![0; order.n_vars], clock: 0, marks_left: MAX_MARKS, touches };
        walk.nodes(&nodes)?;
        Some(walk.touches)
    }

    /// Those of a buffer that nobody touches.
    fn none(bytes: usize, grain: usize, kept: Kept) -> Self {
        let grain = grain.max(1);
        let grains = bytes / grain;
        let ticks = |is_kept: bool, tick: u32| if is_kept { vec![tick; grains] } else { Vec::new() };
        Self { grain, grains, first_store: ticks(kept.first_store, NEVER), left: ticks(kept.left, 0) }
    }

    fn bytes(&self) -> i64 {
        (self.grains * self.grain) as i64
    }

    /// For how many of the first bytes the last of the ticks that they are left at is how late.
    fn left(&self) -> Profiles {
        Profiles([rises(self.grain, self.left.iter()), rises(self.grain, self.left.iter().rev())])
    }

    /// The bytes that are stored to before all behind them.
    fn stored(&self) -> Profiles {
        let mirrored = falls(self.grain, self.first_store.iter());
        let falls = falls(self.grain, self.first_store.iter().rev());
        let end = self.bytes() - 1;
        let from_first =
            |falls: Profile| falls.into_iter().rev().map(|(at, tick)| (end - at, tick)).collect();
        Profiles([falls, mirrored].map(from_first))
    }

    /// Whether every byte in common is left before it is written.
    fn is_free(&self, comes: &Touches, distance: i64) -> bool {
        let (mut at, to) = (distance.max(0), self.bytes().min(distance + comes.bytes()));
        let (ours, theirs) = (self.grain as i64, comes.grain as i64);
        while at < to {
            let (left, stored) = (at / ours, (at - distance) / theirs);
            if self.left[left as usize] > comes.first_store[stored as usize] {
                return false;
            }
            at = ((left + 1) * ours).min((stored + 1) * theirs + distance);
        }
        true
    }
}

/// The distances at which the second buffer may lie on the first.
fn distances((left, ends): (&Touches, &Profiles), (comes, starts): (&Touches, &Profiles)) -> Distances {
    let (n_left, n_comes) = (left.bytes(), comes.bytes());
    let [forward, mirrored] = [0, 1].map(|way| up_to(n_left, &ends.0[way], &starts.0[way]));
    let (up_to, from) = (forward, n_left - n_comes - mirrored);
    let mut single = vec![0, n_left - n_comes];
    single.dedup();
    single.retain(|distance| up_to < *distance && *distance < from && left.is_free(comes, *distance));
    Distances { up_to, from, single }
}

/// The first bytes of grains with a later tick than all before, each with that tick.
fn rises<'a>(grain: usize, ticks: impl Iterator<Item = &'a u32>) -> Profile {
    let mut latest = 0;
    let rise = |(at, tick): (i64, &u32)| {
        let rises = *tick > latest;
        latest = latest.max(*tick);
        rises.then_some((at * grain as i64, *tick))
    };
    (0..).zip(ticks).filter_map(rise).collect()
}

/// The first bytes of grains with an earlier tick than all before, each with that tick.
fn falls<'a>(grain: usize, ticks: impl Iterator<Item = &'a u32>) -> Profile {
    let mut earliest = NEVER;
    let fall = |(at, tick): (i64, &u32)| {
        let falls = *tick < earliest;
        earliest = earliest.min(*tick);
        falls.then_some((at * grain as i64, *tick))
    };
    (0..).zip(ticks).filter_map(fall).collect()
}

/// The greatest distance that is fine together with all smaller ones, of a buffer of so many bytes by when its first ones are left.
fn up_to(bytes: i64, left: &[(i64, u32)], stored: &[(i64, u32)]) -> i64 {
    let mut later = left.iter().peekable();
    let limit = |(at, tick): &(i64, u32)| {
        while later.next_if(|(_, left)| left <= tick).is_some() {}
        // Byte `at` may lie on those bytes that are left with all before them, and further back.
        later.peek().map(|(first, _)| first - 1 - at)
    };
    stored.iter().filter_map(limit).min().unwrap_or(bytes)
}

/// The greatest common divisor.
fn common_divisor(mut a: usize, mut b: usize) -> usize {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A step of the walk: statements that are one tick, or a loop around several.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Node<T> {
    For(VarId, u32, Vec<Node<T>>),
    Tick(Vec<T>),
}

/// A load or store.
struct Touch {
    buffer: BufferId,
    stores: bool,
    /// Where it begins, in bytes.
    at: Index,
    bytes: i64,
    /// The loops of the same tick that move it.
    loops: Vec<(VarId, u32)>,
}

/// A constant, and coefficients with the numbers of variables.
type Affine = (i64, Vec<(i64, usize)>);

/// Loads or stores of a tick that are moved alike by the loops around it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Sweep {
    buffer: BufferId,
    stores: bool,
    /// What the loops around the tick decide, in bytes.
    base: Index,
    /// The same where there is no `div` and no `mod`.
    affine: Option<Affine>,
    /// The bytes that are touched: first one, and one behind the last.
    runs: Vec<(i64, i64)>,
}

impl Sweep {
    fn new(buffer: BufferId, stores: bool, base: Index, runs: Vec<(i64, i64)>) -> Self {
        let term = |(by, atom): &(i64, Atom)| match atom {
            Atom::Var(var) => Some((*by, var.idx())),
            Atom::Div(..) | Atom::Mod(..) => None,
        };
        let affine = base.terms.iter().map(term).collect::<Option<_>>();
        let affine = affine.map(|terms| (base.constant, terms));
        Self { buffer, stores, base, affine, runs }
    }

    /// The same with places counted in grains that divide them.
    fn in_grains(&self, grain: usize) -> Self {
        let mut sweep = self.clone();
        let grain = grain.max(1) as i64;
        if let Some((constant, terms)) = &mut sweep.affine {
            *constant /= grain;
            terms.iter_mut().for_each(|(by, _)| *by /= grain);
        }
        sweep.runs.iter_mut().for_each(|(from, to)| (*from, *to) = (*from / grain, *to / grain));
        sweep
    }

    /// The greatest divisor of a grain at whose multiples all of it begins and ends.
    fn grain(&self, grain: usize) -> usize {
        let Some((constant, terms)) = &self.affine else { return 1 };
        let ends = self.runs.iter().flat_map(|(from, to)| [*from, *to]);
        let numbers = ends.chain([*constant]).chain(terms.iter().map(|(by, _)| *by));
        numbers.fold(grain, |grain, number| common_divisor(grain, number.unsigned_abs() as usize))
    }
}

impl Node<Sweep> {
    /// Makes the grains of the buffers so fine that all accesses begin and end at their multiples.
    fn limit(&self, grains: &mut [usize]) {
        match self {
            Node::For(_, _, body) => body.iter().for_each(|node| node.limit(grains)),
            Node::Tick(sweeps) => {
                for sweep in sweeps {
                    let grain = &mut grains[sweep.buffer.idx()];
                    *grain = sweep.grain(*grain);
                }
            }
        }
    }

    /// The same with places counted in grains.
    fn in_grains(&self, grains: &[usize]) -> Self {
        match self {
            Node::For(var, extent, body) => {
                Node::For(*var, *extent, body.iter().map(|node| node.in_grains(grains)).collect())
            }
            Node::Tick(sweeps) => {
                Node::Tick(sweeps.iter().map(|sweep| sweep.in_grains(grains[sweep.buffer.idx()])).collect())
            }
        }
    }

    /// The same with numbers that do not depend on what else the nest has.
    fn numbered(self, nest: &Nest, vars: &mut BTreeMap<VarId, VarId>) -> Self {
        match self {
            Node::For(var, extent, body) => {
                let next = VarId::new(vars.len());
                let var = *vars.entry(var).or_insert(next);
                Node::For(var, extent, body.into_iter().map(|node| node.numbered(nest, vars)).collect())
            }
            Node::Tick(sweeps) => {
                let numbered = |Sweep { buffer, stores, base, runs, .. }: Sweep| {
                    let base = base.substitute(&|var| Index::var(vars[&var]));
                    Sweep::new(BufferId::new(number(nest, buffer)), stores, base, runs)
                };
                let mut sweeps: Vec<Sweep> = sweeps.into_iter().map(numbered).collect();
                sweeps.sort(); // All at the same time.
                Node::Tick(sweeps)
            }
        }
    }
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

fn collect(nest: &Nest, value: &Expr, touches: &mut Vec<Touch>) {
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

fn touch(nest: &Nest, access: &Access, stores: bool) -> Touch {
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

/// The clock, and what it has seen.
struct Walk {
    /// By variable: where its loop is at.
    values: Vec<i64>,
    clock: u32,
    marks_left: usize,
    touches: Vec<Touches>,
}

impl Walk {
    fn nodes(&mut self, nodes: &[Node<Sweep>]) -> Option<()> {
        for node in nodes {
            match node {
                Node::For(var, extent, body) => {
                    for value in 0..*extent {
                        self.values[var.idx()] = value.into();
                        self.nodes(body)?;
                    }
                }
                Node::Tick(sweeps) => {
                    sweeps.iter().try_for_each(|sweep| self.mark(sweep))?;
                    self.clock += 1;
                }
            }
        }
        Some(())
    }

    fn mark(&mut self, sweep: &Sweep) -> Option<()> {
        self.marks_left = self.marks_left.checked_sub(sweep.runs.len())?;
        let base = match &sweep.affine {
            Some((constant, terms)) => {
                terms.iter().fold(*constant, |at, (by, var)| at + by * self.values[*var])
            }
            None => sweep.base.eval(&|var| self.values[var.idx()]),
        };
        let Touches { grains, first_store, left, .. } = &mut self.touches[sweep.buffer.idx()];
        if left.is_empty() && (first_store.is_empty() || !sweep.stores) {
            return Some(());
        }
        let end = *grains as i64;
        let grain = |at: i64| at.clamp(0, end) as usize;
        for (from, to) in &sweep.runs {
            let range = grain(base + from)..grain(base + to); // Loads may leave the buffer for junk.
            if !left.is_empty() {
                left[range.clone()].fill(self.clock + 1);
            }
            if sweep.stores && !first_store.is_empty() {
                first_store[range].iter_mut().for_each(|tick| *tick = (*tick).min(self.clock));
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use ir::loops::text::parse_nest;
    use proptest::prelude::*;

    use super::*;

    const ALL: Kept = Kept { first_store: true, left: true };

    /// The distances between `x`, which is read, and `y`, which is written.
    fn distances(text: &str) -> Distances {
        let nest = parse_nest(text).expect("a nest");
        let touches = touches(&nest);
        let named =
            |name: &str| nest.buffers.iter().position(|buffer| buffer.name == name).expect("it is there");
        distances_of(&touches[named("x")], &touches[named("y")])
    }

    #[test]
    fn pixel_by_pixel_a_result_follows_what_it_is_made_of() {
        // A sum first reads the whole pixel.
        let matrix = |k: u32, n: u32| {
            distances(&format!(
                "loops @f(x: i8[4, {k}], y: i8[4, {n}]) {{
                   for p in 0..4 {{
                     for n in 0..{n} {{
                       reduce a: i32 over k in 0..{k} {{
                         init {{ a = 0 }}
                         update {{ a = add a, sext(x[p, k]) }}
                         finish {{ y[p, n] = ssat a {{bits = 8, asr = 0}} }}
                       }}
                     }}
                   }}
                 }}"
            ))
        };
        // All channels but the last are written while the pixel is still read.
        assert_eq!(matrix(3, 2), Distances { up_to: -1, from: 12, single: vec![] });
        assert_eq!(matrix(3, 1), Distances { up_to: 2, from: 12, single: vec![] });
        // With more channels than before the last pixel decides.
        assert_eq!(matrix(2, 5), Distances { up_to: -13, from: 8, single: vec![] });
    }

    #[test]
    fn channel_by_channel_a_result_lies_where_its_channel_was() {
        let text = "loops @f(x: i8[2, 3], y: i8[2, 3]) {
          scratch s: i16[2]
          for c in 0..3 {
            for p in 0..2 { s[p] = sext x[p, c] }
            for p in 0..2 { y[p, c] = add s[0], s[p] }
          }
        }";
        // One pixel further back is as good as in place; one channel further back is not, for the first one.
        assert_eq!(distances(text), Distances { up_to: -3, from: 6, single: vec![0] });
    }

    #[test]
    fn what_is_read_again_is_not_left() {
        let text = "loops @f(x: i8[4], y: i8[4]) {
          for again in 0..2 { for i in 0..4 { y[i] = add sext(x[i]), sext(x[3]) } }
        }";
        assert_eq!(distances(text), Distances::apart(4, 4));
    }

    fn distances_of(left: &Touches, comes: &Touches) -> Distances {
        super::distances((left, &left.left()), (comes, &comes.stored()))
    }

    fn touches(nest: &Nest) -> Vec<Touches> {
        Order::of(nest).and_then(|order| Touches::of(&order, |_| ALL)).expect("it is short")
    }

    /// Every load and store with its time, one by one.
    fn traced(nest: &Nest) -> Vec<Touches> {
        let touches = nest.buffers.iter().map(|buffer| Touches::none(buffer.bytes(), 1, ALL)).collect();
        let mut walk = Walk { values: vec![0; nest.vars.len()], clock: 0, marks_left: usize::MAX, touches };
        trace(nest, &nest.body, &mut walk);
        walk.touches
    }

    fn trace(nest: &Nest, block: &[Stmt], walk: &mut Walk) {
        for stmt in block {
            match stmt {
                Stmt::For(l, body) => {
                    for value in 0..l.extent {
                        walk.values[l.var.idx()] = value.into();
                        trace(nest, body, walk);
                    }
                }
                Stmt::Store(to, value) => {
                    let mut touches = Vec::new();
                    collect(nest, value, &mut touches);
                    for touch in touches {
                        trace_one(&touch, walk);
                    }
                    trace_one(&touch(nest, to, true), walk);
                }
                _ => panic!("the nests of this test have loops and stores"),
            }
        }
    }

    fn trace_one(touch: &Touch, walk: &mut Walk) {
        let runs = vec![(0, touch.bytes)];
        let sweep = Sweep::new(touch.buffer, touch.stores, touch.at.clone(), runs);
        walk.mark(&sweep).expect("there is no limit");
        walk.clock += 1;
    }

    proptest! {
        /// The distances are those at which no byte is written before it is read for the last time.
        #[test]
        fn distances_are_those_at_which_nothing_is_lost(
            (outer, inner) in (1u32..4, 1u32..5),
            (rows, columns) in (-2i64..3, -2i64..3),
            (across, along) in (-2i64..3, 0i64..3),
            is_early in any::<bool>(),
            (bytes_read, bytes_written) in (0u32..2, 0u32..2),
        ) {
            let (read, written) = (1 << bytes_read, 1 << bytes_written);
            let (x, y) = (8 * read, 8 * written);
            let term = |by: i64, var: &str| format!("{} {}*{var}", if by < 0 { '-' } else { '+' }, by.abs());
            let at = |a: i64, b: i64| format!("12 {} {}", term(a, "i"), term(b, "j"));
            let (load, store) = (at(rows, columns), at(across, along));
            let staged = format!("for j in 0..{inner} {{ s[j] = x[{load}] }}");
            let text = format!(
                "loops @f(x: i{x}[32], y: i{y}[32]) {{
                   scratch s: i{x}[8]
                   {}
                   for i in 0..{outer} {{
                     {}
                     for j in 0..{inner} {{ y[{store}] = add sext(s[j]), sext(x[{load}]) }}
                   }}
                 }}",
                if is_early { "for j in 0..4 { y[j] = 7 }" } else { "" },
                if is_early { "" } else { &staged },
            );
            let nest = parse_nest(&text).expect("a nest");
            let (quick, slow) = (touches(&nest), traced(&nest));
            let found = distances_of(&quick[0], &quick[1]);
            let lost = |distance: i64| !slow[0].is_free(&slow[1], distance);
            for distance in -80..80 {
                prop_assert!(!found.allow(distance) || !lost(distance), "{distance}: {found:?}\n{text}");
            }
            prop_assert!(found.up_to == 32 * read || found.up_to >= found.from || lost(found.up_to + 1), "{found:?}\n{text}");
            prop_assert_eq!(found.allow(0), !lost(0));
        }
    }
}
