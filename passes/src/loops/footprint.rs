//! Which elements of a buffer the loads in a block touch, so that a copy of them can stand in for the buffer.
//!
//! ```text
//! x[4*p.o + 2*p.i, k + 3]     in a block inside of p.o; p.i in 0..2 and k in 0..8 are inside
//!   a copy [2, 8]: its element [i, j] is x[4*p.o + 2*i, j + 3], and the load is that of [p.i, k]
//! ```
//!
//! An index is a part that the loops around the block decide, and a part that varies inside. Loads whose varying parts
//! are sums of variables share one copy, with a dimension for each dimension of the buffer: from the least to the greatest
//! index, in steps of what divides all of them. Any other index, such as a permuted one, gets a copy of its own with a dimension
//! for each loop, so that it is read in the order of the loops. A dimension of one element is left out.

use ir::diag::Diagnostic;
use ir::loops::{Access, Atom, BufferId, Expr, Index, Loop, Prim, Stmt, VarId};

/// A load with the extension around it, if there is one.
#[derive(Clone, Debug)]
pub struct Read {
    /// The load or its extension.
    pub expr: Expr,
    /// The loops of the block around it, outermost first.
    pub inside: Vec<Loop>,
}

/// The elements that some loads touch, as a dense copy has them.
#[derive(Clone, Debug)]
pub struct Footprint {
    /// The extents of the copy; empty for a single element.
    pub shape: Vec<u32>,
    /// By dimension of the buffer.
    dims: Vec<Dim>,
    /// The index of all loads, where it is not a sum of variables.
    only: Option<Vec<Index>>,
}

/// How an index of the buffer follows from a position in the copy.
#[derive(Clone, Debug)]
enum Dim {
    /// `base + step * digit` of a coordinate; without one it is the base.
    Strided { base: Index, step: u32, extent: u32, coordinate: Option<Digit> },
    /// The index of the load, with coordinates in place of variables; `None` stands for 0.
    Any { index: Index, coordinates: Vec<(VarId, Option<usize>)> },
}

/// `coordinate div inner`, or `coordinate div inner mod extent` where it is not the first digit.
#[derive(Clone, Copy, Debug)]
struct Digit {
    coordinate: usize,
    inner: u32,
    is_first: bool,
}

impl Read {
    /// The load.
    pub fn access(&self) -> &Access {
        read(&self.expr).expect("it was found as a load")
    }

    /// The loops of the block that its index varies with.
    pub fn varies_with(&self) -> impl Iterator<Item = &Loop> {
        let mut used = Vec::new();
        self.access().index.iter().for_each(|index| index.vars(&mut used));
        self.inside.iter().filter(move |l| used.contains(&l.var))
    }

    /// Whether every varying part is a sum of variables.
    fn is_strided(&self) -> bool {
        self.access().index.iter().all(|index| split(index, &self.inside).is_some())
    }
}

impl Footprint {
    /// The footprints of loads of the same buffer; each load belongs to one.
    pub fn of(reads: &[Read]) -> Result<Vec<Footprint>, Diagnostic> {
        let (strided, others): (Vec<&Read>, Vec<&Read>) = reads.iter().partition(|read| read.is_strided());
        let mut footprints = Vec::new();
        if !strided.is_empty() {
            footprints.push(Self::shared(&strided)?);
        }
        for read in others {
            if !footprints.iter().any(|footprint| footprint.has(read)) {
                let only = Some(read.access().index.clone());
                footprints.push(Footprint { only, ..Self::shared(&[read])? });
            }
        }
        Ok(footprints)
    }

    /// What one load reads, element by element in the order of the loops inside that move it: those over `last` innermost. What several
    /// iterations read is there several times.
    pub fn patches(read: &Read, last: &[VarId]) -> Footprint {
        let only = Some(read.access().index.clone());
        let mut footprint = Footprint { shape: Vec::new(), dims: Vec::new(), only };
        let mut loops: Vec<Loop> = read.varies_with().cloned().collect();
        loops.sort_by_key(|l| last.iter().position(|var| *var == l.var).map_or(0, |at| at + 1));
        let coordinates: Vec<_> = loops.iter().map(|l| (l.var, footprint.coordinate(l.extent))).collect();
        let dim = |index: &Index| Dim::Any { index: index.clone(), coordinates: coordinates.clone() };
        footprint.dims = read.access().index.iter().map(dim).collect();
        footprint
    }

    /// The same with one coordinate for the dimensions from `first` on as long as all of a dimension is copied behind each element of
    /// the one before: what lies in a row in the buffer, whose shape is given, is one dimension of the copy.
    pub fn joined(mut self, shape: &[u32], first: usize) -> Footprint {
        let mut inner = 1;
        for at in (first + 1..self.dims.len()).rev() {
            let (before, rest) = self.dims.split_at_mut(at);
            let Dim::Strided { base, step: 1, extent, coordinate } = &mut rest[0] else { break };
            if base.as_constant() != Some(0) || *extent != shape[at] {
                break;
            }
            let Dim::Strided { step: 1, coordinate: Some(outer), .. } = &mut before[at - 1] else { break };
            inner *= *extent;
            outer.inner = inner;
            if let Some(digit) = coordinate {
                let gone = digit.coordinate;
                digit.is_first = false;
                self.shape[gone - 1] *= self.shape.remove(gone);
                for dim in self.dims[at..].iter_mut() {
                    if let Dim::Strided { coordinate: Some(digit), .. } = dim {
                        digit.coordinate = gone - 1;
                    }
                }
            }
        }
        self
    }

    /// Whether a load is one of those that this copy is for.
    pub fn has(&self, read: &Read) -> bool {
        match &self.only {
            None => read.is_strided(),
            Some(index) => *index == read.access().index,
        }
    }

    /// The index of the buffer that belongs to a position in the copy.
    pub fn source(&self, at: &[Index]) -> Vec<Index> {
        let coordinate = |n: &Option<usize>| n.map_or(Index::constant(0), |n| at[n].clone());
        let source = |dim: &Dim| match dim {
            Dim::Strided { base, step, extent, coordinate } => {
                let digit = coordinate.map_or(Index::constant(0), |digit| {
                    let value = at[digit.coordinate].div(digit.inner);
                    if digit.is_first { value } else { value.modulo(*extent) }
                });
                base.add(&digit.scale(i64::from(*step)))
            }
            Dim::Any { index, coordinates } => index.substitute(&|var| {
                let own = coordinates.iter().find(|(other, _)| *other == var);
                own.map_or(Index::var(var), |(_, n)| coordinate(n))
            }),
        };
        self.dims.iter().map(source).collect()
    }

    /// The position in the copy of what a load reads.
    pub fn position(&self, read: &Read) -> Vec<Index> {
        let mut position = vec![Index::constant(0); self.shape.len()];
        for (dim, index) in self.dims.iter().zip(&read.access().index) {
            match dim {
                Dim::Strided { base, step, coordinate: Some(digit), .. } => {
                    let value = index.add(&base.scale(-1)).div(*step).scale(digit.inner.into());
                    position[digit.coordinate] = position[digit.coordinate].add(&value);
                }
                Dim::Strided { .. } => {}
                Dim::Any { coordinates, .. } => {
                    for (var, n) in coordinates {
                        n.iter().for_each(|n| position[*n] = Index::var(*var));
                    }
                }
            }
        }
        position
    }

    /// By coordinate, the first position inside of a buffer of that shape and the first behind it, for loops around within the
    /// ranges that `of` gives; else a dimension where that varies, or where nothing is inside.
    pub fn inside(&self, shape: &[u32], of: &dyn Fn(VarId) -> (i64, i64)) -> Result<Vec<(u32, u32)>, usize> {
        let mut inside: Vec<(u32, u32)> = self.shape.iter().map(|extent| (0, *extent)).collect();
        for (n, (dim, extent)) in self.dims.iter().zip(shape).enumerate() {
            let Dim::Strided { base, step, extent: positions, coordinate } = dim else {
                if self.keeps_inside(dim, *extent, of) {
                    continue;
                }
                return Err(n);
            };
            let (step, extent) = (i64::from(*step), i64::from(*extent));
            let positions = i64::from(*positions);
            let (low, high) = base.range(of);
            if low >= 0 && high + step * (positions - 1) < extent {
                continue;
            }
            // The first position from 0 on, and from the extent on: the further the base, the less. Other bases lie between the two.
            let bounds = |base: i64| {
                [0, extent].map(|limit| {
                    let from =
                        (limit - base).div_euclid(step) + i64::from((limit - base).rem_euclid(step) != 0);
                    from.clamp(0, positions)
                })
            };
            let [first, end] = bounds(low);
            match coordinate {
                Some(digit) if bounds(high) == [first, end] && first < end && digit.is_first => {
                    inside[digit.coordinate] = (first as u32 * digit.inner, end as u32 * digit.inner);
                }
                _ => return Err(n),
            }
        }
        Ok(inside)
    }

    /// Whether an index that is no sum of variables is never outside.
    fn keeps_inside(&self, dim: &Dim, extent: u32, of: &dyn Fn(VarId) -> (i64, i64)) -> bool {
        let Dim::Any { index, coordinates } = dim else { return false };
        let (low, high) = index.range(&|var| {
            let own = coordinates.iter().find(|(other, _)| *other == var);
            own.map_or_else(|| of(var), |(_, n)| (0, n.map_or(0, |n| i64::from(self.shape[n]) - 1)))
        });
        low >= 0 && high < extent.into()
    }

    /// The footprint of loads that are all strided, or a single one that is not.
    fn shared(reads: &[&Read]) -> Result<Footprint, Diagnostic> {
        let mut footprint = Footprint { shape: Vec::new(), dims: Vec::new(), only: None };
        let odd = |dim: usize| split(&reads[0].access().index[dim], &reads[0].inside).is_none();
        let rank = reads[0].access().index.len();
        let last_odd = (0..rank).rev().find(|dim| odd(*dim));
        let vars = odd_vars(reads[0], (0..rank).filter(|dim| odd(*dim)));
        let mut coordinates = Vec::new();
        for dim in 0..rank {
            if odd(dim) {
                footprint
                    .dims
                    .push(Dim::Any { index: reads[0].access().index[dim].clone(), coordinates: Vec::new() });
            } else {
                let strided = Strided::of(reads, dim)?;
                let Strided { base, step, extent } = strided;
                let digit = |coordinate| Digit { coordinate, inner: 1, is_first: true };
                let coordinate = footprint.coordinate(extent).map(digit);
                footprint.dims.push(Dim::Strided { base, step, extent, coordinate });
            }
            if last_odd == Some(dim) {
                coordinates = vars.iter().map(|l| (l.var, footprint.coordinate(l.extent))).collect();
            }
        }
        for dim in &mut footprint.dims {
            if let Dim::Any { coordinates: own, .. } = dim {
                own.clone_from(&coordinates);
            }
        }
        Ok(footprint)
    }

    /// A new dimension of the copy, unless it would have one element.
    fn coordinate(&mut self, extent: u32) -> Option<usize> {
        (extent > 1).then(|| {
            self.shape.push(extent);
            self.shape.len() - 1
        })
    }
}

/// One dimension of strided loads.
struct Strided {
    base: Index,
    step: u32,
    extent: u32,
}

impl Strided {
    fn of(reads: &[&Read], dim: usize) -> Result<Strided, Diagnostic> {
        let parts = |read: &&Read| {
            let (fixed, varying) =
                split(&read.access().index[dim], &read.inside).expect("the loads are strided");
            let extent = |var| read.inside.iter().find(|l| l.var == var).map_or(1, |l| l.extent);
            let range = varying.range(&|var| (0, i64::from(extent(var)) - 1));
            (fixed, varying, range)
        };
        let parts: Vec<_> = reads.iter().map(parts).collect();
        let (fixed, first, _) = &parts[0];
        if parts.iter().any(|(other, ..)| other != fixed) {
            return Err(Diagnostic::new(format!(
                "its loads do not move together with the loops around, in dimension {dim}"
            ))
            .help("legal further out, where the loops that move them apart are inside"));
        }
        let low = parts.iter().map(|(.., (low, _))| *low).min().expect("there is a load");
        let high = parts.iter().map(|(.., (_, high))| *high).max().expect("there is a load");
        let coefficients = parts.iter().flat_map(|(_, varying, _)| varying.terms.iter().map(|(c, _)| *c));
        let distances = parts.iter().map(|(_, varying, _)| varying.constant - first.constant);
        let step = coefficients.chain(distances).fold(0, gcd).max(1);
        Ok(Strided { base: fixed.offset(low), step: step as u32, extent: ((high - low) / step + 1) as u32 })
    }
}

/// The part of an index that loops around decide, and the part that varies with those inside, which has the constant;
/// `None` where the varying part is no sum of variables.
fn split(index: &Index, inside: &[Loop]) -> Option<(Index, Index)> {
    let (mut fixed, mut varying) = (Index::constant(0), Index::constant(index.constant));
    for term in &index.terms {
        let mut used = Vec::new();
        Index { terms: vec![term.clone()], constant: 0 }.vars(&mut used);
        if !used.iter().any(|var| inside.iter().any(|l| l.var == *var)) {
            fixed.terms.push(term.clone());
        } else if matches!(term.1, Atom::Var(_)) {
            varying.terms.push(term.clone());
        } else {
            return None;
        }
    }
    Some((fixed, varying))
}

/// The loops inside that the indices of these dimensions vary with.
fn odd_vars(read: &Read, dims: impl Iterator<Item = usize>) -> Vec<Loop> {
    let mut used = Vec::new();
    dims.for_each(|dim| read.access().index[dim].vars(&mut used));
    read.inside.iter().filter(|l| used.contains(&l.var)).cloned().collect()
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

/// The load that an expression is, or that it extends.
pub fn read(expr: &Expr) -> Option<&Access> {
    match expr {
        Expr::Load(access) => Some(access),
        Expr::Op { prim: Prim::Sext | Prim::Zext, args, .. } => match &args[0] {
            Expr::Load(access) => Some(access),
            _ => None,
        },
        _ => None,
    }
}

/// Every load of the buffer in a block, in order.
pub fn reads(block: &mut [Stmt], buffer: BufferId) -> Vec<Read> {
    let mut found = Vec::new();
    visit_reads(block, buffer, &mut Vec::new(), &mut |expr, inside| {
        found.push(Read { expr: expr.clone(), inside: inside.to_vec() });
    });
    found
}

/// Puts what `replace` gives in the place of loads of the buffer, with the extensions around them.
pub fn replace_reads(block: &mut [Stmt], buffer: BufferId, replace: &dyn Fn(&Read) -> Option<Expr>) {
    visit_reads(block, buffer, &mut Vec::new(), &mut |expr, inside| {
        let read = Read { expr: expr.clone(), inside: inside.to_vec() };
        if let Some(new) = replace(&read) {
            *expr = new;
        }
    });
}

fn visit_reads(
    block: &mut [Stmt],
    buffer: BufferId,
    inside: &mut Vec<Loop>,
    visit: &mut dyn FnMut(&mut Expr, &[Loop]),
) {
    for stmt in block {
        match stmt {
            Stmt::For(l, body) => {
                inside.push(l.clone());
                visit_reads(body, buffer, inside, visit);
                inside.pop();
            }
            Stmt::Reduce(reduce) => {
                visit_reads(&mut reduce.init, buffer, inside, visit);
                let depth = inside.len();
                inside.extend(reduce.loops.iter().cloned());
                visit_reads(&mut reduce.update, buffer, inside, visit);
                inside.truncate(depth);
                visit_reads(&mut reduce.finish, buffer, inside, visit);
            }
            Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) => {
                visit_reads_of(value, buffer, &mut |expr| visit(expr, inside));
            }
        }
    }
}

fn visit_reads_of(expr: &mut Expr, buffer: BufferId, visit: &mut dyn FnMut(&mut Expr)) {
    if let Some(access) = read(expr) {
        if access.buffer == buffer {
            visit(expr);
        }
        return;
    }
    match expr {
        Expr::Lookup(_, at) => visit_reads_of(at, buffer, visit),
        Expr::Op { args, .. } => args.iter_mut().for_each(|arg| visit_reads_of(arg, buffer, visit)),
        Expr::Int(..) | Expr::Index(_) | Expr::Local(..) | Expr::Load(_) => {}
    }
}
