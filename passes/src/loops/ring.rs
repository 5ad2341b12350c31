//! `ring BUFFER COUNT [along DIM]`: keeps a few rows of scratch at a time, each in the place of one that nobody needs any more.
//!
//! ```text
//! scratch t: i16[12, 8]
//! for r in 0..10 { … t[r + 2, c] = … ; … t[r, c] … t[r + 1, c] … t[r + 2, c] … }
//! => ring t 3
//! scratch t: i16[12, 8] map (d0 mod 3: 3, d1: 8)
//! ```
//!
//! The dimension is the outermost one that is longer than 1, or the one of the given number. Indices stay; where an element lies follows
//! from the map. `fuse` comes first: it brings what writes a row close to what reads it.
//!
//! Legal for scratch whose rows are all read before another row takes their place. That is found out by going through the iterations of all
//! loops that choose a row: a row is in its place from the first store to it up to the first store to another row there, and must not come
//! back.

use std::collections::BTreeMap;

use ir::diag::Diagnostic;
use ir::loops::verify::verify;
use ir::loops::{Access, BufferId, Expr, Index, Loop, Nest, Role, Stmt, VarId};

use super::edit::{visit_loads_of, visit_lookups_of};
use super::step::{Arg, StepDef};

/// Most iterations that are gone through.
const MOST_WORK: usize = 1 << 22;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "ring",
    usage: "ring BUFFER COUNT [along DIM]",
    summary: "Keep a few rows of scratch at a time",
    run: |nest, args| {
        let (buffer, count) = (args.buffer(nest, 0)?, args.int(1)?);
        let dim = match args.get(2) {
            None => None,
            Some(Arg::Word(word)) if word == "along" => Some(args.int(3)? as usize),
            Some(other) => return Err(args.misuse(format!("`{other}` there"))),
        };
        args.at_most(4)?;
        ring(nest, buffer, count, dim)
    },
};

/// Lets rows of scratch, along `dim` or its outermost dimension, take the places of those `count` before them.
pub fn ring(nest: &mut Nest, buffer: BufferId, count: u32, dim: Option<usize>) -> Result<(), Diagnostic> {
    let data = &nest.buffers[buffer.idx()];
    let name = data.name.clone();
    let cannot = |reason: String| Diagnostic::new(format!("cannot make a ring of `{name}`: {reason}"));
    if data.role != Role::Scratch {
        return Err(cannot("it is no scratch".into()).help("legal for what lives within the layer"));
    }
    let outermost = data.shape.iter().position(|extent| *extent > 1).unwrap_or(0);
    let dim = dim.unwrap_or(outermost);
    let Some(extent) = data.shape.get(dim).copied() else {
        return Err(cannot(format!("it has {} dimensions", data.shape.len())));
    };
    let row = Index::var(VarId::new(dim));
    let Some(place) = data.map.dims.iter().position(|(index, _)| *index == row) else {
        return Err(cannot("its map does more with that dimension than to order it".into())
            .help("legal once for each dimension"));
    };
    if count == 0 || count >= extent {
        return Err(
            cannot(format!("{count} of {extent} rows are kept")).help(format!("legal: 1 to {}", extent - 1))
        );
    }
    let mut watch = Watch { nest, buffer, dim, count, present: BTreeMap::new(), work: 0 };
    let relevant = watch.choosing();
    watch.block(&nest.body, &relevant, &mut BTreeMap::new()).map_err(|reason| {
        cannot(reason)
            .help(format!("keep more rows, up to {}, or `fuse` what writes and what reads them", extent - 1))
    })?;
    nest.buffers[buffer.idx()].map.dims[place] = (row.modulo(count), count);
    // Words along the rows are no words any more.
    verify(nest).into_iter().next().map_or(Ok(()), |error| Err(cannot(error.message)))
}

/// Goes through what happens to the rows.
struct Watch<'n> {
    nest: &'n Nest,
    buffer: BufferId,
    dim: usize,
    count: u32,
    /// By place: the row that is there, and those that have been.
    present: BTreeMap<i64, (i64, Vec<i64>)>,
    work: usize,
}

impl Watch<'_> {
    /// The variables that choose a row.
    fn choosing(&self) -> Vec<VarId> {
        let mut vars = Vec::new();
        ir::loops::walk::walk(&self.nest.body, ir::loops::StmtNo(0), &mut |_, stmt| {
            for (access, _) in self.accesses(stmt) {
                access.index[self.dim].vars(&mut vars);
            }
        });
        vars
    }

    /// What a statement itself reads and then writes of the buffer.
    fn accesses(&self, stmt: &Stmt) -> Vec<(Access, bool)> {
        let mut found = Vec::new();
        let mut read = |value: &Expr| {
            visit_loads_of(&mut value.clone(), &mut |access| found.push((access.clone(), false)));
        };
        match stmt {
            Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) => read(value),
            Stmt::For(..) | Stmt::Reduce(_) => {}
        }
        if let Stmt::Store(access, _) = stmt {
            found.push((access.clone(), true));
        }
        found.retain(|(access, _)| access.buffer == self.buffer);
        found
    }

    fn block(
        &mut self,
        block: &[Stmt],
        choosing: &[VarId],
        at: &mut BTreeMap<VarId, i64>,
    ) -> Result<(), String> {
        for stmt in block {
            if let Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) = stmt {
                let mut looked_up = false;
                visit_lookups_of(value, &mut |buffer| looked_up |= buffer == self.buffer);
                if looked_up {
                    return Err("it is read at positions that depend on data".into());
                }
            }
            match stmt {
                Stmt::For(l, body) => self.each(std::slice::from_ref(l), body, choosing, at)?,
                Stmt::Reduce(reduce) => {
                    self.block(&reduce.init, choosing, at)?;
                    self.each(&reduce.loops, &reduce.update, choosing, at)?;
                    self.block(&reduce.finish, choosing, at)?;
                }
                Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => {
                    for (access, writes) in self.accesses(stmt) {
                        let first = access.index[self.dim].eval(&|var| at[&var]);
                        for row in first..first + self.rows(&access) {
                            if writes { self.store(row)? } else { self.load(row)? }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Loops that choose no row are gone through twice: rows that do not come back in the second iteration never do.
    fn each(
        &mut self,
        loops: &[Loop],
        body: &[Stmt],
        choosing: &[VarId],
        at: &mut BTreeMap<VarId, i64>,
    ) -> Result<(), String> {
        let [l, inner @ ..] = loops else { return self.block(body, choosing, at) };
        let iterations = if choosing.contains(&l.var) { l.extent } else { l.extent.min(2) };
        for iteration in 0..iterations {
            self.work += 1;
            if self.work > MOST_WORK {
                return Err("its loops have too many iterations to go through".into());
            }
            at.insert(l.var, iteration.into());
            self.each(inner, body, choosing, at)?;
        }
        Ok(())
    }

    /// How many rows an access touches: a word along the rows has several.
    fn rows(&self, access: &Access) -> i64 {
        let data = &self.nest.buffers[self.buffer.idx()];
        let elements = i64::from(access.ty.lanes() / data.elem.lanes().max(1));
        let mut next = access.index.clone();
        next[self.dim] = next[self.dim].offset(1);
        let apart = data.map.position(&next).add(&data.map.position(&access.index).scale(-1));
        if apart.as_constant().is_none_or(|apart| apart == 1) { elements.max(1) } else { 1 }
    }

    fn store(&mut self, row: i64) -> Result<(), String> {
        let place = row.rem_euclid(self.count.into());
        let (present, gone) = self.present.entry(place).or_insert((row, Vec::new()));
        if *present == row {
            return Ok(());
        }
        if gone.contains(&row) {
            return Err(format!("row {row} is written again when row {present} has its place"));
        }
        gone.push(std::mem::replace(present, row));
        Ok(())
    }

    fn load(&mut self, row: i64) -> Result<(), String> {
        match self.present.get(&row.rem_euclid(self.count.into())) {
            Some((present, _)) if *present != row => {
                Err(format!("row {row} is read when row {present} has its place"))
            }
            _ => Ok(()),
        }
    }
}
