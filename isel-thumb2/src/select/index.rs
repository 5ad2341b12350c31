//! Indices as numbers: what addresses and operands need where no pointer moves along.

use ir::loops::{Atom, Index};

use super::Selector;
use super::address::Var;
use super::asm;
use super::members::Num;
use crate::isa::imm::{ModImm, ShiftKind};
use crate::isa::{Reg, ops};

impl Selector<'_> {
    /// The value of an index whose unrolled variables are replaced already.
    pub(super) fn index(&mut self, index: &Index) -> Reg {
        let mut sum = None;
        for (coefficient, atom) in &index.terms {
            let value = self.atom(atom);
            sum = Some(match sum {
                None => self.multiply_constant(value, *coefficient),
                Some(sum) => self.multiply_add_constant(sum, value, *coefficient),
            });
        }
        match sum {
            None => self.constant(index.constant as i32),
            Some(sum) => self.add_constant(sum, index.constant),
        }
    }

    /// The sum of products of atoms and a constant.
    pub(super) fn sum(&mut self, terms: &[(Num, Atom)], constant: &Num) -> Reg {
        let mut sum: Option<Reg> = None;
        for (coefficient, atom) in terms {
            let value = self.atom(atom);
            sum = Some(match (sum, coefficient.common()) {
                (None, Some(by)) => self.multiply_constant(value, by),
                (Some(sum), Some(by)) => self.multiply_add_constant(sum, value, by),
                (None, None) => {
                    let by = self.number_of(coefficient);
                    let product = ops::mul(self.reg(), value, by);
                    self.push_def(product)
                }
                (Some(sum), None) => {
                    let by = self.number_of(coefficient);
                    let sum = ops::mla(self.reg(), value, by, sum);
                    self.push_def(sum)
                }
            });
        }
        match sum {
            None => self.number_of(constant),
            Some(sum) => self.add_number(sum, constant),
        }
    }

    fn atom(&mut self, atom: &Atom) -> Reg {
        match atom {
            Atom::Var(var) => match self.vars[var] {
                Var::Is(value) => self.constant(value as i32),
                _ => self.counters[var],
            },
            Atom::Div(inner, n) => {
                let value = self.index(inner);
                self.divide_floor(value, *n)
            }
            Atom::Mod(inner, n) => {
                let value = self.index(inner);
                self.modulo_floor(value, *n)
            }
        }
    }

    fn multiply_constant(&mut self, value: Reg, by: i64) -> Reg {
        if let Some(bits) = power_of_two(by) {
            return self.shift_constant(value, ShiftKind::Lsl, bits);
        }
        let by = self.constant(by as i32);
        let product = ops::mul(self.reg(), value, by);
        self.push_def(product)
    }

    fn multiply_add_constant(&mut self, sum: Reg, value: Reg, by: i64) -> Reg {
        if let Some(bits) = power_of_two(by) {
            if bits == 0 {
                return self.add(sum, value);
            }
            let sum = asm::shifted(ops::add, self.reg(), sum, value, ShiftKind::Lsl, bits);
            return self.push_def(sum);
        }
        let by = self.constant(by as i32);
        let sum = ops::mla(self.reg(), value, by, sum);
        self.push_def(sum)
    }

    /// The quotient rounded down.
    fn divide_floor(&mut self, value: Reg, by: u32) -> Reg {
        if let Some(bits) = power_of_two(by.into()) {
            return self.shift_constant(value, ShiftKind::Asr, bits);
        }
        let divisor = self.constant(by as i32);
        let quotient = ops::sdiv(self.reg(), value, divisor);
        let quotient = self.push_def(quotient);
        // The core rounds towards zero: one less where the remainder is negative.
        let rest = ops::mls(self.reg(), quotient, divisor, value);
        let rest = self.push_def(rest);
        let floor = asm::shifted(ops::add, self.reg(), quotient, rest, ShiftKind::Asr, 31);
        self.push_def(floor)
    }

    /// The remainder that goes with the quotient rounded down.
    fn modulo_floor(&mut self, value: Reg, by: u32) -> Reg {
        if power_of_two(by.into()).is_some()
            && let Some(mask) = ModImm::new(i64::from(by) - 1)
        {
            let rest = ops::and_imm(self.reg(), value, mask);
            return self.push_def(rest);
        }
        let quotient = self.divide_floor(value, by);
        let divisor = self.constant(by as i32);
        let rest = ops::mls(self.reg(), quotient, divisor, value);
        self.push_def(rest)
    }
}

/// The exponent of a positive power of two that a shift by up to 31 bits reaches.
fn power_of_two(n: i64) -> Option<u32> {
    (n > 0 && n.count_ones() == 1 && n < 1 << 31).then(|| n.trailing_zeros())
}
