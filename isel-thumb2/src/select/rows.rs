//! Constants of which each iteration of one loop reads a row.

use std::collections::BTreeMap;

use ir::loops::walk::walk;
use ir::loops::{BufferId, Index, Loop, Nest, Stmt, StmtNo, VarId};

use super::members::each_access;

/// Bytes of a word: rows are whole ones.
pub(super) const WORD: u32 = 4;

/// Groups of such constants, two or more each. `atoms` gives the number of loops that a constant is walked through by, where it may be moved:
/// those that are walked through by loops inside too come last, so that the distances of the others do not depend on them.
pub(super) fn groups(nest: &Nest, atoms: &dyn Fn(BufferId) -> Option<usize>) -> Vec<Vec<BufferId>> {
    let mut by_loop: BTreeMap<VarId, Vec<BufferId>> = BTreeMap::new();
    let loops = loops(nest);
    for (buffer, var) in chosen(nest) {
        let fits = |(count, bytes): (u32, u32)| bytes.is_multiple_of(WORD) && loops.get(&var) == Some(&count);
        if atoms(buffer).is_some() && of(nest, buffer).is_some_and(fits) {
            by_loop.entry(var).or_default().push(buffer);
        }
    }
    let mut groups: Vec<Vec<BufferId>> = by_loop.into_values().filter(|group| group.len() > 1).collect();
    groups.iter_mut().for_each(|group| group.sort_by_key(|buffer| (atoms(*buffer), *buffer)));
    groups
}

/// The number of rows of a constant, and bytes of one, where they lie one behind the other.
pub(super) fn of(nest: &Nest, buffer: BufferId) -> Option<(u32, u32)> {
    let data = &nest.buffers[buffer.idx()];
    let (outermost, rest) = data.map.dims.split_first()?;
    let count = *data.shape.first()?;
    let first = Index::var(VarId::new(0));
    let in_rest = |(index, _): &(Index, u32)| {
        let mut vars = Vec::new();
        index.vars(&mut vars);
        vars.contains(&VarId::new(0))
    };
    (*outermost == (first, count) && !rest.iter().any(in_rest) && data.map.slack == 0)
        .then(|| (count, (data.bytes() / count.max(1) as usize) as u32))
}

/// The loops that stay loops in the code, with their iterations.
fn loops(nest: &Nest) -> BTreeMap<VarId, u32> {
    let mut loops = BTreeMap::new();
    let mut note = |l: &Loop| {
        if !l.unroll {
            loops.insert(l.var, l.extent);
        }
    };
    walk(&nest.body, StmtNo(0), &mut |_, stmt| match stmt {
        Stmt::For(l, _) => note(l),
        Stmt::Reduce(reduce) => reduce.loops.iter().for_each(&mut note),
        Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => {}
    });
    loops
}

/// Constants with the loop that chooses the row in every access.
fn chosen(nest: &Nest) -> BTreeMap<BufferId, VarId> {
    let mut chosen: BTreeMap<BufferId, Option<VarId>> = BTreeMap::new();
    each_access(&nest.body, &mut |access| {
        if nest.buffers[access.buffer.idx()].is_const() {
            let mut vars = Vec::new();
            access.index.first().into_iter().for_each(|index| index.vars(&mut vars));
            let one = vars.first().copied().filter(|var| access.index[0] == Index::var(*var));
            let have = chosen.entry(access.buffer).or_insert(one);
            *have = have.filter(|have| Some(*have) == one);
        }
    });
    chosen.into_iter().filter_map(|(buffer, var)| Some((buffer, var?))).collect()
}
