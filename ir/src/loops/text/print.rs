//! Prints nests and programs, and tells on which line each statement stands.

use std::fmt::Write;

use super::super::walk::{self, StmtNo};
use super::super::{
    Access, Atom, Buffer, BufferId, Expr, Index, Init, Local, LocalId, Loop, Nest, Prim, Program, Reduce,
    Role, Stmt, StorageMap, VarId,
};
use super::names::Names;
use super::program;
use crate::ty::Ty;

/// How much is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Everything; parses back.
    Exact,
    /// Large constants shortened to their first bytes, size and CRC-32: for reading beside an object file.
    Reading,
}

/// The text of a nest, with lines.
#[derive(Clone, Debug)]
pub struct Printed {
    /// The text; ends with a line break.
    pub text: String,
    /// The line of each statement, from 1, by [`StmtNo`].
    pub lines: Vec<u32>,
}

impl Printed {
    /// The line of a statement.
    pub fn line(&self, stmt: StmtNo) -> Option<u32> {
        self.lines.get(stmt.0 as usize).copied()
    }
}

/// Longest line that holds a block and its only statement.
const WIDTH: usize = 110;

/// Most elements of a constant that are printed as integers.
const SHORT: usize = 16;

/// Most bytes of a constant that [`Style::Reading`] prints in full.
const READABLE: usize = 64;

/// Prints one nest.
pub fn print_nest(nest: &Nest, style: Style) -> Printed {
    let names = Names::of(nest);
    let lines = vec![0; walk::count(&nest.body) as usize];
    let mut printer = Printer { nest, names, style, out: String::new(), line: 1, lines, indent: 0 };
    printer.nest();
    Printed { text: printer.out, lines: printer.lines }
}

/// Prints a program and its nests; beside it, for each layer, the line of each statement in that text, by [`StmtNo`].
pub fn print_with_lines(program: &Program, style: Style) -> (String, Vec<Vec<u32>>) {
    let mut text = program::print(program);
    let mut layers = Vec::new();
    for layer in &program.layers {
        text.push('\n');
        let before = text.matches('\n').count() as u32;
        let printed = print_nest(&layer.nest, style);
        layers.push(printed.lines.iter().map(|line| before + line).collect());
        text.push_str(&printed.text);
    }
    (text, layers)
}

/// ` map (…) align 4 slack 16`, as far as it differs from a row-major buffer.
pub(super) fn map_text(elem: Ty, shape: &[u32], map: &StorageMap) -> String {
    let mut out = String::new();
    if map.dims != StorageMap::row_major(elem, shape).dims {
        let dim = |(index, extent): &(Index, u32)| {
            format!("{}: {extent}", index_text(index, &|var| format!("d{}", var.0)))
        };
        let _ = write!(out, " map ({})", map.dims.iter().map(dim).collect::<Vec<_>>().join(", "));
    }
    if map.align as usize != elem.bytes() {
        let _ = write!(out, " align {}", map.align);
    }
    if map.slack != 0 {
        let _ = write!(out, " slack {}", map.slack);
    }
    out
}

/// The extents with commas between them.
pub(super) fn extents<T: ToString>(shape: &[T]) -> String {
    shape.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

struct Printer<'n> {
    nest: &'n Nest,
    names: Names,
    style: Style,
    out: String,
    /// The line that is being written, from 1.
    line: u32,
    lines: Vec<u32>,
    indent: usize,
}

impl Printer<'_> {
    fn nest(&mut self) {
        let nest = self.nest;
        let param = |id: BufferId| self.declaration(id.idx());
        let params = nest.params().map(param).collect::<Vec<_>>().join(", ");
        self.put(&format!("loops @{}({params}) {{", nest.name));
        self.indent += 1;
        let mut no = StmtNo(walk::count(&nest.body));
        for (idx, buffer) in nest.buffers.iter().enumerate() {
            let declaration = self.declaration(idx);
            match &buffer.role {
                Role::Param => {}
                Role::Scratch => self.start(&format!("scratch {declaration}")),
                Role::Const(Init::Data(data)) => {
                    let data = self.data(buffer, data);
                    self.start(&format!("const {declaration} = {data}"));
                }
                Role::Const(Init::Nest(block)) => {
                    self.start(&format!("const {declaration} = "));
                    no = self.block(block, no);
                }
            }
        }
        self.statements(&nest.body, StmtNo(0));
        self.indent -= 1;
        self.start("}");
        self.break_line();
    }

    fn declaration(&self, idx: usize) -> String {
        let buffer = &self.nest.buffers[idx];
        let map = map_text(buffer.elem, &buffer.shape, &buffer.map);
        let values = buffer.values.map_or(String::new(), |[low, high]| format!(" within [{low}, {high}]"));
        format!("{}: {}[{}]{map}{values}", self.names.buffers[idx], buffer.elem, extents(&buffer.shape))
    }

    fn data(&self, buffer: &Buffer, data: &[u8]) -> String {
        let elements = data.chunks_exact(buffer.elem.bytes());
        let whole = data.len() == buffer.map.len() * buffer.elem.bytes();
        if elements.len() <= SHORT && whole && buffer.elem.range().is_some() {
            let ints = elements.map(|bytes| int_from(buffer.elem, bytes)).collect::<Vec<_>>();
            return format!("[{}]", extents(&ints));
        }
        if self.style == Style::Reading && data.len() > READABLE {
            let size = data.len();
            return format!("hex\"{}…\" // {size} bytes, crc32 {:08x}", hex(&data[..8]), crc32(data));
        }
        format!("hex\"{}\"", hex(data))
    }

    /// Writes each statement on a line of its own; gives the number behind the last.
    fn statements(&mut self, block: &[Stmt], first: StmtNo) -> StmtNo {
        let mut no = first;
        for stmt in block {
            self.break_line();
            self.pad();
            no = self.stmt(stmt, no);
        }
        no
    }

    /// Writes a block behind what stands on the line already.
    fn block(&mut self, block: &[Stmt], first: StmtNo) -> StmtNo {
        let column = self.out.len() - self.out.rfind('\n').map_or(0, |at| at + 1);
        match block {
            [] => {
                self.put("{}");
                return first;
            }
            [Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..)] => {
                let text = self.simple(&block[0]);
                if column + text.len() + 4 <= WIDTH {
                    self.put("{ ");
                    let next = self.stmt(&block[0], first);
                    self.put(" }");
                    return next;
                }
            }
            _ => {}
        }
        self.put("{");
        self.indent += 1;
        let next = self.statements(block, first);
        self.indent -= 1;
        self.start("}");
        next
    }

    fn stmt(&mut self, stmt: &Stmt, no: StmtNo) -> StmtNo {
        if self.lines.len() <= no.0 as usize {
            self.lines.resize(no.0 as usize + 1, 0);
        }
        self.lines[no.0 as usize] = self.line;
        let inner = no.after(1);
        match stmt {
            Stmt::For(head, body) => {
                self.put(&format!("for {} ", self.loop_text(head)));
                self.block(body, inner)
            }
            Stmt::Reduce(reduce) => self.reduce(reduce, inner),
            Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => {
                let text = self.simple(stmt);
                self.put(&text);
                inner
            }
        }
    }

    fn reduce(&mut self, reduce: &Reduce, first: StmtNo) -> StmtNo {
        let carried = |local: &LocalId| {
            let Local { ty, shape, parked, .. } = &self.nest.locals[local.idx()];
            let shape = if shape.is_empty() { String::new() } else { format!("[{}]", extents(shape)) };
            format!("{}: {ty}{shape}{}", self.names.locals[local.idx()], parked_text(*parked))
        };
        let carried = reduce.carried.iter().map(carried).collect::<Vec<_>>().join(", ");
        let loops = reduce.loops.iter().map(|head| self.loop_text(head)).collect::<Vec<_>>().join(", ");
        let over = if loops.is_empty() { String::new() } else { format!("over {loops} ") };
        self.put(&format!("reduce {carried} {over}{{"));
        self.indent += 1;
        let mut no = first;
        for (word, block) in [("init", &reduce.init), ("update", &reduce.update), ("finish", &reduce.finish)]
        {
            self.start(word);
            self.put(" ");
            no = self.block(block, no);
        }
        self.indent -= 1;
        self.start("}");
        no
    }

    fn loop_text(&self, head: &Loop) -> String {
        let unroll = if head.unroll { " unroll" } else { "" };
        format!("{} in 0..{}{unroll}", self.names.vars[head.var.idx()], head.extent)
    }

    /// A statement without a block.
    fn simple(&self, stmt: &Stmt) -> String {
        match stmt {
            Stmt::Let(local, value) => {
                let Local { ty, parked, .. } = &self.nest.locals[local.idx()];
                let name = &self.names.locals[local.idx()];
                format!("{name}: {ty}{} = {}", parked_text(*parked), self.value(value))
            }
            Stmt::Set(local, at, value) => format!("{} = {}", self.local(*local, at), self.value(value)),
            Stmt::Store(access, value) => format!("{} = {}", self.access(access), self.value(value)),
            Stmt::For(..) | Stmt::Reduce(_) => unreachable!("the caller asks for statements without a block"),
        }
    }

    /// An expression behind `=`.
    fn value(&self, expr: &Expr) -> String {
        match expr {
            Expr::Op { prim, args, imm } => {
                let args = args.iter().map(|arg| self.operand(arg)).collect::<Vec<_>>().join(", ");
                format!("{} {args}{}", prim.row().name, attributes(*prim, imm))
            }
            Expr::Lookup(table, at) => {
                format!("lookup {}, {}", self.names.buffers[table.idx()], self.operand(at))
            }
            other => self.operand(other),
        }
    }

    /// An expression inside another.
    fn operand(&self, expr: &Expr) -> String {
        match expr {
            Expr::Int(value, Ty::I32) => value.to_string(),
            Expr::Int(value, ty) => format!("{value}: {ty}"),
            Expr::Index(index) => format!("index({})", self.index(index)),
            Expr::Local(local, at) => self.local(*local, at),
            Expr::Load(access) => self.access(access),
            Expr::Lookup(table, at) => {
                format!("lookup({}, {})", self.names.buffers[table.idx()], self.operand(at))
            }
            Expr::Op { prim, args, imm } => {
                let args = args.iter().map(|arg| self.operand(arg)).collect::<Vec<_>>().join(", ");
                format!("{}({args}{})", prim.row().name, attributes(*prim, imm))
            }
        }
    }

    fn local(&self, local: LocalId, at: &[Index]) -> String {
        let name = &self.names.locals[local.idx()];
        if at.is_empty() { name.clone() } else { format!("{name}{}", self.indices(at)) }
    }

    fn access(&self, access: &Access) -> String {
        let buffer = access.buffer.idx();
        let mut out = format!("{}{}", self.names.buffers[buffer], self.indices(&access.index));
        if access.ty != self.nest.buffers[buffer].elem {
            let _ = write!(out, " as {}", access.ty);
        }
        if let Some(border) = access.border {
            let _ = write!(out, " else {border}");
        }
        out
    }

    fn indices(&self, at: &[Index]) -> String {
        format!("[{}]", at.iter().map(|index| self.index(index)).collect::<Vec<_>>().join(", "))
    }

    fn index(&self, index: &Index) -> String {
        index_text(&self.names.ordered(index), &|var| self.names.ordered_var(var).to_string())
    }

    /// Writes `text` at the beginning of a new line.
    fn start(&mut self, text: &str) {
        self.break_line();
        self.pad();
        self.put(text);
    }

    fn pad(&mut self) {
        self.out.extend(std::iter::repeat_n("  ", self.indent));
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn break_line(&mut self) {
        self.out.push('\n');
        self.line += 1;
    }
}

/// ` {zero = 0, min = -128}`, or nothing for an operation without attributes.
fn attributes(prim: Prim, imm: &[i32]) -> String {
    let pairs = prim.row().attributes.iter().zip(imm).map(|((name, _), value)| format!("{name} = {value}"));
    let pairs = pairs.collect::<Vec<_>>().join(", ");
    if pairs.is_empty() { pairs } else { format!(" {{{pairs}}}") }
}

/// An index, with its variables named by `name`.
fn index_text(index: &Index, name: &dyn Fn(VarId) -> String) -> String {
    let mut out = String::new();
    for (coefficient, atom) in &index.terms {
        sign(&mut out, *coefficient < 0);
        let text = atom_text(atom, name);
        match (coefficient.unsigned_abs(), atom) {
            (1, _) => out.push_str(&text),
            (n, Atom::Var(_)) => _ = write!(out, "{n}*{text}"),
            (n, _) => _ = write!(out, "{n}*({text})"),
        }
    }
    if index.constant != 0 || out.is_empty() {
        sign(&mut out, index.constant < 0);
        let _ = write!(out, "{}", index.constant.unsigned_abs());
    }
    out
}

fn atom_text(atom: &Atom, name: &dyn Fn(VarId) -> String) -> String {
    let (inner, word, n) = match atom {
        Atom::Var(var) => return name(*var),
        Atom::Div(inner, n) => (inner, "div", n),
        Atom::Mod(inner, n) => (inner, "mod", n),
    };
    let text = index_text(inner, name);
    let bare = matches!(inner.terms[..], [(1.., Atom::Var(_))]) && inner.constant == 0;
    if bare { format!("{text} {word} {n}") } else { format!("({text}) {word} {n}") }
}

fn sign(out: &mut String, negative: bool) {
    out.push_str(match (out.is_empty(), negative) {
        (true, false) => "",
        (true, true) => "-",
        (false, false) => " + ",
        (false, true) => " - ",
    });
}

/// The integer that little-endian bytes stand for.
pub(in crate::loops) fn int_from(ty: Ty, bytes: &[u8]) -> i64 {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    let value = i64::from_le_bytes(wide);
    match ty {
        Ty::I8 => i64::from(value as i8),
        Ty::I16 => i64::from(value as i16),
        Ty::I32 => i64::from(value as i32),
        _ => value,
    }
}

fn parked_text(parked: bool) -> &'static str {
    if parked { " parked" } else { "" }
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// The checksum of zip and PNG files: polynomial 0xedb88320, reflected.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loops::text::{parse_nest, parse_program};

    const NEST: &str = "loops @f(y: i8[2, 70]) {
  const t: i32[2] = [1, 2]
  const c: i8[70] = {
    for i in 0..70 { c[i] = 1 }
  }
  for i in 0..70 {
    reduce a: i32 over k in 0..2 {
      init { a = t[0] }
      update {
        b: i32 = add a, t[k]
        a = b
      }
      finish { y[0, i] = a }
    }
  }
  for i in 0..70 { y[1, i] = c[i] }
}
";

    #[test]
    fn each_statement_has_the_line_that_it_begins_on() {
        let nest = parse_nest(NEST).unwrap();
        let printed = print_nest(&nest, Style::Exact);
        assert_eq!(printed.text, NEST);
        // The body comes first, then the statements of the constant.
        assert_eq!(printed.lines, [6, 7, 8, 10, 11, 13, 16, 16, 4, 4]);
        assert_eq!(printed.line(StmtNo(3)), Some(10));
    }

    #[test]
    fn lines_of_a_program_count_from_its_beginning() {
        let head =
            "program @p {\n  tensor y: i8[2, 70] output 0\n  layer @f(y) op \"x\" macs 0 sources []\n}\n";
        let program = parse_program(&format!("{head}{NEST}")).unwrap();
        let (text, lines) = print_with_lines(&program, Style::Exact);
        assert_eq!(text, format!("{head}\n{NEST}"));
        assert_eq!(lines, [[11, 12, 13, 15, 16, 18, 21, 21, 9, 9]]);
    }

    #[test]
    fn reading_shortens_large_constants_only() {
        let bytes: String = (0..72).map(|n| format!("{n:02x}")).collect();
        let text =
            format!("loops @f() {{\n  const c: i8[72] = hex\"{bytes}\"\n  const d: i8[2] = [1, 2]\n}}\n");
        let nest = parse_nest(&text).unwrap();
        assert_eq!(print_nest(&nest, Style::Exact).text, text);
        let short = "loops @f() {
  const c: i8[72] = hex\"0001020304050607…\" // 72 bytes, crc32 1de0d4f7
  const d: i8[2] = [1, 2]
}
";
        assert_eq!(print_nest(&nest, Style::Reading).text, short);
    }
}
