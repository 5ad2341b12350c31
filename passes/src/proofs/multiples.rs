//! Sums whose difference is a multiple of a power of two, whatever is summed up.
//!
//! ```text
//! init   { both = 2560 + 7            low = 7 }
//! update { both = dot2 both, x, w     low = dot2 low, x, sxtb16(w) {ror = 0} }
//! ```
//!
//! Both begin with numbers that differ by a multiple of 256, and so do what each step adds: the second weights are the low bytes of
//! the first, and the rest is a multiple. So `sub(both, low)` is one, though neither is. Initial values are compared as they
//! are at compile time, for all iterations; steps by their form.

use ir::loops::interp::Constants;
use ir::loops::{BufferId, Expr, Index, LocalId, Loop, Nest, Prim, Reduce, Stmt, VarId};

/// Most iterations for which initial values are compared.
const MOST_POINTS: u64 = 1 << 16;
/// What divides 0 as far as words go.
const ALL: u32 = 31;

/// Two sums of one reduction that differ by multiples of `2^power`, register by register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The minuend.
    pub of: LocalId,
    /// The subtrahend.
    pub less: LocalId,
    /// At least 1.
    pub power: u32,
}

/// All such pairs of a nest.
pub fn differences(nest: &Nest) -> Vec<Difference> {
    let mut reduces: Vec<Reduce> = Vec::new();
    let mut loops: Vec<Loop> = Vec::new();
    nest.walk(&mut |_, stmt| match stmt {
        Stmt::Reduce(reduce) => {
            loops.extend(reduce.loops.iter().cloned());
            if reduce.carried.len() > 1 {
                reduces.push(reduce.clone());
            }
        }
        Stmt::For(l, _) => loops.push(l.clone()),
        Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => {}
    });
    let mut found = Vec::new();
    let mut points = Points { nest, loops, constants: Constants::new(nest) };
    for reduce in &reduces {
        for (&of, &less) in reduce.carried.iter().flat_map(|a| reduce.carried.iter().map(move |b| (a, b))) {
            if of == less {
                continue;
            }
            let start = matched(&reduce.init, of, less, &mut |a, b| points.power(a, b));
            let step = matched(&reduce.update, of, less, &mut |a, b| added(a, b, of, less));
            if let (Some(start), Some(step)) = (start, step)
                && start.min(step) > 0
            {
                found.push(Difference { of, less, power: start.min(step) });
            }
        }
    }
    found
}

/// The least power for values that a block gives both sums; `None` where it gives one of them something else.
fn matched(
    block: &[Stmt],
    of: LocalId,
    less: LocalId,
    power: &mut dyn FnMut(&Expr, &Expr) -> u32,
) -> Option<u32> {
    let sets = |local: LocalId| -> Vec<(&Vec<Index>, &Expr)> {
        let set = |stmt| match stmt {
            &Stmt::Set(to, ref at, ref value) if to == local => Some((at, value)),
            _ => None,
        };
        block.iter().filter_map(set).collect()
    };
    let (a, b) = (sets(of), sets(less));
    if a.len() != b.len() {
        return None;
    }
    let mut least = ALL;
    for ((at, value), (other_at, other)) in a.iter().zip(&b) {
        if at != other_at {
            return None;
        }
        least = least.min(power(value, other));
    }
    for inner in block.iter().flat_map(ir::loops::walk::blocks) {
        least = least.min(matched(inner, of, less, power)?);
    }
    Some(least)
}

/// What divides the difference of what two steps add to their sums; 0 where nothing is known.
fn added(a: &Expr, b: &Expr, of: LocalId, less: LocalId) -> u32 {
    let itself = |expr: &Expr, sum: LocalId| matches!(expr, Expr::Local(local, _) if *local == sum);
    let (Expr::Op { prim, args: a, .. }, Expr::Op { prim: other, args: b, .. }) = (a, b) else { return 0 };
    if prim != other {
        return 0;
    }
    match prim {
        Prim::Dot2 if itself(&a[0], of) && itself(&b[0], less) => low_of([&a[1], &a[2]], [&b[1], &b[2]]),
        Prim::Add => {
            let step = |args: &[Expr], sum: LocalId| match (itself(&args[0], sum), itself(&args[1], sum)) {
                (true, false) => Some(args[1].clone()),
                (false, true) => Some(args[0].clone()),
                _ => None,
            };
            match (step(a, of), step(b, less)) {
                (
                    Some(Expr::Op { prim: Prim::Mul, args: a, .. }),
                    Some(Expr::Op { prim: Prim::Mul, args: b, .. }),
                ) => low_of([&a[0], &a[1]], [&b[0], &b[1]]),
                _ => 0,
            }
        }
        _ => 0,
    }
}

/// The width of the field that a factor of the second product is of one of the first; the other factors are the same.
fn low_of(a: [&Expr; 2], b: [&Expr; 2]) -> u32 {
    let field = |whole: &Expr, low: &Expr| match low {
        _ if whole == low => ALL,
        Expr::Op { prim: Prim::Sbfx, args, imm } if imm[0] == 0 && args[0] == *whole => imm[1] as u32,
        Expr::Op { prim: Prim::Sxtb16, args, imm } if imm[0] == 0 && args[0] == *whole => u8::BITS,
        _ => 0,
    };
    let pairings = [(0, 0), (0, 1), (1, 0), (1, 1)];
    let same = pairings.into_iter().filter(|(i, j)| a[*i] == b[*j]);
    same.map(|(i, j)| field(a[1 - i], b[1 - j])).max().unwrap_or(0)
}

/// Values at compile time.
struct Points<'n> {
    nest: &'n Nest,
    loops: Vec<Loop>,
    constants: Constants<'n>,
}

impl Points<'_> {
    /// What divides the difference in all iterations; 0 where nothing is known.
    fn power(&mut self, a: &Expr, b: &Expr) -> u32 {
        let mut used = Vec::new();
        for expr in [a, b] {
            crate::loops::edit::visit_indices_of(&mut expr.clone(), &mut |index| index.vars(&mut used));
        }
        let loops: Vec<Loop> = self.loops.iter().filter(|l| used.contains(&l.var)).cloned().collect();
        let points = loops.iter().fold(1u64, |points, l| points.saturating_mul(l.extent.into()));
        if points > MOST_POINTS {
            return 0;
        }
        let mut least = ALL;
        for point in 0..points {
            let mut left = point;
            let at: Vec<(VarId, i64)> = loops
                .iter()
                .map(|l| {
                    let at = left % u64::from(l.extent);
                    left /= u64::from(l.extent);
                    (l.var, at as i64)
                })
                .collect();
            let (Some(a), Some(b)) = (self.value(a, &at), self.value(b, &at)) else { return 0 };
            let difference = (a as i32).wrapping_sub(b as i32);
            least = least.min(difference.trailing_zeros());
        }
        least
    }

    /// A word that is known at compile time.
    fn value(&mut self, expr: &Expr, at: &[(VarId, i64)]) -> Option<i64> {
        let of = |var: VarId| at.iter().find(|(known, _)| *known == var).map_or(0, |(_, at)| *at);
        match expr {
            Expr::Int(value, _) => Some(*value),
            Expr::Index(index) => Some(index.eval(&of)),
            Expr::Load(access) if access.border.is_none() && access.ty.bytes() == 4 => {
                let element: Vec<i64> = access.index.iter().map(|index| index.eval(&of)).collect();
                self.word(access.buffer, &element)
            }
            Expr::Op { prim, args, imm } => {
                let words: Option<Vec<i64>> = args.iter().map(|arg| self.value(arg, at)).collect();
                Some((prim.row().eval)(self.nest.ty(args.first()?), &words?, imm))
            }
            Expr::Load(_) | Expr::Local(..) | Expr::Lookup(..) => None,
        }
    }

    fn word(&mut self, buffer: BufferId, element: &[i64]) -> Option<i64> {
        let data = &self.nest.buffers[buffer.idx()];
        if !data.is_const() {
            return None;
        }
        let position = usize::try_from(data.map.position_of(element)).ok()? * data.elem.bytes();
        let bytes = self.constants.get(buffer).ok()?;
        let word = bytes.get(position..position + 4)?;
        Some(i64::from(i32::from_le_bytes(word.try_into().expect("it has four bytes"))))
    }
}
