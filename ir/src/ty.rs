//! Types: elements of tensors and values of the loops level, and the quantised tensor types of the graph level.

use std::fmt;

/// The type of one element in memory or of one value in a register.
///
/// Narrow integers are what loads give and stores take; arithmetic is on `i32`, `i64` and the packed words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ty {
    /// A truth value; never in memory.
    I1,
    /// Signed byte.
    I8,
    /// Unsigned byte.
    U8,
    /// Signed halfword.
    I16,
    /// Unsigned halfword.
    U16,
    /// Word; sums wrap.
    I32,
    /// Double word; sums wrap.
    I64,
    /// IEEE single; only at the boundary of a model.
    F32,
    /// Four signed bytes in a word, the first in the lowest bits.
    I8x4,
    /// Four unsigned bytes in a word.
    U8x4,
    /// Two signed halfwords in a word, the first in the lowest bits.
    I16x2,
}

impl Ty {
    /// Every type with its name in text.
    pub const ALL: [(Ty, &'static str); 11] = [
        (Ty::I1, "i1"),
        (Ty::I8, "i8"),
        (Ty::U8, "u8"),
        (Ty::I16, "i16"),
        (Ty::U16, "u16"),
        (Ty::I32, "i32"),
        (Ty::I64, "i64"),
        (Ty::F32, "f32"),
        (Ty::I8x4, "i8x4"),
        (Ty::U8x4, "u8x4"),
        (Ty::I16x2, "i16x2"),
    ];

    /// The type called `name`.
    pub fn parse(name: &str) -> Option<Ty> {
        Self::ALL.iter().find(|(_, n)| *n == name).map(|(ty, _)| *ty)
    }

    /// Bytes in memory.
    pub fn bytes(self) -> usize {
        match self {
            Ty::I1 | Ty::I8 | Ty::U8 => 1,
            Ty::I16 | Ty::U16 => 2,
            Ty::I32 | Ty::F32 | Ty::I8x4 | Ty::U8x4 | Ty::I16x2 => 4,
            Ty::I64 => 8,
        }
    }

    /// How many elements a value holds.
    pub fn lanes(self) -> u32 {
        match self {
            Ty::I8x4 | Ty::U8x4 => 4,
            Ty::I16x2 => 2,
            _ => 1,
        }
    }

    /// The type of one lane; a scalar is its own lane.
    pub fn lane(self) -> Ty {
        match self {
            Ty::I8x4 => Ty::I8,
            Ty::U8x4 => Ty::U8,
            Ty::I16x2 => Ty::I16,
            scalar => scalar,
        }
    }

    /// The integers that the type can hold, for scalar integer types.
    pub fn range(self) -> Option<(i64, i64)> {
        Some(match self {
            Ty::I1 => (0, 1),
            Ty::I8 => (i8::MIN.into(), i8::MAX.into()),
            Ty::U8 => (0, u8::MAX.into()),
            Ty::I16 => (i16::MIN.into(), i16::MAX.into()),
            Ty::U16 => (0, u16::MAX.into()),
            Ty::I32 => (i32::MIN.into(), i32::MAX.into()),
            Ty::I64 => (i64::MIN, i64::MAX),
            Ty::F32 | Ty::I8x4 | Ty::U8x4 | Ty::I16x2 => return None,
        })
    }
}

impl fmt::Display for Ty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(ty, _)| ty == self).expect("`ALL` has every type").1;
        f.write_str(name)
    }
}

/// How the integers of a tensor stand for real numbers: `real = scale * (q - zero)`.
#[derive(Clone, Debug, PartialEq)]
pub enum Quant {
    /// The integers are meant as they are.
    None,
    /// One scale and zero point for all elements.
    PerTensor {
        /// Real size of one step.
        scale: f32,
        /// The integer that stands for 0.
        zero: i32,
    },
    /// One scale for each index along `axis`; zero points are 0.
    PerChannel {
        /// The dimension that the scales run along.
        axis: usize,
        /// Real size of one step, by index along `axis`.
        scales: Vec<f32>,
    },
}

/// Element type, static shape and quantisation of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorType {
    /// Element type: scalar.
    pub elem: Ty,
    /// Extents, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Meaning of the integers.
    pub quant: Quant,
}

impl TensorType {
    /// A tensor type without quantisation.
    pub fn new(elem: Ty, shape: &[usize]) -> Self {
        Self { elem, shape: shape.to_vec(), quant: Quant::None }
    }

    /// An element type with one scale and zero point.
    pub fn quantized(elem: Ty, shape: &[usize], scale: f32, zero: i32) -> Self {
        Self { elem, shape: shape.to_vec(), quant: Quant::PerTensor { scale, zero } }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size in bytes, dense.
    pub fn bytes(&self) -> usize {
        self.len() * self.elem.bytes()
    }

    /// The same type with another shape.
    pub fn with_shape(&self, shape: Vec<usize>) -> Self {
        Self { shape, ..self.clone() }
    }

    /// Scale and zero point of a per-tensor quantised type.
    pub fn per_tensor(&self) -> Option<(f32, i32)> {
        match self.quant {
            Quant::PerTensor { scale, zero } => Some((scale, zero)),
            _ => None,
        }
    }
}

/// Why operands do not suit an operator: a sentence without the operator's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeError(pub String);

impl TypeError {
    /// The error with this message: lower case, no full stop, found and wanted both stated.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// What operators ask of the types of their operands; `what` names the operand in the message.
impl TensorType {
    /// Refuses another element type.
    pub fn expect_elem(&self, elem: Ty, what: &str) -> Result<(), TypeError> {
        if self.elem == elem {
            return Ok(());
        }
        Err(TypeError::new(format!("{what} is {}, only {elem} is supported", self.elem)))
    }

    /// Refuses another number of dimensions.
    pub fn expect_rank(&self, rank: usize, what: &str) -> Result<(), TypeError> {
        if self.shape.len() == rank {
            return Ok(());
        }
        Err(TypeError::new(format!("{what} has {} dimensions, expected {rank}", self.shape.len())))
    }

    /// Refuses another shape.
    pub fn expect_shape(&self, shape: &[usize], what: &str) -> Result<(), TypeError> {
        if self.shape == shape {
            return Ok(());
        }
        Err(TypeError::new(format!("{what} has shape {:?}, expected {shape:?}", self.shape)))
    }

    /// Scale and zero point, where there is one of each: the scale positive and finite, the zero point an element.
    pub fn expect_per_tensor(&self, what: &str) -> Result<(f32, i32), TypeError> {
        let Quant::PerTensor { scale, zero } = self.quant else {
            return Err(TypeError::new(format!("{what} needs one scale and zero point")));
        };
        expect_scale(scale, what)?;
        match self.elem.range() {
            Some((min, max)) if (min..=max).contains(&zero.into()) => Ok((scale, zero)),
            _ => Err(TypeError::new(format!("{what} has zero point {zero}, which is no {}", self.elem))),
        }
    }

    /// The scales of weights with `n_channels` output channels along `axis`: one for all, or one each; the zero point is 0.
    pub fn expect_weight_scales(&self, axis: usize, n_channels: usize) -> Result<Vec<f32>, TypeError> {
        let scales = match &self.quant {
            Quant::PerTensor { scale, zero: 0 } => vec![*scale],
            Quant::PerTensor { zero, .. } => {
                return Err(TypeError::new(format!("the weights have zero point {zero}, expected 0")));
            }
            Quant::PerChannel { axis: found, scales } if *found == axis && scales.len() == n_channels => {
                scales.clone()
            }
            Quant::PerChannel { axis: found, scales } => {
                return Err(TypeError::new(format!(
                    "the weights have {} scales along axis {found}, expected {n_channels} along axis {axis}",
                    scales.len()
                )));
            }
            Quant::None => return Err(TypeError::new("the weights have no scale")),
        };
        scales.iter().try_for_each(|scale| expect_scale(*scale, "a scale of the weights"))?;
        Ok(scales)
    }
}

fn expect_scale(scale: f32, what: &str) -> Result<(), TypeError> {
    if scale.is_finite() && scale > 0.0 {
        return Ok(());
    }
    Err(TypeError::new(format!("{what} has scale {scale}, expected a positive number")))
}
