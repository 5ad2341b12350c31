//! `rows COUNT`: does what statements do one after the other by turns, row by row, and keeps only the rows of scratch that are still needed.
//!
//! ```text
//! scratch t: i8[10, 4]
//! t[0, …] = -9
//! t[9, …] = -9
//! for r in 0..8 { … t[r + 1, c] = … }
//! for row in 0..8 { … y[row, c] = … t[row + ky, c] … }          // ky in 0..3
//! => rows 1
//! scratch t: i8[10, 4] map (d0 mod 3: 3, d1: 4)
//! t[0, …] = -9
//! … t[1, …] = …                                                 // The rows that come before the first turn.
//! for band in 0..7 {
//!   … t[band + 2, c] = …
//!   … y[band, c] = … t[band + ky, c] …
//! }
//! t[9, …] = -9
//! … y[7, c] = … t[ky + 7, c] …                                  // What is left when the rows of the first loop end.
//! ```
//!
//! The last statement does COUNT rows in each turn, and every other one what that needs besides what has been done: nothing is computed
//! twice. So padding is made around a few rows of an input (`border` before), halfwords of a few rows (`stage`), and layers of a band run
//! together. It does in one go what `tile`, `peel` and `fuse` do for the loops, and `ring` for the scratch: the smallest legal one. Loops
//! of the parts in front have names that end with `.first`, those behind with `.rest`.
//!
//! Legal where the outermost loop of each statement moves along the rows of what it writes, or along its pixels; where only the last
//! statement, and what fills the surroundings of its result, writes what others see; and where COUNT divides its rows.

use ir::diag::Diagnostic;
use ir::loops::{Access, Atom, BufferId, Index, Loop, Nest, Role, Stmt, VarId};

use super::edit::{Extents, fresh_var, rename_locals, rename_vars, substitute, visit_loads};
use super::ring::ring;
use super::simplify::simplify;
use super::step::StepDef;
use super::tile::tile;
use crate::network::view::{looks_up, visit_accesses};

/// The step.
pub const STEP: StepDef = StepDef {
    name: "rows",
    usage: "rows COUNT",
    summary: "Interleave statements row by row, and keep only the rows between them that are still needed",
    run: |nest, args| {
        args.at_most(1)?;
        rows(nest, args.int(0)?)
    },
};

/// Interleaves the statements of the nest by rows, of which the last does `count` in each turn.
pub fn rows(nest: &mut Nest, count: u32) -> Result<(), Diagnostic> {
    by_rows(nest, count).map_err(|error| Diagnostic {
        message: format!("cannot compute it by rows: {}", error.message),
        ..error
    })
}

/// What one of the statements of the nest does along rows.
struct Stage {
    /// The loop over rows, if there is one.
    axis: Option<VarId>,
    /// What is repeated for each row.
    body: Vec<Stmt>,
    /// Rows, or 1.
    extent: u32,
    /// What it writes, with the row of it that an iteration writes: `step * iteration + first`.
    writes: BufferId,
    step: i64,
    first: i64,
}

/// Iterations of stages that follow each other, and are repeated.
struct Group {
    times: u32,
    /// Stage, its first iteration, and how many in each repetition.
    parts: Vec<(usize, u32, u32)>,
}

/// Interleaves the statements of the nest by rows, and makes rings of its scratch.
fn by_rows(nest: &mut Nest, count: u32) -> Result<(), Diagnostic> {
    let mut stages = Vec::new();
    for at in 0..nest.body.len() {
        rows_outermost(nest, at)?;
        stages.push(Stage::of(nest, &nest.body[at].clone())?);
    }
    let last = match &stages[..] {
        [_, .., last] => last,
        _ => {
            return Err(Diagnostic::new(format!("it has {} statements", stages.len()))
                .help("legal for several that follow each other: `border` and `stage` make such"));
        }
    };
    if count == 0 || !last.extent.is_multiple_of(count) {
        let extent = last.extent;
        let legal: Vec<String> =
            (1..=extent).filter(|n| extent.is_multiple_of(*n)).map(|n| n.to_string()).collect();
        return Err(Diagnostic::new(format!("its {extent} rows are no multiple of {count}"))
            .help(format!("legal: {}", legal.join(" "))));
    }
    check_flow(nest, &stages)?;
    let needs: Vec<Vec<u32>> =
        (1..=last.extent / count).map(|tile| needs(nest, &stages, tile * count)).collect();
    let folded = groups(&needs, true);
    let groups = if is_fed(nest, &stages, &folded) { folded } else { groups(&needs, false) };
    emit(nest, &stages, &groups);
    simplify(nest);
    make_rings(nest, &stages);
    Ok(())
}

/// Splits a loop over pixels into rows of them.
fn rows_outermost(nest: &mut Nest, at: usize) -> Result<(), Diagnostic> {
    let Stmt::For(l, _) = &nest.body[at] else { return Ok(()) };
    let var = l.var;
    let mut width = None;
    visit_accesses(&mut nest.body[at..=at].to_vec(), &mut Extents::new(), &mut |access, _| {
        for (_, atom) in &row_of(nest, access.buffer, &access.index).terms {
            if let Atom::Div(inner, n) = atom
                && **inner == Index::var(var)
            {
                width = Some(*n);
            }
        }
    });
    match width {
        Some(width) => tile(nest, var, width).map(|_| ()),
        None => Ok(()),
    }
}

impl Stage {
    fn of(nest: &Nest, stmt: &Stmt) -> Result<Stage, Diagnostic> {
        let mut stores = stores(stmt);
        stores.retain(|(buffer, _)| !is_private(nest, stmt, *buffer));
        let Some((writes, _)) = stores.first().cloned() else {
            return Err(Diagnostic::new("a statement writes nothing"));
        };
        let name = &nest.buffers[writes.idx()].name;
        let odd = || {
            Diagnostic::new(format!("the outermost loop that writes `{name}` does not move along its rows"))
                .help("legal for loops over rows or pixels outermost")
        };
        if let (Role::Param, Stmt::For(l, body)) = (&nest.buffers[writes.idx()].role, stmt) {
            // Nobody here reads it: it has the rows of its loop.
            let (axis, body) = (Some(l.var), body.clone());
            return Ok(Stage { axis, body, extent: l.extent, writes, step: 1, first: 0 });
        }
        let row = row_of(nest, writes, &stores[0].1);
        if stores.iter().any(|(buffer, index)| *buffer != writes || row_of(nest, writes, index) != row) {
            return Err(odd());
        }
        let constant =
            |body: Vec<Stmt>, first: i64| Stage { axis: None, body, extent: 1, writes, step: 0, first };
        if let Some(first) = row.as_constant() {
            return Ok(constant(vec![stmt.clone()], first));
        }
        match (stmt, &row.terms[..]) {
            (Stmt::For(l, body), [(step, Atom::Var(var))]) if *var == l.var && *step > 0 => Ok(Stage {
                axis: Some(l.var),
                body: body.clone(),
                extent: l.extent,
                writes,
                step: *step,
                first: row.constant,
            }),
            _ => Err(odd()),
        }
    }

    /// How many iterations write the rows up to this one.
    fn up_to(&self, row: i64) -> u32 {
        match self.axis {
            None => u32::from(self.first <= row),
            Some(_) => ((row - self.first).div_euclid(self.step) + 1).clamp(0, self.extent.into()) as u32,
        }
    }
}

/// Whether it is scratch that no other statement of the nest uses.
fn is_private(nest: &Nest, stmt: &Stmt, buffer: BufferId) -> bool {
    let uses = |other: &Stmt| {
        let mut block = [other.clone()];
        let mut found = looks_up(&block, buffer);
        visit_accesses(&mut block, &mut Extents::new(), &mut |access, _| found |= access.buffer == buffer);
        found
    };
    let mut others = nest.body.iter().filter(|other| *other != stmt);
    nest.buffers[buffer.idx()].role == Role::Scratch && !others.any(uses)
}

/// The row that an element of a buffer is in: rows follow each other along the outermost dimension that is longer than 1.
fn row_of(nest: &Nest, buffer: BufferId, index: &[Index]) -> Index {
    let dim = nest.buffers[buffer.idx()].shape.iter().position(|extent| *extent > 1).unwrap_or(0);
    index.get(dim).cloned().unwrap_or(Index::constant(0))
}

/// How many rows a load of a word may reach further than its first element.
fn further_rows(nest: &Nest, access: &Access, range: &dyn Fn(VarId) -> (i64, i64)) -> i64 {
    let buffer = &nest.buffers[access.buffer.idx()];
    let more = (access.ty.bytes() / buffer.elem.bytes().max(1)) as i64 - 1;
    let rows = buffer.shape.iter().position(|extent| *extent > 1).unwrap_or(0);
    let Some((innermost, extent)) = buffer.map.dims.last().filter(|_| more > 0) else { return 0 };
    let mut used = Vec::new();
    innermost.vars(&mut used);
    let (_, high) = innermost.substitute(&|dim| access.index[dim.idx()].clone()).range(range);
    let along_rows = used.iter().any(|dim| dim.idx() == rows);
    if along_rows || high + more >= i64::from(*extent) { more } else { 0 }
}

/// Everything that a statement writes.
fn stores(stmt: &Stmt) -> Vec<(BufferId, Vec<Index>)> {
    let mut found = Vec::new();
    ir::loops::walk::walk(std::slice::from_ref(stmt), ir::loops::StmtNo(0), &mut |_, stmt| {
        if let Stmt::Store(access, _) = stmt {
            found.push((access.buffer, access.index.clone()));
        }
    });
    found
}

/// What is read has been written by stages before, and only the last stage writes for others.
fn check_flow(nest: &Nest, stages: &[Stage]) -> Result<(), Diagnostic> {
    for (at, stage) in stages.iter().enumerate() {
        let buffer = &nest.buffers[stage.writes.idx()];
        let is_result = stages.last().is_some_and(|last| last.writes == stage.writes);
        if buffer.role == Role::Param && !is_result {
            return Err(Diagnostic::new(format!(
                "`{}` is seen by others, and is not the last result",
                buffer.name
            ))
            .help("legal where only the last layer writes a tensor that others see"));
        }
        let mut early = false;
        for reader in &stages[..=at] {
            let mut body = reader.body.clone();
            visit_loads(&mut body, &mut Extents::new(), &mut |access, _| {
                early |= access.buffer == stage.writes
            });
            early |= looks_up(&body, stage.writes);
        }
        let later = |reader: &Stage| looks_up(&reader.body, stage.writes);
        if early || stages[at + 1..].iter().any(later) {
            let message = format!("`{}` is not read by rows behind what writes it", buffer.name);
            return Err(
                Diagnostic::new(message).help("legal where statements behind it load its elements, by index")
            );
        }
    }
    Ok(())
}

/// For each stage the iterations that are done once the last one has done so many.
fn needs(nest: &Nest, stages: &[Stage], done: u32) -> Vec<u32> {
    let mut needs = vec![0; stages.len()];
    for at in (0..stages.len()).rev() {
        let stage = &stages[at];
        if at + 1 == stages.len() {
            needs[at] = done;
        } else if nest.buffers[stage.writes.idx()].role == Role::Param {
            needs[at] = stage.extent; // Around the result.
        }
        for reader in at + 1..stages.len() {
            if let Some(row) = furthest(nest, &stages[reader], stage.writes, needs[reader]) {
                needs[at] = needs[at].max(stage.up_to(row));
            }
        }
    }
    needs
}

/// The last row of the buffer that these iterations of a stage read.
fn furthest(nest: &Nest, stage: &Stage, buffer: BufferId, iterations: u32) -> Option<i64> {
    if iterations == 0 {
        return None;
    }
    let mut furthest = None;
    let mut around: Extents = stage.axis.iter().map(|axis| (*axis, iterations)).collect();
    visit_accesses(&mut stage.body.clone(), &mut around, &mut |access, around| {
        if access.buffer == buffer {
            let range = |var: VarId| (0, i64::from(around[&var]) - 1);
            let (_, high) = row_of(nest, buffer, &access.index).range(&range);
            furthest = furthest.max(Some(high + further_rows(nest, access, &range)));
        }
    });
    furthest
}

/// What is done by turns: the same in most of them, so that a loop does it. Where `fold` says so, the first turn becomes one of them,
/// and what it does more comes in front.
fn groups(needs: &[Vec<u32>], fold: bool) -> Vec<Group> {
    let n_stages = needs[0].len();
    let zero = vec![0; n_stages];
    let before = |turn: usize| if turn == 0 { &zero } else { &needs[turn - 1] };
    let counts = |turn: usize| -> Vec<u32> {
        needs[turn].iter().zip(before(turn)).map(|(now, before)| now - before).collect()
    };
    let group = |from: &[u32], counts: &[u32], times: u32| Group {
        times,
        parts: (0..n_stages).filter(|at| counts[*at] > 0).map(|at| (at, from[at], counts[at])).collect(),
    };
    let mut groups = Vec::new();
    let mut turn = 0;
    while turn < needs.len() {
        let mut from = before(turn).clone();
        let mut these = counts(turn);
        let mut end = turn + 1;
        if let Some(next) = (fold && turn == 0 && needs.len() > 1).then(|| counts(1))
            && these.iter().zip(&next).all(|(these, next)| these >= next)
        {
            let more: Vec<u32> = these.iter().zip(&next).map(|(these, next)| these - next).collect();
            groups.push(group(&from, &more, 1));
            from = more;
            these = next;
        }
        while end < needs.len() && counts(end) == these {
            end += 1;
        }
        groups.push(group(&from, &these, (end - turn) as u32));
        turn = end;
    }
    groups.retain(|group| !group.parts.is_empty());
    groups
}

/// Whether every stage finds what it reads.
fn is_fed(nest: &Nest, stages: &[Stage], groups: &[Group]) -> bool {
    let mut done = vec![0; stages.len()];
    for group in groups {
        for _ in 0..group.times {
            for (at, _, count) in &group.parts {
                done[*at] += count;
                let fed = stages[..*at].iter().enumerate().all(|(writer, stage)| {
                    furthest(nest, &stages[*at], stage.writes, done[*at])
                        .is_none_or(|row| done[writer] >= stage.up_to(row))
                });
                if !fed {
                    return false;
                }
            }
        }
    }
    true
}

/// Puts the groups in place of the statements of the nest; loops keep their names in the longest one.
fn emit(nest: &mut Nest, stages: &[Stage], groups: &[Group]) {
    let longest = groups.iter().map(|group| group.times).max().unwrap_or(0);
    let main = groups.iter().position(|group| group.times == longest).unwrap_or(0);
    let mut body = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        let suffix = match number.cmp(&main) {
            std::cmp::Ordering::Less if number == 0 => ".first".to_string(),
            std::cmp::Ordering::Less => format!(".first{}", number + 1),
            std::cmp::Ordering::Equal => String::new(),
            std::cmp::Ordering::Greater if number == main + 1 => ".rest".to_string(),
            std::cmp::Ordering::Greater => format!(".rest{}", number - main),
        };
        let turn = (group.times > 1).then(|| fresh_var(nest, "band"));
        let mut inside = Vec::new();
        for (at, from, count) in &group.parts {
            let copy = (number != main).then_some(suffix.as_str());
            inside.extend(part(nest, &stages[*at], (*from, *count), turn, copy));
        }
        match turn {
            Some(var) => body.push(Stmt::For(Loop { var, extent: group.times, unroll: false }, inside)),
            None => body.extend(inside),
        }
    }
    nest.body = body;
}

/// Iterations of one stage; in a loop over turns, so many further on in each.
fn part(
    nest: &mut Nest,
    stage: &Stage,
    (from, count): (u32, u32),
    turn: Option<VarId>,
    copy: Option<&str>,
) -> Vec<Stmt> {
    let mut body = stage.body.clone();
    if let Some(suffix) = copy {
        rename_vars(nest, &mut body, suffix);
        rename_locals(nest, &mut body);
    }
    let Some(axis) = stage.axis else { return body };
    let start =
        turn.map_or(Index::constant(0), |turn| Index::var(turn).scale(count.into())).offset(from.into());
    if count == 1 {
        substitute(&mut body, axis, &start);
        return body;
    }
    let var = match copy {
        Some(suffix) => {
            let name = format!("{}{suffix}", nest.vars[axis.idx()]);
            nest.add_var(name)
        }
        None => axis,
    };
    substitute(&mut body, axis, &start.add(&Index::var(var)));
    vec![Stmt::For(Loop { var, extent: count, unroll: false }, body)]
}

/// Keeps as few rows of each scratch as are needed.
fn make_rings(nest: &mut Nest, stages: &[Stage]) {
    let is_between = |buffer: &BufferId| stages.iter().any(|stage| stage.writes == *buffer);
    let scratch: Vec<BufferId> = nest.buffers_where(|buffer| buffer.role == Role::Scratch).collect();
    for buffer in scratch.into_iter().filter(is_between) {
        let extent =
            nest.buffers[buffer.idx()].shape.iter().find(|extent| **extent > 1).copied().unwrap_or(1);
        for count in 1..extent {
            let mut smaller = nest.clone();
            if ring(&mut smaller, buffer, count, None).is_ok() {
                *nest = smaller;
                break;
            }
        }
    }
}
