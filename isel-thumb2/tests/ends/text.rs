//! A text form of functions on virtual registers, for a few instructions.

use std::fmt::Write;

use tinyc_isel_thumb2::isa::imm::{Cond, Imm12, Imm16, ModImm, PostImm8, Shift};
use tinyc_isel_thumb2::isa::{Inst, Reg, ops};
use tinyc_isel_thumb2::mir::{BlockId, End, Function, Group};

/// Reads what [`print`] writes.
pub fn parse(text: &str) -> Function {
    let mut function = Function::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let regs = words(line, 'v');
        regs.iter().for_each(|reg| function.n_regs = function.n_regs.max(*reg as u32 + 1));
        let regs: Vec<Reg> = regs.into_iter().map(|reg| Reg::virt(reg as u32)).collect();
        let blocks: Vec<BlockId> = words(line, 'b').into_iter().map(|block| BlockId(block as u32)).collect();
        if line.ends_with(':') {
            assert_eq!(function.new_block(1), blocks[0], "blocks are in order");
            function.blocks[blocks[0].idx()].params = regs;
            continue;
        }
        let block = function.blocks.last_mut().expect("the first line begins a block");
        match line.split(' ').next().expect("the line is not empty") {
            "to" => block.end = End::Jump(blocks[0], regs),
            "ne" => block.end = End::Branch(Cond::Ne, blocks[0], blocks[1]),
            "return" => block.end = End::Return,
            "given" => {
                let fixed = regs.into_iter().enumerate().map(|(at, reg)| (reg, Reg::core(at as u32)));
                block.groups.push(Group { fixed: fixed.collect(), ..Group::default() });
            }
            name => block.groups.push(Group::one(inst(name, &regs, &words(line, '#')), 0)),
        }
    }
    function
}

fn inst(name: &str, regs: &[Reg], imms: &[i64]) -> Inst {
    let imm = imms.first().copied().unwrap_or(0);
    let mod_imm = || ModImm::new(imm).expect("a modified immediate");
    match (name, regs, imms.len()) {
        ("mov.w", [d], 1) => ops::mov_imm(*d, mod_imm()),
        ("movw", [d], 1) => ops::movw(*d, Imm16::new(imm).expect("16 bits")),
        ("add.w", [d, n], 1) => ops::add_imm(*d, *n, mod_imm()),
        ("addw", [d, n], 1) => ops::addw(*d, *n, Imm12::new(imm).expect("12 bits")),
        ("add.w", [d, n, m], 0) => ops::add(*d, *n, *m, Shift::NONE),
        ("sub.w", [d, n], 1) => ops::sub_imm(*d, *n, mod_imm()),
        ("subs.w", [d, n], 1) => ops::subs_imm(*d, *n, mod_imm()),
        ("cmp.w", [n, m], 0) => ops::cmp(*n, *m, Shift::NONE),
        ("ldr.w", [t, n], _) => ops::ldr(*t, *n, Imm12::new(imm).expect("12 bits")),
        ("ldr.w", [t, b, n], 1) => ops::ldr_post(*t, *n, *b, PostImm8::new(imm).expect("8 bits")),
        ("str.w", [t, n], _) => ops::str(*t, *n, Imm12::new(imm).expect("12 bits")),
        _ => panic!("{name} is not known with {} registers and {} numbers", regs.len(), imms.len()),
    }
}

/// The numbers behind a mark, such as registers behind `v`.
fn words(line: &str, mark: char) -> Vec<i64> {
    let is_part = |c: char| c.is_alphanumeric() || c == mark || c == '-';
    let tokens = line.split(|c: char| !is_part(c));
    tokens.filter_map(|token| token.strip_prefix(mark)?.parse().ok()).collect()
}

/// The text of a function; what is written over another register stands behind an arrow.
pub fn print(function: &Function) -> String {
    let mut out = String::new();
    let list = |regs: &[Reg]| regs.iter().map(Reg::to_string).collect::<Vec<_>>().join(", ");
    for (at, block) in function.blocks.iter().enumerate() {
        writeln!(out, "b{at}({}):", list(&block.params)).unwrap();
        for group in &block.groups {
            for inst in &group.insts {
                let arrow = if inst.mem().is_some() { inst.ties().next() } else { None };
                let arrow = arrow.map_or(String::new(), |(new, _)| format!(" -> {}", inst.regs()[new]));
                writeln!(out, "  {inst}{arrow}").unwrap();
            }
            if group.insts.is_empty() {
                let given: Vec<Reg> = group.fixed.iter().map(|(reg, _)| *reg).collect();
                writeln!(out, "  given {}", list(&given)).unwrap();
            }
        }
        match &block.end {
            End::Jump(to, args) => writeln!(out, "  to b{}({})", to.0, list(args)).unwrap(),
            End::Branch(_, taken, other) => writeln!(out, "  ne b{} b{}", taken.0, other.0).unwrap(),
            End::Return => writeln!(out, "  return").unwrap(),
        }
    }
    out
}
