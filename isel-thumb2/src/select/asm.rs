//! Instructions for what is known only by value here: kinds of shifts, types of elements, sizes of immediates.

use ir::ty::Ty;

use crate::isa::imm::{
    AsrAmount, BranchOffset9, BranchOffset12, BranchOffset21, BranchOffset25, Extract, Imm12, Imm16, Insert,
    ItBlock, LeftBy, LslAmount, PostImm8, RightBy, Rot8, SatBits, Scale, Shift, ShiftKind, UsatBits,
};
use crate::isa::imm::{Cond, ModImm};
use crate::isa::{Inst, Reg, ops};

/// A shift that the caller knows to be from 1 to 31 bits.
fn shift(kind: ShiftKind, by: u32) -> Shift {
    Shift::new(kind, by.into()).expect("the amount is from 1 to 31")
}

/// A constant below 256.
pub fn small(value: u8) -> ModImm {
    ModImm::new(value.into()).expect("a byte is a modified immediate")
}

/// Half of a word.
pub fn half(value: u32) -> Imm16 {
    Imm16::new((value & 0xffff).into()).expect("a halfword fits")
}

/// A rotation by whole bytes.
pub fn rotation(bits: i32) -> Rot8 {
    Rot8::new(bits.into()).expect("the verifier checked the rotation")
}

/// `d = n + value`, or `None` where it takes more than one instruction.
pub fn add_small(d: Reg, n: Reg, value: i32) -> Option<Inst> {
    let up = i64::from(value);
    if let Some(imm) = (up >= 0).then(|| ModImm::new(up)).flatten() {
        return Some(ops::add_imm(d, n, imm));
    }
    if let Some(imm) = (up < 0).then(|| ModImm::new(-up)).flatten() {
        return Some(ops::sub_imm(d, n, imm));
    }
    if let Some(imm) = Imm12::new(up) {
        return Some(ops::addw(d, n, imm));
    }
    Imm12::new(-up).map(|imm| ops::subw(d, n, imm))
}

/// A shift by 1 to 31.
pub fn shift_imm(d: Reg, m: Reg, kind: ShiftKind, by: u32) -> Inst {
    let right = || RightBy::new(by.into()).expect("the amount is from 1 to 31");
    match kind {
        ShiftKind::Lsl => ops::lsl_imm(d, m, LeftBy::new(by.into()).expect("the amount is from 1 to 31")),
        ShiftKind::Lsr => ops::lsr_imm(d, m, right()),
        ShiftKind::Asr => ops::asr_imm(d, m, right()),
        ShiftKind::Ror => unreachable!("no operation rotates a word by itself"),
    }
}

/// A shift by a register.
pub fn shift_by(d: Reg, n: Reg, kind: ShiftKind, m: Reg) -> Inst {
    match kind {
        ShiftKind::Lsl => ops::lsl(d, n, m),
        ShiftKind::Lsr => ops::lsr(d, n, m),
        ShiftKind::Asr => ops::asr(d, n, m),
        ShiftKind::Ror => ops::ror(d, n, m),
    }
}

/// A constructor of data processing with a shifted second operand.
pub type Data = fn(Reg, Reg, Reg, Shift) -> Inst;

/// Data processing whose second operand is shifted by 1 to 31.
pub fn shifted(make: Data, d: Reg, n: Reg, m: Reg, kind: ShiftKind, by: u32) -> Inst {
    make(d, n, m, shift(kind, by))
}

/// `n` shifted right by `asr` (left where it is negative), saturated to `bits` signed bits.
pub fn ssat(d: Reg, bits: i32, n: Reg, asr: i32) -> Inst {
    let bits = SatBits::new(bits.into()).expect("the verifier checked the width");
    match AsrAmount::new(asr.into()) {
        Some(asr) => ops::ssat_asr(d, n, bits, asr),
        None => ops::ssat(d, n, bits, lsl_amount(-asr)),
    }
}

/// `n` shifted right by `asr` (left where it is negative), saturated to `bits` unsigned bits.
pub fn usat(d: Reg, bits: i32, n: Reg, asr: i32) -> Inst {
    let bits = UsatBits::new(bits.into()).expect("the verifier checked the width");
    match AsrAmount::new(asr.into()) {
        Some(asr) => ops::usat_asr(d, n, bits, asr),
        None => ops::usat(d, n, bits, lsl_amount(-asr)),
    }
}

fn lsl_amount(by: i32) -> LslAmount {
    LslAmount::new(by.into()).expect("the verifier checked the shift")
}

/// The low half of `n` and the high half of `m`, which is shifted left first.
pub fn pkhbt(d: Reg, n: Reg, m: Reg, by: i32) -> Inst {
    ops::pkhbt(d, n, m, lsl_amount(by))
}

/// The high half of `n` and the low half of `m`, which is shifted right by 1 to 31 first.
pub fn pkhtb(d: Reg, n: Reg, m: Reg, by: i32) -> Inst {
    ops::pkhtb(d, n, m, RightBy::new(by.into()).expect("the verifier checked the shift"))
}

/// The bits that `ubfx` and `sbfx` read, if they are inside of a word.
pub fn extract(lsb: i32, width: i32) -> Option<Extract> {
    Extract::new(lsb.into(), width.into())
}

/// The bits that `bfi` writes, if they are inside of a word.
pub fn insert(lsb: i32, width: i32) -> Option<Insert> {
    Insert::new(lsb.into(), width.into())
}

/// Compares with zero.
pub fn cmp_zero(n: Reg) -> Inst {
    ops::cmp_imm(n, small(0))
}

/// The head of a conditional instruction.
pub fn it(cond: Cond) -> Inst {
    ops::it(ItBlock::new(cond, &[]).expect("the condition can fail"))
}

/// Moves where the condition holds.
pub fn mov_if(cond: Cond, d: Reg, m: Reg) -> Inst {
    ops::mov(d, m).with_cond(cond)
}

fn offset12(offset: i64) -> Imm12 {
    Imm12::new(offset).expect("windows of offsets are shorter than an immediate reaches")
}

/// Loads an element at a constant offset; narrow ones are extended.
pub fn load(ty: Ty, t: Reg, n: Reg, offset: i64) -> Inst {
    let offset = offset12(offset);
    match ty {
        Ty::I8 => ops::ldrsb(t, n, offset),
        Ty::U8 | Ty::I1 => ops::ldrb(t, n, offset),
        Ty::I16 => ops::ldrsh(t, n, offset),
        Ty::U16 => ops::ldrh(t, n, offset),
        Ty::I32 | Ty::F32 | Ty::I8x4 | Ty::U8x4 | Ty::I16x2 => ops::ldr(t, n, offset),
        Ty::I64 => unreachable!("a double word is two loads"),
    }
}

/// Loads an element at a base, which then moves by `step` bytes.
pub fn load_and_step(ty: Ty, t: Reg, next: Reg, base: Reg, step: i64) -> Inst {
    let step = post(step);
    match ty {
        Ty::I8 => ops::ldrsb_post(t, next, base, step),
        Ty::U8 | Ty::I1 => ops::ldrb_post(t, next, base, step),
        Ty::I16 => ops::ldrsh_post(t, next, base, step),
        Ty::U16 => ops::ldrh_post(t, next, base, step),
        Ty::I32 | Ty::F32 | Ty::I8x4 | Ty::U8x4 | Ty::I16x2 => ops::ldr_post(t, next, base, step),
        Ty::I64 => unreachable!("a double word is two loads"),
    }
}

fn post(step: i64) -> PostImm8 {
    PostImm8::new(step).expect("only short steps are left to the access")
}

/// Loads an element at a base plus a register, shifted left by `scale`.
pub fn load_at(ty: Ty, t: Reg, n: Reg, m: Reg, scale: u32) -> Inst {
    let scale = Scale::new(scale.into()).expect("elements have up to 4 bytes");
    match ty {
        Ty::I8 => ops::ldrsb_reg(t, n, m, scale),
        Ty::U8 | Ty::I1 => ops::ldrb_reg(t, n, m, scale),
        Ty::I16 => ops::ldrsh_reg(t, n, m, scale),
        Ty::U16 => ops::ldrh_reg(t, n, m, scale),
        Ty::I32 | Ty::F32 | Ty::I8x4 | Ty::U8x4 | Ty::I16x2 => ops::ldr_reg(t, n, m, scale),
        Ty::I64 => unreachable!("a double word is two loads"),
    }
}

/// Stores an element at a constant offset.
pub fn store(ty: Ty, t: Reg, n: Reg, offset: i64) -> Inst {
    let offset = offset12(offset);
    match ty.bytes() {
        1 => ops::strb(t, n, offset),
        2 => ops::strh(t, n, offset),
        _ => ops::str(t, n, offset),
    }
}

/// Stores an element at a base, which then moves by `step` bytes.
pub fn store_and_step(ty: Ty, t: Reg, next: Reg, base: Reg, step: i64) -> Inst {
    let step = post(step);
    match ty.bytes() {
        1 => ops::strb_post(next, base, t, step),
        2 => ops::strh_post(next, base, t, step),
        _ => ops::str_post(next, base, t, step),
    }
}

/// A branch by `offset` bytes from its own address plus 4, if the form reaches that far.
pub fn branch(cond: Cond, offset: i64, wide: bool) -> Option<Inst> {
    match (cond, wide) {
        (Cond::Al, false) => BranchOffset12::new(offset).map(ops::b_narrow),
        (Cond::Al, true) => BranchOffset25::new(offset).map(ops::b),
        (_, false) => BranchOffset9::new(offset).map(|to| ops::b_cond_narrow(cond, to)),
        (_, true) => BranchOffset21::new(offset).map(|to| ops::b_cond(cond, to)),
    }
}

/// A call whose target the linker fills in.
pub fn call() -> Inst {
    ops::bl(BranchOffset25::new(0).expect("zero is in reach"))
}

/// Moves SP by a multiple of 4 bytes, downwards or upwards.
pub fn move_sp(bytes: u32, down: bool) -> Inst {
    let bytes = Imm12::new(bytes.into()).expect("a frame is shorter than 4096 bytes");
    if down { ops::sub_sp(Reg::SP, Reg::SP, bytes) } else { ops::add_sp(Reg::SP, Reg::SP, bytes) }
}
