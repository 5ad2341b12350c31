//! Checks a whole program: tensors, layers, and each nest.

use std::collections::BTreeSet;

use super::super::{Buffer, Layer, Lifetime, Program, Role};
use super::{is_c_identifier, map_errors, verify};
use crate::diag::Diagnostic;

/// All that is wrong with a program; empty where it is right: its nests, and what [`verify_outline`] checks.
pub fn verify_program(program: &Program) -> Vec<Diagnostic> {
    let mut errors: Vec<_> = program.layers.iter().flat_map(|layer| verify(&layer.nest)).collect();
    errors.extend(verify_outline(program));
    errors
}

/// All that is wrong with a program, its nests left aside.
///
/// - The program is a C identifier; names of nests and of tensors are unique.
/// - Tensors have legal maps; inputs and outputs are numbered from 0 without gaps.
/// - A layer has a tensor for each parameter, of the same element type and as many bytes, aligned at least as well and
///   with at least as much slack; a tensor that a layer writes is passed to it once.
/// - A layer shares the code of an earlier one that has code of its own.
/// - A tensor is written before it is read, unless it is an input or persistent; inputs are never written, outputs are.
pub fn verify_outline(program: &Program) -> Vec<Diagnostic> {
    let mut checker = Checker { program, errors: Vec::new() };
    if !is_c_identifier(&program.name) {
        checker.error(format!("`{}` is no C identifier", program.name));
    }
    checker.tensors();
    checker.positions("input", |lifetime| match lifetime {
        Lifetime::Input(position) => Some(position),
        _ => None,
    });
    checker.positions("output", |lifetime| match lifetime {
        Lifetime::Output(position) => Some(position),
        _ => None,
    });
    checker.layers();
    checker.flow();
    checker.errors
}

struct Checker<'p> {
    program: &'p Program,
    errors: Vec<Diagnostic>,
}

impl Checker<'_> {
    fn error(&mut self, message: String) {
        self.errors.push(Diagnostic::new(message));
    }

    fn tensors(&mut self) {
        let mut names = BTreeSet::new();
        for tensor in &self.program.tensors {
            if !names.insert(&tensor.name) {
                self.error(format!("there are two tensors `{}`", tensor.name));
            }
            let shape: Vec<u32> = tensor.ty.shape.iter().map(|extent| *extent as u32).collect();
            let map = tensor.map.clone();
            let (name, elem) = (tensor.name.clone(), tensor.ty.elem);
            let buffer = Buffer { name, elem, shape, map, values: None, role: Role::Param };
            map_errors(&buffer).into_iter().for_each(|message| self.error(message));
        }
    }

    fn positions(&mut self, what: &str, position: impl Fn(Lifetime) -> Option<u32>) {
        let mut found: Vec<u32> = self.program.tensors.iter().filter_map(|t| position(t.lifetime)).collect();
        found.sort_unstable();
        if let Some((wanted, found)) = (0..).zip(&found).find(|(wanted, found)| wanted != *found) {
            self.error(format!("the {what}s are not numbered from 0 on: expected {wanted}, found {found}"));
        }
    }

    fn layers(&mut self) {
        let mut names = BTreeSet::new();
        for layer in &self.program.layers {
            let name = &layer.nest.name;
            if !names.insert(name) {
                self.error(format!("there are two nests `@{name}`"));
            }
            let params = layer.nest.params().count();
            if params != layer.args.len() {
                self.error(format!("`@{name}` has {params} parameters, found {} tensors", layer.args.len()));
                continue;
            }
            self.arguments(layer);
        }
        self.sharing();
    }

    fn sharing(&mut self) {
        for (number, layer) in self.program.layers.iter().enumerate() {
            let Some(shares) = &layer.shares else { continue };
            let first = self.program.layers[..number].iter().find(|first| first.nest.name == *shares);
            let name = &layer.nest.name;
            match first {
                None => self.error(format!("`@{name}` shares `@{shares}`, which is no earlier layer")),
                Some(first) if first.shares.is_some() => {
                    self.error(format!("`@{name}` shares `@{shares}`, which has no code of its own"));
                }
                Some(_) => {}
            }
        }
    }

    fn arguments(&mut self, layer: &Layer) {
        let name = &layer.nest.name;
        let stored = layer.nest.stored();
        for (id, arg) in layer.nest.params().zip(&layer.args) {
            let param = &layer.nest.buffers[id.idx()];
            let tensor = &self.program.tensors[*arg];
            let what = format!("tensor `{}` as `{}` of `@{name}`", tensor.name, param.name);
            let bytes = tensor.map.len() * tensor.ty.elem.bytes();
            let wanted = param.map.len() * param.elem.bytes();
            if param.elem != tensor.ty.elem || bytes != wanted {
                let (elem, of) = (tensor.ty.elem, param.elem);
                self.error(format!("{what}: {bytes} bytes of `{elem}`, expected {wanted} bytes of `{of}`"));
            }
            if tensor.map.align < param.map.align {
                let (found, wanted) = (tensor.map.align, param.map.align);
                self.error(format!("{what}: aligned to {found}, expected {wanted}"));
            }
            if tensor.map.slack < param.map.slack {
                let (found, wanted) = (tensor.map.slack, param.map.slack);
                self.error(format!("{what}: {found} bytes of slack, expected {wanted}"));
            }
            if stored[id.idx()] && layer.args.iter().filter(|other| *other == arg).count() > 1 {
                self.error(format!("{what}: it is written and passed twice"));
            }
        }
    }

    fn flow(&mut self) {
        let given = |lifetime| matches!(lifetime, Lifetime::Input(_) | Lifetime::Persistent);
        let mut written: Vec<bool> = self.program.tensors.iter().map(|t| given(t.lifetime)).collect();
        for layer in &self.program.layers {
            let stored = layer.nest.stored();
            for (id, arg) in layer.nest.params().zip(&layer.args) {
                let tensor = &self.program.tensors[*arg];
                let (tensor_name, name) = (&tensor.name, &layer.nest.name);
                if stored[id.idx()] {
                    if matches!(tensor.lifetime, Lifetime::Input(_)) {
                        self.error(format!("`@{name}` writes the input `{tensor_name}`"));
                    }
                } else if !written[*arg] {
                    self.error(format!("`@{name}` reads `{tensor_name}`, which nothing has written"));
                }
            }
            for (id, arg) in layer.nest.params().zip(&layer.args) {
                written[*arg] |= stored[id.idx()];
            }
        }
        for (tensor, _) in self.program.tensors.iter().zip(written).filter(|(_, written)| !written) {
            if let Lifetime::Output(_) = tensor.lifetime {
                self.error(format!("nothing writes the output `{}`", tensor.name));
            }
        }
    }
}
