//! The schedule in use: what each tensor, band, layer and group of a program really gets, under its own name.
//!
//! Tensors and bands that get steps come first, then every layer, in the order of the program, also where it gets no step, then groups. Patterns are
//! replaced by names, and steps joined by `or` by the one that applied. Comments stay with the steps, those directly above a scope with
//! the scope.

use ir::diag::Diagnostic;
use ir::loops::Program;

use super::apply::Group;
use super::{Content, Kind, Line, Schedule, Scope};
use crate::network::Subject;

impl Schedule {
    /// The schedule that says of each part of a lowered program what this one does with it.
    pub fn in_use(&self, program: &Program) -> Result<Schedule, Diagnostic> {
        let mut program = program.clone();
        self.apply(&mut program.clone(), &mut |_, _| {})?; // For the errors, in their order.
        let (head, groups) = self.groups();
        let mut lines = head.to_vec();
        let named = |lines: &mut Vec<Line>, group: Group, subject: &Subject, applied: Vec<Line>| {
            lines.extend_from_slice(group.above);
            lines.push(heading(group.scope.kind, subject.names().to_vec(), &[&group]));
            lines.extend(applied);
        };
        self.apply_to_network(&[Kind::Tensor, Kind::Band], &mut program, &mut |group, subject, applied| {
            named(&mut lines, group, subject, applied);
        })?;
        for layer in &mut program.layers {
            let name = &layer.nest.name;
            let mine: Vec<&Group> =
                groups.iter().filter(|group| group.scope.fits(Kind::Layer, name)).collect();
            lines.extend(mine.iter().flat_map(|group| group.above.iter().cloned()));
            lines.push(heading(Kind::Layer, vec![name.clone()], &mine));
            for line in mine.iter().flat_map(|group| group.below) {
                lines.push(line.resolved(&mut |choice| choice.apply(&mut layer.nest))?);
            }
        }
        self.apply_to_network(&[Kind::Group], &mut program, &mut |group, subject, applied| {
            named(&mut lines, group, subject, applied);
        })?;
        Ok(Schedule { lines })
    }
}

/// The line that begins a scope.
fn heading(kind: Kind, patterns: Vec<String>, groups: &[&Group]) -> Line {
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
