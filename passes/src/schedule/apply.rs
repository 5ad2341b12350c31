//! Applies schedules: tensors, then bands, then layers, then groups.

use ir::diag::Diagnostic;
use ir::loops::verify::{verify, verify_program};
use ir::loops::{Nest, Program};

use super::{Choice, Content, Kind, Line, Schedule, Scope, fits};
use crate::loops::step::{self, Step};
use crate::network::{self, Subject};

/// A scope with its lines.
#[derive(Clone, Copy)]
pub(super) struct Group<'a> {
    /// Comments directly above it.
    pub above: &'a [Line],
    /// What it is for.
    pub scope: &'a Scope,
    /// The comment beside its name.
    pub comment: Option<&'a str>,
    /// Its steps, and comments between them.
    pub below: &'a [Line],
}

impl Schedule {
    /// Applies the schedule to every tensor, band, layer and group that it names; `after` sees each nest after each step for layers.
    ///
    /// A scope that nothing fits is an error: it is a misspelt name.
    pub fn apply(
        &self,
        program: &mut Program,
        after: &mut dyn FnMut(&Step, &Nest),
    ) -> Result<(), Diagnostic> {
        self.apply_to_network(&[Kind::Tensor, Kind::Band], program, &mut |_, _, _| {})?;
        let names = layer_names(program);
        for scope in self.scopes().filter(|scope| scope.kind == Kind::Layer) {
            if !names.iter().any(|name| scope.fits(Kind::Layer, name)) {
                return Err(nothing_fits(scope, "layer", &names));
            }
        }
        program.layers.iter_mut().try_for_each(|layer| self.apply_to(&mut layer.nest, after))?;
        self.apply_to_network(&[Kind::Group], program, &mut |_, _, _| {})
    }

    /// Applies what is for the program; `applied` is told of each subject that a scope fits, with the steps of each line that applied.
    pub(super) fn apply_to_network<'a>(
        &'a self,
        kinds: &[Kind],
        program: &mut Program,
        applied: &mut dyn FnMut(Group<'a>, &Subject, Vec<Line>),
    ) -> Result<(), Diagnostic> {
        let (_, groups) = self.groups();
        for kind in kinds {
            for group in groups.iter().filter(|group| group.scope.kind == *kind) {
                for subject in subjects(group.scope, program)? {
                    let mut lines = Vec::new();
                    for line in group.below {
                        lines.push(line.resolved(&mut |choice| choice.apply_to_program(program, &subject))?);
                    }
                    applied(*group, &subject, lines);
                }
            }
        }
        Ok(())
    }

    /// Applies the steps for one nest.
    pub fn apply_to(&self, nest: &mut Nest, after: &mut dyn FnMut(&Step, &Nest)) -> Result<(), Diagnostic> {
        for group in self.groups().1 {
            if !group.scope.fits(Kind::Layer, &nest.name) {
                continue;
            }
            for choice in group.below.iter().flat_map(Line::choices) {
                let step = choice.apply(nest)?;
                after(step, nest);
            }
        }
        Ok(())
    }

    /// What stands before the first scope, and the scopes.
    pub(super) fn groups(&self) -> (&[Line], Vec<Group<'_>>) {
        let is_scope = |at: &usize| matches!(self.lines[*at].content, Content::Scope(_));
        let heads: Vec<usize> = (0..self.lines.len()).filter(is_scope).collect();
        // Comments directly above a scope are about it.
        let is_comment = |line: &Line| line.content == Content::Blank && line.comment.is_some();
        let first =
            |head: usize| head - self.lines[..head].iter().rev().take_while(|l| is_comment(l)).count();
        let ends = heads.iter().skip(1).map(|head| first(*head)).chain([self.lines.len()]);
        let group = |((head, end), scope): ((&usize, usize), _)| {
            let comment = self.lines[*head].comment.as_deref();
            let (above, below) = (&self.lines[first(*head)..*head], &self.lines[head + 1..end]);
            Group { above, scope, comment, below }
        };
        let before = heads.first().map_or(self.lines.len(), |head| first(*head));
        (&self.lines[..before], heads.iter().zip(ends).zip(self.scopes()).map(group).collect())
    }

    fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.lines.iter().filter_map(|line| match &line.content {
            Content::Scope(scope) => Some(scope),
            _ => None,
        })
    }
}

impl Line {
    /// The steps of the line, each with its alternatives.
    fn choices(&self) -> &[Choice] {
        match &self.content {
            Content::Steps(choices) => choices,
            Content::Blank | Content::Scope(_) => &[],
        }
    }

    /// The line with the steps that `apply` says have applied.
    pub(super) fn resolved<'a>(
        &'a self,
        apply: &mut dyn FnMut(&'a Choice) -> Result<&'a Step, Diagnostic>,
    ) -> Result<Line, Diagnostic> {
        let Content::Steps(choices) = &self.content else { return Ok(self.clone()) };
        let mut applied = Vec::new();
        for choice in choices {
            applied.push(Choice { steps: vec![apply(choice)?.clone()], place: choice.place });
        }
        Ok(Line { content: Content::Steps(applied), comment: self.comment.clone() })
    }
}

impl Choice {
    /// Applies the first legal step to a nest and gives it; if none is, the reasons of all are given.
    pub fn apply(&self, nest: &mut Nest) -> Result<&Step, Diagnostic> {
        let what = format!("layer `{}`", nest.name);
        self.first(&what, nest, &|step, changed| {
            step::apply(step, changed)?;
            check(step, &changed.name, cfg!(debug_assertions).then(|| verify(changed)));
            Ok(())
        })
    }

    /// As [`Self::apply`], to a part of a program.
    pub fn apply_to_program(&self, program: &mut Program, subject: &Subject) -> Result<&Step, Diagnostic> {
        self.first(&subject.described(), program, &|step, changed| {
            network::apply(step, changed, subject)?;
            check(step, &changed.name, cfg!(debug_assertions).then(|| verify_program(changed)));
            Ok(())
        })
    }

    fn first<T: Clone>(
        &self,
        what: &str,
        target: &mut T,
        apply: &dyn Fn(&Step, &mut T) -> Result<(), Diagnostic>,
    ) -> Result<&Step, Diagnostic> {
        let mut refused = Vec::new();
        for step in &self.steps {
            let mut changed = target.clone();
            match apply(step, &mut changed) {
                Ok(()) => {
                    *target = changed;
                    return Ok(step);
                }
                Err(error) => refused.push((step, error)),
            }
        }
        let error = all_reasons(refused);
        Err(Diagnostic { message: format!("{what}: {}", error.message), place: Some(self.place), ..error })
    }
}

/// Why none of the alternatives is legal, and what of each would be.
fn all_reasons(refused: Vec<(&Step, Diagnostic)>) -> Diagnostic {
    if let [(_, only)] = &refused[..] {
        return only.clone();
    }
    let reason = |(step, error): &(&Step, Diagnostic)| format!("`{step}`: {}", error.message);
    let help =
        |(step, error): &(&Step, Diagnostic)| error.help.as_ref().map(|help| format!("`{step}`: {help}"));
    let message: Vec<String> = refused.iter().map(reason).collect();
    let helps: Vec<String> = refused.iter().filter_map(help).collect();
    Diagnostic {
        message: format!("no alternative is legal: {}", message.join("; ")),
        help: (!helps.is_empty()).then(|| helps.join("; ")),
        place: None,
    }
}

/// In debug builds the verifier looks at what a step leaves.
fn check(step: &Step, name: &str, errors: Option<Vec<Diagnostic>>) {
    let errors = errors.unwrap_or_default();
    assert!(errors.is_empty(), "`{step}` broke `{name}`: {errors:?}");
}

/// What a scope for tensors, bands or groups names.
fn subjects(scope: &Scope, program: &Program) -> Result<Vec<Subject>, Diagnostic> {
    let layers = layer_names(program);
    if scope.kind == Kind::Tensor {
        let names: Vec<String> = program.tensors.iter().map(|tensor| tensor.name.clone()).collect();
        let found: Vec<Subject> = names
            .iter()
            .filter(|name| scope.fits(Kind::Tensor, name))
            .cloned()
            .map(Subject::Tensor)
            .collect();
        return if found.is_empty() { Err(nothing_fits(scope, "tensor", &names)) } else { Ok(found) };
    }
    if scope.kind == Kind::Group {
        return group(scope, &layers).map(|names| vec![Subject::Group(names)]);
    }
    let mut found = Vec::new();
    let mut rest = &layers[..];
    let length = scope.patterns.len();
    while rest.len() >= length {
        let is_band = scope.patterns.iter().zip(rest).all(|(pattern, name)| fits(pattern, name));
        if is_band {
            found.push(Subject::Band(rest[..length].to_vec()));
        }
        rest = &rest[if is_band { length } else { 1 }..];
    }
    if found.is_empty() {
        return Err(nothing_fits(scope, "layer", &layers));
    }
    Ok(found)
}

/// The layers that one of the patterns fits; each must fit some.
fn group(scope: &Scope, layers: &[String]) -> Result<Vec<String>, Diagnostic> {
    for pattern in &scope.patterns {
        if !layers.iter().any(|name| fits(pattern, name)) {
            let one = Scope { patterns: vec![pattern.clone()], ..scope.clone() };
            return Err(nothing_fits(&one, "layer", layers));
        }
    }
    let is_named = |name: &&String| scope.patterns.iter().any(|pattern| fits(pattern, name));
    let names: Vec<String> = layers.iter().filter(is_named).cloned().collect();
    match &names[..] {
        [only] => {
            let message = format!("the group has one layer, `{only}`, expected two or more");
            Err(Diagnostic::new(message)
                .at(scope.place)
                .help(format!("the layers are {}", layers.join(", "))))
        }
        _ => Ok(names),
    }
}

fn nothing_fits(scope: &Scope, what: &str, names: &[String]) -> Diagnostic {
    let message = match scope.kind {
        Kind::Band => format!("no layers that follow each other are called `{}`", scope.patterns.join("` `")),
        Kind::Tensor | Kind::Layer | Kind::Group => {
            format!("no {what} is called `{}`", scope.patterns.join(" "))
        }
    };
    Diagnostic::new(message).at(scope.place).help(format!("the {what}s are {}", names.join(", ")))
}

fn layer_names(program: &Program) -> Vec<String> {
    program.layers.iter().map(|layer| layer.nest.name.clone()).collect()
}
