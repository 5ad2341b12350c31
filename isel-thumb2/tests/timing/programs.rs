//! Random functions: instructions in a row, a loop, and more in a row.

use tinyc_isel_thumb2::cores::{Edge, TimedBlock, TimedFunction};
use tinyc_isel_thumb2::isa::imm::*;
use tinyc_isel_thumb2::isa::{Extension, Inst, Reg, narrow, ops};

use crate::numbers::Numbers;

/// Iterations of the loop.
pub const ITERATIONS: u64 = 100;

/// A function of three blocks, the middle one a loop that counts r2 down from [`ITERATIONS`].
pub struct Program {
    blocks: [Vec<Inst>; 3],
}

impl Program {
    /// The function with its counts.
    pub fn timed(&self) -> TimedFunction<'_> {
        let counts = [1, ITERATIONS, 1];
        let blocks = self.blocks.iter().zip(counts);
        let edge = |from, to, taken, count| Edge { from, to, taken, count };
        TimedFunction {
            blocks: blocks.map(|(insts, count)| TimedBlock { insts, touched: &[], count }).collect(),
            edges: vec![edge(0, 1, false, 1), edge(1, 1, true, ITERATIONS - 1), edge(1, 2, false, 1)],
        }
    }

    /// The function as assembly. It expects r0 and r1 to point to 16 KiB each and r12 to be 8.
    pub fn source(&self, name: &str) -> String {
        let text =
            |insts: &[Inst]| insts.iter().map(|inst| format!("    {}\n", line(inst))).collect::<String>();
        let [first, repeated, last] = self.blocks.each_ref().map(|insts| text(insts));
        let head = format!("    .balign 4\n    .thumb_func\n    .type {name}, %function\n{name}:\n");
        format!("{head}{first}1:\n{repeated}{last}    .size {name}, . - {name}\n")
    }
}

/// The function of a seed, of instructions whose extension `has` accepts.
pub fn random(seed: u64, has: &dyn Fn(Extension) -> bool) -> Program {
    let mut numbers = Numbers(seed);
    let mut block = |least: usize, most: usize| {
        let count = least + numbers.below(most - least);
        let legal = || std::iter::repeat_with(|| instruction(&mut numbers)).find(|inst| has(inst.row().ext));
        std::iter::repeat_with(legal).take(count).flatten().collect::<Vec<Inst>>()
    };
    let mut blocks = [block(2, 12), block(4, 60), block(1, 10)];
    let one = Imm8::new(1).expect("a byte");
    let back = BranchOffset21::new(-4).expect("near");
    blocks[1].extend([ops::subs_imm8_narrow(Reg::core(2), Reg::core(2), one), ops::b_cond(Cond::Ne, back)]);
    blocks[2].push(ops::bx(Reg::LR));
    Program { blocks }
}

/// A shift is written by its name; objdump's `mov` with a shift is not read back in every case.
fn line(inst: &Inst) -> String {
    let text = inst.display_with(&"1b").to_string();
    let shift = text.starts_with("mov").then(|| text.rsplit_once(", ")).flatten();
    match shift.and_then(|(start, shift)| Some((start, shift.split_once(" #")?))) {
        Some((start, (name, amount))) => format!("{}, #{amount}", start.replacen("mov", name, 1)),
        None => text,
    }
}

/// An instruction as kernels have them, in its 16-bit form now and then. r0 and r1 move by words only, and r2
/// and r12 stay.
fn instruction(numbers: &mut Numbers) -> Inst {
    let inst = if numbers.below(5) < 2 { access(numbers) } else { operation(numbers) };
    let narrowed = if numbers.below(3) == 0 { narrow(&inst, true) } else { None };
    narrowed.unwrap_or(inst)
}

fn operation(numbers: &mut Numbers) -> Inst {
    let [d, e, n, m, a] = [(); 5].map(|_| Reg::core(3 + numbers.below(9) as u32));
    let s = Reg::s(numbers.below(32) as u32);
    let shift = match numbers.below(3) {
        0 => Shift::new(numbers.pick(&ShiftKind::ALL), 1 + numbers.below(31) as i64).expect("legal"),
        _ => Shift::NONE,
    };
    let constant = ModImm::decode(numbers.below(4096) as u32).or(ModImm::new(7)).expect("encodable");
    let amount = 1 + numbers.below(31) as i64;
    let turn = Rot8::new(8 * numbers.below(4) as i64).expect("whole bytes");
    match numbers.below(34) {
        0..=5 => ops::smlad(d, n, m, a),
        6 => ops::smuad(d, n, m),
        7 | 8 => ops::sxtb16(d, m, turn),
        9 => ops::uxtb16(d, m, turn),
        10 => ops::pkhbt(d, n, m, LslAmount::new(amount).expect("5 bits")),
        11 => ops::pkhtb(d, n, m, RightBy::new(amount).expect("5 bits")),
        12 => ops::smmul(d, n, m),
        13 => ops::smmla(d, n, m, a),
        14 => ops::ssat(d, n, SatBits::new(8).expect("5 bits"), LslAmount::new(0).expect("5 bits")),
        15 => ops::usat_asr(d, n, UsatBits::new(8).expect("5 bits"), AsrAmount::new(amount).expect("5 bits")),
        16 | 17 => ops::add(d, n, m, shift),
        18 => ops::sub(d, n, m, shift),
        19 => ops::add_imm(d, n, constant),
        20 => ops::eor(d, n, m, shift),
        21 => ops::and_imm(d, n, constant),
        22 => ops::mov(d, m),
        23 => ops::mov_imm(d, constant),
        24 => ops::asr_imm(d, m, RightBy::new(amount).expect("5 bits")),
        25 => ops::lsl(d, n, m),
        26 => ops::mla(d, n, m, a),
        27 if d != e => ops::smlal(d, e, d, e, n, m),
        28 if d != e => ops::smull(d, e, n, m),
        29 => ops::vmov_to_s(s, d),
        30 => ops::vmov_from_s(d, s),
        31 => ops::ubfx(d, n, Extract::new(3, 9).expect("inside")),
        32 => ops::qadd(d, m, n),
        33 => ops::uadd8(d, n, m),
        _ => ops::mul(d, n, m),
    }
}

fn access(numbers: &mut Numbers) -> Inst {
    let t = Reg::core(3 + numbers.below(9) as u32);
    let u = Reg::core(if t == Reg::core(3) { 4 } else { 3 });
    let n = Reg::core(numbers.below(2) as u32);
    let m = Reg::core(12);
    let word = 4 * numbers.below(64) as i64;
    let any = |offset| Imm12::new(offset).expect("12 bits");
    let step = PostImm8::new(4).expect("8 bits");
    let scale = Scale::new(numbers.below(2) as i64).expect("at most 3");
    let words = OffsetImm8x4::new(word).expect("8 bits of words");
    let byte = any(numbers.below(256) as i64);
    match numbers.below(17) {
        0..=3 => ops::ldr(t, n, any(word)),
        4 => ops::ldr_post(t, n, n, step),
        5 => ops::ldr_reg(t, n, m, scale),
        6 => ops::ldrsb(t, n, byte),
        7 => ops::ldrb(t, n, byte),
        8 => ops::ldrsh(t, n, any(word + 2)),
        9 => ops::ldrsb_post(t, n, n, step),
        10 => ops::str(t, n, any(word)),
        11 => ops::str_post(n, n, t, step),
        12 => ops::str_reg(t, n, m, scale),
        13 => ops::strb(t, n, byte),
        14 => ops::ldrd(t, u, n, words),
        15 => ops::vldr(Reg::s(numbers.below(32) as u32), n, words),
        _ => ops::strd(t, u, n, words),
    }
}
