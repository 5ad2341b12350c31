//! `flood`: writes all of a tensor in words where a layer writes what is around it, element by element.
//!
//! ```text
//! tensor t: i16[1, 6, 6, 57] map (d0: 1, d3: 57, d1 + 1: 8, d2 + 1: 8)
//! loops @a(…, y: i16[1, 8, 8, 57] map (d0: 1, d3: 57, d1: 8, d2: 8)) {
//!   … y[0, 0, …] = -128 …                                 // The first and the last row, then the columns.
//!   … y[0, row + 1, column + 1, n] = …
//! }
//! =>
//! loops @a(…, y: i16[1, 8, 8, 57] map (d0: 1, d3: 57, d1: 8, d2: 8)) {
//!   for y_word in 0..1824 { … y[0, (y_word div 4) mod 8, …] as i16x2 = as_i16x2 -8323200 }
//!   … y[0, row + 1, column + 1, n] = …
//! }
//! ```
//!
//! One loop whatever the tensor's shape, so that layers of all shapes may share its code; it pays for small maps. The elements of the tensor
//! itself are written again behind it. Legal for a tensor between layers that one layer writes and does not read, with one value around it,
//! whose innermost extent is whole words. It comes last: other steps for the tensor look for single elements.

use ir::diag::Diagnostic;
use ir::loops::{Access, BufferId, Expr, Index, Loop, Nest, Prim, Program, Stmt};
use ir::ty::Ty;

use super::view::{User, WORD_BYTES, inner_frame, looks_up, users};
use super::{ProgramStep, Run};
use crate::loops::edit::{Extents, fresh_var, visit_loads};

/// The step.
pub const STEP: ProgramStep = ProgramStep {
    name: "flood",
    usage: "flood",
    summary: "Write all of a tensor in words where what is around it is written",
    run: Run::Tensor(|program, tensor, args| {
        args.at_most(0)?;
        flood(program, tensor)
    }),
};

/// Writes the whole tensor where what is around it is written.
pub fn flood(program: &mut Program, tensor: usize) -> Result<(), Diagnostic> {
    inner_frame(program, tensor)?;
    let writers: Vec<User> = users(program, tensor).into_iter().filter(|user| user.writes).collect();
    let [User { layer, param, .. }] = writers[..] else {
        let found = writers.len();
        return Err(
            Diagnostic::new(format!("{found} layers write it")).help("legal where one layer writes it")
        );
    };
    let nest = &mut program.layers[layer].nest;
    if is_read(nest, param) {
        return Err(Diagnostic::new(format!("`{}` reads it", nest.name))
            .help("legal where the layer that writes it does not read it"));
    }
    let mut values = Vec::new();
    let n_around = nest.body.iter().take_while(|stmt| fills(stmt, param, &mut values)).count();
    values.dedup();
    let value = match (n_around, &values[..]) {
        (1.., [value]) => *value,
        (0, _) | (_, []) => {
            return Err(Diagnostic::new("nothing is written around it, element by element")
                .help("legal after `border` or `layout … multiple N`, once"));
        }
        (_, [first, second, ..]) => {
            return Err(
                Diagnostic::new(format!("around it are {first} and {second}")).help("legal for one value")
            );
        }
    };
    let words = words(nest, param, value)?;
    nest.body.splice(0..n_around, [words]);
    Ok(())
}

/// A loop that writes `value` to all elements.
fn words(nest: &mut Nest, param: BufferId, value: i64) -> Result<Stmt, Diagnostic> {
    let buffer = &nest.buffers[param.idx()];
    let lanes = WORD_BYTES / buffer.elem.bytes() as u32;
    let (ty, prim) = match buffer.elem {
        Ty::I8 => (Ty::I8x4, Prim::AsI8x4),
        Ty::U8 => (Ty::U8x4, Prim::AsU8x4),
        Ty::I16 => (Ty::I16x2, Prim::AsI16x2),
        other => {
            return Err(Diagnostic::new(format!("its elements are `{other}`, of which no word is written"))
                .help("legal for `i8`, `u8` and `i16`"));
        }
    };
    let (dims, shape, name) = (buffer.map.dims.clone(), buffer.shape.clone(), buffer.name.clone());
    let inner = dims.last().map_or(0, |(_, extent)| *extent);
    if inner == 0 || !inner.is_multiple_of(lanes) || buffer.map.align < WORD_BYTES {
        return Err(Diagnostic::new(format!("its rows of {inner} elements are no whole words"))
            .help(format!("make them words first: `layout … multiple {lanes}`")));
    }
    let extent = (buffer.map.len() as u32) / lanes;
    let var = fresh_var(nest, &format!("{name}_word"));
    let mut index = vec![Index::constant(0); shape.len()];
    let mut left = Index::var(var).scale(lanes.into());
    for (at, (dim, extent)) in dims.iter().enumerate().rev() {
        let mut used = Vec::new();
        dim.vars(&mut used);
        index[used[0].idx()] = if at == 0 { left.clone() } else { left.modulo(*extent) };
        left = left.div(*extent);
    }
    let range = |_| (0, i64::from(extent) - 1);
    let index = index.iter().map(|index| index.within(&range)).collect();
    let mask = (1i64 << (8 * (WORD_BYTES / lanes))) - 1;
    let word = (0..lanes).fold(0i64, |word, lane| word | (value & mask) << (lane * 8 * (WORD_BYTES / lanes)));
    let word = Expr::Int(i64::from(word as u32 as i32), Ty::I32);
    let store = Stmt::Store(
        Access { buffer: param, index, ty, border: None },
        Expr::Op { prim, args: vec![word], imm: Vec::new() },
    );
    Ok(Stmt::For(Loop { var, extent, unroll: false }, vec![store]))
}

/// Whether a statement does nothing but store numbers to single elements of the buffer; gathers them.
fn fills(stmt: &Stmt, buffer: BufferId, values: &mut Vec<i64>) -> bool {
    match stmt {
        Stmt::For(_, body) => body.iter().all(|stmt| fills(stmt, buffer, values)),
        Stmt::Store(to, Expr::Int(value, _)) if to.buffer == buffer && to.ty.lanes() == 1 => {
            values.push(*value);
            true
        }
        _ => false,
    }
}

/// Whether a nest reads a buffer.
fn is_read(nest: &Nest, buffer: BufferId) -> bool {
    let mut found = looks_up(&nest.body, buffer);
    visit_loads(&mut nest.body.clone(), &mut Extents::new(), &mut |access, _| {
        found |= access.buffer == buffer
    });
    found
}
