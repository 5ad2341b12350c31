//! Nests that one code serves: what is the same in all of them is in the code, what differs is a parameter.
//!
//! The code is made from the first nest; the others have the same statements in the same order, and say beside it how often their loops
//! run and where their accesses go. A nest alone is a group of one.

use std::collections::BTreeMap;

use ir::diag::Diagnostic;
use ir::loops::alike::Alike;
use ir::loops::walk::walk;
use ir::loops::{Access, Atom, Buffer, BufferId, Expr, Index, Loop, Nest, Stmt, StmtNo};

use super::Offsets;
use super::address::{Vars, fold};
use super::constants::{Together, Way};

/// A nest with the places of its buffers.
#[derive(Clone, Copy)]
pub struct Member<'a> {
    /// A nest that the verifier accepted.
    pub nest: &'a Nest,
    /// Its parameters and scratch in the arena.
    pub offsets: &'a Offsets,
}

/// A number in the code: the same for all members, or one for each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Num {
    /// The same for all.
    All(i64),
    /// By member; not all are equal.
    Each(Vec<i64>),
}

/// The members of a group.
pub(super) struct Members<'a> {
    /// All of them; the first is what the code is made from.
    pub all: Vec<Member<'a>>,
    /// What corresponds in each of the others.
    others: Vec<Alike<'a>>,
    /// By access of the first nest, which is known by its place in memory: those of the others.
    accesses: BTreeMap<*const Access, Vec<&'a Access>>,
    /// By access of the first nest, in the same way: bytes from the start of its buffer, no loop unrolled.
    positions: BTreeMap<*const Access, Index>,
    /// By literal or index of the first nest, in the same way: those of the others.
    values: BTreeMap<*const Expr, Vec<&'a Expr>>,
    /// By loop of the first nest, in the same way: iterations of the others.
    extents: BTreeMap<*const Loop, Vec<u32>>,
}

impl Num {
    /// One for each member.
    pub fn new(values: Vec<i64>) -> Self {
        if values.iter().all(|value| *value == values[0]) { Num::All(values[0]) } else { Num::Each(values) }
    }

    /// The number of a member.
    pub fn of(&self, member: usize) -> i64 {
        match self {
            Num::All(value) => *value,
            Num::Each(values) => values[member],
        }
    }

    /// The number, if it is the same for all.
    pub fn common(&self) -> Option<i64> {
        if let Num::All(value) = self { Some(*value) } else { None }
    }

    /// Whether something holds for the number of every member.
    pub fn all(&self, holds: impl Fn(i64) -> bool) -> bool {
        match self {
            Num::All(value) => holds(*value),
            Num::Each(values) => values.iter().all(|value| holds(*value)),
        }
    }

    /// The sum with a constant.
    pub fn plus(&self, by: i64) -> Self {
        self.map(|value| value + by)
    }

    /// The difference, by member.
    pub fn minus(&self, other: &Num) -> Self {
        match (self, other) {
            (Num::All(value), _) => other.map(|other| value - other),
            (_, Num::All(other)) => self.plus(-other),
            (Num::Each(values), Num::Each(others)) => {
                Num::new(values.iter().zip(others).map(|(value, other)| value - other).collect())
            }
        }
    }

    /// What a function makes of the number.
    pub fn map(&self, of: impl Fn(i64) -> i64) -> Self {
        match self {
            Num::All(value) => Num::All(of(*value)),
            Num::Each(values) => Num::new(values.iter().map(|value| of(*value)).collect()),
        }
    }
}

impl<'a> Members<'a> {
    /// The members of a group; an error names what sets one apart.
    pub fn new(all: &[Member<'a>]) -> Result<Self, Diagnostic> {
        let first = all[0].nest;
        let mut members = Members {
            all: all.to_vec(),
            others: Vec::new(),
            accesses: BTreeMap::new(),
            positions: BTreeMap::new(),
            values: BTreeMap::new(),
            extents: BTreeMap::new(),
        };
        each_access(&first.body, &mut |access| {
            members.positions.insert(std::ptr::from_ref(access), position(first, access));
        });
        for member in &all[1..] {
            let alike = Alike::new(first, member.nest)?;
            for (of_first, of_other) in &alike.accesses {
                members.accesses.entry(std::ptr::from_ref(*of_first)).or_default().push(of_other);
            }
            for (of_first, of_other) in &alike.values {
                members.values.entry(std::ptr::from_ref(*of_first)).or_default().push(of_other);
            }
            for (of_first, of_other) in &alike.loops {
                members.extents.entry(std::ptr::from_ref(*of_first)).or_default().push(of_other.extent);
            }
            members.others.push(alike);
        }
        Ok(members)
    }

    /// The nest that the code is made from.
    pub fn nest(&self) -> &'a Nest {
        self.all[0].nest
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Iterations of a loop of the first nest.
    pub fn extent(&self, around: &Loop) -> Num {
        let others = self.extents.get(&std::ptr::from_ref(around)).into_iter().flatten();
        Num::new(std::iter::once(around.extent).chain(others.copied()).map(i64::from).collect())
    }

    /// Whether the code repeats the body of a loop instead of branching.
    pub fn is_repeated(&self, around: &Loop) -> bool {
        around.unroll || self.extent(around).all(|extent| extent == 1)
    }

    /// The buffer of a member that corresponds to one of the first nest.
    pub fn buffer(&self, member: usize, first: BufferId) -> BufferId {
        match member {
            0 => first,
            _ => self.others[member - 1].buffers.get(&first).copied().unwrap_or(first),
        }
    }

    /// The buffers of all members that correspond to one of the first nest.
    pub fn buffers(&self, first: BufferId) -> impl Iterator<Item = &'a Buffer> + '_ {
        self.all
            .iter()
            .enumerate()
            .map(move |(at, member)| &member.nest.buffers[self.buffer(at, first).idx()])
    }

    /// Where an access of the first nest goes: bytes from the start of its buffer as a sum over loop variables.
    pub fn position(&self, access: &Access, vars: &Vars, together: &Together) -> (Vec<(Num, Atom)>, Num) {
        let rows = |index: &[Index], member: usize| match together.between(access.buffer, member) {
            0 => Index::constant(0),
            between => index[0].scale(between),
        };
        let whole = match self.positions.get(&std::ptr::from_ref(access)) {
            Some(position) => position.clone(),
            None => position(self.nest(), access),
        };
        let of_first = fold(&whole.add(&rows(&access.index, 0)), vars);
        if self.others.is_empty() {
            let terms = of_first.terms.into_iter().map(|(by, atom)| (Num::All(by), atom)).collect();
            return (terms, Num::All(of_first.constant));
        }
        let mut all = vec![of_first];
        let others = &self.accesses[&std::ptr::from_ref(access)];
        for (at, other) in others.iter().enumerate() {
            let (alike, member) = (&self.others[at], &self.all[at + 1]);
            let index: Vec<Index> = other.index.iter().map(|index| renamed(alike, index)).collect();
            let rows = rows(&index, at + 1);
            let whole = position(member.nest, &Access { index, ..(*other).clone() });
            all.push(fold(&whole.add(&rows), vars));
        }
        joined(&all)
    }

    /// The value of a literal of the first nest where members differ in it.
    pub fn literals(&self, literal: &Expr) -> Option<Num> {
        let value = |expr: &Expr| if let Expr::Int(value, _) = expr { *value } else { 0 };
        let others = self.values.get(&std::ptr::from_ref(literal))?;
        let all = std::iter::once(literal).chain(others.iter().copied()).map(value).collect();
        Some(Num::new(all)).filter(|number| number.common().is_none())
    }

    /// The value of an index of the first nest that is a value, as a sum over loop variables.
    pub fn index(&self, value: &Expr, vars: &Vars) -> (Vec<(Num, Atom)>, Num) {
        let of = |expr: &Expr| if let Expr::Index(index) = expr { index.clone() } else { Index::default() };
        let others = self.values.get(&std::ptr::from_ref(value)).into_iter().flatten();
        let others = self.others.iter().zip(others).map(|(alike, other)| renamed(alike, &of(other)));
        let all: Vec<Index> =
            std::iter::once(of(value)).chain(others).map(|index| fold(&index, vars)).collect();
        joined(&all)
    }

    /// Which constants lie together, in the first way that is the same for all.
    pub fn together(&self) -> (Way, Together) {
        let put = |way: Way| {
            let renamed = |(alike, member): (&Alike, &Member)| {
                let name =
                    |id: BufferId| alike.buffers.iter().find(|(_, it)| **it == id).map(|(first, _)| *first);
                Together::put(member.nest, way).renamed(&name)
            };
            let others: Vec<Together> = self.others.iter().zip(&self.all[1..]).map(renamed).collect();
            Some((way, Together::put(self.nest(), way).for_all(&others)?))
        };
        let ways = [Way::Rows, Way::Walks].into_iter();
        ways.filter_map(put).next().unwrap_or((Way::Apart, Together::default()))
    }
}

/// An index of another member over the variables of the first.
fn renamed(alike: &Alike, index: &Index) -> Index {
    index.substitute(&|var| Index::var(alike.vars[&var]))
}

/// The indices of all members as one sum.
fn joined(all: &[Index]) -> (Vec<(Num, Atom)>, Num) {
    let mut terms: BTreeMap<Atom, Vec<i64>> = BTreeMap::new();
    for (member, index) in all.iter().enumerate() {
        for (by, atom) in &index.terms {
            terms.entry(atom.clone()).or_insert_with(|| vec![0; all.len()])[member] = *by;
        }
    }
    let terms = terms.into_iter().map(|(atom, by)| (Num::new(by), atom)).collect();
    (terms, Num::new(all.iter().map(|index| index.constant).collect()))
}

/// Which constants of each member lie together in code that serves all of them.
pub fn together(members: &[Member]) -> Result<Vec<Together>, Diagnostic> {
    let (way, _) = Members::new(members)?.together();
    Ok(members.iter().map(|member| Together::put(member.nest, way)).collect())
}

/// Bytes from the start of the buffer to an access.
fn position(nest: &Nest, access: &Access) -> Index {
    let data = &nest.buffers[access.buffer.idx()];
    data.map.position(&access.index).scale(data.elem.bytes() as i64)
}

/// Calls `visit` for every load and store.
pub(super) fn each_access(block: &[Stmt], visit: &mut dyn FnMut(&Access)) {
    fn loads(expr: &Expr, visit: &mut dyn FnMut(&Access)) {
        match expr {
            Expr::Load(access) => visit(access),
            Expr::Lookup(_, at) => loads(at, visit),
            Expr::Op { args, .. } => args.iter().for_each(|arg| loads(arg, visit)),
            Expr::Int(..) | Expr::Index(_) | Expr::Local(..) => {}
        }
    }
    walk(block, StmtNo(0), &mut |_, stmt| match stmt {
        Stmt::Let(_, value) | Stmt::Set(_, _, value) => loads(value, visit),
        Stmt::Store(access, value) => {
            loads(value, visit);
            visit(access);
        }
        Stmt::For(..) | Stmt::Reduce(_) => {}
    });
}
