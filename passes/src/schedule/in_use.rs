//! The schedule in use: what each tensor, band, layer and group of a program really gets, under its own name.
//!
//! Scopes keep their order. Those for layers that stand in a row are put together: each layer has its steps in one scope, in the order of
//! the program. The first of these rows, behind the tensors and bands that the text begins with, names every layer, also where it gets no step.
//! Patterns are replaced by names, and steps joined by `or` by the one that applied. Comments stay with the steps, those directly above a
//! scope with the scope.

use ir::diag::Diagnostic;
use ir::loops::Program;

use super::apply::{Group, apply_to_layers, apply_to_network, runs};
use super::{Content, Kind, Line, Schedule, Scope};

impl Schedule {
    /// The schedule that says of each part of a lowered program what this one does with it.
    pub fn in_use(&self, program: &Program) -> Result<Schedule, Diagnostic> {
        let mut program = program.clone();
        let (head, groups) = self.groups();
        let mut lines = head.to_vec();
        let is_early = |group: &&Group| matches!(group.scope.kind, Kind::Tensor | Kind::Band);
        let (early, rest) = groups.split_at(groups.iter().take_while(is_early).count());
        let is_layer = |group: &&Group| group.scope.kind == Kind::Layer;
        let (first, rest) = rest.split_at(rest.iter().take_while(is_layer).count());
        early.iter().try_for_each(|group| network(group, &mut program, &mut lines))?;
        layers(first, &mut program, &mut |_| true, &mut lines)?;
        for run in runs(rest) {
            if run[0].scope.kind == Kind::Layer {
                layers(run, &mut program, &mut |fitting| !fitting.is_empty(), &mut lines)?;
            } else {
                network(&run[0], &mut program, &mut lines)?;
            }
        }
        Ok(Schedule { lines })
    }
}

/// A scope for the program, once for each subject.
fn network(group: &Group, program: &mut Program, lines: &mut Vec<Line>) -> Result<(), Diagnostic> {
    apply_to_network(group, program, &mut |subject, applied| {
        lines.extend_from_slice(group.above);
        lines.push(heading(group.scope.kind, subject.names().to_vec(), &[*group]));
        lines.extend(applied);
    })
}

/// Scopes for layers, of which those are named that `names` wants.
fn layers(
    run: &[Group],
    program: &mut Program,
    names: &mut dyn FnMut(&[Group]) -> bool,
    lines: &mut Vec<Line>,
) -> Result<(), Diagnostic> {
    apply_to_layers(run, program, &mut |_, _| {}, &mut |name, fitting, applied| {
        if names(fitting) {
            lines.extend(fitting.iter().flat_map(|group| group.above.iter().cloned()));
            lines.push(heading(Kind::Layer, vec![name.to_string()], fitting));
            lines.extend(applied);
        }
    })
}

/// The line that begins a scope.
fn heading(kind: Kind, patterns: Vec<String>, groups: &[Group]) -> Line {
    let comments: Vec<&str> = groups.iter().filter_map(|group| group.comment).collect();
    let place = groups.first().map_or(super::START, |group| group.scope.place);
    let content = Content::Scope(Scope { kind, patterns, place });
    Line { content, comment: (!comments.is_empty()).then(|| comments.join("; ")) }
}

#[cfg(test)]
mod tests {
    use ir::loops::text::parse_nest;
    use ir::loops::{Layer, Program};

    use super::*;

    fn program(names: &[&str]) -> Program {
        let nest = |name: &str| {
            let text = format!("loops @{name}(x: i32[12]) {{ for i in 0..12 {{ x[i] = add x[i], 1 }} }}");
            parse_nest(&text).expect("it is legal")
        };
        let layer = |name: &&str| Layer {
            nest: nest(name),
            args: vec![0],
            op: "add".into(),
            macs: 0,
            sources: Vec::new(),
            shares: None,
        };
        Program { name: "net".into(), tensors: Vec::new(), layers: names.iter().map(layer).collect() }
    }

    #[test]
    fn every_layer_has_its_steps_under_its_name() {
        let text = "schedule 1\n// All.\n\n// Both.\nlayer add_*: // why\n  unroll i 5 or tile i 4 // four\nlayer add_1:\n  unroll i.i\n";
        let schedule = Schedule::parse(text).expect("it is legal");
        let program = program(&["add_1", "copy_2", "add_3"]);
        let in_use = schedule.in_use(&program).expect("it applies");
        let wanted = "schedule 1\n// All.\n\n// Both.\nlayer add_1: // why\n  tile i 4 // four\n  unroll i.i\nlayer copy_2:\n// Both.\nlayer add_3: // why\n  tile i 4 // four\n";
        assert_eq!(in_use.to_string(), wanted);
        assert_eq!(in_use.in_use(&program).expect("it applies").to_string(), wanted);
    }

    #[test]
    fn no_schedule_names_the_layers() {
        let in_use = Schedule::default().in_use(&program(&["a", "b"])).expect("it applies");
        assert_eq!(in_use.to_string(), "schedule 1\nlayer a:\nlayer b:\n");
    }
}
