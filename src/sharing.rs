//! Which layers of a network run one code: those that are alike, where that takes fewer bytes and hardly more cycles.
//!
//! Layers of one shape come together first. Layers of other shapes join a group one after the other as long as all of them together stay
//! within what sharing may cost; what does not fit begins a group of its own.

use std::collections::BTreeMap;

use ir::diag::Diagnostic;
use ir::loops::alike::Alike;
use ir::loops::{BufferId, Nest, Program};
use isel_thumb2::emit::Names;
use isel_thumb2::layer::{self, Options};
use isel_thumb2::select::{Member, Offsets};
use passes::schedule::Schedule;
use rayon::prelude::*;

/// What sharing may cost at most.
const SLOWER_BY_PERCENT: u64 = 1;
/// Groups that a layer tries to join at most.
const ATTEMPTS: usize = 3;
/// Bytes and cycles of what leads a layer to the code that it shares: three instructions.
const THUNK: (usize, u64) = (12, 6);
/// Bytes of a parameter.
const WORD_BYTES: usize = 4;
/// What buffers are aligned to where their places are not known yet.
const ALIGN: u32 = 8;

/// Layers of one shape, or a group of them.
#[derive(Clone, Debug, Default)]
struct Unit {
    /// Their numbers.
    members: Vec<usize>,
    /// What they cost with code of their own.
    apart: Cost,
    /// Whether one code for all of them is known to pay.
    pays: bool,
}

/// What layers cost together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    /// Predicted cycles of one call of each.
    cycles: u64,
    /// Bytes of code and of tables of parameters.
    bytes: usize,
}

/// The schedule with groups of layers behind it that share their code, for a lowered program.
pub fn with_groups(program: &Program, schedule: &Schedule, options: Options) -> Result<Schedule, Diagnostic> {
    let mut program = program.clone();
    schedule.apply(&mut program, &mut |_, _| {})?;
    let mut nests: Vec<Nest> = program.layers.into_iter().map(|layer| layer.nest).collect();
    nests.iter_mut().try_for_each(passes::loops::legalize)?;
    let mut text = schedule.to_string();
    for group in groups(&nests, options) {
        let names: Vec<&str> = group.iter().map(|number| nests[*number].name.as_str()).collect();
        text.push_str(&format!("group {}:\n  share\n", names.join(" ")));
    }
    Schedule::parse(&text)
}

/// Layers that should share their code, by number, two or more in each group.
fn groups(nests: &[Nest], options: Options) -> Vec<Vec<usize>> {
    let mut kinds: Vec<Vec<usize>> = Vec::new();
    for (number, nest) in nests.iter().enumerate() {
        match kinds.iter_mut().find(|kind| Alike::new(&nests[kind[0]], nest).is_ok()) {
            Some(kind) => kind.push(number),
            None => kinds.push(vec![number]),
        }
    }
    kinds.retain(|kind| kind.len() > 1);
    let found: Vec<Vec<Vec<usize>>> = kinds.par_iter().map(|kind| of_kind(nests, kind, options)).collect();
    found.into_iter().flatten().collect()
}

/// The groups among layers that are alike.
fn of_kind(nests: &[Nest], kind: &[usize], options: Options) -> Vec<Vec<usize>> {
    let mut units: Vec<Unit> = Vec::new();
    for number in kind {
        let Some(cost) = cost(nests, &[*number], options) else { continue };
        let at = units.iter().position(|unit| same_shape(&nests[unit.members[0]], &nests[*number]));
        match at {
            Some(at) => {
                units[at] = units[at].with(&Unit { members: vec![*number], apart: cost, pays: false })
            }
            None => units.push(Unit { members: vec![*number], apart: cost, pays: false }),
        }
    }
    let mut groups: Vec<Unit> = Vec::new();
    for unit in units {
        let mut attempts = 0;
        let joined = groups.iter().position(|group| {
            attempts += 1;
            attempts <= ATTEMPTS && pays(nests, &group.with(&unit), options)
        });
        match joined {
            Some(at) => groups[at] = Unit { pays: true, ..groups[at].with(&unit) },
            None => groups.push(unit),
        }
    }
    groups.retain(|group| group.members.len() > 1 && (group.pays || pays(nests, group, options)));
    groups.into_iter().map(|group| group.members).collect()
}

/// Whether one code for all takes fewer bytes in about as many cycles.
fn pays(nests: &[Nest], unit: &Unit, options: Options) -> bool {
    let within = |shared: Cost| {
        shared.cycles * 100 <= unit.apart.cycles * (100 + SLOWER_BY_PERCENT)
            && shared.bytes < unit.apart.bytes
    };
    cost(nests, &unit.members, options).is_some_and(within)
}

/// What layers cost that share their code, or one with code of its own; `None` where no code can be made.
fn cost(nests: &[Nest], members: &[usize], options: Options) -> Option<Cost> {
    let offsets: Vec<Offsets> =
        members.iter().enumerate().map(|(at, number)| apart(&nests[*number], ALIGN * at as u32)).collect();
    let all = members.iter().zip(&offsets).map(|(number, offsets)| Member { nest: &nests[*number], offsets });
    let all: Vec<Member> = all.collect();
    let names = Names { symbol: nests[members[0]].name.clone(), constant: &|_| String::new(), line: &|_| 0 };
    let shared = layer::compile_shared(&all, &names, options).ok()?;
    let mut cost = Cost {
        cycles: shared.bodies.iter().map(|body| body.cycles(options.core)).sum(),
        bytes: shared.bodies[0].code.bytes.len(),
    };
    if all.len() > 1 {
        cost.bytes += all.len() * (THUNK.0 + WORD_BYTES * shared.parameters.len());
        cost.cycles += all.len() as u64 * THUNK.1;
    }
    Some(cost)
}

/// Whether all numbers of two nests that are alike are the same.
fn same_shape(first: &Nest, other: &Nest) -> bool {
    let Ok(alike) = Alike::new(first, other) else { return false };
    let same_buffer = |(a, b): (&BufferId, &BufferId)| {
        let (a, b) = (&first.buffers[a.idx()], &other.buffers[b.idx()]);
        a.shape == b.shape && a.map == b.map
    };
    alike.loops.iter().all(|(a, b)| a.extent == b.extent) && alike.buffers.iter().all(same_buffer)
}

/// Parameters and scratch one after the other.
fn apart(nest: &Nest, start: u32) -> BTreeMap<BufferId, u32> {
    let mut end = start;
    let mut offset = |buffer: BufferId| {
        let at = end;
        end += (nest.buffers[buffer.idx()].bytes() as u32).next_multiple_of(ALIGN);
        (buffer, at)
    };
    nest.buffers_where(|buffer| !buffer.is_const()).map(&mut offset).collect()
}

impl Unit {
    /// Both together, in the order of their numbers.
    fn with(&self, other: &Unit) -> Self {
        let mut members = [&self.members[..], &other.members[..]].concat();
        members.sort_unstable();
        let apart = Cost {
            cycles: self.apart.cycles + other.apart.cycles,
            bytes: self.apart.bytes + other.apart.bytes,
        };
        Self { members, apart, pays: false }
    }
}

#[cfg(test)]
mod tests {
    use ir::loops::text::parse_nest;
    use isel_thumb2::cores::m4::CortexM4;

    use super::*;

    fn products(name: &str, [pixels, channels, sums]: [u32; 3], shift: u32) -> Nest {
        let text = format!(
            "loops @{name}(x: i8[{pixels}, {channels}], w: i8[{sums}, {channels}], y: i8[{pixels}, {sums}]) {{
               for p in 0..{pixels} {{
                 for n in 0..{sums} {{
                   reduce a: i32 over k in 0..{channels} {{
                     init {{ a = 0 }}
                     update {{ a = add a, mul(sext(x[p, k]), sext(w[n, k])) }}
                     finish {{ y[p, n] = ssat a {{bits = 8, asr = {shift}}} }}
                   }}
                 }}
               }}
             }}"
        );
        parse_nest(&text).expect("a nest")
    }

    fn found(nests: &[Nest]) -> Vec<Vec<usize>> {
        groups(nests, Options::new(&CortexM4, true))
    }

    #[test]
    fn layers_that_are_alike_share() {
        let (a, b) = (products("a", [24, 16, 16], 3), products("b", [24, 16, 16], 3));
        let (c, d) = (products("c", [24, 16, 16], 4), products("d", [40, 16, 20], 3));
        assert_eq!(found(&[a.clone(), c.clone(), b, d]), [[0, 2, 3]]);
        assert_eq!(found(&[a, c]), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn what_hardly_runs_does_not_share() {
        let small = |name| products(name, [2, 2, 1], 3);
        assert_eq!(found(&[small("a"), small("b")]), Vec::<Vec<usize>>::new());
    }
}
