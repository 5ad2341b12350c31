//! From a file to a graph: which operator computes what, in which order, and everything that is wrong on the way.
//!
//! All problems of a model are collected. One problem is reported once: an operator that reads a tensor which has
//! a problem of its own is not blamed for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ir::diag::Diagnostic;
use ir::graph::ops::Reshape;
use ir::graph::{Graph, Op, Value};
use ir::ty::TypeError;

use super::file::{File, RawOperator};
use super::operators::{self, Operand, Operator, Row, Translated};
use super::tensors::{Tensor, TensorChecker};

/// More errors than these are only counted.
const MAX_ERRORS: usize = 100;

/// What is wrong, and with which operator.
pub(super) struct Problem {
    /// Index of the operator in the file, where it is an operator's problem.
    pub op: Option<usize>,
    pub diagnostic: Diagnostic,
}

/// The graph of `file`, or all that is wrong with it.
pub(super) fn load(file: &File<'_>, name: &str) -> Result<Graph, Vec<Problem>> {
    let mut loader = Loader {
        file,
        tensors: vec![TensorState::Unchecked; file.tensors.len()],
        checker: TensorChecker::default(),
        zeros: BTreeMap::new(),
        graph: Graph::new(name),
        problems: Vec::new(),
    };
    loader.inputs();
    for (idx, raw) in file.operators.iter().enumerate() {
        if let Err(diagnostic) = loader.operator(idx, raw) {
            loader.problems.push(Problem { op: Some(idx), diagnostic: place(idx, raw, file, diagnostic) });
        }
    }
    loader.outputs();
    if loader.problems.is_empty() { Ok(loader.graph) } else { Err(loader.problems) }
}

/// The messages of `problems`, cut off after a number that anyone would read.
pub(super) fn diagnostics(problems: Vec<Problem>) -> Vec<Diagnostic> {
    let count = problems.len();
    let mut shown: Vec<_> = problems.into_iter().take(MAX_ERRORS).map(|p| p.diagnostic).collect();
    for idx in (1..shown.len()).rev() {
        if shown[..idx].iter().any(|earlier| earlier.help == shown[idx].help) {
            shown[idx].help = None; // Said once is enough.
        }
    }
    if count > MAX_ERRORS {
        shown.push(Diagnostic::new(format!("the model has {} further errors", count - MAX_ERRORS)));
    }
    shown
}

/// What is known of a tensor while operators are read in order.
#[derive(Clone)]
enum TensorState {
    /// Nobody has asked for it.
    Unchecked,
    /// It has a problem, which is reported.
    Bad,
    /// A constant, or an activation that nothing has computed yet.
    Checked(Arc<Tensor>),
    /// Computed, or a graph input, or a constant that is in use; without a value where its operator has a problem.
    Defined(Arc<Tensor>, Option<Value>),
}

struct Loader<'a> {
    file: &'a File<'a>,
    /// By index in the file.
    tensors: Vec<TensorState>,
    checker: TensorChecker,
    /// Bias of operators without one, by length: shared, so that no file can ask for more than it has weights.
    zeros: BTreeMap<usize, Arc<[u8]>>,
    graph: Graph,
    problems: Vec<Problem>,
}

impl Loader<'_> {
    fn problem(&mut self, message: String) {
        self.problems.push(Problem { op: None, diagnostic: Diagnostic::new(message) });
    }

    /// The tensor of this index, checked; `None` where it is bad, which is reported once.
    fn tensor(&mut self, idx: i32) -> Result<Option<Arc<Tensor>>, Diagnostic> {
        let count = self.file.tensors.len();
        let raw = self.file.tensor(idx);
        let (Some(raw), Ok(idx)) = (raw, usize::try_from(idx)) else {
            return Err(Diagnostic::new(format!(
                "tensor {idx} does not exist, the model has {count} tensors"
            )));
        };
        match &self.tensors[idx] {
            TensorState::Checked(tensor) | TensorState::Defined(tensor, _) => {
                return Ok(Some(tensor.clone()));
            }
            TensorState::Bad => return Ok(None),
            TensorState::Unchecked => {}
        }
        match self.checker.check(raw) {
            Ok(tensor) => {
                let tensor = Arc::new(tensor);
                self.tensors[idx] = TensorState::Checked(tensor.clone());
                Ok(Some(tensor))
            }
            Err(mut diagnostic) => {
                diagnostic.message = format!("tensor {idx} `{}`: {}", raw.name, diagnostic.message);
                self.tensors[idx] = TensorState::Bad;
                self.problems.push(Problem { op: None, diagnostic });
                Ok(None)
            }
        }
    }

    fn inputs(&mut self) {
        if self.file.inputs.is_empty() {
            self.problem("the model has no input".to_string());
        }
        for (position, &idx) in self.file.inputs.iter().enumerate() {
            match self.tensor(idx) {
                Ok(Some(tensor)) => self.input(position, idx as usize, tensor),
                Ok(None) => {}
                Err(error) => self.problem(format!("input {position}: {}", error.message)),
            }
        }
    }

    fn input(&mut self, position: usize, idx: usize, tensor: Arc<Tensor>) {
        let name = &tensor.name;
        if tensor.data.is_some() {
            return self.problem(format!("input {position} `{name}` is a constant"));
        }
        if matches!(self.tensors[idx], TensorState::Defined(..)) {
            return self.problem(format!("input {position} `{name}` is the same tensor as another input"));
        }
        let value = self.graph.add_input(tensor.ty.clone(), name.as_str());
        self.tensors[idx] = TensorState::Defined(tensor, Some(value));
    }

    fn outputs(&mut self) {
        if self.file.outputs.is_empty() {
            self.problem("the model has no output".to_string());
        }
        for (position, &idx) in self.file.outputs.iter().enumerate() {
            let tensor = match self.tensor(idx) {
                Ok(Some(tensor)) => tensor,
                Ok(None) => continue,
                Err(error) => {
                    self.problem(format!("output {position}: {}", error.message));
                    continue;
                }
            };
            match &self.tensors[idx as usize] {
                TensorState::Defined(_, Some(value)) if self.graph.def_op(*value).is_some() => {
                    self.graph.add_output(*value);
                }
                TensorState::Defined(_, None) => {} // Its operator has a problem.
                _ => self.problem(format!("output {position} `{}` is computed by no operator", tensor.name)),
            }
        }
    }

    /// Translates one operator and adds it to the graph.
    fn operator(&mut self, idx: usize, raw: &RawOperator<'_>) -> Result<(), Diagnostic> {
        let value = operators::row(raw).and_then(|row| self.translate(idx, raw, row));
        // Whatever happened, the results count as computed: operators that read them are not to blame.
        self.define(&raw.outputs, *value.as_ref().unwrap_or(&None));
        value.map(|_| ())
    }

    /// The value that an operator computes; `None` where what it reads or writes has a problem of its own.
    fn translate(
        &mut self,
        idx: usize,
        raw: &RawOperator<'_>,
        row: &Row,
    ) -> Result<Option<Value>, Diagnostic> {
        let Some(output) = self.output(raw)? else { return Ok(None) };
        let Some(inputs) = self.operands(raw, row)? else { return Ok(None) };
        let operator = Operator { raw, inputs, output };
        let Translated { op, operands } = (row.translate)(&operator)?;
        let shape = result_shape(&op, &operands, &operator)?;
        let values = operands.into_iter().map(|operand| self.value(raw, operand));
        let Some(values) = values.collect::<Option<Vec<Value>>>() else { return Ok(None) };
        let Tensor { ty, name, .. } = &*operator.output;
        let source = idx as u32;
        let value = self.graph.add_op(op, &values, ty.quant.clone(), name.as_str(), source)?;
        if shape == ty.shape {
            return Ok(Some(value));
        }
        let reshape = Reshape { shape: ty.shape.clone() };
        self.graph.add_op(reshape, &[value], ty.quant.clone(), name.as_str(), source).map(Some)
    }

    /// The only result of an operator.
    fn output(&mut self, raw: &RawOperator<'_>) -> Result<Option<Arc<Tensor>>, Diagnostic> {
        let [idx] = raw.outputs[..] else {
            return Err(Diagnostic::new(format!(
                "it has {} results, only one is supported",
                raw.outputs.len()
            )));
        };
        let Some(tensor) = self.tensor(idx)? else { return Ok(None) };
        if tensor.data.is_some() {
            return Err(Diagnostic::new(format!("its result `{}` is a constant", tensor.name)));
        }
        if matches!(self.tensors[idx as usize], TensorState::Defined(..)) {
            return Err(Diagnostic::new(format!(
                "its result `{}` is computed before or is an input",
                tensor.name
            )));
        }
        Ok(Some(tensor))
    }

    /// The operands of an operator in the order of the file, `None` for one that is left out.
    fn operands(
        &mut self,
        raw: &RawOperator<'_>,
        row: &Row,
    ) -> Result<Option<Vec<Option<Arc<Tensor>>>>, Diagnostic> {
        let (least, most) = (*row.operands.start(), *row.operands.end());
        let count = raw.inputs.len();
        if !row.operands.contains(&count) {
            let wanted = if least == most { least.to_string() } else { format!("{least} to {most}") };
            return Err(Diagnostic::new(format!("it has {count} operands, expected {wanted}")));
        }
        let mut operands = Vec::new();
        let mut is_bad = false;
        for (position, &idx) in raw.inputs.iter().enumerate() {
            if idx == -1 && position >= least {
                operands.push(None);
                continue;
            }
            let Some(tensor) = self.tensor(idx)? else {
                is_bad = true;
                continue;
            };
            let is_defined = matches!(self.tensors[idx as usize], TensorState::Defined(..));
            if tensor.data.is_none() && !is_defined {
                let name = &tensor.name;
                return Err(Diagnostic::new(format!(
                    "it reads `{name}`, which is neither constant nor computed before"
                )));
            }
            operands.push(Some(tensor));
        }
        Ok((!is_bad).then_some(operands))
    }

    /// The value of an operand; `None` where the operator that computes it has a problem.
    fn value(&mut self, raw: &RawOperator<'_>, operand: Operand) -> Option<Value> {
        let position = match operand {
            Operand::Zeros(ty) => {
                let zeros =
                    self.zeros.entry(ty.bytes()).or_insert_with(|| vec![0; ty.bytes()].into()).clone();
                return Some(self.graph.add_const(ir::graph::Tensor { ty, data: zeros }, ""));
            }
            Operand::Input(position) => position,
        };
        let state = &mut self.tensors[raw.inputs[position] as usize];
        match state {
            TensorState::Defined(_, value) => *value,
            TensorState::Checked(tensor) => {
                let tensor = tensor.clone();
                let data = tensor.data.clone().expect("what is no constant was computed before");
                let constant = ir::graph::Tensor { ty: tensor.ty.clone(), data };
                let value = self.graph.add_const(constant, tensor.name.as_str());
                *state = TensorState::Defined(tensor, Some(value));
                Some(value)
            }
            TensorState::Unchecked | TensorState::Bad => unreachable!("operands were checked before"),
        }
    }

    /// Marks the results of an operator as computed, where they exist.
    fn define(&mut self, outputs: &[i32], value: Option<Value>) {
        for &output in outputs {
            let Some(raw) = self.file.tensor(output) else { continue };
            let state = &mut self.tensors[output as usize];
            let tensor = match state {
                TensorState::Checked(tensor) => Some(tensor.clone()),
                TensorState::Unchecked => self.checker.check(raw).ok().map(Arc::new),
                TensorState::Bad | TensorState::Defined(..) => None,
            };
            match tensor {
                Some(tensor) => *state = TensorState::Defined(tensor, value),
                None if matches!(state, TensorState::Unchecked) => *state = TensorState::Bad,
                None => {}
            }
        }
    }
}

/// The shape that the graph's operator gives its result, after all its checks.
///
/// It is the file's shape, except that a fully connected layer gives rows, and files may keep all dimensions.
fn result_shape(op: &Op, operands: &[Operand], operator: &Operator<'_>) -> Result<Vec<usize>, Diagnostic> {
    let types: Vec<_> = operands.iter().map(|operand| operator.operand_type(operand)).collect();
    let refuse = |error: TypeError| Diagnostic::new(error.0);
    let inferred = op.infer(&types).map_err(refuse)?;
    let output = &operator.output.ty;
    let is_rows = matches!(op, Op::FullyConnected(_)) && inferred.len() == output.len();
    let result = if is_rows { output.with_shape(inferred.shape) } else { output.clone() };
    op.check(&types, &result).map_err(refuse)?;
    Ok(result.shape)
}

/// ``op 17 `conv2d` (`block_3/conv`): `` before the message.
fn place(idx: usize, raw: &RawOperator<'_>, file: &File<'_>, mut diagnostic: Diagnostic) -> Diagnostic {
    let kind = operators::name(raw);
    let output = raw.outputs.first().and_then(|&output| file.tensor(output));
    let name = output.map_or("", |tensor| &tensor.name);
    diagnostic.message = format!("op {idx} `{kind}` (`{name}`): {}", diagnostic.message);
    diagnostic
}
