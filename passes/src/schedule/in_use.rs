//! The schedule in use: what each layer of a program really gets, under its own name.
//!
//! Every layer has a scope, in the order of the program, also where it gets no step. Patterns are replaced by names, and steps joined by
//! `or` by the one that applied. Comments stay with the steps, those directly above a scope with the scope.

use ir::diag::Diagnostic;
use ir::loops::{Nest, Program};

use super::{Choice, Content, Line, Schedule, Scope, fits};

impl Schedule {
    /// The schedule that says of each layer of a lowered program what this one does with it.
    pub fn in_use(&self, program: &Program) -> Result<Schedule, Diagnostic> {
        self.apply(&mut program.clone(), &mut |_, _| {})?;
        let (head, groups) = self.groups();
        let mut lines = head.to_vec();
        for layer in &program.layers {
            let mine: Vec<&Group> =
                groups.iter().filter(|group| fits(&group.scope.pattern, &layer.nest.name)).collect();
            lines.extend(mine.iter().flat_map(|group| group.above.iter().cloned()));
            lines.push(heading(&layer.nest.name, &mine));
            let mut nest = layer.nest.clone();
            for line in mine.iter().flat_map(|group| group.below) {
                lines.push(resolved(line, &mut nest)?);
            }
        }
        Ok(Schedule { lines })
    }

    /// What stands before the first scope, and the scopes.
    fn groups(&self) -> (&[Line], Vec<Group<'_>>) {
        let is_scope = |at: &usize| matches!(self.lines[*at].content, Content::Layer(_));
        let heads: Vec<usize> = (0..self.lines.len()).filter(is_scope).collect();
        // Comments directly above a scope are about it.
        let is_comment = |line: &Line| line.content == Content::Blank && line.comment.is_some();
        let first =
            |head: usize| head - self.lines[..head].iter().rev().take_while(|l| is_comment(l)).count();
        let ends = heads.iter().skip(1).map(|head| first(*head)).chain([self.lines.len()]);
        let group = |(head, end): (&usize, usize)| match &self.lines[*head].content {
            Content::Layer(scope) => {
                let comment = self.lines[*head].comment.as_deref();
                let (above, below) = (&self.lines[first(*head)..*head], &self.lines[head + 1..end]);
                Group { above, scope, comment, below }
            }
            _ => unreachable!("it is a scope"),
        };
        let before = heads.first().map_or(self.lines.len(), |head| first(*head));
        (&self.lines[..before], heads.iter().zip(ends).map(group).collect())
    }
}

/// A scope with its lines.
struct Group<'a> {
    above: &'a [Line],
    scope: &'a Scope,
    comment: Option<&'a str>,
    below: &'a [Line],
}

/// The line that begins the scope of one layer.
fn heading(name: &str, groups: &[&Group]) -> Line {
    let comments: Vec<&str> = groups.iter().filter_map(|group| group.comment).collect();
    let place = groups.first().map_or(super::START, |group| group.scope.place);
    let content = Content::Layer(Scope { pattern: name.into(), place });
    Line { content, comment: (!comments.is_empty()).then(|| comments.join("; ")) }
}

/// The line with the steps that apply.
fn resolved(line: &Line, nest: &mut Nest) -> Result<Line, Diagnostic> {
    let Content::Steps(choices) = &line.content else { return Ok(line.clone()) };
    let mut applied = Vec::new();
    for choice in choices {
        let step = choice.apply(nest)?.clone();
        applied.push(Choice { steps: vec![step], place: choice.place });
    }
    Ok(Line { content: Content::Steps(applied), comment: line.comment.clone() })
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
