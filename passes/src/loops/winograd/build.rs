//! The loops that stand in the place of a convolution.

use ir::diag::Diagnostic;
use ir::loops::{
    Access, Buffer, BufferId, Expr, Index, Init, LocalId, Loop, Nest, Prim, Reduce, Role, Stmt, VarId,
};
use ir::ty::Ty;

use super::super::basis::{Basis, Combined};
use super::super::edit::{
    blocks_mut, extended, fresh_local, fresh_name, fresh_var, rename_locals, renew_vars, substitute,
    visit_loads, visit_loads_of, visit_local_uses,
};
use super::algorithm::{Algorithm, EVERYWHERE};
use super::site::Convolution;
use super::{divisors, listed};
use crate::proofs::accumulators::{Interval, values};

/// How the outputs are cut into tiles, and these into groups.
#[derive(Clone, Copy, Debug)]
pub struct Tiles {
    /// Outputs of a tile in one dimension.
    outputs: u32,
    /// Tiles along rows and columns.
    all: [u32; 2],
    /// Tiles of a group along rows and columns.
    group: [u32; 2],
}

/// Everything that the new loops depend on.
pub struct Build {
    /// The matrices.
    pub algorithm: Algorithm,
    /// What is replaced.
    pub convolution: Convolution,
    /// Its tiles.
    pub tiles: Tiles,
    /// Output channels of a block.
    pub channels: u32,
    /// Bounds of the sum of each channel.
    pub sums: Vec<Interval>,
}

impl Tiles {
    /// Groups of this many tiles: some side by side, or rows of them.
    pub fn of(algorithm: &Algorithm, rows: u32, columns: u32, at: u32) -> Result<Tiles, Diagnostic> {
        let outputs = algorithm.outputs as u32;
        let all = [rows.div_ceil(outputs), columns.div_ceil(outputs)];
        let side_by_side = divisors(all[1]);
        let in_rows = divisors(all[0]).into_iter().map(|rows| rows * all[1]);
        let legal: Vec<u32> = side_by_side.into_iter().chain(in_rows.skip(1)).collect();
        if !legal.contains(&at) {
            let message = format!("{} by {} tiles do not make groups of {at}", all[0], all[1]);
            return Err(Diagnostic::new(message).help(format!("legal: at {}", listed(&legal))));
        }
        let group = if at <= all[1] { [1, at] } else { [at / all[1], all[1]] };
        Ok(Tiles { outputs, all, group })
    }

    /// Tiles of a group.
    fn count(&self) -> u32 {
        self.group[0] * self.group[1]
    }

    /// Outputs that all tiles cover, along rows and columns.
    fn covered(&self) -> [u32; 2] {
        self.all.map(|tiles| tiles * self.outputs)
    }
}

/// The buffers between the three parts.
struct Buffers {
    /// The transformed inputs of a group of tiles, by position, tile and channel.
    inputs: BufferId,
    /// The transformed weights, by position, output channel and input channel.
    weights: BufferId,
    /// The sums of a group, by position, tile and output channel of a block.
    sums: BufferId,
    /// What sums start with, by position and output channel; `None` for 0.
    first: Option<BufferId>,
    /// The least and the greatest sum of each channel.
    bounds: [BufferId; 2],
}

impl Build {
    /// The statements, with all buffers that they need.
    pub fn statements(self, nest: &mut Nest) -> Result<Vec<Stmt>, Diagnostic> {
        let buffers = self.buffers(nest)?;
        let mut copies = Vec::new();
        let finish = self.finish_inside(nest, &mut copies)?;
        let [row, column] = [self.convolution.row().var, self.convolution.column().var];
        let group = |nest: &mut Nest, var: VarId, dim: usize| {
            let extent = self.tiles.all[dim] / self.tiles.group[dim];
            let name = format!("{}.o", nest.vars[var.idx()]);
            Counter::new(nest, &name, extent)
        };
        let groups = [group(nest, row, 0), group(nest, column, 1)];
        let mut stmts = self.transform_inputs(nest, &buffers, &groups);
        let n_blocks = self.convolution.channel().extent / self.channels;
        let name = format!("{}.o", nest.vars[self.convolution.channel().var.idx()]);
        let block = Counter::new(nest, &name, n_blocks);
        let mut of_block = vec![self.multiply(nest, &buffers, &block)];
        of_block.extend(self.transform_outputs(nest, &buffers, &groups, &block, &finish));
        stmts.extend(block.around(of_block));
        let [rows, columns] = groups;
        let mut all = rows.around(columns.around(stmts));
        all.extend(copies);
        Ok(all)
    }

    /// Positions of a transformed window in both dimensions.
    fn positions(&self) -> usize {
        self.algorithm.inputs() * self.algorithm.inputs()
    }

    fn buffers(&self, nest: &mut Nest) -> Result<Buffers, Diagnostic> {
        let conv = &self.convolution;
        let positions = self.positions() as u32;
        let weights = self.weights(nest)?;
        let scratch = |nest: &mut Nest, of: &str, elem: Ty, shape: &[u32]| {
            let name = fresh_name(nest, &format!("{of}_winograd"));
            nest.add_buffer(Buffer::new(name, elem, shape, Role::Scratch))
        };
        let x = nest.buffers[conv.x.buffer.idx()].name.clone();
        let sum = nest.locals[conv.sum.idx()].name.clone();
        let inputs = scratch(nest, &x, Ty::I16, &[positions, self.tiles.count(), conv.k.extent]);
        let sums = scratch(nest, &sum, Ty::I32, &[positions, self.tiles.count(), self.channels]);
        let first = (conv.init != Expr::Int(0, Ty::I32)).then(|| self.first(nest));
        let mut bound = |suffix: &str, of: &dyn Fn(&Interval) -> i64| {
            let name = fresh_name(nest, &format!("{sum}_{suffix}"));
            let bytes: Vec<u8> = self.sums.iter().flat_map(|sum| (of(sum) as i32).to_le_bytes()).collect();
            let role = Role::Const(Init::Data(bytes.into()));
            nest.add_buffer(Buffer::new(name, Ty::I32, &[self.sums.len() as u32], role))
        };
        let bounds = [bound("least", &|sum| sum.low), bound("most", &|sum| sum.high)];
        Ok(Buffers { inputs, weights, sums, first, bounds })
    }

    /// The transformed weights; refused where they are no halfwords.
    fn weights(&self, nest: &mut Nest) -> Result<BufferId, Diagnostic> {
        let conv = &self.convolution;
        let basis = self.algorithm.weights.kronecker(&self.algorithm.weights)?;
        let operand = |ky: i64, kx: i64| {
            let known = [(conv.taps[0], ky), (conv.taps[1], kx)];
            placed(&conv.w, &|var| {
                known.iter().find(|(tap, _)| *tap == var).map(|(_, at)| Index::constant(*at))
            })
        };
        let operands: Vec<Expr> = (0..3).flat_map(|ky| (0..3).map(move |kx| operand(ky, kx))).collect();
        let bounds = vec![values(nest, conv.weights())?; operands.len()];
        let name = format!("{}_winograd", nest.buffers[conv.weights().idx()].name);
        let loops = [conv.channel().clone(), conv.k.clone()];
        let combined = Combined {
            name: &name,
            elem: Ty::I16,
            loops: &loops,
            operands: &operands,
            bounds: &bounds,
            row_dim: 0,
        };
        basis.constant(nest, combined).map_err(|error| {
            let smaller = "smaller combinations: `winograd 2`";
            if self.algorithm.outputs > 2 { error.help(smaller) } else { error }
        })
    }

    /// What sums start with: the scaled initial value at the position that counts everywhere.
    fn first(&self, nest: &mut Nest) -> BufferId {
        let conv = &self.convolution;
        let n = conv.channel();
        let sum = nest.locals[conv.sum.idx()].name.clone();
        let name = fresh_name(nest, &format!("{sum}_first"));
        let made = BufferId::new(nest.buffers.len());
        let everywhere = (EVERYWHERE * self.algorithm.inputs() + EVERYWHERE) as u32;
        let rest = self.positions() as u32 - everywhere - 1;
        let scaled = op(Prim::Mul, vec![conv.init.clone(), int(self.scale())]);
        let mut block = Vec::new();
        for (from, count, value) in
            [(0, everywhere, int(0)), (everywhere, 1, scaled), (everywhere + 1, rest, int(0))]
        {
            let position = Counter::new(nest, &format!("{name}_0"), count);
            let index = vec![position.index.offset(from.into()), Index::var(n.var)];
            let store = Stmt::Store(Access { buffer: made, index, ty: Ty::I32, border: None }, value);
            let mut part = position.around(vec![Stmt::For(Loop { unroll: false, ..n.clone() }, vec![store])]);
            renew_vars(nest, &mut part);
            block.extend(part);
        }
        let shape = [self.positions() as u32, n.extent];
        nest.add_buffer(Buffer::new(name, Ty::I32, &shape, Role::Const(Init::Nest(block))))
    }

    fn scale(&self) -> i64 {
        self.algorithm.scale * self.algorithm.scale
    }

    /// A tile of a group, along rows and columns, and its number within the group.
    fn tile_loops(&self, nest: &mut Nest, suffix: &str) -> ([Counter; 2], Index) {
        let [rows, columns] = self.tiles.group;
        let row = Counter::new(nest, &format!("tile_row_{suffix}"), rows);
        let column = Counter::new(nest, &format!("tile_{suffix}"), columns);
        let number = row.index.scale(columns.into()).add(&column.index);
        ([row, column], number)
    }

    /// The first output of a tile along a dimension.
    fn first_output(&self, groups: &[Counter; 2], tile: &[Counter; 2], dim: usize) -> Index {
        let number = groups[dim].index.scale(self.tiles.group[dim].into()).add(&tile[dim].index);
        number.scale(self.tiles.outputs.into())
    }

    /// All windows of a group.
    fn transform_inputs(&self, nest: &mut Nest, buffers: &Buffers, groups: &[Counter; 2]) -> Vec<Stmt> {
        let conv = &self.convolution;
        let (tile, number) = self.tile_loops(nest, "in");
        let name = format!("{}_in", nest.vars[conv.k.var.idx()]);
        let k = fresh_var(nest, &name);
        let first = [0, 1].map(|dim| self.first_output(groups, &tile, dim));
        let border = conv.x.border.or(self.leaves().then_some(0));
        let window = |at: [i64; 2]| {
            let known = [
                (conv.row().var, first[0].clone()),
                (conv.column().var, first[1].clone()),
                (conv.taps[0], Index::constant(at[0])),
                (conv.taps[1], Index::constant(at[1])),
                (conv.k.var, Index::var(k)),
            ];
            let mut input =
                placed(&conv.input, &|var| known.iter().find(|(v, _)| *v == var).map(|(_, at)| at.clone()));
            visit_loads_of(&mut input, &mut |access| access.border = border);
            input
        };
        let n = self.algorithm.inputs();
        let (mut body, values) =
            twice(nest, &self.algorithm.input, "v", n, &|i, j| window([i as i64, j as i64]));
        for (position, (lets, value)) in values.into_iter().enumerate() {
            body.extend(lets);
            let index = vec![Index::constant(position as i64), number.clone(), Index::var(k)];
            body.push(Stmt::Store(
                Access { buffer: buffers.inputs, index, ty: Ty::I16, border: None },
                value,
            ));
        }
        let body = vec![Stmt::For(Loop { var: k, extent: conv.k.extent, unroll: false }, body)];
        let [row, column] = tile;
        row.around(column.around(body))
    }

    /// Whether tiles reach beyond the outputs, and so read what no window of the convolution does.
    pub fn leaves(&self) -> bool {
        self.tiles.covered() != [self.convolution.row().extent, self.convolution.column().extent]
    }

    /// A sum over channels for each position, tile and output channel.
    fn multiply(&self, nest: &mut Nest, buffers: &Buffers, block: &Counter) -> Stmt {
        let conv = &self.convolution;
        let position = fresh_var(nest, "position");
        let tile = Counter::new(nest, "tile", self.tiles.count());
        let name = match self.channels == conv.channel().extent {
            true => nest.vars[conv.channel().var.idx()].clone(),
            false => format!("{}.i", nest.vars[conv.channel().var.idx()]),
        };
        let n = Counter { index: Index::var(nest.add_var(name)), extent: self.channels };
        let name = nest.vars[conv.k.var.idx()].clone();
        let k = nest.add_var(name);
        let channel = block.index.scale(self.channels.into()).add(&n.index);
        let load = |buffer, index: Vec<Index>, ty| Expr::Load(Access { buffer, index, ty, border: None });
        let x = load(buffers.inputs, vec![Index::var(position), tile.index.clone(), Index::var(k)], Ty::I16);
        let w = load(buffers.weights, vec![Index::var(position), channel.clone(), Index::var(k)], Ty::I16);
        let first =
            buffers.first.map_or(int(0), |first| load(first, vec![Index::var(position), channel], Ty::I32));
        let name = nest.locals[conv.sum.idx()].name.clone();
        let sum = nest.add_local(name, Ty::I32, &[]);
        let total = || Expr::Local(sum, Vec::new());
        let product = op(Prim::Mul, vec![extended(x, Ty::I16), extended(w, Ty::I16)]);
        let to = vec![Index::var(position), tile.index.clone(), n.index.clone()];
        let reduce = Stmt::Reduce(Reduce {
            carried: vec![sum],
            loops: vec![Loop { var: k, extent: conv.k.extent, unroll: false }],
            init: vec![Stmt::Set(sum, Vec::new(), first)],
            update: vec![Stmt::Set(sum, Vec::new(), op(Prim::Add, vec![total(), product]))],
            finish: vec![Stmt::Store(
                Access { buffer: buffers.sums, index: to, ty: Ty::I32, border: None },
                total(),
            )],
        });
        let body = tile.around(n.around(vec![reduce]));
        Stmt::For(Loop { var: position, extent: self.positions() as u32, unroll: false }, body)
    }

    /// The outputs of a group and what is done with them.
    fn transform_outputs(
        &self,
        nest: &mut Nest,
        buffers: &Buffers,
        groups: &[Counter; 2],
        block: &Counter,
        finish: &[Stmt],
    ) -> Vec<Stmt> {
        let conv = &self.convolution;
        let (tile, number) = self.tile_loops(nest, "out");
        let name = format!("{}_out", nest.vars[conv.channel().var.idx()]);
        let n = Counter::new(nest, &name, self.channels);
        let channel = block.index.scale(self.channels.into()).add(&n.index);
        let inputs = self.algorithm.inputs();
        let load = |i: usize, j: usize| {
            let index = vec![Index::constant((i * inputs + j) as i64), number.clone(), n.index.clone()];
            Expr::Load(Access { buffer: buffers.sums, index, ty: Ty::I32, border: None })
        };
        let (mut init, values) = twice(nest, &self.algorithm.output, "m", inputs, &load);
        let outputs = self.algorithm.outputs as u32;
        let name = fresh_name(nest, &format!("{}_out", nest.locals[conv.sum.idx()].name));
        let sums = nest.add_local(name, Ty::I32, &[outputs; 2]);
        for (at, (lets, value)) in values.into_iter().enumerate() {
            init.extend(lets);
            let at = [at as i64 / i64::from(outputs), at as i64 % i64::from(outputs)];
            init.push(Stmt::Set(sums, at.map(Index::constant).to_vec(), value));
        }
        let inside = [conv.row().var, conv.column().var].map(|var| {
            let name = format!("{}_out", nest.vars[var.idx()]);
            fresh_var(nest, &name)
        });
        let bound =
            |buffer| Expr::Load(Access { buffer, index: vec![channel.clone()], ty: Ty::I32, border: None });
        let out = Expr::Local(sums, inside.map(Index::var).to_vec());
        let args = vec![out, bound(buffers.bounds[0]), bound(buffers.bounds[1])];
        let sum = Expr::Op { prim: Prim::Unscaled, args, imm: vec![self.scale() as i32] };
        let output = |dim: usize| self.first_output(groups, &tile, dim).add(&Index::var(inside[dim]));
        let known = [
            (conv.row().var, output(0)),
            (conv.column().var, output(1)),
            (conv.channel().var, channel.clone()),
        ];
        let finish = inside.iter().rev().fold(finished(nest, conv.sum, finish, sum, &known), |body, var| {
            vec![Stmt::For(Loop { var: *var, extent: outputs, unroll: true }, body)]
        });
        let (carried, loops, update) = (vec![sums], Vec::new(), Vec::new());
        let body = vec![Stmt::Reduce(Reduce { carried, loops, init, update, finish })];
        let [row, column] = tile;
        row.around(column.around(n.around(body)))
    }

    /// What is done with a sum; where tiles reach beyond the outputs, with copies in the place of outputs, and the
    /// loops that take the part inside.
    fn finish_inside(&self, nest: &mut Nest, copies: &mut Vec<Stmt>) -> Result<Vec<Stmt>, Diagnostic> {
        let conv = &self.convolution;
        let mut finish = conv.finish.clone();
        if !self.leaves() {
            return Ok(finish);
        }
        let no_store = || {
            let message =
                "tiles reach beyond the outputs, and what is done with a sum is more than to store it";
            let (rows, columns) = (conv.row().extent, conv.column().extent);
            let outputs = self.tiles.outputs;
            Diagnostic::new(message).help(format!(
                "peel what is left of {rows} by {columns} outputs, modulo {outputs}, first: `peel AXIS COUNT`"
            ))
        };
        let [rows, columns] = self.tiles.covered();
        let n = conv.channel();
        for stmt in &mut finish {
            let Stmt::Store(access, _) = stmt else {
                if matches!(stmt, Stmt::Let(..)) {
                    continue;
                }
                return Err(no_store());
            };
            if access.ty != nest.buffers[access.buffer.idx()].elem || access.ty.lanes() > 1 {
                return Err(no_store());
            }
            let name = fresh_name(nest, &format!("{}_tiles", nest.buffers[access.buffer.idx()].name));
            let copy =
                nest.add_buffer(Buffer::new(name, access.ty, &[rows, columns, n.extent], Role::Scratch));
            let index = [conv.row(), conv.column(), n].map(|l| Index::var(l.var)).to_vec();
            let inner = Access { buffer: copy, index, ty: access.ty, border: None };
            let outer = std::mem::replace(access, inner.clone());
            let elem = outer.ty;
            let mut block = [conv.row(), conv.column(), n]
                .iter()
                .rev()
                .fold(vec![Stmt::Store(outer, extended(Expr::Load(inner), elem))], |body, l| {
                    vec![Stmt::For(Loop { unroll: false, ..(*l).clone() }, body)]
                });
            super::super::edit::rename_vars(nest, &mut block, "_copy");
            copies.extend(block);
        }
        let inside = |access: &Access| {
            !access.index.iter().any(|index| {
                let mut used = Vec::new();
                index.vars(&mut used);
                used.contains(&conv.row().var) || used.contains(&conv.column().var)
            })
        };
        let mut outside = false;
        visit_loads(&mut finish, &mut Default::default(), &mut |access, _| outside |= !inside(access));
        if outside { Err(no_store()) } else { Ok(finish) }
    }
}

/// A loop over a range; none for a single iteration.
struct Counter {
    index: Index,
    extent: u32,
}

impl Counter {
    fn new(nest: &mut Nest, name: &str, extent: u32) -> Self {
        let index = if extent == 1 { Index::constant(0) } else { Index::var(fresh_var(nest, name)) };
        Self { index, extent }
    }

    fn around(&self, body: Vec<Stmt>) -> Vec<Stmt> {
        let mut used = Vec::new();
        self.index.vars(&mut used);
        match used[..] {
            [var] => vec![Stmt::For(Loop { var, extent: self.extent, unroll: false }, body)],
            _ => body,
        }
    }
}

/// A value, and the statements that it needs.
type Value = (Vec<Stmt>, Expr);

/// Combines a square of `inputs` by `inputs` values in both dimensions: the statements for columns, and each combination
/// with the statements for its row, row by row.
fn twice(
    nest: &mut Nest,
    basis: &Basis,
    name: &str,
    inputs: usize,
    value: &dyn Fn(usize, usize) -> Expr,
) -> (Vec<Stmt>, Vec<Value>) {
    let mut stmts = Vec::new();
    let named = |nest: &mut Nest, stmts: &mut Vec<Stmt>, value: Expr| {
        let local = fresh_local(nest, name, Ty::I32);
        stmts.push(Stmt::Let(local, value));
        Expr::Local(local, Vec::new())
    };
    let mut columns: Vec<Vec<Expr>> = Vec::new();
    for j in 0..inputs {
        let operands: Vec<Expr> = (0..inputs).map(|i| named(nest, &mut stmts, value(i, j))).collect();
        let (lets, column) = basis.lets(nest, name, &operands);
        stmts.extend(lets);
        columns.push(column.into_iter().map(|value| named(nest, &mut stmts, value)).collect());
    }
    let mut values = Vec::new();
    for i in 0..basis.rows().len() {
        let row: Vec<Expr> = columns.iter().map(|column| column[i].clone()).collect();
        let (mut lets, row) = basis.lets(nest, name, &row);
        values.extend(row.into_iter().map(|value| (std::mem::take(&mut lets), value)));
    }
    (stmts, values)
}

/// What is done with one sum, at a place where loops have these values.
fn finished(
    nest: &mut Nest,
    sum: LocalId,
    finish: &[Stmt],
    value: Expr,
    known: &[(VarId, Index)],
) -> Vec<Stmt> {
    let mut block = finish.to_vec();
    renew_vars(nest, &mut block);
    rename_locals(nest, &mut block);
    for (var, index) in known {
        substitute(&mut block, *var, index);
    }
    let mut uses = 0;
    visit_local_uses(&mut block, &mut |local, _| uses += usize::from(local == sum));
    if uses == 1 {
        block.iter_mut().for_each(|stmt| replace_local(stmt, sum, &value));
        return block;
    }
    let name = nest.locals[sum.idx()].name.clone();
    let local = fresh_local(nest, &name, Ty::I32);
    block.iter_mut().for_each(|stmt| replace_local(stmt, sum, &Expr::Local(local, Vec::new())));
    block.insert(0, Stmt::Let(local, value));
    block
}

fn replace_local(stmt: &mut Stmt, local: LocalId, value: &Expr) {
    fn in_expr(expr: &mut Expr, local: LocalId, value: &Expr) {
        match expr {
            Expr::Local(found, _) if *found == local => *expr = value.clone(),
            Expr::Op { args, .. } => args.iter_mut().for_each(|arg| in_expr(arg, local, value)),
            Expr::Lookup(_, at) => in_expr(at, local, value),
            _ => {}
        }
    }
    if let Stmt::Let(_, expr) | Stmt::Set(_, _, expr) | Stmt::Store(_, expr) = stmt {
        in_expr(expr, local, value);
    }
    for block in blocks_mut(stmt) {
        block.iter_mut().for_each(|stmt| replace_local(stmt, local, value));
    }
}

/// An expression with other indices for the variables that `of` knows.
fn placed(expr: &Expr, of: &dyn Fn(VarId) -> Option<Index>) -> Expr {
    let mut placed = expr.clone();
    let move_index = |index: &mut Index| *index = index.substitute(&|var| of(var).unwrap_or(Index::var(var)));
    super::super::edit::visit_indices_of(&mut placed, &mut |index| move_index(index));
    placed
}

fn int(value: i64) -> Expr {
    Expr::Int(value, Ty::I32)
}

fn op(prim: Prim, args: Vec<Expr>) -> Expr {
    Expr::Op { prim, args, imm: Vec::new() }
}
