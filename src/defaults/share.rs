//! Which layers run one code: those of one form, as far as that takes fewer bytes and hardly more cycles.

use std::collections::BTreeMap;
use std::sync::Mutex;

use ir::loops::{BufferId, Nest};
use isel_thumb2::emit::Names;
use isel_thumb2::layer;
use isel_thumb2::select::{Member, Offsets};
use rayon::prelude::*;

use super::choose::Body;
use super::price::{Pricer, apart};

/// What sharing may cost at most where bytes are not worth more.
const SLOWER_BY_PERCENT: u64 = 2;
/// Groups that a layer tries to join at most.
const ATTEMPTS: usize = 2;
/// Bytes and cycles of what leads a layer to the code that it shares: three instructions.
const THUNK: (usize, u64) = (12, 6);
/// Bytes of a parameter.
const WORD_BYTES: usize = 4;

/// Layers by number that share their code, with what each costs alone.
type Group = Vec<(usize, Cost)>;

/// What layers cost together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Predicted cycles of one call of each.
    pub cycles: u64,
    /// Bytes of code and of tables of parameters.
    pub bytes: usize,
}

/// Layers by number that run one code, one or several of them, and the bytes of all codes.
pub struct Groups {
    /// As the layers run.
    pub layers: Vec<Vec<usize>>,
    /// Of code, tables of parameters, and what leads to them.
    pub bytes: usize,
}

/// What codes have been found to cost, by those whom they serve.
#[derive(Debug, Default)]
pub struct Known(Mutex<BTreeMap<Vec<Body>, Option<Cost>>>);

/// Looks for the layers that are to share their code.
pub struct Sharing<'a> {
    /// By number, ready for selection.
    pub nests: &'a BTreeMap<usize, (Body, Nest)>,
    /// Cycles that a byte is worth.
    pub rate: f64,
    /// Knows what many cost alone.
    pub pricer: &'a Pricer,
    /// What others do not ask for again.
    pub known: &'a Known,
}

impl Sharing<'_> {
    /// The groups among layers; `kinds` are those of one form.
    pub fn groups(&self, kinds: Vec<Vec<usize>>) -> Groups {
        let of_kind = |kind: Vec<usize>| self.of_kind(kind);
        let groups: Vec<(Vec<usize>, usize)> = kinds.into_par_iter().flat_map_iter(of_kind).collect();
        let bytes = groups.iter().map(|(_, bytes)| bytes).sum();
        Groups { layers: groups.into_iter().map(|(group, _)| group).collect(), bytes }
    }

    /// All layers of a form as one group if that pays, else one after the other as far as it does; each with the bytes of its code.
    fn of_kind(&self, kind: Vec<usize>) -> Vec<(Vec<usize>, usize)> {
        let alone = |layer: usize| Some((layer, self.cost(&[layer])?));
        let all: Group = kind.into_iter().filter_map(alone).collect();
        let mut groups: Vec<Group> = Vec::new();
        if self.pays(&all) {
            groups.push(all);
        } else {
            for layer in all {
                let with = |group: &Group| [&group[..], &[layer]].concat();
                let joined = groups.iter().take(ATTEMPTS).position(|group| self.pays(&with(group)));
                match joined {
                    Some(at) => groups[at].push(layer),
                    None => groups.push(vec![layer]),
                }
            }
        }
        let with_bytes = |group: Group| {
            let layers: Vec<usize> = group.iter().map(|(layer, _)| *layer).collect();
            let bytes = match &group[..] {
                [(_, alone)] => alone.bytes,
                _ => self.cost(&layers).map_or(0, |cost| cost.bytes),
            };
            (layers, bytes)
        };
        groups.into_iter().filter(|group| !group.is_empty()).map(with_bytes).collect()
    }

    /// Whether one code for all takes fewer bytes, in about as many cycles or for what bytes are worth.
    fn pays(&self, group: &Group) -> bool {
        let layers: Vec<usize> = group.iter().map(|(layer, _)| *layer).collect();
        let bytes: usize = group.iter().map(|(_, alone)| alone.bytes).sum();
        let cycles: u64 = group.iter().map(|(_, alone)| alone.cycles).sum();
        let within = |shared: Cost| {
            let slower = shared.cycles.saturating_sub(cycles);
            let worth = self.rate * bytes.saturating_sub(shared.bytes) as f64;
            shared.bytes < bytes && (slower * 100 <= cycles * SLOWER_BY_PERCENT || slower as f64 <= worth)
        };
        self.cost(&layers).is_some_and(within)
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
        let offsets: Vec<Offsets> =
            layers.iter().enumerate().map(|(at, layer)| self.offsets(*layer, at)).collect();
        let member = |(layer, offsets)| Member { nest: &self.nests[layer].1, offsets };
        let members: Vec<Member> = layers.iter().zip(&offsets).map(member).collect();
        let names = Names { symbol: String::new(), constant: &|_| String::new(), line: &|_| 0 };
        let shared = layer::compile_shared(&members, &names, self.pricer.options()).ok()?;
        let mut cost = Cost {
            cycles: shared.bodies.iter().map(|body| body.cycles(self.pricer.core())).sum(),
            bytes: shared.bodies[0].code.bytes.len(),
        };
        if layers.len() > 1 {
            cost.bytes += layers.len() * (THUNK.0 + WORD_BYTES * shared.parameters.len());
            cost.cycles += layers.len() as u64 * THUNK.1;
        }
        Some(cost)
    }

    /// Places for the buffers of a layer that differ from those of the other ones, as they do in the end.
    fn offsets(&self, layer: usize, at: usize) -> BTreeMap<BufferId, u32> {
        let start = super::price::ALIGN * at as u32;
        apart(&self.nests[&layer].1).into_iter().map(|(buffer, offset)| (buffer, start + offset)).collect()
    }
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
        let nest = |(at, shape): (usize, &[u32; 3])| (at, ([at as u8; 32], products(*shape)));
        let nests: BTreeMap<usize, (Body, Nest)> = shapes.iter().enumerate().map(nest).collect();
        let (pricer, known) = (Pricer::new(layer::Options::new(&CortexM4, true)), Known::default());
        let sharing = Sharing { nests: &nests, rate: 0.0, pricer: &pricer, known: &known };
        sharing.groups(vec![(0..nests.len()).collect()]).layers
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
