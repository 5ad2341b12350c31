//! What a block has computed already: the same instruction on the same registers gives the same value.
//!
//! Unrolled bodies name a value once for each use; this makes one instruction of them. Loads are the same until their
//! buffer is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use ir::loops::BufferId;

use super::Selector;
use crate::isa::{Form, Inst, Reg};
use crate::memory::Touched;
use crate::mir::Group;

/// An instruction without its result: form, registers read, immediates, and for a load the state of the buffer.
type Key = (Form, Vec<Reg>, Vec<i32>, Option<(BufferId, u32)>);

/// The values of one block.
#[derive(Default)]
pub(super) struct Reuse {
    values: BTreeMap<Key, Reg>,
    /// How often each buffer has been written.
    writes: BTreeMap<BufferId, u32>,
}

impl Reuse {
    /// Forgets what was loaded from a buffer.
    pub(super) fn written(&mut self, buffer: BufferId) {
        *self.writes.entry(buffer).or_default() += 1;
    }

    fn state(&self, buffer: BufferId) -> (BufferId, u32) {
        (buffer, self.writes.get(&buffer).copied().unwrap_or(0))
    }
}

impl Selector<'_> {
    /// Adds an instruction that defines one register and does nothing else, unless its value is there; gives the register.
    pub(super) fn push_def(&mut self, inst: Inst) -> Reg {
        self.push_once(inst, None, None)
    }

    /// The same for a load from `buffer`.
    pub(super) fn push_load(&mut self, inst: Inst, buffer: BufferId, touched: Touched) -> Reg {
        let state = self.reuse.state(buffer);
        self.push_once(inst, Some(state), Some(touched))
    }

    /// The same for a load of what is never written.
    pub(super) fn push_constant_load(&mut self, inst: Inst, touched: Touched) -> Reg {
        self.push_once(inst, None, Some(touched))
    }

    fn push_once(&mut self, inst: Inst, state: Option<(BufferId, u32)>, touched: Option<Touched>) -> Reg {
        let key = (inst.form(), inst.uses().collect(), inst.imms().to_vec(), state);
        if let Some(have) = self.reuse.values.get(&key) {
            return *have;
        }
        let defined = inst.defs().next().expect("the instruction defines a register");
        self.reuse.values.insert(key, defined);
        let touched = touched.map(Arc::new);
        self.push_group(Group { touched, ..Group::one(inst, self.stmt) });
        defined
    }
}
