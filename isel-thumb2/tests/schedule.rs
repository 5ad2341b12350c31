//! The scheduler: blocks in, orders with their cycles out.

use tinyc_isel_thumb2::cores::m4::CortexM4;
use tinyc_isel_thumb2::cores::m7::CortexM7;
use tinyc_isel_thumb2::cores::{Address, Core, straight_line_cycles};
use tinyc_isel_thumb2::isa::imm::{Imm12, ModImm, Shift};
use tinyc_isel_thumb2::isa::{Inst, Reg, ops};
use tinyc_isel_thumb2::memory::{Part, Place, Region, Touched};
use tinyc_isel_thumb2::mir::{Block, BlockId, End, Function, Group};
use tinyc_isel_thumb2::schedule::graph::Graph;
use tinyc_isel_thumb2::schedule::pressure::{Liveness, most_live};
use tinyc_isel_thumb2::schedule::{Order, Scheduler, Style, list};

#[allow(dead_code)] // Only a part of it is for this program.
mod numbers;
use numbers::Numbers;

/// A function of one block that jumps to itself, made step by step.
struct Maker {
    function: Function,
}

impl Maker {
    fn new() -> Self {
        let mut function = Function::default();
        function.new_block(1);
        Self { function }
    }

    fn param(&mut self) -> Reg {
        let reg = self.function.new_reg();
        self.function.blocks[0].params.push(reg);
        reg
    }

    fn push(&mut self, make: impl FnOnce(Reg) -> Inst) -> Reg {
        let reg = self.function.new_reg();
        self.function.blocks[0].groups.push(Group::one(make(reg), 0));
        reg
    }

    fn access(&mut self, inst: Inst, place: Place) {
        let address = Address::new(place.start, []);
        let touched = Some(Touched::new(Region::Arena, address, place).into());
        self.function.blocks[0].groups.push(Group { touched, ..Group::one(inst, 0) });
    }

    fn load(&mut self, base: Reg, offset: i64) -> Reg {
        let reg = self.function.new_reg();
        let inst = ops::ldr(reg, base, Imm12::new(offset).unwrap());
        self.access(inst, Place { start: offset, terms: Vec::new() });
        reg
    }

    fn store(&mut self, value: Reg, base: Reg, offset: i64) {
        let inst = ops::str(value, base, Imm12::new(offset).unwrap());
        self.access(inst, Place { start: offset, terms: Vec::new() });
    }

    fn end(mut self, args: Vec<Reg>) -> Function {
        self.function.blocks[0].end = End::Jump(BlockId(0), args);
        self.function
    }
}

/// Steps of a product of rows and columns of pairs, as an unrolled nest names them: everything loaded at its first use.
fn product(rows: usize, columns: usize, steps: i64) -> Function {
    let mut make = Maker::new();
    let (x, w) = (make.param(), make.param());
    let mut sums: Vec<Reg> = (0..rows * columns).map(|_| make.param()).collect();
    for step in 0..steps {
        let mut words: Vec<Option<Reg>> = vec![None; columns];
        for row in 0..rows {
            let n = make.load(x, 4 * step + 256 * row as i64);
            for (column, word) in words.iter_mut().enumerate() {
                let m = *word.get_or_insert_with(|| make.load(w, 1024 + 256 * column as i64 + 4 * step));
                let sum = sums[row * columns + column];
                sums[row * columns + column] = make.push(|d| ops::smlad(d, n, m, sum));
            }
        }
    }
    let next = |make: &mut Maker, base| make.push(|d| ops::add_imm(d, base, ModImm::new(16).unwrap()));
    let mut args = vec![next(&mut make, x), next(&mut make, w)];
    args.extend(sums);
    make.end(args)
}

fn graph(function: &Function) -> Graph {
    let liveness = Liveness::new(function);
    Graph::new(&function.blocks[0], &|reg| liveness.lives_out(0, reg), &function.parked)
}

fn insts(block: &Block) -> Vec<Inst> {
    block.groups.iter().flat_map(|group| group.insts.iter().copied()).collect()
}

fn cycles(core: &dyn Core, function: &Function, order: Order) -> u64 {
    straight_line_cycles(core, &insts(&Scheduler::new(function, core).run(order).blocks[0]))
}

/// Two pixels by four channels on 14 registers: six loads in two groups and eight products, sixteen cycles a step.
#[test]
fn blocks_of_products_take_what_their_loads_and_products_take() {
    for (rows, columns) in [(2, 4), (4, 2)] {
        let function = product(rows, columns, 4);
        assert_eq!(cycles(&CortexM4, &function, Order::of(Style::Grouped, 14)), 4 * 16 + 2);
        assert_eq!(cycles(&CortexM4, &function, Order::SOURCE), 4 * 19 + 2);
    }
}

/// A product each cycle, loads beside them: 8 cycles a step, and a few to begin and to end with.
#[test]
fn a_core_for_two_instructions_loads_while_it_multiplies() {
    for (rows, columns) in [(2, 4), (4, 2)] {
        let function = product(rows, columns, 8);
        let scheduled = cycles(&CortexM7, &function, Order::of(Style::Soonest, 14));
        assert!(scheduled <= 8 * 8 + 6, "{rows}x{columns}: {scheduled} cycles");
        assert!(cycles(&CortexM7, &function, Order::SOURCE) > 8 * 11);
    }
}

#[test]
fn no_more_values_live_than_the_limit_allows() {
    for (rows, columns) in [(2, 4), (4, 2), (3, 3), (2, 2), (5, 1)] {
        let function = product(rows, columns, 4);
        let graph = graph(&function);
        // Sums, pointers, one row, one column and what the smaller side keeps.
        let least = (rows * columns + 2 + rows.min(columns) + 1) as u32;
        for limit in least..=16 {
            for (style, core) in
                [(Style::Grouped, &CortexM4 as &dyn Core), (Style::Soonest, &CortexM7 as &dyn Core)]
            {
                let order = list::order(&graph, &function.blocks[0], core, style, limit).nodes;
                let most = most_live(&graph, &order);
                assert!(most <= limit, "{rows}x{columns} {style:?}: {most} values of {limit}");
            }
        }
    }
}

/// The positions of loads and stores in the order that the scheduler makes of a block.
fn positions(function: &Function, style: Style) -> Vec<usize> {
    let core: &dyn Core = &CortexM7;
    list::order(&graph(function), &function.blocks[0], core, style, 14).nodes
}

/// Stores the result of a long chain, then loads: from there, or from beside it.
fn store_then_load(load_at: Place, store_at: Place) -> bool {
    let mut make = Maker::new();
    let (base, mut value) = (make.param(), make.param());
    for _ in 0..6 {
        value = make.push(|d| ops::mul(d, value, value));
    }
    let store = ops::str(value, base, Imm12::new(0).unwrap());
    make.access(store, store_at);
    let loaded = make.function.new_reg();
    make.access(ops::ldr(loaded, base, Imm12::new(0).unwrap()), load_at);
    let sum = make.push(|d| ops::add(d, loaded, loaded, Shift::NONE));
    let function = make.end(vec![base, sum]);
    let order = positions(&function, Style::Soonest);
    let at = |node: usize| order.iter().position(|have| *have == node).unwrap();
    at(7) < at(6)
}

#[test]
fn a_load_passes_a_store_only_where_they_are_apart() {
    let place = |start, terms: &[(u32, i64, i64)]| Place {
        start,
        terms: terms
            .iter()
            .map(|(atom, coefficient, most)| Part {
                atom: *atom,
                coefficient: *coefficient,
                least: 0,
                most: *most,
            })
            .collect(),
    };
    assert!(!store_then_load(place(0, &[]), place(0, &[])));
    assert!(!store_then_load(place(2, &[]), place(0, &[])));
    assert!(store_then_load(place(4, &[]), place(0, &[])));
    assert!(store_then_load(place(4, &[(0, 4, 9)]), place(0, &[(0, 4, 9)])), "the same loop, a word apart");
    assert!(!store_then_load(place(4, &[(0, 4, 9)]), place(0, &[(1, 4, 9)])), "different loops");
    assert!(
        store_then_load(place(40, &[(0, 4, 9)]), place(0, &[(1, 4, 9)])),
        "different loops, no common bytes"
    );
}

/// Whatever the block: all groups once, orders kept, at least as good as the order of the nest in the end.
#[test]
fn random_blocks_keep_their_orders() {
    for seed in 0..200 {
        let mut numbers = Numbers(seed);
        let mut make = Maker::new();
        let base = make.param();
        let mut values = vec![make.param(), make.param()];
        for _ in 0..10 + numbers.below(60) {
            let any = |numbers: &mut Numbers, values: &Vec<Reg>| values[numbers.below(values.len())];
            let (a, b) = (any(&mut numbers, &values), any(&mut numbers, &values));
            let offset = 4 * numbers.below(6) as i64;
            match numbers.below(4) {
                0 => make.store(a, base, offset),
                1 => values.push(make.load(base, offset)),
                2 => values.push(make.push(|d| ops::mla(d, a, b, a))),
                _ => values.push(make.push(|d| ops::add(d, a, b, Shift::NONE))),
            }
        }
        let kept = values[values.len() - 2..].to_vec();
        let function = make.end([vec![base], kept].concat());
        let graph = graph(&function);
        for style in [Style::Grouped, Style::Soonest] {
            let order = positions(&function, style);
            let mut at = vec![usize::MAX; order.len()];
            order.iter().enumerate().for_each(|(position, node)| at[*node] = position);
            assert!(at.iter().all(|position| *position != usize::MAX), "seed {seed}: every group once");
            for (node, data) in graph.nodes.iter().enumerate() {
                assert!(data.before.iter().all(|before| at[*before] < at[node]), "seed {seed}: group {node}");
            }
        }
    }
}
