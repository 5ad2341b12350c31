//! Schedules: how each layer is computed, as text that a person writes, a search proposes and a report prints.
//!
//! ```text
//! schedule 1
//! // Two pixels and four channels share what they load.
//! layer conv2d_7:
//!   tile p 2; tile n 4
//!   reorder p.o n.o p.i n.i
//!   unroll-and-jam p.i n.i
//! layer fully_connected_*:
//!   unroll k 8 or unroll k 4
//! ```
//!
//! The first line gives the version of the language. A scope names a layer, or several by a pattern with `*`; its steps
//! apply in order to each layer that it fits. Steps stand on lines of their own or between semicolons; of steps joined by
//! `or` the first that is legal applies. A step is a checked rewrite from [`crate::loops::STEPS`]: it applies, or it says why not and
//! the nest stays as it was; it cannot change a result. Comments are kept.

mod in_use;
mod text;

use std::fmt;

use ir::diag::{Diagnostic, Place};
use ir::loops::verify::verify;
use ir::loops::{Nest, Program};

use crate::loops::step::{self, Step};

/// The version of the language that this compiler reads.
pub const VERSION: u32 = 1;
/// The place of what no text has.
const START: Place = Place { line: 1, column: 1 };

/// A schedule, line by line, so that comments and line breaks survive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Everything behind the first line.
    pub lines: Vec<Line>,
}

/// A line of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it says.
    pub content: Content,
    /// The comment at its end, from behind `//` on.
    pub comment: Option<String>,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    Blank,
    /// The layers that the following steps are for.
    Layer(Scope),
    /// Steps, in order.
    Steps(Vec<Choice>),
}

/// The layers that steps are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// A name, or a pattern in which `*` stands for anything.
    pub pattern: String,
    /// Where it stands.
    pub place: Place,
}

/// Steps of which the first legal one applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// At least one.
    pub steps: Vec<Step>,
    /// Where it stands.
    pub place: Place,
}

impl Schedule {
    /// Reads a schedule.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        text::parse(text)
    }

    /// Reads steps alone, without first line and scopes: they are for every layer.
    pub fn parse_steps(text: &str) -> Result<Self, Diagnostic> {
        text::parse_steps(text)
    }

    /// Applies the schedule to every layer that it names; `after` sees each nest after each step.
    ///
    /// A scope that no layer fits is an error: it is a misspelt name.
    pub fn apply(
        &self,
        program: &mut Program,
        after: &mut dyn FnMut(&Step, &Nest),
    ) -> Result<(), Diagnostic> {
        let names: Vec<String> = program.layers.iter().map(|layer| layer.nest.name.clone()).collect();
        for scope in self.scopes() {
            if !names.iter().any(|name| fits(&scope.pattern, name)) {
                let error =
                    Diagnostic::new(format!("no layer is called `{}`", scope.pattern)).at(scope.place);
                return Err(error.help(format!("the layers are {}", names.join(", "))));
            }
        }
        program.layers.iter_mut().try_for_each(|layer| self.apply_to(&mut layer.nest, after))
    }

    /// Applies the steps for one nest.
    pub fn apply_to(&self, nest: &mut Nest, after: &mut dyn FnMut(&Step, &Nest)) -> Result<(), Diagnostic> {
        let mut in_scope = false;
        for line in &self.lines {
            match &line.content {
                Content::Blank => {}
                Content::Layer(scope) => in_scope = fits(&scope.pattern, &nest.name),
                Content::Steps(choices) if in_scope => {
                    for choice in choices {
                        let step = choice.apply(nest)?;
                        after(step, nest);
                    }
                }
                Content::Steps(_) => {}
            }
        }
        Ok(())
    }

    fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.lines.iter().filter_map(|line| match &line.content {
            Content::Layer(scope) => Some(scope),
            _ => None,
        })
    }
}

impl Choice {
    /// Applies the first legal step and gives it; if none is, the reason of the last is given.
    pub fn apply(&self, nest: &mut Nest) -> Result<&Step, Diagnostic> {
        let mut refused = None;
        for step in &self.steps {
            let mut changed = nest.clone();
            match step::apply(step, &mut changed) {
                Ok(()) => {
                    check(step, &changed);
                    *nest = changed;
                    return Ok(step);
                }
                Err(error) => refused = Some(error),
            }
        }
        let error = refused.expect("a choice has at least one step");
        Err(Diagnostic {
            message: format!("layer `{}`: {}", nest.name, error.message),
            place: Some(self.place),
            ..error
        })
    }
}

/// In debug builds the verifier looks at what a step leaves.
fn check(step: &Step, nest: &Nest) {
    if cfg!(debug_assertions) {
        let errors = verify(nest);
        assert!(errors.is_empty(), "`{step}` broke `{}`: {errors:?}\n{nest}", nest.name);
    }
}

/// Whether a pattern fits a name; `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(left) = name.strip_prefix(before) else { return false };
    (0..=left.len()).any(|at| left.is_char_boundary(at) && fits(rest, &left[at..]))
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::print(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names() {
        assert!(fits("conv2d_7", "conv2d_7"));
        assert!(
            fits("conv*", "conv2d_7")
                && fits("*", "")
                && fits("*_7", "conv2d_7")
                && fits("c*d*7", "conv2d_7")
        );
        assert!(!fits("conv", "conv2d_7") && !fits("*8", "conv2d_7"));
    }

    #[test]
    fn what_is_printed_parses_back() {
        let text = "schedule 1\n// why\nlayer conv_*: // all\n  tile p 2; tile n 4 // blocks\n\n  unroll k 8 or unroll k\n  permute k (0 2 1 3)\n";
        let schedule = Schedule::parse(text).expect("it is legal");
        assert_eq!(schedule.to_string(), text);
        assert_eq!(Schedule::parse(&schedule.to_string()), Ok(schedule));
    }

    #[test]
    fn mistakes_have_places() {
        let error = |text: &str| Schedule::parse(text).expect_err("it is wrong").to_string();
        assert_eq!(error("tile p 2"), "error: expected `schedule`, found `tile`\n --> 1:1");
        assert!(error("schedule 2").starts_with("error: this is a schedule of version 2"));
        assert!(error("schedule 1\ntile p 2").starts_with("error: a step stands outside of a scope"));
        assert!(error("schedule 1\nlayer a:\n  tile p (").contains("--> 3:"));
    }
}
