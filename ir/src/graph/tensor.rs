//! Tensors as data: little-endian bytes in C order, and the element types that evaluation reads them as.

use std::sync::Arc;

use crate::ty::{TensorType, Ty};

/// A dense tensor: little-endian elements in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Type and shape.
    pub ty: TensorType,
    /// `ty.bytes()` bytes.
    pub data: Arc<[u8]>,
}

impl Tensor {
    /// A tensor of type `ty` with the bytes `data`, or `None` where their number is wrong.
    pub fn new(ty: TensorType, data: impl Into<Arc<[u8]>>) -> Option<Self> {
        let data = data.into();
        (data.len() == ty.bytes()).then_some(Self { ty, data })
    }

    /// A tensor of signed bytes.
    pub fn from_i8s(ty: &TensorType, values: &[i8]) -> Self {
        assert_eq!((ty.elem, ty.len()), (Ty::I8, values.len()), "the values fill the type");
        Self { ty: ty.clone(), data: values.iter().map(|v| *v as u8).collect() }
    }

    /// A tensor of words.
    pub fn from_i32s(ty: &TensorType, values: &[i32]) -> Self {
        assert_eq!((ty.elem, ty.len()), (Ty::I32, values.len()), "the values fill the type");
        Self { ty: ty.clone(), data: values.iter().flat_map(|v| v.to_le_bytes()).collect() }
    }

    /// A tensor of floats.
    pub fn from_f32s(ty: &TensorType, values: &[f32]) -> Self {
        assert_eq!((ty.elem, ty.len()), (Ty::F32, values.len()), "the values fill the type");
        Self { ty: ty.clone(), data: values.iter().flat_map(|v| v.to_le_bytes()).collect() }
    }

    /// The elements of a tensor of signed bytes.
    pub fn i8s(&self) -> Vec<i8> {
        assert_eq!(self.ty.elem, Ty::I8, "the verifier checked the element type");
        self.data.iter().map(|b| *b as i8).collect()
    }

    /// The elements of a tensor of words.
    pub fn i32s(&self) -> Vec<i32> {
        assert_eq!(self.ty.elem, Ty::I32, "the verifier checked the element type");
        self.words().map(i32::from_le_bytes).collect()
    }

    /// The elements of a tensor of floats.
    pub fn f32s(&self) -> Vec<f32> {
        assert_eq!(self.ty.elem, Ty::F32, "the verifier checked the element type");
        self.words().map(f32::from_le_bytes).collect()
    }

    fn words(&self) -> impl Iterator<Item = [u8; 4]> + '_ {
        self.data.as_chunks().0.iter().copied()
    }
}
