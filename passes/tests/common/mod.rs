//! What the tests of the graph passes share: inputs, and the integers behind a float boundary.

#![allow(dead_code)] // No test uses all of it.

use ir::graph::ops::{Dequantize, GraphOp, Quantize};
use ir::graph::{Graph, Tensor};
use ir::ty::{TensorType, Ty};

/// The tensor as an input of type `ty`: quantised, where the model took floats and a pass made that integers.
pub fn as_input(tensor: &Tensor, ty: &TensorType) -> Tensor {
    match (tensor.ty.elem, ty.elem) {
        (Ty::F32, Ty::I8) => Quantize {}.eval(&[tensor], ty),
        _ => Tensor { ty: ty.clone(), data: tensor.data.clone() },
    }
}

/// The output as the unchanged model gives it, with elements of type `elem`.
pub fn as_output(tensor: &Tensor, elem: Ty) -> Tensor {
    match (tensor.ty.elem, elem) {
        (Ty::I8, Ty::F32) => Dequantize {}.eval(&[tensor], &TensorType::new(Ty::F32, &tensor.ty.shape)),
        _ => tensor.clone(),
    }
}

/// An input for each input of the graph, uniform over the element type.
pub fn random_inputs(graph: &Graph, seed: u64) -> Vec<Tensor> {
    let mut state = seed | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 32
    };
    let input = |ty: &TensorType| match ty.elem {
        Ty::F32 => {
            let values: Vec<f32> = (0..ty.len()).map(|_| next() as i32 as f32 / 1e8).collect();
            Tensor::from_f32s(ty, &values)
        }
        _ => Tensor::new(ty.clone(), (0..ty.bytes()).map(|_| next() as u8).collect::<Vec<_>>())
            .expect("as many bytes as the type has"),
    };
    graph.inputs.iter().map(|value| graph.ty(*value)).map(input).collect()
}
