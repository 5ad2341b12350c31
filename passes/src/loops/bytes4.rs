//! `vectorize AXIS bytes4`: four neighbouring bytes are loaded as one word.
//!
//! Of elements alone each byte is then taken out of its word; the products of [`super::short_add`] take halves of words. A maximum or minimum
//! compares four at once, and a sum adds two bytes in halfwords at a time, which its bounds must allow.

use ir::diag::Diagnostic;
use ir::loops::{Access, Expr, Index, LocalId, Loop, Nest, Prim, Reduce, Stmt, VarId};
use ir::ty::Ty;

use super::edit::{Site, body_of, fresh_local, loop_of, rename_locals, substitute, with_loop};
use super::sum_offset::{int, op};

/// Bytes in a word.
const LANES: u32 = 4;
/// The bytes 1 and 3 of a word, each as the upper half of a halfword.
const UPPER: i32 = 0xff00_ff00_u32 as i32;
/// The greatest absolute value of a byte.
const BYTE: i64 = 128;
/// The first value that a halfword has no room for.
const HALFWORD: i64 = 1 << 15;

/// Makes the four iterations of the loop over `axis` work on words.
pub fn bytes4(nest: &mut Nest, axis: VarId) -> Result<(), Diagnostic> {
    let name = nest.vars[axis.idx()].clone();
    let error = |what: String| Diagnostic::new(format!("cannot vectorize `{name}`: {what}"));
    let extent = loop_of(nest, axis).extent;
    if extent != LANES {
        return Err(error(format!("its extent is {extent}, not {LANES}"))
            .help(format!("split it first: `tile {name} 4`, then `vectorize {name}.i bytes4`")));
    }
    let Some(body) = body_of(nest, axis, |_, _| None) else {
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
        let at: Vec<Index> = (0..LANES).map(|lane| buffer.map.position(&self.at(byte, lane))).collect();
        let follows = |pair: &[Index]| pair[1].add(&pair[0].scale(-1)).as_constant() == Some(1);
        is_byte && at.windows(2).all(follows) && at[0].modulo(LANES).as_constant() == Some(0)
    }

    /// Whether the four are neighbours in one dimension: words are stored to such alone.
    fn is_within_dimension(&self, byte: &Access) -> bool {
        let at: Vec<Vec<Index>> = (0..LANES).map(|lane| self.at(byte, lane)).collect();
        let follows = |pair: &[Vec<Index>]| {
            let by: Vec<Option<i64>> =
                pair[0].iter().zip(&pair[1]).map(|(a, b)| b.add(&a.scale(-1)).as_constant()).collect();
            let still = by.iter().filter(|by| **by == Some(0)).count();
            still + 1 == by.len() && by.contains(&Some(1))
        };
        at.windows(2).all(follows)
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
        let ([a], [Stmt::Set(first, _, Expr::Int(start, _))]) = (&reduce.carried[..], &reduce.init[..])
        else {
            return Err("its reduction has more than one value, or a start that is no literal".into());
        };
        if first != a || !reduce.finish.iter().all(|stmt| matches!(stmt, Stmt::Let(..) | Stmt::Store(..))) {
            return Err("its reduction ends in more than elements".into());
        }
        let mut terms = Vec::new();
        self.terms(*a, &reduce.update, &mut terms)?;
        let (prim, ty) =
            terms.first().map(|(prim, byte)| (*prim, byte.ty)).ok_or("its reduction is empty")?;
        if terms.iter().any(|(other, byte)| (*other, byte.ty) != (prim, ty)) {
            return Err("its reduction has several operations".into());
        }
        match prim {
            Prim::Max | Prim::Min if ty.range().is_some_and(|(low, high)| (low..=high).contains(start)) => {
                Ok(self.greatest(reduce, *a, (prim, ty), *start))
            }
            Prim::Add if ty == Ty::I8 => self.sum(reduce, *a, *start),
            _ => Err("its reduction is no sum, maximum or minimum".into()),
        }
    }

    /// The operations of an update and what they take in: bytes in a row, in any number of loops.
    fn terms(&self, a: LocalId, update: &[Stmt], found: &mut Vec<(Prim, Access)>) -> Result<(), String> {
        let itself = Expr::Local(a, Vec::new());
        for stmt in update {
            match stmt {
                Stmt::For(_, body) => self.terms(a, body, found)?,
                Stmt::Set(next, at, Expr::Op { prim, args, .. })
                    if *next == a && at.is_empty() && args.len() == 2 && args.contains(&itself) =>
                {
                    match byte_of(&args[usize::from(args[0] == itself)]) {
                        Some(byte) if self.is_row(byte) => found.push((*prim, byte.clone())),
                        _ => return Err("its reduction is none of bytes in a row".into()),
                    }
                }
                _ => return Err("its reduction has no operation, or more than that".into()),
            }
        }
        Ok(())
    }

    /// Four greatest or least bytes at once.
    fn greatest(&mut self, reduce: &Reduce, a: LocalId, (prim, ty): (Prim, Ty), start: i64) -> Reduce {
        let best = self.renamed(a, "", packed(ty));
        let best_word = Expr::Local(best, Vec::new());
        let start = (start as u8 as u32).wrapping_mul(0x0101_0101) as i32;
        let as_bytes = if ty == Ty::I8 { Prim::AsI8x4 } else { Prim::AsU8x4 };
        let field = if ty == Ty::I8 { Prim::Sbfx } else { Prim::Ubfx };
        let update = self.updated(&reduce.update, &|word| {
            let [kept, other] = if prim == Prim::Max { [&best_word, &word] } else { [&word, &best_word] };
            let args = [&best_word, &word, kept, other].map(Expr::clone).to_vec();
            vec![Stmt::Set(best, Vec::new(), op(Prim::SelectGe4, args))]
        });
        Reduce {
            carried: vec![best],
            loops: reduce.loops.clone(),
            init: vec![Stmt::Set(best, Vec::new(), op(as_bytes, vec![int(start)]))],
            update,
            finish: self.ended(&reduce.finish, a, best, &|lane| field_of(field, best, lane)),
        }
    }

    /// Two sums in halfwords at a time. Where loops follow each other, as many of them as surely fit are summed so; longer sums are
    /// made of those.
    fn sum(&mut self, reduce: &Reduce, a: LocalId, start: i64) -> Result<Reduce, String> {
        let around: i64 = reduce.loops.iter().map(|l| i64::from(l.extent)).product();
        let steps = around * reduce.update.iter().map(iterations).sum::<i64>();
        if start.abs() + BYTE * steps < HALFWORD {
            return Ok(self.halfwords(a, (&reduce.loops, &reduce.update), start, |bytes, lanes| {
                bytes.ended(&reduce.finish, a, a, &|lane| lanes[lane as usize].clone())
            }));
        }
        let groups = groups(&reduce.update).filter(|_| reduce.loops.is_empty());
        let groups = groups
            .ok_or(format!("sums of {steps} bytes may leave a halfword; parts may not: `split-reduction`"))?;
        let sums: Vec<LocalId> = (0..LANES).map(|lane| self.renamed(a, &lane.to_string(), Ty::I32)).collect();
        let sum = |lane: u32| Expr::Local(sums[lane as usize], Vec::new());
        let update = groups.into_iter().map(|group| {
            Stmt::Reduce(self.halfwords(a, (&[], group), 0, |_, lanes| {
                let added = |lane: u32| op(Prim::Add, vec![sum(lane), lanes[lane as usize].clone()]);
                (0..LANES).map(|lane| Stmt::Set(sums[lane as usize], Vec::new(), added(lane))).collect()
            }))
        });
        let update = update.collect();
        let begin = |sum: &LocalId| Stmt::Set(*sum, Vec::new(), int(start as i32));
        Ok(Reduce {
            carried: sums.clone(),
            loops: Vec::new(),
            init: sums.iter().map(begin).collect(),
            update,
            finish: self.ended(&reduce.finish, a, a, &sum),
        })
    }

    /// Sums in halfwords; `finish` gets them by lane.
    fn halfwords(
        &mut self,
        a: LocalId,
        (loops, update): (&[Loop], &[Stmt]),
        start: i64,
        finish: impl FnOnce(&mut Self, [Expr; 4]) -> Vec<Stmt>,
    ) -> Reduce {
        let sums = ["even", "odd"].map(|suffix| self.renamed(a, suffix, Ty::I16x2));
        let start = (start as u16 as u32).wrapping_mul(0x0001_0001) as i32;
        let begin = |sum| Stmt::Set(sum, Vec::new(), op(Prim::AsI16x2, vec![int(start)]));
        let update = self.updated(update, &|word| {
            let step = |(sum, rotation): (LocalId, i32)| {
                let extended = Expr::Op { prim: Prim::Sxtb16, args: vec![word.clone()], imm: vec![rotation] };
                Stmt::Set(sum, Vec::new(), op(Prim::Add2, vec![Expr::Local(sum, Vec::new()), extended]))
            };
            [(sums[0], 0), (sums[1], 8)].map(step).to_vec()
        });
        let lane = |lane: usize| {
            let half = if lane < 2 { Prim::Bot } else { Prim::Top };
            op(half, vec![Expr::Local(sums[lane % 2], Vec::new())])
        };
        let finish = finish(self, std::array::from_fn(lane));
        Reduce {
            carried: sums.to_vec(),
            loops: loops.to_vec(),
            init: sums.map(begin).to_vec(),
            update,
            finish,
        }
    }

    /// An update whose operations are replaced by what `made` makes of their words.
    fn updated(&mut self, update: &[Stmt], made: &dyn Fn(Expr) -> Vec<Stmt>) -> Vec<Stmt> {
        let mut all = Vec::new();
        for stmt in update {
            match stmt {
                Stmt::For(l, body) => all.push(Stmt::For(l.clone(), self.updated(body, made))),
                Stmt::Set(_, _, Expr::Op { args, .. }) => {
                    let byte = args.iter().find_map(byte_of).expect("each operation takes in a byte");
                    let word = fresh_local(self.nest, "v", packed(byte.ty));
                    all.push(Stmt::Let(word, Expr::Load(self.wide(byte))));
                    all.extend(made(Expr::Local(word, Vec::new())));
                }
                _ => unreachable!("an update has loops and operations"),
            }
        }
        all
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
            && (*stored == old && new != old && self.is_row(access) && self.is_within_dimension(access))
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

/// The byte of `sext(…)` or `zext(…)`.
fn byte_of(expr: &Expr) -> Option<&Access> {
    match expr {
        Expr::Op { prim: Prim::Sext | Prim::Zext, args, .. } => match &args[0] {
            Expr::Load(byte) => Some(byte),
            _ => None,
        },
        _ => None,
    }
}

/// How often an operation of an update runs.
fn iterations(stmt: &Stmt) -> i64 {
    match stmt {
        Stmt::For(l, body) => i64::from(l.extent) * body.iter().map(iterations).sum::<i64>(),
        _ => 1,
    }
}

/// An update in parts whose sums surely fit in halfwords; `None` where one of its statements is too long.
fn groups(update: &[Stmt]) -> Option<Vec<&[Stmt]>> {
    let mut groups = Vec::new();
    let (mut begin, mut steps) = (0, 0);
    for (at, stmt) in update.iter().enumerate() {
        let more = iterations(stmt);
        if BYTE * more >= HALFWORD {
            return None;
        }
        if BYTE * (steps + more) >= HALFWORD {
            groups.push(&update[begin..at]);
            (begin, steps) = (at, 0);
        }
        steps += more;
    }
    groups.push(&update[begin..]);
    Some(groups)
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
