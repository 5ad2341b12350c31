//! Puts addends into the fields that the linker will complete.
//!
//! ELF for 32-bit Arm keeps the addend of a relocation in the place itself.
//! Source of the fields: Armv7-M Architecture Reference Manual, encodings BL T1, B T4, MOVW T3, MOVT T1;
//! of their meaning: ELF for the Arm Architecture (aaelf32), "Addends and PC-bias compensation".

use super::spec::{Reloc, RelocKind};

/// A branch counts from its own address plus this many bytes; the addend takes that back.
const PC_BIAS: i32 = 4;

/// Overwrites the field of `reloc` in `bytes` with its addend, or says why that cannot be.
pub(super) fn addend(bytes: &mut [u8], reloc: &Reloc) -> Result<(), String> {
    let field = usize::try_from(reloc.offset).ok().and_then(|at| bytes.get_mut(at..)?.get_mut(..4));
    let Some(field) = field else {
        return Err(format!("offset {:#x} of `{}` lies outside", reloc.offset, reloc.target));
    };
    if reloc.kind == RelocKind::Abs32 {
        field.copy_from_slice(&reloc.addend.to_le_bytes());
        return Ok(());
    }
    let first = u16::from_le_bytes([field[0], field[1]]);
    let second = u16::from_le_bytes([field[2], field[3]]);
    if !is_instruction(reloc.kind, first, second) {
        let kind = reloc.kind;
        return Err(format!("{first:04x} {second:04x} at {:#x} is no {kind:?}", reloc.offset));
    }
    let (first, second) = match reloc.kind {
        RelocKind::ThmCall | RelocKind::ThmJump => branch(first, second, reloc.addend)?,
        _ => wide_move(first, second, reloc.addend)?,
    };
    field[..2].copy_from_slice(&first.to_le_bytes());
    field[2..].copy_from_slice(&second.to_le_bytes());
    Ok(())
}

/// Whether the linker can keep `addend` in a field of `kind`.
pub(super) fn fits(kind: RelocKind, addend: i32) -> bool {
    match kind {
        RelocKind::Abs32 => true,
        RelocKind::ThmMovwAbs | RelocKind::ThmMovtAbs => i16::try_from(addend).is_ok(),
        RelocKind::ThmCall | RelocKind::ThmJump => {
            let biased = i64::from(addend) - i64::from(PC_BIAS);
            addend % 2 == 0 && (-(1 << 24)..1 << 24).contains(&biased)
        }
    }
}

fn is_instruction(kind: RelocKind, first: u16, second: u16) -> bool {
    match kind {
        RelocKind::ThmCall => first & 0xf800 == 0xf000 && second & 0xd000 == 0xd000,
        RelocKind::ThmJump => first & 0xf800 == 0xf000 && second & 0xd000 == 0x9000,
        RelocKind::ThmMovwAbs => first & 0xfbf0 == 0xf240 && second & 0x8000 == 0,
        RelocKind::ThmMovtAbs => first & 0xfbf0 == 0xf2c0 && second & 0x8000 == 0,
        RelocKind::Abs32 => true,
    }
}

/// `1111 0S imm10  1x J1 x J2 imm11`, with `J = not (I xor S)`.
fn branch(first: u16, second: u16, addend: i32) -> Result<(u16, u16), String> {
    if !fits(RelocKind::ThmCall, addend) {
        return Err(format!("a branch cannot reach {addend} bytes"));
    }
    let distance = (addend - PC_BIAS) as u32;
    let bit = |n: u32| (distance >> n & 1) as u16;
    let (sign, i1, i2) = (bit(24), bit(23), bit(22));
    let first = first & 0xf800 | sign << 10 | (distance >> 12 & 0x3ff) as u16;
    let (j1, j2) = (1 ^ i1 ^ sign, 1 ^ i2 ^ sign);
    let second = second & 0xd000 | j1 << 13 | j2 << 11 | (distance >> 1 & 0x7ff) as u16;
    Ok((first, second))
}

/// `1111 0i10 xx00 imm4  0 imm3 dddd imm8`, the same signed 16 bits in MOVW and in MOVT.
fn wide_move(first: u16, second: u16, addend: i32) -> Result<(u16, u16), String> {
    let Ok(addend) = i16::try_from(addend) else {
        return Err(format!("an address move cannot keep the addend {addend}"));
    };
    let addend = addend as u16;
    let first = first & 0xfbf0 | (addend >> 11 & 1) << 10 | addend >> 12;
    let second = second & 0x8f00 | (addend >> 8 & 7) << 12 | addend & 0xff;
    Ok((first, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(kind: RelocKind, halves: [u16; 2], addend: i32) -> Result<[u16; 2], String> {
        let mut bytes: Vec<u8> = halves.iter().flat_map(|h| h.to_le_bytes()).collect();
        let reloc = Reloc { offset: 0, kind, target: "t".into(), addend };
        super::addend(&mut bytes, &reloc)?;
        Ok([u16::from_le_bytes([bytes[0], bytes[1]]), u16::from_le_bytes([bytes[2], bytes[3]])])
    }

    // Expected values: GNU as 2.40, `bl f`, `b.w f`, `movw r3, #:lower16:d-3`, `movt r3, #:upper16:d+0x1234`.
    #[test]
    fn fields_are_those_of_gnu_as() {
        assert_eq!(patched(RelocKind::ThmCall, [0xf000, 0xd000], 0), Ok([0xf7ff, 0xfffe]));
        assert_eq!(patched(RelocKind::ThmJump, [0xf000, 0x9000], 0), Ok([0xf7ff, 0xbffe]));
        assert_eq!(patched(RelocKind::ThmMovwAbs, [0xf240, 0x0300], -3), Ok([0xf64f, 0x73fd]));
        assert_eq!(patched(RelocKind::ThmMovtAbs, [0xf2c0, 0x0300], 0x1234), Ok([0xf2c1, 0x2334]));
    }

    #[test]
    fn other_instructions_and_far_addends_are_refused() {
        assert!(patched(RelocKind::ThmCall, [0xf2c0, 0x0300], 0).is_err());
        assert!(patched(RelocKind::ThmMovwAbs, [0xf2c0, 0x0300], 0).is_err());
        assert!(patched(RelocKind::ThmMovwAbs, [0xf240, 0x0300], 32768).is_err());
        assert!(patched(RelocKind::ThmCall, [0xf000, 0xd000], 1).is_err());
        assert!(patched(RelocKind::ThmCall, [0xf000, 0xd000], i32::MIN).is_err());
    }
}
