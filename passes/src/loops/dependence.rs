//! Which statements of a loop may change places with those of other iterations.
//!
//! ```text
//! for i in 0..8 { A(i); B(i) }        B(0) comes before A(1)
//! for i in 0..8 { A(i) }              B(0) comes behind A(1), A(2), …
//! for i in 0..8 { B(i) }
//! ```
//!
//! Both directions ask the same: does an iteration of `B` touch what a later iteration of `A` touches, where one of the two writes
//! it? The answer is no where an index, or the position in memory, differs for every such pair of iterations. It may be
//! yes for want of a proof. Buffers are taken to lie apart.

use ir::loops::{Access, BufferId, Expr, Index, LocalId, Nest, Stmt, StorageMap, VarId};

use super::edit::{Extents, visit_loads_of, visit_local_uses_of, visit_lookups_of};

/// The statements that a loop repeats, or a part of them.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// The variable of the loop.
    pub axis: VarId,
    /// What it repeats.
    pub body: &'a [Stmt],
}

/// A buffer or a value that is carried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Buffer(BufferId),
    Local(LocalId),
}

/// A place that a statement reads or writes.
struct Touch {
    place: Place,
    /// What differs where two elements differ; empty where nothing is known.
    coordinates: Vec<Index>,
    /// Elements in a row, from the coordinates on.
    count: i64,
    writes: bool,
}

/// Why an iteration of `second` must stay behind, or before, a later iteration of `first`; `None` where it need not. Both are loops of
/// this many iterations in the body of the nest.
pub fn conflict(nest: &Nest, first: Part, second: Part, extent: u32) -> Option<String> {
    let mut extents = Extents::new();
    collect_extents(&nest.body, &mut extents);
    let later = VarId::new(nest.vars.len()); // How many iterations `first` is ahead.
    let range = |var: VarId| match var == later {
        true => (1, i64::from(extent) - 1),
        false => (0, i64::from(extents[&var]) - 1),
    };
    if extent < 2 {
        return None;
    }
    let ahead = Index::var(first.axis).add(&Index::var(later));
    let before = touches(nest, first.body, first.axis, &ahead);
    let behind = touches(nest, second.body, second.axis, &Index::var(first.axis));
    for a in &before {
        for b in behind.iter().filter(|b| b.place == a.place && (a.writes || b.writes)) {
            if !apart(a, b, &range) {
                let does = |touch: &Touch| if touch.writes { "writes" } else { "reads" };
                let name = |var: VarId| &nest.vars[var.idx()];
                let place = match a.place {
                    Place::Buffer(buffer) => &nest.buffers[buffer.idx()].name,
                    Place::Local(local) => &nest.locals[local.idx()].name,
                };
                let (second, first) = (name(second.axis), name(first.axis));
                let (now, then) = (does(b), does(a));
                return Some(format!(
                    "an iteration of `{second}` {now} what a later one of `{first}` {then} of `{place}`"
                ));
            }
        }
    }
    None
}

/// The name of a buffer or a value that a block both reads and writes, but for what sums within it carry.
pub fn read_and_written<'n>(nest: &'n Nest, block: &[Stmt]) -> Option<&'n str> {
    let (mut touches, mut carried) = (Vec::new(), Vec::new());
    collect(nest, block, &mut touches);
    collect_carried(block, &mut carried);
    let is_carried = |place: Place| matches!(place, Place::Local(local) if carried.contains(&local));
    let is_read = |place: Place| touches.iter().any(|touch| touch.place == place && !touch.writes);
    let both = |touch: &&Touch| touch.writes && is_read(touch.place) && !is_carried(touch.place);
    touches.iter().find(both).map(|touch| match touch.place {
        Place::Buffer(buffer) => nest.buffers[buffer.idx()].name.as_str(),
        Place::Local(local) => nest.locals[local.idx()].name.as_str(),
    })
}

fn collect_carried(block: &[Stmt], out: &mut Vec<LocalId>) {
    for stmt in block {
        if let Stmt::Reduce(reduce) = stmt {
            out.extend(&reduce.carried);
        }
        ir::loops::walk::blocks(stmt).into_iter().for_each(|inner| collect_carried(inner, out));
    }
}

/// Whether two touches differ in some coordinate, whatever the iterations.
fn apart(a: &Touch, b: &Touch, range: &dyn Fn(VarId) -> (i64, i64)) -> bool {
    a.coordinates.iter().zip(&b.coordinates).any(|(a_at, b_at)| {
        let (low, high) = a_at.add(&b_at.scale(-1)).range(range);
        low >= b.count || high <= -a.count
    })
}

fn touches(nest: &Nest, block: &[Stmt], axis: VarId, value: &Index) -> Vec<Touch> {
    let mut found = Vec::new();
    collect(nest, block, &mut found);
    let of = |var: VarId| if var == axis { value.clone() } else { Index::var(var) };
    for index in found.iter_mut().flat_map(|touch| &mut touch.coordinates) {
        *index = index.substitute(&of);
    }
    found
}

fn collect(nest: &Nest, block: &[Stmt], out: &mut Vec<Touch>) {
    for stmt in block {
        match stmt {
            Stmt::For(..) | Stmt::Reduce(_) => {}
            Stmt::Let(_, value) => collect_reads(nest, value, out),
            Stmt::Set(local, at, value) => {
                out.push(of_local(*local, at, true));
                collect_reads(nest, value, out);
            }
            Stmt::Store(access, value) => {
                out.push(of_access(nest, access, true));
                collect_reads(nest, value, out);
            }
        }
        ir::loops::walk::blocks(stmt).into_iter().for_each(|inner| collect(nest, inner, out));
    }
}

fn collect_reads(nest: &Nest, value: &Expr, out: &mut Vec<Touch>) {
    let mut value = value.clone();
    visit_loads_of(&mut value, &mut |access| out.push(of_access(nest, access, false)));
    visit_local_uses_of(&mut value, &mut |local, at| out.push(of_local(local, at, false)));
    visit_lookups_of(&value, &mut |buffer| {
        let place = Place::Buffer(buffer);
        out.push(Touch { place, coordinates: Vec::new(), count: 1, writes: false });
    });
}

fn of_access(nest: &Nest, access: &Access, writes: bool) -> Touch {
    let buffer = &nest.buffers[access.buffer.idx()];
    let count = (access.ty.bytes() / buffer.elem.bytes().max(1)) as i64;
    let coordinates = coordinates(&buffer.map, &access.index);
    Touch { place: Place::Buffer(access.buffer), coordinates, count, writes }
}

/// The position in memory, and each digit of it.
fn coordinates(map: &StorageMap, index: &[Index]) -> Vec<Index> {
    let digit = |dim: &Index| dim.substitute(&|logical| index[logical.idx()].clone());
    let digits = map.dims.iter().map(|(dim, _)| digit(dim));
    digits.chain([map.position(index)]).collect()
}

fn of_local(local: LocalId, at: &[Index], writes: bool) -> Touch {
    Touch { place: Place::Local(local), coordinates: at.to_vec(), count: 1, writes }
}

fn collect_extents(block: &[Stmt], out: &mut Extents) {
    for stmt in block {
        match stmt {
            Stmt::For(l, _) => drop(out.insert(l.var, l.extent)),
            Stmt::Reduce(reduce) => out.extend(reduce.loops.iter().map(|l| (l.var, l.extent))),
            Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => {}
        }
        ir::loops::walk::blocks(stmt).into_iter().for_each(|inner| collect_extents(inner, out));
    }
}
