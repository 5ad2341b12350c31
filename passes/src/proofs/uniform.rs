//! Registers of a block that all hold the same as far as bounds go: one of them stands for all.
//!
//! ```text
//! for k in 0..64 {
//!   for p in 0..4 unroll { for n in 0..2 unroll { a[p, n] = add a[p, n], mul(x[p, k], w[n, k]) } }
//! }
//! ```
//!
//! What is loaded is bounded by its type, whatever `p` is, so the sums of all pixels have the same bounds: one iteration of `p` is
//! enough, with one register for each `n`. A dimension of a block is uniform if every access goes along it with the variable of one
//! loop around it, which runs through all of it, and these loops are uniform. A loop is uniform if its variable chooses no constant,
//! is no number, indexes uniform dimensions only, and if whatever its body gives a new value begins within or has such a dimension.

use std::collections::{BTreeMap, BTreeSet};

use ir::loops::{Atom, Expr, Index, LocalId, Loop, Nest, Stmt, VarId};

/// The uniform loops and dimensions of a nest.
#[derive(Debug, Default)]
pub struct Uniform {
    vars: BTreeSet<VarId>,
    dims: BTreeSet<Dim>,
}

/// A dimension of a local.
type Dim = (LocalId, usize);

impl Uniform {
    /// Finds them in the body.
    pub fn of(nest: &Nest) -> Self {
        let mut facts = Facts::new(nest);
        facts.block(&nest.body);
        facts.uniform()
    }

    /// Whether one iteration of a loop over this variable stands for all.
    pub fn has_loop(&self, var: VarId) -> bool {
        self.vars.contains(&var)
    }

    /// Whether one register stands for all along a dimension of a local.
    pub fn has_dim(&self, local: LocalId, dim: usize) -> bool {
        self.dims.contains(&(local, dim))
    }
}

/// A register: its local, and the variable that each index is.
type Register = (LocalId, Vec<Option<VarId>>);

/// What the body says of its loops and registers.
struct Facts<'n> {
    nest: &'n Nest,
    /// The loops around the statement that is looked at.
    around: Vec<VarId>,
    /// For each of them the locals that reductions within carry.
    begun: Vec<Vec<LocalId>>,
    /// The extents of the loops over each variable.
    extents: BTreeMap<VarId, BTreeSet<u32>>,
    /// Variables whose values matter.
    numbers: BTreeSet<VarId>,
    /// For each dimension the variables that index it, each with the loops around.
    uses: BTreeMap<Dim, BTreeSet<(VarId, Vec<VarId>)>>,
    /// Dimensions that something else than a variable indexes, too.
    mixed: BTreeSet<Dim>,
    /// For each variable the locals that its loops give new values and that begin outside, with the variables of their indices.
    set: BTreeMap<VarId, BTreeSet<Register>>,
}

impl<'n> Facts<'n> {
    fn new(nest: &'n Nest) -> Self {
        Self {
            nest,
            around: Vec::new(),
            begun: Vec::new(),
            extents: BTreeMap::new(),
            numbers: BTreeSet::new(),
            uses: BTreeMap::new(),
            mixed: BTreeSet::new(),
            set: BTreeMap::new(),
        }
    }

    fn block(&mut self, block: &[Stmt]) {
        block.iter().for_each(|stmt| self.stmt(stmt));
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::For(l, body) => self.within(std::slice::from_ref(l), body),
            Stmt::Reduce(reduce) => {
                self.begun.iter_mut().for_each(|begun| begun.extend(&reduce.carried));
                self.block(&reduce.init);
                self.within(&reduce.loops, &reduce.update);
                self.block(&reduce.finish);
            }
            Stmt::Let(_, value) | Stmt::Store(_, value) => self.expr(value),
            Stmt::Set(local, at, value) => {
                self.register(*local, at);
                let vars: Vec<Option<VarId>> = at.iter().map(plain).collect();
                for (var, begun) in self.around.iter().zip(&self.begun) {
                    if !begun.contains(local) {
                        self.set.entry(*var).or_default().insert((*local, vars.clone()));
                    }
                }
                self.expr(value);
            }
        }
    }

    fn within(&mut self, loops: &[Loop], body: &[Stmt]) {
        for l in loops {
            self.extents.entry(l.var).or_default().insert(l.extent);
            self.around.push(l.var);
            self.begun.push(Vec::new());
        }
        self.block(body);
        self.around.truncate(self.around.len() - loops.len());
        self.begun.truncate(self.around.len());
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Int(..) => {}
            Expr::Index(index) => self.number(index),
            Expr::Local(local, at) => self.register(*local, at),
            Expr::Load(access) if self.nest.buffers[access.buffer.idx()].is_const() => {
                access.index.iter().for_each(|index| self.number(index));
            }
            Expr::Load(_) => {}
            Expr::Lookup(_, at) => self.expr(at),
            Expr::Op { args, .. } => args.iter().for_each(|arg| self.expr(arg)),
        }
    }

    fn number(&mut self, index: &Index) {
        let mut vars = Vec::new();
        index.vars(&mut vars);
        self.numbers.extend(vars);
    }

    fn register(&mut self, local: LocalId, at: &[Index]) {
        for (dim, index) in at.iter().enumerate() {
            match plain(index) {
                Some(var) => {
                    self.uses.entry((local, dim)).or_default().insert((var, self.around.clone()));
                }
                None => {
                    self.mixed.insert((local, dim));
                    self.number(index);
                }
            }
        }
    }

    /// Takes away what is not uniform until all of the rest is.
    fn uniform(&self) -> Uniform {
        let is_free = |var: &VarId| !self.numbers.contains(var);
        let mut found = Uniform {
            vars: self.extents.keys().copied().filter(is_free).collect(),
            dims: self.uses.keys().copied().filter(|dim| !self.mixed.contains(dim)).collect(),
        };
        loop {
            let dims: BTreeSet<Dim> =
                found.dims.iter().copied().filter(|dim| self.is_uniform(*dim, &found)).collect();
            let vars: BTreeSet<VarId> =
                found.vars.iter().copied().filter(|var| self.is_uniform_loop(*var, &found)).collect();
            if (dims.len(), vars.len()) == (found.dims.len(), found.vars.len()) {
                return found;
            }
            found = Uniform { vars, dims };
        }
    }

    fn is_uniform(&self, dim: Dim, among: &Uniform) -> bool {
        let extent = self.nest.locals[dim.0.idx()].shape.get(dim.1);
        let uses = &self.uses[&dim];
        let runs_along = |var: &VarId| uses.iter().any(|(other, _)| other == var);
        uses.iter().all(|(var, around)| {
            let extents = self.extents.get(var);
            among.vars.contains(var)
                && extents.is_some_and(|extents| extents.iter().eq(extent))
                && around.iter().filter(|var| runs_along(var)).eq([var])
        })
    }

    fn is_uniform_loop(&self, var: VarId, among: &Uniform) -> bool {
        let has = |(dim, uses): (&Dim, &BTreeSet<(VarId, Vec<VarId>)>)| {
            among.dims.contains(dim) || uses.iter().all(|(other, _)| *other != var)
        };
        let is_own = |(local, vars): &Register| {
            let along = |(dim, index): (usize, &Option<VarId>)| {
                *index == Some(var) && among.dims.contains(&(*local, dim))
            };
            vars.iter().enumerate().any(along)
        };
        self.uses.iter().all(has) && self.set.get(&var).is_none_or(|set| set.iter().all(is_own))
    }
}

/// The variable that an index is.
fn plain(index: &Index) -> Option<VarId> {
    match (&index.terms[..], index.constant) {
        ([(1, Atom::Var(var))], 0) => Some(*var),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ir::loops::text::parse_nest;

    use super::*;

    /// The names of the uniform loops of a nest whose update is this.
    fn uniform(update: &str) -> Vec<String> {
        let text = format!(
            "loops @f(x: i8[4, 64], y: i8[4, 2]) {{
               const w: i8[2, 64] = hex\"{}\"
               reduce a: i32[4, 2] over k in 0..64 {{
                 init {{ for p in 0..4 unroll {{ for n in 0..2 unroll {{ a[p, n] = 0 }} }} }}
                 update {{ {update} }}
                 finish {{ for p in 0..4 unroll {{ for n in 0..2 unroll {{
                   y[p, n] = ssat a[p, n] {{bits = 8, asr = 3}}
                 }} }} }}
               }}
             }}",
            "01".repeat(128)
        );
        let nest = parse_nest(&text).expect("a nest");
        let found = Uniform::of(&nest);
        assert_eq!(found.dims.len(), found.vars.len().min(1));
        let names: BTreeSet<String> = found.vars.iter().map(|var| nest.vars[var.idx()].clone()).collect();
        names.into_iter().collect()
    }

    #[test]
    fn what_has_the_same_weights_is_uniform() {
        let product = |of: &str| {
            format!(
                "for p in 0..4 unroll {{ for n in 0..2 unroll {{
                   a[p, n] = add a[{of}, n], mul(sext(x[p, k]), sext(w[n, k]))
                 }} }}"
            )
        };
        assert_eq!(uniform(&product("p")), ["p"]);
        assert!(uniform(&product("0")).is_empty()); // The first pixel's sum goes into all.
        assert!(uniform(&product("3 - p")).is_empty());
    }

    #[test]
    fn what_differs_from_iteration_to_iteration_is_not() {
        let of = |extent: u32, sum: &str, by: &str| {
            format!(
                "for p in 0..{extent} unroll {{ for q in 0..4 unroll {{ for n in 0..2 unroll {{
                   a[p, n] = add a[{sum}, n], mul({by}, sext(w[n, k]))
                 }} }} }}"
            )
        };
        assert_eq!(uniform(&of(4, "p", "sext(x[p, k])")), ["p"]);
        assert!(uniform(&of(3, "p", "sext(x[p, k])")).is_empty());
        assert!(uniform(&of(4, "p", "index(p)")).is_empty());
        assert!(uniform(&of(4, "p", "sext(w[0, p])")).is_empty());
        assert!(uniform(&of(4, "q", "sext(x[p, k])")).is_empty());
    }
}
