//! `.ARM.attributes`: what a linker checks before it mixes objects.
//!
//! Source of tags and values: Addenda to the Arm ABI (addenda32), "Build attributes".
//! Tags left out have the value 0, which constrains no caller: nothing here depends on the size of an enum or of
//! `wchar_t`, on exceptions or on a number model.

use super::spec::FpArch;

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

/// The contents of the section for ARMv7E-M code that touches the S registers of `fpu`, or none.
pub(super) fn section(fpu: Option<FpArch>) -> Vec<u8> {
    let mut tags = vec![CPU_NAME];
    tags.extend(b"7E-M\0");
    tags.extend([CPU_ARCH, 13]); // v7E-M
    tags.extend([CPU_ARCH_PROFILE, b'M']);
    tags.extend([THUMB_ISA_USE, 2]); // 32-bit Thumb instructions
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
    framed(&tags)
}

fn fp_arch(fpu: FpArch) -> u8 {
    match fpu {
        FpArch::V4Sp => 6, // VFPv4 with 16 double registers
        FpArch::V5 => 8,   // the FP extension of ARMv8 with 16 double registers
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
