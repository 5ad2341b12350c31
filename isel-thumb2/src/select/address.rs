//! Addresses: streams of accesses that share a pointer.
//!
//! The byte offset of an access is `constant + Σ coefficient * atom`. Accesses of one buffer with the same terms form a
//! stream: one pointer, and immediate offsets. A pointer exists at each loop for the terms that the loops entered so
//! far decide; entering a loop turns it into a carried pointer that moves by the coefficient of the loop's variable.

use std::collections::{BTreeMap, BTreeSet};

use ir::loops::{Access, Atom, BufferId, Index, Local, LocalId, Loop, Stmt, VarId};
use ir::loops::{Expr, Reduce};

use super::constants::Together;
use super::members::{Members, Num};

/// Offsets within a stream are below this, so that a double word and a 12-bit immediate fit.
pub(super) const REACH: i64 = 4088;

/// What a pointer points at: a buffer, the terms that are decided, and where its window of offsets begins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stream {
    /// The buffer; of constants that lie together the first.
    pub buffer: BufferId,
    /// Coefficients in bytes with their atoms, over the variables of loops that are emitted as loops.
    pub terms: Vec<(Num, Atom)>,
    /// First byte of the window.
    pub window: Num,
}

/// What is known of a loop variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Var {
    /// Unrolled: this iteration.
    Is(i64),
    /// A loop that has been entered, by depth from 0.
    Entered(usize),
    /// A loop further in.
    Ahead,
}

/// The loop variables in scope.
pub type Vars = BTreeMap<VarId, Var>;

/// How often the code of a loop body uses a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Accesses in the body itself, unrolled loops repeated.
    pub direct: u32,
    /// Accesses in loops within.
    pub inner: u32,
}

impl Stream {
    /// The start of a buffer.
    pub fn start(buffer: BufferId) -> Self {
        Stream { buffer, terms: Vec::new(), window: Num::All(0) }
    }

    /// The stream of an access and its offset in it.
    ///
    /// What members of a group have at different distances gets pointers of its own: an offset is the same for all.
    pub fn of(members: &Members, access: &Access, vars: &Vars, together: &Together) -> (Stream, i64) {
        let (terms, constant) = members.position(access, vars, together);
        let (buffer, distance) = together.place(access.buffer);
        let constant = constant.plus(distance);
        let offset = constant.of(0).rem_euclid(REACH);
        (Stream { buffer, terms, window: constant.plus(-offset) }, offset)
    }

    /// The part that the loops up to `depth` (not included) decide.
    pub fn within(&self, depth: usize, vars: &Vars) -> Stream {
        self.filtered(|at| at.is_some_and(|at| at < depth), vars)
    }

    /// Whether the pointer to another stream is this one's and a parameter.
    pub fn is_sibling(&self, other: &Stream) -> bool {
        let is_parameter = || self.window.minus(&other.window).common().is_none();
        self.buffer == other.buffer && self.terms == other.terms && is_parameter()
    }

    /// Whether a loop that is still ahead has a part in it.
    pub fn is_decided(&self, vars: &Vars) -> bool {
        self.terms.iter().all(|(_, atom)| deepest(atom, vars).is_some())
    }

    /// The terms that the loop at `depth` decides.
    pub fn terms_at(&self, depth: usize, vars: &Vars) -> Vec<(Num, Atom)> {
        self.terms.iter().filter(|(_, atom)| deepest(atom, vars) == Some(depth)).cloned().collect()
    }

    fn filtered(&self, keep: impl Fn(Option<usize>) -> bool, vars: &Vars) -> Stream {
        let terms = self.terms.iter().filter(|(_, atom)| keep(deepest(atom, vars))).cloned().collect();
        Stream { terms, ..self.clone() }
    }
}

/// The index with unrolled variables replaced by their values.
pub fn fold(index: &Index, vars: &Vars) -> Index {
    if index.is_affine() {
        return fold_affine(index, vars);
    }
    index.substitute(&|var| match vars.get(&var) {
        Some(Var::Is(value)) => Index::constant(*value),
        _ => Index::var(var),
    })
}

fn fold_affine(index: &Index, vars: &Vars) -> Index {
    let mut folded = Index::constant(index.constant);
    for (coefficient, atom) in &index.terms {
        match atom {
            Atom::Var(var) if let Some(Var::Is(value)) = vars.get(var) => {
                folded.constant += coefficient * value
            }
            _ => folded.terms.push((*coefficient, atom.clone())), // In the same order.
        }
    }
    folded
}

/// The position in a block of registers that an index names; `None` where it varies in a loop that is not unrolled.
pub fn element(local: &Local, index: &[Index], vars: &Vars) -> Option<usize> {
    index.iter().zip(&local.shape).try_fold(0, |at, (index, extent)| {
        Some(at * *extent as usize + fold(index, vars).as_constant()? as usize)
    })
}

/// The depth of the innermost loop that decides the atom, `None` if one is still ahead.
fn deepest(atom: &Atom, vars: &Vars) -> Option<usize> {
    let mut found = Vec::new();
    Index { terms: vec![(1, atom.clone())], constant: 0 }.vars(&mut found);
    let depth = |var: &VarId| match vars.get(var) {
        Some(Var::Entered(depth)) => Some(*depth),
        _ => None,
    };
    found.iter().map(depth).collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// Loops that are still to be emitted around statements.
#[derive(Clone, Copy)]
pub struct Body<'a> {
    /// From the outermost on.
    pub loops: &'a [Loop],
    /// What they repeat.
    pub stmts: &'a [Stmt],
}

/// Everything that the code of a loop body touches, found before it is emitted.
#[derive(Default)]
pub struct Survey {
    /// Streams with their uses.
    pub streams: BTreeMap<Stream, Uses>,
    /// Variables whose value is needed as a number.
    pub indices: Vec<VarId>,
    /// What gets a new value of carried locals: elements by local and position in it.
    pub sets: BTreeSet<(LocalId, usize)>,
    /// Buffers that are looked into at computed positions.
    pub lookups: BTreeMap<BufferId, Uses>,
    /// Whether there are loops within.
    pub has_loops: bool,
}

/// Surveys a body whose own loops have the state that `vars` gives.
pub fn survey(members: &Members, body: Body, vars: &Vars, together: &Together) -> Survey {
    let mut walk = Walk { members, together, vars: vars.clone(), inner: 0, found: Survey::default() };
    walk.loops(body.loops, &mut |walk| walk.stmts(body.stmts));
    // In an innermost loop each keeps a pointer of its own, which steps for nothing.
    if walk.found.has_loops || body.loops.is_empty() {
        walk.found.merge_windows();
    }
    walk.found
}

impl Survey {
    /// Streams that differ in their windows alone, and that by member, become the one with the first window: the pointers to the others follow
    /// from its pointer by additions, instead of each being moved by all loops around.
    fn merge_windows(&mut self) {
        let mut merged: BTreeMap<Stream, Uses> = BTreeMap::new();
        for (stream, uses) in std::mem::take(&mut self.streams) {
            let is_sibling = |have: &&Stream| have.is_sibling(&stream);
            let first = merged.keys().find(is_sibling).cloned().unwrap_or(stream);
            let entry = merged.entry(first).or_default();
            entry.direct += uses.direct;
            entry.inner += uses.inner;
        }
        self.streams = merged;
    }
}

struct Walk<'a> {
    members: &'a Members<'a>,
    together: &'a Together,
    vars: Vars,
    /// How many loops that will be loops the walk is in.
    inner: usize,
    found: Survey,
}

impl Walk<'_> {
    fn loops(&mut self, loops: &[Loop], then: &mut dyn FnMut(&mut Self)) {
        let Some((first, rest)) = loops.split_first() else { return then(self) };
        if self.members.is_repeated(first) {
            for value in 0..first.extent {
                self.vars.insert(first.var, Var::Is(i64::from(value)));
                self.loops(rest, then);
            }
        } else {
            self.vars.insert(first.var, Var::Ahead);
            self.found.has_loops = true;
            self.inner += 1;
            self.loops(rest, then);
            self.inner -= 1;
        }
        self.vars.remove(&first.var);
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::For(around, body) => {
                    self.loops(std::slice::from_ref(around), &mut |walk| walk.stmts(body));
                }
                Stmt::Reduce(reduce) => self.reduce(reduce),
                Stmt::Let(_, value) => self.expr(value),
                Stmt::Set(local, index, value) => {
                    // Where the index varies selection says so.
                    let at = element(&self.members.nest().locals[local.idx()], index, &self.vars);
                    self.found.sets.extend(at.map(|at| (*local, at)));
                    self.expr(value);
                }
                Stmt::Store(access, value) => {
                    self.expr(value);
                    self.access(access);
                }
            }
        }
    }

    fn reduce(&mut self, reduce: &Reduce) {
        self.stmts(&reduce.init);
        self.loops(&reduce.loops, &mut |walk| walk.stmts(&reduce.update));
        self.stmts(&reduce.finish);
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Int(..) | Expr::Local(..) => {}
            Expr::Index(_) => {
                for (_, atom) in self.members.index(expr, &self.vars).0 {
                    Index { terms: vec![(1, atom)], constant: 0 }.vars(&mut self.found.indices);
                }
            }
            Expr::Load(access) => self.access(access),
            Expr::Lookup(buffer, at) => {
                count(self.found.lookups.entry(*buffer).or_default(), self.inner);
                self.expr(at);
            }
            Expr::Op { args, .. } => args.iter().for_each(|arg| self.expr(arg)),
        }
    }

    fn access(&mut self, access: &Access) {
        let (stream, _) = Stream::of(self.members, access, &self.vars, self.together);
        for (_, atom) in &stream.terms {
            if let Atom::Div(inner, _) | Atom::Mod(inner, _) = atom {
                inner.vars(&mut self.found.indices);
            }
        }
        count(self.found.streams.entry(stream).or_default(), self.inner);
    }
}

fn count(uses: &mut Uses, inner: usize) {
    if inner == 0 { uses.direct += 1 } else { uses.inner += 1 }
}
