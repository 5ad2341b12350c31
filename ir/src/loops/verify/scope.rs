//! Statements: what is visible where, what is defined, what may be set.

use super::super::text::is_legal_name;
use super::super::walk::{self, StmtNo};
use super::super::{BufferId, Expr, Index, Local, LocalId, Loop, MOST_ITERATIONS, Reduce, Stmt};
use super::{Site, Verifier};

/// What is known of a local.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing has defined it yet.
    Unknown,
    /// A `let` has.
    Defined,
    /// The `reduce` that carries it is around.
    Carried,
    /// Its block has ended.
    Ended,
}

impl Verifier<'_> {
    /// Checks a block whose first statement has the number `first`; gives the number behind the last.
    pub(super) fn block(&mut self, block: &[Stmt], first: StmtNo) -> StmtNo {
        let mut no = first;
        for stmt in block {
            self.site = Site::Stmt(no);
            self.stmt(stmt, no);
            no = no.after(walk::count(std::slice::from_ref(stmt)));
        }
        for stmt in block {
            if let Stmt::Let(local, _) = stmt {
                self.locals[local.idx()] = State::Ended;
            }
        }
        no
    }

    fn stmt(&mut self, stmt: &Stmt, no: StmtNo) {
        match stmt {
            Stmt::For(head, body) => {
                self.enter_loop(head);
                self.block(body, no.after(1));
                self.vars[head.var.idx()] = None;
            }
            Stmt::Reduce(reduce) => self.reduce(reduce, no),
            Stmt::Let(local, value) => self.define(*local, value),
            Stmt::Set(local, at, value) => self.set(*local, at, value),
            Stmt::Store(access, value) => {
                let found = self.value(value);
                self.store_target(access);
                let wanted = access.ty;
                let narrows = |ty| {
                    ty == crate::ty::Ty::I32
                        && wanted.lanes() == 1
                        && wanted.range().is_some()
                        && wanted.bytes() < 4
                };
                if let Some(found) = found.filter(|ty| *ty != wanted && !narrows(*ty)) {
                    let name = self.buffer_name(access.buffer);
                    self.error(format!("`{found}` is stored to `{name}`, expected `{wanted}`"));
                }
            }
        }
    }

    fn reduce(&mut self, reduce: &Reduce, no: StmtNo) {
        if reduce.carried.is_empty() {
            self.error("a `reduce` carries at least one value");
        }
        for local in &reduce.carried {
            self.start_local(*local, State::Carried);
            let registers: u32 = self.nest.locals[local.idx()].shape.iter().product();
            self.initialising.insert(local.idx(), vec![false; registers as usize]);
        }
        let after_init = self.block(&reduce.init, no.after(1));
        self.site = Site::Stmt(no);
        for local in &reduce.carried {
            let set = self.initialising.remove(&local.idx()).unwrap_or_default();
            if let Some(missing) = set.iter().position(|set| !set) {
                let Local { name, shape, .. } = &self.nest.locals[local.idx()];
                let register = register_text(name, shape, missing);
                self.error(format!("`init` does not set `{register}`"));
            }
        }
        for head in &reduce.loops {
            self.enter_loop(head);
        }
        let after_update = self.block(&reduce.update, after_init);
        for head in &reduce.loops {
            self.vars[head.var.idx()] = None;
        }
        self.block(&reduce.finish, after_update);
        for local in &reduce.carried {
            self.locals[local.idx()] = State::Ended;
        }
    }

    fn enter_loop(&mut self, head: &Loop) {
        let var = head.var.idx();
        let name = &self.nest.vars[var];
        if !is_legal_name(name) {
            self.error(format!("`{name}` is no legal name"));
        }
        if self.bound[var] {
            self.error(format!("two loops have the same variable `{name}` ({})", head.var));
        }
        if head.extent == 0 || head.extent > MOST_ITERATIONS {
            let extent = head.extent;
            self.error(format!("the loop `{name}` has {extent} iterations, expected 1 to {MOST_ITERATIONS}"));
        }
        self.bound[var] = true;
        self.vars[var] = Some(head.extent.clamp(1, MOST_ITERATIONS));
    }

    fn start_local(&mut self, local: LocalId, state: State) {
        let name = &self.nest.locals[local.idx()].name;
        if !is_legal_name(name) {
            self.error(format!("`{name}` is no legal name"));
        }
        if self.locals[local.idx()] != State::Unknown {
            self.error(format!("`{name}` ({local}) is defined a second time"));
        }
        self.locals[local.idx()] = state;
    }

    fn define(&mut self, local: LocalId, value: &Expr) {
        let found = self.value(value);
        let Local { name, ty, shape, .. } = &self.nest.locals[local.idx()];
        if !shape.is_empty() {
            self.error(format!("`{name}` is a block of registers, which only a `reduce` carries"));
        }
        if let Some(found) = found.filter(|found| found != ty) {
            self.error(format!("`{name}` is `{ty}`, its value `{found}`"));
        }
        self.start_local(local, State::Defined);
    }

    fn set(&mut self, local: LocalId, at: &[Index], value: &Expr) {
        let found = self.value(value);
        let Local { name, ty, .. } = &self.nest.locals[local.idx()];
        match self.locals[local.idx()] {
            State::Carried => {}
            State::Defined => self.error(format!("`{name}` is defined by a `let` and cannot be set")),
            State::Unknown | State::Ended => self.error(format!("`{name}` is set outside of its `reduce`")),
        }
        if let Some(found) = found.filter(|found| found != ty) {
            self.error(format!("`{name}` is `{ty}`, its value `{found}`"));
        }
        if self.registers(local, at) {
            let touched = self.touched(local, at);
            if let Some(set) = self.initialising.get_mut(&local.idx()) {
                touched.into_iter().for_each(|register| set[register] = true);
            }
        }
    }

    /// Checks that a local may be read here.
    pub(super) fn read(&mut self, local: LocalId, at: &[Index]) {
        let name = &self.nest.locals[local.idx()].name;
        match self.locals[local.idx()] {
            State::Defined | State::Carried => {}
            State::Unknown => self.error(format!("`{name}` ({local}) is used before it is defined")),
            State::Ended => self.error(format!("`{name}` ({local}) is used behind the end of its block")),
        }
        if self.registers(local, at) {
            let touched = self.touched(local, at);
            let unset =
                self.initialising.get(&local.idx()).is_some_and(|set| touched.iter().any(|at| !set[*at]));
            if unset {
                self.error(format!("`init` reads `{name}` before it sets it"));
            }
        }
    }

    /// Checks the indices into a block of registers.
    fn registers(&mut self, local: LocalId, at: &[Index]) -> bool {
        let Local { name, shape, .. } = &self.nest.locals[local.idx()];
        if at.len() != shape.len() {
            self.error(format!("`{name}` has {} dimensions, found {} indices", shape.len(), at.len()));
            return false;
        }
        let mut inside = true;
        for (index, extent) in at.iter().zip(shape) {
            inside &= self.inside(name, index, *extent);
        }
        inside
    }

    /// The registers of a block that indices, which are inside, reach over all iterations.
    fn touched(&self, local: LocalId, at: &[Index]) -> Vec<usize> {
        let shape = &self.nest.locals[local.idx()].shape;
        if !self.initialising.contains_key(&local.idx()) {
            return Vec::new();
        }
        let flat = at
            .iter()
            .zip(shape)
            .fold(Index::constant(0), |flat, (index, extent)| flat.scale(i64::from(*extent)).add(index));
        self.points(&flat).unwrap_or_default().into_iter().map(|point| point as usize).collect()
    }

    pub(super) fn buffer_name(&self, buffer: BufferId) -> String {
        self.nest.buffers[buffer.idx()].name.clone()
    }
}

/// `a[0, 1]`, or `m` for a single value.
fn register_text(name: &str, shape: &[u32], flat: usize) -> String {
    let mut rest = flat;
    let mut at = Vec::new();
    for extent in shape.iter().rev() {
        at.insert(0, (rest % *extent as usize).to_string());
        rest /= *extent as usize;
    }
    if at.is_empty() { name.to_string() } else { format!("{name}[{}]", at.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::super::verify;
    use super::*;
    use crate::loops::{Access, Buffer, Nest, Role, VarId};
    use crate::ty::Ty;

    /// What text cannot say: `body` builds statements with the ids of two variables, two locals and a buffer.
    fn messages(body: impl Fn([VarId; 2], [LocalId; 2], BufferId) -> Vec<Stmt>) -> Vec<String> {
        let mut nest = Nest::new("f");
        let y = nest.add_buffer(Buffer::new("y", Ty::I32, &[4], Role::Param));
        let vars = [nest.add_var("i"), nest.add_var("j")];
        let locals = [nest.add_local("a", Ty::I32, &[]), nest.add_local("b", Ty::I32, &[])];
        nest.body = body(vars, locals, y);
        verify(&nest).into_iter().map(|error| error.message).collect()
    }

    fn for_loop(var: VarId, body: Vec<Stmt>) -> Stmt {
        Stmt::For(Loop { var, extent: 4, unroll: false }, body)
    }

    fn store(buffer: BufferId, at: Index, value: Expr) -> Stmt {
        Stmt::Store(Access { buffer, index: vec![at], ty: Ty::I32, border: None }, value)
    }

    fn one() -> Expr {
        Expr::Int(1, Ty::I32)
    }

    #[test]
    fn variables_belong_to_one_loop() {
        let found = messages(|[i, _], _, _| vec![for_loop(i, vec![]), for_loop(i, vec![])]);
        assert_eq!(found, ["`@f`, statement s1: two loops have the same variable `i` (v0)"]);
        let found = messages(|[i, j], _, y| {
            vec![for_loop(i, vec![store(y, Index::var(j), one())]), store(y, Index::var(i), one())]
        });
        let expected = [
            "`@f`, statement s1: `j` (v1) is used outside of its loop",
            "`@f`, statement s2: `i` (v0) is used outside of its loop",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn values_are_defined_once_and_before_their_use() {
        let read = |local| Expr::Local(local, vec![]);
        let found = messages(|[i, _], [a, b], y| {
            vec![
                store(y, Index::constant(0), read(a)),
                for_loop(i, vec![Stmt::Let(a, one()), Stmt::Let(a, one())]),
                store(y, Index::constant(0), read(a)),
                Stmt::Let(b, read(b)),
                Stmt::Set(b, vec![], one()),
            ]
        });
        let expected = [
            "`@f`, statement s0: `a` (l0) is used before it is defined",
            "`@f`, statement s3: `a` (l0) is defined a second time",
            "`@f`, statement s4: `a` (l0) is used behind the end of its block",
            "`@f`, statement s5: `b` (l1) is used before it is defined",
            "`@f`, statement s6: `b` is defined by a `let` and cannot be set",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn carried_values_end_with_their_reduction() {
        let found = messages(|_, [a, _], _| {
            let set = |value| Stmt::Set(a, vec![], value);
            let init = vec![set(one())];
            let reduce = Reduce { carried: vec![a], loops: vec![], init, update: vec![], finish: vec![] };
            vec![set(one()), Stmt::Reduce(reduce), set(one())]
        });
        let expected = [
            "`@f`, statement s0: `a` is set outside of its `reduce`",
            "`@f`, statement s3: `a` is set outside of its `reduce`",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn names_are_legal_and_parameters_come_first() {
        let mut nest = Nest::new("f g");
        nest.add_buffer(Buffer::new("s", Ty::I32, &[4], Role::Scratch));
        nest.add_buffer(Buffer::new("s", Ty::I32, &[4], Role::Param));
        let (var, local) = (nest.add_var("for"), nest.add_local("a b", Ty::I32, &[]));
        nest.body = vec![for_loop(var, vec![Stmt::Let(local, one())])];
        let found: Vec<_> = verify(&nest).into_iter().map(|error| error.message).collect();
        let expected = [
            "`@f g`: `f g` is no C identifier",
            "`@f g`, buffer `s`: there are two buffers `s`",
            "`@f g`, buffer `s`: the parameter `s` comes behind a buffer that is none",
            "`@f g`, statement s0: `for` is no legal name",
            "`@f g`, statement s1: `a b` is no legal name",
        ];
        assert_eq!(found, expected);
    }
}
