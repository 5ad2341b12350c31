//! What the translations of all operators share: access to operands with checks that the graph level cannot make.
//!
//! Types, shapes and scales are checked by the operators of the graph, with what stands here as their input.

use std::sync::Arc;

use ir::diag::Diagnostic;
use ir::graph::Op;
use ir::ty::{TensorType, Ty};

use super::super::file::RawOperator;
use super::super::geometry;
use super::super::schema::tflite as fb;
use super::super::tensors::Tensor;

/// An operator with its operands checked one by one.
pub(in super::super) struct Operator<'a> {
    pub raw: &'a RawOperator<'a>,
    /// In the order of the file; `None` for an operand that is left out.
    pub inputs: Vec<Option<Arc<Tensor>>>,
    pub output: Arc<Tensor>,
}

/// An operator of the graph with its operands in the graph's order.
pub(in super::super) struct Translated {
    pub op: Op,
    pub operands: Vec<Operand>,
}

/// Where an operand of the graph comes from.
pub(in super::super) enum Operand {
    /// The operand at this position in the file.
    Input(usize),
    /// A constant of zeros that the file left out.
    Zeros(TensorType),
}

/// An operand: its position, and what messages call it.
#[derive(Clone, Copy)]
pub(in super::super) struct Role(pub usize, pub &'static str);

/// The first operand of every operator.
pub(super) const INPUT: Role = Role(0, "the input");

impl Translated {
    /// An operator that reads the first operand alone.
    pub fn unary(op: impl Into<Op>) -> Self {
        Self { op: op.into(), operands: vec![Operand::Input(INPUT.0)] }
    }
}

impl Operator<'_> {
    /// The operand of this role, unless it is left out.
    pub fn optional(&self, role: Role) -> Option<&Tensor> {
        self.inputs.get(role.0)?.as_deref()
    }

    /// The operand of this role, which the row of the operator asks for.
    pub fn input(&self, role: Role) -> &Tensor {
        self.optional(role).expect("operands that are needed were checked to be there")
    }

    /// Type of an operand of the graph.
    pub fn operand_type<'a>(&'a self, operand: &'a Operand) -> &'a TensorType {
        match operand {
            Operand::Input(position) => &self.input(Role(*position, "")).ty,
            Operand::Zeros(ty) => ty,
        }
    }

    /// The bytes of a constant operand.
    pub fn constant(&self, role @ Role(_, what): Role) -> Result<&Arc<[u8]>, Diagnostic> {
        let Tensor { data, name, .. } = self.input(role);
        data.as_ref().ok_or_else(|| Diagnostic::new(format!("{what} (`{name}`) must be constant")))
    }

    /// The elements of a constant operand of whole numbers.
    pub fn integers(&self, role @ Role(_, what): Role) -> Result<Vec<i64>, Diagnostic> {
        let data = self.constant(role)?;
        match self.input(role).ty.elem {
            Ty::I32 => Ok(data.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b).into()).collect()),
            Ty::I64 => Ok(data.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()),
            found => Err(Diagnostic::new(format!("{what} is {found}, only i32 and i64 are supported"))),
        }
    }

    /// Refuses an operand that does not have `rank` dimensions.
    pub fn expect_rank(&self, role @ Role(_, what): Role, rank: usize) -> Result<(), Diagnostic> {
        let ty = &self.input(role).ty;
        ty.expect_rank(rank, what).map_err(|error| Diagnostic::new(error.0))
    }

    /// Scale and zero point of the result.
    pub fn output_quant(&self) -> Result<(f32, i32), Diagnostic> {
        if self.output.ty.elem == Ty::F32 {
            return Err(float("the result"));
        }
        self.output.ty.expect_per_tensor("the result").map_err(|error| Diagnostic::new(error.0))
    }

    /// The clamp of the result that a fused activation asks for.
    pub fn clamp(&self, activation: fb::ActivationFunctionType) -> Result<[i32; 2], Diagnostic> {
        geometry::activation_clamp(activation, self.output.ty.elem, self.output_quant()?)
    }

    /// The error that the operator's options are missing or those of another operator.
    pub fn no_options(&self) -> Diagnostic {
        Diagnostic::new("its options are missing")
    }
}

/// The error that `what` has not been quantised.
pub(super) fn float(what: &str) -> Diagnostic {
    Diagnostic::new(format!("{what} is f32, only i8 is supported"))
        .help("convert the model with full integer quantisation to int8, with a representative dataset")
}
