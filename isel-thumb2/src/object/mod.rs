//! From code and constants to an ELF32 relocatable object with DWARF.
//!
//! [`write`] takes an [`ObjectSpec`] and gives the file's bytes. The same spec gives the same bytes: there are no
//! paths and no times in it, and sections and symbols keep the order of the spec.
//! Each function and each block has a section of its own, so that linker scripts can place or drop it.

mod attributes;
mod dwarf;
mod elf;
mod patch;
mod spec;

pub use spec::{
    Architecture, ConstBlock, DataRange, FpArch, FrameChange, FrameInfo, FunctionCode, LineRow, ObjectSpec,
    Reloc, RelocKind, SavedRegister, ZeroBlock,
};

use std::fmt;

/// Why a spec is no object: a defect of whoever made the spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectError(String);

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ObjectError {}

impl From<String> for ObjectError {
    fn from(message: String) -> Self {
        ObjectError(message)
    }
}

/// The bytes of the object file that `spec` describes.
pub fn write(spec: &ObjectSpec) -> Result<Vec<u8>, ObjectError> {
    elf::write(spec)
}
