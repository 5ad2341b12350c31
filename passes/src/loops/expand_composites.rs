//! `expand-composites`: operations that no core has become operations that one has, exactly.
//!
//! ```text
//! y[i] = requantize a, m[n], s[n] {zero = -5, min = -128, max = 127}
//! =>
//! t: i32 = mul_high_add_round a, a, m_doubled[n]              // doubling_high_mul
//! y[i] = ssat(mul_high_add_round(-5, add(t, asr(t, 31)), s_scale[n])) {bits = 8, asr = 0}
//! ```
//!
//! Why that is the same, for every accumulator:
//!
//! - gemmlowp's doubling high multiply is `floor((a m + 2^30) / 2^31)`, its two cases of sign notwithstanding. That is the
//!   high word of `a 2m + 2^31`. Multipliers of the reference kernels are at least 2^30, so `2m` as a word is
//!   `2m - 2^32`, which takes `a` from the high word; the operation adds it again.
//! - Its rounding shift by `e` is `floor((t - [t < 0] + 2^(e - 1)) / 2^e)`, which is the high word of
//!   `(t - [t < 0]) 2^(32 - e) + 2^31`, without overflow; a zero point is added to that word. `2^(32 - e)` is a word
//!   from `e = 2` on.
//! - `[t < 0]` matters for results below the zero point only, so it is left out where they are clamped away.
//!
//! - What `unscaled` divides is a multiple of the divisor, and the quotient is within the bounds: so whoever wrote it has proven.
//!
//! A shift that is stored as a byte stays one: `2^(32 - e)` is then computed.
//!
//! Constants decide what is emitted; where they do not fit or are not known, longer forms follow that fit everything.
//! Constants that are nests keep their composites: they are evaluated at compile time.

use std::collections::{BTreeMap, BTreeSet};

use ir::diag::Diagnostic;
use ir::loops::interp;
use ir::loops::{Access, Buffer, BufferId, Expr, Index, Init, LocalId, Loop, Nest, Prim, Reduce, Role, Stmt};
use ir::ty::Ty;

use super::NestPass;
use super::edit::{extended, fresh_local, fresh_name, fresh_var};
use crate::Changed;
use crate::proofs::steps::little_endian;

/// Expands `requantize`, `doubling_high_mul`, `round_shift` and `unscaled`.
pub const PASS: NestPass =
    NestPass { name: "expand-composites", summary: "Write out what no core does in one instruction", run };

fn run(nest: &mut Nest) -> Result<Changed, Diagnostic> {
    let body = std::mem::take(&mut nest.body);
    let mut expander = Expander {
        nest,
        derived: BTreeMap::new(),
        above_least: BTreeSet::new(),
        lets: Vec::new(),
        changed: Changed::No,
    };
    let body = expander.block(body);
    let changed = expander.changed;
    nest.body = body;
    Ok(changed)
}

/// What a constant operand is turned into at compile time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    /// `2x`, wrapping.
    Doubled,
    /// The bits to the left of a shift that may go both ways: `max(x, 0)`.
    Left,
    /// The bits to the right: `max(-x, 0)`.
    Right,
    /// `2^(32 + x)` for a shift `x` from -31 to -2.
    Scale,
    /// `32 + x`.
    Power,
}

struct Expander<'n> {
    nest: &'n mut Nest,
    /// Constants that were made from others.
    derived: BTreeMap<(BufferId, Form), BufferId>,
    /// Named values that are never the least `i32`.
    above_least: BTreeSet<LocalId>,
    /// Named values that the statement at hand needs before it.
    lets: Vec<Stmt>,
    changed: Changed,
}

impl Expander<'_> {
    fn block(&mut self, block: Vec<Stmt>) -> Vec<Stmt> {
        let mut expanded = Vec::with_capacity(block.len());
        for stmt in block {
            let stmt = self.stmt(stmt);
            expanded.append(&mut self.lets);
            expanded.push(stmt);
        }
        expanded
    }

    fn stmt(&mut self, stmt: Stmt) -> Stmt {
        match stmt {
            Stmt::For(l, body) => Stmt::For(l, self.block(body)),
            Stmt::Reduce(Reduce { carried, loops, init, update, finish }) => {
                let (init, update, finish) = (self.block(init), self.block(update), self.block(finish));
                Stmt::Reduce(Reduce { carried, loops, init, update, finish })
            }
            Stmt::Let(local, value) => {
                if self.is_above_least(&value) {
                    self.above_least.insert(local);
                }
                Stmt::Let(local, self.expr(value))
            }
            Stmt::Set(local, index, value) => Stmt::Set(local, index, self.expr(value)),
            Stmt::Store(access, value) => Stmt::Store(access, self.expr(value)),
        }
    }

    fn expr(&mut self, expr: Expr) -> Expr {
        match expr {
            Expr::Op { prim, args, imm } => {
                let facts: Vec<bool> = args.iter().map(|arg| self.is_above_least(arg)).collect();
                let args: Vec<Expr> = args.into_iter().map(|arg| self.expr(arg)).collect();
                self.op(prim, args, imm, &facts)
            }
            Expr::Lookup(buffer, position) => Expr::Lookup(buffer, Box::new(self.expr(*position))),
            simple => simple,
        }
    }

    /// `above_least` tells for each operand whether it is never the least `i32`.
    fn op(&mut self, prim: Prim, mut args: Vec<Expr>, imm: Vec<i32>, above_least: &[bool]) -> Expr {
        match prim {
            Prim::Requantize => {
                let [a, m, s] = take(&mut args);
                self.changed = Changed::Yes;
                self.requantize(a, m, s, [imm[0], imm[1], imm[2]], above_least)
            }
            Prim::DoublingHighMul => {
                let [a, b] = take(&mut args);
                self.changed = Changed::Yes;
                self.doubling_high_mul(a, b, above_least[0] || above_least[1])
            }
            Prim::Unscaled => {
                let [a, _, _] = take(&mut args);
                self.changed = Changed::Yes;
                match imm[0] {
                    by if by.count_ones() == 1 => binary(Prim::Asr, a, int(by.trailing_zeros() as i32)),
                    by => binary(Prim::Div, a, int(by)),
                }
            }
            Prim::RoundShift => {
                let [a, by] = take(&mut args);
                self.changed = Changed::Yes;
                self.round_shift(a, by, above_least[0])
            }
            _ => Expr::Op { prim, args, imm },
        }
    }

    fn requantize(
        &mut self,
        a: Expr,
        m: Expr,
        s: Expr,
        [zero, min, max]: [i32; 3],
        above_least: &[bool],
    ) -> Expr {
        let s = self.within_a_word(s);
        let shifts = self.values(&s);
        let goes_left = shifts.as_ref().is_none_or(|shifts| shifts.iter().any(|shift| *shift > 0));
        let (a, a_above_least) = match goes_left {
            true => (binary(Prim::Shl, a, self.derive(&s, Form::Left)), false),
            false => (a, above_least[0]),
        };
        let t = self.doubling_high_mul(a, m, a_above_least || above_least[1]);
        let rounds_far = shifts.is_some_and(|shifts| shifts.iter().all(|shift| (-31..=-2).contains(shift)));
        let scaled = if rounds_far {
            // What is below the zero point may be off by one where `min` hides it.
            let hides_sign = min >= zero && (-(1 << 30)..=1 << 30).contains(&zero);
            let t = if hides_sign { t } else { self.less_sign(t) };
            let scale = self.derive(&s, Form::Scale);
            match zero {
                0 => binary(Prim::MulHighRound, t, scale),
                _ => op(Prim::MulHighAddRound, [int(zero), t, scale]),
            }
        } else {
            let right = self.derive(&s, Form::Right);
            add(self.round_shift(t, right, true), int(zero))
        };
        clamp(scaled, min, max)
    }

    /// The nearest amount from -31 to 31, which a shift counts as.
    fn within_a_word(&mut self, s: Expr) -> Expr {
        let known = self.values(&s);
        match (s, known) {
            (Expr::Int(shift, ty), _) => Expr::Int(shift.clamp(-31, 31), ty),
            (s, Some(shifts)) if shifts.iter().all(|shift| (-31..=31).contains(shift)) => s,
            (s, _) => self.name(binary(Prim::Max, binary(Prim::Min, s, int(31)), int(-31))),
        }
    }

    /// `never_both_least` says that at most one operand is the least `i32`: only then the reference does not saturate.
    fn doubling_high_mul(&mut self, a: Expr, b: Expr, never_both_least: bool) -> Expr {
        let is_const = |values: &Option<Vec<i64>>| values.is_some();
        let (a_values, b_values) = (self.values(&a), self.values(&b));
        let (a, b, values) =
            if is_const(&a_values) && !is_const(&b_values) { (b, a, a_values) } else { (a, b, b_values) };
        let all = |low: i64, high: i64| {
            values.as_ref().is_some_and(|values| values.iter().all(|value| (low..high).contains(value)))
        };
        if all(1 << 30, 1 << 31) {
            let a = self.name(a);
            let doubled = self.derive(&b, Form::Doubled);
            return op(Prim::MulHighAddRound, [a.clone(), a, doubled]);
        }
        if all(-(1 << 30), 1 << 30) {
            let doubled = self.derive(&b, Form::Doubled);
            return binary(Prim::MulHighRound, a, doubled);
        }
        let product = op(Prim::Add, [op(Prim::MulWide, [a, b]), Expr::Int(1 << 30, Ty::I64)]);
        let product = self.name(product);
        let high = binary(Prim::Shl, op(Prim::Hi, [product.clone()]), int(1));
        let rounded = binary(Prim::Or, high, binary(Prim::Lsr, op(Prim::Lo, [product]), int(31)));
        if never_both_least {
            return rounded;
        }
        // No other product is rounded to the least word.
        let rounded = self.name(rounded);
        let saturates = op(Prim::Eq, [rounded.clone(), int(i32::MIN)]);
        op(Prim::Select, [saturates, int(i32::MAX), rounded])
    }

    fn round_shift(&mut self, a: Expr, by: Expr, above_least: bool) -> Expr {
        let shifts = self.values(&by);
        let all = |low: i64| shifts.as_ref().is_some_and(|s| s.iter().all(|s| (low..=31).contains(s)));
        match by {
            Expr::Int(0, _) => a,
            Expr::Int(1, _) if above_least => {
                let a = self.less_sign(a);
                let a = self.name(a);
                add(binary(Prim::Asr, a.clone(), int(1)), binary(Prim::And, a, int(1)))
            }
            Expr::Int(by, _) if all(2) && above_least => {
                let a = self.less_sign(a);
                binary(Prim::MulHighRound, a, int(1 << (32 - by)))
            }
            by => self.round_shift_by_any(a, by),
        }
    }

    /// One more where the bits shifted out are above the half, which counts one more for a negative number.
    fn round_shift_by_any(&mut self, a: Expr, by: Expr) -> Expr {
        let (a, by) = (self.name(a), self.name(by));
        let mask = match by {
            Expr::Int(by, _) => int((((1u64 << (by & 31)) - 1) as u32) as i32),
            _ => self.name(binary(Prim::Sub, binary(Prim::Shl, int(1), by.clone()), int(1))),
        };
        let half = match mask {
            Expr::Int(mask, _) => int(mask as i32 >> 1),
            _ => binary(Prim::Asr, mask.clone(), int(1)),
        };
        let threshold = binary(Prim::Sub, half, binary(Prim::Asr, a.clone(), int(31)));
        let rest = binary(Prim::And, a.clone(), mask);
        let is_above = binary(Prim::Lsr, binary(Prim::Sub, threshold, rest), int(31));
        add(binary(Prim::Asr, a, by), is_above)
    }

    /// `t - [t < 0]`, for a `t` that is not the least `i32`.
    fn less_sign(&mut self, t: Expr) -> Expr {
        let t = self.name(t);
        add(t.clone(), binary(Prim::Asr, t, int(31)))
    }

    /// The value under a name, so that it can be used twice; literals need none.
    fn name(&mut self, value: Expr) -> Expr {
        match value {
            Expr::Int(..) | Expr::Local(..) => value,
            value => {
                let ty = self.nest.ty(&value);
                let local = fresh_local(self.nest, "t", ty);
                self.lets.push(Stmt::Let(local, value));
                Expr::Local(local, Vec::new())
            }
        }
    }

    /// Every value that a constant operand can have; `None` for one that is not known here.
    fn values(&self, expr: &Expr) -> Option<Vec<i64>> {
        match expr {
            Expr::Int(value, _) => Some(vec![*value]),
            Expr::Load(Access { buffer, border: None, ty: Ty::I32, .. }) => self.contents(*buffer),
            extended => self.contents(self.narrow_constant(extended)?.buffer),
        }
    }

    /// The elements of a constant of scalars, in any order.
    fn contents(&self, buffer: BufferId) -> Option<Vec<i64>> {
        let Buffer { elem, role: Role::Const(_), .. } = self.nest.buffers[buffer.idx()] else { return None };
        let bytes = interp::eval_const(self.nest, buffer).ok()?;
        Some(bytes.chunks_exact(elem.bytes()).map(|bytes| little_endian(elem, bytes)).collect())
    }

    /// The element of a constant of bytes or halfwords that is extended to a word.
    fn narrow_constant<'e>(&self, expr: &'e Expr) -> Option<&'e Access> {
        let Expr::Op { prim, args, .. } = expr else { return None };
        let [Expr::Load(access)] = &args[..] else { return None };
        let of_type =
            matches!((prim, access.ty), (Prim::Sext, Ty::I8 | Ty::I16) | (Prim::Zext, Ty::U8 | Ty::U16));
        let is_const = self.nest.buffers[access.buffer.idx()].is_const() && access.border.is_none();
        (of_type && is_const).then_some(access)
    }

    /// Whether a value, composites not yet expanded, is never the least `i32`.
    fn is_above_least(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Local(local, _) => self.above_least.contains(local),
            Expr::Op { prim: Prim::Sext | Prim::Zext | Prim::DoublingHighMul | Prim::Clz, .. } => true,
            Expr::Op { prim: Prim::MulHighRound, .. } => true, // At most 2^30 away from zero.
            Expr::Op { prim: Prim::Requantize, imm, .. } => imm[1] > i32::MIN,
            Expr::Lookup(buffer, _) => all_above_least(self.contents(*buffer)),
            constant => all_above_least(self.values(constant)),
        }
    }

    /// The operand in another form: a literal, a constant made at compile time, or an expression.
    fn derive(&mut self, expr: &Expr, form: Form) -> Expr {
        match expr {
            Expr::Int(value, _) => int(form.of(*value as i32)),
            Expr::Load(access)
                if self.nest.buffers[access.buffer.idx()].is_const() && access.border.is_none() =>
            {
                let buffer = self.derived_const(access.buffer, form);
                let border = None;
                Expr::Load(Access { buffer, index: access.index.clone(), ty: Ty::I32, border })
            }
            other => match (self.narrow_constant(other), form) {
                (Some(access), Form::Scale) => {
                    binary(Prim::Shl, int(1), self.derived_byte(access, Form::Power))
                }
                (Some(access), Form::Left | Form::Right) => self.derived_byte(access, form),
                _ => form.expr(other.clone()),
            },
        }
    }

    /// An element of a narrow constant in a form that is a byte, as shifts within a word are.
    fn derived_byte(&mut self, access: &Access, form: Form) -> Expr {
        let buffer = self.derived_const(access.buffer, form);
        let load = Access { buffer, index: access.index.clone(), ty: Ty::U8, border: None };
        Expr::Op { prim: Prim::Zext, args: vec![Expr::Load(load)], imm: Vec::new() }
    }

    fn derived_const(&mut self, source: BufferId, form: Form) -> BufferId {
        if let Some(made) = self.derived.get(&(source, form)) {
            return *made;
        }
        let Buffer { name, shape, elem, .. } = self.nest.buffers[source.idx()].clone();
        let name = fresh_name(self.nest, &format!("{name}_{}", form.suffix()));
        let made_elem = if elem == Ty::I32 { elem } else { Ty::U8 };
        let mut made = Buffer::new(name.clone(), made_elem, &shape, Role::Scratch);
        let made_id = BufferId::new(self.nest.buffers.len());
        let vars: Vec<_> =
            (0..shape.len()).map(|dim| fresh_var(self.nest, &format!("{name}_{dim}"))).collect();
        let access = |buffer, ty| {
            let index = vars.iter().map(|var| Index::var(*var)).collect();
            Access { buffer, index, ty, border: None }
        };
        let element = extended(Expr::Load(access(source, elem)), elem);
        let store = Stmt::Store(access(made_id, made_elem), form.expr(element));
        let nested = vars.iter().zip(&shape).rev().fold(vec![store], |body, (var, extent)| {
            vec![Stmt::For(Loop { var: *var, extent: *extent, unroll: false }, body)]
        });
        made.role = Role::Const(Init::Nest(nested));
        self.nest.add_buffer(made);
        self.derived.insert((source, form), made_id);
        made_id
    }
}

impl Form {
    fn suffix(self) -> &'static str {
        match self {
            Form::Doubled => "doubled",
            Form::Left => "left",
            Form::Right => "right",
            Form::Scale => "scale",
            Form::Power => "power",
        }
    }

    fn of(self, x: i32) -> i32 {
        match self {
            Form::Doubled => x.wrapping_shl(1),
            Form::Left => x.max(0),
            Form::Right => x.saturating_neg().max(0),
            Form::Power => 32i32.wrapping_add(x),
            Form::Scale => 1i32.wrapping_shl(32i32.wrapping_add(x) as u32),
        }
    }

    fn expr(self, x: Expr) -> Expr {
        match self {
            Form::Doubled => binary(Prim::Shl, x, int(1)),
            Form::Left => binary(Prim::Max, x, int(0)),
            Form::Right => binary(Prim::Max, binary(Prim::Sub, int(0), x), int(0)),
            Form::Power => add(x, int(32)),
            Form::Scale => binary(Prim::Shl, int(1), add(x, int(32))),
        }
    }
}

/// The value limited to `[min, max]`, with one saturation where these are the limits of a width.
fn clamp(value: Expr, min: i32, max: i32) -> Expr {
    let saturate = |prim, bits| Expr::Op { prim, args: vec![value.clone()], imm: vec![bits, 0] };
    let signed = |bits: i32| (-(1i64 << (bits - 1)), (1i64 << (bits - 1)) - 1);
    let unsigned = |bits: i32| (0, (1i64 << bits) - 1);
    let range = (i64::from(min), i64::from(max));
    if range == signed(32) {
        return value;
    }
    if let Some(bits) = (1..32).find(|bits| range == signed(*bits)) {
        return saturate(Prim::Ssat, bits);
    }
    if let Some(bits) = (1..32).find(|bits| range == unsigned(*bits)) {
        return saturate(Prim::Usat, bits);
    }
    match (min, max) {
        (-128, ..127) => binary(Prim::Min, saturate(Prim::Ssat, 8), int(max)),
        (-127.., 127) => binary(Prim::Max, saturate(Prim::Ssat, 8), int(min)),
        _ => binary(Prim::Min, binary(Prim::Max, value, int(min)), int(max)),
    }
}

fn all_above_least(values: Option<Vec<i64>>) -> bool {
    values.is_some_and(|values| values.iter().all(|value| *value > i64::from(i32::MIN)))
}

fn take<const N: usize>(args: &mut Vec<Expr>) -> [Expr; N] {
    std::mem::take(args).try_into().expect("the verifier checked the number of operands")
}

fn int(value: i32) -> Expr {
    Expr::Int(value.into(), Ty::I32)
}

fn add(a: Expr, b: Expr) -> Expr {
    if b == int(0) { a } else { binary(Prim::Add, a, b) }
}

fn binary(prim: Prim, a: Expr, b: Expr) -> Expr {
    op(prim, [a, b])
}

fn op<const N: usize>(prim: Prim, args: [Expr; N]) -> Expr {
    Expr::Op { prim, args: args.into(), imm: Vec::new() }
}
