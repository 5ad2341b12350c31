//! `.ARM.attributes`: what a linker checks before it mixes objects.
//!
//! Source of tags and values: Addenda to the Arm ABI (addenda32), "Build attributes".
//! Tags left out have the value 0, which constrains no caller: nothing here depends on the size of an enum or of
//! `wchar_t`, on exceptions or on a number model.

use super::spec::{Architecture, FpArch};

const CPU_NAME: u8 = 5;
const CPU_ARCH: u8 = 6;
const CPU_ARCH_PROFILE: u8 = 7;
const THUMB_ISA_USE: u8 = 9;
const FP_ARCH: u8 = 10;
const ABI_ALIGN_NEEDED: u8 = 24;
const ABI_ALIGN_PRESERVED: u8 = 25;
const ABI_HARD_FP_USE: u8 = 27;
const ABI_VFP_ARGS: u8 = 28;
const CPU_UNALIGNED_ACCESS: u8 = 34;
const DSP_EXTENSION: u8 = 46;

/// The contents of the section for code that touches the S registers of `fpu`, or none.
pub(super) fn section(architecture: Architecture, fpu: Option<FpArch>) -> Vec<u8> {
    let mut tags = vec![CPU_NAME];
    tags.extend(cpu_name(architecture));
    tags.extend([CPU_ARCH, cpu_arch(architecture)]);
    tags.extend([CPU_ARCH_PROFILE, b'M']);
    tags.extend([THUMB_ISA_USE, thumb_isa(architecture)]);
    if let Some(fpu) = fpu {
        tags.extend([FP_ARCH, fp_arch(fpu)]);
    }
    tags.extend([ABI_ALIGN_NEEDED, 1]); // 8 bytes
    tags.extend([ABI_ALIGN_PRESERVED, 1]); // 8 bytes at every call
    if fpu.is_some() {
        tags.extend([ABI_HARD_FP_USE, 1]); // single precision only
    }
    tags.extend([ABI_VFP_ARGS, 3]); // no float is passed: callers of both conventions may link
    tags.extend([CPU_UNALIGNED_ACCESS, 1]); // word and halfword loads may be unaligned
    if architecture == Architecture::V8MMain {
        tags.extend([DSP_EXTENSION, 1]); // beside what the architecture has anyway
    }
    framed(&tags)
}

fn cpu_name(architecture: Architecture) -> &'static [u8] {
    match architecture {
        Architecture::V7M => b"7-M\0",
        Architecture::V7EM => b"7E-M\0",
        Architecture::V8MMain => b"8-M.MAIN\0",
    }
}

fn cpu_arch(architecture: Architecture) -> u8 {
    match architecture {
        Architecture::V7M => 10,     // v7, M by the profile
        Architecture::V7EM => 13,    // v7E-M
        Architecture::V8MMain => 17, // v8-M.mainline
    }
}

fn thumb_isa(architecture: Architecture) -> u8 {
    match architecture {
        Architecture::V7M | Architecture::V7EM => 2, // 32-bit Thumb instructions
        Architecture::V8MMain => 3,                  // what the architecture has
    }
}

fn fp_arch(fpu: FpArch) -> u8 {
    match fpu {
        FpArch::V4Sp => 6, // VFPv4 with 16 double registers
        FpArch::V5 => 8,   // the FP extension of Armv8 with 16 double registers
    }
}

/// Puts the vendor subsection and the file subsection around `tags`; each length counts itself.
fn framed(tags: &[u8]) -> Vec<u8> {
    let file_len = 1 + 4 + tags.len();
    let vendor = b"aeabi\0";
    let vendor_len = 4 + vendor.len() + file_len;
    let mut section = vec![b'A'];
    section.extend((vendor_len as u32).to_le_bytes());
    section.extend(vendor);
    section.push(1); // Tag_File
    section.extend((file_len as u32).to_le_bytes());
    section.extend(tags);
    section
}
