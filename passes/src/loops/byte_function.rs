//! Stores whose value is a function of one or two bytes: found here, evaluated on their whole domain, and replaced.
//!
//! A function is the stored value with the named values in it written out. All that may vary in it are loads of single bytes;
//! equal loads are one input. Named values that nothing mentions any more are removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use ir::loops::interp::eval_const;
use ir::loops::{Access, BufferId, Expr, LocalId, Nest, Prim, Stmt};
use ir::ty::Ty;

use super::edit::{blocks_mut, visit_loads_of, visit_local_uses};

/// What a store writes, as a function of bytes.
#[derive(Clone, Debug)]
pub struct ByteFunction {
    /// The loads that it depends on, each `i8` or `u8`.
    pub inputs: Vec<Access>,
    /// The type of the element that is written, `i8` or `u8`.
    pub output: Ty,
    value: Expr,
    /// Tables that it looks up, with the type of their elements.
    tables: BTreeMap<BufferId, (Ty, Arc<[u8]>)>,
}

/// A sum in a function of two bytes, each summand of which depends on one of them.
pub struct Summands {
    /// The sum.
    sum: Expr,
    /// For each input the values of its summand, from the least input on.
    pub values: [Vec<i64>; 2],
}

/// Calls `new` for each store of the body whose value is a function of at most `most` bytes, and stores what it gives instead.
/// Gives how many stores are such functions, and how many of them were replaced.
pub fn replace(
    nest: &mut Nest,
    most: usize,
    new: &mut dyn FnMut(&mut Nest, &ByteFunction) -> Option<Expr>,
) -> (usize, usize) {
    let mut body = std::mem::take(&mut nest.body);
    let mut counts = (0, 0);
    in_block(nest, &mut body, &mut BTreeMap::new(), most, new, &mut counts);
    if counts.1 > 0 {
        remove_unused(&mut body);
    }
    nest.body = body;
    counts
}

impl ByteFunction {
    /// The byte that is written for these inputs; `None` if a table is left.
    pub fn eval(&self, inputs: &[i64]) -> Option<i64> {
        let value = self.eval_of(&self.value, inputs)?;
        Some(if self.output == Ty::I8 { i64::from(value as i8) } else { i64::from(value as u8) })
    }

    /// The operations that it takes: an extension is part of its load, a composite takes several.
    pub fn operations(&self) -> usize {
        operations(&self.value)
    }

    /// What a step of an input adds to the value, but for rounding and limits; `None` if that is not the same everywhere.
    pub fn slope(&self, input: usize) -> Option<f64> {
        self.slope_of(&self.value, &self.inputs[input])
    }

    /// The value of an input as a word.
    pub fn word(&self, input: usize) -> Expr {
        let load = &self.inputs[input];
        let prim = if load.ty == Ty::I8 { Prim::Sext } else { Prim::Zext };
        Expr::Op { prim, args: vec![Expr::Load(load.clone())], imm: Vec::new() }
    }

    /// The least and the greatest value of an input.
    pub fn range(&self, input: usize) -> (i64, i64) {
        self.inputs[input].ty.range().expect("a byte has a range")
    }

    /// The position of an input in a table of 256 elements.
    pub fn position(&self, input: usize) -> Expr {
        match self.range(input).0 {
            0 => self.word(input),
            least => {
                let args = vec![self.word(input), Expr::Int(-least, Ty::I32)];
                Expr::Op { prim: Prim::Add, args, imm: Vec::new() }
            }
        }
    }

    /// The sum by which alone the function depends on its two inputs, if it is not only of loads.
    pub fn summands(&self) -> Option<Summands> {
        let sum = self.sum_in(&self.value)?;
        let Expr::Op { args, .. } = &sum else { return None };
        let of = |expr: &Expr| self.inputs.iter().position(|input| depends(expr, input));
        let first = of(&args[0])?;
        let (arg_of_first, arg_of_second) =
            if first == 0 { (&args[0], &args[1]) } else { (&args[1], &args[0]) };
        let values = |input: usize, arg: &Expr| {
            let (low, high) = self.range(input);
            (low..=high).map(|x| self.eval_of(arg, &[x, x])).collect::<Option<Vec<i64>>>()
        };
        let values = [values(0, arg_of_first)?, values(1, arg_of_second)?];
        let is_longer = operations(&args[0]) + operations(&args[1]) > 2;
        is_longer.then_some(Summands { sum, values })
    }

    /// The function with another sum, whose summands stand in the order of the inputs.
    pub fn with_sum(&self, summands: &Summands, new: Expr) -> Expr {
        fn replaced(expr: &Expr, old: &Expr, new: &Expr) -> Expr {
            match expr {
                expr if expr == old => new.clone(),
                Expr::Op { prim, args, imm } => {
                    let args = args.iter().map(|arg| replaced(arg, old, new)).collect();
                    Expr::Op { prim: *prim, args, imm: imm.clone() }
                }
                other => other.clone(),
            }
        }
        replaced(&self.value, &summands.sum, &new)
    }

    /// The innermost sum that depends on both inputs, with a summand for each; `None` if the value depends on them in another way.
    fn sum_in(&self, expr: &Expr) -> Option<Expr> {
        let [a, b] = &self.inputs[..] else { return None };
        let Expr::Op { prim, args, .. } = expr else { return None };
        let both: Vec<&Expr> = args.iter().filter(|arg| depends(arg, a) || depends(arg, b)).collect();
        match both[..] {
            [inner] => self.sum_in(inner),
            [x, z] if *prim == Prim::Add => {
                let each = |input: &Access| depends(x, input) != depends(z, input);
                (each(a) && each(b) && depends(x, a) != depends(x, b)).then(|| expr.clone())
            }
            _ => None,
        }
    }

    fn new(nest: &Nest, output: Ty, value: Expr, most: usize) -> Option<Self> {
        let mut function = Self { inputs: Vec::new(), output, value, tables: BTreeMap::new() };
        let value = function.value.clone();
        function.collect(nest, &value)?;
        (1..=most).contains(&function.inputs.len()).then_some(function)
    }

    fn collect(&mut self, nest: &Nest, expr: &Expr) -> Option<()> {
        match expr {
            Expr::Int(..) => Some(()),
            Expr::Load(access) => {
                let (low, high) = access.ty.range()?;
                let is_border = access.border.is_none_or(|border| (low..=high).contains(&border));
                let is_byte = matches!(access.ty, Ty::I8 | Ty::U8) && is_border;
                if is_byte && !self.inputs.contains(access) {
                    self.inputs.push(access.clone());
                }
                is_byte.then_some(())
            }
            Expr::Op { args, .. } => args.iter().try_for_each(|arg| self.collect(nest, arg)),
            Expr::Lookup(buffer, at) => {
                if !self.tables.contains_key(buffer) {
                    let table = eval_const(nest, *buffer).ok()?;
                    self.tables.insert(*buffer, (nest.buffers[buffer.idx()].elem, table));
                }
                self.collect(nest, at)
            }
            Expr::Index(_) | Expr::Local(..) => None,
        }
    }

    fn eval_of(&self, expr: &Expr, inputs: &[i64]) -> Option<i64> {
        Some(match expr {
            Expr::Int(value, _) => *value,
            Expr::Load(access) => inputs[self.inputs.iter().position(|input| input == access)?],
            Expr::Lookup(buffer, at) => {
                let (ty, table) = &self.tables[buffer];
                let at = usize::try_from(self.eval_of(at, inputs)?).ok()?;
                let bytes = table.get(at.checked_mul(ty.bytes())?..)?.get(..ty.bytes())?;
                let mut word = [0; 8];
                word[..bytes.len()].copy_from_slice(bytes);
                let unused = 64 - 8 * bytes.len() as u32;
                let bits = i64::from_le_bytes(word) << unused;
                let unsigned = matches!(ty, Ty::U8 | Ty::U16);
                if unsigned { (bits as u64 >> unused) as i64 } else { bits >> unused }
            }
            Expr::Op { prim, args, imm } => {
                let mut values = [0; 4];
                for (value, arg) in values.iter_mut().zip(args) {
                    *value = self.eval_of(arg, inputs)?;
                }
                (prim.row().eval)(self.ty(&args[0]), &values[..args.len()], imm)
            }
            Expr::Index(_) | Expr::Local(..) => return None,
        })
    }

    fn ty(&self, expr: &Expr) -> Ty {
        match expr {
            Expr::Int(_, ty) => *ty,
            Expr::Load(access) => access.ty,
            Expr::Lookup(buffer, _) => self.tables[buffer].0,
            Expr::Op { prim, args, .. } => prim.result(|at| self.ty(&args[at])),
            Expr::Index(_) | Expr::Local(..) => Ty::I32,
        }
    }

    fn slope_of(&self, expr: &Expr, input: &Access) -> Option<f64> {
        let Expr::Op { prim, args, imm } = expr else {
            return match expr {
                Expr::Load(access) => Some(f64::from(u8::from(access == input))),
                Expr::Int(..) => Some(0.0),
                _ => None,
            };
        };
        let slopes = args.iter().map(|arg| self.slope_of(arg, input)).collect::<Option<Vec<f64>>>()?;
        let literal = |at: usize| match &args[at] {
            Expr::Int(value, _) => Some(*value as f64),
            _ => None,
        };
        Some(match prim {
            Prim::Sext | Prim::Zext | Prim::Widen => slopes[0],
            Prim::Add => slopes[0] + slopes[1],
            Prim::Sub => slopes[0] - slopes[1],
            Prim::Mul => match (literal(0), literal(1)) {
                (_, Some(by)) => slopes[0] * by,
                (Some(by), None) => slopes[1] * by,
                (None, None) => return None,
            },
            Prim::Shl => slopes[0] * literal(1)?.exp2(),
            Prim::Asr | Prim::RoundShift => slopes[0] / literal(1)?.exp2(),
            Prim::Requantize => slopes[0] * literal(1)? * (literal(2)? - 31.0).exp2(),
            Prim::DoublingHighMul => slopes[0] * literal(1)? / 31f64.exp2(),
            Prim::Ssat | Prim::Usat => slopes[0] / f64::from(imm[1]).exp2(),
            Prim::Min | Prim::Max => match (literal(0), literal(1)) {
                (_, Some(_)) => slopes[0],
                (Some(_), None) => slopes[1],
                (None, None) => return None,
            },
            _ => return None,
        })
    }
}

/// Whether an expression reads an input.
fn depends(expr: &Expr, input: &Access) -> bool {
    match expr {
        Expr::Load(access) => access == input,
        Expr::Op { args, .. } => args.iter().any(|arg| depends(arg, input)),
        Expr::Lookup(_, at) => depends(at, input),
        Expr::Int(..) | Expr::Index(_) | Expr::Local(..) => false,
    }
}

fn operations(expr: &Expr) -> usize {
    match expr {
        Expr::Op { prim, args, .. } => {
            let own = match prim {
                Prim::Sext | Prim::Zext => 0,
                Prim::Add if args.iter().any(is_product) => 0, // One with the product.
                Prim::Requantize => 4,
                Prim::DoublingHighMul | Prim::RoundShift => 2,
                _ => 1,
            };
            own + args.iter().map(operations).sum::<usize>()
        }
        Expr::Lookup(_, at) => 1 + operations(at),
        Expr::Int(..) | Expr::Index(_) | Expr::Local(..) | Expr::Load(_) => 0,
    }
}

fn is_product(expr: &Expr) -> bool {
    matches!(expr, Expr::Op { prim: Prim::Mul, .. })
}

/// `lets` has the named values that can be written out: nothing was stored since what they load.
fn in_block(
    nest: &mut Nest,
    block: &mut [Stmt],
    lets: &mut BTreeMap<LocalId, Expr>,
    most: usize,
    new: &mut dyn FnMut(&mut Nest, &ByteFunction) -> Option<Expr>,
    counts: &mut (usize, usize),
) {
    for stmt in block {
        match stmt {
            Stmt::Let(local, value) => {
                if let Some(value) = written_out(value, lets) {
                    lets.insert(*local, value);
                }
            }
            Stmt::Set(..) => {}
            Stmt::Store(access, value) => {
                let function = written_out(value, lets).filter(|_| matches!(access.ty, Ty::I8 | Ty::U8));
                if let Some(function) =
                    function.and_then(|value| ByteFunction::new(nest, access.ty, value, most))
                {
                    counts.0 += 1;
                    if let Some(better) = new(nest, &function) {
                        *value = better;
                        counts.1 += 1;
                    }
                }
                lets.retain(|_, value| !loads(value));
            }
            Stmt::For(..) | Stmt::Reduce(_) => {
                lets.retain(|_, value| !loads(value)); // A store may follow in it.
                for inner in blocks_mut(stmt) {
                    in_block(nest, inner, &mut lets.clone(), most, new, counts);
                }
            }
        }
    }
}

/// The value without named values; `None` where one is carried or loads what may have changed.
fn written_out(value: &Expr, lets: &BTreeMap<LocalId, Expr>) -> Option<Expr> {
    Some(match value {
        Expr::Local(local, _) => lets.get(local)?.clone(),
        Expr::Lookup(buffer, at) => Expr::Lookup(*buffer, Box::new(written_out(at, lets)?)),
        Expr::Op { prim, args, imm } => {
            let args = args.iter().map(|arg| written_out(arg, lets)).collect::<Option<_>>()?;
            Expr::Op { prim: *prim, args, imm: imm.clone() }
        }
        simple => simple.clone(),
    })
}

fn loads(value: &Expr) -> bool {
    let mut loads = false;
    visit_loads_of(&mut value.clone(), &mut |_| loads = true);
    loads
}

/// Removes the named values that nothing mentions.
fn remove_unused(body: &mut Vec<Stmt>) {
    loop {
        let mut uses: BTreeMap<LocalId, usize> = BTreeMap::new();
        visit_local_uses(body, &mut |local, _| *uses.entry(local).or_default() += 1);
        if !remove_lets(body, &|local| !uses.contains_key(&local)) {
            return;
        }
    }
}

fn remove_lets(block: &mut Vec<Stmt>, unused: &dyn Fn(LocalId) -> bool) -> bool {
    let before = block.len();
    block.retain(|stmt| !matches!(stmt, Stmt::Let(local, _) if unused(*local)));
    let mut removed = block.len() < before;
    for stmt in block {
        for inner in blocks_mut(stmt) {
            removed |= remove_lets(inner, unused);
        }
    }
    removed
}
