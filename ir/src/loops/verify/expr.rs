//! Expressions: their types, operands and attributes.

use super::super::prim::Row;
use super::super::{BufferId, Expr, Prim};
use super::Verifier;
use crate::ty::Ty;

impl Verifier<'_> {
    /// Checks a value; gives its type where it has one.
    pub(super) fn value(&mut self, expr: &Expr) -> Option<Ty> {
        match expr {
            Expr::Int(value, ty) => {
                let range = if matches!(ty, Ty::I32 | Ty::I64) { ty.range() } else { None };
                match range {
                    Some((low, high)) if (low..=high).contains(value) => return Some(*ty),
                    Some(_) => self.error(format!("the literal {value} does not fit in `{ty}`")),
                    None => self.error(format!("the literal {value} is `{ty}`, expected `i32` or `i64`")),
                }
                None
            }
            Expr::Index(index) => {
                if self.known(index) {
                    let (low, high) = self.range(index);
                    if i32::try_from(low).is_err() || i32::try_from(high).is_err() {
                        self.error(format!(
                            "an index used as a value runs from {low} to {high}, beyond `i32`"
                        ));
                    }
                }
                Some(Ty::I32)
            }
            Expr::Local(local, at) => {
                self.read(*local, at);
                Some(self.nest.locals[local.idx()].ty)
            }
            Expr::Load(access) => {
                self.load(access);
                Some(access.ty)
            }
            Expr::Lookup(table, at) => self.lookup(*table, at),
            Expr::Op { prim, args, imm } => self.operation(*prim, args, imm),
        }
    }

    fn lookup(&mut self, table: BufferId, at: &Expr) -> Option<Ty> {
        if let Some(ty) = self.value(at).filter(|ty| *ty != Ty::I32) {
            self.error(format!("the position of a lookup is `{ty}`, expected `i32`"));
        }
        self.readable(table);
        let buffer = &self.nest.buffers[table.idx()];
        if buffer.shape.len() != 1 || !buffer.map.is_row_major(&buffer.shape) || buffer.elem.lanes() != 1 {
            let name = &buffer.name;
            self.error(format!("a lookup reads `{name}`, which is no row of scalars, or not row-major"));
        }
        Some(buffer.elem)
    }

    fn operation(&mut self, prim: Prim, args: &[Expr], imm: &[i32]) -> Option<Ty> {
        let row = prim.row();
        let types: Vec<Option<Ty>> = args.iter().map(|arg| self.value(arg)).collect();
        if args.len() != row.operands.len() {
            let (wanted, found) = (row.operands.len(), args.len());
            self.error(format!("`{}` has {wanted} operands, found {found}", row.name));
            return None;
        }
        let types: Vec<Ty> = types.into_iter().collect::<Option<_>>()?;
        let mut right = true;
        for (idx, (operand, ty)) in row.operands.iter().zip(&types).enumerate() {
            let first = row.operands.iter().position(|other| other == operand).unwrap_or(idx);
            if !operand.accepts(*ty) {
                let wanted = Ty::ALL.iter().filter(|(ty, _)| operand.accepts(*ty));
                let wanted = wanted.map(|(_, name)| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
                let (name, nth) = (row.name, idx + 1);
                self.error(format!("operand {nth} of `{name}` is `{ty}`, expected {wanted}"));
                right = false;
            } else if operand.must_agree() && operand.accepts(types[first]) && types[first] != *ty {
                let (name, nth, wanted) = (row.name, idx + 1, types[first]);
                self.error(format!(
                    "operand {nth} of `{name}` is `{ty}`, operand {} is `{wanted}`",
                    first + 1
                ));
                right = false;
            }
        }
        self.attributes(prim, row, imm);
        right.then(|| prim.result(|idx| types[idx]))
    }

    fn attributes(&mut self, prim: Prim, row: &Row, imm: &[i32]) {
        let name = row.name;
        if imm.len() != row.attributes.len() {
            let (wanted, found) = (row.attributes.len(), imm.len());
            return self.error(format!("`{name}` has {wanted} attributes, found {found}"));
        }
        for ((attribute, (from, to, step)), value) in row.attributes.iter().zip(imm) {
            if !(*from..=*to).contains(value) || (value.wrapping_sub(*from)) % step != 0 {
                let steps = if *step == 1 { String::new() } else { format!(" in steps of {step}") };
                self.error(format!("`{attribute}` of `{name}` is {value}, expected {from} to {to}{steps}"));
            }
        }
        match (prim, imm) {
            (Prim::Ubfx | Prim::Sbfx | Prim::Bfi, [lsb, width]) if lsb.saturating_add(*width) > 32 => {
                self.error(format!(
                    "the bits of `{name}` end at bit {}, the word at bit 31",
                    lsb + width - 1
                ));
            }
            (Prim::Requantize, [_, min, max]) if min > max => {
                self.error(format!("`{name}` clamps to {min} from below and to {max} from above"));
            }
            _ => {}
        }
    }
}
