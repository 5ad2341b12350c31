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
//! Legal for constants of halfwords in pairs, all with the same outer dimensions, that are read in words at positions known in the code.

use ir::diag::Diagnostic;
use ir::loops::interp::Constants;
use ir::loops::{Access, Buffer, BufferId, Expr, Index, Init, Loop, Nest, Prim, Reduce, Role, Stmt, VarId};
use ir::ty::Ty;

use super::edit::{blocks_mut, fresh_name, fresh_var, rename_locals, renew_vars, substitute};
use super::footprint::{reads, replace_reads};
use super::pack::constant;
use super::step::StepDef;
use crate::proofs::accumulators::{Interval, values};

/// The step.
pub const STEP: StepDef = StepDef {
    name: "narrow",
    usage: "narrow BUFFER …",
    summary: "Store pairs of halfwords whose values are bytes as bytes, two pairs in a word",
    run: |nest, args| {
        let buffers: Result<Vec<BufferId>, Diagnostic> =
            (0..args.len().max(1)).map(|at| constant(nest, args.word(at)?)).collect();
        narrow(nest, &buffers?)
    },
};

/// Elements of a word, and of the pairs that it holds.
const PAIR: usize = 2;
/// Bytes of a word.
const WORD: usize = 4;

/// Makes one constant of bytes of the words of `buffers`, at least one, that the body reads.
pub fn narrow(nest: &mut Nest, buffers: &[BufferId]) -> Result<(), Diagnostic> {
    let first = buffers[0];
    buffers.iter().try_for_each(|buffer| check_buffer(nest, *buffer, first))?;
    let mut body = std::mem::take(&mut nest.body);
    write_out(nest, buffers, &mut body);
    nest.body = body;
    let words = Words::of(nest, buffers)?;
    let made = words.add_constant(nest, first);
    for buffer in buffers {
        replace_reads(&mut nest.body, *buffer, &|read| {
            let (word, outer) = position(read.access()).expect("the positions of all words are known");
            Some(words.value(made, (*buffer, word), outer))
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
    let found = values(nest, buffer)?;
    let Interval { low, high } = Interval::of_type(Ty::I8);
    if found.low < low || high < found.high {
        return Err(error(format!(
            "its values run from {} to {}, those of `i8` from {low} to {high}",
            found.low, found.high
        ))
        .help("legal where every value is a byte, as before a `scale`"));
    }
    Ok(())
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

/// A word by its constant and its number there.
type Word = (BufferId, usize);

/// The words that are read.
struct Words {
    /// Those that differ, in the order in which they are read first.
    distinct: Vec<Word>,
    /// All, each with the position among those that differ.
    all: Vec<(Word, usize)>,
}

impl Words {
    fn of(nest: &mut Nest, buffers: &[BufferId]) -> Result<Self, Diagnostic> {
        let mut words = Words { distinct: Vec::new(), all: Vec::new() };
        let mut contents: Vec<Vec<u8>> = Vec::new();
        for buffer in buffers {
            let name = nest.buffers[buffer.idx()].name.clone();
            let error = |what: &str| Diagnostic::new(format!("cannot narrow `{name}`: {what}"));
            let places = reads(&mut nest.body, *buffer);
            if places.is_empty() {
                return Err(error("nothing reads it").help("name constants that the body reads"));
            }
            let bytes = Constants::new(nest).get(*buffer)?;
            for read in places {
                let Some((word, _)) = position(read.access()) else {
                    return Err(error("it is not read in words at positions known in the code").help(
                        "legal where loops that tell words apart are unrolled and not part of a reduction",
                    ));
                };
                if words.all.iter().any(|(have, _)| *have == (*buffer, word)) {
                    continue;
                }
                let content = content(&nest.buffers[buffer.idx()], &bytes, word);
                let at = contents.iter().position(|have| *have == content).unwrap_or(contents.len());
                if at == contents.len() {
                    contents.push(content);
                    words.distinct.push((*buffer, word));
                }
                words.all.push(((*buffer, word), at));
            }
        }
        Ok(words)
    }

    /// Adds the constant that holds the words that differ.
    fn add_constant(&self, nest: &mut Nest, first: BufferId) -> BufferId {
        let Buffer { name, shape, .. } = nest.buffers[first.idx()].clone();
        let outer = &shape[..shape.len() - PAIR];
        let name = fresh_name(nest, &format!("{name}_bytes"));
        let made = BufferId::new(nest.buffers.len());
        let loops: Vec<Loop> = (0..outer.len())
            .map(|dim| Loop {
                var: fresh_var(nest, &format!("{name}_{dim}")),
                extent: outer[dim],
                unroll: false,
            })
            .collect();
        let index = |inner: &[usize]| -> Vec<Index> {
            let inner = inner.iter().map(|at| Index::constant(*at as i64));
            loops.iter().map(|l| Index::var(l.var)).chain(inner).collect()
        };
        let row = self.distinct.len().next_multiple_of(PAIR) * PAIR;
        let store = |at: usize| {
            let value = match self.distinct.get(at / WORD * PAIR + at % PAIR) {
                Some((buffer, word)) => {
                    let half = at % WORD / PAIR;
                    let load =
                        Access { buffer: *buffer, index: index(&[*word, half]), ty: Ty::I16, border: None };
                    Expr::Op { prim: Prim::Sext, args: vec![Expr::Load(load)], imm: Vec::new() }
                }
                None => Expr::Int(0, Ty::I32),
            };
            Stmt::Store(Access { buffer: made, index: index(&[at]), ty: Ty::I8, border: None }, value)
        };
        let stores: Vec<Stmt> = (0..row).map(store).collect();
        let block = loops.iter().rev().fold(stores, |body, l| vec![Stmt::For(l.clone(), body)]);
        let shape: Vec<u32> = outer.iter().copied().chain([row as u32]).collect();
        let mut bytes = Buffer::new(name, Ty::I8, &shape, Role::Const(Init::Nest(block)));
        bytes.map.align = WORD as u32;
        nest.add_buffer(bytes)
    }

    /// A word as the constant `made` has it.
    fn value(&self, made: BufferId, word: Word, outer: &[Index]) -> Expr {
        let (_, at) =
            self.all.iter().find(|(have, _)| *have == word).expect("all words that are read are known");
        let index = outer.iter().cloned().chain([Index::constant((at / PAIR * WORD) as i64)]).collect();
        let load = Expr::Load(Access { buffer: made, index, ty: Ty::I8x4, border: None });
        Expr::Op { prim: Prim::Sxtb16, args: vec![load], imm: vec![8 * (at % PAIR) as i32] }
    }
}

/// What a word holds everywhere in the outer dimensions.
fn content(buffer: &Buffer, bytes: &[u8], word: usize) -> Vec<u8> {
    let row = buffer.shape[buffer.shape.len() - PAIR] as usize * PAIR;
    let positions = buffer.positions();
    let of_word = positions.chunks(row).flat_map(|row| &row[PAIR * word..PAIR * (word + 1)]);
    of_word.flat_map(|at| bytes[PAIR * at..PAIR * (at + 1)].iter().copied()).collect()
}
