//! `join`: makes one layer of layers that follow each other; the tensors that only they use become its scratch.
//!
//! ```text
//! loops @a(x: i8[4, 2], y: i8[4, 2]) { … y[p, n] = … x[p, k] … }
//! loops @b(x: i8[8], y: i8[8]) { … y[i] = … x[i] … }
//! =>
//! loops @band_a_b(a.x: i8[4, 2], b.y: i8[8]) {
//!   scratch a.y: i8[4, 2]
//!   … a.y[a.p, a.n] = … a.x[a.p, a.k] …
//!   … b.y[b.i] = … a.y[b.i div 2, b.i mod 2] …
//! }
//! ```
//!
//! The names of the first layer's loops, values and buffers begin with `a.` from then on, those of the second with `b.`, and so on. What
//! several of the layers use has one shape afterwards, that of the tensor. What one of them writes and another one reads beyond its edges
//! has its border around it, also where others still need the tensor. The layer is called `band_` and the names of its parts;
//! multiply-accumulates and the operators that it stems from are those of all.
//!
//! Always legal for up to 26 layers, unless one of them has accesses to words of a tensor that others see with another shape, or a tensor
//! that needs a border cannot have one: an output, or one whose readers disagree on what is around it.

use std::ops::Range;

use ir::diag::Diagnostic;
use ir::loops::{
    Access, Buffer, BufferId, Expr, Init, Layer, Lifetime, LocalId, Loop, Nest, Program, Reduce, Role, Stmt,
    VarId,
};

use super::border::{border, is_read_beyond};
use super::view::{agree, users};
use super::{ProgramStep, Run};
use crate::loops::edit::visit_indices;

/// Layers are told apart by a letter.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";

/// The step.
pub const STEP: ProgramStep = ProgramStep {
    name: "join",
    usage: "join",
    summary: "Make one layer of layers that follow each other",
    run: Run::Band(|program, layers, args| {
        args.at_most(0)?;
        join(program, layers).map(|_| ())
    }),
};

/// Makes one layer of these; gives the scratch that was a tensor before.
pub fn join(program: &mut Program, layers: Range<usize>) -> Result<Vec<BufferId>, Diagnostic> {
    if layers.len() > LETTERS.len() {
        return Err(Diagnostic::new(format!(
            "the band has {} layers, at most {} are supported",
            layers.len(),
            LETTERS.len()
        )));
    }
    for tensor in 0..program.tensors.len() {
        let users = users(program, tensor);
        let inside: Vec<_> = users.iter().filter(|user| layers.contains(&user.layer)).collect();
        // A layer cannot copy what it reads beyond the edges of, as the others do, where it writes that itself.
        if inside.iter().any(|user| user.writes) && is_read_beyond(program, tensor, &layers) {
            border(program, tensor).map_err(|error| {
                let name = &program.tensors[tensor].name;
                let message =
                    format!("the band writes `{name}` and reads beyond its edges: {}", error.message);
                Diagnostic { message, ..error }
            })?;
        }
        if inside.len() > 1 {
            agree(program, tensor)?;
        }
    }
    let inner: Vec<usize> =
        (0..program.tensors.len()).filter(|tensor| is_inner(program, *tensor, &layers)).collect();
    let joined = Joined::of(program, &layers, &inner);
    let scratch = inner.iter().filter_map(|tensor| joined.by_tensor[*tensor]).collect();
    let parts: Vec<Layer> = program.layers.splice(layers.clone(), []).collect();
    let op = |part: &Layer| part.op.clone();
    let layer = Layer {
        nest: joined.nest,
        args: joined.args,
        op: parts.iter().map(op).collect::<Vec<_>>().join("+"),
        macs: parts.iter().map(|part| part.macs).sum(),
        sources: parts.iter().flat_map(|part| part.sources.iter().copied()).collect(),
        shares: None, // Layers share what is left when bands are made.
    };
    program.layers.insert(layers.start, layer);
    remove_tensors(program, &inner);
    Ok(scratch)
}

/// Whether nothing but these layers uses the tensor.
fn is_inner(program: &Program, tensor: usize, layers: &Range<usize>) -> bool {
    let users = users(program, tensor);
    program.tensors[tensor].lifetime == Lifetime::Temporary
        && !users.is_empty()
        && users.iter().all(|user| layers.contains(&user.layer))
}

fn remove_tensors(program: &mut Program, gone: &[usize]) {
    for tensor in gone.iter().rev() {
        program.tensors.remove(*tensor);
    }
    for arg in program.layers.iter_mut().flat_map(|layer| &mut layer.args) {
        *arg -= gone.iter().filter(|tensor| **tensor < *arg).count();
    }
}

/// The nest that several become.
struct Joined {
    nest: Nest,
    /// The tensor of each parameter.
    args: Vec<usize>,
    /// By tensor: its buffer.
    by_tensor: Vec<Option<BufferId>>,
}

impl Joined {
    fn of(program: &Program, layers: &Range<usize>, inner: &[usize]) -> Self {
        let parts = &program.layers[layers.clone()];
        let names: Vec<&str> = parts.iter().map(|part| part.nest.name.as_str()).collect();
        let nest = Nest::new(format!("band_{}", names.join("_")));
        let mut joined = Joined { nest, args: Vec::new(), by_tensor: vec![None; program.tensors.len()] };
        // Parameters that are written come last: the result of a layer does.
        for written in [false, true] {
            for (part, letter) in parts.iter().zip(LETTERS.chars()) {
                for (param, tensor) in part.nest.params().zip(&part.args) {
                    let is_written = parts.iter().any(|part| writes(part, *tensor));
                    if !inner.contains(tensor) && is_written == written {
                        joined.tensor(*tensor, &part.nest.buffers[param.idx()], letter, Role::Param);
                    }
                }
            }
        }
        for (part, letter) in parts.iter().zip(LETTERS.chars()) {
            joined.append(part, letter);
        }
        joined
    }

    /// The buffer of a tensor, as strict as every layer asks for.
    fn tensor(&mut self, tensor: usize, seen: &Buffer, letter: char, role: Role) -> BufferId {
        if let Some(known) = self.by_tensor[tensor] {
            let buffer = &mut self.nest.buffers[known.idx()];
            buffer.map.align = buffer.map.align.max(seen.map.align);
            buffer.map.slack = buffer.map.slack.max(seen.map.slack);
            return known;
        }
        if role == Role::Param {
            self.args.push(tensor);
        }
        let name = format!("{letter}.{}", seen.name);
        let id = self.nest.add_buffer(Buffer { name, role, ..seen.clone() });
        self.by_tensor[tensor] = Some(id);
        id
    }

    /// Appends what a layer does.
    fn append(&mut self, part: &Layer, letter: char) {
        let named = |name: &String| format!("{letter}.{name}");
        let mut args = part.args.iter();
        let mut buffers = Vec::new();
        let mut constants = Vec::new();
        for buffer in &part.nest.buffers {
            let id = match &buffer.role {
                Role::Param => {
                    let tensor = *args.next().expect("the verifier counted the arguments");
                    self.tensor(tensor, buffer, letter, Role::Scratch)
                }
                Role::Scratch | Role::Const(_) => {
                    let id = self.nest.add_buffer(Buffer { name: named(&buffer.name), ..buffer.clone() });
                    constants.push(id);
                    id
                }
            };
            buffers.push(id);
        }
        let moved = Moved { buffers, vars: self.nest.vars.len(), locals: self.nest.locals.len() };
        self.nest.vars.extend(part.nest.vars.iter().map(named));
        for local in &part.nest.locals {
            self.nest.add_local(named(&local.name), local.ty, &local.shape);
        }
        for id in constants {
            if let Role::Const(Init::Nest(block)) = &mut self.nest.buffers[id.idx()].role {
                moved.block(block);
            }
        }
        let mut body = part.nest.body.clone();
        moved.block(&mut body);
        self.nest.body.append(&mut body);
    }
}

fn writes(part: &Layer, tensor: usize) -> bool {
    let stored = part.nest.stored();
    part.nest.params().zip(&part.args).any(|(param, arg)| *arg == tensor && stored[param.idx()])
}

/// From the ids of a nest to those in a larger one.
struct Moved {
    buffers: Vec<BufferId>,
    /// Variables and values that were there before.
    vars: usize,
    locals: usize,
}

impl Moved {
    fn block(&self, block: &mut [Stmt]) {
        visit_indices(block, &mut |index| {
            *index = index.substitute(&|var| ir::loops::Index::var(VarId::new(self.vars + var.idx())));
        });
        self.statements(block);
    }

    fn statements(&self, block: &mut [Stmt]) {
        for stmt in block {
            match stmt {
                Stmt::For(l, body) => {
                    self.variable(l);
                    self.statements(body);
                }
                Stmt::Reduce(Reduce { carried, loops, init, update, finish }) => {
                    carried.iter_mut().for_each(|local| self.local(local));
                    loops.iter_mut().for_each(|l| self.variable(l));
                    [init, update, finish].into_iter().for_each(|block| self.statements(block));
                }
                Stmt::Let(local, value) | Stmt::Set(local, _, value) => {
                    self.local(local);
                    self.expr(value);
                }
                Stmt::Store(access, value) => {
                    self.access(access);
                    self.expr(value);
                }
            }
        }
    }

    fn expr(&self, expr: &mut Expr) {
        match expr {
            Expr::Local(local, _) => self.local(local),
            Expr::Load(access) => self.access(access),
            Expr::Lookup(buffer, at) => {
                *buffer = self.buffers[buffer.idx()];
                self.expr(at);
            }
            Expr::Op { args, .. } => args.iter_mut().for_each(|arg| self.expr(arg)),
            Expr::Int(..) | Expr::Index(_) => {}
        }
    }

    fn access(&self, access: &mut Access) {
        access.buffer = self.buffers[access.buffer.idx()];
    }

    fn local(&self, local: &mut LocalId) {
        *local = LocalId::new(self.locals + local.idx());
    }

    fn variable(&self, l: &mut Loop) {
        l.var = VarId::new(self.vars + l.var.idx());
    }
}
