//! How many registers the values of a nest take: what steps that keep values check before they keep more.
//!
//! Values that are carried, and loaded ones with a name, are held from where they begin to the end of their scope. Parked values wait in S
//! registers and are counted by themselves. It is an estimate: pointers, counters and what an expression takes on its way are not in it.

use ir::diag::Diagnostic;
use ir::loops::{LocalId, Nest, Stmt};

use super::footprint::read;

/// The core registers that a kernel has: r0 to r12 and lr.
pub const REGISTERS: u32 = 14;
/// What a kernel needs beside its accumulators: two operands at least.
pub const OPERANDS: u32 = 2;
/// The S registers for parked values. There are 32: the others are for pointers and counters of outer loops, a guess.
pub const PARKED: u32 = 24;

/// The most registers in use at one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Words in core registers.
    pub core: u32,
    /// Words that are parked.
    pub parked: u32,
}

impl Held {
    /// By the values of the body.
    pub fn by(nest: &Nest) -> Held {
        within(nest, &nest.body)
    }

    /// By values, each in the registers of its type and shape.
    pub fn by_values(nest: &Nest, values: &[LocalId]) -> Held {
        values.iter().fold(Held::default(), |held, value| held.with(of(nest, *value)))
    }

    /// Refuses a nest that needs more registers than there are and more than these.
    pub fn check(self, nest: &Nest) -> Result<(), Diagnostic> {
        let after = Held::by(nest);
        if after.core > self.core && after.core + OPERANDS > REGISTERS {
            let message = format!(
                "{} registers would be in use beside {OPERANDS} for operands, there are {REGISTERS}",
                after.core
            );
            return Err(Diagnostic::new(message).help(
                "keep values further in, or with smaller tiles, or let some wait in S registers: `park`",
            ));
        }
        if after.parked > self.parked && after.parked > PARKED {
            let message = format!("{} values would wait in S registers, {PARKED} are for them", after.parked);
            return Err(
                Diagnostic::new(message).help("park fewer; values that only one loop reads are loaded there")
            );
        }
        Ok(())
    }

    fn with(self, other: Held) -> Held {
        Held { core: self.core + other.core, parked: self.parked + other.parked }
    }

    fn most(self, other: Held) -> Held {
        Held { core: self.core.max(other.core), parked: self.parked.max(other.parked) }
    }
}

fn of(nest: &Nest, value: LocalId) -> Held {
    let local = &nest.locals[value.idx()];
    let words = local.ty.bytes().div_ceil(4) as u32 * local.shape.iter().product::<u32>();
    if local.parked { Held { core: 0, parked: words } } else { Held { core: words, parked: 0 } }
}

fn within(nest: &Nest, block: &[Stmt]) -> Held {
    let (mut held, mut most) = (Held::default(), Held::default());
    for stmt in block {
        let inside = match stmt {
            Stmt::Let(local, value) if read(value).is_some() => {
                held = held.with(of(nest, *local));
                Held::default()
            }
            Stmt::Reduce(reduce) => {
                let parts = [&reduce.init, &reduce.update, &reduce.finish];
                let inside = parts.iter().map(|part| within(nest, part)).fold(Held::default(), Held::most);
                Held::by_values(nest, &reduce.carried).with(inside)
            }
            Stmt::For(_, body) => within(nest, body),
            Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => Held::default(),
        };
        most = most.most(held.with(inside));
    }
    most
}
