//! Building graphs, asking about them and changing them: what the front end and the passes call.
//!
//! Changes keep the order of the operators; [`Graph::compact`] renumbers ids after removals.

use std::marker::PhantomData;
use std::sync::Arc;

use super::ops::GraphOp;
use super::{Def, Graph, Op, OpData, OpId, Tensor, Value, ValueData};
use crate::diag::Diagnostic;
use crate::ty::{Quant, TensorType};

/// The id of an operator that is known to be of kind `T`.
pub struct OpOf<T> {
    id: OpId,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for OpOf<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for OpOf<T> {}

impl<T> From<OpOf<T>> for OpId {
    fn from(typed: OpOf<T>) -> OpId {
        typed.id
    }
}

/// An id of an operator, and what [`Graph::op`] gives for it.
pub trait OpKey: Into<OpId> + Copy {
    /// [`OpData`], or the attributes where the kind is known.
    type Target;
    /// The part of `data` that the id stands for.
    fn get(data: &OpData) -> &Self::Target;
}

impl OpKey for OpId {
    type Target = OpData;
    fn get(data: &OpData) -> &OpData {
        data
    }
}

impl<T: GraphOp> OpKey for OpOf<T> {
    type Target = T;
    fn get(data: &OpData) -> &T {
        T::of(&data.op).expect("the operator was not replaced by one of another kind")
    }
}

/// Building.
impl Graph {
    /// An empty graph called `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds a graph input.
    pub fn add_input(&mut self, ty: TensorType, name: impl Into<String>) -> Value {
        let value = self.add_value(ty, name.into(), Def::Input(self.inputs.len()));
        self.inputs.push(value);
        value
    }

    /// Adds a constant.
    pub fn add_const(&mut self, tensor: Tensor, name: impl Into<String>) -> Value {
        self.add_value(tensor.ty, name.into(), Def::Const(tensor.data))
    }

    /// Adds an operator at the end and gives its result, called `name`. Shape and element type are inferred; `quant` is
    /// the quantisation that the model declares for the result. `source` is the operator's index in the model file.
    pub fn add_op(
        &mut self,
        op: impl Into<Op>,
        inputs: &[Value],
        quant: Quant,
        name: impl Into<String>,
        source: u32,
    ) -> Result<Value, Diagnostic> {
        let (op, name) = (op.into(), name.into());
        let refuse =
            |e: crate::ty::TypeError| Diagnostic::new(format!("{}: {}", describe(source, &op, &name), e.0));
        let types: Vec<_> = inputs.iter().map(|v| &self.value(*v).ty).collect();
        let out = TensorType { quant, ..op.infer(&types).map_err(refuse)? };
        op.check(&types, &out).map_err(refuse)?;
        let output = self.add_value(out, name, Def::Op(OpId::new(self.ops.len())));
        self.ops.push(Some(OpData { op, inputs: inputs.to_vec(), output, source }));
        Ok(output)
    }

    /// Makes `value` the next output of the graph.
    pub fn add_output(&mut self, value: Value) {
        self.outputs.push(value);
    }

    fn add_value(&mut self, ty: TensorType, name: String, def: Def) -> Value {
        self.values.push(ValueData { ty, name, def });
        Value::new(self.values.len() - 1)
    }
}

/// Asking.
impl Graph {
    /// A value with its type and name.
    pub fn value(&self, value: Value) -> &ValueData {
        &self.values[value.idx()]
    }

    /// The type of a value.
    pub fn ty(&self, value: Value) -> &TensorType {
        &self.value(value).ty
    }

    /// An operator that was not removed: its data, or its attributes where `id` knows its kind.
    pub fn op<K: OpKey>(&self, id: K) -> &K::Target {
        K::get(self.ops[id.into().idx()].as_ref().expect("the operator was not removed"))
    }

    /// All operators with their ids, in order of execution.
    pub fn iter_ops(&self) -> impl Iterator<Item = (OpId, &OpData)> {
        self.ops.iter().enumerate().filter_map(|(i, op)| Some((OpId::new(i), op.as_ref()?)))
    }

    /// All operators of kind `T`, in order of execution.
    pub fn find<T: GraphOp>(&self) -> Vec<OpOf<T>> {
        self.iter_ops().filter_map(|(id, _)| self.typed(id)).collect()
    }

    /// `id` as the id of an operator of kind `T`, if it is one.
    pub fn typed<T: GraphOp>(&self, id: OpId) -> Option<OpOf<T>> {
        T::of(&self.op(id).op).map(|_| OpOf { id, kind: PhantomData })
    }

    /// Operand `idx` of an operator.
    pub fn input(&self, id: impl Into<OpId>, idx: usize) -> Value {
        self.op(id.into()).inputs[idx]
    }

    /// The result of an operator.
    pub fn output(&self, id: impl Into<OpId>) -> Value {
        self.op(id.into()).output
    }

    /// The operator that computes `value`.
    pub fn def_op(&self, value: Value) -> Option<OpId> {
        match self.value(value).def {
            Def::Op(id) => Some(id),
            _ => None,
        }
    }

    /// The operators that read `value`, each once, in order of execution. A graph output is no user.
    pub fn users(&self, value: Value) -> Vec<OpId> {
        self.iter_ops().filter(|(_, op)| op.inputs.contains(&value)).map(|(id, _)| id).collect()
    }

    /// Whether `value` is an output of the graph.
    pub fn is_output(&self, value: Value) -> bool {
        self.outputs.contains(&value)
    }

    /// The operator of kind `T` that computes `value`, if `reader` is all that reads it, outputs of the graph included.
    pub fn only_read_by<T: GraphOp>(&self, value: Value, reader: impl Into<OpId>) -> Option<OpOf<T>> {
        let def = self.typed(self.def_op(value)?)?;
        (self.users(value) == [reader.into()] && !self.is_output(value)).then_some(def)
    }

    /// The bytes of a constant.
    pub fn const_data(&self, value: Value) -> Option<&Arc<[u8]>> {
        match &self.value(value).def {
            Def::Const(data) => Some(data),
            _ => None,
        }
    }

    /// A constant as a tensor.
    pub fn const_tensor(&self, value: Value) -> Option<Tensor> {
        self.const_data(value).map(|data| Tensor { ty: self.ty(value).clone(), data: data.clone() })
    }

    /// The types of an operator's operands.
    pub fn input_types(&self, id: impl Into<OpId>) -> Vec<&TensorType> {
        self.op(id.into()).inputs.iter().map(|v| self.ty(*v)).collect()
    }

    /// Multiplications of weights with activations in one operator, padding included.
    pub fn macs(&self, id: impl Into<OpId>) -> u64 {
        let id = id.into();
        self.op(id).op.macs(&self.input_types(id), self.ty(self.output(id)))
    }

    /// Multiplications of weights with activations in the whole graph.
    pub fn total_macs(&self) -> u64 {
        self.iter_ops().map(|(id, _)| self.macs(id)).sum()
    }

    /// How messages name an operator: ``op 17 `conv2d` (`block_3/conv`)``.
    pub fn describe(&self, id: impl Into<OpId>) -> String {
        let data = self.op(id.into());
        describe(data.source, &data.op, &self.value(data.output).name)
    }
}

/// Changing.
impl Graph {
    /// Gives an operator other attributes or another kind; its operands and result stay.
    pub fn set_op(&mut self, id: impl Into<OpId>, op: impl Into<Op>) {
        self.op_mut(id.into()).op = op.into();
    }

    /// Gives an operator another operand `idx`.
    pub fn set_input(&mut self, id: impl Into<OpId>, idx: usize, value: Value) {
        self.op_mut(id.into()).inputs[idx] = value;
    }

    /// Gives a value another type.
    pub fn set_type(&mut self, value: Value, ty: TensorType) {
        self.values[value.idx()].ty = ty;
    }

    /// Lets all readers of `old` read `new`, outputs of the graph included.
    pub fn replace_uses(&mut self, old: Value, new: Value) {
        let operands = self.ops.iter_mut().flatten().flat_map(|op| &mut op.inputs);
        for value in operands.chain(&mut self.outputs) {
            if *value == old {
                *value = new;
            }
        }
    }

    /// Removes an operator whose result nothing reads.
    pub fn remove_op(&mut self, id: impl Into<OpId>) {
        let id = id.into();
        let output = self.output(id);
        assert!(self.users(output).is_empty() && !self.is_output(output), "nothing reads {output}");
        self.ops[id.idx()] = None;
    }

    /// Makes the result of an operator a constant and removes the operator.
    pub fn replace_by_const(&mut self, id: impl Into<OpId>, data: Arc<[u8]>) {
        let id = id.into();
        let output = self.output(id);
        assert_eq!(self.ty(output).bytes(), data.len(), "the constant fills the type");
        self.values[output.idx()].def = Def::Const(data);
        self.ops[id.idx()] = None;
    }

    /// Drops removed operators and constants that nothing reads, and renumbers: inputs first, then, operator by
    /// operator, the constants that it is the first to read, and its result.
    pub fn compact(&mut self) {
        let order = self.text_order();
        let mut renumbered = vec![None; self.values.len()];
        for (new, old) in order.iter().enumerate() {
            renumbered[old.idx()] = Some(Value::new(new));
        }
        let rename =
            |value: &mut Value| *value = renumbered[value.idx()].expect("the order has every value in use");
        self.values = order.iter().map(|old| self.value(*old).clone()).collect();
        self.ops.retain(Option::is_some);
        for (i, op) in self.ops.iter_mut().flatten().enumerate() {
            op.inputs.iter_mut().for_each(rename);
            rename(&mut op.output);
            self.values[op.output.idx()].def = Def::Op(OpId::new(i));
        }
        self.inputs.iter_mut().for_each(rename);
        self.outputs.iter_mut().for_each(rename);
    }

    /// All values in use in the order in which text defines them.
    pub(crate) fn text_order(&self) -> Vec<Value> {
        let mut seen = vec![false; self.values.len()];
        let mut order = Vec::new();
        let mut define = |value: Value| {
            if !std::mem::replace(&mut seen[value.idx()], true) {
                order.push(value);
            }
        };
        self.inputs.iter().copied().for_each(&mut define);
        for (_, op) in self.iter_ops() {
            op.inputs.iter().copied().for_each(&mut define);
            define(op.output);
        }
        self.outputs.iter().copied().for_each(&mut define);
        order
    }

    fn op_mut(&mut self, id: OpId) -> &mut OpData {
        self.ops[id.idx()].as_mut().expect("the operator was not removed")
    }
}

fn describe(source: u32, op: &Op, name: &str) -> String {
    match name {
        "" => format!("op {source} `{}`", op.name()),
        name => format!("op {source} `{}` (`{name}`)", op.name()),
    }
}
