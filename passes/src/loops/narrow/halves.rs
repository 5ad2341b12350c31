//! Halves of words by what they hold.

use std::collections::BTreeMap;

use ir::diag::Diagnostic;
use ir::loops::interp::Constants;
use ir::loops::{BufferId, Expr, Index, Nest, Prim, Stmt};

use super::byte::Byte;
use super::layout::Half;
use super::{PAIR, position};
use crate::loops::edit::blocks_mut;

/// A word by its constant and its number there.
pub type Word = (BufferId, usize);

/// What the halves of all words hold everywhere in the outer dimensions: the same number for the same bytes.
pub struct Halves {
    /// By word, the low one and the high one.
    pub of_words: BTreeMap<Word, [Half; 2]>,
    /// A word that has it, and which half of it.
    pub sources: Vec<(Word, usize)>,
}

impl Halves {
    /// Those of all words of these constants, of whose halfwords this byte is all.
    pub fn of(nest: &Nest, buffers: &[BufferId], byte: Byte) -> Result<Self, Diagnostic> {
        let mut halves = Halves { of_words: BTreeMap::new(), sources: Vec::new() };
        let mut known: BTreeMap<Vec<u8>, Half> = BTreeMap::new();
        for buffer in buffers {
            let bytes = Constants::new(nest).get(*buffer)?;
            let positions = nest.buffers[buffer.idx()].positions();
            let shape = &nest.buffers[buffer.idx()].shape;
            let n_words = shape[shape.len() - PAIR] as usize;
            for word in 0..n_words {
                let number = |half: usize| {
                    let places = positions.iter().skip(PAIR * word + half).step_by(PAIR * n_words);
                    let content = places.map(|at| bytes[PAIR * at + byte as usize]).collect();
                    *known.entry(content).or_insert_with(|| {
                        halves.sources.push(((*buffer, word), half));
                        halves.sources.len() - 1
                    })
                };
                halves.of_words.insert((*buffer, word), [0, 1].map(number));
            }
        }
        Ok(halves)
    }

    /// Takes halves that are used alone from words of which both are, where some have the same.
    pub fn borrow(&self, body: &mut [Stmt]) {
        let mut whole = Vec::new();
        visit_values(body, &mut |expr| match expr {
            Expr::Op { prim: Prim::Bot | Prim::Top, args, .. } if self.word(&args[0]).is_some() => false,
            Expr::Load(_) => {
                whole.extend(self.word(expr));
                false
            }
            _ => true,
        });
        visit_values(body, &mut |expr| {
            let Expr::Op { prim: prim @ (Prim::Bot | Prim::Top), args, .. } = expr else { return true };
            let Some(word) = self.word(&args[0]) else { return true };
            let wanted = self.of_words[&word][usize::from(*prim == Prim::Top)];
            let has = |(word, half): &(Word, usize)| self.of_words[word][*half] == wanted;
            let places = whole.iter().flat_map(|word| [(*word, 0), (*word, 1)]);
            if !whole.contains(&word)
                && let Some(((buffer, number), half)) = places.into_iter().find(has)
                && let Expr::Load(access) = &mut args[0]
            {
                *prim = [Prim::Bot, Prim::Top][half];
                access.buffer = buffer;
                let at = access.index.len() - PAIR;
                access.index[at] = Index::constant(number as i64);
            }
            false
        });
    }

    /// The word that a value is.
    fn word(&self, value: &Expr) -> Option<Word> {
        let Expr::Load(access) = value else { return None };
        self.of_words.contains_key(&(access.buffer, 0)).then_some(())?;
        let (number, _) = position(access)?;
        Some((access.buffer, number))
    }
}

/// Calls `visit` for every value in a block, and for what it is made of where that says so.
fn visit_values(block: &mut [Stmt], visit: &mut dyn FnMut(&mut Expr) -> bool) {
    for stmt in block {
        match stmt {
            Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) => {
                visit_values_of(value, visit);
            }
            Stmt::For(..) | Stmt::Reduce(_) => {
                blocks_mut(stmt).into_iter().for_each(|block| visit_values(block, visit));
            }
        }
    }
}

fn visit_values_of(expr: &mut Expr, visit: &mut dyn FnMut(&mut Expr) -> bool) {
    if !visit(expr) {
        return;
    }
    match expr {
        Expr::Lookup(_, at) => visit_values_of(at, visit),
        Expr::Op { args, .. } => args.iter_mut().for_each(|arg| visit_values_of(arg, visit)),
        Expr::Int(..) | Expr::Index(_) | Expr::Local(..) | Expr::Load(_) => {}
    }
}
