//! Rewrites of whole programs: how the tensors between layers lie in memory, which layers are computed together, and which share code.
//!
//! A step is for a tensor, for a band, which is layers that follow each other, or for a group of any layers. It changes the place of the tensor, and in all layers
//! that write or read it the parameters and their accesses; it knows nests, not operators. What a caller of the network sees, its inputs
//! and outputs, stays where it is.

pub mod border;
pub mod common_shift;
pub mod encode;
pub mod epilogue;
pub mod flood;
pub mod join;
pub mod layout;
pub mod rows;
pub mod share;
pub mod view;

use ir::diag::Diagnostic;
use ir::loops::{Layer, Program};

use crate::loops::step::{Args, Step, unknown};

/// What a step is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The tensor of this name.
    Tensor(String),
    /// The layers of these names, which follow each other.
    Band(Vec<String>),
    /// The layers of these names, in the order of the program.
    Group(Vec<String>),
}

/// A rewrite of a program that schedules can name.
#[derive(Clone, Copy)]
pub struct ProgramStep {
    /// Its name in schedules.
    pub name: &'static str,
    /// Its scope and arguments, for messages: `layout (ORDER)`.
    pub usage: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// What it is for, and how it does it.
    pub run: Run,
}

/// Rewrites a program, or says why that is not legal; a program that is refused may be left half changed.
#[derive(Clone, Copy)]
pub enum Run {
    /// For the tensor of this number.
    Tensor(fn(&mut Program, usize, &Args) -> Result<(), Diagnostic>),
    /// For so many layers from this number on.
    Band(fn(&mut Program, std::ops::Range<usize>, &Args) -> Result<(), Diagnostic>),
    /// For the layers of these numbers, in ascending order.
    Group(fn(&mut Program, &[usize], &Args) -> Result<(), Diagnostic>),
}

/// Every rewrite that scopes of tensors, bands and groups can name.
pub const STEPS: &[ProgramStep] = &[
    border::STEP,
    layout::STEP,
    encode::STEP,
    flood::STEP,
    join::STEP,
    epilogue::STEP,
    rows::STEP,
    common_shift::STEP,
    share::STEP,
];

/// Finds the rewrite that a step names and applies it.
pub fn apply(step: &Step, program: &mut Program, subject: &Subject) -> Result<(), Diagnostic> {
    let suits = |def: &&ProgramStep| def.run.scope() == subject.scope();
    let Some(def) = STEPS.iter().filter(suits).find(|def| def.name == step.name) else {
        let what = format!("steps for {}s", subject.scope());
        return Err(unknown(step, &what, STEPS.iter().filter(suits).map(|def| def.name)));
    };
    let args = Args::new(def.name, def.usage, &step.args);
    match (def.run, subject) {
        (Run::Tensor(run), Subject::Tensor(name)) => {
            let named = program.tensors.iter().position(|tensor| tensor.name == *name);
            let gone = || {
                Diagnostic::new(format!("`{name}` is no tensor any more"))
                    .help("it lies within a band by now")
            };
            run(program, named.ok_or_else(gone)?, &args)
        }
        (Run::Band(run), Subject::Band(names)) => {
            let is_band =
                |layers: &[Layer]| layers.iter().zip(names).all(|(layer, name)| layer.nest.name == *name);
            let first = program.layers.windows(names.len()).position(is_band);
            let gone = || {
                let help = "its steps are those of the layer that the band has become: `layer band_…:`";
                Diagnostic::new("the band is one layer by now").help(help)
            };
            let first = first.ok_or_else(gone)?;
            run(program, first..first + names.len(), &args)
        }
        (Run::Group(run), Subject::Group(names)) => {
            let number = |name: &String| program.layers.iter().position(|layer| layer.nest.name == *name);
            let layers: Vec<usize> = names.iter().filter_map(number).collect();
            run(program, &layers, &args)
        }
        _ => unreachable!("the step suits the subject"),
    }
}

impl Run {
    /// The word that begins the scope of the step.
    pub fn scope(&self) -> &'static str {
        match self {
            Run::Tensor(_) => "tensor",
            Run::Band(_) => "band",
            Run::Group(_) => "group",
        }
    }
}

impl Subject {
    /// The names of the tensor or of the layers.
    pub fn names(&self) -> &[String] {
        match self {
            Subject::Tensor(name) => std::slice::from_ref(name),
            Subject::Band(names) | Subject::Group(names) => names,
        }
    }

    /// What messages call it.
    pub fn described(&self) -> String {
        format!("{} `{}`", self.scope(), self.names().join("` `"))
    }

    /// The word that begins its scope.
    pub fn scope(&self) -> &'static str {
        match self {
            Subject::Tensor(_) => "tensor",
            Subject::Band(_) => "band",
            Subject::Group(_) => "group",
        }
    }
}
