//! Constants with some indices of a dimension left out.

use ir::graph::{Graph, Tensor, Value};
use ir::ty::{Quant, TensorType};

/// Adds the constant `value` without the indices of dimension `axis` that `keep` does not hold for.
pub fn slice(graph: &mut Graph, value: Value, axis: usize, keep: &[bool]) -> Value {
    let tensor = graph.const_tensor(value).expect("the pass asked for a constant");
    let name = graph.value(value).name.clone();
    graph.add_const(sliced(&tensor, axis, keep), name)
}

/// The type with only the indices of dimension `axis` that `keep` holds for.
pub fn sliced_type(ty: &TensorType, axis: usize, keep: &[bool]) -> TensorType {
    let mut shape = ty.shape.clone();
    shape[axis] = keep.iter().filter(|keep| **keep).count();
    let quant = match &ty.quant {
        Quant::PerChannel { axis: along, scales } if *along == axis => {
            let kept = scales.iter().zip(keep).filter(|(_, keep)| **keep).map(|(scale, _)| *scale);
            Quant::PerChannel { axis, scales: kept.collect() }
        }
        other => other.clone(),
    };
    TensorType { elem: ty.elem, shape, quant }
}

fn sliced(tensor: &Tensor, axis: usize, keep: &[bool]) -> Tensor {
    let ty = sliced_type(&tensor.ty, axis, keep);
    let inner = tensor.ty.shape[axis + 1..].iter().product::<usize>() * ty.elem.bytes();
    let blocks = tensor.data.chunks_exact(inner).zip(keep.iter().cycle());
    let data: Vec<u8> = blocks.filter(|(_, keep)| **keep).flat_map(|(block, _)| block).copied().collect();
    Tensor::new(ty, data).expect("as many elements are left as the shape has")
}
