//! Prints graphs.

use std::fmt::{self, Write};

use super::super::{Def, Graph, OpData, Tensor, Value, ValueData};
use crate::ty::{Quant, TensorType, Ty};

/// Constants with at most this many elements are printed as a list.
const MAX_LIST: usize = 16;
/// Bytes on one line of a long constant.
const BYTES_PER_LINE: usize = 64;

/// How much of long constants is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// All of it: parses back.
    Full,
    /// None of it, for reading.
    Elided,
}

/// The text of `graph`, without constants that nothing reads; values are numbered as [`Graph::compact`] does.
pub fn print(graph: &Graph, style: Style) -> String {
    let mut out = String::new();
    Printer { graph, style, numbers: numbers(graph) }.graph(&mut out).expect("writing to a string succeeds");
    out
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print(self, Style::Full))
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.elem, self.shape)?;
        match &self.quant {
            Quant::None => Ok(()),
            Quant::PerTensor { scale, zero } => write!(f, " scale {scale:?} zero {zero}"),
            Quant::PerChannel { axis, scales } => write!(f, " scale {scales:?} axis {axis}"),
        }
    }
}

/// The number that text has for each value, by id; values that nothing reads have none.
fn numbers(graph: &Graph) -> Vec<Option<usize>> {
    let mut numbers = vec![None; graph.values.len()];
    for (number, value) in graph.text_order().iter().enumerate() {
        numbers[value.idx()] = Some(number);
    }
    numbers
}

struct Printer<'a> {
    graph: &'a Graph,
    style: Style,
    numbers: Vec<Option<usize>>,
}

impl Printer<'_> {
    fn graph(&self, out: &mut String) -> fmt::Result {
        write!(out, "graph @{}(", self.graph.name)?;
        for (i, input) in self.graph.inputs.iter().enumerate() {
            let ValueData { ty, name, .. } = self.graph.value(*input);
            write!(out, "{}{}: {ty}{}", if i == 0 { "" } else { ", " }, self.value(*input), named(name))?;
        }
        out.push_str(") {\n");
        let defined: Vec<Value> = self.graph.text_order();
        let mut n_ops = 0;
        for value in defined {
            match &self.graph.value(value).def {
                Def::Input(_) => {}
                Def::Const(_) => self.constant(out, value)?,
                Def::Op(id) => match self.graph.ops.get(id.idx()).and_then(Option::as_ref) {
                    Some(op) => {
                        self.op(out, op, n_ops)?;
                        n_ops += 1;
                    }
                    // A pass broke the graph; what is left of it must still print.
                    None => {
                        writeln!(out, "  // {} was computed by an operator that is gone", self.value(value))?
                    }
                },
            }
        }
        writeln!(
            out,
            "  return{}{}",
            if self.graph.outputs.is_empty() { "" } else { " " },
            self.list(&self.graph.outputs)
        )?;
        out.push_str("}\n");
        Ok(())
    }

    fn constant(&self, out: &mut String, value: Value) -> fmt::Result {
        let ValueData { ty, name, .. } = self.graph.value(value);
        let tensor = self.graph.const_tensor(value).expect("the value is a constant");
        write!(out, "  {} = const ", self.value(value))?;
        match elements(&tensor) {
            Some(elements) => write!(out, "[{}]", elements.join(", "))?,
            None if self.style == Style::Elided => out.push_str("elided"),
            None => {
                let lines = tensor.data.chunks(BYTES_PER_LINE).map(hex).collect::<Vec<_>>();
                write!(out, "hex\"{}\"", lines.join("\n    "))?;
            }
        }
        writeln!(out, " : {ty}{}", named(name))
    }

    fn op(&self, out: &mut String, data: &OpData, position: usize) -> fmt::Result {
        let ValueData { ty, name, .. } = self.graph.value(data.output);
        write!(out, "  {} = {} {}", self.value(data.output), data.op.name(), self.list(&data.inputs))?;
        let attrs: Vec<_> = data.op.attrs().iter().map(|(name, attr)| format!("{name} = {attr}")).collect();
        if !attrs.is_empty() {
            write!(out, " {{{}}}", attrs.join(", "))?;
        }
        write!(out, " : {ty}{}", named(name))?;
        match data.source as usize == position {
            true => writeln!(out),
            false => writeln!(out, " source {}", data.source),
        }
    }

    fn value(&self, value: Value) -> String {
        match self.numbers.get(value.idx()) {
            Some(Some(number)) => format!("%{number}"),
            _ => "%undefined".into(),
        }
    }

    fn list(&self, values: &[Value]) -> String {
        values.iter().map(|v| self.value(*v)).collect::<Vec<_>>().join(", ")
    }
}

/// The elements of a short constant of a type that lists have.
fn elements(tensor: &Tensor) -> Option<Vec<String>> {
    if tensor.ty.len() > MAX_LIST {
        return None;
    }
    match tensor.ty.elem {
        Ty::I8 => Some(tensor.i8s().iter().map(ToString::to_string).collect()),
        Ty::I32 => Some(tensor.i32s().iter().map(ToString::to_string).collect()),
        // A NaN has bits that no decimal text shows.
        Ty::F32 if tensor.f32s().iter().all(|x| x.is_finite()) => {
            Some(tensor.f32s().iter().map(|x| format!("{x:?}")).collect())
        }
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn named(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" name {}", quoted(name)) }
}

/// `text` as a string token.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
