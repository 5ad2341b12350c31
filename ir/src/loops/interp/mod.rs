//! Runs nests and programs of the loops level: what every schedule and every back end is compared with.
//!
//! A nest must be right by [`super::verify`]. It is turned into flat steps first, so that whole models run in tests.

mod code;
mod compile;
mod constants;
mod exec;
mod known;
mod program;

use super::text::int_from;
use super::{Buffer, BufferId, Nest, Role};
use crate::diag::Diagnostic;
use code::{Code, Region};
use exec::{Byte, Fault};

pub use constants::{Constants, eval_const};
pub use program::{Runner, run_program};

/// What memory holds that nobody has written.
const JUNK: u8 = 0xa5;

/// Whether each byte is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// Stops only at what would leave memory.
    Off,
    /// Also stops at a read of scratch that nobody has written, and where a parameter that the nest writes, but does
    /// not read, has an element that is not written at the end. Slow.
    On,
}

/// Runs a nest; each parameter's memory is [`Buffer::bytes`] long, in the order of its storage map.
pub fn run(nest: &Nest, params: &mut [&mut [u8]]) -> Result<(), Diagnostic> {
    Compiled::new(nest, Checks::Off)?.run(params)
}

/// The same with every byte watched.
pub fn run_checked(nest: &Nest, params: &mut [&mut [u8]]) -> Result<(), Diagnostic> {
    Compiled::new(nest, Checks::On)?.run(params)
}

/// A nest that is ready to run any number of times.
#[derive(Clone, Debug)]
pub struct Compiled<'n> {
    nest: &'n Nest,
    checks: Checks,
    code: Code,
    /// Memory before a run: constants are in place, all else is junk.
    image: Vec<u8>,
    /// By buffer, whether the nest writes it.
    stored: Vec<bool>,
}

impl<'n> Compiled<'n> {
    /// Turns a nest into steps and evaluates the constants that it reads.
    pub fn new(nest: &'n Nest, checks: Checks) -> Result<Self, Diagnostic> {
        let code = compile::compile(nest, &nest.body, checks == Checks::On)?;
        let mut image = vec![JUNK; code.bytes];
        let mut constants = Constants::new(nest);
        for buffer in nest.buffers_where(Buffer::is_const) {
            let Region { base, bytes } = code.regions[buffer.idx()];
            if bytes > 0 {
                let data = constants.get(buffer)?;
                image[base..][..data.len()].copy_from_slice(&data);
            }
        }
        Ok(Self { nest, checks, code, image, stored: nest.stored() })
    }

    /// Runs once; parameters as in [`run`].
    pub fn run(&self, params: &mut [&mut [u8]]) -> Result<(), Diagnostic> {
        let mut mem = self.image.clone();
        self.check_sizes(params)?;
        for (id, param) in self.nest.params().zip(params.iter()) {
            let Region { base, bytes } = self.code.regions[id.idx()];
            mem[base..][..bytes].copy_from_slice(&param[..bytes]);
        }
        match self.checks {
            Checks::Off => {
                let result = exec::run::<false>(&self.code, &mut mem, &mut []);
                result.map_err(|fault| self.explain(fault))?;
            }
            Checks::On => {
                let mut bytes = self.watched();
                let result = exec::run::<true>(&self.code, &mut mem, &mut bytes);
                result.map_err(|fault| self.explain(fault))?;
                if let Some(address) = bytes.iter().position(|byte| *byte == Byte::Unwritten)
                    && let Some(buffer) = self.unwritten_output(&bytes, address)
                {
                    return Err(buffer);
                }
                self.check_values(&mem, &bytes)?;
            }
        }
        for (id, param) in self.nest.params().zip(params.iter_mut()) {
            if self.stored[id.idx()] {
                let Region { base, bytes } = self.code.regions[id.idx()];
                param[..bytes].copy_from_slice(&mem[base..][..bytes]);
            }
        }
        Ok(())
    }

    /// Every element that is written is one of those that its buffer may hold.
    fn check_values(&self, mem: &[u8], bytes: &[Byte]) -> Result<(), Diagnostic> {
        let limited = self.nest.buffers.iter().zip(&self.code.regions).filter(|(_, region)| region.bytes > 0);
        for (buffer, region) in limited {
            let Some([low, high]) = buffer.values else { continue };
            let size = buffer.elem.bytes();
            for address in buffer.positions().into_iter().map(|position| region.base + position * size) {
                let value = int_from(buffer.elem, &mem[address..address + size]);
                if bytes[address] != Byte::Unwritten && !(low.into()..=high.into()).contains(&value) {
                    let (name, element) = (&self.nest.name, self.element(address));
                    let message = format!("`@{name}`: {element} is {value}, not within [{low}, {high}]");
                    return Err(Diagnostic::new(message));
                }
            }
        }
        Ok(())
    }

    fn check_sizes(&self, params: &[&mut [u8]]) -> Result<(), Diagnostic> {
        let wanted: Vec<usize> = self.nest.params().map(|id| self.nest.buffers[id.idx()].bytes()).collect();
        let found: Vec<usize> = params.iter().map(|param| param.len()).collect();
        if found == wanted {
            return Ok(());
        }
        let name = &self.nest.name;
        Err(Diagnostic::new(format!(
            "`@{name}` is called with {found:?} bytes, its parameters have {wanted:?}"
        )))
    }

    /// What is known of each byte before a run.
    fn watched(&self) -> Vec<Byte> {
        let mut bytes = vec![Byte::Free; self.code.bytes];
        let read = compile::all_reads(&self.nest.body);
        for (idx, buffer) in self.nest.buffers.iter().enumerate() {
            let region = self.code.regions[idx];
            let id = BufferId::new(idx);
            let is_output = buffer.role == Role::Param && self.stored[idx] && !read.contains(&id);
            if region.bytes > 0 && (buffer.role == Role::Scratch || is_output) {
                mark(&mut bytes, region, buffer, Byte::Unwritten);
            }
        }
        bytes
    }

    /// The error that an output is not whole; scratch need not be.
    fn unwritten_output(&self, bytes: &[Byte], from: usize) -> Option<Diagnostic> {
        let is_hole = |address: usize| bytes[address] == Byte::Unwritten;
        let in_param = |address: usize| {
            self.nest.params().any(|id| self.code.regions[id.idx()].range().contains(&address))
        };
        let address = (from..bytes.len()).find(|address| is_hole(*address) && in_param(*address))?;
        let element = self.element(address);
        Some(Diagnostic::new(format!("`@{}`: {element} is not written", self.nest.name)))
    }

    fn explain(&self, fault: Fault) -> Diagnostic {
        explain(self.nest, &self.code, fault)
    }

    fn element(&self, address: usize) -> String {
        element(self.nest, &self.code, address)
    }
}

impl Region {
    fn range(self) -> std::ops::Range<usize> {
        self.base..self.base + self.bytes
    }
}

/// Marks the bytes of all elements of a buffer; padding and slack stay as they are.
fn mark(bytes: &mut [Byte], region: Region, buffer: &Buffer, state: Byte) {
    let size = buffer.elem.bytes();
    for position in buffer.positions() {
        bytes[region.base + position * size..][..size].fill(state);
    }
}

fn explain(nest: &Nest, code: &Code, fault: Fault) -> Diagnostic {
    let what = match fault {
        Fault::Bound(what, value) => format!("{what} is {value}, which is outside"),
        Fault::Unwritten(address) => {
            format!("{} is read, but nothing has written it", element(nest, code, address))
        }
        Fault::Twice(address) => format!("{} is written twice", element(nest, code, address)),
        Fault::Outside(address) => format!("address {address} is outside of all buffers"),
    };
    Diagnostic::new(format!("`@{}`: {what}", nest.name))
}

/// The buffer and element at an address, such as `s[0, 3]`.
fn element(nest: &Nest, code: &Code, address: usize) -> String {
    let holds = |region: &Region| region.range().contains(&address);
    let Some(idx) = code.regions.iter().position(holds) else { return format!("address {address}") };
    let buffer = &nest.buffers[idx];
    let position = (address - code.regions[idx].base) / buffer.elem.bytes();
    let Some(mut flat) = buffer.positions().into_iter().position(|at| at == position) else {
        return format!("position {position} of `{}`", buffer.name);
    };
    let mut at = Vec::new();
    for extent in buffer.shape.iter().rev() {
        at.insert(0, (flat % *extent as usize).to_string());
        flat /= *extent as usize;
    }
    format!("`{}[{}]`", buffer.name, at.join(", "))
}
