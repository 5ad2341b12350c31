//! `border`: loads that may leave a buffer become loads from a copy with the border around it.
//!
//! ```text
//! for i in 0..32 { reduce a over k in 0..3 { … x[i + k - 1] else -7 … } }
//! =>
//! scratch x_border: i8[34]
//! x_border[0] = -7
//! for x_0 in 0..32 { x_border[x_0 + 1] = x[x_0] }
//! x_border[33] = -7
//! for i in 0..32 { reduce a over k in 0..3 { … x_border[i + k] … } }
//! ```
//!
//! The copy holds what is read and no more. It is written by words of four bytes where its rows are made of such, and those of the
//! source too. Where no load leaves the buffer, the loads stay and only lose their border.
//! The step `border BUFFER` does it for one buffer, and the pass of the same name for all.
//! Legal when all these loads agree on the border's value, read single elements, and the nest does not write the buffer.

use ir::diag::Diagnostic;
use ir::loops::{Access, Buffer, BufferId, Expr, Index, Loop, Nest, Prim, Role, Stmt, VarId};
use ir::ty::Ty;

use super::NestPass;
use super::edit::{Extents, extended, fresh_name, fresh_var, stores_to, visit_loads};
use super::step::StepDef;
use crate::Changed;

/// Applies [`border`] to every buffer that is read with a border.
pub const PASS: NestPass =
    NestPass { name: "border", summary: "Copy inputs into scratch that has their padding around them", run };

/// The step.
pub const STEP: StepDef = StepDef {
    name: "border",
    usage: "border BUFFER",
    summary: "Copy an input into scratch that has its padding around it",
    run: |nest, args| {
        args.at_most(1)?;
        let buffer = args.buffer(nest, 0)?;
        match border(nest, buffer)? {
            Changed::Yes => Ok(()),
            Changed::No => {
                let name = &nest.buffers[buffer.idx()].name;
                Err(Diagnostic::new(format!("cannot give `{name}` a border: no load of it has one"))
                    .help("legal for a buffer that is read as `… else VALUE`"))
            }
        }
    },
};

fn run(nest: &mut Nest) -> Result<Changed, Diagnostic> {
    let mut changed = Changed::No;
    for idx in 0..nest.buffers.len() {
        changed |= border(nest, BufferId::new(idx))?;
    }
    Ok(changed)
}

/// Rewrites the loads of `buffer` that have a border.
pub fn border(nest: &mut Nest, buffer: BufferId) -> Result<Changed, Diagnostic> {
    let Some(reads) = Reads::of(nest, buffer)? else { return Ok(Changed::No) };
    let shape = &nest.buffers[buffer.idx()].shape;
    if reads.stay_inside(shape) {
        replace_loads(nest, buffer, &|access| access.border = None);
        return Ok(Changed::Yes);
    }
    let source = &nest.buffers[buffer.idx()];
    let name = fresh_name(nest, &format!("{}_border", source.name));
    let mut copy = Buffer::new(name, source.elem, &reads.extents(), Role::Scratch);
    let word = word(source, &reads);
    if word != source.elem {
        copy.map.align = copy.map.align.max(word.bytes() as u32);
    }
    let copy = nest.add_buffer(copy);
    let mut first = Fill { nest, source: buffer, copy, reads: &reads, word }.dim(Vec::new(), Vec::new());
    replace_loads(nest, buffer, &|access| {
        access.buffer = copy;
        access.border = None;
        access.index = access.index.iter().zip(&reads.ranges).map(|(i, (low, _))| i.offset(-low)).collect();
    });
    first.append(&mut nest.body);
    nest.body = first;
    Ok(Changed::Yes)
}

/// What the loads of a buffer that have a border agree on.
struct Reads {
    /// What they give outside.
    value: i64,
    /// By dimension, the least and greatest index of any of them.
    ranges: Vec<(i64, i64)>,
}

impl Reads {
    /// `None` where no load of `buffer` has a border.
    fn of(nest: &mut Nest, buffer: BufferId) -> Result<Option<Reads>, Diagnostic> {
        let data = &nest.buffers[buffer.idx()];
        let (elem, name) = (data.elem, data.name.clone());
        let illegal = |why: String| Diagnostic::new(format!("cannot give `{name}` a border: {why}"));
        let mut reads: Option<Reads> = None;
        let mut error = None;
        visit_loads(&mut nest.body, &mut Extents::new(), &mut |access, around| {
            let (true, Some(value)) = (access.buffer == buffer, access.border) else { return };
            if access.ty != elem {
                error = Some(illegal(format!("a load reads `{}` at once, not one `{elem}`", access.ty)));
            }
            let ranges =
                access.index.iter().map(|index| index.range(&|var| (0, i64::from(around[&var]) - 1)));
            match &mut reads {
                None => reads = Some(Reads { value, ranges: ranges.collect() }),
                Some(reads) if reads.value != value => {
                    error =
                        Some(illegal(format!("loads disagree on its value: {} and {value}", reads.value)));
                }
                Some(reads) => {
                    reads.ranges.iter_mut().zip(ranges).for_each(|(have, new)| *have = union(*have, new));
                }
            }
        });
        if reads.is_some() && stores_to(&nest.body, buffer) {
            error = Some(illegal("the nest writes it".to_string()));
        }
        error.map_or(Ok(reads), Err)
    }

    fn stay_inside(&self, shape: &[u32]) -> bool {
        self.ranges.iter().zip(shape).all(|((low, high), extent)| *low >= 0 && *high < i64::from(*extent))
    }

    fn extents(&self) -> Vec<u32> {
        self.ranges.iter().map(|(low, high)| (high - low + 1) as u32).collect()
    }
}

/// What the copy is written by: words of bytes where all rows consist of them, else single elements.
fn word(source: &Buffer, reads: &Reads) -> Ty {
    let word = match source.elem {
        Ty::I8 => Ty::I8x4,
        Ty::U8 => Ty::U8x4,
        other => return other,
    };
    let (Some((low, high)), Some(extent)) = (reads.ranges.last(), source.shape.last()) else {
        return source.elem;
    };
    let is_whole = *low == 0 && high + 1 == i64::from(*extent) && extent.is_multiple_of(word.lanes());
    let rank = source.shape.len();
    let at: Vec<Index> = (0..rank).map(|dim| Index::var(VarId::new(dim))).collect();
    let mut next = at.clone();
    next[rank - 1] = next[rank - 1].offset(1);
    let step = source.map.position(&next).add(&source.map.position(&at).scale(-1));
    if is_whole && step.as_constant() == Some(1) { word } else { source.elem }
}

/// Writes the copy: the border with its value, the inside from the source.
struct Fill<'a> {
    nest: &'a mut Nest,
    source: BufferId,
    copy: BufferId,
    reads: &'a Reads,
    /// What is written at once.
    word: Ty,
}

impl Fill<'_> {
    /// Statements for all dimensions from `to.len()` on; `to` and `from` are the indices along those before.
    fn dim(&mut self, to: Vec<Index>, from: Vec<Index>) -> Vec<Stmt> {
        let dim = to.len();
        let Some(&(low, high)) = self.reads.ranges.get(dim) else { return vec![self.copy(to, from)] };
        let extent = i64::from(self.nest.buffers[self.source.idx()].shape[dim]);
        let (first, end) = (low.max(0).min(high + 1), (high + 1).min(extent).max(low));
        let mut stmts = self.outside(&to, 0, first - low);
        let lanes = self.lanes(dim);
        stmts.extend(self.over(dim, (end - first) / lanes, |fill, at| {
            let at = at.scale(lanes);
            let with = |indices: &[Index], index| indices.iter().cloned().chain([index]).collect();
            fill.dim(with(&to, at.offset(first - low)), with(&from, at.offset(first)))
        }));
        stmts.extend(self.outside(&to, end.max(first) - low, high + 1 - end.max(first)));
        stmts
    }

    /// Fills `n` indices of the next dimension, from `start` on, and all of the dimensions behind it.
    fn outside(&mut self, to: &[Index], start: i64, n: i64) -> Vec<Stmt> {
        let lanes = self.lanes(to.len());
        self.over(to.len(), n / lanes, |fill, at| {
            let to = to.iter().cloned().chain([at.scale(lanes).offset(start)]).collect::<Vec<_>>();
            match fill.reads.ranges.get(to.len()) {
                Some((low, high)) => fill.outside(&to, 0, high - low + 1),
                None => vec![fill.store(to, fill.value())],
            }
        })
    }

    /// Elements that are written at once along a dimension.
    fn lanes(&self, dim: usize) -> i64 {
        if dim + 1 == self.reads.ranges.len() { self.word.lanes().into() } else { 1 }
    }

    /// What is outside, as often as a word has it.
    fn value(&self) -> Expr {
        let bytes = [self.reads.value as u8; 4];
        let word = || vec![Expr::Int(i32::from_le_bytes(bytes).into(), Ty::I32)];
        match self.word {
            Ty::I8x4 => Expr::Op { prim: Prim::AsI8x4, args: word(), imm: Vec::new() },
            Ty::U8x4 => Expr::Op { prim: Prim::AsU8x4, args: word(), imm: Vec::new() },
            _ => Expr::Int(self.reads.value, Ty::I32),
        }
    }

    /// A loop of `n` iterations: none for 0, and the body alone for 1.
    fn over(&mut self, dim: usize, n: i64, body: impl FnOnce(&mut Self, Index) -> Vec<Stmt>) -> Vec<Stmt> {
        match n {
            ..=0 => Vec::new(),
            1 => body(self, Index::constant(0)),
            _ => {
                let name = format!("{}_{dim}", self.nest.buffers[self.source.idx()].name);
                let var = fresh_var(self.nest, &name);
                let body = body(self, Index::var(var));
                vec![Stmt::For(Loop { var, extent: n as u32, unroll: false }, body)]
            }
        }
    }

    fn copy(&self, to: Vec<Index>, from: Vec<Index>) -> Stmt {
        let elem = self.nest.buffers[self.source.idx()].elem;
        let load = Expr::Load(Access { buffer: self.source, index: from, ty: self.word, border: None });
        self.store(to, if self.word == elem { extended(load, elem) } else { load })
    }

    fn store(&self, to: Vec<Index>, value: Expr) -> Stmt {
        Stmt::Store(Access { buffer: self.copy, index: to, ty: self.word, border: None }, value)
    }
}

fn replace_loads(nest: &mut Nest, buffer: BufferId, replace: &dyn Fn(&mut Access)) {
    visit_loads(&mut nest.body, &mut Extents::new(), &mut |access, _| {
        if access.buffer == buffer && access.border.is_some() {
            replace(access);
        }
    });
}

fn union(a: (i64, i64), b: (i64, i64)) -> (i64, i64) {
    (a.0.min(b.0), a.1.max(b.1))
}
