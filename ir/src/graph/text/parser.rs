//! Parses graphs. Syntax, names and attributes are checked here; what types must fulfil, by the verifier.

use std::collections::HashMap;

use super::super::attr::{Attr, AttrReader};
use super::super::ops::expect_size;
use super::super::verify::{Site, verify_at};
use super::super::{Def, Graph, Op, OpData, OpId, Value, ValueData};
use crate::diag::{Diagnostic, Place};
use crate::text::{Cursor, Tok};
use crate::ty::{Quant, TensorType, Ty};

/// Brackets inside brackets that an attribute may have.
const MAX_DEPTH: usize = 8;

/// The graph that `text` stands for, verified; or all that is wrong with it.
pub fn parse(text: &str) -> Result<Graph, Vec<Diagnostic>> {
    let parsed = parse_with_places(text).map_err(|e| vec![e])?;
    let errors = verify_at(&parsed.graph, |site| match site {
        Site::Graph => None,
        Site::Value(value) => parsed.values.get(value.idx()).copied(),
        Site::Op(id) => parsed.graph.ops[id.idx()].as_ref().map(|op| parsed.values[op.output.idx()]),
    });
    if errors.is_empty() { Ok(parsed.graph) } else { Err(errors) }
}

/// The graph that `text` stands for, which may break the verifier's rules.
pub fn parse_unverified(text: &str) -> Result<Graph, Diagnostic> {
    parse_with_places(text).map(|parsed| parsed.graph)
}

/// A graph and where each value is defined.
struct Parsed {
    graph: Graph,
    values: Vec<Place>,
}

fn parse_with_places(text: &str) -> Result<Parsed, Diagnostic> {
    let parsed = Parsed { graph: Graph::default(), values: Vec::new() };
    let mut parser = Parser { cursor: Cursor::new(text)?, parsed, names: HashMap::new() };
    parser.graph()?;
    match parser.cursor.peek() {
        Tok::End => Ok(parser.parsed),
        _ => Err(parser.cursor.wanted("the end of the text")),
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    parsed: Parsed,
    names: HashMap<&'a str, Value>,
}

impl<'a> Parser<'a> {
    fn graph(&mut self) -> Result<(), Diagnostic> {
        self.cursor.expect_word("graph")?;
        self.parsed.graph.name = self.cursor.symbol()?.into();
        self.inputs()?;
        self.cursor.expect("{")?;
        while matches!(self.cursor.peek(), Tok::Value(_)) {
            self.definition()?;
        }
        if !self.cursor.eat_word("return") {
            return Err(self.cursor.wanted("a value such as `%0`, or `return`"));
        }
        if matches!(self.cursor.peek(), Tok::Value(_)) {
            self.parsed.graph.outputs = self.operands()?;
        }
        self.cursor.expect("}")
    }

    fn inputs(&mut self) -> Result<(), Diagnostic> {
        self.cursor.expect("(")?;
        while !self.cursor.eat(")") {
            let place = self.cursor.place();
            let name = self.cursor.value()?;
            self.cursor.expect(":")?;
            let ty = tensor_type(&mut self.cursor)?;
            let tensor_name = self.tensor_name()?;
            let def = Def::Input(self.parsed.graph.inputs.len());
            let value = self.define(name, place, ValueData { ty, name: tensor_name, def })?;
            self.parsed.graph.inputs.push(value);
            if !self.cursor.at(")") {
                self.cursor.expect(",")?;
            }
        }
        Ok(())
    }

    /// `%y = const …` or `%y = operator …`.
    fn definition(&mut self) -> Result<(), Diagnostic> {
        let place = self.cursor.place();
        let name = self.cursor.value()?;
        self.cursor.expect("=")?;
        let op_place = self.cursor.place();
        match self.cursor.ident("an operator or `const`")? {
            "const" => self.constant(name, place),
            op => self.op(name, place, op, op_place),
        }
    }

    fn constant(&mut self, name: &'a str, place: Place) -> Result<(), Diagnostic> {
        let data_place = self.cursor.place();
        if self.cursor.eat_word("elided") {
            let elided = Diagnostic::new("the constant was printed elided").at(data_place);
            return Err(elided.help("print the graph whole to read it back"));
        }
        let literal = match self.cursor.peek() {
            Tok::Hex(_) => Literal::Bytes(self.cursor.hex()?),
            _ => Literal::Elements(self.cursor.list("[", "]", |c| attr(c, MAX_DEPTH))?),
        };
        self.cursor.expect(":")?;
        let ty = tensor_type(&mut self.cursor)?;
        let data = literal.bytes(ty.elem).map_err(|e| e.at(data_place))?;
        if data.len() != ty.bytes() {
            let (found, wanted) = (data.len(), ty.bytes());
            let shape = format!("{}{:?}", ty.elem, ty.shape);
            return Err(Diagnostic::new(format!(
                "the constant has {found} bytes, its type {shape} has {wanted}"
            ))
            .at(data_place));
        }
        let tensor_name = self.tensor_name()?;
        self.define(name, place, ValueData { ty, name: tensor_name, def: Def::Const(data.into()) })?;
        Ok(())
    }

    fn op(&mut self, name: &'a str, place: Place, op: &str, op_place: Place) -> Result<(), Diagnostic> {
        let Some(op_name) = Op::NAMES.iter().find(|known| **known == op) else {
            let names = Op::NAMES.join("`, `");
            let unknown = Diagnostic::new(format!("`{op}` is no operator")).at(op_place);
            return Err(unknown.help(format!("operators are `{names}`")));
        };
        let inputs = self.operands()?;
        let items = if self.cursor.at("{") { self.cursor.list("{", "}", attr_item)? } else { Vec::new() };
        let reader = AttrReader::new(op_name, op_place, items);
        let op = Op::from_attrs(op_name, reader).expect("the name was found among all")?;
        self.cursor.expect(":")?;
        let ty = tensor_type(&mut self.cursor)?;
        let tensor_name = self.tensor_name()?;
        let id = OpId::new(self.parsed.graph.ops.len());
        let source = if self.cursor.eat_word("source") { self.cursor.int()? } else { id.0 };
        let output = self.define(name, place, ValueData { ty, name: tensor_name, def: Def::Op(id) })?;
        self.parsed.graph.ops.push(Some(OpData { op, inputs, output, source }));
        Ok(())
    }

    fn operands(&mut self) -> Result<Vec<Value>, Diagnostic> {
        let mut values = vec![self.operand()?];
        while self.cursor.eat(",") {
            values.push(self.operand()?);
        }
        Ok(values)
    }

    fn operand(&mut self) -> Result<Value, Diagnostic> {
        let place = self.cursor.place();
        let name = self.cursor.value()?;
        let undefined = || Diagnostic::new(format!("`%{name}` is not defined before it is read")).at(place);
        self.names.get(name).copied().ok_or_else(undefined)
    }

    fn tensor_name(&mut self) -> Result<String, Diagnostic> {
        if self.cursor.eat_word("name") { self.cursor.string() } else { Ok(String::new()) }
    }

    fn define(&mut self, name: &'a str, place: Place, data: ValueData) -> Result<Value, Diagnostic> {
        let value = Value::new(self.parsed.graph.values.len());
        if self.names.insert(name, value).is_some() {
            return Err(Diagnostic::new(format!("`%{name}` is defined twice")).at(place));
        }
        self.parsed.graph.values.push(data);
        self.parsed.values.push(place);
        Ok(value)
    }
}

/// `i8[1, 2] scale 0.5 zero -1`, `i8[2, 1] scale [0.5, 0.25] axis 0` or `i32[2]`.
pub fn tensor_type(cursor: &mut Cursor<'_>) -> Result<TensorType, Diagnostic> {
    let place = cursor.place();
    let name = cursor.ident("a type such as `i8[1, 4]`")?;
    let elem = Ty::parse(name).ok_or_else(|| Diagnostic::new(format!("`{name}` is no type")).at(place))?;
    let shape = cursor.list("[", "]", |c| c.int())?;
    let ty = TensorType { elem, shape, quant: quant(cursor)? };
    expect_size(&ty).map_err(|e| Diagnostic::new(e.0).at(place))?;
    Ok(ty)
}

fn quant(cursor: &mut Cursor<'_>) -> Result<Quant, Diagnostic> {
    if !cursor.eat_word("scale") {
        return Ok(Quant::None);
    }
    if cursor.at("[") {
        let scales = cursor.list("[", "]", |c| c.f32())?;
        cursor.expect_word("axis")?;
        return Ok(Quant::PerChannel { axis: cursor.int()?, scales });
    }
    let scale = cursor.f32()?;
    let zero = if cursor.eat_word("zero") { cursor.int()? } else { 0 };
    Ok(Quant::PerTensor { scale, zero })
}

/// `name = value`.
fn attr_item(cursor: &mut Cursor<'_>) -> Result<(String, Place, Attr), Diagnostic> {
    let place = cursor.place();
    let name = cursor.ident("an attribute")?;
    cursor.expect("=")?;
    Ok((name.into(), place, attr(cursor, MAX_DEPTH)?))
}

fn attr(cursor: &mut Cursor<'_>, depth: usize) -> Result<Attr, Diagnostic> {
    if cursor.at("[") {
        let Some(inner) = depth.checked_sub(1) else {
            return Err(Diagnostic::new(format!("lists end {MAX_DEPTH} brackets deep")).at(cursor.place()));
        };
        return cursor.list("[", "]", |c| attr(c, inner)).map(Attr::List);
    }
    for (word, value) in [("true", true), ("false", false)] {
        if cursor.eat_word(word) {
            return Ok(Attr::Bool(value));
        }
    }
    let number = if cursor.at("-") { cursor.peek_at(1) } else { cursor.peek() };
    match number {
        Tok::Int(_) => cursor.int().map(Attr::Int),
        Tok::Float(_) | Tok::Ident("inf" | "nan") => cursor.f32().map(Attr::Float),
        _ => Err(cursor.wanted("a number, `true`, `false` or a list")),
    }
}

/// A constant before its type is known.
enum Literal {
    Bytes(Vec<u8>),
    Elements(Vec<Attr>),
}

impl Literal {
    /// The little-endian bytes of the elements.
    fn bytes(self, elem: Ty) -> Result<Vec<u8>, Diagnostic> {
        let elements = match self {
            Literal::Bytes(bytes) => return Ok(bytes),
            Literal::Elements(elements) => elements,
        };
        let mut bytes = Vec::with_capacity(elements.len() * elem.bytes());
        for element in elements {
            match (&element, elem.range()) {
                (Attr::Int(n), Some((min, max))) if (min..=max).contains(n) => {
                    bytes.extend_from_slice(&n.to_le_bytes()[..elem.bytes()]);
                }
                (Attr::Int(n), None) if elem == Ty::F32 => bytes.extend((*n as f32).to_le_bytes()),
                (Attr::Float(x), None) if elem == Ty::F32 => bytes.extend(x.to_le_bytes()),
                _ => return Err(Diagnostic::new(format!("{element} is no {elem}"))),
            }
        }
        Ok(bytes)
    }
}
