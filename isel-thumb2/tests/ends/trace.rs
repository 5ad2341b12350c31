//! What a function on virtual registers does to memory.

use tinyc_isel_thumb2::isa::row::{Addressing, Form};
use tinyc_isel_thumb2::isa::{Inst, Reg};
use tinyc_isel_thumb2::mir::{End, Function, Word};

/// Where the arena is, and the table of parameters.
const ARENA: u32 = 0x2000_0000;
const TABLE: u32 = 0x0800_0000;
/// Loops run no longer than this.
const MOST_BLOCKS: usize = 1 << 20;

/// The addresses that a function loads from and stores to for a member of its group, in order; those of its table are left out.
pub fn trace(function: &Function, member: usize) -> Vec<u32> {
    let mut run =
        Run { function, member, regs: vec![0; function.n_regs as usize], zero: false, touched: Vec::new() };
    let mut at = 0;
    for _ in 0..MOST_BLOCKS {
        let block = &function.blocks[at];
        for group in &block.groups {
            group
                .fixed
                .iter()
                .for_each(|(reg, real)| run.set(*reg, if *real == Reg::core(0) { ARENA } else { TABLE }));
            group.insts.iter().for_each(|inst| run.step(inst));
        }
        match &block.end {
            End::Jump(to, args) => {
                let values: Vec<u32> = args.iter().map(|arg| run.get(*arg)).collect();
                let params = &function.blocks[to.idx()].params;
                assert_eq!(params.len(), values.len(), "each parameter is passed");
                params.iter().zip(values).for_each(|(param, value)| run.set(*param, value));
                at = to.idx();
            }
            End::Branch(_, taken, other) => at = if run.zero { other.idx() } else { taken.idx() },
            End::Return => return run.touched,
        }
    }
    panic!("a loop does not end");
}

struct Run<'f> {
    function: &'f Function,
    member: usize,
    regs: Vec<u32>,
    /// The flag that `ne` reads.
    zero: bool,
    touched: Vec<u32>,
}

impl Run<'_> {
    fn get(&self, reg: Reg) -> u32 {
        self.regs[reg.number() as usize]
    }

    fn set(&mut self, reg: Reg, value: u32) {
        self.regs[reg.number() as usize] = value;
    }

    fn step(&mut self, inst: &Inst) {
        let of = |letter| inst.reg(letter).map_or(0, |reg| self.get(reg));
        let imm = inst.imm(b'i').unwrap_or(0) as u32;
        let value = match inst.form() {
            Form::MovImm | Form::Movw => imm,
            Form::Movt => imm << 16 | of(b'o') & 0xffff,
            Form::AddImm | Form::Addw => of(b'n').wrapping_add(imm),
            Form::Add => of(b'n').wrapping_add(of(b'm')),
            Form::SubImm | Form::Subw | Form::SubsImm => of(b'n').wrapping_sub(imm),
            Form::Cmp => of(b'n').wrapping_sub(of(b'm')),
            _ => return self.access(inst, imm),
        };
        if inst.effects().sets_flags {
            self.zero = value == 0;
        }
        inst.defs().for_each(|reg| self.set(reg, value));
    }

    /// Memory holds the words of the table, and 0 elsewhere.
    fn access(&mut self, inst: &Inst, imm: u32) {
        let mem = inst.mem().expect("a load or a store");
        let base = self.get(inst.address().next().expect("it has a base"));
        let steps = mem.addressing == Addressing::Post;
        let address = if steps { base } else { base.wrapping_add(imm) };
        let slot = address.wrapping_sub(TABLE) / 4;
        let word = match self.function.parameters.get(slot as usize).map(|words| &words[self.member]) {
            Some(Word::Number(number)) => *number as u32,
            Some(Word::Constant(..)) => panic!("there are numbers only"),
            None => {
                self.touched.push(address);
                0
            }
        };
        for reg in inst.defs() {
            let is_base = steps && inst.reg(b'n') == Some(reg);
            self.set(reg, if is_base { base.wrapping_add(imm) } else { word });
        }
    }
}
