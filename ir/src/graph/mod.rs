//! The graph level: one operator per TFLite operator after canonicalisation, static shapes, quantised types, constants.

pub mod attr;
pub mod edit;
pub mod eval;
pub mod ops;
pub mod tensor;
pub mod text;
pub mod verify;

use std::sync::Arc;

use crate::entity;
use crate::ty::TensorType;

pub use edit::{OpKey, OpOf};
pub use ops::Op;
pub use tensor::Tensor;
pub use verify::verify;

entity! {
    /// A tensor value: a graph input, a constant or the result of one operator.
    Value, "%"
}
entity! {
    /// An operator; ids follow the order of execution until a pass compacts them.
    OpId, "op"
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Def {
    /// The graph's input of this position.
    Input(usize),
    /// A constant.
    Const(Arc<[u8]>),
    /// The only result of an operator.
    Op(OpId),
}

/// A value with its type and name.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueData {
    /// Type and shape.
    pub ty: TensorType,
    /// The tensor's name in the model file, for messages; may be empty.
    pub name: String,
    /// Where it comes from.
    pub def: Def,
}

/// An operator with its operands, result and origin.
#[derive(Clone, Debug, PartialEq)]
pub struct OpData {
    /// What it computes.
    pub op: Op,
    /// Operands in the order of the operator's definition.
    pub inputs: Vec<Value>,
    /// Its result.
    pub output: Value,
    /// Index of the operator in the model file that it stems from.
    pub source: u32,
}

/// A network: operators in an order that respects data flow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// Name, a C identifier.
    pub name: String,
    /// All values, by id.
    pub values: Vec<ValueData>,
    /// All operators, in order of execution; `None` where a pass removed one.
    pub ops: Vec<Option<OpData>>,
    /// The graph's inputs.
    pub inputs: Vec<Value>,
    /// The graph's outputs.
    pub outputs: Vec<Value>,
}
