//! What loads and stores touch, and how much a function moves: the counters that memory is priced with.
//!
//! Wait states and caches are not known here; a count by region is what any such model starts from.

use std::ops::AddAssign;

use crate::cores::Address;
use crate::isa::row::Access;
use crate::isa::{Inst, Reg};

/// A piece of memory with its own price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Region {
    /// Constants beside the code.
    Flash,
    /// Tensors and scratch.
    Arena,
    /// Saved registers and spilled values.
    Stack,
}

/// What a load or store touches in all its executions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Whose memory it is.
    pub region: Region,
    /// Where it begins.
    pub address: Address,
}

/// Loads and stores of some code, by region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Of constants.
    pub flash: Traffic,
    /// Of tensors and scratch.
    pub arena: Traffic,
    /// Of the function's own frame.
    pub stack: Traffic,
}

/// How often memory is read and written; an instruction that moves several registers counts once for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Registers loaded.
    pub loads: u64,
    /// Bytes that they were loaded from.
    pub load_bytes: u64,
    /// Registers stored.
    pub stores: u64,
    /// Bytes that they were stored to.
    pub store_bytes: u64,
}

impl Counters {
    /// Adds `times` executions of an instruction. What touches neither constants nor the arena goes through SP.
    pub fn add(&mut self, inst: &Inst, touched: Option<&Touched>, times: u64) {
        let Some(mem) = inst.mem() else { return };
        debug_assert!(
            touched.is_some() || inst.address().any(|reg| reg == Reg::SP),
            "`{inst}` touches nothing that is known"
        );
        let traffic = match touched.map_or(Region::Stack, |touched| touched.region) {
            Region::Flash => &mut self.flash,
            Region::Arena => &mut self.arena,
            Region::Stack => &mut self.stack,
        };
        let registers = times * inst.transferred().count() as u64;
        let bytes = registers * u64::from(mem.bytes);
        match mem.access {
            Access::Load => {
                traffic.loads += registers;
                traffic.load_bytes += bytes;
            }
            Access::Store => {
                traffic.stores += registers;
                traffic.store_bytes += bytes;
            }
        }
    }

    /// Arena and stack together: both are RAM.
    pub fn ram(&self) -> Traffic {
        let mut sum = self.arena;
        sum += self.stack;
        sum
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Traffic) {
        self.loads += other.loads;
        self.load_bytes += other.load_bytes;
        self.stores += other.stores;
        self.store_bytes += other.store_bytes;
    }
}
