//! `phases AXIS …`: pairs the products of a sliding window whose factors share a word into dual 16-bit multiply-accumulates.
//!
//! ```text
//! reduce a: i32[2] over kx in 0..3 { … update {
//!   for p in 0..2 unroll { a[p] = add a[p], mul(sext(x[2*c + p + kx]), sext(w[kx])) }
//! } … }
//! => phases kx
//! const w_words: i16[2, 2] = { … }                                 // (w0, w1), (w1, w2)
//! … update {                                                       // The words of x are (x0, x1), (x2, x3):
//!   a[0] = dot2 a[0], x[2*c] as i16x2, w_words[0, 0] as i16x2      // x0 w0 + x1 w1
//!   a[1] = add a[1], mul(top(x[2*c] as i16x2), bot(w_words[0, 0] as i16x2))             // x1 w0
//!   a[0] = add a[0], mul(bot(x[2*c + 2] as i16x2), top(w_words[1, 0] as i16x2))         // x2 w2
//!   a[1] = dot2 a[1], x[2*c + 2] as i16x2, w_words[1, 0] as i16x2  // x2 w1 + x3 w2
//! } …
//! ```
//!
//! What the axes and the unrolled loops inside repeat is written out. In each sum the two products whose data lie in one word become
//! one operation; a product alone takes halves of its words. A constant gets the words of weights: those of the pairs, and
//! what single products need besides. Products with one word of data follow each other; words come in the order in which the axes,
//! the first one named outermost, reach them.
//!
//! Legal where all inside are sums of products of an element of `i16` data, of which it is known whether it begins a word, and an
//! element of a constant. `stage x i16 pad 2` gives rows that begin with words; steps of two and an unrolled loop tell even from odd.

use ir::diag::Diagnostic;
use ir::loops::{Access, Buffer, BufferId, Expr, Index, Init, LocalId, Loop, Nest, Prim, Role, Stmt, VarId};
use ir::ty::Ty;

use super::edit::{Extents, Site, axes as all_axes, extended, fresh_name, loops, renew_vars, with_loop};
use super::step::StepDef;
use super::unroll::MOST_COPIES;

/// What a word of data is aligned to, in bytes.
const WORD_BYTES: u32 = 4;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "phases",
    usage: "phases AXIS …",
    summary: "Pair the products of a sliding window whose factors share a word",
    run: |nest, args| {
        let axes = args.axes(nest, 0)?;
        if axes.is_empty() {
            return Err(args.missing("an axis"));
        }
        phases(nest, &axes)
    },
};

/// Writes out what the loops over `axes` and the unrolled loops inside repeat, in pairs of products.
pub fn phases(nest: &mut Nest, axes: &[VarId]) -> Result<(), Diagnostic> {
    let window = Window { nest, axes, extents: loops(nest).iter().map(|l| (l.var, l.extent)).collect() };
    let root = window.root()?;
    let (words, products) = window.products(&root)?;
    let sums = paired(&products);
    let weights = Weights::of(&sums);
    let (body, outer) = written(&words, &sums, &weights, BufferId::new(nest.buffers.len()), nest);
    for word in &words {
        let map = &mut nest.buffers[word.buffer.idx()].map;
        map.align = map.align.max(WORD_BYTES);
        map.slack = map.slack.max(word.slack);
    }
    weights.add_constant(nest, &outer);
    replace(nest, axes, &body);
    Ok(())
}

/// The loops that are written out, and what the nest around says about them.
struct Window<'a> {
    nest: &'a Nest,
    axes: &'a [VarId],
    extents: Extents,
}

/// A statement `sum = add sum, mul(…, …)` with the loops around it that are written out.
struct Step {
    loops: Vec<Loop>,
    sum: (LocalId, Vec<Index>),
    factors: [Expr; 2],
}

/// An aligned word of data.
struct Word {
    buffer: BufferId,
    /// In storage, in elements.
    position: Index,
    /// The index of its first element, where a product reads it.
    index: Option<Vec<Index>>,
    /// The index of its second element, and the dimension along which the first one lies before it.
    second: Option<(Vec<Index>, usize)>,
    /// Bytes behind the buffer that it may read; the half there meets no weight.
    slack: u32,
}

/// One product, written out.
struct Product {
    sum: (LocalId, Vec<Index>),
    /// Which word of data.
    word: usize,
    /// Which half of it.
    high: bool,
    weight: Access,
}

/// What one word of data adds to a sum: the weights of its low and its high half.
struct Term {
    sum: (LocalId, Vec<Index>),
    word: usize,
    weights: [Option<Access>; 2],
}

impl Window<'_> {
    /// The statement that is written out: a loop, or all loops of a reduction from the first axis on around its update.
    fn root(&self) -> Result<Stmt, Diagnostic> {
        let mut body = self.nest.body.clone();
        let found = with_loop(&mut body, self.outermost(), &mut |site| match site {
            Site::For(block, at) => block[at].clone(),
            Site::Reduction(block, at, position) => {
                let Stmt::Reduce(reduce) = &block[at] else { unreachable!("a site is a reduction") };
                let around = reduce.loops[position..].iter().rev();
                let wrapped = around.fold(reduce.update.clone(), |body, l| vec![Stmt::For(l.clone(), body)]);
                wrapped.into_iter().next().expect("there is a loop")
            }
        });
        Ok(found.expect("the axes are in the body"))
    }

    fn outermost(&self) -> VarId {
        outermost(self.nest, self.axes)
    }

    /// The words of data and the products, in order.
    fn products(&self, root: &Stmt) -> Result<(Vec<Word>, Vec<Product>), Diagnostic> {
        let mut steps = Vec::new();
        self.steps(root, &mut Vec::new(), &mut steps)?;
        let copies: u64 = steps.iter().map(|step| points(&step.loops)).sum();
        if copies > MOST_COPIES {
            return Err(self
                .error(format!("{copies} products would stand in the code"))
                .help(format!("at most {MOST_COPIES}; name fewer axes, or jam fewer loops")));
        }
        let (mut words, mut products) = (Vec::new(), Vec::new());
        let axes: Vec<Loop> = self.axes.iter().map(|axis| self.axis(*axis)).collect();
        for outer in assignments(&axes) {
            for step in &steps {
                let rest: Vec<Loop> =
                    step.loops.iter().filter(|l| !self.axes.contains(&l.var)).cloned().collect();
                for inner in assignments(&rest) {
                    let value = |var: VarId| {
                        let found = outer.iter().chain(&inner).find(|(other, _)| *other == var);
                        found.map_or(Index::var(var), |(_, value)| Index::constant(*value))
                    };
                    products.push(self.product(step, &value, &mut words)?);
                }
            }
        }
        words.iter_mut().try_for_each(|word| self.complete(word))?;
        Ok((words, products))
    }

    fn axis(&self, axis: VarId) -> Loop {
        Loop { var: axis, extent: self.extents[&axis], unroll: true }
    }

    /// Collects the statements inside, which all must be sums of products.
    fn steps(&self, stmt: &Stmt, around: &mut Vec<Loop>, out: &mut Vec<Step>) -> Result<(), Diagnostic> {
        match stmt {
            Stmt::For(l, body) => {
                if !l.unroll && !self.axes.contains(&l.var) {
                    let name = &self.nest.vars[l.var.idx()];
                    return Err(self
                        .error(format!("the loop `{name}` inside is not unrolled"))
                        .help(format!("name it too, after a `reorder` perhaps, or `unroll {name}`")));
                }
                around.push(l.clone());
                body.iter().try_for_each(|stmt| self.steps(stmt, around, out))?;
                around.pop();
                Ok(())
            }
            Stmt::Set(local, at, value) => {
                if let Some(missing) = self.axes.iter().find(|axis| !around.iter().any(|l| l.var == **axis)) {
                    let name = &self.nest.vars[missing.idx()];
                    return Err(self
                        .error(format!("`{name}` is no loop around the same products"))
                        .help("name loops of one reduction that stand directly within each other"));
                }
                let itself = Expr::Local(*local, at.clone());
                let factors = factors(&itself, value).ok_or_else(|| self.no_product())?;
                out.push(Step { loops: around.clone(), sum: (*local, at.clone()), factors });
                Ok(())
            }
            Stmt::Let(..) | Stmt::Store(..) | Stmt::Reduce(_) => Err(self.no_product()),
        }
    }

    /// The product of one iteration; its word of data joins the others.
    fn product(
        &self,
        step: &Step,
        value: &dyn Fn(VarId) -> Index,
        words: &mut Vec<Word>,
    ) -> Result<Product, Diagnostic> {
        let fixed = |at: &[Index]| at.iter().map(|index| index.substitute(value)).collect::<Vec<_>>();
        let load = |factor: &Expr| -> Option<Access> {
            let access = super::footprint::read(factor)?;
            Some(Access { index: fixed(&access.index), ..access.clone() })
        };
        let [Some(a), Some(b)] = step.factors.each_ref().map(load) else { return Err(self.no_load()) };
        let (data, weight) = match [&a, &b].map(|access| self.nest.buffers[access.buffer.idx()].is_const()) {
            [false, true] => (a, b),
            [true, false] => (b, a),
            _ => return Err(self.no_load()),
        };
        self.check_weight(&weight)?;
        let (word, high) = self.word(data, words)?;
        Ok(Product { sum: (step.sum.0, fixed(&step.sum.1)), word, high, weight })
    }

    /// The number of the word that an element belongs to, and whether it is the second one there.
    fn word(&self, data: Access, words: &mut Vec<Word>) -> Result<(usize, bool), Diagnostic> {
        let buffer = &self.nest.buffers[data.buffer.idx()];
        self.check_data(&data, buffer)?;
        let range = |var: VarId| (0, i64::from(self.extents[&var]) - 1);
        let once = |var: VarId| if self.extents[&var] == 1 { Index::constant(0) } else { Index::var(var) };
        let position = buffer.map.position(&data.index).substitute(&once).within(&range);
        let name = &buffer.name;
        let Some(half) = position.modulo(2).as_constant() else {
            let message = format!("whether an element of `{name}` begins a word varies with a loop around");
            return Err(self.error(message).help(format!(
                "rows of whole words: `stage {name} i16 … pad 2`; and an even step of the loops around: `tile … 2`, then jam"
            )));
        };
        let position = position.offset(-half);
        let found = words.iter().position(|word| word.buffer == data.buffer && word.position == position);
        let at = found.unwrap_or_else(|| {
            words.push(Word { buffer: data.buffer, position, index: None, second: None, slack: 0 });
            words.len() - 1
        });
        match half {
            0 => words[at].index = Some(data.index),
            _ => {
                let along = lane_dim(buffer, &data.index);
                words[at].second = words[at].second.take().or(along.map(|dim| (data.index, dim)));
            }
        }
        Ok((at, half == 1))
    }

    /// Finds the index of a word that only its second element is read of, and checks that it is in memory.
    fn complete(&self, word: &mut Word) -> Result<(), Diagnostic> {
        let buffer = &self.nest.buffers[word.buffer.idx()];
        let range = |var: VarId| (0, i64::from(self.extents[&var]) - 1);
        let name = &buffer.name;
        if word.index.is_none() {
            let before =
                word.second.take().map(|(index, dim)| before(buffer, &index, dim)).unwrap_or_default();
            let inside = |index: &Vec<Index>| {
                index.iter().zip(&buffer.shape).all(|(index, extent)| {
                    let (low, high) = index.range(&range);
                    low >= 0 && high < i64::from(*extent)
                })
            };
            word.index = before.into_iter().find(inside);
        }
        let behind = word.position.range(&range).1 + 2 - buffer.map.len() as i64;
        word.slack = Ty::I16.bytes() as u32 * behind.max(0) as u32;
        let readable = word.slack <= buffer.map.slack || buffer.role == Role::Scratch;
        match &word.index {
            Some(index) if lane_dim(buffer, index).is_some() && readable => Ok(()),
            _ => Err(self
                .error(format!("a word of `{name}` begins or ends outside of it"))
                .help(format!("rows of whole words: `stage {name} i16 … pad 2`"))),
        }
    }

    fn check_data(&self, data: &Access, buffer: &Buffer) -> Result<(), Diagnostic> {
        let name = &buffer.name;
        if data.ty != Ty::I16 || buffer.elem != Ty::I16 {
            return Err(self
                .error(format!("`{name}` has elements of `{}`, not `i16`", buffer.elem))
                .help(format!("widen it first: `stage {name} i16 … pad 2`")));
        }
        if data.border.is_some() {
            return Err(self
                .error(format!("`{name}` is read with a border"))
                .help(format!("write the border to a panel: `stage {name} i16 … pad 2`")));
        }
        if buffer.role == Role::Param && buffer.map.align < WORD_BYTES {
            let align = buffer.map.align;
            return Err(self
                .error(format!("the parameter `{name}` is aligned to {align} bytes"))
                .help(format!("a copy is aligned: `stage {name} i16 … pad 2`")));
        }
        Ok(())
    }

    fn check_weight(&self, weight: &Access) -> Result<(), Diagnostic> {
        let name = &self.nest.buffers[weight.buffer.idx()].name;
        match weight.ty {
            Ty::I8 | Ty::U8 | Ty::I16 if weight.border.is_none() => Ok(()),
            ty => Err(self
                .error(format!("elements of `{ty}` of `{name}` are no halves of a word"))
                .help("legal: constants of i8, u8 and i16 that are read inside")),
        }
    }

    fn error(&self, what: String) -> Diagnostic {
        let name = &self.nest.vars[self.axes[0].idx()];
        Diagnostic::new(format!("cannot pair the phases of `{name}`: {what}"))
    }

    fn no_product(&self) -> Diagnostic {
        self.error("what happens inside is no sum of products".into())
            .help("inside stands `a = add a, mul(sext(…), sext(…))`, in loops that are unrolled or named")
    }

    fn no_load(&self) -> Diagnostic {
        self.error("a product is not one of data and a constant".into())
            .help("inside stands `a = add a, mul(sext(…), sext(…))`; phases come before values are hoisted")
    }
}

/// The words of weights that terms need.
struct Weights {
    words: Vec<[Option<Access>; 2]>,
}

impl Weights {
    /// First the pairs, then what single products need that no pair has, two in a word.
    fn of(terms: &[Term]) -> Self {
        let mut words: Vec<[Option<Access>; 2]> = Vec::new();
        for term in terms.iter().filter(|term| term.weights.iter().all(Option::is_some)) {
            if !words.contains(&term.weights) {
                words.push(term.weights.clone());
            }
        }
        let mut more: Vec<Access> = Vec::new();
        for weight in terms.iter().filter_map(Term::single) {
            if !more.contains(weight) && !words.iter().flatten().flatten().any(|have| have == weight) {
                more.push(weight.clone());
            }
        }
        // A half that nothing needs goes before the first pair: bytes of pairs that follow each other lie together in `narrow`.
        let first = words.first().and_then(|word| word[0].clone());
        words.extend(more.chunks(2).map(|two| [Some(two[0].clone()), two.get(1).cloned().or(first.clone())]));
        Self { words }
    }

    /// The number of the word with this weight, and whether it is the high half.
    fn half(&self, weight: &Access) -> (usize, bool) {
        let at = |word: &[Option<Access>; 2]| word.iter().position(|have| have.as_ref() == Some(weight));
        let found = self.words.iter().enumerate().find_map(|(n, word)| Some((n, at(word)? == 1)));
        found.expect("there is a word for each weight")
    }

    /// Adds the constant, with a dimension for each of the loops `outer`.
    fn add_constant(&self, nest: &mut Nest, outer: &[Loop]) {
        let made = BufferId::new(nest.buffers.len());
        let mut block = Vec::new();
        for (n, word) in self.words.iter().enumerate() {
            for (half, weight) in word.iter().enumerate() {
                let at = [n, half].map(|at| Index::constant(at as i64));
                let index = outer.iter().map(|l| Index::var(l.var)).chain(at).collect();
                let value = match weight {
                    Some(weight) => extended(Expr::Load(weight.clone()), weight.ty),
                    None => Expr::Int(0, Ty::I32),
                };
                block.push(Stmt::Store(Access { buffer: made, index, ty: Ty::I16, border: None }, value));
            }
        }
        for l in outer.iter().rev() {
            block = vec![Stmt::For(Loop { unroll: false, ..l.clone() }, block)];
        }
        renew_vars(nest, &mut block);
        let name = self
            .words
            .iter()
            .flatten()
            .flatten()
            .next()
            .map_or("", |weight| &nest.buffers[weight.buffer.idx()].name);
        let name = fresh_name(nest, &format!("{name}_words"));
        let halves = [self.words.len() as u32, 2];
        let shape: Vec<u32> = outer.iter().map(|l| l.extent).chain(halves).collect();
        let mut constant = Buffer::new(name, Ty::I16, &shape, Role::Const(Init::Nest(block)));
        constant.map.align = WORD_BYTES;
        nest.add_buffer(constant);
    }
}

impl Term {
    /// The weight, where there is only one.
    fn single(&self) -> Option<&Access> {
        match &self.weights {
            [Some(weight), None] | [None, Some(weight)] => Some(weight),
            _ => None,
        }
    }
}

/// The products that share a sum and a word of data, together; by word in the order of the products.
fn paired(products: &[Product]) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    for product in products {
        let half = usize::from(product.high);
        let open = terms.iter_mut().find(|term| {
            term.word == product.word && term.sum == product.sum && term.weights[half].is_none()
        });
        match open {
            Some(term) => term.weights[half] = Some(product.weight.clone()),
            None => {
                let mut weights = [None, None];
                weights[half] = Some(product.weight.clone());
                terms.push(Term { sum: product.sum.clone(), word: product.word, weights });
            }
        }
    }
    terms.sort_by_key(|term| term.word); // Stable: sums stay in order.
    terms
}

/// The statements, and the loops around that the weights vary with.
fn written(
    words: &[Word],
    terms: &[Term],
    weights: &Weights,
    constant: BufferId,
    nest: &Nest,
) -> (Vec<Stmt>, Vec<Loop>) {
    let mut used = Vec::new();
    weights
        .words
        .iter()
        .flatten()
        .flatten()
        .for_each(|w| w.index.iter().for_each(|index| index.vars(&mut used)));
    let outer: Vec<Loop> = loops(nest).into_iter().filter(|l| used.contains(&l.var)).collect();
    let weight = |n: usize| {
        let at = [Index::constant(n as i64), Index::constant(0)];
        let index = outer.iter().map(|l| Index::var(l.var)).chain(at).collect();
        Expr::Load(Access { buffer: constant, index, ty: Ty::I16x2, border: None })
    };
    let op = |prim: Prim, args: Vec<Expr>| Expr::Op { prim, args, imm: Vec::new() };
    let half = |high: bool, pair: Expr| op(if high { Prim::Top } else { Prim::Bot }, vec![pair]);
    let statement = |term: &Term| {
        let word = &words[term.word];
        let index = word.index.clone().expect("each word is complete");
        let data = Expr::Load(Access { buffer: word.buffer, index, ty: Ty::I16x2, border: None });
        let (sum, at) = term.sum.clone();
        let itself = Expr::Local(sum, at.clone());
        let value = match term.single() {
            None => {
                let n = weights.words.iter().position(|have| *have == term.weights);
                let n = n.expect("there is a word for each pair");
                op(Prim::Dot2, vec![itself, data, weight(n)])
            }
            Some(single) => {
                let (n, high) = weights.half(single);
                let product =
                    op(Prim::Mul, vec![half(term.weights[0].is_none(), data), half(high, weight(n))]);
                op(Prim::Add, vec![itself, product])
            }
        };
        Stmt::Set(sum, at, value)
    };
    (terms.iter().map(statement).collect(), outer)
}

/// Puts the statements in the place of the loops over `axes`.
fn replace(nest: &mut Nest, axes: &[VarId], stmts: &[Stmt]) {
    let outermost = outermost(nest, axes);
    with_loop(&mut nest.body, outermost, &mut |site| match site {
        Site::For(block, at) => drop(block.splice(at..=at, stmts.iter().cloned())),
        Site::Reduction(block, at, position) => {
            if let Stmt::Reduce(reduce) = &mut block[at] {
                reduce.loops.truncate(position);
                reduce.update = stmts.to_vec();
            }
        }
    });
}

/// The first of these loops in the text.
fn outermost(nest: &Nest, axes: &[VarId]) -> VarId {
    all_axes(nest).into_iter().find(|axis| axes.contains(axis)).expect("the axes are in the body")
}

/// The factors of the product that is added to a sum.
pub(super) fn factors(itself: &Expr, value: &Expr) -> Option<[Expr; 2]> {
    let Expr::Op { prim: Prim::Add, args, .. } = value else { return None };
    let product = match &args[..] {
        [a, product] if a == itself => product,
        [product, a] if a == itself => product,
        _ => return None,
    };
    match product {
        Expr::Op { prim: Prim::Mul, args, .. } => Some([args[0].clone(), args[1].clone()]),
        _ => None,
    }
}

/// The last dimension along which neighbours lie side by side in storage.
fn lane_dim(buffer: &Buffer, index: &[Index]) -> Option<usize> {
    let position = buffer.map.position(index);
    (0..index.len()).rev().find(|dim| {
        let mut moved = index.to_vec();
        moved[*dim] = moved[*dim].offset(1);
        buffer.map.position(&moved).add(&position.scale(-1)).as_constant() == Some(1)
    })
}

/// Indices that may be inside of the element that lies in storage before the one at `index`, whose neighbours along `dim` lie side by side.
fn before(buffer: &Buffer, index: &[Index], dim: usize) -> Vec<Vec<Index>> {
    let mut near = index.to_vec();
    near[dim] = near[dim].offset(-1);
    let position = buffer.map.position(&near);
    // The last one of the row before, where rows follow each other without a gap.
    let others = (0..index.len()).filter(|other| *other != dim).map(|other| {
        let mut last = near.clone();
        last[dim] = last[dim].offset(buffer.shape[dim].into());
        last[other] = last[other].offset(-1);
        last
    });
    let same = others.filter(|last| buffer.map.position(last) == position).collect::<Vec<_>>();
    [near.clone()].into_iter().chain(same).collect()
}

/// Every iteration of loops within each other, the first one outermost.
pub(super) fn assignments(loops: &[Loop]) -> Vec<Vec<(VarId, i64)>> {
    loops.iter().fold(vec![Vec::new()], |lists, l| {
        let longer = |list: Vec<(VarId, i64)>| {
            (0..i64::from(l.extent)).map(move |n| list.iter().copied().chain([(l.var, n)]).collect())
        };
        lists.into_iter().flat_map(longer).collect()
    })
}

fn points(loops: &[Loop]) -> u64 {
    loops.iter().fold(1, |points, l| points.saturating_mul(l.extent.into()))
}
