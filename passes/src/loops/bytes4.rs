//! `vectorize AXIS bytes4`: four neighbouring bytes are loaded as one word.
//!
//! Of elements alone each byte is then taken out of its word; the products of [`super::short_add`] take halves of words. A maximum or minimum
//! compares four at once, and a sum adds two bytes in halfwords at a time, which its bounds must allow.

use ir::diag::Diagnostic;
use ir::loops::{Access, Expr, Index, LocalId, Nest, Prim, Reduce, Stmt, VarId};
use ir::ty::Ty;

use super::edit::{Site, fresh_local, loop_of, rename_locals, substitute, with_loop};
use super::sum_offset::{int, op};

/// Bytes in a word.
const LANES: u32 = 4;
/// The bytes 1 and 3 of a word, each as the upper half of a halfword.
const UPPER: i32 = 0xff00_ff00_u32 as i32;
/// The greatest absolute value of a byte.
const BYTE: i64 = 128;

/// Makes the four iterations of the loop over `axis` work on words.
pub fn bytes4(nest: &mut Nest, axis: VarId) -> Result<(), Diagnostic> {
    let name = nest.vars[axis.idx()].clone();
    let error = |what: String| Diagnostic::new(format!("cannot vectorize `{name}`: {what}"));
    let extent = loop_of(nest, axis).extent;
    if extent != LANES {
        return Err(error(format!("its extent is {extent}, not {LANES}"))
            .help(format!("split it first: `tile {name} 4`, then `vectorize {name}.i bytes4`")));
    }
    let body = with_loop(&mut nest.body, axis, &mut |site| match site {
        Site::For(block, at) => match &block[at] {
            Stmt::For(_, body) => Some(body.clone()),
            _ => unreachable!("a site is a loop"),
        },
        Site::Reduction(..) => None,
    });
    let Some(body) = body.flatten() else {
        return Err(error("it is a loop of a reduction".into())
            .help("legal: a loop around elements, or around one reduction of bytes"));
    };
    let mut bytes = Bytes { nest, axis, words: Vec::new() };
    let made = match &body[..] {
        [Stmt::Reduce(reduce)] => bytes.reduction(reduce).map(|reduce| vec![Stmt::Reduce(reduce)]),
        _ => bytes.elements(&body),
    };
    let made = made
        .map_err(|what| error(what).help("legal: bytes that follow each other from a multiple of four on"))?;
    with_loop(&mut nest.body, axis, &mut |site| {
        if let Site::For(block, at) = site {
            block.splice(at..=at, made.iter().cloned());
        }
    });
    Ok(())
}

/// A word that stands for four loads.
struct Word {
    /// The load of one byte, as it depends on the axis.
    byte: Access,
    word: LocalId,
    /// The bytes 0 and 2, and 1 and 3, times 256 in halfwords.
    halves: Option<[LocalId; 2]>,
}

struct Bytes<'n> {
    nest: &'n mut Nest,
    axis: VarId,
    words: Vec<Word>,
}

impl Bytes<'_> {
    /// Words, then each element by itself.
    fn elements(&mut self, body: &[Stmt]) -> Result<Vec<Stmt>, String> {
        let simple = body.iter().all(|stmt| matches!(stmt, Stmt::Let(..) | Stmt::Store(..)));
        if !simple {
            return Err("inside stands more than elements".into());
        }
        let mut lanes = Vec::new();
        for lane in 0..LANES {
            let mut copy = body.to_vec();
            for stmt in &mut copy {
                if let Stmt::Let(_, value) | Stmt::Store(_, value) = stmt {
                    self.take_out(value, lane);
                }
            }
            self.renew(&mut copy, lane);
            lanes.extend(copy);
        }
        if self.words.is_empty() {
            return Err("nothing in it loads four bytes in a row".into());
        }
        let overwritten = |word: &Word| super::edit::stores_to(body, word.byte.buffer);
        if let Some(word) = self.words.iter().find(|word| overwritten(word)) {
            let name = &self.nest.buffers[word.byte.buffer.idx()].name;
            return Err(format!("`{name}` is stored to as well"));
        }
        let mut made = self.loads();
        made.extend(lanes);
        Ok(made)
    }

    /// The loads of all words, and their halves.
    fn loads(&mut self) -> Vec<Stmt> {
        let mut made = Vec::new();
        for word in &self.words {
            made.push(Stmt::Let(word.word, Expr::Load(self.wide(&word.byte))));
        }
        for word in &self.words {
            let Some([even, odd]) = word.halves else { continue };
            let value = Expr::Local(word.word, Vec::new());
            let masked = |value| op(Prim::AsI16x2, vec![op(Prim::And, vec![value, int(UPPER)])]);
            let left = op(Prim::Shl, vec![op(Prim::AsI32, vec![value.clone()]), int(8)]);
            made.push(Stmt::Let(even, masked(left)));
            made.push(Stmt::Let(odd, masked(value)));
        }
        made
    }

    /// Takes a lane out of words in the place of loads of bytes.
    fn take_out(&mut self, expr: &mut Expr, lane: u32) {
        if let Expr::Op { prim: Prim::MulShift16, args, .. } = expr
            && let Some(byte) = upper_byte(&args[1])
            && let Some(word) = self.word(byte)
        {
            let pair = self.halves(word)[(lane % 2) as usize];
            let half = if lane < 2 { Prim::Bot } else { Prim::Top };
            args[1] = op(half, vec![Expr::Local(pair, Vec::new())]);
            return;
        }
        if let Expr::Op { prim: prim @ (Prim::Sext | Prim::Zext), args, .. } = expr
            && let Expr::Load(byte) = &args[0]
            && let Some(word) = self.word(byte)
        {
            let field = if *prim == Prim::Sext { Prim::Sbfx } else { Prim::Ubfx };
            *expr = field_of(field, self.words[word].word, lane);
            return;
        }
        match expr {
            Expr::Op { args, .. } => args.iter_mut().for_each(|arg| self.take_out(arg, lane)),
            Expr::Lookup(_, at) => self.take_out(at, lane),
            Expr::Int(..) | Expr::Index(_) | Expr::Local(..) | Expr::Load(_) => {}
        }
    }

    /// The word that holds a byte, if four of its kind make one.
    fn word(&mut self, byte: &Access) -> Option<usize> {
        if let Some(known) = self.words.iter().position(|word| word.byte == *byte) {
            return Some(known);
        }
        if !self.is_row(byte) {
            return None;
        }
        let word = fresh_local(self.nest, "v", packed(byte.ty));
        self.words.push(Word { byte: byte.clone(), word, halves: None });
        Some(self.words.len() - 1)
    }

    fn halves(&mut self, word: usize) -> [LocalId; 2] {
        if let Some(halves) = self.words[word].halves {
            return halves;
        }
        let halves = ["even", "odd"].map(|name| fresh_local(self.nest, name, Ty::I16x2));
        self.words[word].halves = Some(halves);
        halves
    }

    /// Whether the four iterations read or write a row of bytes that begins at a multiple of four.
    fn is_row(&self, byte: &Access) -> bool {
        let buffer = &self.nest.buffers[byte.buffer.idx()];
        let is_byte = matches!(byte.ty, Ty::I8 | Ty::U8) && buffer.elem == byte.ty && byte.border.is_none();
        let at: Vec<Vec<Index>> = (0..LANES).map(|lane| self.at(byte, lane)).collect();
        let follows = |pair: &[Vec<Index>]| {
            let by: Vec<Option<i64>> =
                pair[0].iter().zip(&pair[1]).map(|(a, b)| b.add(&a.scale(-1)).as_constant()).collect();
            let still = by.iter().filter(|by| **by == Some(0)).count();
            let distance = buffer.map.position(&pair[1]).add(&buffer.map.position(&pair[0]).scale(-1));
            still + 1 == by.len() && by.contains(&Some(1)) && distance.as_constant() == Some(1)
        };
        let first = buffer.map.position(&at[0]).modulo(LANES);
        is_byte && at.windows(2).all(follows) && first.as_constant() == Some(0)
    }

    /// The index in an iteration.
    fn at(&self, access: &Access, lane: u32) -> Vec<Index> {
        let value =
            |var: VarId| if var == self.axis { Index::constant(lane.into()) } else { Index::var(var) };
        access.index.iter().map(|index| index.substitute(&value)).collect()
    }

    /// The access to all four.
    fn wide(&self, byte: &Access) -> Access {
        Access { index: self.at(byte, 0), ty: packed(byte.ty), ..byte.clone() }
    }

    /// Makes a copy of the body the one of an iteration.
    fn renew(&mut self, copy: &mut [Stmt], lane: u32) {
        substitute(copy, self.axis, &Index::constant(lane.into()));
        rename_locals(self.nest, copy);
    }

    /// The reduction of all four.
    fn reduction(&mut self, reduce: &Reduce) -> Result<Reduce, String> {
        let Reduce { carried, loops, init, update, finish } = reduce;
        let ([a], [Stmt::Set(first, _, Expr::Int(start, _))], [Stmt::Set(next, at, value)]) =
            (&carried[..], &init[..], &update[..])
        else {
            return Err("its reduction has more than one value, or a start that is no literal".into());
        };
        let itself = Expr::Local(*a, Vec::new());
        let Expr::Op { prim, args, .. } = value else { return Err("its reduction has no operation".into()) };
        let operand = if args[0] == itself { args.get(1) } else { args.first() };
        let is_of_itself = first == a && next == a && at.is_empty() && args.contains(&itself);
        let byte = match operand {
            Some(Expr::Op { prim: Prim::Sext | Prim::Zext, args, .. }) => match &args[0] {
                Expr::Load(byte) if is_of_itself && self.is_row(byte) => byte.clone(),
                _ => return Err("its reduction is none of bytes in a row".into()),
            },
            _ => return Err("its reduction is none of bytes".into()),
        };
        let simple = finish.iter().all(|stmt| matches!(stmt, Stmt::Let(..) | Stmt::Store(..)));
        if !simple {
            return Err("its reduction ends in more than elements".into());
        }
        let steps: i64 = loops.iter().map(|l| i64::from(l.extent)).product();
        let load = Expr::Load(self.wide(&byte));
        let word = fresh_local(self.nest, "v", packed(byte.ty));
        let loaded = Stmt::Let(word, load);
        let word = Expr::Local(word, Vec::new());
        match prim {
            Prim::Max | Prim::Min
                if byte.ty.range().is_some_and(|(low, high)| (low..=high).contains(start)) =>
            {
                let best = self.renamed(*a, "", packed(byte.ty));
                let best_word = Expr::Local(best, Vec::new());
                let [kept, other] =
                    if *prim == Prim::Max { [&best_word, &word] } else { [&word, &best_word] };
                let args = [&best_word, &word, kept, other].map(Expr::clone).to_vec();
                let start = (*start as u8 as u32).wrapping_mul(0x0101_0101) as i32;
                let as_bytes = if byte.ty == Ty::I8 { Prim::AsI8x4 } else { Prim::AsU8x4 };
                let field = if byte.ty == Ty::I8 { Prim::Sbfx } else { Prim::Ubfx };
                Ok(Reduce {
                    carried: vec![best],
                    loops: loops.clone(),
                    init: vec![Stmt::Set(best, Vec::new(), op(as_bytes, vec![int(start)]))],
                    update: vec![loaded, Stmt::Set(best, Vec::new(), op(Prim::SelectGe4, args))],
                    finish: self.ended(finish, *a, best, &|lane| field_of(field, best, lane)),
                })
            }
            Prim::Add if start.abs() + BYTE * steps < 1 << 15 && byte.ty == Ty::I8 => {
                let sums = ["even", "odd"].map(|suffix| self.renamed(*a, suffix, Ty::I16x2));
                let start = (*start as u16 as u32).wrapping_mul(0x0001_0001) as i32;
                let begin = |sum| Stmt::Set(sum, Vec::new(), op(Prim::AsI16x2, vec![int(start)]));
                let step = |(sum, rotation): (LocalId, i32)| {
                    let extended =
                        Expr::Op { prim: Prim::Sxtb16, args: vec![word.clone()], imm: vec![rotation] };
                    let sum_word = Expr::Local(sum, Vec::new());
                    Stmt::Set(sum, Vec::new(), op(Prim::Add2, vec![sum_word, extended]))
                };
                let [even, odd] = sums;
                let of_lane = |lane: u32| {
                    let half = if lane < 2 { Prim::Bot } else { Prim::Top };
                    op(half, vec![Expr::Local(sums[(lane % 2) as usize], Vec::new())])
                };
                Ok(Reduce {
                    carried: sums.to_vec(),
                    loops: loops.clone(),
                    init: sums.map(begin).to_vec(),
                    update: [vec![loaded], [(even, 0), (odd, 8)].map(step).to_vec()].concat(),
                    finish: self.ended(finish, *a, *a, &of_lane),
                })
            }
            Prim::Add => Err(format!("sums of {steps} bytes may leave a halfword")),
            _ => Err("its reduction is no sum, maximum or minimum".into()),
        }
    }

    fn renamed(&mut self, local: LocalId, suffix: &str, ty: Ty) -> LocalId {
        let name = self.nest.locals[local.idx()].name.clone();
        let name = if suffix.is_empty() { format!("{name}_4") } else { format!("{name}_{suffix}") };
        fresh_local(self.nest, &name, ty)
    }

    /// The end of the reduction, for each lane; four bytes that are stored as they are make a word.
    fn ended(
        &mut self,
        finish: &[Stmt],
        old: LocalId,
        new: LocalId,
        lane_of: &dyn Fn(u32) -> Expr,
    ) -> Vec<Stmt> {
        if let [Stmt::Store(access, Expr::Local(stored, _))] = finish
            && (*stored == old && new != old && self.is_row(access))
        {
            return vec![Stmt::Store(self.wide(access), Expr::Local(new, Vec::new()))];
        }
        let mut made = Vec::new();
        for lane in 0..LANES {
            let mut copy = finish.to_vec();
            for stmt in &mut copy {
                if let Stmt::Let(_, value) | Stmt::Store(_, value) = stmt {
                    replace(value, old, &lane_of(lane));
                }
            }
            self.renew(&mut copy, lane);
            made.extend(copy);
        }
        made
    }
}

/// The byte of `shl(sext(…), 8)`.
fn upper_byte(expr: &Expr) -> Option<&Access> {
    let Expr::Op { prim: Prim::Shl, args, .. } = expr else { return None };
    match &args[..] {
        [Expr::Op { prim: Prim::Sext, args, .. }, Expr::Int(8, _)] => match &args[0] {
            Expr::Load(byte) => Some(byte),
            _ => None,
        },
        _ => None,
    }
}

/// A byte of a word.
fn field_of(prim: Prim, word: LocalId, lane: u32) -> Expr {
    Expr::Op { prim, args: vec![Expr::Local(word, Vec::new())], imm: vec![8 * lane as i32, 8] }
}

/// The word of four of these.
fn packed(byte: Ty) -> Ty {
    if byte == Ty::U8 { Ty::U8x4 } else { Ty::I8x4 }
}

fn replace(expr: &mut Expr, local: LocalId, new: &Expr) {
    match expr {
        Expr::Local(found, _) if *found == local => *expr = new.clone(),
        Expr::Op { args, .. } => args.iter_mut().for_each(|arg| replace(arg, local, new)),
        Expr::Lookup(_, at) => replace(at, local, new),
        Expr::Int(..) | Expr::Index(_) | Expr::Local(..) | Expr::Load(_) => {}
    }
}
