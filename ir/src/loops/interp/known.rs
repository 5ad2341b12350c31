//! Constants that have been evaluated, for who asks again: most drafts of a layer's schedule lay out the same weights alike.
//!
//! What a block makes depends on the question alone, so it makes no difference who asks first.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::super::walk::{StmtNo, walk};
use super::super::{Buffer, BufferId, Nest, Stmt, StorageMap};
use super::compile;
use super::constants::Sources;
use crate::diag::Diagnostic;
use crate::known::Known;
use crate::ty::Ty;

/// All that decides what a block makes of its sources.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// The nest, by name: errors tell it.
    nest: String,
    /// The constant that is made.
    made: BufferId,
    /// What makes it.
    block: Vec<Stmt>,
    /// The buffers that it touches.
    buffers: Vec<(BufferId, Layout)>,
    /// Types and shapes of the named values, where it may have any.
    locals: Vec<(Ty, Vec<u32>)>,
    /// What the others of the buffers hold.
    sources: Vec<Source>,
}

/// How a buffer lies in memory, and its name, which errors tell.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Layout {
    name: String,
    elem: Ty,
    shape: Vec<u32>,
    map: StorageMap,
}

/// Bytes that are known by where they are: nobody changes them, and whoever holds them keeps others from lying there.
#[derive(Debug)]
struct Source(Arc<[u8]>);

/// Those of all drafts of a large network.
pub(super) static KNOWN: Known<Question, Result<Arc<[u8]>, Diagnostic>> = Known::new(8192);

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Source {}

impl Hash for Source {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl Question {
    /// What a block of a nest makes of sources.
    pub fn new(nest: &Nest, made: BufferId, block: &[Stmt], sources: &Sources) -> Self {
        let layout = |id: BufferId| {
            let Buffer { name, elem, shape, map, .. } = nest.buffers[id.idx()].clone();
            (id, Layout { name, elem, shape, map })
        };
        let is_plain = |stmt: &Stmt| matches!(stmt, Stmt::For(..) | Stmt::Store(..));
        let mut has_locals = false;
        walk(block, StmtNo(0), &mut |_, stmt| has_locals |= !is_plain(stmt));
        let locals = nest.locals.iter().filter(|_| has_locals);
        Self {
            nest: nest.name.clone(),
            made,
            block: block.to_vec(),
            buffers: compile::touched(block).into_iter().map(layout).collect(),
            locals: locals.map(|local| (local.ty, local.shape.clone())).collect(),
            sources: sources.iter().map(|(_, data)| Source(data.clone())).collect(),
        }
    }
}
