//! `stage BUFFER TYPE at AXIS`: copies what a loop's body reads of a buffer into a panel first, and widens it perhaps.
//!
//! ```text
//! for p in 0..6 { for n in 0..4 { reduce a over k in 0..8 { … sext(x[p, k]) … } } }
//! => stage x i16 at p
//! scratch x_panel: i16[8]
//! for p in 0..6 {
//!   for x_0 in 0..2 {                                     // Four bytes in, two words out.
//!     v: i8x4 = x[p, 4*x_0] as i8x4
//!     x_panel[4*x_0] as i16x2 = pack_bt sxtb16(v {ror = 0}), sxtb16(v {ror = 8}) {lsl = 16}
//!     x_panel[4*x_0 + 2] as i16x2 = pack_tb sxtb16(v {ror = 8}), sxtb16(v {ror = 0}) {asr = 16}
//!   }
//!   for n in 0..4 { reduce a over k in 0..8 { … sext(x_panel[k]) … } }
//! }
//! ```
//!
//! The panel is what [`Footprint`] says, so a permuted loop reads it in order; after `permute k (0 2 1 3)` the two words are what
//! SXTB16 gives, and nothing packs. `order (0 2 1 3)` at the end of the step permutes the innermost loop inside that moves along the last
//! dimension. Without `at` the panel is filled once, before everything else.
//!
//! Legal where nothing in the body writes the buffer, every load reads a single element inside of it (`border` first), and the
//! panel is no larger than what the loads touch one by one. `i8` and `u8` may widen to `i16`. Constants are refused: `pack` lays them out
//! at compile time.

use ir::diag::Diagnostic;
use ir::loops::{Access, Buffer, BufferId, Expr, Index, Loop, Nest, Prim, Role, Stmt, VarId};
use ir::ty::Ty;

use super::edit::{extended, fresh_local, fresh_name, fresh_var, rewrite_body, stores_to};
use super::footprint::{Footprint, Read, reads, replace_reads};
use super::permute::permute;
use super::step::{Arg, Args, StepDef};

/// A word that panels are filled by starts at a multiple of this many bytes.
const WORD_BYTES: u32 = 4;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "stage",
    usage: "stage BUFFER TYPE [at AXIS] [order (ORDER)]",
    summary: "Copy what a loop's body reads of a buffer into a panel first",
    run: |nest, args| {
        let (buffer, ty) = (args.buffer(nest, 0)?, args.word(1)?);
        let Some(ty) = Ty::parse(ty) else { return Err(args.misuse(format!("the type `{ty}`"))) };
        let (axis, mut next) = optional_axis(nest, args, 2)?;
        let mut order = None;
        if args.get(next) == Some(&Arg::Word("order".into())) {
            order = Some(args.list(next + 1)?);
            next += 2;
        }
        args.at_most(next)?;
        if let Some(order) = order {
            let walked = walked(nest, buffer, axis)?;
            permute(nest, walked, order)?;
        }
        stage(nest, buffer, ty, axis)
    },
};

/// The loop named behind the word `at`, if that stands at this position, and the position of what follows.
pub(super) fn optional_axis(
    nest: &Nest,
    args: &Args,
    at: usize,
) -> Result<(Option<VarId>, usize), Diagnostic> {
    match args.get(at) == Some(&Arg::Word("at".into())) {
        true => Ok((Some(args.axis(nest, at + 1)?), at + 2)),
        false => Ok((None, at)),
    }
}

/// Lets the loads of `buffer` in the body of the loop over `axis`, or in the whole nest, read a panel with elements of type `ty`.
pub fn stage(nest: &mut Nest, buffer: BufferId, ty: Ty, axis: Option<VarId>) -> Result<(), Diagnostic> {
    let name = nest.buffers[buffer.idx()].name.clone();
    check_buffer(nest, buffer, ty)
        .and_then(|()| rewrite_body(nest, axis, |nest, body| staged(nest, buffer, ty, body)))
        .map_err(|error| Diagnostic { message: format!("cannot stage `{name}`: {}", error.message), ..error })
}

fn staged(nest: &mut Nest, buffer: BufferId, ty: Ty, mut body: Vec<Stmt>) -> Result<Vec<Stmt>, Diagnostic> {
    let reads = reads(&mut body, buffer);
    check_reads(nest, buffer, ty, &reads)?;
    if stores_to(&body, buffer) {
        return Err(Diagnostic::new("the body writes it").help("legal where a loop only reads it"));
    }
    let mut panels = Vec::new();
    for footprint in Footprint::of(&reads)? {
        check_size(&footprint, &reads)?;
        panels.push((panel(nest, buffer, ty, &footprint), footprint));
    }
    replace_reads(&mut body, buffer, &|read| {
        let (panel, footprint) = panels.iter().find(|(_, footprint)| footprint.has(read))?;
        let load = Access { buffer: *panel, index: footprint.position(read), ty, border: None };
        Some(instead(&read.expr, load))
    });
    let mut filled = Vec::new();
    for (panel, footprint) in &panels {
        filled.extend(Fill { nest, source: buffer, panel: *panel, footprint }.dims(Vec::new()));
    }
    filled.append(&mut body);
    Ok(filled)
}

fn check_buffer(nest: &Nest, buffer: BufferId, ty: Ty) -> Result<(), Diagnostic> {
    let source = &nest.buffers[buffer.idx()];
    if source.is_const() {
        return Err(Diagnostic::new("it is a constant").help(format!(
            "lay it out at compile time: `pack {}`, or keep it in registers: `hoist {0}`",
            source.name
        )));
    }
    let legal: &[Ty] = match source.elem {
        Ty::I8 => &[Ty::I8, Ty::I16],
        Ty::U8 => &[Ty::U8, Ty::I16],
        _ => &[source.elem],
    };
    if !legal.contains(&ty) {
        let legal: Vec<String> = legal.iter().map(ToString::to_string).collect();
        return Err(Diagnostic::new(format!("elements of `{}` do not become `{ty}`", source.elem))
            .help(format!("legal: {}", legal.join(", "))));
    }
    Ok(())
}

fn check_reads(nest: &Nest, buffer: BufferId, ty: Ty, reads: &[Read]) -> Result<(), Diagnostic> {
    let Buffer { name, elem, .. } = &nest.buffers[buffer.idx()];
    if reads.is_empty() {
        return Err(Diagnostic::new("no load in the body reads it")
            .help("legal at a loop around loads, and without `at` for the whole nest"));
    }
    for read in reads {
        let access = read.access();
        if access.border.is_some() {
            return Err(Diagnostic::new("a load may leave it")
                .help(format!("copy it with its padding around it first: `border {name}`")));
        }
        if access.ty != *elem {
            return Err(Diagnostic::new(format!("a load reads `{}` at once, not one `{elem}`", access.ty))
                .help("stage before loads are joined to words"));
        }
        if ty != *elem && matches!(read.expr, Expr::Load(_)) {
            return Err(Diagnostic::new(format!("a load is used as `{elem}`, not extended"))
                .help(format!("keep the type: `stage {name} {elem}`")));
        }
    }
    Ok(())
}

/// Refuses a panel with more elements than the loads touch one by one: it would mostly hold what nobody reads.
fn check_size(footprint: &Footprint, reads: &[Read]) -> Result<(), Diagnostic> {
    let elements = |footprint: &Footprint| footprint.shape.iter().map(|n| u64::from(*n)).product::<u64>();
    let mut indices: Vec<&[Index]> = Vec::new();
    let mut touched = 0;
    for read in reads.iter().filter(|read| footprint.has(read)) {
        if !indices.contains(&&read.access().index[..]) {
            indices.push(&read.access().index);
            touched += Footprint::of(std::slice::from_ref(read))?.iter().map(elements).sum::<u64>();
        }
    }
    if footprint.shape.is_empty() {
        return Err(Diagnostic::new("an iteration reads a single element of it")
            .help("legal at a loop further out; or keep the element in a register: `hoist`"));
    }
    if elements(footprint) > touched {
        let message = format!(
            "a panel of {} elements would be filled, of which at most {touched} are read",
            elements(footprint)
        );
        return Err(Diagnostic::new(message).help("legal where the loads read side by side"));
    }
    Ok(())
}

/// The scratch that holds a footprint.
fn panel(nest: &mut Nest, source: BufferId, ty: Ty, footprint: &Footprint) -> BufferId {
    let name = fresh_name(nest, &format!("{}_panel", nest.buffers[source.idx()].name));
    let mut panel = Buffer::new(name, ty, &footprint.shape, Role::Scratch);
    panel.map.align = panel.map.align.max(WORD_BYTES);
    nest.add_buffer(panel)
}

/// A load, extended as before, from what is wider perhaps: a narrow unsigned value is a signed one in a panel of `i16`.
fn instead(before: &Expr, load: Access) -> Expr {
    let prim = match before {
        Expr::Op { prim, .. } if load.ty != Ty::I16 => *prim,
        Expr::Op { .. } => Prim::Sext,
        _ => return Expr::Load(load),
    };
    Expr::Op { prim, args: vec![Expr::Load(load)], imm: Vec::new() }
}

/// The loop inside that is the innermost of those which move the loads along the last dimension that moves.
fn walked(nest: &mut Nest, buffer: BufferId, axis: Option<VarId>) -> Result<VarId, Diagnostic> {
    let mut found = Vec::new();
    rewrite_body(nest, axis, |_, mut body| {
        for read in reads(&mut body, buffer) {
            let moving = |index: &Index| {
                let mut used = Vec::new();
                index.vars(&mut used);
                read.inside.iter().rev().map(|l| l.var).find(|var| used.contains(var))
            };
            found.extend(read.access().index.iter().rev().find_map(moving));
        }
        Ok(body)
    })?;
    found.dedup();
    match found[..] {
        [var] => Ok(var),
        _ => {
            let name = &nest.buffers[buffer.idx()].name;
            let message = format!("cannot order `{name}`: {} loops inside walk along it", found.len());
            Err(Diagnostic::new(message).help("permute the loops by name first: `permute AXIS (ORDER)`"))
        }
    }
}

/// Writes a panel.
struct Fill<'a> {
    nest: &'a mut Nest,
    source: BufferId,
    panel: BufferId,
    footprint: &'a Footprint,
}

/// How elements of a panel that follow each other are copied at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    /// As a word of this type.
    Copied(Ty),
    /// Four bytes become two pairs: in order, or bytes 0 and 2 before 1 and 3.
    Widened { in_order: bool },
}

impl Fill<'_> {
    /// Statements for all dimensions from `at.len()` on; `at` is the position along those before.
    fn dims(&mut self, at: Vec<Index>) -> Vec<Stmt> {
        let extent = self.footprint.shape[at.len()];
        if at.len() + 1 == self.footprint.shape.len() {
            return self.row(&at, extent);
        }
        self.over(at.len(), extent, |fill, n| fill.dims(joined(&at, n)))
    }

    /// The last dimension: words as far as they go, then single elements.
    fn row(&mut self, at: &[Index], extent: u32) -> Vec<Stmt> {
        let lanes = self.word().lanes();
        let n_words = extent / lanes;
        let words = if n_words == 0 { None } else { self.words(at) };
        let Some(words) = words else {
            return self.over(at.len(), extent, |fill, n| vec![fill.element(joined(at, n))]);
        };
        let mut stmts =
            self.over(at.len(), n_words, |fill, n| fill.copy_words(words, joined(at, n.scale(lanes.into()))));
        let rest = extent % lanes;
        stmts.extend(self.over(at.len(), rest, |fill, n| {
            vec![fill.element(joined(at, n.offset((n_words * lanes).into())))]
        }));
        stmts
    }

    /// A loop of `extent` iterations: none for 0, and the body alone for 1.
    fn over(
        &mut self,
        dim: usize,
        extent: u32,
        body: impl FnOnce(&mut Self, Index) -> Vec<Stmt>,
    ) -> Vec<Stmt> {
        match extent {
            0 => Vec::new(),
            1 => body(self, Index::constant(0)),
            _ => {
                let name = format!("{}_{dim}", self.nest.buffers[self.panel.idx()].name);
                let var = fresh_var(self.nest, &name);
                let body = body(self, Index::var(var));
                vec![Stmt::For(Loop { var, extent, unroll: false }, body)]
            }
        }
    }

    fn element(&self, to: Vec<Index>) -> Stmt {
        let elem = self.nest.buffers[self.source.idx()].elem;
        let load = self.load(&to, elem);
        Stmt::Store(self.target(to, self.elem()), extended(load, elem))
    }

    fn copy_words(&mut self, words: Words, to: Vec<Index>) -> Vec<Stmt> {
        let word = match words {
            Words::Copied(word) => {
                let load = self.load(&to, word);
                return vec![Stmt::Store(self.target(to, word), load)];
            }
            Words::Widened { .. } => self.word(),
        };
        let load = self.load(&to, word);
        let bytes = fresh_local(self.nest, "v", word);
        let prim = if word == Ty::U8x4 { Prim::Uxtb16 } else { Prim::Sxtb16 };
        let half = |ror| op(prim, vec![Expr::Local(bytes, Vec::new())], vec![ror]);
        let (even, odd) = (half(0), half(8));
        let (first, second) = match words {
            Words::Widened { in_order: true } => (
                op(Prim::PackBotTop, vec![even.clone(), odd.clone()], vec![16]),
                op(Prim::PackTopBot, vec![odd, even], vec![16]),
            ),
            _ => (even, odd),
        };
        let mut behind = to.clone();
        if let Some(last) = behind.last_mut() {
            *last = last.offset(Ty::I16x2.lanes().into());
        }
        vec![
            Stmt::Let(bytes, load),
            Stmt::Store(self.target(to, Ty::I16x2), first),
            Stmt::Store(self.target(behind, Ty::I16x2), second),
        ]
    }

    /// The word of elements of the source; the element where there is none.
    fn word(&self) -> Ty {
        match self.nest.buffers[self.source.idx()].elem {
            Ty::I8 => Ty::I8x4,
            Ty::U8 => Ty::U8x4,
            Ty::I16 => Ty::I16x2,
            other => other,
        }
    }

    /// How words of the last dimension are copied; `None` where their elements do not follow each other in the source.
    fn words(&self, at: &[Index]) -> Option<Words> {
        let source = &self.nest.buffers[self.source.idx()];
        let lanes = i64::from(self.word().lanes());
        // A variable of no loop stands for the number of the word: the same must hold for each.
        let number = Index::var(VarId::new(self.nest.vars.len()));
        let index = |lane: i64| self.footprint.source(&joined(at, number.scale(lanes).offset(lane)));
        let first = index(0);
        let apart = |index: &[Index]| {
            source.map.position(index).add(&source.map.position(&first).scale(-1)).as_constant()
        };
        let moved = |dim: usize, lane: i64| {
            let mut moved = first.clone();
            moved[dim] = moved[dim].offset(lane);
            moved
        };
        let in_a_row =
            (0..first.len()).any(|dim| (1..lanes).all(|lane| apart(&moved(dim, lane)) == Some(lane)));
        let order: Option<Vec<i64>> = (0..lanes).map(|lane| apart(&index(lane))).collect();
        match (in_a_row && lanes > 1, self.elem() == source.elem, order?.as_slice()) {
            (true, true, order) if order.iter().copied().eq(0..lanes) => Some(Words::Copied(self.word())),
            (true, false, [0, 1, 2, 3]) => Some(Words::Widened { in_order: true }),
            (true, false, [0, 2, 1, 3]) => Some(Words::Widened { in_order: false }),
            _ => None,
        }
    }

    fn elem(&self) -> Ty {
        self.nest.buffers[self.panel.idx()].elem
    }

    fn load(&self, to: &[Index], ty: Ty) -> Expr {
        Expr::Load(Access { buffer: self.source, index: self.footprint.source(to), ty, border: None })
    }

    fn target(&self, index: Vec<Index>, ty: Ty) -> Access {
        Access { buffer: self.panel, index, ty, border: None }
    }
}

fn joined(at: &[Index], last: Index) -> Vec<Index> {
    at.iter().cloned().chain([last]).collect()
}

fn op(prim: Prim, args: Vec<Expr>, imm: Vec<i32>) -> Expr {
    Expr::Op { prim, args, imm }
}
