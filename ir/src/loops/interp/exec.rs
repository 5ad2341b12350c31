//! Runs the steps.

use super::code::{Code, Dot, Op, Width};

/// Why a run stopped.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fault {
    /// A value left its range: what it is, and the value.
    Bound(String, i64),
    /// A load of bytes at this address that nobody has written.
    Unwritten(usize),
    /// A store over bytes at this address that may be written once.
    Twice(usize),
    /// An address outside of all buffers.
    Outside(i64),
}

/// What is known of a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Byte {
    /// May be read and written.
    Free,
    /// Nobody has written it.
    Unwritten,
    /// Nobody has written it, and it may be written once.
    Once,
    /// May be read, and not be written again.
    Final,
}

/// Runs to the end; `bytes` stays empty where nothing is checked.
pub(super) fn run<const CHECKED: bool>(code: &Code, mem: &mut [u8], bytes: &mut [Byte]) -> Result<(), Fault> {
    let mut regs = code.regs.clone();
    let regs = regs.as_mut_slice();
    let mut pc = 0;
    loop {
        match code.ops[pc] {
            Op::Copy { dst, src } => regs[dst as usize] = regs[src as usize],
            Op::Load { width, dst, at, plus } => {
                let address = regs[at as usize] + i64::from(plus);
                if CHECKED {
                    check_load(bytes, address, width.bytes())?;
                }
                regs[dst as usize] = load(mem, width, address)?;
            }
            Op::Store { width, src, at, plus } => {
                let address = regs[at as usize] + i64::from(plus);
                if CHECKED {
                    check_store(bytes, address, width.bytes())?;
                }
                store(mem, width, address, regs[src as usize])?;
            }
            Op::GetAt { dst, base, at, plus } => {
                let from = i64::from(base) + regs[at as usize] + i64::from(plus);
                regs[dst as usize] = regs[from as usize];
            }
            Op::SetAt { src, base, at, plus } => {
                let to = i64::from(base) + regs[at as usize] + i64::from(plus);
                regs[to as usize] = regs[src as usize];
            }
            Op::Add { dst, a, b } => {
                regs[dst as usize] = word(regs[a as usize].wrapping_add(regs[b as usize]));
            }
            Op::Sub { dst, a, b } => {
                regs[dst as usize] = word(regs[a as usize].wrapping_sub(regs[b as usize]));
            }
            Op::Mul { dst, a, b } => {
                regs[dst as usize] = word(regs[a as usize].wrapping_mul(regs[b as usize]));
            }
            Op::Mac { dst, a, b, c } => {
                let product = regs[b as usize].wrapping_mul(regs[c as usize]);
                regs[dst as usize] = word(regs[a as usize].wrapping_add(product));
            }
            Op::MacBytes { acc, x, w } => {
                let x = byte(mem, regs[x.at as usize] + i64::from(x.plus))?;
                let w = byte(mem, regs[w.at as usize] + i64::from(w.plus))?;
                regs[acc as usize] = word(regs[acc as usize] + x * w);
            }
            Op::DotBytes { dot } => dot_bytes(&code.dots[dot as usize], mem, regs)?,
            Op::Prim { call } => {
                let call = &code.calls[call as usize];
                let mut args = [0; 4];
                for (arg, reg) in args.iter_mut().zip(&call.args[..call.count]) {
                    *arg = regs[*reg as usize];
                }
                regs[call.dst as usize] = (call.eval)(call.ty, &args[..call.count], &call.imm);
            }
            Op::General { dst, index } => regs[dst as usize] = code.generals[index as usize].eval(regs),
            Op::Scale { dst, a, by } => regs[dst as usize] = regs[a as usize] * i64::from(by),
            Op::Bound { bound } => {
                let bound = &code.bounds[bound as usize];
                let value = regs[bound.at as usize] + bound.plus;
                if value < bound.low || value >= bound.high {
                    return Err(Fault::Bound(bound.what.clone(), value));
                }
            }
            Op::Outside { at, plus, extent, dst, border, to } => {
                let value = regs[at as usize] + i64::from(plus);
                if value < 0 || value >= i64::from(extent) {
                    regs[dst as usize] = regs[border as usize];
                    pc = to as usize;
                    continue;
                }
            }
            Op::LoopEnd { of } => {
                let info = &code.loops[of as usize];
                let count = regs[info.counter as usize] + 1;
                if count < i64::from(info.extent) {
                    regs[info.counter as usize] = count;
                    for (reg, step) in &info.steps {
                        regs[*reg as usize] += step;
                    }
                    pc = info.top as usize;
                    continue;
                }
                regs[info.counter as usize] = 0;
                for (reg, step) in &info.steps {
                    regs[*reg as usize] -= step * i64::from(info.extent - 1);
                }
            }
            Op::Halt => return Ok(()),
        }
        pc += 1;
    }
}

fn dot_bytes(dot: &Dot, mem: &[u8], regs: &mut [i64]) -> Result<(), Fault> {
    let mut x = regs[dot.x.at as usize] + i64::from(dot.x.plus);
    let mut w = regs[dot.w.at as usize] + i64::from(dot.w.plus);
    let mut sum = 0i64; // Holds 2^48 products of bytes.
    for _ in 0..dot.extent {
        sum += byte(mem, x)? * byte(mem, w)?;
        x += dot.x_step;
        w += dot.w_step;
    }
    let acc = &mut regs[dot.acc as usize];
    *acc = word(*acc + sum);
    Ok(())
}

fn byte(mem: &[u8], address: i64) -> Result<i64, Fault> {
    mem.get(address as usize).map(|byte| i64::from(*byte as i8)).ok_or(Fault::Outside(address))
}

fn load(mem: &[u8], width: Width, address: i64) -> Result<i64, Fault> {
    let at = address as usize;
    let value = match width {
        Width::S8 => mem.get(at).map(|byte| i64::from(*byte as i8)),
        Width::U8 => mem.get(at).map(|byte| i64::from(*byte)),
        Width::S16 => bytes_at(mem, at).map(|bytes| i64::from(i16::from_le_bytes(bytes))),
        Width::U16 => bytes_at(mem, at).map(|bytes| i64::from(u16::from_le_bytes(bytes))),
        Width::S32 => bytes_at(mem, at).map(|bytes| i64::from(i32::from_le_bytes(bytes))),
        Width::D64 => bytes_at(mem, at).map(i64::from_le_bytes),
    };
    value.ok_or(Fault::Outside(address))
}

fn bytes_at<const N: usize>(mem: &[u8], at: usize) -> Option<[u8; N]> {
    mem.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn store(mem: &mut [u8], width: Width, address: i64, value: i64) -> Result<(), Fault> {
    let at = address as usize;
    let end = at.checked_add(width.bytes()).ok_or(Fault::Outside(address))?;
    let place = mem.get_mut(at..end).ok_or(Fault::Outside(address))?;
    match width {
        Width::S8 | Width::U8 => place[0] = value as u8,
        _ => place.copy_from_slice(&value.to_le_bytes()[..width.bytes()]),
    }
    Ok(())
}

fn check_load(bytes: &[Byte], address: i64, count: usize) -> Result<(), Fault> {
    let range = span(address, count, bytes.len())?;
    let unwritten = |byte: &Byte| matches!(byte, Byte::Unwritten | Byte::Once);
    match bytes[range].iter().any(unwritten) {
        true => Err(Fault::Unwritten(address as usize)),
        false => Ok(()),
    }
}

fn check_store(bytes: &mut [Byte], address: i64, count: usize) -> Result<(), Fault> {
    let range = span(address, count, bytes.len())?;
    for byte in &mut bytes[range] {
        *byte = match byte {
            Byte::Free | Byte::Unwritten => Byte::Free,
            Byte::Once => Byte::Final,
            Byte::Final => return Err(Fault::Twice(address as usize)),
        };
    }
    Ok(())
}

fn span(address: i64, count: usize, len: usize) -> Result<std::ops::Range<usize>, Fault> {
    let start = usize::try_from(address).map_err(|_| Fault::Outside(address))?;
    let end = start.checked_add(count).filter(|end| *end <= len).ok_or(Fault::Outside(address))?;
    Ok(start..end)
}

/// The low 32 bits, sign-extended.
fn word(value: i64) -> i64 {
    i64::from(value as i32)
}
