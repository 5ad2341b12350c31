//! `vectorize AXIS dual16|bytes4`: two steps of a sum become one dual 16-bit multiply-accumulate, or four bytes one word.
//!
//! ```text
//! reduce a: i32 over k.o in 0..32, k.i in 0..2 { … update {
//!   a = add a, mul(sext(x[p, 2*k.o + k.i]), sext(w[n, 2*k.o + k.i]))
//! } … }
//! =>
//! reduce a: i32 over k.o in 0..32 { … update { a = dot2 a, x[p, 2*k.o] as i16x2, w[n, 2*k.o] as i16x2 } … }
//! ```
//!
//! The axis is a loop of a reduction, or inside of its update, of extent 2; all inside are such sums. Legal where both operands
//! are elements of `i16` whose two values follow each other in memory and begin a word. The bases of scratch and constants
//! are aligned to words for that; a parameter must be so already. A sum wraps, so its order is free.
//!
//! An operand may also be the low byte of such an element, `sbfx(sext(w[…])) {lsb = 0, width = 8}`: it becomes `sxtb16`.
//!
//! With `bytes4` the axis is a loop of extent 4 around elements, or around one reduction of bytes without border; the bytes follow each
//! other in memory from a multiple of four on:
//!
//! ```text
//! for c.i in 0..4 { reduce a: i32 over k in 0..4 {
//!   init { a = -128 }  update { a = max a, sext(x[k, 4*c.o + c.i]) }  finish { y[4*c.o + c.i] = a }
//! } }
//! =>
//! reduce a_4: i8x4 over k in 0..4 {
//!   init { a_4 = as_i8x4 -2139062144 }
//!   update { v: i8x4 = x[k, 4*c.o] as i8x4  a_4 = select_ge4 a_4, v, a_4, v }
//!   finish { y[4*c.o] as i8x4 = a_4 }
//! }
//! ```
//!
//! A sum takes two bytes at a time in halfwords, where its number of bytes is below 256; a longer one in parts, where loops follow each other
//! that are short enough (`split-reduction`). Of elements each is a field of the word, or
//! the upper half of a halfword for products that take one (`short-add upper`).

use ir::diag::Diagnostic;
use ir::loops::{Access, BufferId, Expr, Index, Nest, Prim, Role, Stmt, VarId};
use ir::ty::Ty;

use super::bytes4::bytes4;
use super::edit::{Extents, Site, loop_of, with_loop};
use super::step::StepDef;

/// The most positions that are tried one by one where the form of an index does not tell.
const MOST_POINTS: u64 = 1 << 16;
/// What a word is aligned to, in bytes.
const WORD: u32 = 4;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "vectorize",
    usage: "vectorize AXIS dual16|bytes4",
    summary: "Make two steps of a sum one multiply-accumulate, or load four bytes as one word",
    run: |nest, args| {
        args.at_most(2)?;
        let axis = args.axis(nest, 0)?;
        match args.word(1)? {
            "dual16" => dual16(nest, axis),
            "bytes4" => bytes4(nest, axis),
            other => Err(args.misuse(format!("`{other}` there"))),
        }
    },
};

/// Makes the two iterations of the loop over `axis` one.
pub fn dual16(nest: &mut Nest, axis: VarId) -> Result<(), Diagnostic> {
    let name = nest.vars[axis.idx()].clone();
    let extent = loop_of(nest, axis).extent;
    if extent != 2 {
        let help = if extent.is_multiple_of(2) {
            format!("split it first: `tile {name} 2`, then `vectorize {name}.i dual16`")
        } else {
            format!("make it even first: `peel {name} 1`")
        };
        return Err(
            Diagnostic::new(format!("cannot vectorize `{name}`: its extent is {extent}, not 2")).help(help)
        );
    }
    let mut inside = with_loop(&mut nest.body, axis, &mut |site| match site {
        Site::For(block, at) => match &block[at] {
            Stmt::For(_, body) => body.clone(),
            _ => unreachable!("a site is a loop"),
        },
        Site::Reduction(block, at, _) => match &block[at] {
            Stmt::Reduce(reduce) => reduce.update.clone(),
            _ => unreachable!("a site is a reduction"),
        },
    })
    .expect("the axis is in the body");

    let mut words = Words { nest, axis, name, extents: Extents::new(), aligned: Vec::new() };
    words.extents = extents(&words.nest.body);
    words.block(&mut inside)?;
    for buffer in std::mem::take(&mut words.aligned) {
        let map = &mut nest.buffers[buffer.idx()].map;
        map.align = map.align.max(WORD);
    }
    with_loop(&mut nest.body, axis, &mut |site| match site {
        Site::For(block, at) => {
            block.splice(at..=at, inside.iter().cloned());
        }
        Site::Reduction(block, at, position) => {
            if let Stmt::Reduce(reduce) = &mut block[at] {
                reduce.loops.remove(position);
                reduce.update = inside.clone();
            }
        }
    });
    Ok(())
}

struct Words<'n> {
    nest: &'n Nest,
    axis: VarId,
    name: String,
    extents: Extents,
    /// The buffers that words are read from.
    aligned: Vec<BufferId>,
}

impl Words<'_> {
    fn block(&mut self, block: &mut [Stmt]) -> Result<(), Diagnostic> {
        block.iter_mut().try_for_each(|stmt| match stmt {
            Stmt::For(_, body) => self.block(body),
            Stmt::Set(local, at, value) => {
                if at.iter().any(|index| self.varies(index)) {
                    return Err(self.error("each of its iterations adds to a sum of its own"));
                }
                let itself = Expr::Local(*local, at.clone());
                *value = self.sum(&itself, value)?;
                Ok(())
            }
            Stmt::Let(..) | Stmt::Store(..) | Stmt::Reduce(_) => Err(self
                .error("what happens inside is no sum of products")
                .help("inside stands `a = add a, mul(sext(…), sext(…))`; vectorize before values get names")),
        })
    }

    /// The sum of both iterations.
    fn sum(&mut self, itself: &Expr, value: &Expr) -> Result<Expr, Diagnostic> {
        let no_sum = || {
            self.error("what happens inside is no sum of products")
                .help("inside stands `a = add a, mul(sext(…), sext(…))`")
        };
        let Expr::Op { prim: Prim::Add, args, .. } = value else { return Err(no_sum()) };
        let product = match &args[..] {
            [a, product] if a == itself => product,
            [product, a] if a == itself => product,
            _ => return Err(no_sum()),
        };
        let Expr::Op { prim: Prim::Mul, args, .. } = product else { return Err(no_sum()) };
        let pairs = [self.pair(&args[0])?, self.pair(&args[1])?];
        let [left, right] = pairs;
        Ok(Expr::Op { prim: Prim::Dot2, args: vec![itself.clone(), left, right], imm: Vec::new() })
    }

    /// Both iterations' values of a factor, in one word.
    fn pair(&mut self, factor: &Expr) -> Result<Expr, Diagnostic> {
        match factor {
            Expr::Op { prim: Prim::Sext, args, .. } => match &args[0] {
                Expr::Load(access) => Ok(Expr::Load(self.word(access)?)),
                _ => Err(self.no_load()),
            },
            Expr::Op { prim: Prim::Sbfx, args, imm } if imm[..] == [0, 8] => {
                let word = self.pair(&args[0])?;
                Ok(Expr::Op { prim: Prim::Sxtb16, args: vec![word], imm: vec![0] })
            }
            Expr::Op { prim: Prim::Zext, args, .. } => match &args[0] {
                Expr::Load(access) => Err(self.narrow(access)),
                _ => Err(self.no_load()),
            },
            _ => Err(self.no_load()),
        }
    }

    /// The load of both iterations' elements.
    fn word(&mut self, access: &Access) -> Result<Access, Diagnostic> {
        let buffer = &self.nest.buffers[access.buffer.idx()];
        let name = &buffer.name;
        if access.ty != Ty::I16 || buffer.elem != Ty::I16 {
            return Err(self.narrow(access));
        }
        if access.border.is_some() {
            return Err(self.error(&format!("`{name}` is read with a border")).help("apply `border` first"));
        }
        let [first, second] = [0, 1].map(|at| self.at(access, at));
        let (from, to) = (buffer.map.position(&first), buffer.map.position(&second));
        let distance = to.add(&from.scale(-1));
        if !self.one_dimension(&first, &second) || distance.as_constant() != Some(1) {
            let found = distance.as_constant().map_or("not always 1".into(), |distance| distance.to_string());
            let message =
                format!("the two elements of `{name}` do not follow each other: they are {found} apart");
            return Err(self.error(&message).help(self.how_to_pack(access)));
        }
        if !self.even(&from) {
            return Err(self
                .error(&format!("the two elements of `{name}` do not always begin a word"))
                .help(self.how_to_pack(access)));
        }
        if buffer.role == Role::Param && buffer.map.align < WORD {
            return Err(self
                .error(&format!("the parameter `{name}` is aligned to {} bytes", buffer.map.align))
                .help(format!("a copy is aligned: `stage {name} i16`")));
        }
        if !self.aligned.contains(&access.buffer) {
            self.aligned.push(access.buffer);
        }
        Ok(Access { index: first, ty: Ty::I16x2, ..access.clone() })
    }

    /// The indices of an access in the iteration `at`.
    fn at(&self, access: &Access, at: i64) -> Vec<Index> {
        let value = |var: VarId| if var == self.axis { Index::constant(at) } else { Index::var(var) };
        access.index.iter().map(|index| index.substitute(&value)).collect()
    }

    fn one_dimension(&self, first: &[Index], second: &[Index]) -> bool {
        let moved: Vec<Index> = first.iter().zip(second).map(|(a, b)| b.add(&a.scale(-1))).collect();
        let still = moved.iter().filter(|by| by.as_constant() == Some(0)).count();
        still + 1 == moved.len() && moved.iter().any(|by| by.as_constant() == Some(1))
    }

    /// Whether an index is even in every iteration.
    fn even(&self, index: &Index) -> bool {
        let rest = index.modulo(2);
        if let Some(rest) = rest.as_constant() {
            return rest == 0;
        }
        let mut used = Vec::new();
        rest.vars(&mut used);
        used.sort_unstable();
        used.dedup();
        let extents: Vec<u64> = used.iter().map(|var| self.extents[var].into()).collect();
        let points: u64 = extents.iter().fold(1, |points, extent| points.saturating_mul(*extent));
        points <= MOST_POINTS
            && (0..points).all(|point| {
                let mut left = point;
                let at: Vec<i64> = extents
                    .iter()
                    .map(|extent| {
                        let at = left % extent;
                        left /= extent;
                        at as i64
                    })
                    .collect();
                rest.eval(&|var| at[used.binary_search(&var).expect("all variables are in `used`")]) == 0
            })
    }

    fn varies(&self, index: &Index) -> bool {
        let mut used = Vec::new();
        index.vars(&mut used);
        used.contains(&self.axis)
    }

    fn error(&self, what: &str) -> Diagnostic {
        Diagnostic::new(format!("cannot vectorize `{}`: {what}", self.name))
    }

    fn no_load(&self) -> Diagnostic {
        self.error("a factor is no element of a buffer")
            .help("inside stands `a = add a, mul(sext(…), sext(…))`; vectorize before values get names")
    }

    fn narrow(&self, access: &Access) -> Diagnostic {
        let buffer = &self.nest.buffers[access.buffer.idx()];
        let name = &buffer.name;
        self.error(&format!("`{name}` has elements of `{}`, not `i16`", buffer.elem))
            .help(format!("widen it first: {}", self.how_to_pack(access)))
    }

    fn how_to_pack(&self, access: &Access) -> String {
        let buffer = &self.nest.buffers[access.buffer.idx()];
        let name = &buffer.name;
        if buffer.is_const() { format!("`pack {name} i16`") } else { format!("`stage {name} i16 at AXIS`") }
    }
}

/// The extents of all loops of a body; each has its own variable.
fn extents(body: &[Stmt]) -> Extents {
    let mut extents = Extents::new();
    ir::loops::walk::walk(body, ir::loops::walk::StmtNo(0), &mut |_, stmt| match stmt {
        Stmt::For(l, _) => {
            extents.insert(l.var, l.extent);
        }
        Stmt::Reduce(reduce) => extents.extend(reduce.loops.iter().map(|l| (l.var, l.extent))),
        Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => {}
    });
    extents
}
