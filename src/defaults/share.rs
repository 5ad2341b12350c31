//! Which layers run one code: those of one form, as far as that takes fewer bytes and hardly more cycles.

use std::collections::BTreeMap;
use std::sync::Mutex;

use ir::loops::walk::{StmtNo, walk};
use ir::loops::{Nest, Stmt};
use isel_thumb2::emit::Names;
use isel_thumb2::layer;
use isel_thumb2::select::{Member, Offsets};
use passes::loops::common_types::common_types;
use passes::loops::legalize;
use rayon::prelude::*;

use super::choose::Body;
use super::price::{Pricer, apart};

/// What sharing may cost all layers together where nobody is short of bytes.
const SLOWER_BY_PERMILLE: u64 = 10;
/// Bytes and cycles of what leads a layer to the code that it shares: three instructions.
const THUNK: (usize, u64) = (12, 6);
/// Bytes of a parameter.
const WORD_BYTES: usize = 4;

/// What layers cost together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Predicted cycles of one call of each.
    pub cycles: u64,
    /// Bytes of code and of tables of parameters, and of what other tables grow.
    pub bytes: usize,
}

/// Who runs which code, and the bytes of all codes.
pub struct Groups {
    /// All layers that have others of their form.
    pub groups: Vec<Group>,
    /// Of code, tables of parameters, and what leads to them.
    pub bytes: usize,
}

/// Layers that run one code, one or several of them, and what it costs.
#[derive(Clone)]
pub struct Group {
    /// By number, in ascending order, with the cycles of each where it has code of its own.
    pub layers: BTreeMap<usize, u64>,
    /// All of them together.
    pub cost: Cost,
}

/// What codes have been found to cost, by those whom they serve.
#[derive(Debug, Default)]
pub struct Known(Mutex<BTreeMap<Vec<Body>, Option<Cost>>>);

/// Looks for the layers that are to share their code.
pub struct Sharing<'a> {
    /// By number, as their steps leave them.
    pub nests: &'a BTreeMap<usize, (Body, &'a Nest)>,
    /// Cycles that a byte is worth while there are too many.
    pub rate: f64,
    /// Bytes of all codes that are not too many.
    pub enough: usize,
    /// Knows what many cost alone.
    pub pricer: &'a Pricer,
    /// What others do not ask for again.
    pub known: &'a Known,
}

/// Two groups of a kind that could be one.
struct Merger {
    kind: usize,
    /// The position of the first of both; the other one is behind it.
    at: usize,
    group: Group,
    /// Cycles that it costs.
    slower: u64,
    /// Bytes that it saves.
    saved: usize,
}

impl Groups {
    /// Cycles that sharing costs.
    pub fn slower(&self) -> u64 {
        self.groups.iter().map(|group| group.cost.cycles.saturating_sub(group.alone())).sum()
    }
}

impl Group {
    /// The cycles of all where each has code of its own.
    fn alone(&self) -> u64 {
        self.layers.values().sum()
    }

    /// What a layer has of the cycles of all.
    pub fn cycles_of(&self, layer: usize) -> u64 {
        let own = u128::from(self.layers[&layer]);
        (own * u128::from(self.cost.cycles) / u128::from(self.alone().max(1))) as u64
    }
}

impl Merger {
    /// Cycles for each byte.
    fn price(&self) -> f64 {
        self.slower as f64 / self.saved as f64
    }
}

impl Sharing<'_> {
    /// The groups among layers; `kinds` are those of one form. Groups of a kind whose numbers differ least merge for as long as that
    /// pays, those first that cost the fewest cycles for each byte.
    pub fn groups(&self, kinds: Vec<Vec<usize>>) -> Groups {
        let mut kinds: Vec<Vec<Group>> = kinds.into_par_iter().map(|kind| self.alone(kind)).collect();
        let cycles: u64 = kinds.iter().flatten().map(|group| group.cost.cycles).sum();
        let mut spare = cycles * SLOWER_BY_PERMILLE / 1000;
        loop {
            let bytes = kinds.iter().flatten().map(|group| group.cost.bytes).sum();
            let is_short = bytes > self.enough;
            let Some(Merger { kind, at, group, slower, .. }) = self.cheapest(&kinds, is_short, spare) else {
                return Groups { groups: kinds.into_iter().flatten().collect(), bytes };
            };
            kinds[kind].splice(at..at + 2, [group]);
            spare = spare.saturating_sub(slower);
        }
    }

    /// Each layer of a kind by itself, next to those that run about as often and as far.
    fn alone(&self, mut kind: Vec<usize>) -> Vec<Group> {
        kind.sort_by_cached_key(|layer| extents(self.nests[layer].1));
        let group = |layer: usize| {
            let cost = self.cost(&[layer])?;
            Some(Group { layers: BTreeMap::from([(layer, cost.cycles)]), cost })
        };
        kind.into_iter().filter_map(group).collect()
    }

    /// The merger that pays and costs the fewest cycles for each byte.
    fn cheapest(&self, kinds: &[Vec<Group>], is_short: bool, spare: u64) -> Option<Merger> {
        let neighbours = |(kind, groups): (usize, &Vec<Group>)| {
            (1..groups.len()).map(move |behind| (kind, behind - 1)).collect::<Vec<_>>()
        };
        let pairs: Vec<(usize, usize)> = kinds.iter().enumerate().flat_map(neighbours).collect();
        let merger = |(kind, at): (usize, usize)| {
            let merger = self.merger(kind, at, [&kinds[kind][at], &kinds[kind][at + 1]])?;
            self.pays(&merger, is_short, spare).then_some(merger)
        };
        let mergers: Vec<Merger> = pairs.into_par_iter().filter_map(merger).collect();
        mergers.into_iter().min_by(|a, b| a.price().total_cmp(&b.price()))
    }

    /// What merging two groups brings; `None` where that saves nothing.
    fn merger(&self, kind: usize, at: usize, both: [&Group; 2]) -> Option<Merger> {
        let layers: BTreeMap<usize, u64> =
            both.iter().flat_map(|group| &group.layers).map(|(layer, cycles)| (*layer, *cycles)).collect();
        let cost = self.cost(&layers.keys().copied().collect::<Vec<_>>())?;
        let apart = |of: fn(&Cost) -> u64| both.iter().map(|group| of(&group.cost)).sum::<u64>();
        let saved = apart(|cost| cost.bytes as u64).checked_sub(cost.bytes as u64)? as usize;
        let slower = cost.cycles.saturating_sub(apart(|cost| cost.cycles));
        (saved > 0).then_some(Merger { kind, at, group: Group { layers, cost }, slower, saved })
    }

    /// Whether a merger costs no more cycles than are spare, or while all codes take too many bytes no more than those are worth.
    fn pays(&self, merger: &Merger, is_short: bool, spare: u64) -> bool {
        merger.slower <= spare || is_short && merger.price() <= self.rate
    }

    /// What layers cost that share their code, or one with code of its own; `None` where no code can be made.
    fn cost(&self, layers: &[usize]) -> Option<Cost> {
        let bodies: Vec<Body> = layers.iter().map(|layer| self.nests[layer].0).collect();
        if let [body] = bodies[..]
            && let Some((cycles, bytes)) = self.pricer.known(body)
        {
            return Some(Cost { cycles, bytes });
        }
        let known = || self.known.0.lock().expect("nobody panics here");
        if let Some(cost) = known().get(&bodies) {
            return *cost;
        }
        let cost = self.found_cost(layers);
        known().insert(bodies, cost);
        cost
    }

    fn found_cost(&self, layers: &[usize]) -> Option<Cost> {
        let mut nests: Vec<Nest> = layers.iter().map(|layer| self.nests[layer].1.clone()).collect();
        let grown = common_types(&mut nests.iter_mut().collect::<Vec<_>>());
        nests.iter_mut().try_for_each(legalize).ok()?;
        let offsets: Vec<Offsets> = nests.iter().enumerate().map(|(at, nest)| offsets(nest, at)).collect();
        let members: Vec<Member> =
            nests.iter().zip(&offsets).map(|(nest, offsets)| Member { nest, offsets }).collect();
        let names = Names { symbol: String::new(), constant: &|_| String::new(), line: &|_| 0 };
        let shared = layer::compile_shared(&members, &names, self.pricer.options()).ok()?;
        let mut cost = Cost {
            cycles: shared.bodies.iter().map(|body| body.cycles(self.pricer.core())).sum(),
            bytes: shared.bodies[0].code.bytes.len().saturating_add_signed(grown),
        };
        if layers.len() > 1 {
            cost.bytes += layers.len() * (THUNK.0 + WORD_BYTES * shared.parameters.len());
            cost.cycles += layers.len() as u64 * THUNK.1;
        }
        Some(cost)
    }
}

/// Places for the buffers of a layer that differ from those of the other ones, as they do in the end.
fn offsets(nest: &Nest, at: usize) -> Offsets {
    let start = super::price::ALIGN * at as u32;
    apart(nest).into_iter().map(|(buffer, offset)| (buffer, start + offset)).collect()
}

/// The extents of the loops of a nest, those of sums first: how often they run says most of where they go.
fn extents(nest: &Nest) -> (Vec<u32>, Vec<u32>) {
    let (mut of_sums, mut others) = (Vec::new(), Vec::new());
    walk(&nest.body, StmtNo(0), &mut |_, stmt| match stmt {
        Stmt::For(l, _) => others.push(l.extent),
        Stmt::Reduce(reduce) => of_sums.extend(reduce.loops.iter().map(|l| l.extent)),
        Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => {}
    });
    others.reverse(); // Inner ones first.
    (of_sums, others)
}

#[cfg(test)]
mod tests {
    use ir::loops::text::parse_nest;
    use isel_thumb2::cores::m4::CortexM4;

    use super::*;

    fn products([pixels, channels, sums]: [u32; 3]) -> Nest {
        let text = format!(
            "loops @f(x: i8[{pixels}, {channels}], w: i8[{sums}, {channels}], y: i8[{pixels}, {sums}]) {{
               for p in 0..{pixels} {{
                 for n in 0..{sums} {{
                   reduce a: i32 over k in 0..{channels} {{
                     init {{ a = 0 }}
                     update {{ a = add a, mul(sext(x[p, k]), sext(w[n, k])) }}
                     finish {{ y[p, n] = ssat a {{bits = 8, asr = 3}} }}
                   }}
                 }}
               }}
             }}"
        );
        parse_nest(&text).expect("a nest")
    }

    fn found(shapes: &[[u32; 3]]) -> Vec<Vec<usize>> {
        let made: Vec<Nest> = shapes.iter().map(|shape| products(*shape)).collect();
        let nests = made.iter().enumerate().map(|(at, nest)| (at, ([at as u8; 32], nest))).collect();
        let (pricer, known) = (Pricer::new(layer::Options::new(&CortexM4, true)), Known::default());
        let sharing = Sharing { nests: &nests, rate: 0.0, enough: 0, pricer: &pricer, known: &known };
        let groups = sharing.groups(vec![(0..nests.len()).collect()]).groups;
        groups.into_iter().map(|group| group.layers.into_keys().collect()).collect()
    }

    #[test]
    fn layers_of_other_shapes_share() {
        assert_eq!(found(&[[24, 16, 16], [24, 16, 16], [40, 16, 20]]), [[0, 1, 2]]);
    }

    #[test]
    fn what_hardly_runs_does_not_share() {
        assert_eq!(found(&[[2, 2, 1], [2, 2, 1]]), [[0], [1]]);
    }
}
