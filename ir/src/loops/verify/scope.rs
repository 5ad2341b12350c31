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
        let Local { name, ty, shape } = &self.nest.locals[local.idx()];
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
