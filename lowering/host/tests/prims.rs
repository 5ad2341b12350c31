//! Every operation of the loops level as native code, against the meaning in its row.

use ir::loops::prim::Operand;
use ir::loops::{Access, Buffer, Expr, Index, Loop, Nest, Prim, Role, Stmt};
use ir::ty::Ty;

/// Operand tuples per case.
const N: usize = 600;

#[test]
fn every_operation_means_what_its_row_says() {
    let mut random = Random(1);
    for &prim in Prim::ALL {
        for variant in 0..4 {
            for _ in 0..6 {
                check(prim, variant, &attributes(prim, &mut random), &mut random);
            }
        }
    }
}

/// Compiles a loop over operand tuples and compares every result.
fn check(prim: Prim, variant: usize, imm: &[i32], random: &mut Random) {
    let row = prim.row();
    let types: Vec<Ty> = row.operands.iter().map(|&operand| choose(operand, variant)).collect();
    let mut nest = Nest::new("case");
    let var = nest.add_var("i");
    let at = |buffer, ty| Access { buffer, index: vec![Index::var(var)], ty, border: None };
    let mut args = Vec::new();
    for (idx, &ty) in types.iter().enumerate() {
        let in_memory = if ty == Ty::I1 { Ty::I32 } else { ty };
        let buffer = nest.add_buffer(Buffer::new(format!("a{idx}"), in_memory, &[N as u32], Role::Param));
        let load = Expr::Load(at(buffer, in_memory));
        args.push(if ty == Ty::I1 { op(Prim::Lt, vec![load, Expr::Int(0, Ty::I32)]) } else { load });
    }
    let output = prim.result(|idx| types[idx]);
    let in_memory = if output == Ty::I1 { Ty::I32 } else { output };
    let y = nest.add_buffer(Buffer::new("y", in_memory, &[N as u32], Role::Param));
    let mut value = Expr::Op { prim, args, imm: imm.to_vec() };
    if output == Ty::I1 {
        value = op(Prim::Select, vec![value, Expr::Int(1, Ty::I32), Expr::Int(0, Ty::I32)]);
    }
    let body = vec![Stmt::Store(at(y, in_memory), value)];
    nest.body = vec![Stmt::For(Loop { var, extent: N as u32, unroll: false }, body)];

    let operands: Vec<Vec<i64>> = (0..types.len())
        .map(|idx| (0..N).map(|_| operand(prim, idx, types[idx], random)).collect())
        .collect();
    let mut memory: Vec<Vec<u8>> = operands
        .iter()
        .zip(&types)
        .map(|(values, ty)| {
            values.iter().flat_map(|value| value.to_le_bytes()[..ty.bytes().max(1)].to_vec()).collect()
        })
        .collect();
    for (idx, ty) in types.iter().enumerate().filter(|(_, ty)| **ty == Ty::I1) {
        assert_eq!(*ty, Ty::I1);
        memory[idx] = operands[idx].iter().flat_map(|value| (-*value as i32).to_le_bytes()).collect();
    }
    memory.push(vec![0; N * in_memory.bytes()]);
    let mut slices: Vec<&mut [u8]> = memory.iter_mut().map(Vec::as_mut_slice).collect();
    tinyc_host::compile_nest(&nest).unwrap().run(&mut slices).unwrap();

    let results = memory.pop().unwrap();
    for (n, result) in results.chunks_exact(in_memory.bytes()).enumerate() {
        let tuple: Vec<i64> = operands.iter().map(|values| values[n]).collect();
        let wanted = (row.eval)(types[0], &tuple, imm);
        assert_eq!(signed(result), wanted, "`{}` of {tuple:x?} as {types:?} with {imm:?}", row.name);
    }
}

fn op(prim: Prim, args: Vec<Expr>) -> Expr {
    Expr::Op { prim, args, imm: Vec::new() }
}

/// One of the types that an operand may have; operands that must agree do for one `variant`.
fn choose(operand: Operand, variant: usize) -> Ty {
    let types: Vec<Ty> = Ty::ALL.iter().map(|(ty, _)| *ty).filter(|ty| operand.accepts(*ty)).collect();
    types[variant % types.len()]
}

fn attributes(prim: Prim, random: &mut Random) -> Vec<i32> {
    let pick = |&(_, (from, to, step)): &(&str, (i32, i32, i32))| match random.next() % 4 {
        0 => from,
        1 => to,
        _ => {
            let steps = (i64::from(to) - i64::from(from)) / i64::from(step) + 1;
            (i64::from(from) + (random.next() >> 1) as i64 % steps * i64::from(step)) as i32
        }
    };
    let mut imm: Vec<i32> = prim.row().attributes.iter().map(pick).collect();
    match prim {
        Prim::Ubfx | Prim::Sbfx | Prim::Bfi => imm[1] = imm[1].min(32 - imm[0]), // Fields end within the word.
        Prim::Requantize => imm[1..].sort_unstable(), // Some integer is in the clamp.
        _ => {}
    }
    imm
}

/// An edge or a random value of the type; shifts of a requantisation stay within what models have.
fn operand(prim: Prim, idx: usize, ty: Ty, random: &mut Random) -> i64 {
    const EDGES: [u64; 12] = [
        0,
        1,
        2,
        31,
        0x7f,
        0x80,
        0x7fff,
        0x8000,
        0x8000_7fff,
        0x7fff_ffff,
        0x8000_0000,
        0x8000_0000_0000_0000,
    ];
    let bits = match random.next() % 4 {
        0 => EDGES[random.next() as usize % EDGES.len()],
        1 => EDGES[random.next() as usize % EDGES.len()].wrapping_neg(),
        2 => random.next() >> (random.next() % 64),
        _ => random.next(),
    };
    if prim == Prim::Requantize && idx == 2 {
        return bits as i64 % 32;
    }
    match ty {
        Ty::I1 => (bits & 1) as i64,
        Ty::I8 => i64::from(bits as i8),
        Ty::U8 => i64::from(bits as u8),
        Ty::I16 => i64::from(bits as i16),
        Ty::U16 => i64::from(bits as u16),
        Ty::I64 => bits as i64,
        _ => i64::from(bits as i32),
    }
}

/// A little-endian signed integer of 4 or 8 bytes.
fn signed(bytes: &[u8]) -> i64 {
    match bytes.try_into() {
        Ok(word) => i64::from(i32::from_le_bytes(word)),
        Err(_) => i64::from_le_bytes(bytes.try_into().expect("results have 4 or 8 bytes")),
    }
}

/// Marsaglia's xorshift: the same cases in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
