//! Schedules: how each layer is computed, as text that a person writes, a search proposes and a report prints.
//!
//! ```text
//! schedule 1
//! // What the depthwise layer reads has its padding around it already.
//! tensor t2:
//!   border
//! band conv2d_4 depthwise_conv2d_5 conv2d_6:
//!   rows 1
//! // Two pixels and four channels share what they load.
//! layer conv2d_7:
//!   tile p 2; tile n 4
//!   reorder p.o n.o p.i n.i
//!   unroll-and-jam p.i n.i
//! layer fully_connected_*:
//!   unroll k 8 or unroll k 4
//! group conv2d_4 conv2d_1*:
//!   share
//! ```
//!
//! The first line gives the version of the language. A scope names a tensor, layers that follow each other, a layer, or a group of layers
//! from anywhere; a pattern with `*` names several, and the steps apply in order to each that it fits, or to all of the group at once. Steps stand on lines of their own or between semicolons; of
//! steps joined by `or` the first that is legal applies. A step is a checked rewrite from [`crate::network::STEPS`] or, for layers, from
//! [`crate::loops::STEPS`]: it applies, or it says why not and everything stays as it was; it cannot change a result. Comments are kept.
//!
//! Scopes apply in the order of the text, and names are those of what is there by then. A scope sees what those above it have left: layers
//! below a `tensor` or `band` scope see what it has made of them, and a band is one layer from then on. A layer may be named again: the
//! steps for it go on where they ended, also below a `group` scope. Only code that is shared ends all steps for its layers: `share`
//! stands behind them.
//!
//! ```text
//! layer conv2d_*:
//!   tile p 5; tile n 2
//!   reorder p.o n.o p.i n.i; unroll-and-jam p.i n.i
//! // One shift for all, which the layers need to share their code.
//! group conv2d_2 conv2d_4:
//!   common-shift
//! // The multipliers that it leaves go into one stream with the weights.
//! layer conv2d_*:
//!   interleave at n.o
//! group conv2d_2 conv2d_4:
//!   share
//! ```

mod apply;
mod in_use;
mod text;

use std::fmt;

use ir::diag::{Diagnostic, Place};

use crate::loops::step::Step;

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
    /// What the following steps are for.
    Scope(Scope),
    /// Steps, in order.
    Steps(Vec<Choice>),
}

/// What steps are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Tensors, layers that become one, or layers.
    pub kind: Kind,
    /// A name, or a pattern in which `*` stands for anything; for a band one for each of its layers, for a group any number.
    pub patterns: Vec<String>,
    /// Where it stands.
    pub place: Place,
}

/// Kinds of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// How a tensor lies in memory.
    Tensor,
    /// Layers that follow each other and become one.
    Band,
    /// How a layer is computed.
    Layer,
    /// Layers that have something in common.
    Group,
}

/// Steps of which the first legal one applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// At least one.
    pub steps: Vec<Step>,
    /// Where it stands.
    pub place: Place,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 4] = [Kind::Tensor, Kind::Band, Kind::Layer, Kind::Group];

    /// The word that begins a scope.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Tensor => "tensor",
            Kind::Band => "band",
            Kind::Layer => "layer",
            Kind::Group => "group",
        }
    }
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
}

impl Scope {
    /// Whether a name is meant; never for a band or group.
    fn fits(&self, kind: Kind, name: &str) -> bool {
        self.kind == kind && self.patterns.len() == 1 && fits(&self.patterns[0], name)
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
        let text = "schedule 1\ntensor t*:\n  border; layout planes\nband conv_* dw_*7 c: // one\n  rows 2 or rows 1\n// why\nlayer conv_*: // all\n  tile p 2; tile n 4 // blocks\n\n  unroll k 8 or unroll k\n  permute k (0 2 1 3)\ngroup conv_1 dw_*: // one code\n  share\n";
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
        assert_eq!(error("schedule 1\nlayer a b:"), "error: expected `:`, found `b`\n --> 2:9");
        assert!(error("schedule 1\nband a:").starts_with("error: a band has one layer, expected two"));
    }
}
