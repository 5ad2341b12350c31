//! 16-bit forms for 32-bit instructions, once registers are known.

use super::imm::Cond;
use super::inst::{Inst, MAX_IMMS, MAX_REGS};
use super::reg::Reg;
use super::row::Form;

/// The 16-bit instruction that does the same, if the row names one and the operands fit.
///
/// Most 16-bit forms set the flags; they are used only where `flags_dead` says that no one reads them.
pub fn narrow(inst: &Inst, flags_dead: bool) -> Option<Inst> {
    let forms = inst.row().narrower.iter();
    forms.copied().find_map(|form| {
        let plain = rewrite(inst, form, |letter| letter);
        let swapped = || inst.row().effects.commutes.then(|| rewrite(inst, form, swap)).flatten();
        plain.or_else(swapped).filter(|narrow| same_flags(inst, narrow, flags_dead))
    })
}

/// The instruction in another form, whose operands have the letters of its own up to `rename`.
fn rewrite(inst: &Inst, form: Form, rename: fn(u8) -> u8) -> Option<Inst> {
    let row = form.row();
    let mut regs: [&[Reg]; MAX_REGS] = [&[]; MAX_REGS];
    for (regs, operand) in regs.iter_mut().zip(row.operands) {
        let at = inst.row().operands.iter().position(|o| o.letter == rename(operand.letter))?;
        *regs = registers_at(inst, at);
    }
    let regs = &regs[..row.operands.len()];
    let covered = |letter: u8| row.operands.iter().any(|o| rename(o.letter) == letter);
    if !inst.row().operands.iter().all(|o| covered(o.letter)) {
        return None;
    }
    let mut imms = [0; MAX_IMMS];
    for (value, imm) in imms.iter_mut().zip(row.imms) {
        *value = inst.imm(imm.letter).filter(|&raw| imm.kind.accepts(raw))?;
    }
    // An immediate that the narrow form lacks is one that does nothing.
    let lacking = inst.row().imms.iter().filter(|i| row.imms.iter().all(|j| j.letter != i.letter));
    if lacking.into_iter().any(|i| inst.imm(i.letter) != Some(0)) || !classes_admit(form, regs) {
        return None;
    }
    let narrow = Inst::new(form, regs, &imms[..row.imms.len()]).with_cond(inst.cond());
    narrow.check().is_ok().then_some(narrow)
}

/// The registers of the operand at position `at` of the row.
fn registers_at(inst: &Inst, at: usize) -> &[Reg] {
    let operands = inst.row().operands;
    let extra = inst.regs().len() + 1 - operands.len();
    let width = |o: &super::row::Operand| if o.class.is_list() { extra } else { 1 };
    let start: usize = operands[..at].iter().map(width).sum();
    &inst.regs()[start..start + width(&operands[at])]
}

fn classes_admit(form: Form, regs: &[&[Reg]]) -> bool {
    let operands = form.row().operands.iter().zip(regs);
    operands.into_iter().all(|(o, regs)| regs.iter().all(|&reg| o.class.admits(reg)))
}

fn swap(letter: u8) -> u8 {
    match letter {
        b'n' => b'm',
        b'm' => b'n',
        other => other,
    }
}

fn same_flags(wide: &Inst, narrow: &Inst, flags_dead: bool) -> bool {
    let (wide, narrow, conditional) = (wide.effects(), narrow.effects(), wide.cond() != Cond::Al);
    if conditional {
        wide.sets_flags == narrow.sets_flags
    } else {
        flags_dead || wide.sets_flags == narrow.sets_flags
    }
}

#[cfg(test)]
mod tests {
    use super::super::imm::{Imm12, ModImm, Scale, Shift, ShiftKind};
    use super::super::ops;
    use super::*;

    /// What `inst` becomes, as text; itself where nothing narrower does the same.
    fn narrowed(inst: Inst, flags_dead: bool) -> String {
        narrow(&inst, flags_dead).unwrap_or(inst).to_string()
    }

    #[test]
    fn operands_that_fit_make_it_narrow() {
        let [r0, r1, r2, r8, sp] = [0, 1, 2, 8, 13].map(Reg::core);
        let imm = |n| ModImm::new(n).expect("encodable");
        let byte = |n| Imm12::new(n).expect("12 bits");
        let none = Shift::NONE;
        let by2 = Shift::new(ShiftKind::Lsl, 2).expect("legal");
        let flags_dead = [
            (ops::mov(r8, r1), "mov r8, r1"),
            (ops::mov_imm(r0, imm(255)), "movs r0, #255"),
            (ops::mov_imm(r0, imm(256)), "mov.w r0, #256"),
            (ops::add(r0, r1, r2, none), "adds r0, r1, r2"),
            (ops::add(r0, r1, r2, by2), "add.w r0, r1, r2, lsl #2"),
            (ops::add(r8, r8, r2, none), "add r8, r2"),
            (ops::add(r8, r2, r8, none), "add r8, r2"),
            (ops::add_imm(r0, r1, imm(7)), "adds r0, r1, #7"),
            (ops::add_imm(r0, r1, imm(8)), "add.w r0, r1, #8"),
            (ops::add_imm(r0, r0, imm(200)), "adds r0, #200"),
            (ops::add_imm(r0, sp, imm(200)), "add r0, sp, #200"),
            (ops::sub(r0, r1, r8, none), "sub.w r0, r1, r8"),
            (ops::mul(r0, r1, r0), "muls r0, r1"),
            (ops::mul(r0, r0, r1), "muls r0, r1"),
            (ops::mul(r0, r1, r2), "mul.w r0, r1, r2"),
            (ops::ldr(r0, r1, byte(124)), "ldr r0, [r1, #124]"),
            (ops::ldr(r0, r1, byte(128)), "ldr.w r0, [r1, #128]"),
            (ops::ldr(r0, r1, byte(122)), "ldr.w r0, [r1, #122]"),
            (ops::ldr(r0, sp, byte(1020)), "ldr r0, [sp, #1020]"),
            (ops::ldrsb_reg(r0, r1, r2, Scale::new(0).expect("none")), "ldrsb r0, [r1, r2]"),
        ];
        for (inst, expected) in flags_dead {
            assert_eq!(narrowed(inst, true), expected);
        }
    }

    #[test]
    fn flags_that_someone_reads_stay_as_they_are() {
        let [r0, r1, r8] = [0, 1, 8].map(Reg::core);
        let one = ModImm::new(1).expect("a byte");
        assert_eq!(narrowed(ops::mov_imm(r0, one), false), "mov.w r0, #1");
        assert_eq!(narrowed(ops::movs_imm(r0, one), false), "movs r0, #1");
        assert_eq!(narrowed(ops::add(r0, r0, r1, Shift::NONE), false), "add r0, r1");
        assert_eq!(narrowed(ops::cmp(r0, r1, Shift::NONE), false), "cmp r0, r1");
        assert_eq!(narrowed(ops::cmp(r0, r8, Shift::NONE), false), "cmp.w r0, r8");
        // Inside an IT block the 16-bit forms leave the flags alone.
        assert_eq!(narrowed(ops::mov_imm(r0, one).with_cond(Cond::Eq), false), "moveq r0, #1");
        assert_eq!(narrowed(ops::movs_imm(r0, one).with_cond(Cond::Eq), false), "movseq.w r0, #1");
    }
}
