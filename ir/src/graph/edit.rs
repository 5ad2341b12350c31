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
            if let Some(seen @ false) = seen.get_mut(value.idx()) {
                *seen = true;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ops::{Relu, Reshape};
    use crate::graph::text::{Style, parse, print};

    fn graph() -> Graph {
        let text = "graph @g(%0: i8[2] scale 1 zero 0) {
            %1 = reshape %0 {shape = [1, 2]} : i8[1, 2] scale 1 zero 0
            %2 = relu %1 {clamp = [0, 127], single_ratio = false} : i8[1, 2] scale 0.5 zero 0
            %3 = reshape %2 {shape = [2, 1]} : i8[2, 1] scale 0.5 zero 0
            %4 = const [1, 2] : i8[1, 2] scale 0.5 zero 0
            %5 = add %2, %4 {clamp = [-128, 127]} : i8[1, 2] scale 1 zero 0
            return %3, %5
        }";
        parse(text).unwrap()
    }

    #[test]
    fn kinds_readers_and_definitions_are_found() {
        let g = graph();
        let [first, second] = g.find::<Reshape>()[..] else { panic!("two of them") };
        assert_eq!(g.op(first).shape, [1, 2]);
        assert_eq!(g.op(OpId::from(second)).inputs, [Value(2)]);
        assert_eq!(g.users(Value(2)), [OpId(2), OpId(3)]);
        assert_eq!(g.def_op(g.output(second)), Some(OpId(2)));
        assert!(g.typed::<Relu>(first.into()).is_none());
    }

    #[test]
    fn only_read_by_counts_other_readers_and_outputs() {
        let mut g = graph();
        let relu = g.find::<Relu>()[0];
        assert!(g.only_read_by::<Reshape>(Value(1), relu).is_some());
        assert!(g.only_read_by::<Relu>(Value(1), relu).is_none());
        assert!(g.only_read_by::<Relu>(Value(2), OpId(2)).is_none());
        assert!(g.only_read_by::<Reshape>(Value(0), OpId(0)).is_none());
        g.add_output(Value(1));
        assert!(g.only_read_by::<Reshape>(Value(1), relu).is_none());
    }

    #[test]
    fn removals_leave_a_sound_graph_and_compact_renumbers_it() {
        let mut g = graph();
        let last = g.find::<Reshape>()[1];
        g.replace_uses(Value(3), Value(2));
        g.remove_op(last);
        assert_eq!(g.outputs, [Value(2), Value(5)]);
        let relu = g.find::<Relu>()[0];
        g.replace_by_const(relu, vec![3, 4].into());
        assert_eq!(crate::graph::verify(&g), []);
        let before = print(&g, Style::Full);
        g.compact();
        assert_eq!(print(&g, Style::Full), before);
        assert_eq!((g.values.len(), g.ops.len()), (5, 2));
        assert_eq!(crate::graph::verify(&g), []);
    }

    #[test]
    fn a_refused_operator_leaves_the_graph_as_it_was() {
        let mut g = graph();
        let before = g.clone();
        let relu = Relu { clamp: [5, 4], single_ratio: false };
        let quant = Quant::PerTensor { scale: 1.0, zero: 0 };
        let refused = g.add_op(relu, &[Value(0)], quant, "act", 9).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "error: op 9 `relu` (`act`): `clamp` is [5, 4], expected two increasing numbers from -128 to 127"
        );
        assert_eq!(g, before);
    }

    #[test]
    fn a_broken_graph_still_prints() {
        let mut g = graph();
        g.ops[1] = None;
        g.outputs.push(Value(77));
        let text = print(&g, Style::Full);
        assert!(text.contains("  // %2 was computed by an operator that is gone\n"), "{text}");
        assert!(text.contains("%undefined"), "{text}");
    }
}
