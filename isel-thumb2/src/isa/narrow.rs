//! 16-bit forms for 32-bit instructions, once registers are known.

use super::imm::Cond;
use super::inst::Inst;
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
    let mut regs: Vec<&[Reg]> = Vec::new();
    for operand in row.operands {
        let at = inst.row().operands.iter().position(|o| o.letter == rename(operand.letter))?;
        regs.push(registers_at(inst, at));
    }
    let covered = |letter: u8| row.operands.iter().any(|o| rename(o.letter) == letter);
    if !inst.row().operands.iter().all(|o| covered(o.letter)) {
        return None;
    }
    let mut imms = Vec::new();
    for imm in row.imms {
        imms.push(inst.imm(imm.letter).filter(|&raw| imm.kind.accepts(raw))?);
    }
    // An immediate that the narrow form lacks is one that does nothing.
    let lacking = inst.row().imms.iter().filter(|i| row.imms.iter().all(|j| j.letter != i.letter));
    if lacking.into_iter().any(|i| inst.imm(i.letter) != Some(0)) || !classes_admit(form, &regs) {
        return None;
    }
    let narrow = Inst::new(form, &regs, &imms).with_cond(inst.cond());
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
