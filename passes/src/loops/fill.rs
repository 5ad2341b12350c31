//! Writes a panel: the statements that copy a footprint, widen it perhaps, and put the border around it.
//!
//! ```text
//! for row in 0..6 {
//!   x_panel[row + 1, 1] = sext x[row, 0]                    // To the next word of the panel.
//!   for word in 0..2 { … x_panel[row + 1, 4*word + 2] … }   // Four bytes in, two words out.
//!   x_panel[row + 1, 10] = sext x[row, 9]                   // What is left.
//! }
//! ```
//!
//! What lies outside of the buffer is the same in every iteration of the loops around. So it is written once, before everything else,
//! and stays: nothing else writes there.
//!
//! Where four elements follow each other in the source along one dimension, and along another in the panel, words of two neighbours
//! become four words of pairs: the planes of four channels at once.

use ir::loops::{Access, BufferId, Expr, Index, LocalId, Loop, Nest, Prim, Stmt, VarId};
use ir::ty::Ty;

use super::edit::{extended, fresh_local, fresh_var};
use super::footprint::Footprint;

/// Writes one panel.
pub struct Fill<'a> {
    /// The nest that has both buffers.
    pub nest: &'a mut Nest,
    /// What is copied.
    pub source: BufferId,
    /// Where it goes.
    pub panel: BufferId,
    /// Which elements these are.
    pub footprint: &'a Footprint,
    /// The dimensions of the panel, outermost in storage first.
    pub order: Vec<usize>,
    /// By dimension of the panel, the first position inside of the source and the first behind that.
    pub inside: Vec<(u32, u32)>,
}

/// How elements of a panel that follow each other are copied at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    /// As a word of this type.
    Copied(Ty),
    /// Four bytes become two pairs: in order, or bytes 0 and 2 before 1 and 3.
    Widened { in_order: bool },
    /// Four bytes along this dimension, twice, become four pairs.
    Turned(usize),
}

impl Fill<'_> {
    /// Copies what is inside of the source.
    pub fn copy(&mut self) -> Vec<Stmt> {
        let last = *self.order.last().expect("a panel has a dimension");
        // Variables of no loop stand for the position: the same must hold at each.
        let anywhere = |dim: usize| Index::var(VarId::new(self.nest.vars.len() + 1 + dim));
        let anywhere: Vec<Index> = (0..self.order.len()).map(anywhere).collect();
        let words = self.words(&anywhere, last).or_else(|| self.turned(&anywhere, last));
        self.dims(0, vec![Index::constant(0); self.order.len()], words)
    }

    /// Writes `value` to the positions outside of the source.
    pub fn border(&mut self, value: i64) -> Vec<Stmt> {
        let value = if self.is_biased() { value + BIAS } else { value };
        self.outside(0, vec![Index::constant(0); self.order.len()], false, value)
    }

    /// Statements for the dimensions from `self.order[depth]` on; some dimension before is outside if `outside`.
    fn outside(&mut self, depth: usize, at: Vec<Index>, outside: bool, value: i64) -> Vec<Stmt> {
        let Some(&dim) = self.order.get(depth) else {
            let value = Expr::Int(value, Ty::I32);
            return if outside { vec![Stmt::Store(self.target(at, self.elem()), value)] } else { Vec::new() };
        };
        let extent = self.footprint.shape[dim];
        if outside {
            return self
                .over(dim, 0, extent, |fill, n| fill.outside(depth + 1, with(&at, dim, n), true, value));
        }
        let (first, end) = self.inside[dim];
        let mut stmts = Vec::new();
        for (from, to, outside) in [(0, first, true), (first, end, false), (end, extent, true)] {
            stmts.extend(
                self.over(dim, from, to, |fill, n| {
                    fill.outside(depth + 1, with(&at, dim, n), outside, value)
                }),
            );
        }
        stmts
    }

    fn dims(&mut self, depth: usize, at: Vec<Index>, words: Option<Words>) -> Vec<Stmt> {
        let dim = self.order[depth];
        if depth + 1 == self.order.len() {
            return self.row(&at, dim, words);
        }
        if words == Some(Words::Turned(dim)) {
            return self.dims(depth + 1, at, words); // Its loop stands innermost.
        }
        let (from, to) = self.inside[dim];
        self.over(dim, from, to, |fill, n| fill.dims(depth + 1, with(&at, dim, n), words))
    }

    /// The last dimension: single elements up to a word of the panel, words as far as they go, then what is left.
    fn row(&mut self, at: &[Index], dim: usize, words: Option<Words>) -> Vec<Stmt> {
        let (from, to) = self.inside[dim];
        let Some(words) = words else { return self.singles(at, dim, from, to, None) };
        let size = match words {
            Words::Turned(_) => Ty::I16x2.lanes(),
            _ => self.word().lanes(),
        };
        let start = self.first_word(at, dim);
        let n_words = (to - start) / size;
        let mut stmts = self.singles(at, dim, from, start, Some(words));
        stmts.extend(self.over(dim, 0, n_words, |fill, n| {
            let to = with(at, dim, n.scale(size.into()).offset(start.into()));
            match words {
                Words::Turned(across) => fill.turn(across, dim, to),
                words => fill.copy_words(words, dim, to),
            }
        }));
        stmts.extend(self.singles(at, dim, start + n_words * size, to, Some(words)));
        stmts
    }

    /// Where a word of the panel begins first along a dimension.
    fn first_word(&self, at: &[Index], dim: usize) -> u32 {
        let (from, to) = self.inside[dim];
        let first = with(at, dim, Index::constant(from.into()));
        let lanes = WORD_BYTES / self.elem().bytes() as u32;
        let past_a_word = self.nest.buffers[self.panel.idx()].map.position(&first).modulo(lanes);
        let past_a_word = past_a_word.as_constant().unwrap_or(0) as u32;
        to.min(from + (lanes - past_a_word) % lanes)
    }

    /// Elements one by one; those across a word too, where words are turned.
    fn singles(&mut self, at: &[Index], dim: usize, from: u32, to: u32, words: Option<Words>) -> Vec<Stmt> {
        self.over(dim, from, to, |fill, n| {
            let at = with(at, dim, n);
            match words {
                Some(Words::Turned(across)) => {
                    let (from, to) = fill.inside[across];
                    fill.over(across, from, to, |fill, n| vec![fill.element(with(&at, across, n))])
                }
                _ => vec![fill.element(at)],
            }
        })
    }

    /// Two neighbours along `dim`: four elements at once along `across` as far as they go, then what is left.
    fn turn(&mut self, across: usize, dim: usize, at: Vec<Index>) -> Vec<Stmt> {
        let (from, to) = self.inside[across];
        let size = self.word().lanes();
        let n_words = (to - from) / size;
        let place = |n: Index| with(&at, across, n.scale(size.into()).offset(from.into()));
        let mut stmts = self.over(across, 0, n_words, |fill, n| fill.turn_words(across, dim, place(n)));
        stmts.extend(self.over(across, from + n_words * size, to, |fill, n| {
            let first = with(&at, across, n);
            let second = with(&first, dim, first[dim].offset(1));
            vec![fill.element(first), fill.element(second)]
        }));
        stmts
    }

    fn turn_words(&mut self, across: usize, dim: usize, at: Vec<Index>) -> Vec<Stmt> {
        let neighbour = with(&at, dim, at[dim].offset(1));
        let (first, a) = self.named_word(&at);
        let (second, b) = self.named_word(&neighbour);
        let mut stmts = vec![first, second];
        for (ror, lanes) in [(0, [0, 2]), (8, [1, 3])] {
            let (a, b) = (self.halves(a, ror), self.halves(b, ror));
            let low = op(Prim::PackBotTop, vec![a.clone(), b.clone()], vec![16]);
            let high = op(Prim::PackTopBot, vec![b, a], vec![16]);
            for (lane, pair) in lanes.into_iter().zip([low, high]) {
                let to = with(&at, across, at[across].offset(lane));
                stmts.push(Stmt::Store(self.target(to, Ty::I16x2), pair));
            }
        }
        stmts
    }

    /// A loop over `from..to`: none for nothing, and the body alone for one iteration.
    fn over(
        &mut self,
        dim: usize,
        from: u32,
        to: u32,
        body: impl FnOnce(&mut Self, Index) -> Vec<Stmt>,
    ) -> Vec<Stmt> {
        match to.saturating_sub(from) {
            0 => Vec::new(),
            1 => body(self, Index::constant(from.into())),
            extent => {
                let name = format!("{}_{dim}", self.nest.buffers[self.panel.idx()].name);
                let var = fresh_var(self.nest, &name);
                let body = body(self, Index::var(var).offset(from.into()));
                let nothing = body.is_empty();
                if nothing { body } else { vec![Stmt::For(Loop { var, extent, unroll: false }, body)] }
            }
        }
    }

    fn element(&self, to: Vec<Index>) -> Stmt {
        let elem = self.nest.buffers[self.source.idx()].elem;
        let mut value = extended(self.load(&to, elem), elem);
        if self.is_biased() {
            value = op(Prim::Add, vec![value, Expr::Int(BIAS, Ty::I32)], Vec::new());
        }
        Stmt::Store(self.target(to, self.elem()), value)
    }

    /// Whether signed bytes become unsigned ones.
    fn is_biased(&self) -> bool {
        (self.nest.buffers[self.source.idx()].elem, self.elem()) == (Ty::I8, Ty::U8)
    }

    fn copy_words(&mut self, words: Words, dim: usize, to: Vec<Index>) -> Vec<Stmt> {
        if let Words::Copied(word) = words {
            let load = self.load(&to, word);
            if self.is_biased() {
                let flipped = op(Prim::Xor, vec![load, Expr::Int(SIGNS, Ty::I32)], Vec::new());
                let bytes = op(Prim::AsU8x4, vec![flipped], Vec::new());
                return vec![Stmt::Store(self.target(to, Ty::U8x4), bytes)];
            }
            return vec![Stmt::Store(self.target(to, word), load)];
        }
        let (load, bytes) = self.named_word(&to);
        let (even, odd) = (self.halves(bytes, 0), self.halves(bytes, 8));
        let (first, second) = match words {
            Words::Widened { in_order: true } => (
                op(Prim::PackBotTop, vec![even.clone(), odd.clone()], vec![16]),
                op(Prim::PackTopBot, vec![odd, even], vec![16]),
            ),
            _ => (even, odd),
        };
        let behind = with(&to, dim, to[dim].offset(Ty::I16x2.lanes().into()));
        vec![
            load,
            Stmt::Store(self.target(to, Ty::I16x2), first),
            Stmt::Store(self.target(behind, Ty::I16x2), second),
        ]
    }

    /// A load of a word of the source with a name.
    fn named_word(&mut self, at: &[Index]) -> (Stmt, LocalId) {
        let word = self.word();
        let load = self.load(at, word);
        let bytes = fresh_local(self.nest, "v", word);
        (Stmt::Let(bytes, load), bytes)
    }

    /// Two bytes of a word as halfwords: 0 and 2 after a rotation.
    fn halves(&self, bytes: LocalId, ror: i32) -> Expr {
        let prim = if self.word() == Ty::U8x4 { Prim::Uxtb16 } else { Prim::Sxtb16 };
        op(prim, vec![Expr::Local(bytes, Vec::new())], vec![ror])
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

    /// How words along a dimension are copied; `None` where their elements do not follow each other in the source.
    fn words(&self, at: &[Index], dim: usize) -> Option<Words> {
        let source = &self.nest.buffers[self.source.idx()];
        let lanes = i64::from(self.word().lanes());
        // A variable of no loop stands for the number of the word: the same must hold for each.
        let number = Index::var(VarId::new(self.nest.vars.len()));
        let (from, to) = self.inside[dim];
        let start = number.scale(lanes).offset(self.first_word(at, dim).into());
        let index = |lane: i64| self.footprint.source(&with(at, dim, start.offset(lane)));
        let first = index(0);
        let apart = |index: &[Index]| {
            source.map.position(index).add(&source.map.position(&first).scale(-1)).as_constant()
        };
        let moved = |dim: usize, lane: i64| with(&first, dim, first[dim].offset(lane));
        let in_a_row =
            (0..first.len()).any(|dim| (1..lanes).all(|lane| apart(&moved(dim, lane)) == Some(lane)));
        let order: Option<Vec<i64>> = (0..lanes).map(|lane| apart(&index(lane))).collect();
        if !in_a_row || lanes == 1 || i64::from(to) - i64::from(from) < lanes {
            return None;
        }
        match (self.elem() == source.elem || self.is_biased(), order?.as_slice()) {
            (true, order) if order.iter().copied().eq(0..lanes) => Some(Words::Copied(self.word())),
            (false, [0, 1, 2, 3]) => Some(Words::Widened { in_order: true }),
            (false, [0, 2, 1, 3]) => Some(Words::Widened { in_order: false }),
            _ => None,
        }
    }

    /// A dimension other than `last` along which four bytes follow each other in the source.
    fn turned(&self, at: &[Index], last: usize) -> Option<Words> {
        let across =
            |dim: &usize| *dim != last && self.words(at, *dim) == Some(Words::Widened { in_order: true });
        let (from, to) = self.inside[last];
        let dims = (0..self.order.len()).filter(across);
        dims.map(Words::Turned).next().filter(|_| self.elem() == Ty::I16 && to >= from + Ty::I16x2.lanes())
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

/// What signed bytes have added as unsigned ones.
pub const BIAS: i64 = 128;
/// The signs of four bytes: flipped, each has [`BIAS`] added.
const SIGNS: i64 = 0x8080_8080_u32 as i32 as i64;
/// A word starts at a multiple of this many bytes.
const WORD_BYTES: u32 = 4;

/// The position with another index in one dimension.
fn with(at: &[Index], dim: usize, index: Index) -> Vec<Index> {
    let mut at = at.to_vec();
    at[dim] = index;
    at
}

fn op(prim: Prim, args: Vec<Expr>, imm: Vec<i32>) -> Expr {
    Expr::Op { prim, args, imm }
}
