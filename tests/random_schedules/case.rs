//! What a random case is: numbers that decide about a graph, and steps for what it is lowered to.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ir::diag::Diagnostic;
use ir::graph::Graph;
use ir::loops::{Lifetime, Nest, Program, Stmt};
use passes::loops::STEPS;
use passes::loops::step::{self, Step};
use passes::network::{self, ProgramStep, Run, Subject, share};
use passes::schedule::{Content, Kind, Schedule, VERSION};
use test_support::chains::{alike, chain};
use test_support::operators::{self, Rng};

use crate::steps::{forwarded, parsed, random_network_step, random_steps};

/// How many steps a case is meant to take, and how often it may try: each step several times, since most are illegal.
const WANTED_STEPS: (usize, usize) = (4, 9);
const MOST_ATTEMPTS: usize = 8 * STEPS.len();
/// How often a chain tries steps for tensors, for bands and for groups.
const NETWORK_ATTEMPTS: (usize, usize, usize) = (4, 3, 2);
/// How often it tries steps for all layers of a kind at once, which leaves them alike.
const COMMON_ATTEMPTS: usize = 24;

/// What the graphs are: operators, and chains of them.
const GRAPHS: [fn(&mut Rng) -> Option<Graph>; 15] = [
    operators::pointwise_convolution,
    operators::pointwise_convolution,
    operators::convolution,
    operators::convolution,
    operators::neighbour_convolution,
    operators::depthwise_convolution,
    operators::fully_connected,
    operators::addition,
    operators::activation,
    operators::average_pool,
    operators::max_pool,
    chain,
    chain,
    alike,
    alike,
];

/// What a case is made from; less of it makes a smaller case.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Decide about the graph; see [`Rng::replay`].
    pub numbers: Vec<u32>,
    /// In the order in which they apply.
    pub steps: Vec<Scoped>,
}

/// A step with what it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Scoped {
    pub scope: Scope,
    pub step: Step,
}

/// What a step is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Scope {
    Network(Subject),
    Layer(String),
}

/// A step is applied by this: what is shipped, or in one test a wrong one too.
pub type Apply = fn(&Step, &mut Nest) -> Result<(), Diagnostic>;

/// For each step, how often it was accepted and refused.
pub type Counts = BTreeMap<String, [usize; 2]>;

impl Recipe {
    /// The graph; `None` where the numbers make no legal one.
    pub fn graph(&self) -> Option<Graph> {
        graph(&mut Rng::replay(&self.numbers))
    }
}

impl Scoped {
    /// How the step is counted: steps for networks with the kind of their scope.
    pub fn title(&self) -> String {
        match &self.scope {
            Scope::Network(subject) => format!("{} {}", subject.scope(), self.step.name),
            Scope::Layer(_) => self.step.name.clone(),
        }
    }
}

impl Scope {
    /// The line that begins the scope in a schedule.
    fn heading(&self) -> String {
        match self {
            Scope::Network(subject) => format!("{} {}:", subject.scope(), subject.names().join(" ")),
            Scope::Layer(name) => format!("layer {name}:"),
        }
    }
}

/// The steps as a schedule.
pub fn schedule_text(steps: &[Scoped]) -> String {
    let mut text = format!("schedule {VERSION}\n");
    for (at, Scoped { scope, step }) in steps.iter().enumerate() {
        if at == 0 || steps[at - 1].scope != *scope {
            writeln!(text, "{}", scope.heading()).expect("text grows");
        }
        writeln!(text, "  {step}").expect("text grows");
    }
    text
}

/// The steps of a schedule that has names, no patterns, and no alternatives.
pub fn steps_of(schedule: &Schedule) -> Vec<Scoped> {
    let (mut steps, mut current) = (Vec::new(), None);
    for line in &schedule.lines {
        match &line.content {
            Content::Blank => {}
            Content::Scope(scope) => {
                let first = scope.patterns[0].clone();
                current = Some(match scope.kind {
                    Kind::Tensor => Scope::Network(Subject::Tensor(first)),
                    Kind::Band => Scope::Network(Subject::Band(scope.patterns.clone())),
                    Kind::Group => Scope::Network(Subject::Group(scope.patterns.clone())),
                    Kind::Layer => Scope::Layer(first),
                });
            }
            Content::Steps(choices) => {
                let scope = current.as_ref().expect("the parser refuses steps outside of scopes");
                let step = |step: &Step| Scoped { scope: scope.clone(), step: step.clone() };
                steps.extend(choices.iter().flat_map(|choice| &choice.steps).map(step));
            }
        }
    }
    steps
}

fn graph(rng: &mut Rng) -> Option<Graph> {
    rng.of(&GRAPHS)(rng)
}

/// The case of a seed, with what became of the steps that it tried. An error is a case that fails already, with the reason.
pub fn draw(seed: u64) -> Result<(Recipe, Counts), (Recipe, String)> {
    let mut rng = Rng::new(seed);
    let (numbers, graph) = loop {
        let mut own = rng.fork();
        if let Some(graph) = graph(&mut own) {
            break (own.drawn().to_vec(), graph);
        }
    };
    let recipe = Recipe { numbers, steps: Vec::new() };
    let program = match lowering::lower(&graph) {
        Ok(program) => program,
        Err(error) => return Err((recipe, error.to_string())),
    };
    let mut drawing = Drawing { rng, recipe, program, counts: Counts::new() };
    match drawing.steps() {
        Ok(()) => Ok((drawing.recipe, drawing.counts)),
        Err(panic) => Err((drawing.recipe, panic)),
    }
}

/// A case to which steps are added.
struct Drawing {
    rng: Rng,
    recipe: Recipe,
    /// After the steps.
    program: Program,
    counts: Counts,
}

impl Drawing {
    fn steps(&mut self) -> Result<(), String> {
        let group = self.group();
        // Layers that are alike are mostly left so.
        let alike = group.as_ref().is_some_and(|group| self.alike(group)) && self.rng.pick(0, 7) > 0;
        if self.program.layers.len() > 1 && !alike {
            self.network_steps()?;
        }
        if let Some(group) = self.group() {
            self.common_steps(&group)?;
        }
        if !alike {
            self.layer_steps()?;
        }
        if self.program.layers.len() > 1 && !alike && self.rng.pick(0, 3) == 0 {
            self.network_steps()?; // Tensors that layers see in their own ways by then.
        }
        for _ in 0..NETWORK_ATTEMPTS.2 {
            if let Some(group) = self.group() {
                self.group_step(group, "share")?;
            }
        }
        Ok(())
    }

    /// Whether layers could share their code as they are.
    fn alike(&self, group: &[usize]) -> bool {
        let nest = |at: usize| &self.program.layers[at].nest;
        group[1..].iter().all(|at| share::shareable(nest(group[0]), nest(*at)).is_ok())
    }

    fn network_steps(&mut self) -> Result<(), String> {
        for _ in 0..self.rng.size(0, NETWORK_ATTEMPTS.0) {
            self.tensor_step()?;
        }
        for _ in 0..self.rng.size(0, NETWORK_ATTEMPTS.1) {
            self.band_step()?;
        }
        Ok(())
    }

    fn layer_steps(&mut self) -> Result<(), String> {
        let wanted = self.rng.size(WANTED_STEPS.0, WANTED_STEPS.1) + self.program.layers.len();
        for _ in 0..MOST_ATTEMPTS {
            if self.recipe.steps.len() >= wanted {
                break;
            }
            let at = self.rng.size(0, self.program.layers.len() - 1);
            for step in random_steps(&self.program.layers[at].nest, &mut self.rng) {
                self.layer_step(at, step)?;
            }
        }
        Ok(())
    }

    /// Steps for all layers of a group, with a step for the group among them; those that leave the layers unlike are mostly left out.
    fn common_steps(&mut self, group: &[usize]) -> Result<(), String> {
        let shift_at = self.rng.size(0, COMMON_ATTEMPTS);
        let mut alike = self.alike(group);
        for attempt in 0..COMMON_ATTEMPTS {
            if attempt == shift_at {
                self.group_step(group.to_vec(), "common-shift")?;
            }
            for step in random_steps(&self.program.layers[group[0]].nest, &mut self.rng) {
                self.common_step(group, step, &mut alike)?;
            }
        }
        Ok(())
    }

    /// A step for each layer of a group, unless one of them refuses it; `alike` says whether they could share their code.
    fn common_step(&mut self, group: &[usize], step: Step, alike: &mut bool) -> Result<(), String> {
        let mut changed = Vec::new();
        for at in group {
            let nest = &self.program.layers[*at].nest;
            self.recipe.steps.push(Scoped { scope: Scope::Layer(nest.name.clone()), step: step.clone() });
            changed.extend(attempt(&step, nest, &step::apply)?);
        }
        let accepted = changed.len() == group.len();
        if accepted && *alike {
            *alike = changed[1..].iter().all(|nest| share::shareable(&changed[0], nest).is_ok());
            if !*alike && self.rng.pick(0, 7) > 0 {
                *alike = true;
                self.recipe.steps.truncate(self.recipe.steps.len() - group.len());
                return Ok(());
            }
        }
        if accepted {
            for (at, nest) in group.iter().zip(changed) {
                self.program.layers[*at].nest = nest;
            }
        }
        self.count(step.name, accepted, group.len());
        Ok(())
    }

    /// Two or more layers of one kind, mostly; any layers otherwise.
    fn group(&mut self) -> Option<Vec<usize>> {
        let layers = &self.program.layers;
        if layers.len() < 2 {
            return None;
        }
        let first = self.rng.size(0, layers.len() - 2);
        let any = self.rng.pick(0, 9) == 0;
        let is_like = |at: &usize| any || layers[*at].op == layers[first].op;
        let mut group: Vec<usize> = (first..layers.len()).filter(is_like).collect();
        if group.len() > 2 && self.rng.pick(0, 3) == 0 {
            group.pop();
        }
        (group.len() > 1).then_some(group)
    }

    fn layer_step(&mut self, at: usize, step: Step) -> Result<(), String> {
        let nest = &self.program.layers[at].nest;
        let (scope, key) = (Scope::Layer(nest.name.clone()), step.name.clone());
        self.recipe.steps.push(Scoped { scope, step });
        let step = &self.recipe.steps.last().expect("it was pushed").step;
        let changed = attempt(step, nest, &step::apply)?;
        let accepted = changed.is_some();
        if let Some(nest) = changed {
            self.program.layers[at].nest = nest;
        }
        self.count(key, accepted, 1);
        Ok(())
    }

    fn tensor_step(&mut self) -> Result<(), String> {
        let inner = self.program.tensors.iter().filter(|tensor| tensor.lifetime == Lifetime::Temporary);
        let mut names: Vec<String> = inner.map(|tensor| tensor.name.clone()).collect();
        if names.is_empty() || self.rng.pick(0, 11) == 0 {
            names = self.program.tensors.iter().map(|tensor| tensor.name.clone()).collect();
        }
        let subject = Subject::Tensor(self.rng.of(&names));
        if self.rng.pick(0, 3) == 0 {
            return self.flooded(&subject);
        }
        self.any_network_step(subject, |run| matches!(run, Run::Tensor(_)))
    }

    /// A tensor with something around it, in rows of words.
    fn flooded(&mut self, subject: &Subject) -> Result<(), String> {
        let rows = self.rng.of(&["layout planes multiple 4", "layout hwc multiple 4", "encode i16"]);
        let all = ["border", rows, "flood"].map(parsed);
        all.into_iter().try_for_each(|step| self.given_network_step(subject.clone(), step))
    }

    /// A layer without sums as the end of the one in front of it, in one step or in many.
    fn epilogue(&mut self, names: &[String]) -> Result<(), String> {
        let is_plain = |at: &usize| {
            let mut is_plain = true;
            self.program.layers[*at].nest.walk(&mut |_, stmt| is_plain &= !matches!(stmt, Stmt::Reduce(_)));
            is_plain
        };
        let results = |at: usize| {
            let result = self.program.layers[at].args.last();
            result.map(|tensor| self.program.tensors[*tensor].ty.len())
        };
        let is_as_long = |at: &usize| results(*at) == results(at - 1);
        let plain: Vec<usize> = (1..names.len())
            .filter(|at| is_plain(at) && (is_as_long(at) || self.rng.pick(0, 3) == 0))
            .collect();
        if plain.is_empty() {
            return Ok(());
        }
        let at = self.rng.of(&plain);
        let (band, n_before) = (Subject::Band(names[at - 1..=at].to_vec()), names.len());
        if self.rng.pick(0, 1) == 0 {
            return self.given_network_step(band, parsed("epilogue"));
        }
        self.given_network_step(band, parsed("join"))?;
        if self.program.layers.len() < n_before {
            let steps = forwarded(&self.program.layers[at - 1].nest);
            steps.into_iter().try_for_each(|step| self.layer_step(at - 1, step))?;
        }
        Ok(())
    }

    fn band_step(&mut self) -> Result<(), String> {
        let names: Vec<String> = self.program.layers.iter().map(|layer| layer.nest.name.clone()).collect();
        if names.len() < 2 {
            return Ok(());
        }
        if self.rng.pick(0, 1) == 0 {
            return self.epilogue(&names);
        }
        let length = self.rng.size(2, names.len().min(3));
        let from = self.rng.size(0, names.len() - length);
        let subject = Subject::Band(names[from..from + length].to_vec());
        self.any_network_step(subject, |run| matches!(run, Run::Band(_)))
    }

    /// A step of this name, more often than not without words that it does not know.
    fn group_step(&mut self, group: Vec<usize>, name: &str) -> Result<(), String> {
        let names = group.iter().map(|at| self.program.layers[*at].nest.name.clone()).collect();
        let def = network::STEPS.iter().find(|def| def.name == name && matches!(def.run, Run::Group(_)));
        self.network_step(Subject::Group(names), def.expect("there is such a step"))
    }

    fn any_network_step(&mut self, subject: Subject, suits: fn(&Run) -> bool) -> Result<(), String> {
        let defs: Vec<_> = network::STEPS.iter().filter(|def| suits(&def.run)).copied().collect();
        let def = self.rng.of(&defs);
        self.network_step(subject, &def)
    }

    fn network_step(&mut self, subject: Subject, def: &ProgramStep) -> Result<(), String> {
        let step = random_network_step(def, &self.program.layers[0].nest, &mut self.rng);
        self.given_network_step(subject, step)
    }

    fn given_network_step(&mut self, subject: Subject, step: Step) -> Result<(), String> {
        let scoped = Scoped { scope: Scope::Network(subject.clone()), step };
        let title = scoped.title();
        self.recipe.steps.push(scoped);
        let step = &self.recipe.steps.last().expect("it was pushed").step;
        let changed = attempt(step, &self.program, &|step: &Step, program: &mut Program| {
            network::apply(step, program, &subject)
        })?;
        let accepted = changed.is_some();
        if let Some(program) = changed {
            self.program = program;
        }
        self.count(title, accepted, 1);
        Ok(())
    }

    /// Steps for so many layers, the last ones of the case; refused ones are no part of it.
    fn count(&mut self, key: String, accepted: bool, number: usize) {
        self.counts.entry(key).or_default()[usize::from(!accepted)] += number;
        if !accepted {
            self.recipe.steps.truncate(self.recipe.steps.len() - number);
        }
    }
}

/// What a step makes of a nest or of a program, `None` where it is refused, an error where it panics.
pub fn attempt<T: Clone>(
    step: &Step,
    before: &T,
    apply: &dyn Fn(&Step, &mut T) -> Result<(), Diagnostic>,
) -> Result<Option<T>, String> {
    let mut changed = before.clone();
    match catch_unwind(AssertUnwindSafe(|| apply(step, &mut changed))) {
        Err(_) => Err(format!("`{step}` panics")),
        Ok(Err(_)) => Ok(None),
        Ok(Ok(())) => Ok(Some(changed)),
    }
}
