//! Packs items with lifetimes into as few bytes as it can.
//!
//! Items that are alive at one time lie apart, but for pairs that may lie on each other at some distances. Several greedy
//! orders come first. Where none of them reaches the lower bound and all lie apart, a search follows that builds
//! placements from the bottom up; it would be exact if it were not cut off after a number of steps. Where some may lie on
//! each other, the greedy orders are improved item by item.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::overlap::Distances;

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

/// Placements that the greedy orders are improved by, divided by the number of items.
const MAX_TRIALS: usize = 60_000;
/// Items that are moved at a time, at most.
const MAX_MOVES: usize = 3;
/// Placements in a row that bring nothing, after which it is enough.
const MAX_FAILURES: usize = 400;

/// Which items may lie on each other: for one that is left and one that comes to be, at which distances.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    distances: BTreeMap<(usize, usize), Distances>,
}

/// Where items lie.
#[derive(Clone, Debug)]
pub(crate) struct Packing {
    /// By item.
    pub offsets: Vec<u64>,
    /// The same where none may lie on another.
    pub apart: Vec<u64>,
}

impl Rules {
    /// Allows it at these distances.
    pub fn add(&mut self, left: usize, comes: usize, distances: Distances) {
        self.distances.insert((left, comes), distances);
    }

    /// Whether two items may lie at these offsets.
    fn allow(&self, a: (usize, u64), b: (usize, u64)) -> bool {
        let one_way = |left: (usize, u64), comes: (usize, u64)| {
            let distances = self.distances.get(&(left.0, comes.0));
            distances.is_some_and(|distances| distances.allow(comes.1 as i64 - left.1 as i64))
        };
        one_way(a, b) || one_way(b, a)
    }

    /// Offsets of an item beside or on another that lies at `at`, as near as they come to the start of the arena.
    fn offsets(&self, item: usize, other: (usize, u64)) -> Vec<i64> {
        let (other, at) = (other.0, other.1 as i64);
        let mut found = Vec::new();
        if let Some(rule) = self.distances.get(&(other, item)) {
            found.push(at + rule.from);
            found.extend(rule.single.iter().map(|distance| at + distance));
        }
        if let Some(rule) = self.distances.get(&(item, other)) {
            found.push(at - rule.up_to);
            found.extend(rule.single.iter().map(|distance| at - distance));
        }
        found
    }

    /// Whether this item may lie on any other.
    fn have(&self, item: usize) -> bool {
        self.distances.keys().any(|(left, comes)| *left == item || *comes == item)
    }
}

/// An offset for each item, such that no two that are alive at one time overlap but where the rules allow it.
pub(crate) fn pack(items: &[Item], rules: &Rules) -> Packing {
    let apart = pack_apart(items, MAX_STEPS);
    let mut best = apart.clone();
    if !rules.distances.is_empty() {
        let (orders, packer) = (greedy_orders(items), Packer::new(items, rules));
        let bound = lower_bound(items, rules);
        let first = orders.into_iter().map(|order| (height(items, &packer.first_fit(&order)), order)).min();
        let found = first.map(|(_, order)| packer.improve(order, bound)).unwrap_or_default();
        // Where nothing is gained, accesses need not keep their order.
        if height(items, &found) < height(items, &best) {
            best = found;
        }
    }
    Packing { offsets: best, apart }
}

/// An offset for each item, such that no two that are alive at one time overlap.
fn pack_apart(items: &[Item], max_steps: usize) -> Vec<u64> {
    let bound = lower_bound(items, &Rules::default());
    let (rules, orders) = (Rules::default(), greedy_orders(items));
    let packer = Packer::new(items, &rules);
    let best = orders.iter().map(|order| packer.first_fit(order)).min_by_key(|p| height(items, p));
    let best = best.unwrap_or_default();
    if height(items, &best) <= bound {
        return best;
    }
    let mut search = Search::new(items, best, bound, max_steps);
    search.extend(0);
    search.best
}

/// The most bytes that are alive at one time; of those that may lie on others only the largest.
pub(crate) fn lower_bound(items: &[Item], rules: &Rules) -> u64 {
    let bytes_at = |t: usize| {
        let alive = (0..items.len()).filter(|idx| items[*idx].layers().contains(&t));
        // In other layers than those where it is left or comes to be an item lies on none.
        let may_share =
            |idx: &usize| rules.have(*idx) && (items[*idx].alive.0 == t || items[*idx].alive.1 == t);
        let (shared, own): (Vec<usize>, Vec<usize>) = alive.partition(may_share);
        let own: u64 = own.iter().map(|idx| items[*idx].bytes).sum();
        own + shared.iter().map(|idx| items[*idx].bytes).max().unwrap_or(0)
    };
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

    /// The layers that it is alive in.
    pub fn layers(&self) -> RangeInclusive<usize> {
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

/// Gives items in some order the lowest place that is free.
struct Packer<'a> {
    items: &'a [Item],
    rules: &'a Rules,
    /// By item, those that are alive at a time when it is.
    others: Vec<Vec<usize>>,
}

impl<'a> Packer<'a> {
    fn new(items: &'a [Item], rules: &'a Rules) -> Self {
        let others = |idx: usize| {
            let meets = |other: &usize| {
                *other != idx && items[*other].bytes > 0 && items[idx].conflicts(&items[*other])
            };
            (0..items.len()).filter(meets).collect()
        };
        Self { items, rules, others: (0..items.len()).map(others).collect() }
    }

    fn first_fit(&self, order: &[usize]) -> Vec<u64> {
        let mut offsets = vec![None; self.items.len()];
        for &idx in order {
            offsets[idx] = Some(self.lowest(idx, &offsets));
        }
        offsets.into_iter().map(|offset| offset.expect("every order holds every item")).collect()
    }

    /// The lowest place of an item beside those that have one.
    fn lowest(&self, idx: usize, offsets: &[Option<u64>]) -> u64 {
        let Item { bytes, align, .. } = self.items[idx];
        let taken = self.others[idx].iter().filter_map(|other| offsets[*other].map(|at| (*other, at)));
        let taken: Vec<(usize, u64)> = taken.collect();
        if bytes == 0 {
            return 0;
        }
        let mut places = vec![0];
        for (other, at) in &taken {
            places.push((at + self.items[*other].bytes).next_multiple_of(align));
            let on_it = self.rules.offsets(idx, (*other, *at)).into_iter().filter(|place| *place >= 0);
            places.extend(on_it.map(|place| (place as u64).next_multiple_of(align)));
        }
        places.sort_unstable();
        let is_free = |place: &u64| {
            let suits = |&(other, at): &(usize, u64)| {
                at + self.items[other].bytes <= *place
                    || place + bytes <= at
                    || self.rules.allow((idx, *place), (other, at))
            };
            taken.iter().all(suits)
        };
        places.into_iter().find(is_free).expect("behind all others there is room")
    }

    /// The best placement that is found by moving a few items at a time to other places in the order.
    fn improve(&self, mut order: Vec<usize>, bound: u64) -> Vec<u64> {
        let mut best = self.first_fit(&order);
        let mut random = Random(1);
        let (mut trials, mut failures) = (MAX_TRIALS / self.items.len().max(1), 0);
        while trials > 0 && failures < MAX_FAILURES && height(self.items, &best) > bound {
            (trials, failures) = (trials - 1, failures + 1);
            let mut tried = order.clone();
            for _ in 0..1 + random.below(MAX_MOVES) {
                let moved = tried.remove(random.below(order.len()));
                tried.insert(random.below(order.len()), moved);
            }
            let found = self.first_fit(&tried);
            let (now, before) = (height(self.items, &found), height(self.items, &best));
            if now <= before {
                // Orders that are as good lead on.
                (order, best) = (tried, found);
                failures = if now < before { 0 } else { failures };
            }
        }
        best
    }
}

/// Numbers that are the same in each run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
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
    fn least_height(items: &[Item], rules: &Rules) -> u64 {
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
        permute(&mut order, 0, &mut |order| {
            least = least.min(height(items, &Packer::new(items, rules).first_fit(order)))
        });
        least
    }

    #[test]
    fn a_chain_needs_its_largest_pair() {
        let items: Vec<Item> =
            [100, 300, 200, 50].iter().enumerate().map(|(t, b)| item(*b, (t, t + 1))).collect();
        let offsets = pack_apart(&items, MAX_STEPS);
        check(&items, &offsets);
        assert_eq!(height(&items, &offsets), 500);
    }

    #[test]
    fn the_search_beats_the_greedy_orders() {
        // Found by trying random items: every greedy order needs more.
        let rows = [(2, 3, 5), (4, 1, 2), (4, 0, 0), (5, 2, 4), (1, 3, 5), (1, 1, 2), (2, 2, 3), (4, 4, 6)];
        let items: Vec<Item> = rows.iter().map(|&(bytes, from, to)| item(bytes, (from, to))).collect();
        let greedy = pack_apart(&items, 0);
        let searched = pack_apart(&items, MAX_STEPS);
        check(&items, &searched);
        assert!(height(&items, &searched) < height(&items, &greedy));
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

    /// Rules for pairs of which one is left when the other comes to be.
    fn rules_for(items: &[Item], numbers: &[(bool, i64, i64)]) -> Rules {
        let mut rules = Rules::default();
        let pairs = (0..items.len()).flat_map(|a| (0..items.len()).map(move |b| (a, b)));
        let meet = |(a, b): &(usize, usize)| a != b && items[*a].alive.1 == items[*b].alive.0;
        for ((a, b), (is_legal, more, single)) in pairs.filter(meet).zip(numbers.iter().cycle()) {
            let apart = Distances::apart(items[a].bytes as i64, items[b].bytes as i64);
            if *is_legal {
                let up_to = (apart.up_to + more).min(apart.from);
                rules.add(a, b, Distances { up_to, single: vec![*single], ..apart });
            }
        }
        rules
    }

    fn check_shared(items: &[Item], rules: &Rules, offsets: &[u64]) {
        for a in 0..items.len() {
            assert_eq!(offsets[a] % items[a].align, 0);
            for b in 0..a {
                let apart =
                    offsets[a] + items[a].bytes <= offsets[b] || offsets[b] + items[b].bytes <= offsets[a];
                let empty = items[a].bytes * items[b].bytes == 0;
                let allowed = rules.allow((a, offsets[a]), (b, offsets[b]));
                assert!(
                    !items[a].conflicts(&items[b]) || apart || empty || allowed,
                    "{a} and {b}: {offsets:?}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn items_share_bytes_only_where_they_may(
            items in items(24),
            numbers in prop::collection::vec((any::<bool>(), 0i64..40, -8i64..8), 1..30),
        ) {
            let rules = rules_for(&items, &numbers);
            let Packing { offsets, apart } = pack(&items, &rules);
            check(&items, &apart);
            check_shared(&items, &rules, &offsets);
            prop_assert!(height(&items, &offsets) <= height(&items, &apart));
            prop_assert!(height(&items, &offsets) >= lower_bound(&items, &rules));
        }

        #[test]
        fn few_items_share_as_many_bytes_as_they_can(
            items in items(6),
            numbers in prop::collection::vec((any::<bool>(), 0i64..40, -8i64..8), 1..8),
        ) {
            let rules = rules_for(&items, &numbers);
            let offsets = pack(&items, &rules).offsets;
            prop_assert!(height(&items, &offsets) <= least_height(&items, &rules));
        }

        #[test]
        fn nothing_overlaps(items in items(24)) {
            let offsets = pack_apart(&items, 500);
            check(&items, &offsets);
            prop_assert!(height(&items, &offsets) >= lower_bound(&items, &Rules::default()));
        }

        #[test]
        fn few_items_are_placed_best(items in items(7)) {
            let offsets = pack_apart(&items, MAX_STEPS);
            prop_assert_eq!(height(&items, &offsets), least_height(&items, &Rules::default()));
        }
    }
}
