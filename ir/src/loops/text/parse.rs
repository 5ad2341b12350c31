//! Reads a nest: its head, buffers and statements. Expressions are in [`super::expr`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::{
    Buffer, BufferId, Index, Init, LocalId, Loop, MOST_ITERATIONS, Nest, Reduce, Role, Stmt, StorageMap,
    VarId,
};
use super::Places;
use super::names::is_legal_name;
use crate::diag::{Diagnostic, Place};
use crate::text::{Cursor, Tok};
use crate::ty::Ty;

/// Most bytes that one buffer may have: more is a slip, and addresses of the cores end there.
const MOST_BYTES: u64 = 1 << 31;

/// Most blocks, parentheses and operations inside one another.
const DEEPEST: u32 = 200;

/// Reads `loops @name(…) { … }`.
pub(super) fn nest(cursor: &mut Cursor) -> Result<(Nest, Places), Diagnostic> {
    cursor.expect_word("loops")?;
    let place = cursor.place();
    let nest = Nest::new(cursor.symbol()?);
    let (names, visible, stmts) = (BTreeMap::new(), Vec::new(), Vec::new());
    let mut parser = Parser { cursor, nest, names, visible, buffers: Vec::new(), stmts, depth: 0 };
    parser.params()?;
    parser.cursor.expect("{")?;
    while parser.cursor.at_word("const") || parser.cursor.at_word("scratch") {
        parser.buffer()?;
    }
    let in_consts = std::mem::take(&mut parser.stmts);
    parser.nest.body = parser.rest_of_block()?;
    parser.stmts.extend(in_consts);
    let Parser { nest, buffers, stmts, .. } = parser;
    Ok((nest, Places { nest: place, buffers, stmts }))
}

/// `[2, 32] map (…) align 4 slack 16` behind an element type.
pub(super) fn shape_and_map(cursor: &mut Cursor, elem: Ty) -> Result<(Vec<u32>, StorageMap), Diagnostic> {
    let place = cursor.place();
    let shape = cursor.list("[", "]", |cursor| cursor.int())?;
    Ok((shape.clone(), map(cursor, elem, &shape, place)?))
}

/// `map (…) align 4 slack 16`, each of them or not, behind a shape at `place`.
pub(super) fn map(
    cursor: &mut Cursor,
    elem: Ty,
    shape: &[u32],
    place: Place,
) -> Result<StorageMap, Diagnostic> {
    let mut map = StorageMap::row_major(elem, shape);
    if cursor.eat_word("map") {
        let rank = shape.len();
        map.dims = cursor.list("(", ")", |cursor| {
            let index = super::expr::index(cursor, &|name| logical(name, rank), DEEPEST)?;
            cursor.expect(":")?;
            Ok((index, cursor.int()?))
        })?;
    }
    if cursor.eat_word("align") {
        map.align = cursor.int()?;
    }
    if cursor.eat_word("slack") {
        map.slack = cursor.int()?;
    }
    let extents = map.dims.iter().map(|(_, extent)| u64::from(*extent));
    let elements = extents.chain([elem.bytes() as u64]).try_fold(1u64, u64::checked_mul);
    let logical = shape.iter().map(|extent| u64::from(*extent)).try_fold(1u64, u64::checked_mul);
    match (elements, logical) {
        (Some(bytes), Some(elements)) if bytes.max(elements) + u64::from(map.slack) <= MOST_BYTES => Ok(map),
        _ => Err(Diagnostic::new(format!("the buffer has more than {MOST_BYTES} bytes")).at(place)),
    }
}

/// The logical dimension called `d0`, `d1`, …
fn logical(name: &str, rank: usize) -> Option<VarId> {
    let dim: usize = name.strip_prefix('d')?.parse().ok()?;
    (dim < rank).then(|| VarId::new(dim))
}

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name {
    Buffer(BufferId),
    Var(VarId),
    Local(LocalId),
}

pub(super) struct Parser<'c, 't> {
    pub cursor: &'c mut Cursor<'t>,
    pub nest: Nest,
    /// What is visible here.
    names: BTreeMap<&'t str, Name>,
    /// The keys of `names` in the order in which they became visible.
    visible: Vec<&'t str>,
    buffers: Vec<Place>,
    stmts: Vec<Place>,
    depth: u32,
}

impl<'t> Parser<'_, 't> {
    /// What `name` at `place` stands for.
    pub fn find(&self, name: &str, place: Place) -> Result<Name, Diagnostic> {
        let unknown = || Diagnostic::new(format!("nothing visible here is called `{name}`")).at(place);
        self.names.get(name).copied().ok_or_else(unknown)
    }

    /// Runs `inner` one level deeper; refuses at a depth where the stack could end.
    pub fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, Diagnostic>,
    ) -> Result<T, Diagnostic> {
        if self.depth == DEEPEST {
            let message = format!("more than {DEEPEST} levels inside one another");
            return Err(Diagnostic::new(message).at(self.cursor.place()));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Reads `[i, j]`.
    pub fn indices(&mut self) -> Result<Vec<Index>, Diagnostic> {
        let names = &self.names;
        let var = |name: &str| match names.get(name) {
            Some(Name::Var(var)) => Some(*var),
            _ => None,
        };
        self.cursor.list("[", "]", |cursor| super::expr::index(cursor, &var, DEEPEST))
    }

    /// Reads `(i)`.
    pub fn index_in_parentheses(&mut self) -> Result<Index, Diagnostic> {
        self.cursor.expect("(")?;
        let names = &self.names;
        let var = |name: &str| match names.get(name) {
            Some(Name::Var(var)) => Some(*var),
            _ => None,
        };
        let index = super::expr::index(self.cursor, &var, DEEPEST)?;
        self.cursor.expect(")")?;
        Ok(index)
    }

    /// Reads the name of an element type.
    pub fn ty(&mut self) -> Result<Ty, Diagnostic> {
        ty(self.cursor)
    }

    fn params(&mut self) -> Result<(), Diagnostic> {
        self.cursor.expect("(")?;
        while !self.cursor.eat(")") {
            self.declaration(Role::Param)?;
            if !self.cursor.at(")") && !self.cursor.eat(",") {
                return Err(self.cursor.wanted("`,` or `)`"));
            }
        }
        Ok(())
    }

    fn buffer(&mut self) -> Result<(), Diagnostic> {
        if self.cursor.eat_word("scratch") {
            return self.declaration(Role::Scratch).map(|_| ());
        }
        self.cursor.expect_word("const")?;
        let id = self.declaration(Role::Const(Init::Nest(Vec::new())))?;
        self.cursor.expect("=")?;
        let init = if self.cursor.at("{") { Init::Nest(self.block()?) } else { Init::Data(self.data(id)?) };
        self.nest.buffers[id.idx()].role = Role::Const(init);
        Ok(())
    }

    fn declaration(&mut self, role: Role) -> Result<BufferId, Diagnostic> {
        let place = self.cursor.place();
        let name = self.cursor.ident("the name of a buffer")?;
        self.cursor.expect(":")?;
        let elem = self.ty()?;
        let (shape, map) = shape_and_map(self.cursor, elem)?;
        let values = if self.cursor.eat_word("within") { Some(self.values()?) } else { None };
        let buffer = Buffer { name: name.into(), elem, shape, map, values, role };
        let id = self.nest.add_buffer(buffer);
        self.buffers.push(place);
        self.define(name, Name::Buffer(id), place)?;
        Ok(id)
    }

    /// Reads `[-128, 127]`.
    fn values(&mut self) -> Result<[i32; 2], Diagnostic> {
        let place = self.cursor.place();
        let values = self.cursor.list("[", "]", |cursor| cursor.int())?;
        let wrong = |found: Vec<i32>| {
            Diagnostic::new(format!(
                "expected the least and the greatest element, found {} numbers",
                found.len()
            ))
            .at(place)
        };
        values.try_into().map_err(wrong)
    }

    fn data(&mut self, id: BufferId) -> Result<Arc<[u8]>, Diagnostic> {
        let place = self.cursor.place();
        let buffer = &self.nest.buffers[id.idx()];
        let (elem, len) = (buffer.elem, buffer.map.len());
        let data = if self.cursor.at("[") {
            let Some((low, high)) = elem.range() else {
                let message = format!("a constant of `{elem}` is given as bytes, not as integers");
                return Err(Diagnostic::new(message).at(place).help("write `hex\"…\"`"));
            };
            let ints = self.cursor.list("[", "]", |cursor| {
                let place = cursor.place();
                let value: i64 = cursor.int()?;
                let wrong = || Diagnostic::new(format!("{value} does not fit in `{elem}`")).at(place);
                (low..=high).contains(&value).then_some(value).ok_or_else(wrong)
            })?;
            ints.iter().flat_map(|value| value.to_le_bytes()[..elem.bytes()].to_vec()).collect()
        } else {
            self.cursor.hex()?
        };
        if data.len() != len * elem.bytes() {
            let (found, wanted) = (data.len(), len * elem.bytes());
            let message = format!("the constant has {found} bytes, its {len} elements have {wanted}");
            return Err(Diagnostic::new(message).at(place));
        }
        Ok(data.into())
    }

    /// Makes a name visible.
    fn define(&mut self, name: &'t str, what: Name, place: Place) -> Result<(), Diagnostic> {
        if !is_legal_name(name) {
            return Err(Diagnostic::new(format!("`{name}` is a word of the language, not a name")).at(place));
        }
        if self.names.contains_key(name) {
            return Err(
                Diagnostic::new(format!("something visible here is called `{name}` already")).at(place)
            );
        }
        self.names.insert(name, what);
        self.visible.push(name);
        Ok(())
    }

    /// Hides what became visible after the first `outside` names.
    fn leave(&mut self, outside: usize) {
        for name in self.visible.drain(outside..) {
            self.names.remove(name);
        }
    }

    fn block(&mut self) -> Result<Vec<Stmt>, Diagnostic> {
        self.cursor.expect("{")?;
        self.deeper(Self::rest_of_block)
    }

    fn rest_of_block(&mut self) -> Result<Vec<Stmt>, Diagnostic> {
        let outside = self.visible.len();
        let mut block = Vec::new();
        while !self.cursor.eat("}") {
            self.stmts.push(self.cursor.place());
            block.push(self.stmt()?);
        }
        self.leave(outside);
        Ok(block)
    }

    fn stmt(&mut self) -> Result<Stmt, Diagnostic> {
        if self.cursor.eat_word("for") {
            let outside = self.visible.len();
            let head = self.loop_head()?;
            let body = self.block()?;
            self.leave(outside);
            return Ok(Stmt::For(head, body));
        }
        if self.cursor.eat_word("reduce") {
            return self.reduce().map(Stmt::Reduce);
        }
        let place = self.cursor.place();
        let name = self.cursor.ident("a statement or `}`")?;
        if self.cursor.eat(":") {
            let ty = self.ty()?;
            let parked = self.cursor.eat_word("parked");
            self.cursor.expect("=")?;
            let value = self.value()?;
            let local = self.nest.add_local(name, ty, &[]);
            self.nest.locals[local.idx()].parked = parked;
            self.define(name, Name::Local(local), place)?;
            return Ok(Stmt::Let(local, value));
        }
        match self.find(name, place)? {
            Name::Buffer(buffer) => {
                let access = self.access(buffer)?;
                self.cursor.expect("=")?;
                Ok(Stmt::Store(access, self.value()?))
            }
            Name::Local(local) => {
                let at = if self.cursor.at("[") { self.indices()? } else { Vec::new() };
                self.cursor.expect("=")?;
                Ok(Stmt::Set(local, at, self.value()?))
            }
            Name::Var(_) => {
                Err(Diagnostic::new(format!("`{name}` is a loop variable and cannot be set")).at(place))
            }
        }
    }

    fn reduce(&mut self) -> Result<Reduce, Diagnostic> {
        let outside = self.visible.len();
        let mut carried = Vec::new();
        loop {
            carried.push(self.carried()?);
            if !self.cursor.eat(",") {
                break;
            }
        }
        // The loops stand before `init`, which does not see their variables.
        let mut loops = Vec::new();
        let before_loops = self.visible.len();
        if self.cursor.eat_word("over") {
            loop {
                loops.push(self.loop_head()?);
                if !self.cursor.eat(",") {
                    break;
                }
            }
        }
        let loop_names = self.visible.split_off(before_loops);
        let hidden: Vec<_> =
            loop_names.into_iter().filter_map(|name| self.names.remove_entry(name)).collect();
        self.cursor.expect("{")?;
        self.cursor.expect_word("init")?;
        let init = self.block()?;
        self.cursor.expect_word("update")?;
        for (name, what) in hidden {
            self.names.insert(name, what);
            self.visible.push(name);
        }
        let update = self.block()?;
        self.leave(before_loops);
        self.cursor.expect_word("finish")?;
        let finish = self.block()?;
        self.cursor.expect("}")?;
        self.leave(outside);
        Ok(Reduce { carried, loops, init, update, finish })
    }

    fn carried(&mut self) -> Result<LocalId, Diagnostic> {
        let place = self.cursor.place();
        let name = self.cursor.ident("the name of a carried value")?;
        self.cursor.expect(":")?;
        let ty = self.ty()?;
        let shape: Vec<u32> =
            if self.cursor.at("[") { self.cursor.list("[", "]", Cursor::int)? } else { vec![] };
        let registers = shape.iter().map(|extent| u64::from(*extent)).try_fold(1u64, u64::checked_mul);
        if registers.is_none_or(|count| count > 1 << 16) {
            return Err(Diagnostic::new("a block of registers has at most 65536 of them").at(place));
        }
        let local = self.nest.add_local(name, ty, &shape);
        self.nest.locals[local.idx()].parked = self.cursor.eat_word("parked");
        self.define(name, Name::Local(local), place)?;
        Ok(local)
    }

    fn loop_head(&mut self) -> Result<Loop, Diagnostic> {
        let place = self.cursor.place();
        let name = self.cursor.ident("the name of a loop variable")?;
        self.cursor.expect_word("in")?;
        if *self.cursor.peek() != Tok::Int(0) {
            return Err(self.cursor.wanted("`0`, where every loop begins"));
        }
        self.cursor.bump();
        self.cursor.expect("..")?;
        let extent_place = self.cursor.place();
        let extent = self.cursor.int()?;
        if extent > MOST_ITERATIONS {
            let message = format!("a loop has at most {MOST_ITERATIONS} iterations, this one {extent}");
            return Err(Diagnostic::new(message).at(extent_place));
        }
        let unroll = self.cursor.eat_word("unroll");
        let var = self.nest.add_var(name);
        self.define(name, Name::Var(var), place)?;
        Ok(Loop { var, extent, unroll })
    }
}

/// Reads the name of a type.
pub(super) fn ty(cursor: &mut Cursor) -> Result<Ty, Diagnostic> {
    let found = match cursor.peek() {
        Tok::Ident(name) => Ty::parse(name),
        _ => None,
    };
    let ty = found.ok_or_else(|| cursor.wanted("a type such as `i32`"))?;
    cursor.bump();
    Ok(ty)
}
