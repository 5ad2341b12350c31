//! The form of a nest: what is left of it without its numbers, as text. Nests of one form are [`super::alike`] as soon as the tables that
//! they read have the same element types.
//!
//! Loops, values and buffers are numbered as they occur. Left out are names and the contents of constants, literals, extents of loops
//! that are not unrolled, shapes and storage maps, the indices of accesses to memory, and how elements of constants become the words
//! that they are read as: of a wider type, or as the exponent of a power of two.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Access, Buffer, BufferId, Expr, Index, LocalId, Loop, Nest, Prim, Reduce, Role, Stmt, VarId};
use crate::ty::Ty;

/// The form of a nest.
pub fn form(nest: &Nest) -> String {
    let mut form = Form::new(nest);
    form.stmts(&nest.body);
    form.text
}

struct Form<'a> {
    nest: &'a Nest,
    text: String,
    vars: BTreeMap<VarId, usize>,
    locals: BTreeMap<LocalId, usize>,
    buffers: BTreeMap<BufferId, usize>,
}

impl<'a> Form<'a> {
    fn new(nest: &'a Nest) -> Self {
        let (vars, locals, buffers) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { nest, text: String::new(), vars, locals, buffers }
    }

    fn write(&mut self, text: impl std::fmt::Display) {
        let _ = write!(self.text, "{text} "); // A string takes everything.
    }

    fn stmts(&mut self, block: &[Stmt]) {
        self.write('{');
        block.iter().for_each(|stmt| self.stmt(stmt));
        self.write('}');
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::For(l, body) => {
                self.write("for");
                self.around(l);
                self.stmts(body);
            }
            Stmt::Reduce(reduce) => self.reduce(reduce),
            Stmt::Let(local, value) => {
                self.write("let");
                self.local(*local);
                self.expr(value);
            }
            Stmt::Set(local, at, value) => {
                self.write("set");
                self.local(*local);
                self.indices(at);
                self.expr(value);
            }
            Stmt::Store(access, value) => {
                self.write("store");
                self.expr(value);
                self.access(access);
            }
        }
    }

    fn reduce(&mut self, reduce: &Reduce) {
        self.write("reduce");
        reduce.carried.iter().for_each(|local| self.local(*local));
        reduce.loops.iter().for_each(|l| self.around(l));
        [&reduce.init, &reduce.update, &reduce.finish].into_iter().for_each(|block| self.stmts(block));
    }

    fn around(&mut self, l: &Loop) {
        let number = self.vars.len();
        let number = *self.vars.entry(l.var).or_insert(number);
        self.write(format_args!("l{number}"));
        if l.unroll {
            self.write(format_args!("unroll {}", l.extent));
        }
    }

    fn expr(&mut self, expr: &Expr) {
        if let Some(table) = self.element(expr) {
            self.write("element");
            return self.numbered(table);
        }
        match expr {
            Expr::Int(_, ty) => self.write(ty),
            Expr::Index(_) => self.write("index"),
            Expr::Local(local, at) => {
                self.local(*local);
                self.indices(at);
            }
            Expr::Load(access) => {
                self.write("load");
                self.access(access);
            }
            Expr::Lookup(buffer, at) => {
                self.write("lookup");
                self.buffer(*buffer);
                self.expr(at);
            }
            Expr::Op { prim, args, imm } => {
                self.write(format_args!("{} {imm:?} (", prim.row().name));
                args.iter().for_each(|arg| self.expr(arg));
                self.write(')');
            }
        }
    }

    /// The constant of which an expression is an element, as a word.
    fn element(&self, expr: &Expr) -> Option<BufferId> {
        match expr {
            Expr::Load(Access { buffer, ty: Ty::I32, border: None, .. }) => {
                self.nest.buffers[buffer.idx()].is_const().then_some(*buffer)
            }
            Expr::Op { prim: Prim::Sext | Prim::Zext, args, .. } => match &args[..] {
                [Expr::Load(Access { buffer, ty, border: None, .. })] if ty.lanes() == 1 => {
                    self.nest.buffers[buffer.idx()].is_const().then_some(*buffer)
                }
                _ => None,
            },
            Expr::Op { prim: Prim::Shl, args, .. } => match &args[..] {
                [Expr::Int(1, _), exponent] => self.element(exponent),
                _ => None,
            },
            _ => None,
        }
    }

    fn numbered(&mut self, id: BufferId) {
        let number = self.buffers.len();
        let number = *self.buffers.entry(id).or_insert(number);
        self.write(format_args!("b{number}"));
    }

    fn access(&mut self, access: &Access) {
        self.buffer(access.buffer);
        self.write(access.ty);
        self.write(format_args!("{:?}", access.border));
    }

    fn buffer(&mut self, id: BufferId) {
        self.numbered(id);
        let Buffer { elem, role, .. } = &self.nest.buffers[id.idx()];
        let role = match role {
            Role::Param => "tensor",
            Role::Scratch => "scratch",
            Role::Const(_) => "const",
        };
        self.write(format_args!("{elem} {role}"));
    }

    fn local(&mut self, id: LocalId) {
        let number = self.locals.len();
        let number = *self.locals.entry(id).or_insert(number);
        let local = &self.nest.locals[id.idx()];
        self.write(format_args!("v{number} {} {:?} {}", local.ty, local.shape, local.parked));
    }

    /// Indices of registers.
    fn indices(&mut self, at: &[Index]) {
        for index in at {
            let numbered =
                index.substitute(&|var| Index::var(VarId::new(self.vars.get(&var).copied().unwrap_or(0))));
            self.write(format_args!("[{numbered:?}]"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loops::alike::Alike;
    use crate::loops::text::parse_nest;

    fn nest(pixels: u32, steps: u32, shift: u32) -> Nest {
        let text = format!(
            "loops @f{pixels}(x: i8[{pixels}, {steps}], y: i8[{pixels}]) {{
               const w: i8[{steps}] = hex\"{}\"
               for p in 0..{pixels} {{
                 reduce a: i32[2] over k in 0..{steps} {{
                   init {{ a[0] = {shift} a[1] = 0 }}
                   update {{ for t in 0..2 unroll {{ a[t] = add a[t], mul(sext(x[p, k]), sext(w[k])) }} }}
                   finish {{ y[p] = ssat add(a[0], a[1]) {{bits = 8, asr = {shift}}} }}
                 }}
               }}
             }}",
            "01".repeat(steps as usize)
        );
        parse_nest(&text).expect("a nest")
    }

    #[test]
    fn how_tables_are_stored_is_no_part_of_the_form() {
        let nest = |ty: &str, bytes: &str, element: &str| {
            let text = format!(
                "loops @f(x: i32[2], y: i32[2]) {{
                   const w: {ty}[2] = hex\"{bytes}\"
                   for n in 0..2 {{ y[n] = mul x[n], {element} }}
                 }}"
            );
            form(&parse_nest(&text).expect("a nest"))
        };
        let words = nest("i32", "0200000004000000", "w[n]");
        assert_eq!(nest("u8", "0204", "zext(w[n])"), words);
        assert_eq!(nest("u8", "0102", "shl(1, zext(w[n]))"), words);
        assert_ne!(nest("u8", "0102", "shl(2, zext(w[n]))"), words);
    }

    #[test]
    fn nests_of_one_form_are_alike_and_others_are_not() {
        let first = nest(4, 6, 3);
        for (other, is_alike) in [(nest(5, 9, 3), true), (nest(4, 6, 4), false)] {
            assert_eq!(form(&first) == form(&other), is_alike);
            assert_eq!(Alike::new(&first, &other).is_ok(), is_alike);
        }
    }
}
