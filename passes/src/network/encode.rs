//! `encode TYPE`: gives the elements of a tensor another type, so that readers get them as they need them.
//!
//! ```text
//! tensor t: i8[4, 8]
//! loops @a(…, y: i8[4, 8]) { … y[p, n] = ssat … {bits = 8} }
//! loops @b(x: i8[4, 8], …) { … sext(x[p, k]) … }
//! => encode i16
//! tensor t: i16[4, 8]
//! loops @a(…, y: i16[4, 8] within [-128, 127]) { … y[p, n] = ssat … {bits = 8} }
//! loops @b(x: i16[4, 8] within [-128, 127], …) { … sext(x[p, k]) … }
//! ```
//!
//! `i16` makes pairs that products take two at a time without being widened first; `u8` adds 128, so that four bytes are clean lanes of
//! larger words. A parameter says what its elements are within, which bounds sums as before. A value that may not fit in a byte is cut off
//! as a store of a byte does. `i8` makes signed bytes of either again.
//!
//! Legal for a tensor of bytes, however they are encoded, between layers whose elements are read one by one and extended.

use ir::diag::Diagnostic;
use ir::loops::{Access, BufferId, Expr, Nest, Prim, Program, Stmt};
use ir::ty::{Quant, Ty};

use super::view::{User, WORD_BYTES, inner_frame, looks_up, users, visit_accesses};
use super::{ProgramStep, Run};
use crate::loops::edit::{Extents, blocks_mut};
use crate::loops::footprint::{Read, reads, replace_reads};

/// What is added to a signed byte to make an unsigned one.
const OFFSET: i64 = 128;
/// The values of a signed byte.
const BYTE: [i32; 2] = [-128, 127];

/// The step.
pub const STEP: ProgramStep = ProgramStep {
    name: "encode",
    usage: "encode i8|u8|i16",
    summary: "Give the elements of a tensor another type",
    run: Run::Tensor(|program, tensor, args| {
        let ty = match args.word(0)? {
            "i8" => Ty::I8,
            "u8" => Ty::U8,
            "i16" => Ty::I16,
            other => return Err(args.misuse(format!("`{other}` there"))),
        };
        args.at_most(1)?;
        encode(program, tensor, ty)
    }),
};

/// Lets the tensor hold elements of type `ty`.
pub fn encode(program: &mut Program, tensor: usize, ty: Ty) -> Result<(), Diagnostic> {
    inner_frame(program, tensor)?;
    let from = program.tensors[tensor].ty.elem;
    if from == ty || !matches!(from, Ty::I8 | Ty::U8 | Ty::I16) {
        let others = [Ty::I8, Ty::U8, Ty::I16].into_iter().filter(|other| *other != from);
        let others: Vec<String> = others.map(|other| format!("`encode {other}`")).collect();
        return Err(Diagnostic::new(format!("its elements are `{from}`"))
            .help(format!("legal for bytes: {}", others.join(", "))));
    }
    for User { layer, param, .. } in users(program, tensor) {
        let nest = &mut program.layers[layer].nest;
        let undone = if from == Ty::I8 { Ok(()) } else { Encoding { param, ty: from }.undo(nest) };
        let encoded =
            undone.and_then(|()| if ty == Ty::I8 { Ok(()) } else { Encoding { param, ty }.apply(nest) });
        encoded.map_err(|error| Diagnostic {
            message: format!("`{}`: {}", nest.name, error.message),
            ..error
        })?;
    }
    let slot = &mut program.tensors[tensor];
    slot.ty.elem = ty;
    slot.map.align = slot.map.align.max(WORD_BYTES);
    if let Quant::PerTensor { zero, .. } = &mut slot.ty.quant {
        let offset = |ty: Ty| if ty == Ty::U8 { OFFSET as i32 } else { 0 };
        *zero += offset(ty) - offset(from);
    }
    Ok(())
}

struct Encoding {
    param: BufferId,
    ty: Ty,
}

impl Encoding {
    /// Signed bytes in this encoding.
    fn apply(&self, nest: &mut Nest) -> Result<(), Diagnostic> {
        self.check(nest, Ty::I8)?;
        replace_reads(&mut nest.body, self.param, &|read| Some(self.load(read.access())));
        let values = nest.clone();
        self.stores(&values, &mut nest.body);
        let buffer = &mut nest.buffers[self.param.idx()];
        buffer.elem = self.ty;
        buffer.map.align = buffer.map.align.max(WORD_BYTES);
        buffer.values = (self.ty == Ty::I16).then_some(BYTE);
        Ok(())
    }

    /// Signed bytes where this encoding is.
    fn undo(&self, nest: &mut Nest) -> Result<(), Diagnostic> {
        self.check(nest, self.ty)?;
        let buffer = &mut nest.buffers[self.param.idx()];
        let is_byte = |[low, high]: [i32; 2]| low >= BYTE[0] && high <= BYTE[1];
        if self.ty == Ty::I16 && !buffer.values.is_some_and(is_byte) {
            return Err(Diagnostic::new("it holds values that no byte has")
                .help("legal for tensors that were bytes before: `encode i16` is taken back"));
        }
        (buffer.elem, buffer.values) = (Ty::I8, None);
        replace_reads(&mut nest.body, self.param, &|read| Some(self.loaded_byte(read.access())));
        self.store_bytes(&mut nest.body);
        Ok(())
    }

    fn check(&self, nest: &Nest, elem: Ty) -> Result<(), Diagnostic> {
        let mut wide = None;
        visit_accesses(&mut nest.body.clone(), &mut Extents::new(), &mut |access, _| {
            if access.buffer == self.param && access.ty != elem {
                wide = Some(access.ty);
            }
        });
        if let Some(wide) = wide {
            return Err(Diagnostic::new(format!("an access moves a `{wide}` at once, not one `{elem}`"))
                .help("tensors get their types before their layers are rewritten"));
        }
        let bare = |read: &Read| matches!(read.expr, Expr::Load(_));
        if reads(&mut nest.body.clone(), self.param).iter().any(bare) || looks_up(&nest.body, self.param) {
            return Err(Diagnostic::new("an element is read and not extended"));
        }
        Ok(())
    }

    /// The element as the word that it was before.
    fn load(&self, access: &Access) -> Expr {
        let border = access.border.map(|value| if self.ty == Ty::U8 { value + OFFSET } else { value });
        let load = Expr::Load(Access { ty: self.ty, border, ..access.clone() });
        match self.ty {
            Ty::U8 => binary(Prim::Sub, op(Prim::Zext, vec![load], Vec::new()), OFFSET),
            _ => op(Prim::Sext, vec![load], Vec::new()),
        }
    }

    /// The signed byte as the word that the element was.
    fn loaded_byte(&self, access: &Access) -> Expr {
        let border = access.border.map(|value| if self.ty == Ty::U8 { value - OFFSET } else { value });
        let load = Expr::Load(Access { ty: Ty::I8, border, ..access.clone() });
        let byte = op(Prim::Sext, vec![load], Vec::new());
        if self.ty == Ty::U8 { binary(Prim::Add, byte, OFFSET) } else { byte }
    }

    /// Stores hold the signed byte; what was done for the encoding alone is taken off, on the side of the loads too.
    fn store_bytes(&self, block: &mut [Stmt]) {
        for stmt in block {
            if let Stmt::Store(to, value) = stmt
                && to.buffer == self.param
            {
                to.ty = Ty::I8;
                if self.ty == Ty::U8 {
                    *value = match value {
                        Expr::Int(known, ty) => Expr::Int(*known - OFFSET, *ty),
                        _ => binary(Prim::Sub, value.clone(), OFFSET),
                    };
                    cancel(value);
                }
                if let Expr::Op { prim: Prim::Sbfx, args, imm } = value
                    && imm[..] == [0, 8]
                {
                    *value = args[0].clone(); // A store of a byte keeps the same bits.
                }
            }
            if let Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) = stmt {
                cancel(value);
            }
            blocks_mut(stmt).into_iter().for_each(|inner| self.store_bytes(inner));
        }
    }

    /// Stores hold what a byte held before.
    fn stores(&self, nest: &Nest, block: &mut [Stmt]) {
        for stmt in block {
            if let Stmt::Store(to, value) = stmt
                && to.buffer == self.param
            {
                to.ty = self.ty;
                let (low, high) = range(nest, value);
                if low < BYTE[0].into() || high > BYTE[1].into() {
                    *value = op(Prim::Sbfx, vec![value.clone()], vec![0, 8]);
                }
                if self.ty == Ty::U8 {
                    *value = match value {
                        Expr::Int(known, ty) => Expr::Int(*known + OFFSET, *ty),
                        _ => binary(Prim::Add, value.clone(), OFFSET),
                    };
                }
            }
            blocks_mut(stmt).into_iter().for_each(|inner| self.stores(nest, inner));
        }
    }
}

/// Takes the offset off where it is added and subtracted again.
fn cancel(expr: &mut Expr) {
    if let Expr::Op { args, .. } = expr {
        args.iter_mut().for_each(cancel);
    }
    let is_offset = |expr: &Expr| *expr == Expr::Int(OFFSET, Ty::I32);
    let inverse = |prim: Prim| if prim == Prim::Sub { Prim::Add } else { Prim::Sub };
    let inner = match expr {
        Expr::Op { prim: outer @ (Prim::Add | Prim::Sub), args, .. } if is_offset(&args[1]) => match &args[0]
        {
            Expr::Op { prim, args, .. } if *prim == inverse(*outer) && is_offset(&args[1]) => args[0].clone(),
            _ => return,
        },
        _ => return,
    };
    *expr = inner;
}

/// What a value is within, as far as the operation that gives it says.
fn range(nest: &Nest, value: &Expr) -> (i64, i64) {
    let all = (i32::MIN.into(), i32::MAX.into());
    match value {
        Expr::Int(value, _) => (*value, *value),
        Expr::Local(local, at) if at.is_empty() => {
            let mut found = all;
            nest.walk(&mut |_, stmt| {
                if let Stmt::Let(defined, value) = stmt
                    && defined == local
                {
                    found = range(nest, value);
                }
            });
            found
        }
        Expr::Op { prim, args, imm } => match (prim, &args[..], &imm[..]) {
            (Prim::Requantize, _, [_, min, max]) => ((*min).into(), (*max).into()),
            (Prim::Ssat, _, [bits, _]) => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
            (Prim::Usat, _, [bits, _]) => (0, (1 << bits) - 1),
            (Prim::Sext | Prim::Zext, [Expr::Load(access)], _) => {
                nest.buffers[access.buffer.idx()].range().unwrap_or(all)
            }
            (Prim::Sext | Prim::Zext, [narrow], _) => nest.ty(narrow).range().unwrap_or(all),
            (Prim::Min, [a, b], _) => {
                let (a, b) = (range(nest, a), range(nest, b));
                (a.0.min(b.0), a.1.min(b.1))
            }
            (Prim::Max, [a, b], _) => {
                let (a, b) = (range(nest, a), range(nest, b));
                (a.0.max(b.0), a.1.max(b.1))
            }
            (Prim::Select, [_, a, b], _) => {
                let (a, b) = (range(nest, a), range(nest, b));
                (a.0.min(b.0), a.1.max(b.1))
            }
            _ => all,
        },
        _ => all,
    }
}

fn binary(prim: Prim, a: Expr, b: i64) -> Expr {
    op(prim, vec![a, Expr::Int(b, Ty::I32)], Vec::new())
}

fn op(prim: Prim, args: Vec<Expr>, imm: Vec<i32>) -> Expr {
    Expr::Op { prim, args, imm }
}
