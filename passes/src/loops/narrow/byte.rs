//! Which byte of a halfword says all of it.

use ir::diag::Diagnostic;
use ir::loops::interp::Constants;
use ir::loops::{BufferId, Expr, Nest, Prim};
use ir::ty::Ty;

/// The bytes of a word that are the upper ones of its halfwords.
const UPPER: i32 = 0xff00_ff00_u32 as i32;
/// Bits of a byte.
const BITS: i32 = 8;

/// The one byte of halfwords that has to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Byte {
    /// They are bytes, extended.
    Lower = 0,
    /// They are 256 times a byte.
    Upper = 1,
}

impl Byte {
    /// That of all halfwords of these constants.
    pub fn of(nest: &Nest, buffers: &[BufferId]) -> Result<Self, Diagnostic> {
        let mut possible = vec![Byte::Lower, Byte::Upper];
        for buffer in buffers {
            let bytes = Constants::new(nest).get(*buffer)?;
            let values = || bytes.as_chunks().0.iter().map(|halfword| i16::from_le_bytes(*halfword));
            possible.retain(|byte| values().all(|value| byte.is_all_of(value)));
            if possible.is_empty() {
                let name = &nest.buffers[buffer.idx()].name;
                let (low, high) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
                let what = format!(
                    "cannot narrow `{name}`: its values run from {low} to {high}, not all of them bytes, or all 256 times a byte"
                );
                return Err(Diagnostic::new(what).help("legal before a `scale`, or after one by 256"));
            }
        }
        Ok(possible[0])
    }

    fn is_all_of(self, value: i16) -> bool {
        match self {
            Byte::Lower => i8::try_from(value).is_ok(),
            Byte::Upper => value % (1 << BITS) == 0,
        }
    }

    /// The byte of a halfword, which is a word by now.
    pub fn of_halfword(self, value: Expr) -> Expr {
        match self {
            Byte::Lower => value,
            Byte::Upper => op(Prim::Asr, vec![value, Expr::Int(BITS.into(), Ty::I32)]),
        }
    }

    /// The halfwords of the bytes 0 and 2 of a word of bytes that is rotated right by `ror` bits, 0 or 8.
    pub fn pair(self, bytes: Expr, ror: i32) -> Expr {
        if self == Byte::Lower {
            return Expr::Op { prim: Prim::Sxtb16, args: vec![bytes], imm: vec![ror] };
        }
        let word = op(Prim::AsI32, vec![bytes]);
        let int = |value: i32| Expr::Int(value.into(), Ty::I32);
        let above = if ror == 0 { op(Prim::Shl, vec![word, int(BITS)]) } else { word };
        op(Prim::AsI16x2, vec![op(Prim::And, vec![above, int(UPPER)])])
    }
}

fn op(prim: Prim, args: Vec<Expr>) -> Expr {
    Expr::Op { prim, args, imm: Vec::new() }
}
