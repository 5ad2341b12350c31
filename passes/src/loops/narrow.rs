//! `narrow BUFFER …`: pairs of halfwords whose values are bytes lie in memory as bytes, two pairs in a word.
//!
//! ```text
//! const v: i16[8, 3, 2] = …
//! for c in 0..8 { … v[c, 0, 0] as i16x2 … v[c, 1, 0] as i16x2 … v[c, 2, 0] as i16x2 … }
//! => narrow v
//! const v_bytes: i8[8, 8] align 4 = { for c in 0..8 {          // The words 0 and 1, then the word 2 and nothing.
//!   v_bytes[c, 0] = sext v[c, 0, 0]  v_bytes[c, 1] = sext v[c, 1, 0]  v_bytes[c, 2] = sext v[c, 0, 1] …
//! } }
//! for c in 0..8 {
//!   … sxtb16 v_bytes[c, 0] as i8x4 {ror = 0} … sxtb16 v_bytes[c, 0] as i8x4 {ror = 8} … sxtb16 v_bytes[c, 4] as i8x4 {ror = 0} …
//! }
//! ```
//!
//! Half the memory, for an operation more and half a load less for each word. Words that are the same everywhere are stored once, also those
//! of different constants, and words that nothing reads are not. Unrolled loops that tell words apart are written out.
//!
//! `narrow BUFFER … tight` stores the byte that two pairs share once: (w0, w1) and (w1, w2) lie at every second byte, and another row of
//! weights between them ([`layout`]). A window then takes no more bytes than it has weights; words begin anywhere.
//!
//! ```text
//! … sxtb16 v_bytes[9*c] as i8x4 {ror = 0} … sxtb16 v_bytes[9*c + 2] as i8x4 {ror = 0} … sxtb16 v_bytes[9*c + 2] as i8x4 {ror = 8} …
//! ```
//!
//! Where all values are multiples of 256, as behind `scale … by 256`, the bytes are those above, and a mask takes them from a word:
//!
//! ```text
//! … as_i16x2 and(as_i32 v_bytes[c, 0] as i8x4, -16711936) … as_i16x2 and(shl(as_i32 v_bytes[c, 0] as i8x4, 8), -16711936) …
//! ```
//!
//! `at AXIS` at the end makes halfwords of what loops inside read once for each iteration of that one, in a panel:
//!
//! ```text
//! scratch v_panel: i16[3, 2] align 4
//! for c in 0..8 { v_panel[0, 0] as i16x2 = sxtb16 v_bytes[c, 0] as i8x4 {ror = 0} …  for p in 0..6 { … v_panel[0, 0] as i16x2 … } }
//! ```
//!
//! The panel has a dimension for each loop inside that the rows vary with.
//!
//! Legal for constants of halfwords in pairs whose values are bytes, or all 256 times one, all with the same outer dimensions, that are read in
//! words at positions known in the code.

mod byte;
mod halves;
mod layout;

use std::collections::BTreeMap;

use ir::diag::Diagnostic;
use ir::loops::{Access, Buffer, BufferId, Expr, Index, Init, Loop, Nest, Reduce, Role, Stmt, VarId};
use ir::ty::Ty;

use self::byte::Byte;
use self::halves::{Halves, Word};
use self::layout::{Half, Layout};
use super::edit::{
    blocks_mut, extended, fresh_name, fresh_var, rename_locals, renew_vars, rewrite_body, substitute,
};
use super::footprint::{Read, reads, replace_reads};
use super::pack::constant;
use super::step::{Arg, StepDef};

/// The step.
pub const STEP: StepDef = StepDef {
    name: "narrow",
    usage: "narrow BUFFER … [tight] [at AXIS]",
    summary: "Store pairs of halfwords whose values are bytes as bytes",
    run: |nest, args| {
        let is_word = |at: usize, word: &str| args.get(at) == Some(&Arg::Word(word.into()));
        let mut end = args.len();
        let axis = match end >= 2 && is_word(end - 2, "at") {
            true => Some(args.axis(nest, end - 1)?),
            false => None,
        };
        end -= if axis.is_some() { 2 } else { 0 };
        let tight = end > 0 && is_word(end - 1, "tight");
        end -= usize::from(tight);
        let buffers: Result<Vec<BufferId>, Diagnostic> =
            (0..end.max(1)).map(|at| constant(nest, args.word(at)?)).collect();
        narrow(nest, &buffers?, tight, axis)
    },
};

/// Elements of a word, and of the pairs that it holds.
const PAIR: usize = 2;
/// Bytes of a word.
const WORD: usize = 4;

/// Makes one constant of bytes of the words of `buffers`, at least one, that the body reads; each byte once where it is `tight`. What loops
/// inside of the one over `axis` read is unpacked at its start.
pub fn narrow(
    nest: &mut Nest,
    buffers: &[BufferId],
    tight: bool,
    axis: Option<VarId>,
) -> Result<(), Diagnostic> {
    let first = buffers[0];
    buffers.iter().try_for_each(|buffer| check_buffer(nest, *buffer, first))?;
    let mut body = std::mem::take(&mut nest.body);
    write_out(nest, buffers, &mut body);
    nest.body = body;
    buffers.iter().try_for_each(|buffer| check_is_read(nest, *buffer))?;
    let byte = Byte::of(nest, buffers)?;
    let halves = Halves::of(nest, buffers, byte)?;
    halves.borrow(&mut nest.body);
    let words = Words::of(nest, buffers, &halves, (byte, tight))?;
    let name = nest.buffers[first.idx()].name.clone();
    let made = words.add_constant(nest, &name, &halves);
    if let Some(axis) = axis {
        rewrite_body(nest, Some(axis), |nest, body| words.unpacked(nest, buffers, made, body))?;
    }
    for buffer in buffers {
        replace_reads(&mut nest.body, *buffer, &|read| {
            let (number, row) = position(read.access()).expect("the positions of all words are known");
            Some(words.value(made, (*buffer, number), row))
        });
    }
    Ok(())
}

/// Whether a buffer is a constant of pairs of halfwords.
pub fn holds_pairs(buffer: &Buffer) -> bool {
    let Buffer { elem, shape, .. } = buffer;
    buffer.is_const() && *elem == Ty::I16 && shape.len() >= PAIR && shape.last() == Some(&(PAIR as u32))
}

fn check_buffer(nest: &Nest, buffer: BufferId, first: BufferId) -> Result<(), Diagnostic> {
    let Buffer { name, elem, .. } = &nest.buffers[buffer.idx()];
    let error = |what: String| Diagnostic::new(format!("cannot narrow `{name}`: {what}"));
    if !holds_pairs(&nest.buffers[buffer.idx()]) {
        return Err(error(format!("it holds `{elem}`, not pairs of halfwords"))
            .help("legal: what `phases` makes of weights, a constant of i16 whose last dimension is 2"));
    }
    let outer = |buffer: BufferId| {
        let shape = &nest.buffers[buffer.idx()].shape;
        &shape[..shape.len().saturating_sub(PAIR)]
    };
    if outer(buffer) != outer(first) {
        let other = &nest.buffers[first.idx()].name;
        return Err(error(format!("its outer dimensions are not those of `{other}`"))
            .help(format!("narrow it by itself: `narrow {name}`")));
    }
    Ok(())
}

fn check_is_read(nest: &mut Nest, buffer: BufferId) -> Result<(), Diagnostic> {
    if !reads(&mut nest.body, buffer).is_empty() {
        return Ok(());
    }
    let name = &nest.buffers[buffer.idx()].name;
    Err(Diagnostic::new(format!("cannot narrow `{name}`: nothing reads it"))
        .help("name constants that the body reads"))
}

/// Repeats the bodies of unrolled loops that tell words of these buffers apart.
fn write_out(nest: &mut Nest, buffers: &[BufferId], block: &mut Vec<Stmt>) {
    let mut at = 0;
    while at < block.len() {
        match &block[at] {
            Stmt::For(l, body) if l.unroll && tells_apart(body, buffers, l.var) => {
                let copies = copies(nest, l, body);
                block.splice(at..=at, copies);
            }
            Stmt::Reduce(reduce) if innermost_telling(reduce, buffers).is_some() => {
                let mut reduce = reduce.clone();
                let l = reduce.loops.pop().expect("a loop tells words apart");
                reduce.update = copies(nest, &l, &reduce.update);
                block[at] = Stmt::Reduce(reduce);
            }
            _ => {
                blocks_mut(&mut block[at]).into_iter().for_each(|inner| write_out(nest, buffers, inner));
                at += 1;
            }
        }
    }
}

/// The innermost loop of a sum, where it is unrolled and tells words of these buffers apart.
fn innermost_telling<'r>(reduce: &'r Reduce, buffers: &[BufferId]) -> Option<&'r Loop> {
    reduce.loops.last().filter(|l| l.unroll && tells_apart(&reduce.update, buffers, l.var))
}

/// Whether words of the buffers that are read in a block depend on `var`.
fn tells_apart(block: &[Stmt], buffers: &[BufferId], var: VarId) -> bool {
    let mut block = block.to_vec();
    let uses = |access: &Access| {
        let mut used = Vec::new();
        access.index[access.index.len() - PAIR..].iter().for_each(|index| index.vars(&mut used));
        used.contains(&var)
    };
    buffers.iter().any(|buffer| reads(&mut block, *buffer).iter().any(|read| uses(read.access())))
}

fn copies(nest: &mut Nest, l: &Loop, body: &[Stmt]) -> Vec<Stmt> {
    let mut copies = Vec::new();
    for iteration in 0..l.extent {
        let mut copy = body.to_vec();
        substitute(&mut copy, l.var, &Index::constant(iteration.into()));
        if iteration > 0 {
            renew_vars(nest, &mut copy);
            rename_locals(nest, &mut copy);
        }
        copies.extend(copy);
    }
    copies
}

/// The number of the word that an access reads, and the indices of the dimensions around it; `None` where it is not known, or no word.
fn position(access: &Access) -> Option<(usize, &[Index])> {
    let (outer, pair) = access.index.split_at(access.index.len() - PAIR);
    let word = usize::try_from(pair[0].as_constant()?).ok()?;
    (access.ty == Ty::I16x2 && pair[1].as_constant() == Some(0) && access.border.is_none())
        .then_some((word, outer))
}

/// The words that are read, as bytes.
struct Words {
    /// Each with its position among those that differ.
    all: BTreeMap<Word, usize>,
    /// The outer dimensions.
    outer: Vec<u32>,
    /// Where their bytes lie.
    layout: Layout,
    /// Which bytes of halfwords those are.
    byte: Byte,
}

impl Words {
    fn of(
        nest: &mut Nest,
        buffers: &[BufferId],
        halves: &Halves,
        (byte, tight): (Byte, bool),
    ) -> Result<Self, Diagnostic> {
        let (mut distinct, mut all) = (Vec::new(), BTreeMap::new());
        for buffer in buffers {
            for read in reads(&mut nest.body, *buffer) {
                let name = &nest.buffers[buffer.idx()].name;
                let Some((number, _)) = position(read.access()) else {
                    let what = "it is not read in words at positions known in the code";
                    return Err(Diagnostic::new(format!("cannot narrow `{name}`: {what}")).help(
                        "legal where loops that tell words apart are unrolled and not part of a reduction",
                    ));
                };
                let pair = halves.of_words[&(*buffer, number)];
                let at = distinct.iter().position(|have| *have == pair).unwrap_or(distinct.len());
                if at == distinct.len() {
                    distinct.push(pair);
                }
                all.insert((*buffer, number), at);
            }
        }
        let layout = if tight { Layout::tight(&distinct) } else { Layout::in_words(&distinct) };
        let shape = &nest.buffers[buffers[0].idx()].shape;
        Ok(Words { all, outer: shape[..shape.len() - PAIR].to_vec(), layout, byte })
    }

    /// The index of a byte of a row: rows that run into the next one lie in a single dimension.
    fn index(&self, row: &[Index], byte: usize) -> Vec<Index> {
        let byte = Index::constant(byte as i64);
        if self.layout.end() <= self.layout.stride {
            return row.iter().cloned().chain([byte]).collect();
        }
        let number = row
            .iter()
            .zip(&self.outer)
            .fold(Index::constant(0), |number, (index, extent)| number.scale(i64::from(*extent)).add(index));
        vec![number.scale(self.layout.stride as i64).add(&byte)]
    }

    /// Adds the constant that holds the words that differ.
    fn add_constant(&self, nest: &mut Nest, name: &str, halves: &Halves) -> BufferId {
        let name = fresh_name(nest, &format!("{name}_bytes"));
        let made = BufferId::new(nest.buffers.len());
        let loops: Vec<Loop> = (0..self.outer.len())
            .map(|dim| Loop {
                var: fresh_var(nest, &format!("{name}_{dim}")),
                extent: self.outer[dim],
                unroll: false,
            })
            .collect();
        let row: Vec<Index> = loops.iter().map(|l| Index::var(l.var)).collect();
        let store = |index: Vec<Index>, half: Option<Half>| {
            let load = |((buffer, word), half): (Word, usize)| {
                let pair = [word, half].map(|at| Index::constant(at as i64));
                let index = row.iter().cloned().chain(pair).collect();
                let halfword = Access { buffer, index, ty: Ty::I16, border: None };
                self.byte.of_halfword(extended(Expr::Load(halfword), Ty::I16))
            };
            let value = half.map_or(Expr::Int(0, Ty::I32), |half| load(halves.sources[half]));
            Stmt::Store(Access { buffer: made, index, ty: Ty::I8, border: None }, value)
        };
        let Layout { stride, bytes, .. } = &self.layout;
        let stores: Vec<Stmt> = bytes.iter().map(|(at, half)| store(self.index(&row, *at), *half)).collect();
        let mut block = loops.iter().rev().fold(stores, |body, l| vec![Stmt::For(l.clone(), body)]);
        let mut shape: Vec<u32> = self.outer.iter().copied().chain([*stride as u32]).collect();
        let behind = self.layout.end().saturating_sub(*stride);
        if behind > 0 {
            // What no row has at both ends: as much as rows run on into the next one.
            let rows = self.outer.iter().product::<u32>() as usize;
            let has = |at: usize| {
                bytes.iter().any(|(byte, _)| {
                    at.checked_sub(*byte)
                        .is_some_and(|start| start.is_multiple_of(*stride) && start / stride < rows)
                })
            };
            let end = rows * stride + behind;
            let ends = (0..end).filter(|at| (*at < behind || rows * stride <= *at) && !has(*at));
            block.extend(ends.map(|at| store(vec![Index::constant(at as i64)], None)));
            shape = vec![end as u32];
        }
        let mut constant = Buffer::new(name, Ty::I8, &shape, Role::Const(Init::Nest(block)));
        constant.map.align = WORD as u32;
        nest.add_buffer(constant)
    }

    /// A word as the constant `made` has it.
    fn value(&self, made: BufferId, word: Word, row: &[Index]) -> Expr {
        let (at, ror) = self.layout.word(self.all[&word]);
        let load = Access { buffer: made, index: self.index(row, at), ty: Ty::I8x4, border: None };
        self.byte.pair(Expr::Load(load), ror)
    }

    /// Fills a panel with the words that loops inside of a body read, at its start, and lets them read it.
    fn unpacked(
        &self,
        nest: &mut Nest,
        buffers: &[BufferId],
        made: BufferId,
        mut body: Vec<Stmt>,
    ) -> Result<Vec<Stmt>, Diagnostic> {
        let mut wanted: Vec<(usize, Word)> = Vec::new();
        let mut rows: Option<Rows> = None;
        for read in buffers.iter().flat_map(|buffer| reads(&mut body, *buffer)) {
            if !is_repeated(&read) {
                continue;
            }
            let first = rows.get_or_insert_with(|| Rows::of(&read));
            if Rows::of(&read).along(&first.loops) != first.along(&first.loops) {
                let name = &nest.buffers[read.access().buffer.idx()].name;
                let what = format!("cannot narrow `{name}`: loops inside read it in rows of several kinds");
                return Err(Diagnostic::new(what)
                    .help("legal at a loop inside of which all read the same; or without `at`"));
            }
            let (number, _) = position(read.access()).expect("the positions of all words are known");
            let word = (read.access().buffer, number);
            wanted.push((self.all[&word], word));
        }
        let Some(rows) = rows else { return Ok(body) };
        wanted.sort_unstable_by_key(|(at, word)| (self.layout.word(*at), *word)); // Pairs of one word together.
        wanted.dedup_by_key(|(at, _)| *at);
        let name = fresh_name(nest, &format!("{}_panel", nest.buffers[buffers[0].idx()].name));
        let extents = rows.loops.iter().map(|l| l.extent);
        let shape: Vec<u32> = extents.chain([wanted.len() as u32, PAIR as u32]).collect();
        let mut panel = Buffer::new(&name, Ty::I16, &shape, Role::Scratch);
        panel.map.align = WORD as u32;
        let panel = nest.add_buffer(panel);
        let place = |loops: &[Loop], at: usize| {
            let pair = [at, 0].map(|at| Index::constant(at as i64));
            let index = loops.iter().map(|l| Index::var(l.var)).chain(pair).collect();
            Access { buffer: panel, index, ty: Ty::I16x2, border: None }
        };
        for buffer in buffers {
            replace_reads(&mut body, *buffer, &|read| {
                let (number, _) = position(read.access())?;
                let pair = self.all[&(*buffer, number)];
                let at = wanted.iter().position(|(at, _)| *at == pair)?;
                is_repeated(read).then(|| Expr::Load(place(&Rows::of(read).loops, at)))
            });
        }
        let loops: Vec<Loop> = (0..rows.loops.len())
            .map(|dim| Loop {
                var: fresh_var(nest, &format!("{name}_{dim}")),
                extent: rows.loops[dim].extent,
                unroll: false,
            })
            .collect();
        let row = rows.along(&loops).unwrap_or_default();
        let fill = |(at, (_, word)): (usize, &(usize, Word))| {
            Stmt::Store(place(&loops, at), self.value(made, *word, &row))
        };
        let fills = wanted.iter().enumerate().map(fill).collect();
        let filled: Vec<Stmt> = loops.iter().rev().fold(fills, |inner, l| vec![Stmt::For(l.clone(), inner)]);
        Ok([filled, body].concat())
    }
}

/// The rows that a load inside of a block reads.
struct Rows {
    /// The index of a row.
    index: Vec<Index>,
    /// The loops of the block that it varies with.
    loops: Vec<Loop>,
}

impl Rows {
    fn of(read: &Read) -> Self {
        let (_, index) = position(read.access()).expect("the positions of all words are known");
        Rows { index: index.to_vec(), loops: read.varies_with().cloned().collect() }
    }

    /// The index with other loops in the place of its own; `None` where these have other extents.
    fn along(&self, loops: &[Loop]) -> Option<Vec<Index>> {
        let extents = |loops: &[Loop]| loops.iter().map(|l| l.extent).collect::<Vec<_>>();
        let value = |var: VarId| {
            let at = self.loops.iter().position(|l| l.var == var);
            Index::var(at.map_or(var, |at| loops[at].var))
        };
        let index = |()| self.index.iter().map(|index| index.substitute(&value)).collect();
        (extents(&self.loops) == extents(loops)).then_some(()).map(index)
    }
}

/// Whether a loop inside of the block repeats a load in the emitted code.
fn is_repeated(read: &Read) -> bool {
    read.inside.iter().any(|l| !l.unroll && l.extent > 1)
}
