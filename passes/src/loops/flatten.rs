//! Scratch whose last dimensions become one: positions stay, and words may run across the old dimensions.
//!
//! ```text
//! scratch rows: i16[3, 18, 16]     rows[ky, p + k div 16, k mod 16]
//! =>
//! scratch rows: i16[3, 288]        rows[ky, 16*p + k]
//! ```
//!
//! For the steps that read what they staged as one stream; it is no step itself.

use ir::loops::{Access, Buffer, BufferId, Expr, Index, Nest, Stmt, StorageMap, VarId};

use super::edit::{blocks_mut, visit_loads_of};

/// Joins the dimensions from `first` on; the scratch is row-major and dense, and nothing looks values up in it.
pub fn flatten(nest: &mut Nest, buffer: BufferId, first: usize) {
    let data = &mut nest.buffers[buffer.idx()];
    debug_assert!(data.map.is_row_major(&data.shape), "panels are made row-major");
    let extents = data.shape.split_off(first);
    data.shape.push(extents.iter().product());
    let StorageMap { align, .. } = data.map;
    data.map = StorageMap { align, ..StorageMap::row_major(data.elem, &data.shape) };
    let mut body = std::mem::take(&mut nest.body);
    let join = |access: &mut Access| {
        if access.buffer == buffer {
            let rest = access.index.split_off(first);
            access.index.push(position(&rest, &extents));
        }
    };
    visit_accesses(&mut body, &join);
    nest.body = body;
}

/// Makes rows of scratch begin at a multiple of `lanes` elements.
pub fn align_rows(data: &mut Buffer, lanes: u32) {
    if data.shape.len() > 1
        && let Some((_, extent)) = data.map.dims.last_mut()
    {
        *extent = extent.next_multiple_of(lanes);
    }
}

/// The row-major position of an index.
fn position(index: &[Index], extents: &[u32]) -> Index {
    let add = |sum: Index, (at, extent): (&Index, &u32)| sum.scale((*extent).into()).add(at);
    index.iter().zip(extents).fold(Index::constant(0), add)
}

fn visit_accesses(block: &mut [Stmt], f: &dyn Fn(&mut Access)) {
    for stmt in block {
        if let Stmt::Store(access, _) = stmt {
            f(access);
        }
        if let Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) = stmt {
            visit_loads_of(value, &mut |access| f(access));
        }
        blocks_mut(stmt).into_iter().for_each(|inner| visit_accesses(inner, f));
    }
}

/// The coefficient of a variable where an index is a sum of variables; 0 where it does not occur.
pub fn coefficient(index: &Index, var: VarId) -> Option<i64> {
    let alone = Index::var(var);
    let own = index.terms.iter().find(|(_, atom)| alone.terms[0].1 == *atom);
    let mut used = Vec::new();
    let rest =
        Index { terms: index.terms.iter().filter(|term| Some(*term) != own).cloned().collect(), constant: 0 };
    rest.vars(&mut used);
    (!used.contains(&var)).then_some(own.map_or(0, |(c, _)| *c))
}

/// The loops of each reduction of a body whose steps read the buffer; `None` where anything else reads it.
pub fn reading_reductions(block: &[Stmt], buffer: BufferId) -> Option<Vec<Vec<ir::loops::Loop>>> {
    let (mut inside, mut all) = (0, 0);
    let mut found = Vec::new();
    ir::loops::walk::walk(block, ir::loops::StmtNo(0), &mut |_, stmt| {
        all += own_reads(stmt, buffer);
        if let Stmt::Reduce(reduce) = stmt {
            let mut here = 0;
            ir::loops::walk::walk(&reduce.update, ir::loops::StmtNo(0), &mut |_, stmt| {
                here += own_reads(stmt, buffer);
            });
            if here > 0 && !reduce.loops.is_empty() {
                inside += here;
                found.push(reduce.loops.clone());
            }
        }
    });
    (inside == all && all > 0).then_some(found)
}

/// How often a statement itself reads the buffer.
fn own_reads(stmt: &Stmt, buffer: BufferId) -> usize {
    let mut count = 0;
    if let Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) = stmt {
        let mut value: Expr = value.clone();
        visit_loads_of(&mut value, &mut |access| count += usize::from(access.buffer == buffer));
    }
    count
}
