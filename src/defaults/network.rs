//! The layers of a network with the formats of their tensors, and the drafts of each.

use std::collections::{BTreeMap, BTreeSet};

use ir::diag::Diagnostic;
use ir::loops::Program;
use passes::defaults::{Draft, Epilogue, Format, Traits, epilogues};

use super::choose::Price;
use super::formats::Formatted;
use super::price::Pricer;
use super::search::candidates;
use crate::ram;

/// What decides the drafts of a network.
#[derive(Clone, Copy)]
pub struct Goal<'a> {
    /// Prices them.
    pub pricer: &'a Pricer,
    /// What they may do.
    pub traits: &'a Traits,
    /// Bytes of the arena, if somebody says how many.
    pub ram: Option<u64>,
}

/// Layers with their drafts.
pub struct Network {
    /// The layers, with the formats of their tensors.
    pub program: Program,
    /// The drafts of each.
    pub drafts: Vec<Vec<(Price, Draft)>>,
    /// What they need in the arena.
    pub known: ram::Known,
    /// The scopes that make the program of the plain one.
    pub text: String,
}

impl Network {
    /// The layers of a program as they are.
    pub fn new(plain: &Program, goal: Goal) -> Self {
        let known = ram::Known::default();
        let mut formatted = Formatted::new(plain, goal.traits, goal.ram);
        let drafts = drafts(&mut formatted, goal, &known);
        let text = formatted.formats.iter().map(Format::text).collect();
        Self { program: formatted.program, drafts, known, text }
    }

    /// The same with those layers as part of the sums in front of them that each make these faster, where that is faster.
    pub fn with_epilogues(&self, plain: &Program, goal: Goal) -> Result<Option<Self>, Diagnostic> {
        let mut all = epilogues(plain, &BTreeSet::new());
        if all.is_empty() {
            return Ok(None);
        }
        let mut joined = Self::joined(plain, &all, goal)?;
        let slower = self.slower_in(&joined, &all);
        if !slower.is_empty() {
            all = epilogues(plain, &slower);
            joined = Self::joined(plain, &all, goal)?;
        }
        Ok((joined.cycles() < self.cycles()).then_some(joined))
    }

    fn joined(plain: &Program, epilogues: &[Epilogue], goal: Goal) -> Result<Self, Diagnostic> {
        let mut program = plain.clone();
        epilogues.iter().try_for_each(|epilogue| epilogue.apply(&mut program))?;
        let network = Self::new(&program, goal);
        let text = epilogues.iter().map(Epilogue::text).chain([&*network.text]).collect();
        Ok(Self { text, ..network })
    }

    /// The layers that take longer as part of the sums in front of them.
    fn slower_in(&self, joined: &Network, epilogues: &[Epilogue]) -> BTreeSet<String> {
        let (apart, together) = (self.by_name(), joined.by_name());
        let is_slower = |epilogue: &&Epilogue| {
            let parts: u64 = epilogue.parts.iter().filter_map(|part| apart.get(&**part)).sum();
            // A band that is part of another one is not there.
            together.get(&*epilogue.band).is_some_and(|cycles| *cycles >= parts)
        };
        let slower = epilogues.iter().filter(is_slower);
        slower.flat_map(|epilogue| epilogue.parts[1..].iter().cloned()).collect()
    }

    /// The cycles of the fastest draft of each layer.
    fn by_name(&self) -> BTreeMap<&str, u64> {
        let fastest = |drafts: &[(Price, Draft)]| drafts.iter().map(|(price, _)| price.cycles).min();
        let layers = self.program.layers.iter().zip(&self.drafts);
        layers.filter_map(|(layer, drafts)| Some((&*layer.nest.name, fastest(drafts)?))).collect()
    }

    fn cycles(&self) -> u64 {
        self.by_name().values().sum()
    }
}

/// The drafts of all layers, after formats are taken back that leave too little room in the arena.
fn drafts(formatted: &mut Formatted, goal: Goal, known: &ram::Known) -> Vec<Vec<(Price, Draft)>> {
    let Goal { pricer, traits, ram } = goal;
    let mut drafts = pricer.drafts(&formatted.program.layers, traits);
    loop {
        let candidates: Vec<Vec<ram::Candidate>> = drafts.iter().map(|drafts| candidates(drafts)).collect();
        let peak = ram::peak(&formatted.program, &candidates, ram, known);
        let changed = (peak.bytes > formatted.most).then(|| formatted.relieve(peak.layer)).flatten();
        let Some(changed) = changed else { return drafts };
        for number in changed {
            let layer = std::slice::from_ref(&formatted.program.layers[number]);
            drafts[number] = pricer.drafts(layer, traits).remove(0);
        }
    }
}
