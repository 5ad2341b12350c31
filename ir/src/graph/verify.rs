//! The verifier of the graph level. It finds all errors, not only the first. It checks:
//!
//! - the graph's name is a C identifier;
//! - each value's type is one that a tensor can have: `i8`, `u8`, `i16`, `i32`, `i64` or `f32`, at least one element,
//!   no more bytes than offsets reach, positive finite scales, a channel axis that exists with one scale for each index;
//! - a constant has as many bytes as its type;
//! - the graph's inputs are values of kind input, each at its own position;
//! - each operator's result knows the operator, and no two share a result;
//! - each operand and each output of the graph exists, and is computed before it is read;
//! - each operator has its number of operands; shape and element type of the result are those that it infers; and it
//!   accepts the quantisation of operands and result (see `check` in the operator's file).

use super::ops::expect_size;
use super::{Def, Graph, OpData, OpId, Value, ValueData};
use crate::diag::{Diagnostic, Place};
use crate::ty::{Quant, TensorType, Ty};

/// Element types that tensors can have.
const TENSOR_ELEMS: [Ty; 6] = [Ty::I8, Ty::U8, Ty::I16, Ty::I32, Ty::I64, Ty::F32];

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// The graph as a whole.
    Graph,
    /// A value.
    Value(Value),
    /// An operator.
    Op(OpId),
}

/// All that is wrong with `graph`; empty if it is sound.
pub fn verify(graph: &Graph) -> Vec<Diagnostic> {
    verify_at(graph, |_| None)
}

/// As [`verify`], with the places that `place` knows.
pub fn verify_at(graph: &Graph, place: impl Fn(Site) -> Option<Place>) -> Vec<Diagnostic> {
    let mut verifier = Verifier { graph, errors: Vec::new() };
    verifier.run();
    let placed = |(site, error): (Site, Diagnostic)| Diagnostic { place: place(site), ..error };
    verifier.errors.into_iter().map(placed).collect()
}

struct Verifier<'a> {
    graph: &'a Graph,
    errors: Vec<(Site, Diagnostic)>,
}

impl Verifier<'_> {
    fn run(&mut self) {
        if !is_identifier(&self.graph.name) {
            self.error(Site::Graph, format!("the graph's name `{}` is no C identifier", self.graph.name));
        }
        for (i, data) in self.graph.values.iter().enumerate() {
            self.value(Value::new(i), data);
        }
        self.inputs();
        let mut computed: Vec<bool> =
            self.graph.values.iter().map(|v| !matches!(v.def, Def::Op(_))).collect();
        for (id, op) in self.graph.iter_ops() {
            self.op(id, op, &mut computed);
        }
        for (i, output) in self.graph.outputs.iter().enumerate() {
            if computed.get(output.idx()) != Some(&true) {
                self.error(Site::Graph, format!("output {i} is {output}, which nothing computes"));
            }
        }
    }

    fn value(&mut self, value: Value, data: &ValueData) {
        let name =
            if data.name.is_empty() { value.to_string() } else { format!("{value} (`{}`)", data.name) };
        if let Err(message) = tensor_type(&data.ty) {
            return self.error(Site::Value(value), format!("{name}: {message}"));
        }
        match &data.def {
            Def::Const(bytes) if bytes.len() != data.ty.bytes() => {
                let (found, wanted) = (bytes.len(), data.ty.bytes());
                self.error(
                    Site::Value(value),
                    format!("{name}: the constant has {found} bytes, its type has {wanted}"),
                );
            }
            Def::Input(position) if self.graph.inputs.get(*position) != Some(&value) => {
                self.error(
                    Site::Value(value),
                    format!("{name} is input {position} of the graph, which has another there"),
                );
            }
            _ => {}
        }
    }

    fn inputs(&mut self) {
        for (i, input) in self.graph.inputs.iter().enumerate() {
            if self.graph.values.get(input.idx()).map(|data| &data.def) != Some(&Def::Input(i)) {
                self.error(Site::Graph, format!("input {i} is {input}, which is not defined as that input"));
            }
        }
    }

    fn op(&mut self, id: OpId, op: &OpData, computed: &mut [bool]) {
        let site = Site::Op(id);
        let Some(result) = self.graph.values.get(op.output.idx()) else {
            return self.error(
                site,
                format!("op {} `{}`: its result {} does not exist", op.source, op.op.name(), op.output),
            );
        };
        let name = self.graph.describe(id);
        if result.def != Def::Op(id) || computed[op.output.idx()] {
            self.error(site, format!("{name}: its result {} is defined elsewhere", op.output));
        }
        let mut complete = true;
        for input in &op.inputs {
            if computed.get(input.idx()) != Some(&true) {
                complete = false;
                self.error(site, format!("{name} reads {input} before it is computed"));
            }
        }
        computed[op.output.idx()] = true;
        let sound = |value: &Value| tensor_type(self.graph.ty(*value)).is_ok();
        if !complete || !op.inputs.iter().chain([&op.output]).all(sound) {
            return; // The error is known; types that are wrong in themselves have no meaning for an operator.
        }
        if let Err(error) = op.op.check(&self.graph.input_types(id), &result.ty) {
            self.error(site, format!("{name}: {}", error.0));
        }
    }

    fn error(&mut self, site: Site, message: String) {
        self.errors.push((site, Diagnostic::new(message)));
    }
}

/// What is wrong with a type by itself.
fn tensor_type(ty: &TensorType) -> Result<(), String> {
    if !TENSOR_ELEMS.contains(&ty.elem) {
        return Err(format!("{} is no element type of a tensor", ty.elem));
    }
    expect_size(ty).map_err(|e| e.0)?;
    let scales = match &ty.quant {
        Quant::None => &[][..],
        Quant::PerTensor { scale, .. } => std::slice::from_ref(scale),
        Quant::PerChannel { axis, scales } => {
            if ty.shape.get(*axis) != Some(&scales.len()) {
                return Err(format!(
                    "{} scales along axis {axis} do not suit shape {:?}",
                    scales.len(),
                    ty.shape
                ));
            }
            scales
        }
    };
    match scales.iter().find(|scale| !(scale.is_finite() && **scale > 0.0)) {
        Some(scale) => Err(format!("scale {scale} is not a positive number")),
        None => Ok(()),
    }
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    starts && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::text::parse;

    fn sound() -> Graph {
        let text = r#"graph @g(%0: i8[1, 4] scale 0.5 zero 1 name "x") {
            %1 = const [1, 2, 3, 4, 5, 6, 7, 8] : i8[2, 4] scale [0.1, 0.2] axis 0
            %2 = const [5, 6] : i32[2]
            %3 = fully_connected %0, %1, %2 {clamp = [-128, 127]} : i8[1, 2] scale 0.25 zero 0 name "fc"
            %4 = relu %3 {clamp = [0, 127], single_ratio = false} : i8[1, 2] scale 0.25 zero 0
            return %4
        }"#;
        parse(text).unwrap()
    }

    fn errors(change: impl FnOnce(&mut Graph)) -> Vec<String> {
        let mut graph = sound();
        change(&mut graph);
        verify(&graph).into_iter().map(|e| e.message).collect()
    }

    #[test]
    fn each_rule_has_its_message() {
        assert_eq!(errors(|_| {}), [""; 0]);
        assert_eq!(errors(|g| g.name = "a b".into()), ["the graph's name `a b` is no C identifier"]);
        assert_eq!(
            errors(|g| g.values[0].ty.elem = Ty::I16x2),
            ["%0 (`x`): i16x2 is no element type of a tensor"]
        );
        assert_eq!(
            errors(|g| g.values[0].ty.quant = Quant::PerTensor { scale: 0.0, zero: 0 }),
            ["%0 (`x`): scale 0 is not a positive number"]
        );
        assert_eq!(
            errors(|g| g.values[1].ty.quant = Quant::PerChannel { axis: 1, scales: vec![0.1; 2] }),
            ["%1: 2 scales along axis 1 do not suit shape [2, 4]"]
        );
        assert_eq!(
            errors(|g| g.values[2].def = Def::Const(vec![0; 7].into())),
            ["%2: the constant has 7 bytes, its type has 8"]
        );
        assert_eq!(
            errors(|g| g.inputs[0] = Value(1)),
            [
                "%0 (`x`) is input 0 of the graph, which has another there",
                "input 0 is %1, which is not defined as that input"
            ]
        );
        assert_eq!(errors(|g| g.outputs[0] = Value(9)), ["output 0 is %9, which nothing computes"]);
        assert_eq!(errors(|g| g.outputs.push(Value(1))), [""; 0]);
        assert_eq!(
            errors(|g| g.set_input(OpId(0), 0, Value(4))),
            ["op 0 `fully_connected` (`fc`) reads %4 before it is computed"]
        );
        assert_eq!(
            errors(|g| g.set_input(OpId(1), 0, Value(7))),
            ["op 1 `relu` reads %7 before it is computed"]
        );
        assert_eq!(
            errors(|g| g.ops[1].as_mut().unwrap().output = Value(3)),
            [
                "op 1 `relu` (`fc`): its result %3 is defined elsewhere",
                "output 0 is %4, which nothing computes"
            ]
        );
        assert_eq!(
            errors(|g| g.ops[1].as_mut().unwrap().output = Value(9)),
            ["op 1 `relu`: its result %9 does not exist", "output 0 is %4, which nothing computes"]
        );
        assert_eq!(
            errors(|g| g.ops[1].as_mut().unwrap().inputs.clear()),
            ["op 1 `relu`: has 0 operands, expected 1"]
        );
    }

    #[test]
    fn operators_compare_what_they_infer_with_what_is_declared() {
        let message = |change: fn(&mut Graph)| errors(change).join("; ");
        assert_eq!(
            message(|g| g.values[3].ty.shape = vec![2, 1]),
            "op 0 `fully_connected` (`fc`): the result has shape [2, 1], expected [1, 2]; \
             op 1 `relu`: the result has shape [1, 2], expected [2, 1]"
        );
        assert_eq!(
            message(|g| g.values[4].ty.elem = Ty::U8),
            "op 1 `relu`: the result is u8, only i8 is supported"
        );
        assert_eq!(
            message(|g| g.values[1].ty.quant = Quant::None),
            "op 0 `fully_connected` (`fc`): the weights have no scale"
        );
        assert_eq!(
            message(|g| g.values[0].ty.quant = Quant::PerTensor { scale: 0.5, zero: 128 }),
            "op 0 `fully_connected` (`fc`): the input has zero point 128, which is no i8"
        );
    }
}
