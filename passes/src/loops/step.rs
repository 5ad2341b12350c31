//! A step of a schedule: a rewrite of one nest that checks itself.

use std::fmt;

use ir::diag::Diagnostic;
use ir::known::Known;
use ir::loops::{BufferId, Nest, VarId};

use super::edit::axes;
use super::{STEPS, narrow, scale, short_add};

/// A step as text has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// The name of the rewrite.
    pub name: String,
    /// What it is applied to.
    pub args: Vec<Arg>,
}

/// An argument of a step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Arg {
    /// The name of an axis, a buffer or a type, or a word that introduces the next argument.
    Word(String),
    /// A number.
    Int(u32),
    /// Numbers in parentheses.
    List(Vec<u32>),
}

/// A rewrite that schedules can name.
#[derive(Clone, Copy)]
pub struct StepDef {
    /// Its name in schedules.
    pub name: &'static str,
    /// Its arguments, for messages: `tile AXIS SIZE`.
    pub usage: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Rewrites the nest, or says why that is not legal; a nest that is refused may be left half changed.
    pub run: fn(&mut Nest, &Args) -> Result<(), Diagnostic>,
}

/// The arguments of a step, read one after the other.
pub struct Args<'a> {
    name: &'static str,
    usage: &'static str,
    args: &'a [Arg],
}

/// Steps whose proofs look at every weight, or at all operands of a function: what they make of a nest is kept.
const PROVEN: [&str; 3] = [scale::STEP.name, narrow::STEP.name, short_add::STEP.name];
/// What such steps have made, or why they are not legal: of all drafts of a large network.
static MADE: Known<(Step, Nest), Result<Nest, Diagnostic>> = Known::new(2048);

/// Finds the rewrite that a step names and applies it.
pub fn apply(step: &Step, nest: &mut Nest) -> Result<(), Diagnostic> {
    let Some(def) = STEPS.iter().find(|def| def.name == step.name) else {
        return Err(unknown(step, "steps", STEPS.iter().map(|def| def.name)));
    };
    let run = |nest: &mut Nest| (def.run)(nest, &Args::new(def.name, def.usage, &step.args));
    if !PROVEN.contains(&def.name) {
        return run(nest);
    }
    let made = || {
        let mut made = nest.clone();
        run(&mut made).map(|()| made)
    };
    *nest = MADE.answer((step.clone(), nest.clone()), made)?;
    Ok(())
}

/// The error that a step has none of the names.
pub fn unknown(step: &Step, what: &str, names: impl Iterator<Item = &'static str>) -> Diagnostic {
    let names: Vec<&str> = names.collect();
    Diagnostic::new(format!("no step is called `{}`", step.name))
        .help(format!("the {what} are {}", names.join(", ")))
}

impl<'a> Args<'a> {
    /// The arguments of the step `name`, which is used as `usage` says.
    pub fn new(name: &'static str, usage: &'static str, args: &'a [Arg]) -> Self {
        Self { name, usage, args }
    }

    /// The number of arguments.
    pub fn len(&self) -> usize {
        self.args.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.args.is_empty()
    }

    /// Refuses more arguments than `most`.
    pub fn at_most(&self, most: usize) -> Result<(), Diagnostic> {
        if self.args.len() > most {
            Err(self.misuse(format!("{} arguments", self.args.len())))
        } else {
            Ok(())
        }
    }

    /// The word at this position.
    pub fn word(&self, at: usize) -> Result<&'a str, Diagnostic> {
        match self.args.get(at) {
            Some(Arg::Word(word)) => Ok(word),
            other => Err(self.misuse(described(other))),
        }
    }

    /// The number at this position.
    pub fn int(&self, at: usize) -> Result<u32, Diagnostic> {
        match self.args.get(at) {
            Some(Arg::Int(value)) => Ok(*value),
            other => Err(self.misuse(described(other))),
        }
    }

    /// The list at this position.
    pub fn list(&self, at: usize) -> Result<&'a [u32], Diagnostic> {
        match self.args.get(at) {
            Some(Arg::List(values)) => Ok(values),
            other => Err(self.misuse(described(other))),
        }
    }

    /// The argument at this position, if there is one.
    pub fn get(&self, at: usize) -> Option<&'a Arg> {
        self.args.get(at)
    }

    /// The loop that the word at this position names.
    pub fn axis(&self, nest: &Nest, at: usize) -> Result<VarId, Diagnostic> {
        axis(nest, self.word(at)?)
    }

    /// The loops that the words from this position on name.
    pub fn axes(&self, nest: &Nest, from: usize) -> Result<Vec<VarId>, Diagnostic> {
        (from..self.args.len()).map(|at| self.axis(nest, at)).collect()
    }

    /// The buffer that the word at this position names.
    pub fn buffer(&self, nest: &Nest, at: usize) -> Result<BufferId, Diagnostic> {
        let name = self.word(at)?;
        match nest.buffers.iter().position(|buffer| buffer.name == name) {
            Some(idx) => Ok(BufferId::new(idx)),
            None => {
                let names: Vec<&str> = nest.buffers.iter().map(|buffer| buffer.name.as_str()).collect();
                Err(Diagnostic::new(format!("no buffer is called `{name}`"))
                    .help(format!("the buffers are {}", names.join(", "))))
            }
        }
    }

    /// The error that an argument is not there.
    pub fn missing(&self, what: &str) -> Diagnostic {
        Diagnostic::new(format!("`{}` needs {what}", self.name)).help(format!("usage: `{}`", self.usage))
    }

    /// The error that the arguments do not fit the step.
    pub fn misuse(&self, found: String) -> Diagnostic {
        Diagnostic::new(format!("`{}` does not take {found}", self.name))
            .help(format!("usage: `{}`", self.usage))
    }
}

/// The only loop of the body with this name.
pub fn axis(nest: &Nest, name: &str) -> Result<VarId, Diagnostic> {
    let all = axes(nest);
    let named: Vec<VarId> = all.iter().copied().filter(|var| nest.vars[var.idx()] == name).collect();
    match named[..] {
        [var] => Ok(var),
        [] => {
            let names: Vec<&str> = all.iter().map(|var| nest.vars[var.idx()].as_str()).collect();
            Err(Diagnostic::new(format!("no loop is called `{name}`"))
                .help(format!("the loops are {}", names.join(", "))))
        }
        _ => Err(Diagnostic::new(format!("{} loops are called `{name}`", named.len()))
            .help("apply the step before the loop is repeated")),
    }
}

fn described(arg: Option<&Arg>) -> String {
    match arg {
        None => "so few arguments".into(),
        Some(arg) => format!("`{arg}` there"),
    }
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arg::Word(word) => f.write_str(word),
            Arg::Int(value) => write!(f, "{value}"),
            Arg::List(values) => {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                write!(f, "({})", values.join(" "))
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.args.iter().try_for_each(|arg| write!(f, " {arg}"))
    }
}
