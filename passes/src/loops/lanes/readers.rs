//! The sums of products that read what is combined in lanes: they start with less, and take their weights in another order.

use ir::diag::Diagnostic;
use ir::loops::{Access, Buffer, BufferId, Expr, Index, Init, Loop, Nest, Prim, Reduce, Role, Stmt, VarId};
use ir::ty::Ty;

use super::super::edit::{blocks_mut, fresh_name, renew_vars, stores_to, visit_indices_of, visit_loads_of};
use super::super::footprint::read;
use super::{BYTES, Producer, op};

/// Rewrites every sum that reads the scratch of `producer`.
pub fn rewrite(nest: &mut Nest, producer: &Producer) -> Result<(), Diagnostic> {
    let mut rewriter = Rewriter { nest: nest.clone(), producer, table: None, around: Vec::new() };
    let mut body = std::mem::take(&mut rewriter.nest.body);
    rewriter.block(&mut body)?;
    rewriter.nest.body = body;
    *nest = rewriter.nest;
    Ok(())
}

struct Rewriter<'p> {
    nest: Nest,
    producer: &'p Producer,
    /// What values have too much, by position and lane.
    table: Option<BufferId>,
    around: Vec<Loop>,
}

/// What a sum multiplies.
struct Product<'e> {
    /// The index of what is combined.
    at: &'e [Index],
    /// Along the axis of the lanes.
    k: VarId,
    weight: &'e Expr,
}

impl Rewriter<'_> {
    fn block(&mut self, block: &mut [Stmt]) -> Result<(), Diagnostic> {
        for stmt in block {
            match stmt {
                Stmt::For(l, _) if l.var == self.producer.axis => continue,
                Stmt::For(l, body) => {
                    self.around.push(l.clone());
                    self.block(body)?;
                    self.around.pop();
                    continue;
                }
                Stmt::Reduce(reduce) => {
                    if self.reads(&mut reduce.update) {
                        self.reduce(reduce)?;
                    }
                    if self.reads(&mut reduce.init) || self.reads(&mut reduce.finish) {
                        return Err(self.no_sum());
                    }
                }
                Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => {
                    if self.reads(std::slice::from_mut(stmt)) {
                        return Err(self.no_sum());
                    }
                }
            }
            if stores_to(std::slice::from_ref(stmt), self.producer.to) {
                return Err(Diagnostic::new("something else writes what it stores to"));
            }
        }
        Ok(())
    }

    /// Whether a block reads the scratch.
    fn reads(&self, block: &mut [Stmt]) -> bool {
        block.iter_mut().any(|stmt| {
            let mut found = false;
            if let Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) = stmt {
                visit_loads_of(value, &mut |access| found |= access.buffer == self.producer.to);
            }
            found || blocks_mut(stmt).into_iter().any(|inner| self.reads(inner))
        })
    }

    fn reduce(&mut self, reduce: &mut Reduce) -> Result<(), Diagnostic> {
        let product = self.product(reduce).ok_or_else(|| self.no_sum())?;
        let Product { at, k, weight } = product;
        let position = at[self.producer.position].clone();
        let moved = moved(k);
        let mut weight = weight.clone();
        let place = |index: &mut Index| {
            *index = index.substitute(&|var| if var == k { moved.clone() } else { Index::var(var) });
        };
        visit_indices_of(&mut weight, &mut |index| place(index));
        let [Stmt::Set(_, _, first)] = &reduce.init[..] else { return Err(self.no_sum()) };
        let first = self.first(&reduce.loops, first.clone(), weight.clone(), &position, k);
        reduce.init = vec![Stmt::Set(reduce.carried[0], Vec::new(), first)];
        let [Stmt::Set(_, _, Expr::Op { args, .. })] = &mut reduce.update[..] else {
            unreachable!("it is a sum of products")
        };
        for factor in args.iter_mut().filter_map(|arg| match arg {
            Expr::Op { prim: Prim::Mul, args, .. } => Some(args),
            _ => None,
        }) {
            let of = |access: &Access| access.buffer == self.producer.to;
            let at = usize::from(read(&factor[0]).is_some_and(of));
            factor[at] = weight.clone();
        }
        Ok(())
    }

    /// The product that is added, where it is one of the scratch and a constant.
    fn product<'e>(&self, reduce: &'e Reduce) -> Option<Product<'e>> {
        let ([sum], [Stmt::Set(set, to, Expr::Op { prim: Prim::Add, args, .. })]) =
            (&reduce.carried[..], &reduce.update[..])
        else {
            return None;
        };
        let itself = Expr::Local(*sum, Vec::new());
        let product = match &args[..] {
            [a, product] | [product, a] if *a == itself && set == sum && to.is_empty() => product,
            _ => return None,
        };
        let Expr::Op { prim: Prim::Mul, args, .. } = product else { return None };
        let of = |expr: &Expr| read(expr).is_some_and(|access| access.buffer == self.producer.to);
        let (value, weight) = match (of(&args[0]), of(&args[1])) {
            (true, false) => (&args[0], &args[1]),
            (false, true) => (&args[1], &args[0]),
            _ => return None,
        };
        let access = read(value)?;
        let (along, others) = access.index.split_last()?;
        let k = reduce
            .loops
            .iter()
            .find(|l| *along == Index::var(l.var) && l.extent == self.producer.extent)?
            .var;
        let mut used = Vec::new();
        others.iter().for_each(|index| index.vars(&mut used));
        let [Stmt::Set(_, at, first)] = &reduce.init[..] else { return None };
        let plain = access.ty == Ty::I16 && access.border.is_none() && at.is_empty();
        let constant = self.is_constant(weight) && self.is_constant(first);
        (plain && constant && !used.contains(&k)).then_some(Product { at: &access.index, k, weight })
    }

    fn is_constant(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Int(..) | Expr::Index(_) => true,
            Expr::Load(access) => self.nest.buffers[access.buffer.idx()].is_const(),
            Expr::Op { args, .. } => args.iter().all(|arg| self.is_constant(arg)),
            Expr::Local(..) | Expr::Lookup(..) => false,
        }
    }

    /// A constant with what the sum starts with now: less what the products have too much.
    fn first(&mut self, loops: &[Loop], first: Expr, weight: Expr, position: &Index, k: VarId) -> Expr {
        let table = self.table();
        let mut used = Vec::new();
        position.vars(&mut used);
        for expr in [&first, &weight] {
            visit_indices_of(&mut expr.clone(), &mut |index| index.vars(&mut used));
        }
        let around: Vec<Loop> = self.around.iter().filter(|l| used.contains(&l.var)).cloned().collect();
        let mut shape: Vec<u32> = around.iter().map(|l| l.extent).collect();
        let mut index: Vec<Index> = around.iter().map(|l| Index::var(l.var)).collect();
        if around.is_empty() {
            (shape, index) = (vec![1], vec![Index::constant(0)]);
        }
        let name =
            fresh_name(&self.nest, &format!("{}_unbiased", self.nest.buffers[self.producer.to.idx()].name));
        let made = BufferId::new(self.nest.buffers.len());
        let access = |buffer, index| Access { buffer, index, ty: Ty::I32, border: None };
        let sum = self.nest.add_local(name.clone(), Ty::I32, &[]);
        let total = || Expr::Local(sum, Vec::new());
        let bias = Expr::Load(access(table, vec![position.clone(), Index::var(k).modulo(2)]));
        let product = op(Prim::Mul, vec![bias, weight], Vec::new());
        let reduce = Stmt::Reduce(Reduce {
            carried: vec![sum],
            loops: loops.to_vec(),
            init: vec![Stmt::Set(sum, Vec::new(), first)],
            update: vec![Stmt::Set(sum, Vec::new(), op(Prim::Sub, vec![total(), product], Vec::new()))],
            finish: vec![Stmt::Store(access(made, index.clone()), total())],
        });
        let mut block = around
            .iter()
            .rev()
            .fold(vec![reduce], |body, l| vec![Stmt::For(Loop { unroll: false, ..l.clone() }, body)]);
        renew_vars(&mut self.nest, &mut block);
        self.nest.add_buffer(Buffer::new(name, Ty::I32, &shape, Role::Const(Init::Nest(block))));
        Expr::Load(access(made, index))
    }

    fn table(&mut self) -> BufferId {
        if let Some(table) = self.table {
            return table;
        }
        let biases = self.producer.biases();
        let bytes: Vec<u8> = biases.iter().flatten().flat_map(|bias| (*bias as i32).to_le_bytes()).collect();
        let name =
            fresh_name(&self.nest, &format!("{}_bias", self.nest.buffers[self.producer.to.idx()].name));
        let role = Role::Const(Init::Data(bytes.into()));
        let table = self.nest.add_buffer(Buffer::new(name, Ty::I32, &[biases.len() as u32, 2], role));
        self.table = Some(table);
        table
    }

    fn no_sum(&self) -> Diagnostic {
        let name = &self.nest.buffers[self.producer.to.idx()].name;
        Diagnostic::new(format!("what reads `{name}` is no sum of products with constants along it"))
            .help("legal: `a = add a, mul(sext(v[…, k]), sext(w[…]))` over the same extent, before it is jammed or vectorized")
    }
}

/// The value that stands at a place of four: 0 2 1 3.
fn moved(k: VarId) -> Index {
    let k = Index::var(k);
    let within = k.modulo(BYTES);
    let four = k.div(BYTES).scale(BYTES.into());
    four.add(&within.modulo(2).scale(2)).add(&within.div(2))
}
