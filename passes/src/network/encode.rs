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
//! as a store of a byte does.
//!
//! Legal for a tensor of bytes between layers whose elements are read one by one and extended.

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
    usage: "encode u8|i16",
    summary: "Give the elements of a tensor another type",
    run: Run::Tensor(|program, tensor, args| {
        let ty = match args.word(0)? {
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
    let found = program.tensors[tensor].ty.elem;
    if found != Ty::I8 {
        return Err(Diagnostic::new(format!("its elements are `{found}`, expected `i8`"))
            .help("legal once for each tensor of bytes"));
    }
    for User { layer, param, .. } in users(program, tensor) {
        let nest = &mut program.layers[layer].nest;
        let encoded = Encoding { param, ty }.apply(nest);
        encoded.map_err(|error| Diagnostic {
            message: format!("`{}`: {}", nest.name, error.message),
            ..error
        })?;
    }
    let slot = &mut program.tensors[tensor];
    slot.ty.elem = ty;
    slot.map.align = slot.map.align.max(WORD_BYTES);
    if let (Ty::U8, Quant::PerTensor { zero, .. }) = (ty, &mut slot.ty.quant) {
        *zero += OFFSET as i32;
    }
    Ok(())
}

struct Encoding {
    param: BufferId,
    ty: Ty,
}

impl Encoding {
    fn apply(&self, nest: &mut Nest) -> Result<(), Diagnostic> {
        self.check(nest)?;
        replace_reads(&mut nest.body, self.param, &|read| Some(self.load(read.access())));
        let values = nest.clone();
        self.stores(&values, &mut nest.body);
        let buffer = &mut nest.buffers[self.param.idx()];
        buffer.elem = self.ty;
        buffer.map.align = buffer.map.align.max(WORD_BYTES);
        buffer.values = (self.ty == Ty::I16).then_some(BYTE);
        Ok(())
    }

    fn check(&self, nest: &Nest) -> Result<(), Diagnostic> {
        let mut wide = None;
        visit_accesses(&mut nest.body.clone(), &mut Extents::new(), &mut |access, _| {
            if access.buffer == self.param && access.ty != Ty::I8 {
                wide = Some(access.ty);
            }
        });
        if let Some(wide) = wide {
            return Err(Diagnostic::new(format!("an access moves a `{wide}` at once, not one `i8`"))
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
