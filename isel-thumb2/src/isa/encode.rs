//! From an instruction to its bytes: the diagram of its row with the fields filled in.

use super::inst::Inst;
use super::reg::{Reg, RegClass};
use super::row::diagram_bits;

/// An encoded instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Code {
    bits: u32,
    size: usize,
}

impl Code {
    /// The bytes as they stand in memory: halfwords in order, each little-endian.
    pub fn bytes(&self) -> impl Iterator<Item = u8> + use<> {
        let halfwords = if self.size == 4 { self.bits.rotate_left(16) } else { self.bits };
        halfwords.to_le_bytes().into_iter().take(self.size)
    }

    /// The bits as a manual prints them, the first halfword on top.
    pub fn bits(&self) -> u32 {
        self.bits
    }
}

impl std::fmt::Display for Code {
    /// As in a listing: `fb21 3002`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.size {
            2 => write!(f, "{:04x}", self.bits),
            _ => write!(f, "{:04x} {:04x}", self.bits >> 16, self.bits & 0xffff),
        }
    }
}

impl Inst {
    /// The encoding. The registers must be real and obey the row, see [`Inst::check`].
    pub fn encode(&self) -> Code {
        if let Err(reason) = self.check() {
            panic!("`{self}` has no encoding: {reason}");
        }
        let diagram = self.row().diagram;
        let mut taken = [0u8; 256];
        let (mut bits, mut at) = (0, 0);
        for symbol in diagram.bytes().rev().filter(|&symbol| symbol != b' ') {
            let bit = match symbol {
                b'0' | b'1' => u32::from(symbol - b'0'),
                letter => {
                    let index = u32::from(taken[usize::from(letter)]);
                    taken[usize::from(letter)] += 1;
                    self.field_bit(letter, index)
                }
            };
            bits |= bit << at;
            at += 1;
        }
        Code { bits, size: diagram_bits(diagram) / 8 }
    }

    /// Bit `index`, counted from the lowest, of what the letter of a diagram stands for.
    fn field_bit(&self, letter: u8, index: u32) -> u32 {
        if let Some(imm) = self.row().imms.iter().find(|i| i.letter == letter) {
            let value = self.imm(letter).expect("the letter is in the row");
            return imm.kind.bits(value) >> index & 1;
        }
        let small = letter.to_ascii_lowercase();
        let operand = self.row().operands.iter().find(|o| o.letter == small);
        match operand.map(|o| o.class) {
            Some(RegClass::Single | RegClass::SingleList) => {
                let number = self.first(small).number();
                if letter == small { number >> 1 >> index & 1 } else { number & 1 }
            }
            Some(class) if class.is_list() => self.list_mask(class) >> index & 1,
            // Some forms hold a register twice, so a field may repeat the three or four bits.
            Some(RegClass::Low) => self.first(small).number() >> (index % 3) & 1,
            Some(_) => self.first(small).number() >> (index % 4) & 1,
            None => (self.listed().count() as u32) >> index & 1,
        }
    }

    fn first(&self, letter: u8) -> Reg {
        self.reg(letter).expect("the letter is in the row")
    }

    fn listed(&self) -> impl Iterator<Item = Reg> + '_ {
        self.operands().filter(|(_, o)| o.class.is_list()).map(|(reg, _)| reg)
    }

    /// A bit per register of the list; in 16-bit forms the ninth stands for lr or pc.
    fn list_mask(&self, class: RegClass) -> u32 {
        let mask = self.listed().fold(0, |mask, reg| mask | 1 << reg.number());
        match class {
            RegClass::LowListLr => mask & 0xff | (mask >> 14 & 1) << 8,
            RegClass::LowListPc => mask & 0xff | (mask >> 15 & 1) << 8,
            _ => mask,
        }
    }
}
