//! Numbers the statements of a nest, and visits them in that order.
//!
//! The order is that of the text: a statement comes before those inside it; a `reduce` holds `init`, `update`, `finish`
//! in this order. Numbers start at 0 with the first statement of the body; statements of constants follow those of the
//! body, constant by constant. So the body's numbers do not depend on the constants.

use super::{BufferId, Init, Nest, Role, Stmt};
use crate::entity;

entity! {
    /// A statement, by its position in the order of [`walk`].
    StmtNo, "s"
}

impl StmtNo {
    /// The number `by` further on.
    pub fn after(self, by: u32) -> Self {
        Self(self.0 + by)
    }
}

/// Calls `visit` for every statement of `block`, those inside others too; gives the number behind the last one.
pub fn walk(block: &[Stmt], first: StmtNo, visit: &mut dyn FnMut(StmtNo, &Stmt)) -> StmtNo {
    block.iter().fold(first, |no, stmt| {
        visit(no, stmt);
        blocks(stmt).into_iter().fold(no.after(1), |no, inner| walk(inner, no, visit))
    })
}

/// The blocks inside a statement, in order.
pub fn blocks(stmt: &Stmt) -> Vec<&[Stmt]> {
    match stmt {
        Stmt::For(_, body) => vec![body],
        Stmt::Reduce(reduce) => vec![&reduce.init, &reduce.update, &reduce.finish],
        Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => Vec::new(),
    }
}

/// The number of statements in `block`, those inside others included.
pub fn count(block: &[Stmt]) -> u32 {
    walk(block, StmtNo(0), &mut |_, _| {}).0
}

impl Nest {
    /// Calls `visit` for every statement of the body, then of each constant that is a nest.
    pub fn walk(&self, visit: &mut dyn FnMut(StmtNo, &Stmt)) {
        let first = walk(&self.body, StmtNo(0), visit);
        self.const_nests().fold(first, |no, (_, block)| walk(block, no, visit));
    }

    /// The constants that are nests of their own, in order, with their statements.
    pub fn const_nests(&self) -> impl Iterator<Item = (BufferId, &[Stmt])> + '_ {
        self.buffers.iter().enumerate().filter_map(|(idx, buffer)| match &buffer.role {
            Role::Const(Init::Nest(block)) => Some((BufferId::new(idx), block.as_slice())),
            _ => None,
        })
    }

    /// For each buffer, whether the body writes it.
    pub fn stored(&self) -> Vec<bool> {
        let mut stored = vec![false; self.buffers.len()];
        walk(&self.body, StmtNo(0), &mut |_, stmt| {
            if let Stmt::Store(access, _) = stmt {
                stored[access.buffer.idx()] = true;
            }
        });
        stored
    }
}
