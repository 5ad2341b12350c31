//! Everything that must hold of a case: after every step what is printed parses back, verifies and gives the results of the plain nests.

use std::fmt::Display;

use ir::loops::interp::{self, Checks, Runner};
use ir::loops::text::{parse_nest, parse_program};
use ir::loops::verify::{verify, verify_program};
use ir::loops::{Lifetime, Nest, Program};
use passes::loops::legalize;
use passes::loops::step::{self, Step};
use passes::network::share::partner;
use passes::network::{self, Subject};
use passes::schedule::Schedule;
use test_support::Random;
use test_support::operators::{extreme, memory};

use crate::case::{Apply, Scope, Scoped, attempt, schedule_text, steps_of};

/// A case that is right.
pub struct Checked {
    /// The layers, which are fewer than at first where some became a band.
    pub layers: Vec<Scheduled>,
    /// The steps that were legal.
    pub taken: Vec<Scoped>,
}

/// A layer before and after its steps.
pub struct Scheduled {
    /// As the steps for tensors and bands have left it.
    pub plain: Nest,
    /// After the steps for the layer.
    pub nest: Nest,
    /// The layer whose code it runs, if that is another one.
    pub shares: Option<usize>,
}

/// By parameter, input or output.
type Memory = Vec<Vec<u8>>;

/// Applies those of the steps that are legal; everything is checked after each with random data, at the end with extreme data too.
pub fn check(plain: &Program, steps: &[Scoped], apply: Apply) -> Result<Checked, String> {
    let mut checking = Checking::new(plain, steps)?;
    for scoped in steps {
        let result = match &scoped.scope {
            Scope::Network(subject) => checking.network_step(&scoped.step, subject)?,
            Scope::Layer(name) => checking.layer_step(&scoped.step, name, apply)?,
        };
        if result {
            checking.taken.push(scoped.clone());
        }
    }
    checking.finish(plain)
}

/// A program with some of its steps.
struct Checking {
    program: Program,
    /// Inputs of the program and what it must give for them; nothing for a layer by itself.
    inputs: Vec<Memory>,
    wanted: Vec<Memory>,
    /// For each layer, what its nest must do; found when a step for it comes.
    bases: Vec<Option<Base>>,
    taken: Vec<Scoped>,
}

/// What a nest must do.
struct Base {
    /// Does it.
    plain: Nest,
    data: [Memory; 3],
    wanted: Vec<Memory>,
}

impl Base {
    fn of(plain: &Nest) -> Result<Base, String> {
        let data = data(plain);
        let wanted = data.iter().map(|data| interpreted(plain, data)).collect::<Result<Vec<_>, _>>()?;
        Ok(Base { plain: plain.clone(), data, wanted })
    }
}

impl Checking {
    fn new(plain: &Program, steps: &[Scoped]) -> Result<Self, String> {
        let is_network = |scoped: &Scoped| matches!(scoped.scope, Scope::Network(_));
        let several = plain.layers.len() > 1 || steps.iter().any(is_network);
        let inputs = if several { inputs(plain) } else { Vec::new() };
        let wanted = inputs.iter().map(|data| run(plain, data)).collect::<Result<Vec<_>, _>>()?;
        let bases = plain.layers.iter().map(|_| None).collect();
        Ok(Self { program: plain.clone(), inputs, wanted, bases, taken: Vec::new() })
    }

    /// Whether the step was legal.
    fn network_step(&mut self, step: &Step, subject: &Subject) -> Result<bool, String> {
        let apply = |step: &Step, program: &mut Program| network::apply(step, program, subject);
        let Some(changed) = attempt(step, &self.program, &apply)? else { return Ok(false) };
        check_program(&changed, &self.inputs[..1], &self.wanted[..1])
            .map_err(|error| format!("after `{step}` for {}: {error}", subject.described()))?;
        // A group's parameters stay what they are, so its layers must still do what they did; others see their tensors in another way.
        let mut bases = Vec::new();
        for layer in &changed.layers {
            let before = self.program.layers.iter().position(|old| old.nest.name == layer.nest.name);
            let is_same = |at: &usize| {
                matches!(subject, Subject::Group(_)) || self.program.layers[*at].nest == layer.nest
            };
            bases.push(before.filter(is_same).and_then(|at| self.bases[at].take()));
        }
        if let Subject::Group(names) = subject {
            for (at, _) in changed.layers.iter().enumerate().filter(|(_, l)| names.contains(&l.nest.name)) {
                if bases[at].is_none() {
                    bases[at] = Some(Base::of(&self.program.layers[at].nest)?);
                }
            }
        }
        (self.program, self.bases) = (changed, bases);
        Ok(true)
    }

    /// Whether the step was legal; it is not for a layer that is not there any more, or that shares its code.
    fn layer_step(&mut self, step: &Step, name: &str, apply: Apply) -> Result<bool, String> {
        let at = self.program.layers.iter().position(|layer| layer.nest.name == *name);
        let Some(at) = at.filter(|at| partner(&self.program, *at).is_none()) else { return Ok(false) };
        let nest = &self.program.layers[at].nest;
        let base = match &mut self.bases[at] {
            Some(base) => base,
            none => none.insert(Base::of(nest)?),
        };
        let Some(changed) = attempt(step, nest, &apply)? else { return Ok(false) };
        check_nest(&changed, &base.data[..1], &base.wanted[..1])
            .map_err(|error| format!("after `{step}`: {error}"))?;
        self.program.layers[at].nest = changed;
        Ok(true)
    }

    fn finish(self, plain: &Program) -> Result<Checked, String> {
        let Checking { program, inputs, wanted, bases, taken } = self;
        if taken.iter().any(|scoped| matches!(scoped.scope, Scope::Network(_))) {
            check_program(&program, &inputs, &wanted)?;
        }
        let mut layers = Vec::new();
        for (layer, base) in program.layers.iter().zip(bases) {
            let base = base.map_or_else(|| Base::of(&layer.nest), Ok)?;
            check_layer(&layer.nest, &base)?;
            let first = |name: &String| program.layers.iter().position(|other| other.nest.name == *name);
            let shares = layer.shares.as_ref().and_then(first);
            layers.push(Scheduled { plain: base.plain, nest: layer.nest.clone(), shares });
        }
        if !inputs.is_empty() {
            check_native(&program, &inputs, &wanted)?;
        }
        if taken.iter().all(is_shipped) {
            check_schedule(plain, &taken, &program)?;
        }
        Ok(Checked { layers, taken })
    }
}

/// A layer with all its steps, as it is, as code is made of it, and as native code.
fn check_layer(nest: &Nest, base: &Base) -> Result<(), String> {
    let Base { data, wanted, .. } = base;
    check_nest(nest, &data[1..], &wanted[1..])?;
    let mut legal = nest.clone();
    legalize(&mut legal).map_err(|error| format!("passes before selection: {error}"))?;
    check_nest(&legal, data, wanted).map_err(|error| format!("before selection: {error}"))?;
    let mut code = host::compile_nest(&legal).map_err(|error| format!("as native code: {error}"))?;
    for (data, wanted) in data.iter().zip(wanted) {
        let mut memory = data.clone();
        code.run(&mut slices(&mut memory)).map_err(|error| format!("as native code: {error}"))?;
        if memory != *wanted {
            return Err(format!("as native code: the results differ\n{legal}"));
        }
    }
    Ok(())
}

/// Data for the parameters of a nest: random, then all least, then all greatest elements.
pub fn data(nest: &Nest) -> [Memory; 3] {
    [memory(nest, 1), extreme(nest, false), extreme(nest, true)]
}

/// The same for the inputs of a program, which are bytes.
fn inputs(program: &Program) -> Vec<Memory> {
    let is_input = |lifetime| matches!(lifetime, Lifetime::Input(_));
    let sizes: Vec<usize> = program
        .tensors
        .iter()
        .filter(|tensor| is_input(tensor.lifetime))
        .map(|tensor| tensor.ty.bytes())
        .collect();
    let all = |value: i8| sizes.iter().map(|size| vec![value as u8; *size]).collect();
    let mut random = Random(1);
    vec![sizes.iter().map(|size| random.bytes(*size)).collect(), all(-128), all(127)]
}

/// What is printed parses, and prints the same again.
fn reads_back<T: Display, E: Display>(printed: &T, parse: fn(&str) -> Result<T, E>) -> Result<(), String> {
    let text = printed.to_string();
    let again = parse(&text).map_err(|error| format!("{error}\n{text}"))?.to_string();
    if again != text {
        return Err(format!("what is printed reads back as something else\n{text}\n{again}"));
    }
    Ok(())
}

fn check_nest(nest: &Nest, data: &[Memory], wanted: &[Memory]) -> Result<(), String> {
    let errors = verify(nest);
    if !errors.is_empty() {
        return Err(format!("{errors:?}\n{nest}"));
    }
    reads_back(nest, parse_nest)?;
    for (data, wanted) in data.iter().zip(wanted) {
        if interpreted(nest, data)? != *wanted {
            return Err(format!("the results differ\n{nest}"));
        }
    }
    Ok(())
}

fn check_program(program: &Program, inputs: &[Memory], wanted: &[Memory]) -> Result<(), String> {
    let errors = verify_program(program);
    if !errors.is_empty() {
        return Err(format!("{errors:?}\n{program}"));
    }
    reads_back(program, parse_program)?;
    for (data, wanted) in inputs.iter().zip(wanted) {
        if run(program, data)? != *wanted {
            return Err(format!("the outputs differ\n{program}"));
        }
    }
    Ok(())
}

/// All layers as native code, one after the other.
fn check_native(program: &Program, inputs: &[Memory], wanted: &[Memory]) -> Result<(), String> {
    let mut legal = program.clone();
    for layer in &mut legal.layers {
        legalize(&mut layer.nest).map_err(|error| format!("passes before selection: {error}"))?;
    }
    let mut code = host::compile(&legal).map_err(|error| format!("as native code: {error}"))?;
    for (data, wanted) in inputs.iter().zip(wanted) {
        let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        if code.run(&data).map_err(|error| format!("as native code: {error}"))? != *wanted {
            return Err(format!("as native code: the outputs differ\n{legal}"));
        }
    }
    Ok(())
}

/// As a schedule the steps print, parse back and print the same; the schedule in use says the same of the program, and does the same.
fn check_schedule(plain: &Program, taken: &[Scoped], program: &Program) -> Result<(), String> {
    let text = schedule_text(taken);
    let schedule = Schedule::parse(&text).map_err(|error| format!("{error}\n{text}"))?;
    let again = schedule.to_string();
    if again != text {
        return Err(format!("the schedule reads back as something else\n{text}{again}"));
    }
    let in_use = schedule.in_use(plain).map_err(|error| format!("the schedule in use: {error}\n{text}"))?;
    let text = in_use.to_string();
    let in_use = Schedule::parse(&text).map_err(|error| format!("{error}\n{text}"))?;
    if in_use.to_string() != text || steps_of(&in_use).len() != taken.len() {
        return Err(format!("the schedule in use reads back as something else\n{text}{in_use}"));
    }
    let mut found = plain.clone();
    in_use.apply(&mut found, &mut |_, _| {}).map_err(|error| format!("{error}\n{text}"))?;
    if found.to_string() != program.to_string() {
        return Err(format!("the schedule in use does something else\n{text}{found}"));
    }
    Ok(())
}

fn is_shipped(scoped: &Scoped) -> bool {
    let name = &scoped.step.name;
    match scoped.scope {
        Scope::Network(_) => network::STEPS.iter().any(|def| def.name == name),
        Scope::Layer(_) => passes::loops::STEPS.iter().any(|def| def.name == name),
    }
}

/// What is shipped.
pub fn shipped(step: &Step, nest: &mut Nest) -> Result<(), ir::diag::Diagnostic> {
    step::apply(step, nest)
}

fn interpreted(nest: &Nest, data: &Memory) -> Result<Memory, String> {
    let mut memory = data.clone();
    interp::run_checked(nest, &mut slices(&mut memory)).map_err(|error| format!("{error}\n{nest}"))?;
    Ok(memory)
}

fn run(program: &Program, inputs: &Memory) -> Result<Memory, String> {
    let ran = Runner::new(program, Checks::On).and_then(|mut runner| runner.run(inputs));
    ran.map_err(|error| format!("{error}\n{program}"))
}

fn slices(memory: &mut Memory) -> Vec<&mut [u8]> {
    memory.iter_mut().map(Vec::as_mut_slice).collect()
}
