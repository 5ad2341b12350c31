//! Runs the loops level on the host: each nest becomes native code through Cranelift, with the same bits as on the device.
//!
//! Every buffer has memory of its own, or the place in an arena that the caller gives it: then tensors that lie on each
//! other wrongly give wrong results.
//! Neither is speed: the order of the loops is taken as it is, and `unroll` is ignored.

mod code;
mod emit;
mod memory;
mod prims;

use ir::diag::Diagnostic;
use ir::loops::verify::{verify, verify_program};
use ir::loops::{Buffer, Init, Lifetime, Nest, Program, Role, Stmt, StorageMap, TensorSlot};

use code::Code;
use memory::Memory;

/// What the start of an arena is a multiple of: more than any buffer asks for.
const ARENA_ALIGN: u32 = 64;

/// A whole network as native code, with the memory that it works on.
pub struct HostProgram {
    code: Code,
    memory: Memory,
    tensors: Vec<TensorSlot>,
    /// For each layer, the block of memory behind each buffer of its nest.
    layers: Vec<Vec<usize>>,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
}

/// One nest as native code, with the memory that it works on.
pub struct HostNest {
    code: Code,
    memory: Memory,
    blocks: Vec<usize>,
    /// The block of each parameter, and its size in bytes.
    params: Vec<(usize, usize)>,
}

/// Where everything lies in an arena, in bytes from its start.
#[derive(Clone, Copy)]
pub struct Arena<'a> {
    /// Its size.
    pub bytes: usize,
    /// The offset of each tensor.
    pub tensors: &'a [u32],
    /// For each layer the offset of each of its scratch buffers, in the order of the nest.
    pub scratch: &'a [Vec<u32>],
}

/// Compiles a program, or gives the first error that the verifier finds in it.
pub fn compile(program: &Program) -> Result<HostProgram, Diagnostic> {
    compile_on(program, None)
}

/// The same with tensors and scratch at their places in one arena.
pub fn compile_in(program: &Program, arena: Arena) -> Result<HostProgram, Diagnostic> {
    expect_count("offsets of tensors", arena.tensors.len(), program.tensors.len())?;
    expect_count("layers with offsets of scratch", arena.scratch.len(), program.layers.len())?;
    compile_on(program, Some(arena))
}

fn compile_on(program: &Program, arena: Option<Arena>) -> Result<HostProgram, Diagnostic> {
    first_error(verify_program(program))?;
    let mut memory = Memory::default();
    if let Some(arena) = arena {
        memory.set_arena(arena.bytes, ARENA_ALIGN);
    }
    for (number, slot) in program.tensors.iter().enumerate() {
        let bytes = bytes_of(slot);
        match arena {
            Some(arena) => {
                memory.add_at(arena.tensors[number] as usize, bytes).ok_or_else(|| outside(&slot.name))?
            }
            None => memory.add(bytes, slot.map.align),
        };
    }
    let mut layers = Vec::new();
    for (number, layer) in program.layers.iter().enumerate() {
        let scratch = arena.map(|arena| &arena.scratch[number][..]);
        layers.push(blocks_of(&layer.nest, &mut memory, &layer.args, scratch)?);
    }
    let nests: Vec<&Nest> = program.layers.iter().map(|layer| &layer.nest).collect();
    let code = code_of(&nests, &mut memory, &layers)?;
    let tensors = program.tensors.clone();
    let inputs = in_order(&tensors, |lifetime| match lifetime {
        Lifetime::Input(position) => Some(position),
        _ => None,
    });
    let outputs = in_order(&tensors, |lifetime| match lifetime {
        Lifetime::Output(position) => Some(position),
        _ => None,
    });
    Ok(HostProgram { code, memory, tensors, layers, inputs, outputs })
}

/// Compiles a single nest, or gives the first error that the verifier finds in it.
pub fn compile_nest(nest: &Nest) -> Result<HostNest, Diagnostic> {
    first_error(verify(nest))?;
    let mut memory = Memory::default();
    let mut params = Vec::new();
    for buffer in nest.params() {
        let Buffer { map, .. } = &nest.buffers[buffer.idx()];
        let bytes = nest.buffers[buffer.idx()].bytes();
        params.push((memory.add(bytes, map.align), bytes));
    }
    let args: Vec<usize> = params.iter().map(|(block, _)| *block).collect();
    let blocks = blocks_of(nest, &mut memory, &args, None)?;
    let code = code_of(&[nest], &mut memory, std::slice::from_ref(&blocks))?;
    Ok(HostNest { code, memory, blocks, params })
}

impl HostProgram {
    /// The outputs for these inputs: dense little-endian elements in C order, in the order of the model.
    ///
    /// Persistent tensors keep their contents from run to run; all memory is zero before the first.
    pub fn run(&mut self, inputs: &[&[u8]]) -> Result<Vec<Vec<u8>>, Diagnostic> {
        expect_count("inputs", inputs.len(), self.inputs.len())?;
        for (position, data) in inputs.iter().enumerate() {
            self.write(self.inputs[position], data)?;
        }
        for layer in 0..self.layers.len() {
            self.code.call(layer, &mut self.memory, &self.layers[layer]);
        }
        Ok(self.outputs.iter().map(|&tensor| self.tensor(tensor)).collect())
    }

    /// The contents of a tensor of the program after a run, dense and in C order.
    pub fn tensor(&self, tensor: usize) -> Vec<u8> {
        let TensorSlot { ty, map, .. } = &self.tensors[tensor];
        let (data, size) = (self.memory.bytes(tensor), ty.elem.bytes());
        if map.is_row_major(&extents(&ty.shape)) {
            return data[..ty.bytes()].to_vec();
        }
        let mut dense = Vec::with_capacity(ty.bytes());
        for_each_position(&ty.shape, map, |at| dense.extend_from_slice(&data[at * size..][..size]));
        dense
    }

    fn write(&mut self, tensor: usize, dense: &[u8]) -> Result<(), Diagnostic> {
        let TensorSlot { name, ty, map, .. } = &self.tensors[tensor];
        if dense.len() != ty.bytes() {
            return Err(Diagnostic::new(format!(
                "input `{name}` has {} bytes, its tensor has {}",
                dense.len(),
                ty.bytes()
            )));
        }
        let (data, size) = (self.memory.bytes_mut(tensor), ty.elem.bytes());
        if map.is_row_major(&extents(&ty.shape)) {
            data[..dense.len()].copy_from_slice(dense);
            return Ok(());
        }
        let mut elements = dense.chunks_exact(size);
        for_each_position(&ty.shape, map, |at| {
            data[at * size..][..size].copy_from_slice(elements.next().expect("one chunk per element"));
        });
        Ok(())
    }
}

impl HostNest {
    /// Runs the nest on the memory of its parameters, each in the order of its storage map, slack included.
    pub fn run(&mut self, params: &mut [&mut [u8]]) -> Result<(), Diagnostic> {
        expect_count("parameters", params.len(), self.params.len())?;
        for (data, &(block, bytes)) in params.iter().zip(&self.params) {
            if data.len() != bytes {
                return Err(Diagnostic::new(format!(
                    "a parameter has {} bytes, its buffer has {bytes}",
                    data.len()
                )));
            }
            self.memory.bytes_mut(block)[..bytes].copy_from_slice(data);
        }
        self.code.call(0, &mut self.memory, &self.blocks);
        for (data, &(block, bytes)) in params.iter_mut().zip(&self.params) {
            data.copy_from_slice(&self.memory.bytes(block)[..bytes]);
        }
        Ok(())
    }
}

/// The code of all nests, in order; computes the constants that are nests, which the interpreter does for all others:
/// so each checks the other.
fn code_of(nests: &[&Nest], memory: &mut Memory, blocks: &[Vec<usize>]) -> Result<Code, Diagnostic> {
    let mut bodies: Vec<(&Nest, &[Stmt])> = nests.iter().map(|nest| (*nest, nest.body.as_slice())).collect();
    let mut constants = Vec::new();
    for (nest, blocks) in nests.iter().zip(blocks) {
        // A constant reads only those before it.
        for (_, body) in nest.const_nests() {
            constants.push((bodies.len(), blocks));
            bodies.push((nest, body));
        }
    }
    let code = Code::new(&bodies)?;
    for (function, blocks) in constants {
        code.call(function, memory, blocks);
    }
    Ok(code)
}

/// The block behind each buffer of `nest`: those of `args` for the parameters, new ones for scratch and constants, or for scratch
/// those at these offsets of the arena.
fn blocks_of(
    nest: &Nest,
    memory: &mut Memory,
    args: &[usize],
    scratch: Option<&[u32]>,
) -> Result<Vec<usize>, Diagnostic> {
    let n_scratch = nest.buffers_where(|buffer| buffer.role == Role::Scratch).count();
    if let Some(offsets) = scratch {
        expect_count(&format!("offsets of the scratch of `{}`", nest.name), offsets.len(), n_scratch)?;
    }
    let mut offsets = scratch.map(|offsets| offsets.iter());
    expect_count(&format!("arguments of `{}`", nest.name), args.len(), nest.params().count())?;
    let mut args = args.iter();
    let mut blocks = Vec::with_capacity(nest.buffers.len());
    for buffer in &nest.buffers {
        let block = match &buffer.role {
            Role::Param => {
                let block = *args.next().expect("counted above");
                memory
                    .expect_at_least(block, buffer.bytes())
                    .map_err(|have| too_small(nest, buffer, have))?;
                block
            }
            Role::Scratch if offsets.is_some() => {
                let offset = offsets.as_mut().and_then(Iterator::next).expect("counted above");
                memory.add_at(*offset as usize, buffer.bytes()).ok_or_else(|| outside(&buffer.name))?
            }
            Role::Scratch | Role::Const(Init::Nest(_)) => memory.add(buffer.bytes(), buffer.map.align),
            Role::Const(Init::Data(data)) => {
                let block = memory.add(buffer.bytes(), buffer.map.align);
                if data.len() > buffer.bytes() {
                    return Err(too_small(nest, buffer, buffer.bytes()));
                }
                memory.bytes_mut(block)[..data.len()].copy_from_slice(data);
                block
            }
        };
        blocks.push(block);
    }
    Ok(blocks)
}

fn outside(name: &str) -> Diagnostic {
    Diagnostic::new(format!("`{name}` does not lie within the arena"))
}

fn too_small(nest: &Nest, buffer: &Buffer, have: usize) -> Diagnostic {
    Diagnostic::new(format!(
        "buffer `{}` of `{}` has {} bytes, the memory it stands for has {have}",
        buffer.name,
        nest.name,
        buffer.bytes()
    ))
}

fn first_error(errors: Vec<Diagnostic>) -> Result<(), Diagnostic> {
    errors.into_iter().next().map_or(Ok(()), Err)
}

fn expect_count(what: &str, found: usize, wanted: usize) -> Result<(), Diagnostic> {
    if found == wanted {
        return Ok(());
    }
    Err(Diagnostic::new(format!("found {found} {what}, wanted {wanted}")))
}

fn bytes_of(slot: &TensorSlot) -> usize {
    slot.map.len() * slot.ty.elem.bytes() + slot.map.slack as usize
}

/// The tensors to which `position` gives one, by position.
fn in_order(tensors: &[TensorSlot], position: impl Fn(Lifetime) -> Option<u32>) -> Vec<usize> {
    let mut found: Vec<(u32, usize)> = tensors
        .iter()
        .enumerate()
        .filter_map(|(idx, slot)| position(slot.lifetime).map(|position| (position, idx)))
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, idx)| idx).collect()
}

fn extents(shape: &[usize]) -> Vec<u32> {
    shape.iter().map(|&extent| extent as u32).collect()
}

/// Calls `visit` with the position in memory of every element, in C order.
fn for_each_position(shape: &[usize], map: &StorageMap, mut visit: impl FnMut(usize)) {
    let mut index = vec![0i64; shape.len()];
    for _ in 0..shape.iter().product() {
        let position = map.dims.iter().fold(0, |position, (dim, extent)| {
            position * i64::from(*extent) + dim.eval(&|logical| index[logical.idx()])
        });
        visit(position as usize);
        for d in (0..shape.len()).rev() {
            index[d] += 1;
            if index[d] < shape[d] as i64 {
                break;
            }
            index[d] = 0;
        }
    }
}
