//! `table`: a function of one byte becomes 256 bytes to look it up in.
//!
//! ```text
//! y[i] = requantize sub(sext(x[i]), -3), 1518500250, -1 {zero = 5, min = 5, max = 127}
//! =>
//! const table: i8[256] = [5, 5, …]
//! y[i] = sext lookup(table, add(sext(x[i]), 128))
//! ```
//!
//! The function is evaluated on its whole domain. Legal where a stored byte depends on nothing but one loaded byte, and takes more
//! operations than a lookup does.

use ir::diag::Diagnostic;
use ir::loops::{Buffer, BufferId, Expr, Init, Nest, Prim, Role};
use ir::ty::Ty;

use super::byte_function::{self, ByteFunction};
use super::edit::fresh_name;
use super::step::StepDef;

/// Operations of a lookup: the position and the load.
const LOOKUP: usize = 2;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "table",
    usage: "table",
    summary: "Look functions of one byte up in a table",
    run: |nest, args| {
        args.at_most(0)?;
        table(nest).map(|_| ())
    },
};

/// Makes tables of all such functions; gives their number.
pub fn table(nest: &mut Nest) -> Result<usize, Diagnostic> {
    let mut made: Vec<(Vec<u8>, BufferId)> = Vec::new();
    let (found, replaced) = byte_function::replace(nest, 1, &mut |nest, function| {
        if function.operations() <= LOOKUP {
            return None;
        }
        let bytes = bytes(function)?;
        let known = made.iter().find(|(known, _)| *known == bytes).map(|(_, buffer)| *buffer);
        let buffer = known.unwrap_or_else(|| {
            let name = fresh_name(nest, "table");
            let role = Role::Const(Init::Data(bytes.clone().into()));
            nest.add_buffer(Buffer::new(name, function.output, &[256], role))
        });
        made.push((bytes, buffer));
        Some(lookup(function, buffer))
    });
    match (found, replaced) {
        (0, _) => Err(Diagnostic::new("no stored byte is a function of one loaded byte")
            .help("legal where each byte that is stored depends on one load of a byte, and on constants")),
        (_, 0) => Err(Diagnostic::new(
            "cannot make a table: every function of one byte takes no longer than a lookup",
        )
        .help("legal where there are operations to save; leave it as it is")),
        _ => Ok(replaced),
    }
}

/// The results for all bytes, the least first.
fn bytes(function: &ByteFunction) -> Option<Vec<u8>> {
    let (least, greatest) = function.range(0);
    (least..=greatest).map(|x| function.eval(&[x]).map(|y| y as u8)).collect()
}

fn lookup(function: &ByteFunction, buffer: BufferId) -> Expr {
    let extend = if function.output == Ty::I8 { Prim::Sext } else { Prim::Zext };
    let args = vec![Expr::Lookup(buffer, Box::new(function.position(0)))];
    Expr::Op { prim: extend, args, imm: Vec::new() }
}
