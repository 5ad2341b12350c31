//! Places the tensors and the scratch buffers of a program in one arena, by their lifetimes.
//!
//! Inputs and outputs lie in the arena like everything else: an input may be overwritten after its last reader, an output
//! stays from its writer to the end. Scratch lives during its layer, a persistent tensor always.
//!
//! What a layer reads for the last time, what it writes, and its scratch may lie on each other as far as the order of its
//! accesses allows it ([`crate::overlap`]): whoever makes code of the layer keeps the order of accesses to one address. What
//! this module does not do: change the order of the layers.

use ir::diag::Diagnostic;
use ir::known::Known;
use ir::loops::{Buffer, BufferId, Layer, Lifetime, Nest, Program, Role};

use crate::overlap::{Distances, Order, number};
use crate::pack::{Item, Packing, Rules, height, lower_bound, pack};

/// The distances at which the second of two buffers may lie on the first: of all drafts of the largest layers of a network.
static DISTANCES: Known<(Order, Pairs), Option<Vec<Distances>>> = Known::new(1024);

/// Buffers of a nest by number.
type Pairs = Vec<(usize, usize)>;

/// Where everything lies, in bytes from the start of the arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Size of the arena, readable slack included.
    pub arena_bytes: u32,
    /// The arena's base must be a multiple of this.
    pub align: u32,
    /// No placement is smaller: the most bytes that are alive at one time and cannot lie on each other.
    pub lower_bound: u32,
    /// What the arena would have if all buffers that are alive at one time lay apart.
    pub apart_bytes: u32,
    /// The most bytes that are alive at one time: the least that [`Self::apart_bytes`] can be.
    pub alive_bytes: u32,
    /// The offset of each tensor.
    pub tensors: Vec<u32>,
    /// For each layer the offset of each of its scratch buffers, in the order of the nest.
    pub scratch: Vec<Vec<u32>>,
}

/// What the arena begins at a multiple of, and all tensors that have room for a word: loads of words take longer elsewhere.
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
    let rules = rules(program, &items);
    let Packing { offsets, apart } = pack(&items, &rules);
    let end = |offsets: &[u64]| {
        let ends = items.iter().zip(offsets).map(|(item, offset)| offset + item.bytes + item.slack);
        ends.max().unwrap_or(0) as u32
    };
    let mut offsets_u32 = offsets.iter().map(|offset| *offset as u32);
    let tensors = offsets_u32.by_ref().take(program.tensors.len()).collect();
    let n_scratch = |layer: &Layer| layer.nest.buffers_where(|b| b.role == Role::Scratch).count();
    let scratch =
        program.layers.iter().map(|layer| offsets_u32.by_ref().take(n_scratch(layer)).collect()).collect();
    Ok(Placement {
        arena_bytes: end(&offsets),
        apart_bytes: end(&apart),
        alive_bytes: lower_bound(&items, &Rules::default()) as u32,
        align: items.iter().map(|item| item.align).fold(MIN_ARENA_ALIGN, u64::max) as u32,
        lower_bound: lower_bound(&items, &rules) as u32,
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
        let word = if bytes < MIN_ARENA_ALIGN { 1 } else { MIN_ARENA_ALIGN };
        let (slack, align) = (tensor.map.slack.into(), word.max(tensor.map.align.into()));
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

/// At which distances the buffers of each layer may lie on each other.
fn rules(program: &Program, items: &[Item]) -> Rules {
    let mut rules = Rules::default();
    let mut scratch = program.tensors.len();
    for (number, layer) in program.layers.iter().enumerate() {
        let buffers = buffers(&layer.nest, &layer.args, scratch);
        scratch += layer.nest.buffers_where(|buffer| buffer.role == Role::Scratch).count();
        let leaves = |item: usize| items[item].alive.1 == number && !stays(program, item);
        let comes = |item: usize| items[item].alive.0 == number && !is_there(program, item);
        add_rules(&mut rules, &layer.nest, &buffers, items, &leaves, &comes);
    }
    rules
}

/// Adds the distances at which those of these buffers may lie on each other that the nest leaves, or writes first.
fn add_rules(
    rules: &mut Rules,
    nest: &Nest,
    buffers: &[(BufferId, usize)],
    items: &[Item],
    leaves: &dyn Fn(usize) -> bool,
    comes: &dyn Fn(usize) -> bool,
) {
    let stored = nest.stored();
    let pairs: Vec<_> = buffers
        .iter()
        .flat_map(|left| buffers.iter().map(move |comes| (*left, *comes)))
        .filter(|((_, left), (_, coming))| left != coming && leaves(*left) && comes(*coming))
        .filter(|(_, (buffer, _))| stored[buffer.idx()])
        .collect();
    let Some(order) = (!pairs.is_empty()).then(|| Order::of(nest)).flatten() else { return };
    let numbered = |(buffer, item): (BufferId, usize)| (number(nest, buffer), item);
    let is_whole = |(buffer, item): &(usize, usize)| order.bytes(*buffer) == items[*item].bytes;
    let pairs = pairs.into_iter().map(|(left, comes)| (numbered(left), numbered(comes)));
    let pairs = pairs.filter(|(left, comes)| is_whole(left) && is_whole(comes));
    let (buffers, pairs): (Vec<_>, Vec<_>) =
        pairs.map(|((a, left), (b, comes))| ((a, b), (left, comes))).unzip();
    let found = || order.distances(&buffers);
    let distances = DISTANCES.answer((order.clone(), buffers.clone()), found).unwrap_or_default();
    for ((left, comes), distances) in pairs.into_iter().zip(distances) {
        rules.add(left, comes, distances);
    }
}

/// The parameters and the scratch of a nest with their items; `scratch` is that of the first scratch. Tensors that it is called
/// with twice are left out.
fn buffers(nest: &Nest, args: &[usize], scratch: usize) -> Vec<(BufferId, usize)> {
    let once = |tensor: &usize| args.iter().filter(|arg| *arg == tensor).count() == 1;
    let params = nest.params().zip(args.iter().copied()).filter(|(_, tensor)| once(tensor));
    params.chain(nest.buffers_where(|buffer| buffer.role == Role::Scratch).zip(scratch..)).collect()
}

/// What single layers need of an arena, whatever nests they become.
pub struct Needs<'p> {
    program: &'p Program,
    items: Vec<Item>,
}

impl<'p> Needs<'p> {
    /// Those of the layers of a program.
    pub fn new(program: &'p Program) -> Self {
        Self { program, items: tensor_items(program) }
    }

    /// Bytes that are alive while a layer runs that has become this nest: no arena is smaller in which they lie apart.
    pub fn apart(&self, number: usize, nest: &Nest) -> u64 {
        let scratch = nest.buffers.iter().filter(|buffer| buffer.role == Role::Scratch);
        let scratch: u64 = scratch.map(|buffer| scratch_item(buffer, number).bytes).sum();
        let alive = self.items.iter().filter(|item| item.layers().contains(&number));
        alive.map(|item| item.bytes).sum::<u64>() + scratch
    }

    /// Bytes that an arena has in which they lie on each other as far as they may.
    pub fn together(&self, number: usize, nest: &Nest) -> u64 {
        let args = &self.program.layers[number].args;
        let (mut used, mut others) = (args.clone(), 0);
        used.sort_unstable();
        used.dedup();
        for (idx, item) in self.items.iter().enumerate().filter(|(_, item)| item.layers().contains(&number)) {
            others += if used.contains(&idx) { 0 } else { item.bytes };
        }
        let place = |tensor: &usize| used.iter().position(|used| used == tensor).expect("it is an argument");
        let places: Vec<usize> = args.iter().map(place).collect();
        let scratch = nest.buffers.iter().filter(|buffer| buffer.role == Role::Scratch);
        let now = |item: &Item| Item { alive: (0, 0), ..item.clone() };
        let items: Vec<Item> = used
            .iter()
            .map(|tensor| now(&self.items[*tensor]))
            .chain(scratch.map(|buffer| scratch_item(buffer, 0)))
            .collect();
        let tensor = |item: usize| used.get(item).copied();
        let alive = |item: usize| tensor(item).map_or((number, number), |tensor| self.items[tensor].alive);
        let leaves =
            |item: usize| alive(item).1 == number && tensor(item).is_none_or(|t| !stays(self.program, t));
        let comes =
            |item: usize| alive(item).0 == number && tensor(item).is_none_or(|t| !is_there(self.program, t));
        let mut rules = Rules::default();
        add_rules(&mut rules, nest, &buffers(nest, &places, used.len()), &items, &leaves, &comes);
        height(&items, &pack(&items, &rules).offsets) + others
    }
}

/// Whether somebody reads the item after the last layer that does.
fn stays(program: &Program, item: usize) -> bool {
    let lifetime = program.tensors.get(item).map(|tensor| tensor.lifetime);
    matches!(lifetime, Some(Lifetime::Output(_) | Lifetime::Persistent))
}

/// Whether the item has contents before the first layer that has it.
fn is_there(program: &Program, item: usize) -> bool {
    let lifetime = program.tensors.get(item).map(|tensor| tensor.lifetime);
    matches!(lifetime, Some(Lifetime::Input(_) | Lifetime::Persistent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_copies_is_one_buffer() {
        let text = "program @three {
              tensor x: i8[3] input 0
              tensor a: i8[3] temporary
              tensor b: i8[3] temporary
              tensor y: i8[3] output 0
              layer @first(x, a) op \"copy\" macs 0 sources []
              layer @turn(a, b) op \"copy\" macs 0 sources []
              layer @last(b, y) op \"copy\" macs 0 sources []
            }
            loops @first(x: i8[3], y: i8[3]) { for i in 0..3 { y[i] = x[i] } }
            loops @turn(x: i8[3], y: i8[3]) { for i in 0..3 { y[i] = x[2 - i] } }
            loops @last(x: i8[3], y: i8[3]) { for i in 0..3 { y[i] = x[i] } }";
        let program = ir::loops::text::parse_program(text).expect("the program is well formed");
        let placement = place(&program).expect("it is small");
        // What is turned around lies beside what it is made of, but for the element that is read when it is written.
        assert_eq!((placement.arena_bytes, placement.apart_bytes), (5, 6));
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
              for again in 0..2 {
                for i in 0..5 { y[i] = add t[i], sext(x[i]) }
              }
            }";
        let program = ir::loops::text::parse_program(text).expect("the program is well formed");
        let Placement { arena_bytes, align, alive_bytes, apart_bytes, tensors, scratch, .. } =
            place(&program).expect("it is small");
        let [_, s, a, y] = tensors[..] else { panic!("there are four tensors") };
        let [t] = scratch[1][..] else { panic!("there is one scratch buffer") };
        assert_eq!((align, s % 8, a % 4, t % 4, scratch[0].len()), (8, 0, 0, 0, 0));
        assert!(a + 5 + 7 <= arena_bytes, "slack may be read, though others may lie there");
        assert_eq!(alive_bytes, 4 + 5 + 20 + 5);
        assert!(alive_bytes <= apart_bytes);
        let mut taken = [(s, 4), (a, 5), (y, 5), (t, 20)];
        taken.sort_unstable();
        assert!(taken.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "{taken:?}");
    }
}
