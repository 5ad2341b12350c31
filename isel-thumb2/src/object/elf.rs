//! Sections, symbols and relocations.

use std::collections::BTreeMap;

use object::elf as e;
use object::write::{Object, Relocation, SectionId, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, FileFlags, RelocationFlags, SectionFlags, SectionKind,
    SymbolFlags, SymbolKind, SymbolScope,
};

use super::spec::{ConstBlock, DataRange, FunctionCode, ObjectSpec, Reloc, RelocKind, ZeroBlock};
use super::{ObjectError, attributes, dwarf, patch};

pub(super) fn write(spec: &ObjectSpec) -> Result<Vec<u8>, ObjectError> {
    let mut elf = Elf::new(spec);
    let codes = each(&spec.functions, |function| elf.add_function(function))?;
    let blocks = each(&spec.constants, |block| elf.add_block(block))?;
    each(&spec.zeroed, |block| elf.add_zeroed(block))?;
    each(&spec.externals, |name| elf.add_external(name))?;
    // After all symbols: a relocation may point forward.
    for (function, &section) in spec.functions.iter().zip(&codes) {
        elf.relocate(section, &function.symbol, &function.relocs)?;
    }
    for (block, &section) in spec.constants.iter().zip(&blocks) {
        elf.relocate(section, &block.symbol, &block.relocs)?;
    }
    elf.add_debug_sections(spec, &codes)?;
    elf.add_attributes(spec);
    elf.object.write().map_err(|error| ObjectError(error.to_string()))
}

fn each<T, R>(items: &[T], add: impl FnMut(&T) -> Result<R, ObjectError>) -> Result<Vec<R>, ObjectError> {
    items.iter().map(add).collect()
}

/// The object under construction.
struct Elf {
    object: Object<'static>,
    symbols: BTreeMap<String, Defined>,
    /// Symbols for addresses too far from their block for an instruction's addend field.
    far: BTreeMap<(String, i32), SymbolId>,
}

#[derive(Clone, Copy)]
struct Defined {
    id: SymbolId,
    section: Option<SectionId>,
    is_code: bool,
}

impl Elf {
    fn new(spec: &ObjectSpec) -> Elf {
        let mut object = Object::new(BinaryFormat::Elf, Architecture::Arm, Endianness::Little);
        object.flags =
            FileFlags::Elf { os_abi: e::ELFOSABI_NONE, abi_version: 0, e_flags: e::EF_ARM_EABI_VER5 };
        if !spec.listing.is_empty() {
            object.add_file_symbol(spec.listing.clone().into_bytes());
        }
        Elf { object, symbols: BTreeMap::new(), far: BTreeMap::new() }
    }

    fn add_function(&mut self, function: &FunctionCode) -> Result<SectionId, ObjectError> {
        let name = &function.symbol;
        if function.bytes.is_empty() || !function.bytes.len().is_multiple_of(2) {
            return Err(format!("`{name}` has {} bytes, not whole instructions", function.bytes.len()).into());
        }
        check_align(name, function.align, 2)?;
        check_ranges(name, function.bytes.len(), &function.data)?;
        let section = self.add_section(&format!(".text.{name}"), SectionKind::Text);
        self.object.append_section_data(section, &function.bytes, function.align.into());
        self.add_mapping_symbols(section, function);
        let size = function.bytes.len() as u64;
        // Bit 0 of the value says Thumb.
        self.add_symbol(name, function.global, SymbolKind::Text, section, 1, size)?;
        Ok(section)
    }

    fn add_block(&mut self, block: &ConstBlock) -> Result<SectionId, ObjectError> {
        check_align(&block.symbol, block.align, 1)?;
        if let Some(reloc) = block.relocs.iter().find(|reloc| reloc.kind != RelocKind::Abs32) {
            return Err(format!("`{}` is data and cannot hold a {:?}", block.symbol, reloc.kind).into());
        }
        let section = self.add_section(&format!(".rodata.{}", block.symbol), SectionKind::ReadOnlyData);
        self.object.append_section_data(section, &block.bytes, block.align.into());
        self.add_mapping_symbol(section, 0, "$d");
        let size = block.bytes.len() as u64;
        self.add_symbol(&block.symbol, block.global, SymbolKind::Data, section, 0, size)?;
        Ok(section)
    }

    fn add_zeroed(&mut self, block: &ZeroBlock) -> Result<(), ObjectError> {
        check_align(&block.symbol, block.align, 1)?;
        let section = self.add_section(&block.section, SectionKind::UninitializedData);
        self.object.append_section_bss(section, block.bytes.into(), block.align.into());
        self.add_symbol(&block.symbol, true, SymbolKind::Data, section, 0, block.bytes.into())
    }

    fn add_external(&mut self, name: &str) -> Result<(), ObjectError> {
        let id = self.object.add_symbol(Symbol {
            name: name.into(),
            value: 0,
            size: 0,
            kind: SymbolKind::Unknown,
            scope: SymbolScope::Unknown,
            weak: false,
            section: SymbolSection::Undefined,
            flags: SymbolFlags::None,
        });
        self.define(name, Defined { id, section: None, is_code: false })
    }

    fn add_section(&mut self, name: &str, kind: SectionKind) -> SectionId {
        self.object.add_section(Vec::new(), name.into(), kind)
    }

    fn add_symbol(
        &mut self,
        name: &str,
        global: bool,
        kind: SymbolKind,
        section: SectionId,
        value: u64,
        size: u64,
    ) -> Result<(), ObjectError> {
        let id = self.object.add_symbol(Symbol {
            name: name.into(),
            value,
            size,
            kind,
            // `Linkage` would come out hidden.
            scope: if global { SymbolScope::Dynamic } else { SymbolScope::Compilation },
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
        self.define(name, Defined { id, section: Some(section), is_code: kind == SymbolKind::Text })
    }

    fn define(&mut self, name: &str, symbol: Defined) -> Result<(), ObjectError> {
        match self.symbols.insert(name.to_owned(), symbol) {
            None => Ok(()),
            Some(_) => Err(format!("two symbols are called `{name}`").into()),
        }
    }

    /// `$t` where instructions begin, `$d` where data begins.
    fn add_mapping_symbols(&mut self, section: SectionId, function: &FunctionCode) {
        let mut at = 0;
        for data in &function.data {
            if at < data.start {
                self.add_mapping_symbol(section, at, "$t");
            }
            self.add_mapping_symbol(section, data.start, "$d");
            at = data.end;
        }
        if (at as usize) < function.bytes.len() {
            self.add_mapping_symbol(section, at, "$t");
        }
    }

    fn add_mapping_symbol(&mut self, section: SectionId, at: u32, name: &str) -> SymbolId {
        self.object.add_symbol(Symbol {
            name: name.into(),
            value: at.into(),
            size: 0,
            kind: SymbolKind::Label,
            scope: SymbolScope::Compilation,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        })
    }

    fn relocate(&mut self, section: SectionId, within: &str, relocs: &[Reloc]) -> Result<(), ObjectError> {
        for reloc in relocs {
            let mut reloc = reloc.clone();
            let symbol = self.target(&mut reloc)?;
            let bytes = self.object.section_mut(section).data_mut();
            patch::addend(bytes, &reloc)
                .map_err(|message| ObjectError(format!("in `{within}`: {message}")))?;
            self.add_relocation(section, reloc.offset.into(), symbol, elf_type(reloc.kind))?;
        }
        Ok(())
    }

    /// The symbol that `reloc` counts from; an addend that does not fit becomes a symbol of its own.
    fn target(&mut self, reloc: &mut Reloc) -> Result<SymbolId, ObjectError> {
        let Some(&target) = self.symbols.get(&reloc.target) else {
            return Err(format!("no symbol is called `{}`", reloc.target).into());
        };
        if target.is_code && reloc.addend != 0 {
            return Err(format!("an address inside the function `{}` is asked for", reloc.target).into());
        }
        let (false, Some(section)) = (patch::fits(reloc.kind, reloc.addend), target.section) else {
            return Ok(target.id);
        };
        let addend = std::mem::take(&mut reloc.addend);
        let key = (reloc.target.clone(), addend);
        if let Some(&id) = self.far.get(&key) {
            return Ok(id);
        }
        let Ok(at) = u32::try_from(addend) else {
            return Err(format!("an address {addend} bytes before `{}` is asked for", reloc.target).into());
        };
        let id = self.add_mapping_symbol(section, at, &format!("{}.{at}", reloc.target));
        self.far.insert(key, id);
        Ok(id)
    }

    fn add_relocation(
        &mut self,
        section: SectionId,
        offset: u64,
        symbol: SymbolId,
        r_type: e::RelocationType,
    ) -> Result<(), ObjectError> {
        // The addend is in place already.
        let relocation = Relocation { offset, symbol, addend: 0, flags: RelocationFlags::Elf { r_type } };
        self.object.add_relocation(section, relocation).map_err(|error| ObjectError(error.to_string()))
    }

    fn add_debug_sections(&mut self, spec: &ObjectSpec, codes: &[SectionId]) -> Result<(), ObjectError> {
        let sections = dwarf::sections(spec)?;
        let ids: Vec<SectionId> =
            sections.iter().map(|s| self.add_section(s.name, SectionKind::Debug)).collect();
        for (section, &id) in sections.iter().zip(&ids) {
            let mut bytes = section.bytes.clone();
            for reloc in &section.relocs {
                bytes[reloc.offset..reloc.offset + 4].copy_from_slice(&reloc.addend.to_le_bytes());
            }
            self.object.append_section_data(id, &bytes, 1);
            for reloc in &section.relocs {
                let target = match reloc.target {
                    // The section's symbol, not the function's: DWARF addresses are even.
                    dwarf::Target::Function(idx) => codes[idx],
                    dwarf::Target::Section(name) => {
                        let idx = sections.iter().position(|s| s.name == name);
                        ids[idx.expect("a section that is pointed to has contents")]
                    }
                };
                let symbol = self.object.section_symbol(target);
                self.add_relocation(id, reloc.offset as u64, symbol, e::R_ARM_ABS32)?;
            }
        }
        Ok(())
    }

    /// There is no `.note.GNU-stack`: bare-metal compilers write none, and GNU ld warns about those that lack it
    /// as soon as one object has it.
    fn add_attributes(&mut self, spec: &ObjectSpec) {
        let attributes = self.add_section(".ARM.attributes", SectionKind::Other);
        self.object.section_mut(attributes).flags =
            SectionFlags::Elf { sh_type: e::SHT_ARM_ATTRIBUTES, sh_flags: e::SectionFlags(0) };
        self.object.append_section_data(attributes, &attributes::section(spec.architecture, spec.fpu), 1);
    }
}

fn elf_type(kind: RelocKind) -> e::RelocationType {
    match kind {
        RelocKind::ThmCall => e::R_ARM_THM_PC22, // named R_ARM_THM_CALL today
        RelocKind::ThmJump => e::R_ARM_THM_JUMP24,
        RelocKind::ThmMovwAbs => e::R_ARM_THM_MOVW_ABS_NC,
        RelocKind::ThmMovtAbs => e::R_ARM_THM_MOVT_ABS,
        RelocKind::Abs32 => e::R_ARM_ABS32,
    }
}

fn check_align(name: &str, align: u32, least: u32) -> Result<(), ObjectError> {
    if align.is_power_of_two() && align >= least {
        return Ok(());
    }
    Err(format!("`{name}` has alignment {align}, a power of two from {least} on is meant").into())
}

fn check_ranges(name: &str, len: usize, ranges: &[DataRange]) -> Result<(), ObjectError> {
    let ends = ranges.iter().flat_map(|r| [r.start, r.end]);
    if ends.clone().is_sorted() && ends.last().is_none_or(|end| end as usize <= len) {
        return Ok(());
    }
    Err(format!("the data ranges of `{name}` overlap, or leave its {len} bytes").into())
}
