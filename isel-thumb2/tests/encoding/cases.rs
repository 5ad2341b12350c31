//! Instructions to try: the edges of every immediate, and random operands, for any row of the table.

use tinyc_isel_thumb2::isa::imm::{Cond, Extract, ItBlock, ModImm, Shift, ShiftKind};
use tinyc_isel_thumb2::isa::{Form, ImmKind, Inst, Operand, Reg, RegClass, Role};

use crate::numbers::Numbers;

/// One instruction per edge of each immediate of the row; at least one.
pub fn edges(form: Form) -> Vec<Inst> {
    let mut numbers = Numbers(form as u64);
    let imms = form.row().imms;
    let least: Vec<i32> = imms.iter().map(|imm| edge_values(imm.kind)[0]).collect();
    let mut cases = vec![with_random_registers(form, &least, &mut numbers)];
    for (at, imm) in imms.iter().enumerate() {
        for value in edge_values(imm.kind) {
            let mut values = least.clone();
            values[at] = value;
            cases.push(with_random_registers(form, &values, &mut numbers));
        }
    }
    cases
}

/// `count` instructions of the row with random operands.
pub fn random(form: Form, count: usize) -> Vec<Inst> {
    let mut numbers = Numbers(1000 + form as u64);
    let mut case = || {
        let values: Vec<i32> =
            form.row().imms.iter().map(|imm| random_value(imm.kind, &mut numbers)).collect();
        with_random_registers(form, &values, &mut numbers)
    };
    (0..count).map(|_| case()).collect()
}

/// The values at the edges of a kind, the least first.
pub fn edge_values(kind: ImmKind) -> Vec<i32> {
    if let Some((lo, hi, step)) = kind.range() {
        let mut values = vec![lo, lo + step, -step, 0, step, hi - step, hi];
        values.retain(|&value| kind.accepts(value));
        values.sort_unstable();
        values.dedup();
        return values;
    }
    let constants =
        [0, 1, 0xff, 0x100, 0x1fe, 0xff0, 0x8000_0000, 0xff00_0000, 0x00ff_00ff, 0xff00_ff00, 0xffff_ffff];
    let shifts = [(0, 0), (0, 1), (0, 31), (1, 1), (1, 32), (2, 1), (2, 32), (3, 1), (3, 31)];
    let fields = [(0, 1), (0, 32), (31, 1), (1, 31), (8, 8)];
    match kind {
        ImmKind::ModImm => constants.map(|value| ModImm::new(value).expect("encodable").raw()).to_vec(),
        ImmKind::Shift => {
            shifts.map(|(kind, by)| Shift::new(ShiftKind::ALL[kind], by).expect("legal").raw()).to_vec()
        }
        ImmKind::Extract | ImmKind::Insert => {
            fields.map(|(lsb, width)| Extract::new(lsb, width).expect("inside").raw()).to_vec()
        }
        ImmKind::Cond => Cond::ALL.map(Cond::raw).to_vec(),
        ImmKind::ItBlock => all_it_blocks(),
        _ => unreachable!("the other kinds are ranges"),
    }
}

fn random_value(kind: ImmKind, numbers: &mut Numbers) -> i32 {
    loop {
        let value = match (kind.range(), kind) {
            (Some((lo, hi, step)), _) => lo + step * numbers.below(((hi - lo) / step + 1) as usize) as i32,
            (_, ImmKind::ModImm) => ModImm::decode(numbers.below(4096) as u32).map_or(0, ModImm::raw),
            (_, ImmKind::Extract | ImmKind::Insert) => {
                (numbers.below(32) as i32 + 1) << 8 | numbers.below(32) as i32
            }
            (_, ImmKind::Shift) => (numbers.below(4) as i32) << 8 | numbers.below(33) as i32,
            _ => numbers.pick(&edge_values(kind)),
        };
        if kind.accepts(value) {
            return value;
        }
    }
}

fn all_it_blocks() -> Vec<i32> {
    let mut blocks = Vec::new();
    for cond in Cond::ALL {
        for others in
            [&[][..], &[true], &[false], &[true, false], &[false, true, true], &[true, false, false]]
        {
            blocks.push(ItBlock::new(cond, others).expect("at most four").raw());
        }
    }
    blocks
}

/// The instruction on registers drawn until the row accepts them.
fn with_random_registers(form: Form, imms: &[i32], numbers: &mut Numbers) -> Inst {
    loop {
        let mut regs: Vec<Vec<Reg>> = Vec::new();
        for operand in form.row().operands {
            let regs_of = match operand.role {
                Role::Tied(letter) => {
                    let def = form.row().operands.iter().position(|o| o.letter == letter);
                    regs[def.expect("defs stand first")].clone()
                }
                _ => draw(operand, numbers),
            };
            regs.push(regs_of);
        }
        let regs: Vec<&[Reg]> = regs.iter().map(|list| list.as_slice()).collect();
        let inst = Inst::from_parts(form, &regs, imms).expect("drawn from the operand's class");
        if inst.check().is_ok() && !assembler_prefers_another(&inst) {
            return inst;
        }
    }
}

/// `adds r0, r0, #1` has two 16-bit encodings; a text stands for the one with the longer constant. `mov r8,
/// r8` is listed as the `nop` that it is.
fn assembler_prefers_another(inst: &Inst) -> bool {
    match inst.form() {
        Form::AddsImm3Narrow | Form::SubsImm3Narrow => inst.reg(b'd') == inst.reg(b'n'),
        Form::MovNarrow => inst.reg(b'd') == inst.reg(b'm'),
        _ => false,
    }
}

/// Registers for an operand: one, or an ascending list.
fn draw(operand: &Operand, numbers: &mut Numbers) -> Vec<Reg> {
    let class = operand.class;
    let all: Vec<Reg> =
        (0..16).map(Reg::core).chain((0..32).map(Reg::s)).filter(|&reg| class.admits(reg)).collect();
    if !class.is_list() {
        return vec![numbers.pick(&all)];
    }
    if class == RegClass::SingleList {
        let first = numbers.below(21);
        return all[first..first + 1 + numbers.below(12)].to_vec();
    }
    let least = if matches!(class, RegClass::List | RegClass::ListPc) { 2 } else { 1 };
    loop {
        let mut list = all.clone();
        list.retain(|&reg| reg == Reg::PC || numbers.below(3) == 0);
        if (least..=10).contains(&list.len()) {
            return list;
        }
    }
}
