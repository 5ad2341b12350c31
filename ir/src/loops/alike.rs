//! Nests that do the same in the same order and differ in numbers only: one code can serve them all.
//!
//! Alike are nests with the same statements, operations, attributes and types. Names and the contents of constants may differ, literals,
//! extents of loops that are not unrolled, shapes and storage maps, and the indices of accesses to memory: all that decides how often
//! something happens, or where.

use std::collections::BTreeMap;

use super::{Access, Buffer, BufferId, Expr, Index, LocalId, Loop, Nest, Reduce, Role, Stmt, VarId};
use crate::diag::Diagnostic;

/// What corresponds in two nests that are alike.
#[derive(Debug, Default)]
pub struct Alike<'a> {
    /// The loops of both bodies, in order; those that a statement has in common are walked once.
    pub loops: Vec<(&'a Loop, &'a Loop)>,
    /// The accesses of both bodies, in order.
    pub accesses: Vec<(&'a Access, &'a Access)>,
    /// The literals and the indices that are values, in order.
    pub values: Vec<(&'a Expr, &'a Expr)>,
    /// The first nest's variable for each of the other one's.
    pub vars: BTreeMap<VarId, VarId>,
    /// The other nest's buffer for each of the first one's that the body uses.
    pub buffers: BTreeMap<BufferId, BufferId>,
}

impl<'a> Alike<'a> {
    /// Compares the bodies of two nests; the error names the first difference.
    pub fn new(first: &'a Nest, other: &'a Nest) -> Result<Self, Diagnostic> {
        let mut walk = Walk { nests: [first, other], found: Alike::default(), locals: BTreeMap::new() };
        walk.stmts(&first.body, &other.body, "its body")?;
        Ok(walk.found)
    }
}

/// A comparison of two nests on its way.
struct Walk<'a> {
    nests: [&'a Nest; 2],
    found: Alike<'a>,
    /// The other nest's value for each of the first one's.
    locals: BTreeMap<LocalId, LocalId>,
}

/// The two have something in different forms, in a place that `at` describes.
fn different(at: &str, what: &str, first: impl ToString, other: impl ToString) -> Diagnostic {
    let (found, wanted) = (other.to_string(), first.to_string());
    Diagnostic::new(format!("in {at} {what} is {found}, expected {wanted}"))
}

impl<'a> Walk<'a> {
    fn stmts(&mut self, first: &'a [Stmt], other: &'a [Stmt], at: &str) -> Result<(), Diagnostic> {
        for (a, b) in first.iter().zip(other) {
            self.stmt(a, b, at)?;
        }
        if first.len() != other.len() {
            return Err(different(at, "the number of statements", first.len(), other.len()));
        }
        Ok(())
    }

    fn stmt(&mut self, first: &'a Stmt, other: &'a Stmt, at: &str) -> Result<(), Diagnostic> {
        match (first, other) {
            (Stmt::For(a, body), Stmt::For(b, other)) => {
                self.around(a, b)?;
                self.stmts(body, other, &self.loop_name(a))
            }
            (Stmt::Reduce(a), Stmt::Reduce(b)) => self.reduce(a, b, at),
            (Stmt::Let(a, value), Stmt::Let(b, other)) => {
                self.local(*a, *b, at)?;
                self.expr(value, other, &self.definition(*a))
            }
            (Stmt::Set(a, place, value), Stmt::Set(b, other_place, other)) => {
                let at = self.definition(*a);
                self.local(*a, *b, &at)?;
                self.indices(place, other_place, &at)?;
                self.expr(value, other, &at)
            }
            (Stmt::Store(a, value), Stmt::Store(b, other)) => {
                let at = format!("what is stored in `{}`", self.nests[0].buffers[a.buffer.idx()].name);
                self.expr(value, other, &at)?;
                self.access(a, b, &at)
            }
            _ => Err(different(at, "a statement", kind(first), kind(other))),
        }
    }

    fn reduce(&mut self, first: &'a Reduce, other: &'a Reduce, at: &str) -> Result<(), Diagnostic> {
        let count = |reduce: &Reduce| (reduce.carried.len(), reduce.loops.len());
        let ((carried, loops), (other_carried, other_loops)) = (count(first), count(other));
        if carried != other_carried {
            return Err(different(at, "the number of values that a sum carries", carried, other_carried));
        }
        if loops != other_loops {
            return Err(different(at, "the number of loops of a sum", loops, other_loops));
        }
        for (a, b) in first.carried.iter().zip(&other.carried) {
            self.local(*a, *b, at)?;
        }
        for (a, b) in first.loops.iter().zip(&other.loops) {
            self.around(a, b)?;
        }
        self.stmts(&first.init, &other.init, at)?;
        self.stmts(&first.update, &other.update, at)?;
        self.stmts(&first.finish, &other.finish, at)
    }

    fn around(&mut self, first: &'a Loop, other: &'a Loop) -> Result<(), Diagnostic> {
        let at = self.loop_name(first);
        if first.unroll != other.unroll {
            let said = |unroll| if unroll { "unrolled" } else { "a loop" };
            return Err(different(&at, "the code", said(first.unroll), said(other.unroll)));
        }
        if first.unroll && first.extent != other.extent {
            return Err(different(&at, "the number of unrolled iterations", first.extent, other.extent));
        }
        if *self.found.vars.entry(other.var).or_insert(first.var) != first.var {
            return Err(Diagnostic::new(format!("{at} has the name of another loop")));
        }
        self.found.loops.push((first, other));
        Ok(())
    }

    fn expr(&mut self, first: &'a Expr, other: &'a Expr, at: &str) -> Result<(), Diagnostic> {
        match (first, other) {
            (Expr::Int(_, a), Expr::Int(_, b)) if a != b => Err(different(at, "the type of a literal", a, b)),
            (Expr::Int(..), Expr::Int(..)) | (Expr::Index(_), Expr::Index(_)) => {
                self.found.values.push((first, other));
                Ok(())
            }
            (Expr::Local(a, place), Expr::Local(b, other)) => {
                self.local(*a, *b, at)?;
                self.indices(place, other, at)
            }
            (Expr::Load(a), Expr::Load(b)) => self.access(a, b, at),
            (Expr::Lookup(a, place), Expr::Lookup(b, other)) => {
                self.buffer(*a, *b, at)?;
                self.expr(place, other, at)
            }
            (Expr::Op { prim, args, imm }, Expr::Op { prim: b, args: others, imm: other_imm }) => {
                let row = prim.row();
                if prim != b {
                    let [wanted, found] = [row.name, b.row().name].map(|name| format!("`{name}`"));
                    return Err(different(at, "an operation", wanted, found));
                }
                for ((name, _), (a, b)) in row.attributes.iter().zip(imm.iter().zip(other_imm)) {
                    if a != b {
                        return Err(different(at, &format!("`{name}` of `{}`", row.name), a, b)
                            .help(same_shift(name)));
                    }
                }
                args.iter().zip(others).try_for_each(|(a, b)| self.expr(a, b, at))
            }
            _ => Err(Diagnostic::new(format!("in {at} a value has another form"))),
        }
    }

    fn access(&mut self, first: &'a Access, other: &'a Access, at: &str) -> Result<(), Diagnostic> {
        self.buffer(first.buffer, other.buffer, at)?;
        if first.ty != other.ty {
            return Err(different(at, "the type of an access", first.ty, other.ty));
        }
        if first.border != other.border {
            let said = |border: Option<i64>| border.map_or("none".into(), |value| value.to_string());
            return Err(different(at, "the border of an access", said(first.border), said(other.border)));
        }
        self.found.accesses.push((first, other));
        Ok(())
    }

    /// Buffers correspond one to one.
    fn buffer(&mut self, first: BufferId, other: BufferId, at: &str) -> Result<(), Diagnostic> {
        let [a, b] = [(0, first), (1, other)].map(|(nest, id)| &self.nests[nest].buffers[id.idx()]);
        let known = *self.found.buffers.entry(first).or_insert(other);
        let twice = self.found.buffers.iter().any(|(have, it)| *it == other && *have != first);
        if known != other || twice {
            let (a, b) = (&a.name, &b.name);
            let message =
                format!("in {at} `{b}` stands for `{a}`, elsewhere one of them goes with another buffer");
            return Err(Diagnostic::new(message));
        }
        if a.elem != b.elem {
            return Err(different(at, &format!("the element type of `{}`", b.name), a.elem, b.elem));
        }
        if role(a) != role(b) {
            return Err(different(at, &format!("`{}`", b.name), role(a), role(b)));
        }
        Ok(())
    }

    fn local(&mut self, first: LocalId, other: LocalId, at: &str) -> Result<(), Diagnostic> {
        let [a, b] = [(0, first), (1, other)].map(|(nest, id)| &self.nests[nest].locals[id.idx()]);
        if *self.locals.entry(first).or_insert(other) != other {
            return Err(different(at, "a value", format!("`{}`", a.name), format!("`{}`", b.name)));
        }
        if a.ty != b.ty {
            return Err(different(at, &format!("the type of `{}`", b.name), a.ty, b.ty));
        }
        if a.shape != b.shape {
            let said = |shape: &[u32]| format!("{shape:?}");
            return Err(different(at, &format!("the block `{}`", b.name), said(&a.shape), said(&b.shape)));
        }
        Ok(())
    }

    /// Indices of registers are the same.
    fn indices(&self, first: &[Index], other: &[Index], at: &str) -> Result<(), Diagnostic> {
        if first.len() == other.len() && first.iter().zip(other).all(|(a, b)| *a == self.renamed(b)) {
            return Ok(());
        }
        Err(Diagnostic::new(format!("in {at} the index of a value differs")))
    }

    /// The index over the first nest's variables.
    fn renamed(&self, index: &Index) -> Index {
        index.substitute(&|var| Index::var(self.found.vars.get(&var).copied().unwrap_or(var)))
    }

    fn loop_name(&self, around: &Loop) -> String {
        format!("loop `{}`", self.nests[0].vars[around.var.idx()])
    }

    fn definition(&self, local: LocalId) -> String {
        format!("the value of `{}`", self.nests[0].locals[local.idx()].name)
    }
}

/// What makes an attribute the same in both.
fn same_shift(attribute: &str) -> String {
    match attribute {
        "asr" | "lsl" => "give their steps the same shift: `short-requantize shift N`".into(),
        _ => "attributes are part of the code".into(),
    }
}

fn kind(stmt: &Stmt) -> &'static str {
    match stmt {
        Stmt::For(..) => "a loop",
        Stmt::Reduce(_) => "a sum",
        Stmt::Let(..) => "a definition",
        Stmt::Set(..) => "an assignment",
        Stmt::Store(..) => "a store",
    }
}

fn role(buffer: &Buffer) -> &'static str {
    match buffer.role {
        Role::Param => "a tensor",
        Role::Scratch => "scratch",
        Role::Const(_) => "a constant",
    }
}
