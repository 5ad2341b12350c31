//! Runs a whole program: each tensor has memory of its own, so that no placement hides in the result.

use super::super::{Buffer, Lifetime, Program, Role, TensorSlot};
use super::{Checks, Compiled, JUNK};
use crate::diag::Diagnostic;

/// A program that is ready to run any number of times. Persistent tensors start as zeros and keep their contents.
#[derive(Clone, Debug)]
pub struct Runner<'p> {
    program: &'p Program,
    layers: Vec<Compiled<'p>>,
    /// By tensor.
    memory: Vec<Vec<u8>>,
}

impl<'p> Runner<'p> {
    /// Turns all layers into steps. The program must be right by [`super::super::verify::verify_program`].
    pub fn new(program: &'p Program, checks: Checks) -> Result<Self, Diagnostic> {
        let layers = program.layers.iter().map(|layer| Compiled::new(&layer.nest, checks));
        let memory = program.tensors.iter().map(|tensor| vec![0; as_buffer(tensor).bytes()]).collect();
        Ok(Self { program, layers: layers.collect::<Result<_, _>>()?, memory })
    }

    /// Runs once. Inputs and outputs are dense, in row-major order, by position.
    pub fn run(&mut self, inputs: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Diagnostic> {
        let program = self.program;
        for (tensor, memory) in program.tensors.iter().zip(&mut self.memory) {
            if let Lifetime::Input(position) = tensor.lifetime {
                let Some(input) = inputs.get(position as usize) else {
                    return Err(Diagnostic::new(format!("there is no input {position}")));
                };
                *memory = scatter(tensor, input)?;
            }
        }
        for (layer, compiled) in program.layers.iter().zip(&self.layers) {
            let mut taken: Vec<Vec<u8>> = layer.args.iter().map(|arg| self.memory[*arg].clone()).collect();
            let params = layer.nest.params().map(|id| layer.nest.buffers[id.idx()].bytes());
            // A tensor may have more slack than the parameter asks for.
            let mut slices: Vec<&mut [u8]> =
                taken.iter_mut().zip(params).map(|(memory, len)| take(memory, len)).collect();
            compiled.run(&mut slices)?;
            let stored = layer.nest.stored();
            for ((id, arg), memory) in layer.nest.params().zip(&layer.args).zip(taken) {
                if stored[id.idx()] {
                    self.memory[*arg] = memory;
                }
            }
        }
        Ok(self.outputs())
    }

    /// The dense contents of a tensor, by its index in the program.
    pub fn tensor(&self, idx: usize) -> Vec<u8> {
        gather(&self.program.tensors[idx], &self.memory[idx])
    }

    fn outputs(&self) -> Vec<Vec<u8>> {
        let mut outputs: Vec<(u32, usize)> = Vec::new();
        for (idx, tensor) in self.program.tensors.iter().enumerate() {
            if let Lifetime::Output(position) = tensor.lifetime {
                outputs.push((position, idx));
            }
        }
        outputs.sort_unstable();
        outputs.into_iter().map(|(_, idx)| self.tensor(idx)).collect()
    }
}

/// Runs a program once; see [`Runner::run`].
pub fn run_program(program: &Program, inputs: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Diagnostic> {
    Runner::new(program, Checks::Off)?.run(inputs)
}

fn take(memory: &mut [u8], len: usize) -> &mut [u8] {
    let len = len.min(memory.len());
    &mut memory[..len]
}

fn as_buffer(tensor: &TensorSlot) -> Buffer {
    let shape = tensor.ty.shape.iter().map(|extent| *extent as u32).collect();
    let TensorSlot { name, ty, map, .. } = tensor;
    Buffer { name: name.clone(), elem: ty.elem, shape, map: map.clone(), values: None, role: Role::Param }
}

fn scatter(tensor: &TensorSlot, dense: &[u8]) -> Result<Vec<u8>, Diagnostic> {
    let wanted = tensor.ty.bytes();
    if dense.len() != wanted {
        let (name, found) = (&tensor.name, dense.len());
        return Err(Diagnostic::new(format!("the input `{name}` has {wanted} bytes, found {found}")));
    }
    let buffer = as_buffer(tensor);
    let mut memory = vec![JUNK; buffer.bytes()];
    let size = buffer.elem.bytes();
    for (position, element) in buffer.positions().into_iter().zip(dense.chunks_exact(size)) {
        memory[position * size..][..size].copy_from_slice(element);
    }
    Ok(memory)
}

fn gather(tensor: &TensorSlot, memory: &[u8]) -> Vec<u8> {
    let buffer = as_buffer(tensor);
    let size = buffer.elem.bytes();
    buffer.positions().into_iter().flat_map(|position| memory[position * size..][..size].to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loops::text::parse_program;
    use crate::loops::verify::verify_program;

    const COUNTING: &str = "program @counting {
  tensor x: i8[2, 2] input 0
  tensor t: i8[2, 2] map (d1: 2, d0 + 1: 4) align 4 slack 4 temporary
  tensor count: i32[1] persistent
  tensor y: i8[2, 2] output 1
  tensor z: i32[1] output 0
  layer @turn(x, t) op \"copy\" macs 0 sources [0]
  layer @count_up(count) op \"add\" macs 0 sources [1]
  layer @sum(t, count, y, z) op \"add\" macs 4 sources [1]
}
loops @turn(x: i8[2, 2], t: i8[2, 2] map (d1: 2, d0 + 1: 4)) {
  for i in 0..2 {
    for j in 0..2 { t[i, j] = x[i, j] }
  }
}
loops @count_up(n: i32[1]) {
  n[0] = add n[0], 1
}
loops @sum(t: i8[2, 2] map (d1: 2, d0 + 1: 4) align 4, n: i32[1], y: i8[2, 2], z: i32[1]) {
  for i in 0..2 {
    for j in 0..2 { y[i, j] = add sext(t[i, j]), n[0] }
  }
  z[0] = n[0]
}
";

    #[test]
    fn state_stays_and_outputs_come_by_position() {
        let program = parse_program(COUNTING).unwrap();
        assert_eq!(verify_program(&program), []);
        let mut runner = Runner::new(&program, Checks::On).unwrap();
        assert_eq!(runner.run(&[vec![1, 2, 3, 4]]).unwrap(), [vec![1, 0, 0, 0], vec![2, 3, 4, 5]]);
        assert_eq!(runner.run(&[vec![1, 2, 3, 255]]).unwrap(), [vec![2, 0, 0, 0], vec![3, 4, 5, 1]]);
        assert_eq!(runner.tensor(1), [1, 2, 3, 255]);
        assert_eq!(run_program(&program, &[vec![0; 4]]).unwrap()[0], [1, 0, 0, 0]);
    }

    #[test]
    fn inputs_have_their_size() {
        let program = parse_program(COUNTING).unwrap();
        let message = |inputs: &[Vec<u8>]| run_program(&program, inputs).unwrap_err().message;
        assert_eq!(message(&[]), "there is no input 0");
        assert_eq!(message(&[vec![0; 3]]), "the input `x` has 4 bytes, found 3");
    }
}
