//! Constants that have been evaluated, for who asks again: most drafts of a layer's schedule lay out the same weights alike.
//!
//! What a block makes depends on the question alone, so it makes no difference who asks first.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::super::walk::{StmtNo, walk};
use super::super::{BufferId, Nest, Stmt, StorageMap};
use super::compile;
use crate::diag::Diagnostic;
use crate::ty::Ty;

/// So many bytes of constants are kept, about as many as the drafts of a large network have.
const MOST_BYTES: usize = 64 << 20;

/// All that decides what a block makes of its sources.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// The constant that is made.
    made: BufferId,
    /// What makes it.
    block: Vec<Stmt>,
    /// How the buffers lie that it touches.
    buffers: Vec<(BufferId, Ty, Vec<u32>, StorageMap)>,
    /// Types and shapes of the named values, where it may have any.
    locals: Vec<(Ty, Vec<u32>)>,
    /// What the others of the buffers hold.
    sources: Vec<Source>,
}

/// Bytes that are known by where they are: nobody changes them, and whoever holds them keeps others from lying there.
#[derive(Debug)]
struct Source(Arc<[u8]>);

#[derive(Default)]
struct Known {
    answers: HashMap<Question, Arc<[u8]>>, // Nobody asks for their order.
    bytes: usize,
}

static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

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
    pub fn new(nest: &Nest, made: BufferId, block: &[Stmt], sources: &[(BufferId, Arc<[u8]>)]) -> Self {
        let layout = |id: BufferId| {
            let buffer = &nest.buffers[id.idx()];
            (id, buffer.elem, buffer.shape.clone(), buffer.map.clone())
        };
        let is_plain = |stmt: &Stmt| matches!(stmt, Stmt::For(..) | Stmt::Store(..));
        let mut has_locals = false;
        walk(block, StmtNo(0), &mut |_, stmt| has_locals |= !is_plain(stmt));
        let locals = nest.locals.iter().filter(|_| has_locals);
        Self {
            made,
            block: block.to_vec(),
            buffers: compile::touched(block).into_iter().map(layout).collect(),
            locals: locals.map(|local| (local.ty, local.shape.clone())).collect(),
            sources: sources.iter().map(|(_, data)| Source(data.clone())).collect(),
        }
    }
}

/// The answer to a question: the one that is known, else what `find` gives. Errors are found again.
pub(super) fn answer(
    question: Question,
    find: impl FnOnce() -> Result<Arc<[u8]>, Diagnostic>,
) -> Result<Arc<[u8]>, Diagnostic> {
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(answer) = known().answers.get(&question) {
        return Ok(answer.clone());
    }
    let answer = find()?; // Others may evaluate meanwhile.
    let mut known = known();
    if known.bytes + answer.len() > MOST_BYTES {
        *known = Known::default();
    }
    known.bytes += answer.len();
    // Of those who found it at the same time the first stays: what is made of it is known by where it lies.
    Ok(known.answers.entry(question).or_insert(answer).clone())
}
