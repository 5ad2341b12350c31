//! Random steps, made from the usage line that each step has: so a new step takes part by being in the table.

use ir::loops::{Buffer, Loop, Nest, Role, Stmt, VarId};
use ir::ty::Ty;
use passes::loops::STEPS;
use passes::loops::edit::loops;
use passes::loops::step::{Arg, Step};
use passes::loops::winograd::winograd;
use passes::network::ProgramStep;
use passes::network::epilogue::chain;
use test_support::operators::Rng;

/// Orders that `permute` and its like take.
const ORDERS: [&[u32]; 5] = [&[0, 2, 1, 3], &[0, 2, 4, 1, 3, 5], &[0, 3, 1, 4, 2, 5], &[1, 0], &[0, 0]];
/// Types that values may be given.
const TYPES: [&str; 4] = ["i8", "i16", "i32", "u8"];

/// A step of any kind; before one that is rarely legal by itself sometimes the steps that prepare it.
pub fn random_steps(nest: &Nest, rng: &mut Rng) -> Vec<Step> {
    if rng.pick(0, 5) == 0 && winograd(&mut nest.clone(), 2, 1, None).is_ok() {
        let tiles = rng.of(&["winograd 2", "winograd 4", "winograd 2 at 2", "winograd 4 by 2"]);
        let steps = match rng.pick(0, 1) {
            0 => vec![tiles],
            _ => vec!["pad k 4", tiles, "stage x i8", "lanes k_in"],
        };
        return steps.into_iter().map(parsed).collect();
    }
    let step = random_step(nest, rng);
    let prepared = match step.name.as_str() {
        "lanes" if winograd(&mut nest.clone(), 2, 1, None).is_ok() => {
            ["pad k 4", "winograd 2", "stage x i8", "lanes k_in"].into_iter().map(parsed).collect()
        }
        "vectorize" if rng.pick(0, 1) == 0 => vectorized(nest, rng),
        "vectorize" if rng.pick(0, 1) == 0 => by_bytes(nest, rng),
        "pack" if rng.pick(0, 1) == 0 => in_pairs(nest, rng),
        "im2col" | "implicit-gemm" if rng.pick(0, 1) == 0 => windows(&step.name, nest, rng),
        "fuse" if rng.pick(0, 1) == 0 => fused(nest, rng),
        "forward" if rng.pick(0, 3) > 0 => forwarded(nest),
        "scale" if rng.pick(0, 1) == 0 => scaled(nest, rng),
        "phases" if rng.pick(0, 1) == 0 => paired(nest, rng),
        "narrow" if rng.pick(0, 3) > 0 => narrowed(nest, rng),
        "kronecker" if rng.pick(0, 3) > 0 => in_lanes(nest, rng),
        "partial-sums" if rng.pick(0, 3) > 0 => in_parts(nest, rng),
        "carry" if rng.pick(0, 1) == 0 => carried(nest, rng),
        "ring" | "rows" if rng.pick(0, 1) == 0 => ringed(nest, rng),
        _ => Vec::new(),
    };
    if prepared.is_empty() { vec![step] } else { prepared }
}

/// Operands as halfwords in the order of the loops, and a loop of a reduction in pairs.
fn vectorized(nest: &Nest, rng: &mut Rng) -> Vec<Step> {
    let mut sums = Vec::new();
    nest.walk(&mut |_, stmt| {
        if let Stmt::Reduce(reduce) = stmt {
            sums.extend(reduce.loops.iter().filter(|l| l.extent.is_multiple_of(2)).map(|l| l.var));
        }
    });
    if sums.is_empty() {
        return Vec::new();
    }
    let axis = &nest.vars[rng.of(&sums).idx()];
    let mut steps: Vec<String> = Vec::new();
    for buffer in &nest.buffers {
        match (&buffer.role, buffer.elem) {
            (Role::Param, Ty::I8) => steps.push(format!("stage {} i16", buffer.name)),
            (Role::Const(_), Ty::I8) => steps.push(format!("pack {} i16", buffer.name)),
            _ => {}
        }
    }
    steps.push(format!("tile {axis} 2"));
    steps.push(format!("vectorize {axis}.i dual16"));
    steps.iter().map(|step| parsed(step)).collect()
}

/// Four bytes at once along a loop around elements or a reduction.
fn by_bytes(nest: &Nest, rng: &mut Rng) -> Vec<Step> {
    let mut outer = Vec::new();
    nest.walk(&mut |_, stmt| {
        if let Stmt::For(l, _) = stmt
            && l.extent.is_multiple_of(4)
        {
            outer.push(l.var);
        }
    });
    if outer.is_empty() {
        return Vec::new();
    }
    let axis = &nest.vars[rng.of(&outer).idx()];
    vec![parsed(&format!("tile {axis} 4")), parsed(&format!("vectorize {axis}.i bytes4"))]
}

/// Weights in pairs along an even loop.
fn in_pairs(nest: &Nest, rng: &mut Rng) -> Vec<Step> {
    let even: Vec<VarId> = loops(nest).iter().filter(|l| l.extent.is_multiple_of(2)).map(|l| l.var).collect();
    let is_weights = |buffer: &&Buffer| buffer.is_const() && buffer.elem == Ty::I8;
    let weights: Vec<&Buffer> = nest.buffers.iter().filter(is_weights).collect();
    if even.is_empty() || weights.is_empty() {
        return Vec::new();
    }
    let axis = &nest.vars[rng.of(&even).idx()];
    vec![parsed(&format!("pack {} pairs {axis} scale 256", rng.of(&weights).name))]
}

/// Weights with room for factors.
fn scaled(nest: &Nest, rng: &mut Rng) -> Vec<Step> {
    let is_weights = |buffer: &&Buffer| buffer.is_const() && buffer.elem == Ty::I8;
    let weights: Vec<&Buffer> = nest.buffers.iter().filter(is_weights).collect();
    if weights.is_empty() {
        return Vec::new();
    }
    let name = &rng.of(&weights).name;
    let by = rng.of(&["auto", "auto", "2", "3"]);
    vec![parsed(&format!("pack {name} i16")), parsed(&format!("scale {name}_packed by {by}"))]
}

/// A loop with several statements as loops of their own, which become one again.
fn fused(nest: &Nest, rng: &mut Rng) -> Vec<Step> {
    let mut several = Vec::new();
    nest.walk(&mut |_, stmt| {
        if let Stmt::For(l, body) = stmt
            && body.len() > 1
        {
            several.push(l.var);
        }
    });
    if several.is_empty() {
        return Vec::new();
    }
    let axis = &nest.vars[rng.of(&several).idx()];
    vec![parsed(&format!("distribute {axis} 1")), parsed(&format!("fuse {axis}.0 {axis}.1"))]
}

/// What `epilogue` does, step by step: the loops that end a nest become as many as those in front of them, one with these, and what is
/// stored there goes on to what reads it.
pub fn forwarded(nest: &Nest) -> Vec<Step> {
    let [.., writes, reads] = &nest.body[..] else { return Vec::new() };
    let (around, behind) = (chain(writes), chain(reads));
    let name = |l: &Loop| nest.vars[l.var.idx()].clone();
    let mut steps = Vec::new();
    let mut behind: Vec<String> = behind.iter().map(name).collect();
    if behind.len() != around.len() && !behind.is_empty() {
        if behind.len() > 1 {
            steps.push(format!("collapse {}", behind.join(" ")));
        }
        let mut rest = behind.join("_");
        behind.clear();
        for at in 1..around.len() {
            let inner: u32 = around[at..].iter().map(|l| l.extent).product();
            steps.push(format!("tile {rest} {inner}"));
            behind.push(format!("{rest}.o"));
            rest += ".i";
        }
        behind.push(rest);
    }
    steps.extend(around.iter().zip(behind).map(|(l, behind)| format!("fuse {} {behind}", name(l))));
    let scratch = nest.buffers.iter().filter(|buffer| buffer.role == Role::Scratch);
    steps.extend(scratch.map(|buffer| format!("forward {}", buffer.name)));
    steps.iter().map(|step| parsed(step)).collect()
}

/// The loops within each other that stand directly around a sum, from the outermost of three on, and those of the sum.
fn sliding(nest: &Nest) -> Vec<([Loop; 3], Vec<Loop>)> {
    let mut windows = Vec::new();
    nest.walk(&mut |_, stmt| {
        if let Stmt::For(row, body) = stmt
            && let [Stmt::For(column, body)] = &body[..]
            && let [Stmt::For(channel, body)] = &body[..]
            && let [Stmt::Reduce(reduce)] = &body[..]
        {
            windows.push(([row.clone(), column.clone(), channel.clone()], reduce.loops.clone()));
        }
    });
    windows
}

/// A sum in parts that stand next to each other, four of them at a time, each in pieces.
fn in_parts(nest: &Nest, rng: &mut Rng) -> Vec<Step> {
    let mut sums: Vec<(&str, Vec<&str>)> = Vec::new();
    let name = |l: &Loop| nest.vars[l.var.idx()].as_str();
    nest.walk(&mut |_, stmt| {
        if let Stmt::For(l, body) = stmt
            && let [Stmt::Reduce(reduce)] = &body[..]
        {
            sums.push((name(l), reduce.loops.iter().map(name).collect()));
        }
    });
    if sums.is_empty() {
        return Vec::new();
    }
    let (around, summed) = rng.of(&sums);
    let (sum, parts) = (summed.join("_"), rng.of(&[2, 3, 4]));
    let mut steps = vec![format!("collapse {}", summed.join(" "))];
    steps.push(format!("partial-sums {sum} {parts} at {around}"));
    steps.push(format!("collapse {sum}.i {around}.i"));
    if rng.pick(0, 1) == 0 {
        steps.push(format!("split-reduction {sum}.o 2"));
    }
    steps.push(format!("tile {sum}.i_{around}.i 4"));
    steps.push(format!("vectorize {sum}.i_{around}.i.i bytes4"));
    steps.iter().map(|step| parsed(step)).collect()
}

/// Outputs in steps of a window that slides along the loop around a sum.
fn in_lanes(nest: &Nest, rng: &mut Rng) -> Vec<Step> {
    let windows = sliding(nest);
    if windows.is_empty() {
        return Vec::new();
    }
    let ([row, column, channel], sum) = rng.of(&windows);
    let name = |l: &Loop| nest.vars[l.var.idx()].as_str();
    let mut steps = Vec::new();
    for [along, other] in [[&column, &row], [&row, &column]] {
        steps.push(format!("reorder {} {} {}", name(&channel), name(other), name(along)));
        let size = rng.of(&[2, 2, 4, 6]);
        let step = |taps| format!("kronecker {} {} {size} at {}", name(along), name(taps), name(&channel));
        steps.extend(sum.iter().map(step));
    }
    steps.iter().map(|step| parsed(step)).collect()
}

/// A window that slides along the loop around a sum, its taps written out.
fn carried(nest: &Nest, rng: &mut Rng) -> Vec<Step> {
    let windows = sliding(nest);
    let input = nest.buffers.iter().find(|buffer| buffer.role == Role::Param);
    let (false, Some(input)) = (windows.is_empty(), input) else { return Vec::new() };
    let ([_, column, channel], sum) = rng.of(&windows);
    let name = |l: &Loop| nest.vars[l.var.idx()].clone();
    let mut steps = vec![format!("border {}", input.name)];
    steps.push(format!("reorder {} {}", name(&channel), name(&column)));
    steps.extend(sum.iter().map(|l| format!("unroll {}", name(l))));
    steps.extend(["_border", ""].map(|end| format!("carry {}{end} at {}", input.name, name(&column))));
    steps.iter().map(|step| parsed(step)).collect()
}

/// A copy of the first parameter that is filled row by row, just before the outermost loop reads the row.
fn ringed(nest: &Nest, rng: &mut Rng) -> Vec<Step> {
    let Some(Stmt::For(l, _)) = nest.body.last() else { return Vec::new() };
    let (buffer, axis) = (&nest.buffers[0].name, &nest.vars[l.var.idx()]);
    if rng.pick(0, 2) == 0 {
        return vec![parsed(&format!("stage {buffer} i8")), parsed("rows 1")];
    }
    let fused = format!("fuse {buffer}_panel_0 {axis}");
    [format!("stage {buffer} i8"), fused, format!("ring {buffer}_panel 1")]
        .iter()
        .map(|step| parsed(step))
        .collect()
}

/// Inputs as halfwords in rows of whole words, and all loops of a reduction written out.
fn paired(nest: &Nest, rng: &mut Rng) -> Vec<Step> {
    let mut sums: Vec<Vec<&str>> = Vec::new();
    nest.walk(&mut |_, stmt| {
        if let Stmt::Reduce(reduce) = stmt {
            sums.push(reduce.loops.iter().map(|l| nest.vars[l.var.idx()].as_str()).collect());
        }
    });
    sums.retain(|loops| !loops.is_empty());
    if sums.is_empty() {
        return Vec::new();
    }
    let axes = rng.of(&sums);
    let inputs = nest.buffers.iter().filter(|b| b.role == Role::Param && b.elem == Ty::I8);
    let staged = inputs.map(|buffer| format!("stage {} i16 pad 2", buffer.name));
    let mut steps: Vec<Step> = staged.map(|step| parsed(&step)).collect();
    steps.push(parsed(&format!("phases {}", axes.join(" "))));
    steps
}

/// The same with pairs of weights as bytes, some of them 256 times those.
fn narrowed(nest: &Nest, rng: &mut Rng) -> Vec<Step> {
    let mut steps = paired(nest, rng);
    let axes = loops(nest);
    if !steps.is_empty() && !axes.is_empty() {
        let is_weights = |buffer: &&Buffer| buffer.is_const() && buffer.elem == Ty::I8;
        let weights = nest.buffers.iter().filter(is_weights);
        let at = format!("tight at {}", nest.vars[rng.of(&axes).var.idx()]);
        let way = rng.of(&["", "tight", &at]);
        let scaled = rng.pick(0, 1) == 1;
        let names: Vec<&String> = weights.map(|buffer| &buffer.name).collect();
        if scaled {
            let scale = |name| parsed(&format!("scale {name}_packed by 256"));
            let pack = |name| parsed(&format!("pack {name} i16"));
            steps.splice(0..0, names.iter().flat_map(|name| [pack(name), scale(name)]));
        }
        let made = if scaled { "_packed_scaled_words" } else { "_words" };
        steps.extend(names.iter().map(|name| parsed(&format!("narrow {name}{made} {way}"))));
    }
    steps
}

/// Windows of an input, at some loop.
fn windows(step: &str, nest: &Nest, rng: &mut Rng) -> Vec<Step> {
    let axes: Vec<VarId> = loops(nest).iter().map(|l| l.var).collect();
    let inputs: Vec<&Buffer> = nest.buffers.iter().filter(|buffer| buffer.role == Role::Param).collect();
    if axes.is_empty() || inputs.is_empty() {
        return Vec::new();
    }
    let (buffer, axis) = (&inputs[0].name, &nest.vars[rng.of(&axes).idx()]);
    let pad = rng.of(&["", " pad 2", " pad 4"]);
    vec![parsed(&format!("{step} {buffer} at {axis}{pad}"))]
}

/// A step from text that has words and numbers.
pub fn parsed(text: &str) -> Step {
    let mut words = text.split_whitespace();
    let name = words.next().expect("a step has a name").into();
    let arg = |word: &str| word.parse().map_or_else(|_| Arg::Word(word.into()), Arg::Int);
    Step { name, args: words.map(arg).collect() }
}

/// A step that looks legal for this nest more often than not.
fn random_step(nest: &Nest, rng: &mut Rng) -> Step {
    let def = &STEPS[rng.size(0, STEPS.len() - 1)];
    let mut args = Writer::new(nest, rng).args(def.usage);
    if rng.pick(0, 11) == 0 {
        damage(&mut args, rng);
    }
    Step { name: def.name.into(), args }
}

/// A step for a tensor or for a band, with numbers that rows of words and small maps suggest.
pub fn random_network_step(def: &ProgramStep, nest: &Nest, rng: &mut Rng) -> Step {
    let extent = rng.of(&[2, 4, 8]);
    let mut writer = Writer::new(nest, rng);
    writer.axes = vec![("none".into(), extent)];
    let mut args = writer.args(def.usage);
    if rng.pick(0, 11) == 0 {
        damage(&mut args, rng);
    }
    Step { name: def.name.into(), args }
}

/// Makes the arguments wrong, or other ones at least.
fn damage(args: &mut Vec<Arg>, rng: &mut Rng) {
    let other = rng.of(&[Arg::Word("nowhere".into()), Arg::Int(0), Arg::Int(u32::MAX), Arg::List(vec![])]);
    match rng.pick(0, 2) {
        0 => drop(args.pop()),
        1 => args.push(other),
        _ if args.is_empty() => args.push(other),
        _ => {
            let at = rng.size(0, args.len() - 1);
            args[at] = other;
        }
    }
}

/// Fills in a usage line.
struct Writer<'a> {
    nest: &'a Nest,
    rng: &'a mut Rng,
    /// Name and extent of each loop, in the order of the text.
    axes: Vec<(String, u32)>,
    /// Which loop was named last.
    last: usize,
}

impl<'a> Writer<'a> {
    fn new(nest: &'a Nest, rng: &'a mut Rng) -> Self {
        let axes = loops(nest).iter().map(|l| (nest.vars[l.var.idx()].clone(), l.extent)).collect();
        Self { nest, rng, axes, last: 0 }
    }

    /// Of usages between `or` one is taken, words in brackets are left out half of the time, of words between bars one is taken.
    fn args(&mut self, usage: &str) -> Vec<Arg> {
        let mut args = Vec::new();
        let usages: Vec<&str> = usage.split(" or ").collect();
        let usage = self.rng.of(&usages);
        let usage = self.without_options(usage);
        let words: Vec<&str> = usage.split_whitespace().skip(1).collect();
        let mut at = 0;
        while at < words.len() {
            let choices: Vec<&str> = words[at].split('|').collect();
            match self.rng.of(&choices) {
                "AXIS" if words[at + 1..].iter().find(|word| **word != "AXIS") == Some(&"…") => {
                    args.extend(self.neighbours());
                    at = words.iter().position(|word| *word == "…").expect("it repeats");
                }
                "…" => {}
                kind => args.push(self.arg(kind)),
            }
            at += 1;
        }
        args
    }

    fn without_options(&mut self, usage: &str) -> String {
        let Some((before, rest)) = usage.split_once('[') else { return usage.into() };
        let (option, after) = rest.split_once(']').expect("a bracket is closed");
        let option = if self.rng.pick(0, 1) == 0 { option } else { "" };
        let after = self.without_options(after);
        format!("{before}{option}{after}")
    }

    fn arg(&mut self, kind: &str) -> Arg {
        match kind {
            "AXIS" => {
                self.last = self.rng.size(0, self.axes.len().max(1) - 1);
                Arg::Word(self.axes.get(self.last).map_or("none".into(), |(name, _)| name.clone()))
            }
            "SIZE" | "COUNT" | "N" | "FACTOR" => Arg::Int(self.size()),
            "MULTIPLE" => Arg::Int(self.rng.of(&[2, 3, 4, 5])),
            "TYPE" => Arg::Word(self.rng.of(&TYPES).into()),
            "BUFFER" | "TENSOR" | "CONST" => self.buffer(),
            "LOCAL" | "VALUE" => self.local(),
            kind if kind.starts_with('(') => Arg::List(self.rng.of(&ORDERS).to_vec()),
            kind if kind.chars().all(|c| c.is_ascii_digit()) => Arg::Int(kind.parse().expect("digits")),
            kind if kind.starts_with(|c: char| c.is_lowercase()) => Arg::Word(kind.into()),
            _ => match self.rng.pick(0, 3) {
                0 => Arg::Int(self.size()),
                1 => self.buffer(),
                2 => self.local(),
                _ => self.arg("AXIS"),
            },
        }
    }

    /// A divisor of the extent of the last loop named, mostly.
    fn size(&mut self) -> u32 {
        let extent = self.axes.get(self.last).map_or(1, |(_, extent)| *extent);
        let divisors: Vec<u32> = (1..=extent).filter(|n| extent.is_multiple_of(*n)).collect();
        let any = self.rng.pick(0, 9) as u32;
        self.rng.of(&[
            self.last_of(&divisors, 0),
            self.last_of(&divisors, 1),
            any,
            self.last_of(&divisors, 2),
        ])
    }

    /// A divisor from the middle of all, or one beside it.
    fn last_of(&self, divisors: &[u32], offset: usize) -> u32 {
        divisors[(divisors.len() / 2 + offset).min(divisors.len() - 1)]
    }

    /// Loops that follow each other in the text, in this order or in another.
    fn neighbours(&mut self) -> Vec<Arg> {
        if self.axes.is_empty() {
            return Vec::new();
        }
        let from = self.rng.size(0, self.axes.len() - 1);
        let to = (from + self.rng.size(1, 3)).min(self.axes.len());
        let mut names: Vec<Arg> =
            self.axes[from..to].iter().map(|(name, _)| Arg::Word(name.clone())).collect();
        if self.rng.pick(0, 1) == 0 {
            let by = self.rng.size(0, names.len() - 1);
            names.rotate_left(by);
        }
        names
    }

    fn buffer(&mut self) -> Arg {
        let names: Vec<&str> = self.nest.buffers.iter().map(|buffer| buffer.name.as_str()).collect();
        Arg::Word(self.rng.of(&names).into())
    }

    fn local(&mut self) -> Arg {
        let names: Vec<&str> = self.nest.locals.iter().map(|local| local.name.as_str()).collect();
        Arg::Word(if names.is_empty() { "none".into() } else { self.rng.of(&names).into() })
    }
}
