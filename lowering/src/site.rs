//! One operator of the graph with all that its lowering asks for: types, constants, buffers, multipliers.

use std::sync::Arc;

use ir::diag::Diagnostic;
use ir::fixed::Multiplier;
use ir::graph::ops::requant::zero_of;
use ir::graph::{Def, Graph, OpData, OpId};
use ir::ty::TensorType;

use crate::builder::{Buf, Builder, Ex, Ix, requantize};
use crate::slots::Slots;

/// An operator that is being lowered.
pub struct Site<'a> {
    /// The network.
    pub graph: &'a Graph,
    /// The operator.
    pub id: OpId,
    /// Its operands, result and origin.
    pub op: &'a OpData,
    /// Name of its nest.
    pub name: String,
    /// Which values share their memory.
    pub slots: &'a Slots,
}

/// From an accumulator to an element of the result: the numbers that an operator's formula ends with.
pub struct Requant {
    /// By output channel; one for all where they agree.
    multiplier: PerChannel,
    /// Likewise.
    shift: PerChannel,
    zero: i32,
    clamp: [i32; 2],
}

/// A number for each channel.
enum PerChannel {
    Same(i32),
    Table(Buf),
}

impl Site<'_> {
    /// A nest with the operator's name.
    pub fn builder(&self) -> Builder {
        Builder::new(&self.name)
    }

    /// The type of an operand.
    pub fn ty(&self, operand: usize) -> &TensorType {
        &self.graph.values[self.op.inputs[operand].idx()].ty
    }

    /// The type of the result.
    pub fn out(&self) -> &TensorType {
        &self.graph.values[self.op.output.idx()].ty
    }

    /// The zero point of an operand.
    pub fn zero(&self, operand: usize) -> i32 {
        zero_of(self.ty(operand))
    }

    /// The bytes of an operand that must be constant; `what` names it.
    pub fn constant(&self, operand: usize, what: &str) -> Result<Arc<[u8]>, Diagnostic> {
        let data = self.constant_data(operand).ok_or_else(|| {
            self.refuse(&format!("{what} are not constant, only constant ones are supported"))
        });
        data.cloned()
    }

    /// Buffers for tensor operands and the result, each read with a shape of its own and the same elements.
    ///
    /// Parameters stand in the order of the operands, then the result; operands that are constant follow.
    pub fn buffers<const N: usize>(
        &self,
        b: &mut Builder,
        operands: [(&str, &[usize]); N],
        result: (&str, &[usize]),
    ) -> ([Buf; N], Buf) {
        let params = std::array::from_fn::<_, N, _>(|idx| {
            let (name, shape) = operands[idx];
            self.constant_data(idx).is_none().then(|| b.param(name, self.ty(idx).elem, shape))
        });
        let result = b.param(result.0, self.out().elem, result.1);
        let buffers = std::array::from_fn(|idx| {
            let (name, shape) = operands[idx];
            params[idx].unwrap_or_else(|| {
                let data = self.constant_data(idx).expect("what is no parameter is constant");
                b.data(name, self.ty(idx).elem, shape, data.clone())
            })
        });
        (buffers, result)
    }

    /// The end of a formula that has one multiplier for each output channel.
    pub fn requant(&self, b: &mut Builder, multipliers: &[Multiplier], clamp: [i32; 2]) -> Requant {
        let values: Vec<i32> = multipliers.iter().map(|m| m.value).collect();
        let shifts: Vec<i32> = multipliers.iter().map(|m| m.shift).collect();
        Requant {
            multiplier: PerChannel::of(b, "m", &values),
            shift: PerChannel::of(b, "s", &shifts),
            zero: zero_of(self.out()),
            clamp,
        }
    }

    /// An error that names the operator.
    pub fn refuse(&self, what: &str) -> Diagnostic {
        Diagnostic::new(format!("{}: {what}", self.graph.describe(self.id)))
    }

    fn constant_data(&self, operand: usize) -> Option<&Arc<[u8]>> {
        let value = self.slots.root(self.op.inputs[operand]);
        match &self.graph.values[value.idx()].def {
            Def::Const(data) => Some(data),
            Def::Input(_) | Def::Op(_) => None,
        }
    }
}

impl Requant {
    /// The element for an accumulator of a channel.
    pub fn apply(&self, accumulator: impl Into<Ex>, channel: Ix) -> Ex {
        let (m, s) = (self.multiplier.at(channel), self.shift.at(channel));
        requantize(accumulator, m, s, self.zero, self.clamp)
    }
}

impl PerChannel {
    fn of(b: &mut Builder, name: &str, values: &[i32]) -> Self {
        match values {
            [first, rest @ ..] if rest.iter().all(|value| value == first) => PerChannel::Same(*first),
            _ => PerChannel::Table(b.words(name, values)),
        }
    }

    fn at(&self, channel: Ix) -> Ex {
        match self {
            PerChannel::Same(value) => (*value).into(),
            PerChannel::Table(table) => table.at([channel]),
        }
    }
}
