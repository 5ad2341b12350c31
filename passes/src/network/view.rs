//! How a tensor lies in memory, and how the layers that write or read it see it.
//!
//! ```text
//! tensor t: i8[1, 25, 5, 64]
//! loops @a(…, y: i8[125, 64]) { … y[p, n] = … }
//! loops @b(x: i8[1, 25, 5, 64], …) { … x[0, row + ky - 1, column + kx - 1, c] else -128 … }
//! => one element around rows and columns, channels before rows
//! tensor t: i8[1, 25, 5, 64] map (d0: 1, d3: 64, d1 + 1: 27, d2 + 1: 7)
//! loops @a(…, y: i8[1, 27, 7, 64] map (d0: 1, d3: 64, d1: 27, d2: 7)) {
//!   … y[0, 0, …] = -128 …                                                    // What is around, once.
//!   … y[0, p div 5 + 1, p mod 5 + 1, n] = …
//! }
//! loops @b(x: i8[1, 27, 7, 64] map (d0: 1, d3: 64, d1: 27, d2: 7), …) { … x[0, row + ky, column + kx, c] … }
//! ```
//!
//! A layer sees the tensor with what is around it. What is around is written once in an inference, by the layer that writes the tensor,
//! before everything else; the arena's packer counts these bytes to the tensor, so nothing else lies on them while it lives.

use ir::diag::Diagnostic;
use ir::loops::{
    Access, Atom, BufferId, Expr, Index, Lifetime, Loop, Nest, Program, Stmt, StorageMap, TensorSlot, VarId,
};
use ir::ty::Ty;

use crate::loops::edit::{Extents, fresh_var, visit_loads_of, visit_lookups_of};
use crate::loops::simplify::simplify;

/// Words that several elements are moved by begin at multiples of this many bytes.
pub const WORD_BYTES: u32 = 4;

/// The elements of a tensor with others around them, in some order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// By dimension, elements in front of those of the tensor.
    pub before: Vec<u32>,
    /// By dimension, elements of the tensor and around it.
    pub extents: Vec<u32>,
    /// The dimensions in the order of memory, the outermost first.
    pub order: Vec<usize>,
}

/// A parameter that is called with a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The layer.
    pub layer: usize,
    /// The parameter of its nest.
    pub param: BufferId,
    /// Whether it writes the tensor.
    pub writes: bool,
}

impl Frame {
    /// How a tensor lies; `None` for a map that is no order of dimensions.
    pub fn of(slot: &TensorSlot) -> Option<Frame> {
        let rank = slot.ty.shape.len();
        let mut frame = Frame { before: vec![0; rank], extents: vec![0; rank], order: Vec::new() };
        for (index, extent) in &slot.map.dims {
            let [(1, Atom::Var(dim))] = index.terms[..] else { return None };
            frame.before[dim.idx()] = u32::try_from(index.constant).ok()?;
            frame.extents[dim.idx()] = *extent;
            frame.order.push(dim.idx());
        }
        let mut once = frame.order.clone();
        once.sort_unstable();
        (once.into_iter().eq(0..rank)).then_some(frame)
    }

    /// Whether nothing is around the elements of the tensor.
    pub fn is_bare(&self, slot: &TensorSlot) -> bool {
        self.extents.iter().zip(&slot.ty.shape).all(|(extent, own)| *extent as usize == *own)
    }

    /// From the tensor's own indices to its place.
    fn map(&self) -> Vec<(Index, u32)> {
        let dim =
            |dim: &usize| (Index::var(VarId::new(*dim)).offset(self.before[*dim].into()), self.extents[*dim]);
        self.order.iter().map(dim).collect()
    }

    /// From indices that count what is around to the place.
    fn view(&self) -> Vec<(Index, u32)> {
        self.order.iter().map(|dim| (Index::var(VarId::new(*dim)), self.extents[*dim])).collect()
    }
}

/// Refuses tensors that are seen from outside of the network, and gives how the others lie.
pub fn inner_frame(program: &Program, tensor: usize) -> Result<Frame, Diagnostic> {
    let slot = &program.tensors[tensor];
    let seen = match slot.lifetime {
        Lifetime::Input(_) => "an input",
        Lifetime::Output(_) => "an output",
        Lifetime::Persistent => "a state",
        Lifetime::Temporary => {
            return Frame::of(slot).ok_or_else(|| Diagnostic::new("its map is no order of its dimensions"));
        }
    };
    Err(Diagnostic::new(format!("it is {seen} of the network, which stays as the caller expects it"))
        .help("legal for tensors between layers"))
}

/// The parameters that are called with a tensor.
pub fn users(program: &Program, tensor: usize) -> Vec<User> {
    let mut users = Vec::new();
    for (layer, data) in program.layers.iter().enumerate() {
        let stored = data.nest.stored();
        for (param, arg) in data.nest.params().zip(&data.args) {
            if *arg == tensor {
                users.push(User { layer, param, writes: stored[param.idx()] });
            }
        }
    }
    users
}

/// Lays a tensor out as `frame` says; what comes to be around it gets the value `around`.
pub fn reframe(program: &mut Program, tensor: usize, frame: &Frame, around: i32) -> Result<(), Diagnostic> {
    let slot = &program.tensors[tensor];
    let old = Frame::of(slot).ok_or_else(|| Diagnostic::new("its map is no order of its dimensions"))?;
    let users = users(program, tensor);
    let writers: Vec<User> = users.iter().copied().filter(|user| user.writes).collect();
    let [writer] = writers[..] else {
        let found = writers.len();
        return Err(
            Diagnostic::new(format!("{found} layers write it")).help("legal where one layer writes it")
        );
    };
    let align = slot.map.align.max(WORD_BYTES);
    let own = own(slot);
    for user in &users {
        let nest = &mut program.layers[user.layer].nest;
        View { param: user.param, own: &own, old: &old, new: frame, around }.rewrite(nest)?;
        let map = &mut nest.buffers[user.param.idx()].map;
        map.align = map.align.max(align);
    }
    let nest = &mut program.layers[writer.layer].nest;
    let mut body = Fill { nest, to: writer.param, old: &old, new: frame, around }.statements();
    body.append(&mut nest.body);
    nest.body = body;
    let map = &mut program.tensors[tensor].map;
    *map = StorageMap { dims: frame.map(), align, slack: map.slack };
    Ok(())
}

/// Lets all layers see the tensor with one shape, its own with what is around it.
pub fn agree(program: &mut Program, tensor: usize) -> Result<(), Diagnostic> {
    let slot = &program.tensors[tensor];
    let frame = Frame::of(slot).ok_or_else(|| Diagnostic::new("its map is no order of its dimensions"))?;
    let own = own(slot);
    for user in users(program, tensor) {
        let nest = &mut program.layers[user.layer].nest;
        if nest.buffers[user.param.idx()].shape != frame.extents {
            View { param: user.param, own: &own, old: &frame, new: &frame, around: 0 }.rewrite(nest)?;
        }
    }
    Ok(())
}

/// The extents of a tensor itself.
fn own(slot: &TensorSlot) -> Vec<u32> {
    slot.ty.shape.iter().map(|extent| *extent as u32).collect()
}

/// A parameter whose shape and accesses follow the tensor.
struct View<'a> {
    param: BufferId,
    /// Extents of the tensor.
    own: &'a [u32],
    old: &'a Frame,
    new: &'a Frame,
    around: i32,
}

impl View<'_> {
    fn rewrite(&self, nest: &mut Nest) -> Result<(), Diagnostic> {
        let result = self.rewritten(nest);
        result.map_err(|error| Diagnostic { message: format!("`{}`: {}", nest.name, error.message), ..error })
    }

    fn rewritten(&self, nest: &mut Nest) -> Result<(), Diagnostic> {
        let buffer = &nest.buffers[self.param.idx()];
        let (elem, shape) = (buffer.elem, buffer.shape.clone());
        if looks_up(&nest.body, self.param) {
            return Err(Diagnostic::new("it is read at positions that depend on data"));
        }
        let mut error = None;
        visit_accesses(&mut nest.body, &mut Extents::new(), &mut |access, around| {
            if access.buffer != self.param {
                return;
            }
            match self.moved(access, &shape, elem, around) {
                Ok(moved) => *access = moved,
                Err(reason) => error = Some(reason),
            }
        });
        if let Some(error) = error {
            return Err(error);
        }
        let buffer = &mut nest.buffers[self.param.idx()];
        buffer.shape.clone_from(&self.new.extents);
        buffer.map.dims = self.new.view();
        simplify(nest);
        Ok(())
    }

    /// The access where the elements lie now; a load that no longer leaves them has no border.
    fn moved(
        &self,
        access: &Access,
        shape: &[u32],
        elem: Ty,
        around: &Extents,
    ) -> Result<Access, Diagnostic> {
        if access.ty != elem {
            let message = format!("an access moves a `{}` at once, not one `{elem}`", access.ty);
            return Err(
                Diagnostic::new(message).help("tensors are laid out before their layers are rewritten")
            );
        }
        let index = if shape == self.old.extents {
            access.index.clone()
        } else if access.border.is_none() && self.old.extents == self.own {
            split(&access.index, shape, self.own)
        } else {
            let message = "it is read beyond its edges, with another shape";
            return Err(
                Diagnostic::new(message).help("let the layer copy what it reads: `border` for the layer")
            );
        };
        let by = |dim: usize| i64::from(self.new.before[dim]) - i64::from(self.old.before[dim]);
        let index: Vec<Index> = index.iter().enumerate().map(|(dim, index)| index.offset(by(dim))).collect();
        let is_inside = |(index, extent): (&Index, &u32)| {
            let (low, high) = index.range(&|var| (0, i64::from(around[&var]) - 1));
            0 <= low && high < i64::from(*extent)
        };
        let is_bare = self.new.extents == self.own;
        let border = match access.border {
            None => None,
            Some(value) if index.iter().zip(&self.new.extents).all(is_inside) => {
                if !is_bare && value != i64::from(self.around) {
                    let message = format!("beyond its edges it reads {value}, not {}", self.around);
                    return Err(Diagnostic::new(message)
                        .help("let the layer copy what it reads: `border` for the layer"));
                }
                None
            }
            border if is_bare => border,
            Some(_) => {
                return Err(Diagnostic::new("it is read beyond its edges, further than what is around it")
                    .help("give it a border first: `border`"));
            }
        };
        Ok(Access { index, border, ..access.clone() })
    }
}

/// The indices along the tensor's dimensions of what has those along `shape`: both hold the same elements in row-major order.
fn split(index: &[Index], shape: &[u32], own: &[u32]) -> Vec<Index> {
    let flat = index
        .iter()
        .zip(shape)
        .fold(Index::constant(0), |flat, (index, extent)| flat.scale(i64::from(*extent)).add(index));
    let mut behind = 1;
    let mut split = Vec::new();
    for (dim, extent) in own.iter().enumerate().rev() {
        let at = flat.div(behind);
        split.push(if dim == 0 { at } else { at.modulo(*extent) });
        behind *= extent;
    }
    split.reverse();
    split
}

/// Writes what has come to be around a tensor.
struct Fill<'a> {
    nest: &'a mut Nest,
    to: BufferId,
    old: &'a Frame,
    new: &'a Frame,
    around: i32,
}

impl Fill<'_> {
    /// Everything that is around the elements that have been there, in the order of memory.
    fn statements(&mut self) -> Vec<Stmt> {
        self.dims(0, &vec![Index::constant(0); self.new.order.len()], false)
    }

    /// The dimensions from `order[depth]` on; some dimension before is around them if `around`.
    fn dims(&mut self, depth: usize, at: &[Index], around: bool) -> Vec<Stmt> {
        let Some(&dim) = self.new.order.get(depth) else {
            return if around { vec![self.element(at)] } else { Vec::new() };
        };
        let (first, extent) = (self.new.before[dim] - self.old.before[dim], self.new.extents[dim]);
        let end = first + self.old.extents[dim];
        let parts = match around {
            true => vec![(0, extent, true)],
            false => vec![(0, first, true), (first, end, false), (end, extent, true)],
        };
        parts
            .into_iter()
            .flat_map(|(from, to, around)| {
                self.over(dim, from, to, at, |fill, at| fill.dims(depth + 1, at, around))
            })
            .collect()
    }

    fn element(&self, at: &[Index]) -> Stmt {
        let elem = self.nest.buffers[self.to.idx()].elem;
        let access = Access { buffer: self.to, index: at.to_vec(), ty: elem, border: None };
        Stmt::Store(access, Expr::Int(self.around.into(), Ty::I32))
    }

    /// A loop over a part of a dimension, none where it has nothing to do. Parts of one element have loops too, so that layers whose
    /// surroundings are of other widths differ in numbers only; dimensions of one element have none.
    fn over(
        &mut self,
        dim: usize,
        from: u32,
        to: u32,
        at: &[Index],
        body: impl FnOnce(&mut Self, &[Index]) -> Vec<Stmt>,
    ) -> Vec<Stmt> {
        let mut at = at.to_vec();
        match to.saturating_sub(from) {
            0 => Vec::new(),
            1 if self.new.extents[dim] == 1 => {
                at[dim] = Index::constant(from.into());
                body(self, &at)
            }
            extent => {
                let n_vars = self.nest.vars.len();
                let name = format!("{}_{dim}", self.nest.buffers[self.to.idx()].name);
                let var = fresh_var(self.nest, &name);
                at[dim] = Index::var(var).offset(from.into());
                let body = body(self, &at);
                if body.is_empty() {
                    self.nest.vars.truncate(n_vars);
                    return body;
                }
                vec![Stmt::For(Loop { var, extent, unroll: false }, body)]
            }
        }
    }
}

/// Whether a block reads the buffer at positions that depend on data.
pub fn looks_up(block: &[Stmt], buffer: BufferId) -> bool {
    let mut found = false;
    ir::loops::walk::walk(block, ir::loops::StmtNo(0), &mut |_, stmt| {
        if let Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) = stmt {
            visit_lookups_of(value, &mut |looked_up| found |= looked_up == buffer);
        }
    });
    found
}

/// Calls `visit` for every load and store in a block, with the extents of the loops around it.
pub fn visit_accesses(
    block: &mut [Stmt],
    around: &mut Extents,
    visit: &mut dyn FnMut(&mut Access, &Extents),
) {
    for stmt in block {
        match stmt {
            Stmt::For(l, body) => inside(std::slice::from_ref(l), body, around, visit),
            Stmt::Reduce(reduce) => {
                visit_accesses(&mut reduce.init, around, visit);
                inside(&reduce.loops, &mut reduce.update, around, visit);
                visit_accesses(&mut reduce.finish, around, visit);
            }
            Stmt::Let(_, value) | Stmt::Set(_, _, value) => {
                visit_loads_of(value, &mut |access| visit(access, around));
            }
            Stmt::Store(to, value) => {
                visit_loads_of(value, &mut |access| visit(access, around));
                visit(to, around);
            }
        }
    }
}

fn inside(
    loops: &[Loop],
    body: &mut [Stmt],
    around: &mut Extents,
    visit: &mut dyn FnMut(&mut Access, &Extents),
) {
    around.extend(loops.iter().map(|l| (l.var, l.extent)));
    visit_accesses(body, around, visit);
    loops.iter().for_each(|l| {
        around.remove(&l.var);
    });
}
