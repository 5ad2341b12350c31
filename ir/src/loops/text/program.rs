//! Reads and prints the outline of a program: its tensors, and its layers without their nests.

use std::fmt::Write;

use super::super::{Layer, Lifetime, Nest, Program, TensorSlot};
use super::Places;
use super::names::is_legal_name;
use super::parse;
use super::print::{extents, map_text};
use crate::diag::{Diagnostic, Place};
use crate::graph::text::parser::tensor_type;
use crate::text::{Cursor, Tok};

/// Prints `program @name { … }`.
pub(super) fn print(program: &Program) -> String {
    let mut out = format!("program @{} {{\n", program.name);
    for tensor in &program.tensors {
        let shape: Vec<u32> = tensor.ty.shape.iter().map(|extent| *extent as u32).collect();
        let name = tensor_name(&tensor.name);
        let map = map_text(tensor.ty.elem, &shape, &tensor.map);
        let lifetime = match tensor.lifetime {
            Lifetime::Input(position) => format!("input {position}"),
            Lifetime::Output(position) => format!("output {position}"),
            Lifetime::Temporary => "temporary".into(),
            Lifetime::Persistent => "persistent".into(),
        };
        let _ = writeln!(out, "  tensor {name}: {}{map} {lifetime}", tensor.ty);
    }
    for layer in &program.layers {
        let args = layer.args.iter().map(|arg| tensor_name(&program.tensors[*arg].name));
        let args = args.collect::<Vec<_>>().join(", ");
        let Layer { nest, op, macs, sources, shares, .. } = layer;
        let sources = extents(sources);
        let shares = shares.as_ref().map_or(String::new(), |first| format!(" shares @{first}"));
        let name = &nest.name;
        let _ = writeln!(out, "  layer @{name}({args}) op {op:?} macs {macs} sources [{sources}]{shares}");
    }
    out.push_str("}\n");
    out
}

/// A program whose layers have no nests yet.
pub(super) struct Outline {
    program: Program,
    /// Where the name of each layer stands.
    layers: Vec<Place>,
}

/// Reads `program @name { … }`.
pub(super) fn parse(cursor: &mut Cursor) -> Result<Outline, Diagnostic> {
    cursor.expect_word("program")?;
    let name = cursor.symbol()?.to_string();
    let program = Program { name, tensors: Vec::new(), layers: Vec::new() };
    let mut outline = Outline { program, layers: Vec::new() };
    cursor.expect("{")?;
    while cursor.eat_word("tensor") {
        let place = cursor.place();
        let tensor = tensor(cursor)?;
        if outline.tensor(&tensor.name).is_some() {
            return Err(Diagnostic::new(format!("there are two tensors `{}`", tensor.name)).at(place));
        }
        outline.program.tensors.push(tensor);
    }
    while cursor.eat_word("layer") {
        outline.layers.push(cursor.place());
        let layer = outline.layer(cursor)?;
        outline.program.layers.push(layer);
    }
    if !cursor.eat("}") {
        return Err(cursor.wanted("`tensor`, `layer` or `}`"));
    }
    Ok(outline)
}

impl Outline {
    /// The program whose layers have the nests of their names.
    pub fn with_nests(self, nests: &[(Nest, Places)]) -> Result<Program, Diagnostic> {
        let Outline { mut program, layers } = self;
        for (layer, place) in program.layers.iter_mut().zip(layers) {
            let nest = nests.iter().find(|(nest, _)| nest.name == layer.nest.name);
            let missing = || Diagnostic::new(format!("there is no nest `@{}`", layer.nest.name)).at(place);
            layer.nest = nest.ok_or_else(missing)?.0.clone();
        }
        Ok(program)
    }

    fn tensor(&self, name: &str) -> Option<usize> {
        self.program.tensors.iter().position(|tensor| tensor.name == name)
    }

    fn layer(&self, cursor: &mut Cursor) -> Result<Layer, Diagnostic> {
        let nest = Nest::new(cursor.symbol()?);
        let args = cursor.list("(", ")", |cursor| {
            let place = cursor.place();
            let name = read_tensor_name(cursor)?;
            let unknown = || Diagnostic::new(format!("there is no tensor `{name}`")).at(place);
            self.tensor(&name).ok_or_else(unknown)
        })?;
        cursor.expect_word("op")?;
        let op = cursor.string()?;
        cursor.expect_word("macs")?;
        let macs = cursor.int()?;
        cursor.expect_word("sources")?;
        let sources = cursor.list("[", "]", Cursor::int)?;
        let shares = match cursor.eat_word("shares") {
            true => Some(cursor.symbol()?.to_string()),
            false => None,
        };
        Ok(Layer { nest, args, op, macs, sources, shares })
    }
}

fn tensor(cursor: &mut Cursor) -> Result<TensorSlot, Diagnostic> {
    let name = read_tensor_name(cursor)?;
    cursor.expect(":")?;
    let place = cursor.place();
    let ty = tensor_type(cursor)?;
    let shape: Vec<u32> = ty.shape.iter().map(|extent| *extent as u32).collect();
    let map = parse::map(cursor, ty.elem, &shape, place)?;
    let lifetime = lifetime(cursor)?;
    Ok(TensorSlot { name, ty, map, lifetime })
}

fn lifetime(cursor: &mut Cursor) -> Result<Lifetime, Diagnostic> {
    if cursor.eat_word("input") {
        return Ok(Lifetime::Input(cursor.int()?));
    }
    if cursor.eat_word("output") {
        return Ok(Lifetime::Output(cursor.int()?));
    }
    if cursor.eat_word("temporary") {
        return Ok(Lifetime::Temporary);
    }
    if cursor.eat_word("persistent") {
        return Ok(Lifetime::Persistent);
    }
    Err(cursor.wanted("`input`, `output`, `temporary` or `persistent`"))
}

/// An identifier stands as it is, any other name in quotes.
fn tensor_name(name: &str) -> String {
    if is_legal_name(name) { name.to_string() } else { format!("{name:?}") }
}

fn read_tensor_name(cursor: &mut Cursor) -> Result<String, Diagnostic> {
    match cursor.peek() {
        Tok::Str(_) => cursor.string(),
        _ => cursor.ident("the name of a tensor").map(str::to_string),
    }
}
