//! Random nests as run files: well typed, every index inside, every operation of the table.

use std::fmt::Write;

use ir::loops::Prim;
use ir::loops::prim::{Operand, Output};
use ir::ty::Ty;

use crate::choices::Choices;

/// Types of elements in memory.
const ELEMENTS: [Ty; 9] = [Ty::I32, Ty::I8, Ty::U8, Ty::I16, Ty::U16, Ty::I16x2, Ty::I8x4, Ty::U8x4, Ty::I64];
/// Types of values with names.
const VALUES: [Ty; 6] = [Ty::I32, Ty::I16x2, Ty::I64, Ty::I8x4, Ty::U8x4, Ty::I1];
/// Types of what reductions carry.
const CARRIED: [Ty; 3] = [Ty::I32, Ty::I64, Ty::I16x2];
/// Numbers at which something may overflow, or an immediate may end.
const EDGES: [i64; 22] = [
    0,
    1,
    -1,
    2,
    7,
    -128,
    127,
    255,
    256,
    4095,
    4096,
    -4095,
    32767,
    -32768,
    65535,
    65536,
    16711935,
    305419896,
    -559038737,
    2147483647,
    -2147483648,
    -65537,
];
/// Iterations of all loops around a statement, at most.
const MOST_ITERATIONS: u32 = 300;
/// Iterations that are repeated as code, at most.
const MOST_REPEATS: u32 = 24;

/// The text of a run file with one nest and one call to it, as the numbers decide.
pub fn run_file(numbers: &[u32]) -> String {
    let mut generator = Generator {
        choices: Choices::new(numbers),
        params: Vec::new(),
        others: Vec::new(),
        buffers: Vec::new(),
        unfinished: Vec::new(),
        vars: Vec::new(),
        locals: Vec::new(),
        names: 0,
        statements: 40,
    };
    let mut body = String::new();
    for _ in 0..generator.choices.below(3) + 1 {
        generator.item(1, &mut body);
        let finished = std::mem::take(&mut generator.unfinished);
        generator.buffers.extend(finished);
    }
    let given: Vec<String> = generator
        .params
        .iter()
        .enumerate()
        .map(|(seed, (name, _))| format!("{name} = random {seed}"))
        .collect();
    let params: Vec<&str> = generator.params.iter().map(|(_, text)| text.as_str()).collect();
    let others: String = generator.others.iter().map(|text| format!("  {text}\n")).collect();
    format!(
        "//! test run\n//! call random({})\nloops @random({}) {{\n{others}{body}}}\n",
        given.join(", "),
        params.join(", ")
    )
}

/// A buffer that may be read.
#[derive(Clone)]
struct Buffer {
    name: String,
    elem: Ty,
    shape: Vec<u32>,
    row_major: bool,
    slack: bool,
}

/// A loop around.
#[derive(Clone)]
struct Var {
    name: String,
    extent: u32,
    unroll: bool,
}

/// A value that may be read.
#[derive(Clone)]
struct Local {
    name: String,
    ty: Ty,
    /// For a block of registers.
    len: Option<u32>,
}

struct Generator {
    choices: Choices,
    /// Names and declarations of the parameters.
    params: Vec<(String, String)>,
    /// Declarations of scratch and constants.
    others: Vec<String>,
    buffers: Vec<Buffer>,
    /// Scratch that the item in work writes.
    unfinished: Vec<Buffer>,
    vars: Vec<Var>,
    locals: Vec<Local>,
    names: u32,
    /// How many may still come.
    statements: u32,
}

impl Generator {
    /// Loops, a reduction, or a row of values that live together; ends in a store.
    fn item(&mut self, depth: usize, out: &mut String) {
        match self.choices.below(8) {
            0 => self.store(depth, out),
            1..4 => self.looped(depth, out),
            4..7 => self.reduce(depth, out),
            _ => self.burst(depth, out),
        }
    }

    fn block(&mut self, depth: usize, out: &mut String) {
        let n_locals = self.locals.len();
        for _ in 0..self.choices.below(3) {
            self.named(depth, out);
        }
        if self.choices.once_in(6) {
            self.row(depth, out);
        }
        for _ in 0..self.choices.below(2) + 1 {
            if depth > 5 || self.statements == 0 {
                self.store(depth, out);
            } else {
                self.statements -= 1;
                self.item(depth, out);
            }
        }
        self.locals.truncate(n_locals);
    }

    fn looped(&mut self, depth: usize, out: &mut String) {
        let head = self.enter();
        line(out, depth, &format!("for {head} {{"));
        self.block(depth + 1, out);
        line(out, depth, "}");
        self.vars.pop();
    }

    fn named(&mut self, depth: usize, out: &mut String) {
        let ty = *self.choices.pick(&VALUES);
        let value = self.value(ty, 3);
        let name = self.name("l");
        line(out, depth, &format!("{name}: {ty} = {value}"));
        self.locals.push(Local { name, ty, len: None });
    }

    /// Words side by side, loaded and stored.
    fn row(&mut self, depth: usize, out: &mut String) {
        let n = self.choices.below(4) + 2;
        let (at, extent) = match self.vars.last() {
            Some(var) => (format!("{n}*{}", var.name), n * var.extent),
            None => ("0".into(), n),
        };
        let from = self.name("x");
        self.params.push((from.clone(), format!("{from}: i32[{extent}]")));
        let names: Vec<String> = (0..n).map(|_| self.name("l")).collect();
        for (idx, name) in names.iter().enumerate() {
            line(out, depth, &format!("{name}: i32 = {from}[{at} + {idx}]"));
            self.locals.push(Local { name: name.clone(), ty: Ty::I32, len: None });
        }
        let to = self.name("y");
        self.params.push((to.clone(), format!("{to}: i32[{extent}]")));
        for idx in 0..n {
            let value = self.choices.pick(&names).clone();
            line(out, depth, &format!("{to}[{at} + {idx}] = {value}"));
        }
    }

    /// Many values that are needed at the same time.
    fn burst(&mut self, depth: usize, out: &mut String) {
        let n_locals = self.locals.len();
        let n = self.choices.below(40) + 3;
        for _ in 0..n {
            let value = format!("add {}, {}", self.load(Ty::I32), self.leaf(Ty::I32));
            let name = self.name("l");
            line(out, depth, &format!("{name}: i32 = {value}"));
            self.locals.push(Local { name, ty: Ty::I32, len: None });
        }
        let words: Vec<String> = self.locals[n_locals..].iter().map(|local| local.name.clone()).collect();
        for pair in words.chunks(2) {
            let target = self.target(Ty::I32);
            line(out, depth, &format!("{target} = sub {}, {}", pair[0], words[words.len() - 1]));
        }
        self.locals.truncate(n_locals);
    }

    fn reduce(&mut self, depth: usize, out: &mut String) {
        let n_locals = self.locals.len();
        let mut carried = Vec::new();
        for _ in 0..self.choices.below(3) + 1 {
            let ty = *self.choices.pick(&CARRIED);
            let len = if self.choices.once_in(3) { Some(self.choices.below(8) + 1) } else { None };
            carried.push(Local { name: self.name("a"), ty, len });
        }
        let mut init = String::new();
        for local in &carried {
            self.set(local, depth + 2, &mut init);
        }
        let n_vars = self.vars.len();
        let heads: Vec<String> = (0..self.choices.below(3)).map(|_| self.enter()).collect();
        self.locals.extend(carried.iter().cloned());
        let mut update = String::new();
        let inner_locals = self.locals.len();
        for _ in 0..self.choices.below(3) {
            self.named(depth + 2, &mut update);
        }
        if self.choices.once_in(6) && depth < 4 && self.statements > 0 {
            self.statements -= 1;
            self.item(depth + 2, &mut update);
        }
        for local in &carried {
            self.set(local, depth + 2, &mut update);
        }
        self.locals.truncate(inner_locals);
        self.vars.truncate(n_vars);
        let mut finish = String::new();
        for local in &carried {
            self.finish(local, depth + 2, &mut finish);
        }
        let declared: Vec<String> = carried.iter().map(declaration).collect();
        let over = if heads.is_empty() { String::new() } else { format!(" over {}", heads.join(", ")) };
        line(out, depth, &format!("reduce {}{over} {{", declared.join(", ")));
        for (name, text) in [("init", init), ("update", update), ("finish", finish)] {
            line(out, depth + 1, &format!("{name} {{"));
            out.push_str(&text);
            line(out, depth + 1, "}");
        }
        line(out, depth, "}");
        self.locals.truncate(n_locals);
    }

    /// Gives a carried value its next value.
    fn set(&mut self, local: &Local, depth: usize, out: &mut String) {
        let Some(len) = local.len else {
            let value = self.value(local.ty, 3);
            return line(out, depth, &format!("{} = {value}", local.name));
        };
        let name = self.name("j");
        self.vars.push(Var { name: name.clone(), extent: len, unroll: true });
        let value = self.value(local.ty, 2);
        self.vars.pop();
        line(out, depth, &format!("for {name} in 0..{len} unroll {{ {}[{name}] = {value} }}", local.name));
    }

    /// Stores a carried value.
    fn finish(&mut self, local: &Local, depth: usize, out: &mut String) {
        let Some(len) = local.len else {
            let target = self.target(local.ty);
            return line(out, depth, &format!("{target} = {}", local.name));
        };
        let name = self.name("j");
        self.vars.push(Var { name: name.clone(), extent: len, unroll: true });
        let target = self.target(local.ty);
        self.vars.pop();
        line(out, depth, &format!("for {name} in 0..{len} unroll {{ {target} = {}[{name}] }}", local.name));
    }

    fn store(&mut self, depth: usize, out: &mut String) {
        let elem = *self.choices.pick(&ELEMENTS);
        let wide = [(Ty::I8, Ty::I8x4), (Ty::U8, Ty::U8x4), (Ty::I16, Ty::I16x2)];
        if let Some((_, word)) = wide.iter().find(|(narrow, _)| *narrow == elem)
            && self.choices.once_in(4)
        {
            let target = self.wide_target(elem, *word);
            let value = self.value(*word, 3);
            return line(out, depth, &format!("{target} = {value}"));
        }
        let target = self.target(elem);
        let value = match elem {
            Ty::I8 | Ty::U8 | Ty::I16 | Ty::U16 => self.value(Ty::I32, 4),
            _ => self.value(elem, 4),
        };
        line(out, depth, &format!("{target} = {value}"));
    }

    /// An element of a new buffer with a dimension for each loop around, in some order.
    fn target(&mut self, elem: Ty) -> String {
        let mut vars = self.vars.clone();
        let mut shape = Vec::new();
        let mut index = Vec::new();
        while !vars.is_empty() {
            let at = self.choices.below(vars.len() as u32) as usize;
            let Var { name, extent, .. } = vars.remove(at);
            let backwards = self.choices.once_in(4);
            index.push(if backwards { format!("{} - {name}", extent - 1) } else { name });
            shape.push(extent);
        }
        if shape.is_empty() {
            shape.push(1);
            index.push("0".into());
        }
        let name = self.written(elem, shape);
        format!("{name}[{}]", index.join(", "))
    }

    /// Several elements of a new buffer.
    fn wide_target(&mut self, elem: Ty, word: Ty) -> String {
        let lanes = word.lanes();
        let mut shape: Vec<u32> = self.vars.iter().map(|var| var.extent).collect();
        let mut index: Vec<String> = self.vars.iter().map(|var| var.name.clone()).collect();
        match (shape.last_mut(), index.last_mut()) {
            (Some(extent), Some(last)) => {
                *extent *= lanes;
                *last = format!("{lanes}*{last}");
            }
            _ => {
                shape.push(lanes);
                index.push("0".into());
            }
        }
        let name = self.written(elem, shape);
        format!("{name}[{}] as {word}", index.join(", "))
    }

    /// A new buffer that is written: a parameter, or scratch that later items read.
    fn written(&mut self, elem: Ty, shape: Vec<u32>) -> String {
        let name = self.name("y");
        let text = format!("{name}: {elem}[{}]", list(&shape));
        let buffer = Buffer { name: name.clone(), elem, shape, row_major: true, slack: false };
        if self.choices.once_in(4) {
            self.others.push(format!("scratch {text}"));
            self.unfinished.push(buffer);
        } else {
            self.params.push((name.clone(), text));
            self.buffers.push(buffer);
        }
        name
    }

    /// A buffer with such elements, perhaps a new one.
    fn readable(&mut self, elem: Ty) -> Buffer {
        let have: Vec<Buffer> = self.buffers.iter().filter(|have| have.elem == elem).cloned().collect();
        if !have.is_empty() && !self.choices.once_in(4) {
            return self.choices.pick(&have).clone();
        }
        let rank = self.choices.below(3) + 1;
        let extents = [4, 1, 2, 3, 5, 8, 7, 16, 300, 5000];
        let mut room = 6000;
        let mut shape = Vec::new();
        for _ in 0..rank {
            let extent = (*self.choices.pick(&extents)).min(room);
            room /= extent;
            shape.push(extent);
        }
        let len: u32 = shape.iter().product();
        let name = self.name("x");
        let mut buffer = Buffer { name: name.clone(), elem, shape, row_major: true, slack: false };
        if len <= 16 && elem.range().is_some() && elem != Ty::I64 && self.choices.once_in(3) {
            let data: Vec<String> = (0..len).map(|_| self.element(elem).to_string()).collect();
            let text = format!("const {name}: {elem}[{}] = [{}]", list(&buffer.shape), data.join(", "));
            self.others.push(text);
        } else {
            let map = self.map(&mut buffer);
            self.params.push((name.clone(), format!("{name}: {elem}[{}]{map}", list(&buffer.shape))));
        }
        self.buffers.push(buffer.clone());
        buffer
    }

    /// Where the elements of a buffer lie.
    fn map(&mut self, buffer: &mut Buffer) -> String {
        let extent = |dim: usize| buffer.shape[dim];
        let mut text = match (self.choices.below(6), buffer.shape.len()) {
            (4, 2) => format!(" map (d1: {}, d0: {})", extent(1), extent(0)),
            (4, 3) => format!(" map (d2: {}, d0: {}, d1: {})", extent(2), extent(0), extent(1)),
            (5, 1) => format!(" map (d0 + 1: {})", extent(0) + 3),
            (5, 2) => format!(" map (d0 + 2: {}, d1 + 1: {})", extent(0) + 2, extent(1) + 2),
            _ => String::new(),
        };
        buffer.row_major = text.is_empty();
        buffer.slack = buffer.row_major && self.choices.once_in(2);
        if buffer.elem.bytes() < 4 && self.choices.once_in(2) {
            text.push_str(" align 4");
        }
        if buffer.slack {
            text.push_str(" slack 4");
        }
        text
    }

    /// A loop to come: its head; its variable is in scope from now on.
    fn enter(&mut self) -> String {
        let around: u32 = self.vars.iter().map(|var| var.extent).product();
        let repeated: u32 = self.vars.iter().filter(|var| var.unroll).map(|var| var.extent).product();
        let mut extent = *self.choices.pick(&[3, 1, 2, 4, 5, 8, 16, 33]);
        if around * extent > MOST_ITERATIONS {
            extent = 1;
        }
        let unroll = repeated * extent <= MOST_REPEATS && self.choices.once_in(4);
        let name = self.name("i");
        self.vars.push(Var { name: name.clone(), extent, unroll });
        format!("{name} in 0..{extent}{}", if unroll { " unroll" } else { "" })
    }

    /// An index from 0 up to `extent`, over the variables that `keep` accepts.
    fn index(&mut self, extent: u32, keep: fn(&Var) -> bool) -> String {
        let vars: Vec<Var> = self.vars.iter().filter(|var| keep(var)).cloned().collect();
        let constant = i64::from(self.choices.below(extent));
        if vars.is_empty() || self.choices.once_in(5) {
            return constant.to_string();
        }
        let (mut low, mut high) = (0, 0);
        let mut text = String::new();
        for _ in 0..self.choices.below(3) + 1 {
            let Var { name, extent: of, .. } = self.choices.pick(&vars).clone();
            let most = (i64::from(extent) / i64::from(of)).max(1);
            let coefficient = *self.choices.pick(&[1, -1, 2, 3, -4, most, -most, 7]);
            let reach = coefficient * (i64::from(of) - 1);
            (low, high) = (low + reach.min(0), high + reach.max(0));
            let _ = write!(text, " {} {}*{name}", if coefficient < 0 { '-' } else { '+' }, coefficient.abs());
        }
        let room = i64::from(extent) - 1 - (high - low);
        if room >= 0 {
            return format!("{}{text}", constant.min(room) - low);
        }
        let text = format!("{constant}{text}");
        match self.choices.below(3) {
            0 => format!("({text}) mod {extent}"),
            1 => format!("(({text}) mod {}) div 2", 2 * extent),
            _ => format!("(({text}) div 3) mod {extent}"),
        }
    }

    /// A value as it stands behind `=`.
    fn value(&mut self, ty: Ty, depth: u32) -> String {
        self.operand(ty, depth)
    }

    fn operand(&mut self, ty: Ty, depth: u32) -> String {
        if depth == 0 || self.choices.below(4) == 0 {
            return self.leaf(ty);
        }
        let gives = |prim: &&Prim| match prim.row().output {
            Output::Is(is) => is == ty,
            Output::As(at) => prim.row().operands[at].accepts(ty),
        };
        let prims: Vec<Prim> = Prim::ALL.iter().filter(gives).copied().collect();
        if prims.is_empty() {
            return self.leaf(ty);
        }
        let prim = *self.choices.pick(&prims);
        self.operation(prim, ty, depth)
    }

    fn operation(&mut self, prim: Prim, ty: Ty, depth: u32) -> String {
        let row = prim.row();
        let mut agreed = None;
        let mut args = Vec::new();
        for (at, operand) in row.operands.iter().enumerate() {
            let fixed = (row.output == Output::As(at)).then_some(ty);
            let shared = agreed.filter(|_| operand.must_agree());
            let ty = fixed.or(shared).unwrap_or_else(|| self.operand_type(*operand));
            if operand.must_agree() {
                agreed = Some(ty);
            }
            args.push(self.operand(ty, depth - 1));
        }
        let mut values: Vec<i32> = Vec::new();
        for (_, (from, to, step)) in row.attributes {
            let steps = (i64::from(*to) - i64::from(*from)) / i64::from(*step) + 1;
            values.push(
                (i64::from(*from) + i64::from(self.choices.below(steps.min(4096) as u32) as i32 * *step))
                    as i32,
            );
        }
        match prim {
            Prim::Ubfx | Prim::Sbfx | Prim::Bfi => values[1] = values[1].min(32 - values[0]),
            Prim::Requantize => {
                values =
                    vec![self.choices.below(256) as i32 - 128, -128, 127 - self.choices.below(200) as i32];
            }
            Prim::Unscaled => {
                // A multiple, and bounds that hold: what whoever writes it has proven.
                args[0] = format!("mul(ssat({} {{bits = 8, asr = 0}}), {})", args[0], values[0]);
                args[1] = i8::MIN.to_string();
                args[2] = i8::MAX.to_string();
            }
            _ => {}
        }
        let attributes: Vec<String> = row
            .attributes
            .iter()
            .zip(&values)
            .map(|((name, _), value)| format!("{name} = {value}"))
            .collect();
        let attributes =
            if attributes.is_empty() { String::new() } else { format!(" {{{}}}", attributes.join(", ")) };
        format!("{}({}{attributes})", row.name, args.join(", "))
    }

    fn operand_type(&mut self, operand: Operand) -> Ty {
        let accepted: Vec<Ty> = Ty::ALL.iter().map(|(ty, _)| *ty).filter(|ty| operand.accepts(*ty)).collect();
        *self.choices.pick(&accepted)
    }

    /// A literal, an index, a named value, or what memory holds.
    fn leaf(&mut self, ty: Ty) -> String {
        let locals: Vec<Local> = self.locals.iter().filter(|local| local.ty == ty).cloned().collect();
        if !locals.is_empty() && !self.choices.once_in(3) {
            let Local { name, len, .. } = self.choices.pick(&locals).clone();
            let Some(len) = len else { return name };
            return format!("{name}[{}]", self.index(len, |var| var.unroll));
        }
        match ty {
            Ty::I1 => format!("lt({}, {})", self.leaf(Ty::I32), self.leaf(Ty::I32)),
            Ty::I32 => match self.choices.below(6) {
                0 => self.choices.pick(&EDGES).to_string(),
                1 => format!("index({})", self.index(1 << 12, |_| true)),
                2 => {
                    let narrow = *self.choices.pick(&[Ty::I8, Ty::I16, Ty::U8, Ty::U16]);
                    let extend = if matches!(narrow, Ty::I8 | Ty::I16) { "sext" } else { "zext" };
                    format!("{extend}({})", self.leaf(narrow))
                }
                _ => self.load(ty),
            },
            Ty::I64 if self.choices.once_in(3) => {
                format!("{}: i64", *self.choices.pick(&EDGES) * *self.choices.pick(&EDGES))
            }
            Ty::I8x4 | Ty::U8x4 | Ty::I16x2 => match self.choices.below(3) {
                0 => format!("as_{ty}({})", self.leaf(Ty::I32)),
                1 => self.load(ty),
                _ => self.wide_load(ty),
            },
            _ => self.load(ty),
        }
    }

    /// A load from a new buffer of just the right size, by steps that are constant.
    fn stream(&mut self, elem: Ty) -> String {
        let mut shape = Vec::new();
        let mut index = Vec::new();
        for _ in 0..self.choices.below(2) + 1 {
            let vars = self.vars.clone();
            let Var { name, extent, .. } = self.choices.pick(&vars).clone();
            let mut step = *self.choices.pick(&[1, 1, 2, 3, 60]);
            if shape.iter().product::<u32>() > 80 {
                step = 1;
            }
            let (first, more) = (self.choices.below(3), self.choices.below(2));
            let reach = step * (extent - 1);
            let backwards = self.choices.once_in(3);
            index.push(match backwards {
                true => format!("{} - {step}*{name}", reach + first),
                false => format!("{step}*{name} + {first}"),
            });
            shape.push(reach + first + more + 1);
        }
        let name = self.name("x");
        let mut buffer = Buffer { name: name.clone(), elem, shape, row_major: true, slack: false };
        let map = self.map(&mut buffer);
        self.params.push((name.clone(), format!("{name}: {elem}[{}]{map}", list(&buffer.shape))));
        self.buffers.push(buffer);
        format!("{name}[{}]", index.join(", "))
    }

    fn load(&mut self, elem: Ty) -> String {
        if !self.vars.is_empty() && self.choices.once_in(3) {
            return self.stream(elem);
        }
        let Buffer { name, shape, row_major, slack, .. } = self.readable(elem);
        let entries = shape[0];
        let is_table = elem.lanes() == 1 && shape.len() == 1 && row_major && !slack;
        if is_table && entries.is_power_of_two() && self.choices.once_in(3) {
            let at = self.operand(Ty::I32, 1);
            return format!("lookup({name}, and({at}, {}))", entries - 1);
        }
        let index: Vec<String> = shape.iter().map(|extent| self.index(*extent, |_| true)).collect();
        format!("{name}[{}]", index.join(", "))
    }

    fn wide_load(&mut self, ty: Ty) -> String {
        let Buffer { name, shape, row_major, slack, .. } = self.readable(ty.lane());
        let last = shape.len() - 1;
        if !row_major || !slack && shape[last] < ty.lanes() {
            return self.load(ty);
        }
        let room = if slack { 0 } else { ty.lanes() - 1 };
        let reach = |dim: usize| if dim == last { shape[dim] - room } else { shape[dim] };
        let index: Vec<String> = (0..shape.len()).map(|dim| self.index(reach(dim), |_| true)).collect();
        format!("{name}[{}] as {ty}", index.join(", "))
    }

    /// An element for a constant.
    fn element(&mut self, elem: Ty) -> i64 {
        let (low, high) = elem.range().expect("constants hold integers");
        let value = *self.choices.pick(&EDGES) + i64::from(self.choices.below(200));
        value.clamp(low, high)
    }

    fn name(&mut self, kind: &str) -> String {
        self.names += 1;
        format!("{kind}{}", self.names)
    }
}

fn declaration(local: &Local) -> String {
    let Local { name, ty, len } = local;
    len.map_or(format!("{name}: {ty}"), |len| format!("{name}: {ty}[{len}]"))
}

fn list(extents: &[u32]) -> String {
    extents.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

fn line(out: &mut String, depth: usize, text: &str) {
    let _ = writeln!(out, "{}{text}", "  ".repeat(depth));
}
