//! Checks what the rest of the compiler takes for granted, and collects every error.
//!
//! Names: the nest is a C identifier; buffers, loop variables and values have legal names; no two buffers share one.
//!
//! Buffers:
//! - parameters come first; elements are no `i1`; an alignment is a power of two, not below the element's size,
//! - the least and greatest element are a range within the element type,
//! - every storage dimension keeps within its extent for every element of the logical shape,
//! - a constant's data has the size of its storage.
//!
//! Scope:
//! - every loop has its own variable, an extent from 1 to 2^24, and nothing uses a variable outside of its loop,
//! - every value is defined once, by one `let` or one `reduce`, before its use and in a block around it,
//! - only carried values are set, only inside their `reduce`; `init` sets each register of them, before it reads it.
//!
//! Types:
//! - operands and attributes of each operation are those of its row; bit fields end at bit 31; clamps are not empty,
//! - what is defined, set or stored has the type of its place; an `i32` may be stored to a narrower integer,
//! - a literal is an `i32` or `i64` that fits; an index used as a value fits in `i32`.
//!
//! Accesses:
//! - as many indices as the shape has dimensions, each inside for every iteration, unless a load has a border;
//!   a border is an integer of the element's type,
//! - a word of several elements has that element type; its elements follow each other in storage along one dimension;
//!   a store's are all inside the shape, a load's within the buffer and its slack,
//! - a lookup reads a one-dimensional row-major buffer of scalars,
//! - nothing but its own nest writes a constant; that nest reads constants declared before, and writes every element once.
//!
//! A program: see [`verify_outline`].
//!
//! Not checked here: that every element of an output is written, and that scratch is written before it is read. The
//! interpreter does, see [`super::interp::Checks`].

mod access;
mod expr;
mod program;
mod scope;

use std::collections::BTreeMap;

use super::text::{Places, is_legal_name};
use super::walk::StmtNo;
use super::{Buffer, BufferId, Init, Nest, Role, VarId};
use crate::diag::Diagnostic;
use crate::ty::Ty;

pub use program::{verify_outline, verify_program};

/// All that is wrong with a nest; empty where it is right.
pub fn verify(nest: &Nest) -> Vec<Diagnostic> {
    run(nest, None)
}

/// The same with the place in the text of each error.
pub fn verify_at(nest: &Nest, places: &Places) -> Vec<Diagnostic> {
    run(nest, Some(places))
}

fn run(nest: &Nest, places: Option<&Places>) -> Vec<Diagnostic> {
    let mut verifier = Verifier {
        nest,
        places,
        errors: Vec::new(),
        site: Site::Nest,
        vars: vec![None; nest.vars.len()],
        bound: vec![false; nest.vars.len()],
        locals: vec![scope::State::Unknown; nest.locals.len()],
        initialising: BTreeMap::new(),
        constant: None,
    };
    verifier.nest();
    verifier.errors
}

/// What is being checked.
#[derive(Clone, Copy, Debug)]
enum Site {
    Nest,
    Buffer(BufferId),
    Stmt(StmtNo),
}

struct Verifier<'n> {
    nest: &'n Nest,
    places: Option<&'n Places>,
    errors: Vec<Diagnostic>,
    site: Site,
    /// The extent of each loop variable that is visible.
    vars: Vec<Option<u32>>,
    /// Whether a loop has had the variable.
    bound: Vec<bool>,
    locals: Vec<scope::State>,
    /// Which registers of each local the `init` that is being checked has set.
    initialising: BTreeMap<usize, Vec<bool>>,
    /// The constant whose nest is being checked.
    constant: Option<BufferId>,
}

impl Verifier<'_> {
    fn error(&mut self, message: impl Into<String>) {
        let message = message.into();
        let place = self.places.and_then(|places| match self.site {
            Site::Nest => Some(places.nest),
            Site::Buffer(buffer) => places.buffer(buffer),
            Site::Stmt(stmt) => places.stmt(stmt),
        });
        self.errors.push(match place {
            Some(place) => Diagnostic::new(message).at(place),
            None => Diagnostic::new(format!("`@{}`{}: {message}", self.nest.name, self.site_text())),
        });
    }

    fn site_text(&self) -> String {
        match self.site {
            Site::Nest => String::new(),
            Site::Buffer(buffer) => format!(", buffer `{}`", self.nest.buffers[buffer.idx()].name),
            Site::Stmt(stmt) => format!(", statement {stmt}"),
        }
    }

    fn nest(&mut self) {
        if !is_c_identifier(&self.nest.name) {
            self.error(format!("`{}` is no C identifier", self.nest.name));
        }
        for idx in 0..self.nest.buffers.len() {
            self.site = Site::Buffer(BufferId::new(idx));
            self.buffer(idx);
        }
        self.block(&self.nest.body, StmtNo(0));
        let mut no = StmtNo(super::walk::count(&self.nest.body));
        for (buffer, block) in self.nest.const_nests() {
            self.constant = Some(buffer);
            no = self.block(block, no);
        }
        if self.errors.is_empty() {
            self.evaluate();
        }
    }

    fn buffer(&mut self, idx: usize) {
        let Buffer { name, elem, role, .. } = &self.nest.buffers[idx];
        let before = &self.nest.buffers[..idx];
        if !is_legal_name(name) {
            self.error(format!("`{name}` is no legal name"));
        }
        if before.iter().any(|other| other.name == *name) {
            self.error(format!("there are two buffers `{name}`"));
        }
        if *role == Role::Param && before.iter().any(|other| other.role != Role::Param) {
            self.error(format!("the parameter `{name}` comes behind a buffer that is none"));
        }
        if *elem == Ty::I1 {
            self.error(format!("`{name}` has elements of `i1`, which is never in memory"));
        }
        if let Some([least, greatest]) = self.nest.buffers[idx].values {
            let (low, high) = elem.range().unwrap_or((0, -1));
            if i64::from(least) < low || i64::from(greatest) > high || least > greatest {
                self.error(format!(
                    "`{name}` is within [{least}, {greatest}], which is no range of `{elem}`"
                ));
            }
        }
        for message in map_errors(&self.nest.buffers[idx]) {
            self.error(message);
        }
        if let Role::Const(Init::Data(data)) = role {
            let wanted = self.nest.buffers[idx].map.len() * elem.bytes();
            if data.len() != wanted {
                self.error(format!("`{name}` has {} bytes of data, its storage {wanted}", data.len()));
            }
        }
    }

    /// Evaluates constants: each element must be written once.
    fn evaluate(&mut self) {
        let mut constants = super::interp::Constants::checked(self.nest);
        for (buffer, _) in self.nest.const_nests() {
            self.site = Site::Buffer(buffer);
            if let Err(error) = constants.get(buffer) {
                self.error(error.message);
            }
        }
    }
}

/// What is wrong with alignment and storage map of a buffer.
fn map_errors(buffer: &Buffer) -> Vec<String> {
    let Buffer { name, elem, shape, map, .. } = buffer;
    let mut errors = Vec::new();
    if !map.align.is_power_of_two() || (map.align as usize) < elem.bytes() {
        let (align, size) = (map.align, elem.bytes());
        errors.push(format!("`{name}` is aligned to {align}, expected a power of two from {size} on"));
    }
    if shape.contains(&0) {
        errors.push(format!("`{name}` has a dimension of extent 0"));
        return errors;
    }
    let logical = |dim: VarId| (0, i64::from(shape[dim.idx()]) - 1);
    for (dim, extent) in &map.dims {
        let mut used = Vec::new();
        dim.vars(&mut used);
        if let Some(unknown) = used.iter().find(|dim| dim.idx() >= shape.len()) {
            errors.push(format!("the map of `{name}` names d{}, the shape ends before", unknown.0));
            continue;
        }
        let (low, high) = dim.range(&logical);
        if low < 0 || high >= i64::from(*extent) {
            errors.push(format!(
                "a storage dimension of `{name}` runs from {low} to {high}, its extent is {extent}"
            ));
        }
    }
    errors
}

/// Whether a linker and C take the name.
fn is_c_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
