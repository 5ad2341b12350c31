//! Which names are legal, and how the printer names things so that the text says what the data says.
//!
//! Ids tell variables and values apart whatever they are called; in text only the name does. Where two things with one
//! name would be visible at once, the second is printed as `name.1`.

use std::collections::BTreeSet;

use super::super::{Index, LocalId, Loop, Nest, Prim, Stmt, VarId};
use crate::text::{Tok, lex};

/// Words that begin something else than a name.
const WORDS: &[&str] = &[
    "align", "as", "const", "div", "else", "finish", "for", "in", "index", "init", "lookup", "loops", "map",
    "mod", "over", "program", "reduce", "scratch", "slack", "unroll", "update", "within",
];

/// Whether something may be called `name`: an identifier that is neither a word of the language nor an operation.
pub fn is_legal_name(name: &str) -> bool {
    let is_identifier = || match lex(name).as_deref() {
        Ok([token, end]) => token.tok == Tok::Ident(name) && end.tok == Tok::End,
        _ => false,
    };
    !WORDS.contains(&name) && Prim::parse(name).is_none() && is_identifier()
}

/// The names that a nest is printed with.
pub(super) struct Names {
    /// By buffer.
    pub buffers: Vec<String>,
    /// By loop variable.
    pub vars: Vec<String>,
    /// By local.
    pub locals: Vec<String>,
    /// By loop variable: its id after reading the text back, which decides the order of an index's terms.
    order: Vec<VarId>,
    /// By number in that order: the variable.
    met: Vec<VarId>,
}

impl Names {
    /// Chooses the names of a nest.
    pub fn of(nest: &Nest) -> Self {
        let mut chooser =
            Chooser { nest, taken: BTreeSet::new(), visible: Vec::new(), names: Self::plain(nest) };
        for idx in 0..nest.buffers.len() {
            chooser.names.buffers[idx] = chooser.choose(&nest.buffers[idx].name);
        }
        for (_, block) in nest.const_nests() {
            chooser.block(block);
        }
        chooser.block(&nest.body);
        chooser.names
    }

    /// The index with its variables numbered as they appear in the text.
    pub fn ordered(&self, index: &Index) -> Index {
        index.substitute(&|var| Index::var(self.order.get(var.idx()).copied().unwrap_or(var)))
    }

    /// The name of a variable that [`Self::ordered`] has numbered.
    pub fn ordered_var(&self, var: VarId) -> &str {
        self.met.get(var.idx()).map_or("?", |var| &self.vars[var.idx()])
    }

    fn plain(nest: &Nest) -> Self {
        let unused = |idx| VarId::new(nest.vars.len() + idx);
        Self {
            buffers: vec![String::new(); nest.buffers.len()],
            vars: nest.vars.clone(),
            locals: nest.locals.iter().map(|local| local.name.clone()).collect(),
            order: (0..nest.vars.len()).map(unused).collect(),
            met: Vec::new(),
        }
    }
}

/// Walks a nest with the set of names visible.
struct Chooser<'n> {
    nest: &'n Nest,
    taken: BTreeSet<String>,
    visible: Vec<String>,
    names: Names,
}

impl Chooser<'_> {
    fn block(&mut self, block: &[Stmt]) {
        let outside = self.visible.len();
        for stmt in block {
            match stmt {
                Stmt::For(head, body) => {
                    let outside = self.visible.len();
                    self.enter_loop(head);
                    self.block(body);
                    self.leave(outside);
                }
                Stmt::Reduce(reduce) => {
                    let outside = self.visible.len();
                    reduce.carried.iter().for_each(|local| self.enter_local(*local));
                    self.block(&reduce.init);
                    let inside = self.visible.len();
                    reduce.loops.iter().for_each(|head| self.enter_loop(head));
                    self.block(&reduce.update);
                    self.leave(inside);
                    self.block(&reduce.finish);
                    self.leave(outside);
                }
                Stmt::Let(local, _) => self.enter_local(*local),
                Stmt::Set(..) | Stmt::Store(..) => {}
            }
        }
        self.leave(outside);
    }

    fn enter_loop(&mut self, head: &Loop) {
        let var = head.var.idx();
        self.names.vars[var] = self.choose(&self.nest.vars[var]);
        self.names.order[var] = VarId::new(self.names.met.len());
        self.names.met.push(head.var);
    }

    fn enter_local(&mut self, local: LocalId) {
        self.names.locals[local.idx()] = self.choose(&self.nest.locals[local.idx()].name);
    }

    fn leave(&mut self, outside: usize) {
        for name in self.visible.drain(outside..) {
            self.taken.remove(&name);
        }
    }

    /// `wish`, or the first of `wish.1`, `wish.2`, … that nothing visible is called.
    fn choose(&mut self, wish: &str) -> String {
        let mut name = wish.to_string();
        let mut count = 0;
        while !self.taken.insert(name.clone()) {
            count += 1;
            name = format!("{wish}.{count}");
        }
        self.visible.push(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loops::Expr;
    use crate::loops::text::parse_nest;
    use crate::ty::Ty;

    #[test]
    fn names_are_told_apart_only_where_both_are_visible() {
        let mut nest = Nest::new("f");
        let vars: Vec<_> = (0..3).map(|_| nest.add_var("i")).collect();
        let locals: Vec<_> = (0..3).map(|_| nest.add_local("v", Ty::I32, &[])).collect();
        let head = |var: usize| Loop { var: vars[var], extent: 2, unroll: false };
        let of_var = |var: usize| Expr::Index(Index::var(vars[0]).add(&Index::var(vars[var]).scale(3)));
        // The inner loop has a smaller id than the outer one: the text must not depend on ids.
        let inner =
            vec![Stmt::Let(locals[0], of_var(2)), Stmt::Let(locals[1], Expr::Local(locals[0], vec![]))];
        nest.body = vec![
            Stmt::For(head(2), vec![Stmt::For(head(0), inner)]),
            Stmt::For(head(1), vec![Stmt::Let(locals[2], Expr::Int(1, Ty::I32))]),
        ];
        let text = nest.to_string();
        let expected = "loops @f() {
  for i in 0..2 {
    for i.1 in 0..2 {
      v: i32 = index(3*i + i.1)
      v.1: i32 = v
    }
  }
  for i in 0..2 { v: i32 = 1 }
}
";
        assert_eq!(text, expected);
        assert_eq!(parse_nest(&text).unwrap().to_string(), text);
    }

    #[test]
    fn words_of_the_language_are_no_names() {
        for (name, legal) in
            [("o.i", true), ("x_1", true), ("for", false), ("add", false), ("1x", false), ("a-b", false)]
        {
            assert_eq!(is_legal_name(name), legal, "{name}");
        }
    }
}
