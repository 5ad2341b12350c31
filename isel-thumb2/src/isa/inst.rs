//! An instruction: a form with registers and immediates, before and after register allocation.

use super::imm::Cond;
use super::reg::Reg;
use super::row::{Class, Effects, Form, Mem, Operand, Role, Row};

/// Most registers of one instruction: a base, its update and a list of ten.
pub const MAX_REGS: usize = 12;

/// One instruction. The constructors in [`super::ops`], one per row, make it.
///
/// A tied operand is two entries, the one written and the one read, so that code in SSA form can be held;
/// once allocated both are the same register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inst {
    form: Form,
    cond: Cond,
    n_regs: u8,
    regs: [Reg; MAX_REGS],
    imms: [i32; MAX_IMMS],
}

/// Most immediates of one instruction.
pub const MAX_IMMS: usize = 2;

impl Inst {
    /// Puts an instruction together from its row's operands, each one register or a list, and raw immediates.
    pub(super) fn new(form: Form, operands: &[&[Reg]], imms: &[i32]) -> Inst {
        let mut inst =
            Inst { form, cond: Cond::Al, n_regs: 0, regs: [Reg::core(0); MAX_REGS], imms: [0; MAX_IMMS] };
        for &reg in operands.iter().copied().flatten() {
            assert!(inst.len() < MAX_REGS, "a register list has at most ten registers");
            inst.regs[inst.len()] = reg;
            inst.n_regs += 1;
        }
        inst.imms[..imms.len()].copy_from_slice(imms);
        debug_assert!(inst.admissible(), "{inst}: a register is not of its operand's class");
        inst
    }

    /// An instruction from parts that were not known when this was compiled: a register or list per operand
    /// of the row, then raw immediates. `None` where the row does not accept them.
    pub fn from_parts(form: Form, operands: &[&[Reg]], imms: &[i32]) -> Option<Inst> {
        let row = form.row();
        let singles =
            || row.operands.iter().zip(operands).all(|(o, regs)| o.class.is_list() || regs.len() == 1);
        let admitted =
            || row.operands.iter().zip(operands).all(|(o, regs)| regs.iter().all(|&reg| o.class.admits(reg)));
        let accepted = || row.imms.iter().zip(imms).all(|(imm, &raw)| imm.kind.accepts(raw));
        let counts = row.operands.len() == operands.len() && row.imms.len() == imms.len();
        let total: usize = operands.iter().map(|regs| regs.len()).sum();
        (counts && total <= MAX_REGS && singles() && admitted() && accepted())
            .then(|| Inst::new(form, operands, imms))
    }

    /// The form.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The row of the form.
    pub fn row(&self) -> &'static Row {
        self.form.row()
    }

    /// The timing class.
    pub fn class(&self) -> Class {
        self.row().class
    }

    /// The memory access, if it makes one.
    pub fn mem(&self) -> Option<Mem> {
        self.row().mem
    }

    /// Length of the encoding in bytes, 2 or 4.
    pub fn size(&self) -> usize {
        self.row().size
    }

    /// What it reads and writes beside its operands, its condition considered.
    pub fn effects(&self) -> Effects {
        let row = self.row();
        let mut effects = row.effects;
        if self.cond != Cond::Al {
            effects.reads_flags = true;
            // In an IT block the 16-bit forms leave the flags alone, comparisons excepted.
            effects.sets_flags &= row.size == 4 || self.defs().next().is_none();
        }
        effects
    }

    /// On what the instruction runs; anything but `Al` is only right inside an IT block.
    pub fn cond(&self) -> Cond {
        self.cond
    }

    /// The same instruction for an IT block. Where the condition fails its results keep what they held, so
    /// this is for code whose registers are real.
    pub fn with_cond(self, cond: Cond) -> Inst {
        Inst { cond, ..self }
    }

    /// All registers in the order of the row, lists in place.
    pub fn regs(&self) -> &[Reg] {
        &self.regs[..self.len()]
    }

    /// The registers with their operands; a list repeats its operand.
    pub fn operands(&self) -> impl Iterator<Item = (Reg, &'static Operand)> + '_ {
        let operands = self.row().operands;
        let extra = self.len() + 1 - operands.len().max(1);
        let list = if extra == 1 { None } else { operands.iter().position(|o| o.class.is_list()) };
        let operand = move |at: usize| match list {
            Some(list) if at >= list + extra => at + 1 - extra,
            Some(list) => at.min(list),
            None => at,
        };
        self.regs().iter().enumerate().map(move |(at, reg)| (*reg, &operands[operand(at)]))
    }

    /// The registers written.
    pub fn defs(&self) -> impl Iterator<Item = Reg> + '_ {
        self.operands().filter(|(_, o)| o.role == Role::Def).map(|(reg, _)| reg)
    }

    /// The registers read, tied ones among them.
    pub fn uses(&self) -> impl Iterator<Item = Reg> + '_ {
        self.operands().filter(|(_, o)| o.role != Role::Def).map(|(reg, _)| reg)
    }

    /// Positions in [`Inst::regs`] that must become one register: the def's, then the use's.
    pub fn ties(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.operands().enumerate().filter_map(|(at, (_, o))| {
            let Role::Tied(letter) = o.role else { return None };
            let def = self.operands().position(|(_, d)| d.letter == letter);
            Some((def.expect("a tie names a def of its row"), at))
        })
    }

    /// The registers that make the address of a memory access: the base, then the index.
    pub fn address(&self) -> impl Iterator<Item = Reg> + '_ {
        let is_memory = self.mem().is_some();
        let part =
            move |o: &Operand| is_memory && o.role != Role::Def && matches!(o.letter, b'n' | b'b' | b'm');
        let named = self.operands().filter(move |(_, o)| part(o)).map(|(reg, _)| reg);
        named.chain((is_memory && self.row().effects.moves_sp).then_some(Reg::SP))
    }

    /// The base register, if the access moves it.
    pub fn updated_base(&self) -> Option<Reg> {
        if self.writes_base() { self.reg(b'n') } else { None }
    }

    /// The registers that a memory access loads or stores.
    pub fn transferred(&self) -> impl Iterator<Item = Reg> + '_ {
        let is_memory = self.mem().is_some();
        let address = |o: &Operand| matches!(o.letter, b'n' | b'b' | b'm');
        self.operands().filter(move |(_, o)| is_memory && !address(o)).map(|(reg, _)| reg)
    }

    /// The register of the operand with this letter; of a list its first.
    pub fn reg(&self, letter: u8) -> Option<Reg> {
        self.operands().find(|(_, o)| o.letter == letter).map(|(reg, _)| reg)
    }

    /// Replaces every register.
    pub fn map_regs(mut self, mut f: impl FnMut(Reg) -> Reg) -> Inst {
        let len = self.len();
        self.regs[..len].iter_mut().for_each(|reg| *reg = f(*reg));
        self
    }

    /// Replaces every register; `f` also learns its position in [`Inst::regs`] and its operand.
    pub fn map_operands(mut self, mut f: impl FnMut(usize, Reg, &Operand) -> Reg) -> Inst {
        let old = self;
        for (at, (reg, operand)) in old.operands().enumerate() {
            self.regs[at] = f(at, reg, operand);
        }
        self
    }

    /// The immediates in the order of the row, as their types keep them.
    pub fn imms(&self) -> &[i32] {
        &self.imms[..self.row().imms.len()]
    }

    /// The immediate with this letter.
    pub fn imm(&self, letter: u8) -> Option<i32> {
        self.row().imms.iter().position(|i| i.letter == letter).map(|at| self.imms[at])
    }

    /// The same instruction with another immediate, or `None` where the field cannot hold it.
    pub fn with_imm(mut self, letter: u8, value: i32) -> Option<Inst> {
        let at = self.row().imms.iter().position(|i| i.letter == letter)?;
        self.row().imms[at].kind.accepts(value).then(|| {
            self.imms[at] = value;
            self
        })
    }

    /// Bytes from the address of the branch plus 4 to its target; `None` if this is no direct branch.
    pub fn branch_offset(&self) -> Option<i32> {
        self.branch_letter().and_then(|letter| self.imm(letter))
    }

    /// The branch with its target `offset` bytes from its own address plus 4, or `None` if that is out of
    /// reach or this is no direct branch.
    pub fn with_branch_offset(self, offset: i32) -> Option<Inst> {
        self.with_imm(self.branch_letter()?, offset)
    }

    /// Whether every real register is of its operand's class.
    pub fn admissible(&self) -> bool {
        self.operands().all(|(reg, operand)| operand.class.admits(reg))
    }

    /// Checks what encoding relies on: real registers of their classes, ties kept, results apart, lists
    /// ascending.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.regs().iter().any(|reg| reg.is_virtual()) {
            return Err("a register is virtual");
        }
        if !self.admissible() {
            return Err("a register is not of its operand's class");
        }
        if self.ties().any(|(def, tied)| self.regs[def] != self.regs[tied]) {
            return Err("a tied operand is not in the register it is written to");
        }
        let defs: Vec<Reg> = self.defs().collect();
        if defs.iter().enumerate().any(|(at, reg)| defs[..at].contains(reg)) {
            return Err("two results share a register");
        }
        if self.writes_base() && self.stores_base() {
            return Err("the base that a store updates is stored as well");
        }
        let lists: Vec<Reg> =
            self.operands().filter(|(_, o)| o.class.is_list()).map(|(reg, _)| reg).collect();
        if lists.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err("a register list is not ascending");
        }
        Ok(())
    }

    fn len(&self) -> usize {
        usize::from(self.n_regs)
    }

    fn branch_letter(&self) -> Option<u8> {
        self.row().imms.iter().find(|i| i.kind.is_branch()).map(|i| i.letter)
    }

    fn writes_base(&self) -> bool {
        self.mem().is_some_and(|mem| mem.addressing.writes_base())
    }

    fn stores_base(&self) -> bool {
        let Some((def, tied)) = self.ties().next() else { return false };
        self.regs().iter().enumerate().any(|(at, &reg)| at != def && at != tied && reg == self.regs[def])
    }
}
