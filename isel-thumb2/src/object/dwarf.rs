//! `.debug_*` sections: a debugger shows a layer's name, the line of the printed loop nest, and its callers.
//!
//! DWARF 4, which every debugger for these parts reads. One unit, one subprogram per function.
//! Names are relative, so that the bytes do not depend on where the compiler ran.

use gimli::write::{
    Address, AttributeValue, CallFrameInstruction, CommonInformationEntry, DwarfUnit, EndianVec, Expression,
    FileId, FrameDescriptionEntry, FrameTable, LineProgram, LineString, Range, RangeList, RelocateWriter,
    RelocationTarget, Sections,
};
use gimli::{Encoding, Format, LineEncoding, LittleEndian, Register, SectionId};

use super::ObjectError;
use super::spec::{FrameChange, FunctionCode, ObjectSpec, SavedRegister};

/// Source of the register numbers: DWARF for the Arm Architecture (aadwarf32), "DWARF register names".
const SP: Register = Register(13);
const LR: Register = Register(14);
const D0: u16 = 256;

const ENCODING: Encoding = Encoding { format: Format::Dwarf32, version: 4, address_size: 4 };

/// A debug section and the words in it that the linker completes.
pub(super) struct Section {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub relocs: Vec<SectionReloc>,
}

/// A word that the linker completes.
pub(super) struct SectionReloc {
    pub offset: usize,
    pub target: Target,
    pub addend: i32,
}

/// What such a word points to.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// The start of the function with this index in the spec.
    Function(usize),
    /// The start of the debug section with this name.
    Section(&'static str),
}

/// The debug sections of `spec`, none where it has no code.
pub(super) fn sections(spec: &ObjectSpec) -> Result<Vec<Section>, ObjectError> {
    if spec.functions.is_empty() {
        return Ok(Vec::new());
    }
    let mut sections = Sections::new(Buffer::default());
    let result = unit(spec)?.write(&mut sections);
    result.and_then(|()| frames(spec).write_debug_frame(&mut sections.debug_frame)).map_err(refused)?;
    let mut out = Vec::new();
    sections.for_each(|id, buffer| collect(id, buffer, &mut out))?;
    Ok(out)
}

fn collect(id: SectionId, buffer: &Buffer, out: &mut Vec<Section>) -> Result<(), ObjectError> {
    if buffer.bytes.slice().is_empty() {
        return Ok(());
    }
    let reloc = |r: &gimli::write::Relocation| {
        let target = match r.target {
            RelocationTarget::Symbol(idx) => Target::Function(idx),
            RelocationTarget::Section(id) => Target::Section(id.name()),
        };
        let addend = i32::try_from(r.addend).map_err(|_| ObjectError("debug data of 2 GB".into()))?;
        Ok(SectionReloc { offset: r.offset, target, addend })
    };
    let relocs = buffer.relocs.iter().map(reloc).collect::<Result<_, ObjectError>>()?;
    out.push(Section { name: id.name(), bytes: buffer.bytes.slice().to_vec(), relocs });
    Ok(())
}

fn unit(spec: &ObjectSpec) -> Result<DwarfUnit, ObjectError> {
    let mut dwarf = DwarfUnit::new(ENCODING);
    let (program, file) = line_program(spec)?;
    dwarf.unit.line_program = program;
    add_unit_attributes(&mut dwarf, spec);
    for (idx, function) in spec.functions.iter().enumerate() {
        add_subprogram(&mut dwarf, file, idx, function);
    }
    Ok(dwarf)
}

fn add_unit_attributes(dwarf: &mut DwarfUnit, spec: &ObjectSpec) {
    let range = |(idx, function): (usize, &FunctionCode)| Range::StartLength {
        begin: start(idx),
        length: function.bytes.len() as u64,
    };
    let ranges = RangeList(spec.functions.iter().enumerate().map(range).collect());
    let ranges = dwarf.unit.ranges.add(ranges);
    let producer = dwarf.strings.add(spec.producer.as_bytes());
    let name = dwarf.strings.add(spec.listing.as_bytes());
    let folder = dwarf.strings.add(".");
    let root = dwarf.unit.get_mut(dwarf.unit.root());
    root.set(gimli::DW_AT_producer, AttributeValue::StringRef(producer));
    // A debugger needs some language to print numbers in, and the callers are written in C.
    root.set(gimli::DW_AT_language, AttributeValue::Language(gimli::DW_LANG_C99));
    root.set(gimli::DW_AT_name, AttributeValue::StringRef(name));
    root.set(gimli::DW_AT_comp_dir, AttributeValue::StringRef(folder));
    root.set(gimli::DW_AT_low_pc, AttributeValue::Address(Address::Constant(0)));
    root.set(gimli::DW_AT_ranges, AttributeValue::RangeListRef(ranges));
    root.set(gimli::DW_AT_stmt_list, AttributeValue::LineProgramRef);
}

fn add_subprogram(dwarf: &mut DwarfUnit, file: FileId, idx: usize, function: &FunctionCode) {
    let name = dwarf.strings.add(function.symbol.as_bytes());
    let mut frame_base = Expression::new();
    frame_base.op(gimli::DW_OP_call_frame_cfa);
    let id = dwarf.unit.add(dwarf.unit.root(), gimli::DW_TAG_subprogram);
    let entry = dwarf.unit.get_mut(id);
    entry.set(gimli::DW_AT_name, AttributeValue::StringRef(name));
    if function.global {
        entry.set(gimli::DW_AT_external, AttributeValue::FlagPresent);
    }
    if let Some(row) = function.lines.iter().find(|row| row.line != 0) {
        entry.set(gimli::DW_AT_decl_file, AttributeValue::FileIndex(Some(file)));
        entry.set(gimli::DW_AT_decl_line, AttributeValue::Udata(row.line.into()));
    }
    entry.set(gimli::DW_AT_prototyped, AttributeValue::FlagPresent);
    entry.set(gimli::DW_AT_low_pc, AttributeValue::Address(start(idx)));
    entry.set(gimli::DW_AT_high_pc, AttributeValue::Data4(function.bytes.len() as u32));
    entry.set(gimli::DW_AT_frame_base, AttributeValue::Exprloc(frame_base));
}

fn line_program(spec: &ObjectSpec) -> Result<(LineProgram, FileId), ObjectError> {
    if spec.listing.is_empty() || spec.listing.contains('\0') {
        return Err(ObjectError("the listing has no name".into()));
    }
    let text = |text: &str| LineString::String(text.as_bytes().to_vec());
    let halfwords = LineEncoding { minimum_instruction_length: 2, ..LineEncoding::default() };
    let mut program = LineProgram::new(ENCODING, halfwords, text("."), None, text(&spec.listing), None);
    let file = program.add_file(text(&spec.listing), program.default_directory(), None);
    for (idx, function) in spec.functions.iter().enumerate() {
        check_lines(function)?;
        program.begin_sequence(Some(start(idx)));
        for row in &function.lines {
            program.row().address_offset = row.offset.into();
            program.row().file = file;
            program.row().line = row.line.into();
            program.generate_row();
        }
        program.end_sequence(function.bytes.len() as u64);
    }
    Ok((program, file))
}

fn check_lines(function: &FunctionCode) -> Result<(), ObjectError> {
    let lines = function.lines.iter().map(|row| row.offset);
    let frames = function.frame.changes.iter().map(|(offset, _)| *offset);
    let len = function.bytes.len() as u32;
    let fits = |offset: u32| offset.is_multiple_of(2) && offset <= len;
    if lines.clone().is_sorted() && frames.clone().is_sorted() && lines.chain(frames).all(fits) {
        return Ok(());
    }
    Err(format!("lines or frame changes of `{}` are out of order or no instruction", function.symbol).into())
}

fn frames(spec: &ObjectSpec) -> FrameTable {
    let mut table = FrameTable::default();
    // The version of the call frame information, which is not that of DWARF.
    let encoding = Encoding { version: 3, ..ENCODING };
    let mut common = CommonInformationEntry::new(encoding, 2, -4, LR);
    common.add_instruction(CallFrameInstruction::Cfa(SP, 0));
    let common = table.add_cie(common);
    for (idx, function) in spec.functions.iter().enumerate() {
        let mut entry = FrameDescriptionEntry::new(start(idx), function.bytes.len() as u32);
        for &(offset, change) in &function.frame.changes {
            entry.add_instruction(offset, instruction(change));
        }
        table.add_fde(common, entry);
    }
    table
}

fn instruction(change: FrameChange) -> CallFrameInstruction {
    match change {
        FrameChange::Depth(bytes) => CallFrameInstruction::CfaOffset(bytes as i32),
        FrameChange::Saved { register, below } => {
            CallFrameInstruction::Offset(number(register), -(below as i32))
        }
        FrameChange::Restored(register) => CallFrameInstruction::Restore(number(register)),
        FrameChange::Remember => CallFrameInstruction::RememberState,
        FrameChange::Recall => CallFrameInstruction::RestoreState,
    }
}

fn number(register: SavedRegister) -> Register {
    match register {
        SavedRegister::Core(r) => Register(r.into()),
        SavedRegister::Double(d) => Register(D0 + u16::from(d)),
    }
}

fn start(function: usize) -> Address {
    Address::Symbol { symbol: function, addend: 0 }
}

fn refused(error: gimli::write::Error) -> ObjectError {
    ObjectError(format!("debug information: {error}"))
}

/// The bytes of a section, with the places that the linker completes.
#[derive(Clone)]
struct Buffer {
    bytes: EndianVec<LittleEndian>,
    relocs: Vec<gimli::write::Relocation>,
}

impl Default for Buffer {
    fn default() -> Self {
        Buffer { bytes: EndianVec::new(LittleEndian), relocs: Vec::new() }
    }
}

impl RelocateWriter for Buffer {
    type Writer = EndianVec<LittleEndian>;

    fn writer(&self) -> &Self::Writer {
        &self.bytes
    }

    fn writer_mut(&mut self) -> &mut Self::Writer {
        &mut self.bytes
    }

    fn relocate(&mut self, relocation: gimli::write::Relocation) {
        self.relocs.push(relocation);
    }
}
