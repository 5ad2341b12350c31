//! Places the tensors and the scratch buffers of a program in one arena, by their lifetimes.
//!
//! Inputs and outputs lie in the arena like everything else: an input may be overwritten after its last reader, an output
//! stays from its writer to the end. Scratch lives during its layer, a persistent tensor always. What this module does not
//! do: let the output of a layer run into its input, or change the order of the layers.
//!
//! Several greedy orders come first. Where none of them reaches the lower bound, a search follows that builds placements
//! from the bottom up; it would be exact if it were not cut off after a number of steps.

use std::cmp::Reverse;
use std::ops::RangeInclusive;

use ir::diag::Diagnostic;
use ir::loops::{Buffer, Lifetime, Program, Role};

/// Where everything lies, in bytes from the start of the arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Size of the arena, readable slack included.
    pub arena_bytes: u32,
    /// The arena's base must be a multiple of this.
    pub align: u32,
    /// No placement is smaller: the most bytes that are alive at one time.
    pub lower_bound: u32,
    /// The offset of each tensor.
    pub tensors: Vec<u32>,
    /// For each layer the offset of each of its scratch buffers, in the order of the nest.
    pub scratch: Vec<Vec<u32>>,
}

/// Something that needs a place.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Bytes that nothing else may touch while it is alive.
    pub bytes: u64,
    /// Bytes behind them that may be read and hold junk.
    pub slack: u64,
    /// The offset is a multiple of this.
    pub align: u64,
    /// First and last layer that it is alive in, both included.
    pub alive: (usize, usize),
}

/// Steps of the search after which the best placement so far is taken: a tenth of a second or so.
const MAX_STEPS: usize = 20_000;

/// Bytes that word accesses to the arena's start may rely on, whatever the tensors ask for.
const MIN_ARENA_ALIGN: u64 = 4;

/// Places all tensors and scratch buffers of `program`, or says that they do not fit into 32-bit addresses.
pub fn place(program: &Program) -> Result<Placement, Diagnostic> {
    let mut items = tensor_items(program);
    for (layer_idx, layer) in program.layers.iter().enumerate() {
        let scratch = layer.nest.buffers.iter().filter(|buffer| buffer.role == Role::Scratch);
        items.extend(scratch.map(|buffer| scratch_item(buffer, layer_idx)));
    }
    let total = items.iter().map(|item| item.bytes + item.slack + item.align).sum::<u64>();
    if total > u64::from(u32::MAX) {
        return Err(Diagnostic::new(format!("the tensors have {total} bytes, an address space has 2^32")));
    }
    let offsets = pack(&items, MAX_STEPS);
    let end = items.iter().zip(&offsets).map(|(item, offset)| offset + item.bytes + item.slack).max();
    let mut offsets_u32 = offsets.iter().map(|offset| *offset as u32);
    let tensors = offsets_u32.by_ref().take(program.tensors.len()).collect();
    let n_scratch = |layer: &ir::loops::Layer| layer.nest.buffers_where(|b| b.role == Role::Scratch).count();
    let scratch =
        program.layers.iter().map(|layer| offsets_u32.by_ref().take(n_scratch(layer)).collect()).collect();
    Ok(Placement {
        arena_bytes: end.unwrap_or(0) as u32,
        align: items.iter().map(|item| item.align).fold(MIN_ARENA_ALIGN, u64::max) as u32,
        lower_bound: lower_bound(&items) as u32,
        tensors,
        scratch,
    })
}

fn tensor_items(program: &Program) -> Vec<Item> {
    let last_layer = program.layers.len().saturating_sub(1);
    let item = |(idx, tensor): (usize, &ir::loops::TensorSlot)| {
        let mut uses = (0..program.layers.len()).filter(|layer| program.layers[*layer].args.contains(&idx));
        let first_use = uses.next();
        let last_use = uses.next_back().or(first_use).unwrap_or(0);
        let alive = match tensor.lifetime {
            Lifetime::Input(_) => (0, last_use),
            Lifetime::Output(_) => (first_use.unwrap_or(0), last_layer),
            Lifetime::Temporary => (first_use.unwrap_or(0), last_use),
            Lifetime::Persistent => (0, last_layer),
        };
        let bytes = tensor.map.len() as u64 * tensor.ty.elem.bytes() as u64;
        let (slack, align) = (tensor.map.slack.into(), tensor.map.align.max(1).into());
        Item { bytes, slack, align, alive }
    };
    program.tensors.iter().enumerate().map(item).collect()
}

fn scratch_item(buffer: &Buffer, layer_idx: usize) -> Item {
    Item {
        bytes: buffer.map.len() as u64 * buffer.elem.bytes() as u64,
        slack: buffer.map.slack.into(),
        align: buffer.map.align.max(1).into(),
        alive: (layer_idx, layer_idx),
    }
}

/// An offset for each item, such that no two that are alive at one time overlap.
pub(crate) fn pack(items: &[Item], max_steps: usize) -> Vec<u64> {
    let bound = lower_bound(items);
    let best =
        greedy_orders(items).iter().map(|order| first_fit(items, order)).min_by_key(|p| height(items, p));
    let best = best.unwrap_or_default();
    if height(items, &best) <= bound {
        return best;
    }
    let mut search = Search::new(items, best, bound, max_steps);
    search.extend(0);
    search.best
}

/// The most bytes that are alive at one time.
pub(crate) fn lower_bound(items: &[Item]) -> u64 {
    let alive_at = |t: usize| move |item: &&Item| item.alive.0 <= t && t <= item.alive.1;
    let bytes_at = |t: usize| items.iter().filter(alive_at(t)).map(|item| item.bytes).sum();
    items.iter().map(|item| bytes_at(item.alive.0)).max().unwrap_or(0)
}

/// Bytes up to the end of the highest item, slack not counted.
pub(crate) fn height(items: &[Item], offsets: &[u64]) -> u64 {
    items.iter().zip(offsets).map(|(item, offset)| offset + item.bytes).max().unwrap_or(0)
}

impl Item {
    fn conflicts(&self, other: &Item) -> bool {
        self.alive.0 <= other.alive.1 && other.alive.0 <= self.alive.1
    }

    fn layers(&self) -> RangeInclusive<usize> {
        self.alive.0..=self.alive.1
    }

    fn n_layers(&self) -> u64 {
        (self.alive.1 - self.alive.0 + 1) as u64
    }
}

/// Orders that are known to do well: the demanding ones first, by several meanings of demanding.
fn greedy_orders(items: &[Item]) -> Vec<Vec<usize>> {
    let by = |key: &dyn Fn(&Item) -> (u64, u64)| {
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_key(|idx| Reverse(key(&items[*idx])));
        order
    };
    let pressure = |item: &Item| items.iter().filter(|o| o.conflicts(item)).map(|o| o.bytes).sum::<u64>();
    vec![
        by(&|item| (item.bytes, item.n_layers())),
        by(&|item| (item.bytes * item.n_layers(), item.bytes)),
        by(&|item| (item.n_layers(), item.bytes)),
        by(&|item| (pressure(item), item.bytes)),
        by(&|item| (u64::MAX - item.alive.0 as u64, item.bytes)),
    ]
}

/// Gives each item in turn the lowest place that is free.
fn first_fit(items: &[Item], order: &[usize]) -> Vec<u64> {
    let mut offsets = vec![None; items.len()];
    for &idx in order {
        let item = &items[idx];
        let mut taken: Vec<(u64, u64)> = (0..items.len())
            .filter(|other| items[*other].conflicts(item) && items[*other].bytes > 0)
            .filter_map(|other| offsets[other].map(|at| (at, at + items[other].bytes)))
            .collect();
        taken.sort_unstable();
        let mut at = 0u64;
        for (start, end) in taken {
            if at + item.bytes <= start {
                break;
            }
            at = at.max(end.next_multiple_of(item.align));
        }
        offsets[idx] = Some(at);
    }
    offsets.into_iter().map(|offset| offset.expect("every order holds every item")).collect()
}

/// Branch and bound over placements in which every item lies on the arena's floor or on top of another.
///
/// Items are placed in the order of their offsets, so that whatever is still to be placed at a time lies above what is
/// there already: the skyline at that time plus the bytes to come bounds the height from below.
struct Search<'a> {
    items: &'a [Item],
    bound: u64,
    steps_left: usize,
    offsets: Vec<Option<u64>>,
    /// By layer, the end of the highest item that is placed and alive.
    skyline: Vec<u64>,
    /// By layer, the bytes that are alive and not placed.
    to_come: Vec<u64>,
    best: Vec<u64>,
    best_height: u64,
}

impl<'a> Search<'a> {
    fn new(items: &'a [Item], best: Vec<u64>, bound: u64, max_steps: usize) -> Self {
        let n_layers = items.iter().map(|item| item.alive.1 + 1).max().unwrap_or(0);
        let mut to_come = vec![0; n_layers];
        for item in items {
            item.layers().for_each(|t| to_come[t] += item.bytes);
        }
        Self {
            items,
            bound,
            steps_left: max_steps,
            offsets: vec![None; items.len()],
            skyline: vec![0; n_layers],
            to_come,
            best_height: height(items, &best),
            best,
        }
    }

    /// Places one more item at or above `lowest`, in every way that may beat the best so far.
    fn extend(&mut self, lowest: u64) {
        if self.steps_left == 0 || self.best_height <= self.bound {
            return;
        }
        self.steps_left -= 1;
        if self.offsets.iter().all(Option::is_some) {
            self.best = self.offsets.iter().flatten().copied().collect();
            self.best_height = height(self.items, &self.best);
            return;
        }
        for (offset, idx) in self.choices(lowest) {
            let below = self.put(idx, offset);
            if self.promise(offset) < self.best_height {
                self.extend(offset);
            }
            self.take_back(idx, below);
        }
    }

    /// The items that can come next with their offsets, lowest first, large ones before small ones.
    fn choices(&self, lowest: u64) -> Vec<(u64, usize)> {
        let unplaced = (0..self.items.len()).filter(|idx| self.offsets[*idx].is_none());
        let candidates: Vec<_> = unplaced.map(|idx| (self.resting_place(idx), idx)).collect();
        // Whatever would lie above the whole of another candidate can as well come after it.
        let end = |(at, idx): &(u64, usize)| at + self.items[*idx].bytes.max(1);
        let first_end = candidates.iter().map(end).min().unwrap_or(0);
        let mut choices: Vec<_> =
            candidates.into_iter().filter(|(at, _)| (lowest..first_end).contains(at)).collect();
        choices.sort_by_key(|(at, idx)| (*at, Reverse(self.items[*idx].bytes), *idx));
        choices
    }

    /// The lowest place above everything that is placed and alive at the same time as the item.
    fn resting_place(&self, idx: usize) -> u64 {
        let item = &self.items[idx];
        let top = item.layers().map(|t| self.skyline[t]).max().unwrap_or(0);
        top.next_multiple_of(item.align)
    }

    /// Places an item and gives the skyline that was below it.
    fn put(&mut self, idx: usize, offset: u64) -> Vec<u64> {
        let item = &self.items[idx];
        self.offsets[idx] = Some(offset);
        let below = self.skyline[item.layers()].to_vec();
        self.skyline[item.layers()].fill(offset + item.bytes);
        item.layers().for_each(|t| self.to_come[t] -= item.bytes);
        below
    }

    /// Undoes `put`.
    fn take_back(&mut self, idx: usize, below: Vec<u64>) {
        let item = &self.items[idx];
        self.offsets[idx] = None;
        self.skyline[item.layers()].copy_from_slice(&below);
        item.layers().for_each(|t| self.to_come[t] += item.bytes);
    }

    /// No completion of the placement so far is lower; `lowest` is the offset placed last.
    fn promise(&self, lowest: u64) -> u64 {
        let at = |(&skyline, &to_come): (&u64, &u64)| {
            if to_come == 0 { skyline } else { skyline.max(lowest) + to_come }
        };
        self.skyline.iter().zip(&self.to_come).map(at).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item(bytes: u64, alive: (usize, usize)) -> Item {
        Item { bytes, slack: 0, align: 1, alive }
    }

    fn check(items: &[Item], offsets: &[u64]) {
        for (a, &at_a) in items.iter().zip(offsets) {
            assert_eq!(at_a % a.align, 0);
            for (b, &at_b) in items.iter().zip(offsets) {
                let apart = at_a + a.bytes <= at_b || at_b + b.bytes <= at_a;
                assert!(std::ptr::eq(a, b) || !a.conflicts(b) || apart || a.bytes * b.bytes == 0);
            }
        }
    }

    /// The height of the best placement, by first fit in every order.
    fn least_height(items: &[Item]) -> u64 {
        fn permute(order: &mut Vec<usize>, from: usize, visit: &mut impl FnMut(&[usize])) {
            if from == order.len() {
                return visit(order);
            }
            for idx in from..order.len() {
                order.swap(from, idx);
                permute(order, from + 1, visit);
                order.swap(from, idx);
            }
        }
        let mut least = u64::MAX;
        let mut order = (0..items.len()).collect();
        permute(&mut order, 0, &mut |order| least = least.min(height(items, &first_fit(items, order))));
        least
    }

    #[test]
    fn a_chain_needs_its_largest_pair() {
        let items: Vec<Item> =
            [100, 300, 200, 50].iter().enumerate().map(|(t, b)| item(*b, (t, t + 1))).collect();
        let offsets = pack(&items, MAX_STEPS);
        check(&items, &offsets);
        assert_eq!(height(&items, &offsets), 500);
    }

    #[test]
    fn the_search_beats_the_greedy_orders() {
        // Found by trying random items: every greedy order needs more.
        let rows = [(2, 3, 5), (4, 1, 2), (4, 0, 0), (5, 2, 4), (1, 3, 5), (1, 1, 2), (2, 2, 3), (4, 4, 6)];
        let items: Vec<Item> = rows.iter().map(|&(bytes, from, to)| item(bytes, (from, to))).collect();
        let greedy = pack(&items, 0);
        let searched = pack(&items, MAX_STEPS);
        check(&items, &searched);
        assert!(height(&items, &searched) < height(&items, &greedy));
    }

    #[test]
    fn slack_alignment_and_persistence_are_kept() {
        let text = "program @two {
              tensor x: i8[1, 5] scale 0.5 zero -3 input 0
              tensor s: i16[2] align 8 persistent
              tensor a: i8[1, 5] scale 0.25 zero -128 align 4 slack 7 temporary
              tensor y: i8[1, 5] scale 0.25 zero -128 output 0
              layer @first(x, a) op \"copy\" macs 0 sources []
              layer @second(a, y) op \"copy\" macs 0 sources []
            }
            loops @first(x: i8[5], y: i8[5]) { for i in 0..5 { y[i] = sext x[i] } }
            loops @second(x: i8[5] align 4 slack 7, y: i8[5]) {
              scratch t: i32[5]
              for i in 0..5 { t[i] = sext x[i] }
              for i in 0..5 { y[i] = t[i] }
            }";
        let program = ir::loops::text::parse_program(text).expect("the program is well formed");
        let Placement { arena_bytes, align, lower_bound, tensors, scratch } =
            place(&program).expect("it is small");
        let [_, s, a, y] = tensors[..] else { panic!("there are four tensors") };
        let [t] = scratch[1][..] else { panic!("there is one scratch buffer") };
        assert_eq!((align, s % 8, a % 4, t % 4, scratch[0].len()), (8, 0, 0, 0, 0));
        assert!(a + 5 + 7 <= arena_bytes, "slack may be read, though others may lie there");
        assert_eq!(lower_bound, 4 + 5 + 20 + 5);
        let mut taken = [(s, 4), (a, 5), (y, 5), (t, 20)];
        taken.sort_unstable();
        assert!(taken.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "{taken:?}");
    }

    fn items(max_len: usize) -> impl Strategy<Value = Vec<Item>> {
        let one = (0u64..40, 0usize..8, 0usize..4, 0u32..4).prop_map(|(bytes, from, layers, align)| Item {
            bytes,
            slack: 0,
            align: 1 << align,
            alive: (from, from + layers),
        });
        prop::collection::vec(one, 1..max_len)
    }

    proptest! {
        #[test]
        fn nothing_overlaps(items in items(24)) {
            let offsets = pack(&items, 500);
            check(&items, &offsets);
            prop_assert!(height(&items, &offsets) >= lower_bound(&items));
        }

        #[test]
        fn few_items_are_placed_best(items in items(7)) {
            let offsets = pack(&items, MAX_STEPS);
            prop_assert_eq!(height(&items, &offsets), least_height(&items));
        }
    }
}
