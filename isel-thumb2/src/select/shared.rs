//! Parameters of code that serves several nests: words of a table whose address each of them passes.
//!
//! A parameter is loaded where it is needed, and only where members differ in it; those that are equal in every member are one.

use ir::loops::BufferId;
use ir::ty::Ty;

use super::address::{REACH, Stream};
use super::members::Num;
use super::{Selector, asm};
use crate::cores::Address;
use crate::isa::row::Form;
use crate::isa::{Inst, Reg};
use crate::memory::{Place, Region, Touched};
use crate::mir::{BlockId, Word};

/// Bytes of a parameter.
const WORD_BYTES: i64 = 4;
/// Those that an offset from the start of the table reaches.
pub(crate) const MOST_PARAMETERS: usize = (REACH / WORD_BYTES) as usize;

impl Selector<'_> {
    /// A new block; `count` says how often it runs for each member where another block runs `outside` times.
    pub(super) fn new_block(&mut self, outside: &[u64], count: &dyn Fn(u64, usize) -> u64) -> BlockId {
        let counts: Vec<u64> = outside.iter().enumerate().map(|(at, outside)| count(*outside, at)).collect();
        let block = self.function.new_block(counts.iter().sum());
        self.counts.push(counts);
        block
    }

    /// Where a buffer of the first member lies for another: bytes from the start of the arena.
    pub(super) fn offset(&self, buffer: BufferId, member: usize) -> i64 {
        self.members.all[member].offsets[&self.members.buffer(member, buffer)].into()
    }

    /// A register with a number.
    pub(super) fn number_of(&mut self, number: &Num) -> Reg {
        match number {
            Num::All(value) => self.constant(*value as i32),
            Num::Each(values) => self.parameter(values.iter().map(|value| Word::Number(*value)).collect()),
        }
    }

    /// `a + number`, modulo 2^32.
    pub(super) fn add_number(&mut self, a: Reg, number: &Num) -> Reg {
        match number {
            Num::All(value) => self.add_constant(a, *value),
            Num::Each(_) => {
                let b = self.number_of(number);
                self.add(a, b)
            }
        }
    }

    /// The address of a stream of constants.
    pub(super) fn address_of_constant(&mut self, stream: &Stream) -> Reg {
        let word =
            |member| Word::Constant(self.members.buffer(member, stream.buffer), stream.window.of(member));
        self.parameter((0..self.members.len()).map(word).collect())
    }

    /// A register with a word of the table, one for each member.
    fn parameter(&mut self, words: Vec<Word>) -> Reg {
        let table = self.table.expect("code for one nest has no parameters");
        let slot = self.function.parameter(words);
        let at = WORD_BYTES * slot as i64;
        let offset = at.rem_euclid(REACH);
        let base = self.add_constant(table, at - offset);
        let load = asm::load(Ty::I32, self.reg(), base, offset);
        self.push_constant_load(load, touched(at))
    }
}

/// Loads a parameter, one of the first [`MOST_PARAMETERS`].
pub(crate) fn load_parameter(to: Reg, table: Reg, slot: usize) -> (Inst, Touched) {
    let at = WORD_BYTES * slot as i64;
    (asm::load(Ty::I32, to, table, at), touched(at))
}

/// The parameter that such an instruction loads.
pub(crate) fn parameter_slot(inst: &Inst, table: Reg) -> Option<usize> {
    let loads = inst.form() == Form::Ldr && inst.reg(b'n') == Some(table);
    inst.imm(b'i').filter(|_| loads).map(|at| at as usize / WORD_BYTES as usize)
}

/// The word of a table this many bytes from its start.
fn touched(at: i64) -> Touched {
    Touched::new(Region::Flash, Address::new(at, []), Place { start: at, terms: Vec::new() })
}
