//! What goes into an object file, in plain data: code, constants, where lines begin, how frames unwind.
//!
//! Emission fills these; nothing here knows ELF or DWARF.

/// Everything that one object file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectSpec {
    /// The printed loop nests that debuggers list, by relative name: `kws.loops`.
    pub listing: String,
    /// Who made it: `tinyc 0.1.0`.
    pub producer: String,
    /// What the code is made for.
    pub architecture: Architecture,
    /// The FPU whose S registers the code touches, or `None` where it touches none.
    pub fpu: Option<FpArch>,
    /// Each gets a section `.text.<symbol>`.
    pub functions: Vec<FunctionCode>,
    /// Each gets a section `.rodata.<symbol>`.
    pub constants: Vec<ConstBlock>,
    /// Each gets a section of zeros in RAM; a model has none.
    pub zeroed: Vec<ZeroBlock>,
    /// Symbols that the linker finds elsewhere; a model has none.
    pub externals: Vec<String>,
}

/// The architecture of a core, for the build attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Architecture {
    /// Armv7-M, as in the Cortex-M3; the code of every core here is made of it at least.
    #[default]
    V7M,
    /// Armv7-M with the DSP extension, as in the Cortex-M4 and M7.
    V7EM,
    /// Armv8-M Mainline with the DSP extension, as in most Cortex-M33.
    V8MMain,
}

/// The floating point extension of a core, for the build attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FpArch {
    /// FPv4-SP-D16, as in the Cortex-M4.
    V4Sp,
    /// FPv5 with 16 double registers, single precision at least, as in the Cortex-M7; the Cortex-M33 has single precision only.
    V5,
}

/// One function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionCode {
    /// Unique among all objects that are linked together: it begins with the prefix.
    pub symbol: String,
    /// Whether other objects see it.
    pub global: bool,
    /// Bytes, a power of two, at least 2.
    pub align: u32,
    /// Encoded instructions, and data where `data` says so.
    pub bytes: Vec<u8>,
    /// Places in `bytes` that the linker completes, in any order.
    pub relocs: Vec<Reloc>,
    /// Byte offsets and lines of the listing, ascending by offset; a line holds until the next entry.
    pub lines: Vec<LineRow>,
    /// How to get back to the caller from each instruction.
    pub frame: FrameInfo,
    /// Byte ranges that are data rather than instructions, ascending and apart.
    pub data: Vec<DataRange>,
}

/// From byte `offset` on, the code belongs to `line` of the listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineRow {
    /// Bytes from the start of the function.
    pub offset: u32,
    /// Counted from 1; 0 is code that belongs to no line.
    pub line: u32,
}

/// Bytes of a function that are data: from `start` up to `end`, counted from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataRange {
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

/// Read-only data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConstBlock {
    /// Unique among all objects that are linked together: it begins with the prefix.
    pub symbol: String,
    /// Whether other objects see it.
    pub global: bool,
    /// The contents, any slack that loads may run into included.
    pub bytes: Vec<u8>,
    /// Bytes, a power of two.
    pub align: u32,
    /// Words in `bytes` that the linker completes: only `Abs32`.
    pub relocs: Vec<Reloc>,
}

/// Memory that the startup code clears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZeroBlock {
    /// Always global.
    pub symbol: String,
    /// The section, so that a linker script can place it: `.bss.arena`.
    pub section: String,
    /// Size in bytes.
    pub bytes: u32,
    /// Bytes, a power of two.
    pub align: u32,
}

/// A place that the linker completes with an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloc {
    /// Bytes from the start of the function or block.
    pub offset: u32,
    /// How the address is put there.
    pub kind: RelocKind,
    /// A symbol of this object, or one of its `externals`.
    pub target: String,
    /// Bytes added to the address of `target`.
    pub addend: i32,
}

/// How an address is put into an instruction or a word.
/// The field that is overwritten may hold anything before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelocKind {
    /// `bl target`.
    ThmCall,
    /// `b.w target`.
    ThmJump,
    /// `movw rd, #:lower16:target`.
    ThmMovwAbs,
    /// `movt rd, #:upper16:target`.
    ThmMovtAbs,
    /// `.word target`.
    Abs32,
}

/// How each instruction of a function gets back to its caller: changes to the rules, ascending by offset.
/// On entry the caller's SP is SP itself and the return address is in LR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameInfo {
    /// Each holds from the instruction at its offset on.
    pub changes: Vec<(u32, FrameChange)>,
    /// Bytes from SP up to the caller's SP, as of the last change.
    depth: u32,
    remembered: Option<u32>,
}

/// A change to the unwinding rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameChange {
    /// The caller's SP is SP plus this many bytes.
    Depth(u32),
    /// A register of the caller is `below` bytes under the caller's SP.
    Saved {
        /// Which one.
        register: SavedRegister,
        /// Bytes.
        below: u32,
    },
    /// The register holds the caller's value again.
    Restored(SavedRegister),
    /// Keeps the rules for `Recall`: comes before an epilogue in the middle of a function.
    Remember,
    /// Takes the rules of `Remember` back: comes after that epilogue.
    Recall,
}

/// A register that a prologue saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavedRegister {
    /// r0 to r14.
    Core(u8),
    /// d0 to d15; each is two S registers.
    Double(u8),
}

impl SavedRegister {
    /// Bytes on the stack.
    fn size(self) -> u32 {
        match self {
            SavedRegister::Core(_) => 4,
            SavedRegister::Double(_) => 8,
        }
    }
}

impl FrameInfo {
    /// A PUSH or VPUSH of `registers`, ascending, that ends at `offset`.
    pub fn push(&mut self, offset: u32, registers: &[SavedRegister]) {
        self.lower(offset, registers.iter().map(|r| r.size()).sum());
        let mut below = self.depth;
        for &register in registers {
            self.changes.push((offset, FrameChange::Saved { register, below }));
            below -= register.size();
        }
    }

    /// A POP or VPOP of `registers` that ends at `offset`.
    pub fn pop(&mut self, offset: u32, registers: &[SavedRegister]) {
        self.raise(offset, registers.iter().map(|r| r.size()).sum());
        self.changes.extend(registers.iter().map(|&r| (offset, FrameChange::Restored(r))));
    }

    /// A `sub sp, #bytes` that ends at `offset`.
    pub fn lower(&mut self, offset: u32, bytes: u32) {
        self.depth += bytes;
        self.changes.push((offset, FrameChange::Depth(self.depth)));
    }

    /// An `add sp, #bytes` that ends at `offset`.
    pub fn raise(&mut self, offset: u32, bytes: u32) {
        self.depth = self.depth.checked_sub(bytes).expect("an epilogue frees at most what the prologue took");
        self.changes.push((offset, FrameChange::Depth(self.depth)));
    }

    /// An epilogue in the middle of the function begins at `offset`.
    pub fn remember(&mut self, offset: u32) {
        self.remembered = Some(self.depth);
        self.changes.push((offset, FrameChange::Remember));
    }

    /// Code after an epilogue in the middle of the function begins at `offset`.
    pub fn recall(&mut self, offset: u32) {
        self.depth = self.remembered.take().expect("`remember` comes first");
        self.changes.push((offset, FrameChange::Recall));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn push_names_the_slot_of_each_register() {
        let mut frame = FrameInfo::default();
        frame.push(2, &[SavedRegister::Core(4), SavedRegister::Core(14)]);
        frame.lower(4, 16);
        assert_eq!(
            frame.changes,
            [
                (2, FrameChange::Depth(8)),
                (2, FrameChange::Saved { register: SavedRegister::Core(4), below: 8 }),
                (2, FrameChange::Saved { register: SavedRegister::Core(14), below: 4 }),
                (4, FrameChange::Depth(24)),
            ]
        );
    }
}
