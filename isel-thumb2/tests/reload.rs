//! Loads that are repeated where registers are short.

use tinyc_isel_thumb2::cores::Address;
use tinyc_isel_thumb2::isa::imm::{Imm12, Shift};
use tinyc_isel_thumb2::isa::row::Access;
use tinyc_isel_thumb2::isa::{Inst, Reg, ops};
use tinyc_isel_thumb2::memory::{Place, Region, Touched};
use tinyc_isel_thumb2::mir::{BlockId, End, Function, Group};
use tinyc_isel_thumb2::reload::reload;

/// A block that loads a word, then `n` words that it adds up later, and adds the first one to each of `returns` such sums.
fn crowded(n: usize, returns: usize) -> Function {
    let mut function = Function::default();
    function.new_block(1);
    let base = function.new_reg();
    function.blocks[0].params.push(base);
    let word = access(&mut function, base, 0, None);
    let mut sum = base;
    for turn in 0..returns {
        let from = 4 * (1 + turn * n) as i64;
        let words: Vec<Reg> =
            (0..n).map(|at| access(&mut function, base, from + 4 * at as i64, None)).collect();
        for other in words.into_iter().rev().chain([word]) {
            let next = function.new_reg();
            let add = ops::add(next, sum, other, Shift::NONE);
            function.blocks[0].groups.push(Group::one(add, 0));
            sum = next;
        }
    }
    function.blocks[0].end = End::Jump(BlockId(0), vec![sum]);
    function
}

/// Loads a word, or stores one.
fn access(function: &mut Function, base: Reg, at: i64, value: Option<Reg>) -> Reg {
    let offset = Imm12::new(at).unwrap();
    let reg = value.unwrap_or_else(|| function.new_reg());
    let inst = if value.is_some() { ops::str(reg, base, offset) } else { ops::ldr(reg, base, offset) };
    let touched = Touched::new(Region::Arena, Address::new(at, []), Place { start: at, terms: Vec::new() });
    function.blocks[0].groups.push(Group { touched: Some(touched.into()), ..Group::one(inst, 0) });
    reg
}

fn loads(function: &Function) -> Vec<Inst> {
    let insts = function.blocks[0].groups.iter().flat_map(|group| &group.insts);
    insts.filter(|inst| inst.mem().is_some_and(|mem| mem.access == Access::Load)).copied().collect()
}

#[test]
fn a_word_that_comes_back_once_is_loaded_again() {
    let before = crowded(13, 1);
    let after = reload(&before).expect("13 words take all other registers meanwhile");
    let (before, after) = (loads(&before), loads(&after));
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(after.last().unwrap().imms(), before[0].imms(), "from the same place");
    assert_ne!(after.last().unwrap().defs().next(), before[0].defs().next(), "into another register");
}

#[test]
fn what_fits_or_comes_back_more_often_stays() {
    assert!(reload(&crowded(10, 1)).is_none());
    assert!(reload(&crowded(13, 2)).is_none());
}

#[test]
fn a_store_to_the_same_bytes_between_forbids_it() {
    let stored = |place: i64| {
        let mut function = crowded(13, 1);
        let value = function.blocks[0].groups[1].operands().1[0];
        let base = function.blocks[0].params[0];
        access(&mut function, base, place, Some(value));
        let store = function.blocks[0].groups.pop().unwrap();
        function.blocks[0].groups.insert(3, store);
        function
    };
    assert!(reload(&stored(0)).is_none());
    assert!(reload(&stored(2)).is_none());
    assert!(reload(&stored(400)).is_some());
}
