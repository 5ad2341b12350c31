//! Applies schedules: scope after scope, in the order of the text.

use ir::diag::Diagnostic;
use ir::loops::verify::{verify, verify_program};
use ir::loops::{Layer, Nest, Program};

use rayon::prelude::*;

use super::{Choice, Content, Kind, Line, Schedule, Scope, fits};
use crate::loops::step::{self, Step};
use crate::network::{self, Subject, share};

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
    /// Applies the scopes one after the other; `after` sees each nest after each step for layers.
    ///
    /// A scope that fits nothing that is there when its turn comes is an error: it is a misspelt name.
    pub fn apply(
        &self,
        program: &mut Program,
        after: &mut dyn FnMut(&Step, &Nest),
    ) -> Result<(), Diagnostic> {
        for run in runs(&self.groups().1) {
            if run[0].scope.kind == Kind::Layer {
                apply_to_layers(run, program, after, &mut |_, _, _| {})?;
            } else {
                apply_to_network(&run[0], program, &mut |_, _| {})?;
            }
        }
        Ok(())
    }

    /// The same without an observer: layers that scopes in a row are for are changed in parallel.
    pub fn apply_in_parallel(&self, program: &mut Program) -> Result<(), Diagnostic> {
        for run in runs(&self.groups().1) {
            if run[0].scope.kind != Kind::Layer {
                apply_to_network(&run[0], program, &mut |_, _| {})?;
                continue;
            }
            let partners = partners(run, program)?;
            let layers = program.layers.par_iter_mut().zip(partners);
            let apply = |(layer, partner): (&mut Layer, Option<String>)| {
                apply_to_layer(run, &mut layer.nest, partner.as_deref(), &mut |_, _| {}).map(|_| ())
            };
            let applied: Vec<Result<(), Diagnostic>> = layers.map(apply).collect();
            applied.into_iter().collect::<Result<(), Diagnostic>>()?; // The first layer's error.
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

    /// What the steps for a nest make of it.
    pub fn applied_to(&self, nest: &Nest) -> Result<Nest, Diagnostic> {
        let mut changed = nest.clone();
        for group in self.groups().1.iter().filter(|group| group.scope.fits(Kind::Layer, &nest.name)) {
            for choice in group.below.iter().flat_map(Line::choices) {
                match &choice.steps[..] {
                    [only] => apply_step(only, &mut changed)?, // Nobody needs what a refusal leaves.
                    _ => drop(choice.apply(&mut changed)?),
                }
            }
        }
        Ok(changed)
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

/// Scopes in the order of the text; those for layers that stand in a row are one run, each other scope is a run of its own.
pub(super) fn runs<'g, 'a>(groups: &'g [Group<'a>]) -> impl Iterator<Item = &'g [Group<'a>]> {
    groups.chunk_by(|a, b| a.scope.kind == Kind::Layer && b.scope.kind == Kind::Layer)
}

/// Is told of a layer, with the scopes that fit and the steps of each of their lines that applied.
type Applied<'f, 'a> = dyn FnMut(&str, &[Group<'a>], Vec<Line>) + 'f;

/// Applies a run of scopes for layers; `applied` is told of each layer.
pub(super) fn apply_to_layers<'a>(
    run: &[Group<'a>],
    program: &mut Program,
    after: &mut dyn FnMut(&Step, &Nest),
    applied: &mut Applied<'_, 'a>,
) -> Result<(), Diagnostic> {
    for (number, partner) in partners(run, program)?.into_iter().enumerate() {
        let nest = &mut program.layers[number].nest;
        let (fitting, lines) = apply_to_layer(run, nest, partner.as_deref(), after)?;
        applied(&nest.name, &fitting, lines);
    }
    Ok(())
}

/// For each layer one that it shares its code with, after a look at whether every scope fits some layer.
fn partners(run: &[Group], program: &Program) -> Result<Vec<Option<String>>, Diagnostic> {
    let names = layer_names(program);
    for Group { scope, .. } in run {
        if !names.iter().any(|name| scope.fits(Kind::Layer, name)) {
            return Err(nothing_fits(scope, "layer", &names));
        }
    }
    let partner = |number: usize| share::partner(program, number).map(str::to_string);
    Ok((0..names.len()).map(partner).collect())
}

/// Applies a run of scopes for layers to one layer; gives those that fit, and the steps of their lines that applied.
fn apply_to_layer<'a>(
    run: &[Group<'a>],
    nest: &mut Nest,
    partner: Option<&str>,
    after: &mut dyn FnMut(&Step, &Nest),
) -> Result<(Vec<Group<'a>>, Vec<Line>), Diagnostic> {
    let name = nest.name.clone();
    let fits = |group: &Group| group.scope.fits(Kind::Layer, &name);
    let fitting: Vec<Group> = run.iter().copied().filter(fits).collect();
    let mut lines = Vec::new();
    for line in fitting.iter().flat_map(|group| group.below) {
        lines.push(line.resolved(&mut |choice| {
            if let Some(partner) = partner {
                return Err(shares_already(&name, partner).at(choice.place));
            }
            let step = choice.apply(nest)?;
            after(step, nest);
            Ok(step)
        })?);
    }
    Ok((fitting, lines))
}

/// Applies a scope for the program; `applied` is told of each subject that it fits, with the steps of each line that applied.
pub(super) fn apply_to_network(
    group: &Group,
    program: &mut Program,
    applied: &mut dyn FnMut(&Subject, Vec<Line>),
) -> Result<(), Diagnostic> {
    for subject in subjects(group.scope, program)? {
        let mut lines = Vec::new();
        for line in group.below {
            lines.push(line.resolved(&mut |choice| choice.apply_to_program(program, &subject))?);
        }
        applied(&subject, lines);
    }
    Ok(())
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
        self.first(&what, nest, &apply_step)
    }

    /// As [`Self::apply`], to a part of a program.
    pub fn apply_to_program(&self, program: &mut Program, subject: &Subject) -> Result<&Step, Diagnostic> {
        self.first(&subject.described(), program, &|step, changed| {
            let shared = shared_nests(changed);
            network::apply(step, changed, subject)?;
            still_there(&shared, changed)?;
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

/// Applies one step; a nest that refuses it may be left half changed.
fn apply_step(step: &Step, nest: &mut Nest) -> Result<(), Diagnostic> {
    step::apply(step, nest)?;
    check(step, &nest.name, cfg!(debug_assertions).then(|| verify(nest)));
    Ok(())
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

/// The layers that share their code, each with the name of another one that does.
fn shared_nests(program: &Program) -> Vec<(Nest, String)> {
    let shared = |(number, layer): (usize, &Layer)| {
        let partner = share::partner(program, number)?;
        Some((layer.nest.clone(), partner.to_string()))
    };
    program.layers.iter().enumerate().filter_map(shared).collect()
}

/// Refuses a step that has changed layers whose code is shared: they may differ now.
fn still_there(shared: &[(Nest, String)], program: &Program) -> Result<(), Diagnostic> {
    for (nest, partner) in shared {
        if !program.layers.iter().any(|layer| layer.nest == *nest) {
            return Err(shares_already(&nest.name, partner));
        }
    }
    Ok(())
}

fn shares_already(layer: &str, partner: &str) -> Diagnostic {
    Diagnostic::new(format!("layer `{layer}` shares its code with `{partner}` by now and must stay like it"))
        .help("steps apply in the order of the text: put `share` behind all that change its layers")
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
