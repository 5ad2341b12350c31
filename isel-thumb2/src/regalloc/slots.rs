//! Words outside of the core registers: values that do not live at the same time share one, and those that are moved most
//! often get the first ones, which may be S registers.

use std::collections::BTreeMap;

use regalloc2::{Allocation, Output, ProgPoint};

use super::belady::{PlacedMove, edit};
use super::moves::Place;
use super::next_use::{NextUse, Value};
use super::view::View;

/// What is known of the word of one value.
#[derive(Clone, Copy)]
struct Need {
    /// First and last instruction at which it must be kept.
    from: usize,
    to: usize,
    /// How often it is moved, loops weighed.
    weight: u64,
}

/// How much more often the inside of a loop runs than the outside, for choosing whose moves are cheap.
const LOOP_WEIGHT: u64 = 16;

/// The result for regalloc2's checker and for the rewrite.
pub(super) fn finish(
    view: &View,
    next_use: &NextUse,
    mut edits: Vec<PlacedMove>,
    allocs: Vec<Allocation>,
    inst_alloc_offsets: Vec<u32>,
) -> Output {
    edits.sort_by_key(|(point, _)| *point);
    let slots = share(needs(view, next_use, &edits));
    let slot = |value: Value| slots[&value];
    let num_spillslots = slots.values().max().map_or(0, |most| most + 1);
    let edits = edits.into_iter().map(|(point, step)| (point, edit(step, slot))).collect();
    Output { num_spillslots, edits, allocs, inst_alloc_offsets, ..Output::default() }
}

fn needs(view: &View, next_use: &NextUse, edits: &[PlacedMove]) -> BTreeMap<Value, Need> {
    let mut needs: BTreeMap<Value, Need> = BTreeMap::new();
    for (point, step) in edits {
        for place in [step.from, step.to] {
            if let Place::Slot(value) = place {
                note(view, next_use, &mut needs, value, *point);
            }
        }
    }
    needs
}

fn note(view: &View, next_use: &NextUse, needs: &mut BTreeMap<Value, Need>, value: Value, point: ProgPoint) {
    let at = point.inst().index();
    let block = view.blocks.partition_point(|block| block.insts.last().index() < at);
    let mut need =
        Need { from: at, to: at, weight: LOOP_WEIGHT.saturating_pow(next_use.depth(block) as u32) };
    // What is defined outside of a loop must be kept through all of it.
    let home = (value < view.n_regs).then(|| next_use.home(value));
    let outside =
        |(first, last): &&(usize, usize)| home.is_some_and(|home| !(*first..=*last).contains(&home));
    for (first, last) in next_use.loops_around(block).iter().filter(outside) {
        need.from = need.from.min(view.blocks[*first].insts.first().index());
        need.to = need.to.max(view.blocks[*last].insts.last().index());
    }
    let known = needs.entry(value).or_insert(need);
    known.from = known.from.min(need.from);
    known.to = known.to.max(need.to);
    known.weight = known.weight.saturating_add(need.weight);
}

/// Numbers the words: the most moved ones choose first.
fn share(needs: BTreeMap<Value, Need>) -> BTreeMap<Value, usize> {
    let mut order: Vec<(Value, Need)> = needs.into_iter().collect();
    order.sort_by_key(|(value, need)| (u64::MAX - need.weight, *value));
    let mut words: Vec<Vec<Need>> = Vec::new();
    let mut slots = BTreeMap::new();
    for (value, need) in order {
        let apart = |other: &Need| other.to < need.from || need.to < other.from;
        let slot = words.iter().position(|word| word.iter().all(apart)).unwrap_or(words.len());
        if slot == words.len() {
            words.push(Vec::new());
        }
        words[slot].push(need);
        slots.insert(value, slot);
    }
    slots
}
