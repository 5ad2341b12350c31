//! Reference evaluation of a whole graph: the oracle for every other way to run it.

use super::{Def, Graph, Tensor, Value};

impl Graph {
    /// The graph's outputs for its inputs.
    ///
    /// The graph is verified; panics unless `inputs` has one tensor of the right element type and shape for each input.
    pub fn eval(&self, inputs: &[Tensor]) -> Vec<Tensor> {
        let values = self.eval_all(inputs);
        let output = |value: &Value| values[value.idx()].clone().expect("outputs were computed");
        self.outputs.iter().map(output).collect()
    }

    /// Every value for the graph's inputs, by id, to compare layer by layer; `None` for the results of removed
    /// operators. Panics as [`Graph::eval`] does.
    pub fn eval_all(&self, inputs: &[Tensor]) -> Vec<Option<Tensor>> {
        assert_eq!(inputs.len(), self.inputs.len(), "one tensor for each input");
        let mut values: Vec<Option<Tensor>> = vec![None; self.values.len()];
        for (value, data) in values.iter_mut().zip(&self.values) {
            *value = match &data.def {
                Def::Input(idx) => Some(self.accept(&inputs[*idx], &data.ty)),
                Def::Const(bytes) => Some(Tensor { ty: data.ty.clone(), data: bytes.clone() }),
                Def::Op(_) => None,
            };
        }
        for (_, op) in self.iter_ops() {
            let operand =
                |value: &Value| values[value.idx()].as_ref().expect("operands come before their readers");
            let operands: Vec<&Tensor> = op.inputs.iter().map(operand).collect();
            let result = op.op.eval(&operands, self.ty(op.output));
            values[op.output.idx()] = Some(result);
        }
        values
    }

    /// `tensor` as an input of type `ty`, which also says what its integers mean.
    fn accept(&self, tensor: &Tensor, ty: &crate::ty::TensorType) -> Tensor {
        assert_eq!((tensor.ty.elem, &tensor.ty.shape), (ty.elem, &ty.shape), "the tensor suits the input");
        Tensor { ty: ty.clone(), data: tensor.data.clone() }
    }
}
