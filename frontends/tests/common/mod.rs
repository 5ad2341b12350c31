//! Makes small model files, right ones and wrong ones.

use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};
use tinyc_frontends::tflite::schema::tflite as fb;

/// A model file with one subgraph, before it is written.
#[derive(Clone)]
pub struct ModelSpec {
    pub version: u32,
    pub n_subgraphs: usize,
    pub tensors: Vec<TensorSpec>,
    pub operators: Vec<OperatorSpec>,
    pub inputs: Vec<i32>,
    pub outputs: Vec<i32>,
}

#[derive(Clone)]
pub struct TensorSpec {
    pub name: &'static str,
    pub elem: fb::TensorType,
    pub shape: Vec<i32>,
    pub signature: Option<Vec<i32>>,
    pub scales: Vec<f32>,
    pub zeros: Vec<i64>,
    pub axis: i32,
    /// The elements, for a constant.
    pub data: Vec<u8>,
    pub is_variable: bool,
    pub is_sparse: bool,
    pub external_buffer: u32,
}

#[derive(Clone)]
pub struct OperatorSpec {
    pub code: fb::BuiltinOperator,
    pub version: i32,
    pub inputs: Vec<i32>,
    pub outputs: Vec<i32>,
    pub options: Options,
}

#[derive(Clone, Copy)]
pub enum Options {
    None,
    Conv2d { padding: fb::Padding, stride: i32, activation: fb::ActivationFunctionType },
}

impl TensorSpec {
    /// An activation of type `i8` with scale 0.5 and zero point -3.
    pub fn activation(name: &'static str, shape: &[i32]) -> Self {
        TensorSpec {
            name,
            elem: fb::TensorType::INT8,
            shape: shape.to_vec(),
            signature: None,
            scales: vec![0.5],
            zeros: vec![-3],
            axis: 0,
            data: Vec::new(),
            is_variable: false,
            is_sparse: false,
            external_buffer: 0,
        }
    }

    /// A constant with scale 0.25 and zero point 0; all bytes are 1.
    pub fn constant(name: &'static str, elem: fb::TensorType, shape: &[i32], elem_bytes: usize) -> Self {
        let len: i32 = shape.iter().product();
        TensorSpec {
            elem,
            scales: vec![0.25],
            zeros: vec![0],
            data: vec![1; len as usize * elem_bytes],
            ..Self::activation(name, shape)
        }
    }
}

impl ModelSpec {
    /// A convolution of 3x3 with stride 1, from 4 channels to 2, that is accepted.
    pub fn conv() -> Self {
        let options = Options::Conv2d {
            padding: fb::Padding::SAME,
            stride: 1,
            activation: fb::ActivationFunctionType::RELU6,
        };
        ModelSpec {
            version: 3,
            n_subgraphs: 1,
            tensors: vec![
                TensorSpec::activation("image", &[1, 5, 6, 4]),
                TensorSpec::constant("weights", fb::TensorType::INT8, &[2, 3, 3, 4], 1),
                TensorSpec::constant("bias", fb::TensorType::INT32, &[2], 4),
                TensorSpec::activation("features", &[1, 5, 6, 2]),
            ],
            operators: vec![OperatorSpec {
                code: fb::BuiltinOperator::CONV_2D,
                version: 3,
                inputs: vec![0, 1, 2],
                outputs: vec![3],
                options,
            }],
            inputs: vec![0],
            outputs: vec![3],
        }
    }

    /// Appends an operator without options that reads `inputs` and writes a new tensor, now the model's output.
    pub fn then(mut self, code: fb::BuiltinOperator, inputs: &[i32], result: TensorSpec) -> Self {
        let output = self.tensors.len() as i32;
        self.tensors.push(result);
        self.outputs = vec![output];
        self.operators.push(OperatorSpec {
            code,
            version: 1,
            inputs: inputs.to_vec(),
            outputs: vec![output],
            options: Options::None,
        });
        self
    }

    /// The bytes of the file.
    pub fn write(&self) -> Vec<u8> {
        let mut b = FlatBufferBuilder::new();
        let b = &mut b;
        let mut buffers = vec![fb::Buffer::create(b, &fb::BufferArgs::default())];
        let mut tensors = Vec::new();
        for spec in &self.tensors {
            let buffer = if spec.data.is_empty() { 0 } else { buffers.len() as u32 };
            if buffer != 0 {
                let data = Some(b.create_vector(&spec.data));
                buffers.push(fb::Buffer::create(b, &fb::BufferArgs { data, ..Default::default() }));
            }
            tensors.push(spec.write(buffer, b));
        }
        let mut operators = Vec::new();
        let mut codes = Vec::new();
        for (idx, spec) in self.operators.iter().enumerate() {
            operators.push(spec.write(idx as u32, b));
            codes.push(fb::OperatorCode::create(
                b,
                &fb::OperatorCodeArgs {
                    deprecated_builtin_code: spec.code.0.min(127) as i8,
                    builtin_code: spec.code,
                    version: spec.version,
                    ..Default::default()
                },
            ));
        }
        let graph = fb::SubGraphArgs {
            tensors: Some(b.create_vector(&tensors)),
            inputs: Some(b.create_vector(&self.inputs)),
            outputs: Some(b.create_vector(&self.outputs)),
            operators: Some(b.create_vector(&operators)),
            name: None,
        };
        let subgraphs: Vec<_> = (0..self.n_subgraphs).map(|_| fb::SubGraph::create(b, &graph)).collect();
        let model = fb::ModelArgs {
            version: self.version,
            operator_codes: Some(b.create_vector(&codes)),
            subgraphs: Some(b.create_vector(&subgraphs)),
            description: None,
            buffers: Some(b.create_vector(&buffers)),
        };
        let model = fb::Model::create(b, &model);
        fb::finish_model_buffer(b, model);
        b.finished_data().to_vec()
    }
}

impl TensorSpec {
    fn write<'b>(&self, buffer: u32, b: &mut FlatBufferBuilder<'b>) -> WIPOffset<fb::Tensor<'b>> {
        let quant = fb::QuantizationParametersArgs {
            scale: Some(b.create_vector(&self.scales)),
            zero_point: Some(b.create_vector(&self.zeros)),
            quantized_dimension: self.axis,
            ..Default::default()
        };
        let quant = fb::QuantizationParameters::create(b, &quant);
        let sparsity =
            self.is_sparse.then(|| fb::SparsityParameters::create(b, &fb::SparsityParametersArgs::default()));
        let args = fb::TensorArgs {
            shape: Some(b.create_vector(&self.shape)),
            type_: self.elem,
            buffer,
            name: Some(b.create_vector(self.name.as_bytes())),
            quantization: (!self.scales.is_empty()).then_some(quant),
            is_variable: self.is_variable,
            sparsity,
            shape_signature: self.signature.as_ref().map(|signature| b.create_vector(signature)),
            external_buffer: self.external_buffer,
        };
        fb::Tensor::create(b, &args)
    }
}

impl OperatorSpec {
    fn write<'b>(&self, opcode_index: u32, b: &mut FlatBufferBuilder<'b>) -> WIPOffset<fb::Operator<'b>> {
        let (builtin_options_type, builtin_options) = self.options.write(b);
        let args = fb::OperatorArgs {
            opcode_index,
            inputs: Some(b.create_vector(&self.inputs)),
            outputs: Some(b.create_vector(&self.outputs)),
            builtin_options_type,
            builtin_options,
        };
        fb::Operator::create(b, &args)
    }
}

impl Options {
    fn write(self, b: &mut FlatBufferBuilder<'_>) -> (fb::BuiltinOptions, Option<WIPOffset<UnionWIPOffset>>) {
        match self {
            Options::None => (fb::BuiltinOptions::NONE, None),
            Options::Conv2d { padding, stride, activation } => {
                let args = fb::Conv2DOptionsArgs {
                    padding,
                    stride_w: stride,
                    stride_h: stride,
                    fused_activation_function: activation,
                    ..Default::default()
                };
                let options = fb::Conv2DOptions::create(b, &args);
                (fb::BuiltinOptions::Conv2DOptions, Some(options.as_union_value()))
            }
        }
    }
}
