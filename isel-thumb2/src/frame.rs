//! What a function keeps outside of the core registers: saved registers of the caller, and values that did not fit.
//!
//! The frame is fixed for the whole function: SP moves in the prologue and the epilogue only.

use crate::isa::{Inst, Reg, ops};
use crate::object::{FrameInfo, SavedRegister};
use crate::regalloc::{Coded, Spill};
use crate::select::asm;

/// S registers that hold values.
const S_REGISTERS: u32 = 32;
/// Those of them, the first, that a callee may overwrite under AAPCS; the others are saved where they are used.
const FREE_S_REGISTERS: u32 = 16;
/// Words of a frame: SP moves by an immediate below 4096 bytes, and offsets from it reach as far.
const STACK_WORDS: u32 = 1023;
/// The most S registers that one instruction saves.
const S_LIST: usize = 8;
/// The registers that belong to the caller, in the order of a register list.
const SAVED: [u32; 9] = [4, 5, 6, 7, 8, 9, 10, 11, 14];

/// Where values go that did not fit into core registers.
#[derive(Clone, Copy, Debug)]
pub struct Home {
    /// Whether the S registers may be used.
    pub fpu: bool,
}

impl Home {
    /// Words on the stack for this many slots.
    fn stack_words(self, slots: u32) -> u32 {
        if self.fpu { slots.saturating_sub(S_REGISTERS) } else { slots }
    }

    /// The S register of a slot, or its offset from SP.
    fn place(self, slot: u32) -> Result<Reg, i64> {
        match (self.fpu, slot) {
            (true, 0..S_REGISTERS) => Ok(Reg::s(slot)),
            (true, _) => Err(4 * i64::from(slot - S_REGISTERS)),
            (false, _) => Err(4 * i64::from(slot)),
        }
    }
}

impl Spill for Home {
    fn store(&self, from: Reg, slot: u32) -> Inst {
        match self.place(slot) {
            Ok(s) => ops::vmov_to_s(s, from),
            Err(offset) => asm::store(ir::ty::Ty::I32, from, Reg::SP, offset),
        }
    }

    fn load(&self, to: Reg, slot: u32) -> Inst {
        match self.place(slot) {
            Ok(s) => ops::vmov_from_s(to, s),
            Err(offset) => asm::load(ir::ty::Ty::I32, to, Reg::SP, offset),
        }
    }

    fn most_slots(&self) -> u32 {
        STACK_WORDS + if self.fpu { S_REGISTERS } else { 0 }
    }
}

/// The frame of one function.
#[derive(Clone, Debug)]
pub struct Frame {
    saved: Vec<Reg>,
    /// An even number, from s16 on.
    saved_s: Vec<Reg>,
    spill_bytes: u32,
}

impl Frame {
    /// The frame for code that writes these registers; `slots` values were moved out of them.
    pub fn new(code: impl Iterator<Item = Inst>, slots: u32, home: Home, calls: bool) -> Self {
        let mut written = [false; 48];
        code.for_each(|inst| inst.defs().for_each(|reg| written[reg.index()] = true));
        let mut saved: Vec<Reg> = SAVED
            .iter()
            .map(|n| Reg::core(*n))
            .filter(|reg| written[reg.index()] || calls && *reg == Reg::LR)
            .collect();
        if calls && saved.len() % 2 == 1 {
            saved.insert(saved.len() - 1, Reg::core(12)); // SP is a multiple of 8 where others are called.
        }
        match saved[..] {
            [Reg::LR] => saved.insert(0, Reg::core(4)), // A list has two registers at least.
            [_] => saved.push(Reg::LR),
            _ => {}
        }
        let last_s = (FREE_S_REGISTERS..S_REGISTERS).rfind(|n| written[Reg::s(*n).index()]);
        let end = last_s.map_or(FREE_S_REGISTERS, |last| (last + 1).next_multiple_of(2));
        let saved_s = (FREE_S_REGISTERS..end).map(Reg::s).collect();
        Self { saved, saved_s, spill_bytes: 4 * home.stack_words(slots) }
    }

    /// Bytes of stack below the caller's.
    pub fn bytes(&self) -> u32 {
        4 * (self.saved.len() + self.saved_s.len()) as u32 + self.spill_bytes
    }

    /// The instructions at the start of the function.
    pub fn prologue(&self) -> Vec<Inst> {
        let mut insts = Vec::new();
        if !self.saved.is_empty() {
            insts.push(ops::push(&self.saved));
        }
        insts.extend(self.saved_s.chunks(S_LIST).map(ops::vpush));
        if self.spill_bytes > 0 {
            insts.push(asm::move_sp(self.spill_bytes, true));
        }
        insts
    }

    /// The instructions at the end of the function, the return among them.
    pub fn epilogue(&self) -> Vec<Inst> {
        let mut insts = Vec::new();
        if self.spill_bytes > 0 {
            insts.push(asm::move_sp(self.spill_bytes, false));
        }
        insts.extend(self.saved_s.chunks(S_LIST).rev().map(ops::vpop));
        if self.saved.contains(&Reg::LR) {
            let to: Vec<Reg> =
                self.saved.iter().map(|reg| if *reg == Reg::LR { Reg::PC } else { *reg }).collect();
            insts.push(ops::pop_return(&to));
        } else {
            if !self.saved.is_empty() {
                insts.push(ops::pop(&self.saved));
            }
            insts.push(ops::bx(Reg::LR));
        }
        insts
    }

    /// How a debugger unwinds, for a prologue whose instructions end at these offsets.
    pub fn unwinding(&self, ends: &[u32]) -> FrameInfo {
        let mut info = FrameInfo::default();
        let mut ends = ends.iter().copied();
        if !self.saved.is_empty() {
            let registers: Vec<SavedRegister> =
                self.saved.iter().map(|reg| SavedRegister::Core(reg.number() as u8)).collect();
            info.push(ends.next().expect("the prologue pushes"), &registers);
        }
        for list in self.saved_s.chunks(S_LIST) {
            let doubles: Vec<SavedRegister> =
                list.iter().step_by(2).map(|reg| SavedRegister::Double(reg.number() as u8 / 2)).collect();
            info.push(ends.next().expect("the prologue pushes"), &doubles);
        }
        if self.spill_bytes > 0 {
            info.lower(ends.next().expect("the prologue moves SP"), self.spill_bytes);
        }
        info
    }
}

/// Instructions without a place in the nest.
pub fn plain(insts: Vec<Inst>, stmt: u32) -> Vec<Coded> {
    insts.into_iter().map(|inst| Coded { inst, reloc: None, touched: None, stmt }).collect()
}
