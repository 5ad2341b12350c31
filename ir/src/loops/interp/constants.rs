//! Evaluates constants that are nests, each once.

use std::sync::Arc;

use super::super::{BufferId, Init, Nest, Role, Stmt};
use super::code::Region;
use super::exec::{self, Byte};
use super::known::{KNOWN, Question};
use super::{compile, element, explain, mark};
use crate::diag::Diagnostic;

/// The constants of a nest, evaluated when first asked for.
#[derive(Clone, Debug)]
pub struct Constants<'n> {
    nest: &'n Nest,
    checked: bool,
    done: Vec<Option<Arc<[u8]>>>,
}

impl<'n> Constants<'n> {
    /// Nothing is evaluated yet.
    pub fn new(nest: &'n Nest) -> Self {
        Self { nest, checked: false, done: vec![None; nest.buffers.len()] }
    }

    /// The same, and an element that is not written exactly once is an error.
    pub fn checked(nest: &'n Nest) -> Self {
        Self { checked: true, ..Self::new(nest) }
    }

    /// The bytes of a constant in the order of its storage map, without slack; padding is 0.
    pub fn get(&mut self, id: BufferId) -> Result<Arc<[u8]>, Diagnostic> {
        if let Some(done) = &self.done[id.idx()] {
            return Ok(done.clone());
        }
        let data = match &self.nest.buffers[id.idx()].role {
            Role::Const(Init::Data(data)) => data.clone(),
            Role::Const(Init::Nest(_)) => self.evaluate(id)?,
            Role::Param | Role::Scratch => {
                let name = &self.nest.buffers[id.idx()].name;
                return Err(Diagnostic::new(format!("`{name}` is no constant")));
            }
        };
        self.done[id.idx()] = Some(data.clone());
        Ok(data)
    }

    fn evaluate(&mut self, id: BufferId) -> Result<Arc<[u8]>, Diagnostic> {
        let Role::Const(Init::Nest(block)) = &self.nest.buffers[id.idx()].role else {
            unreachable!("the caller looked")
        };
        let sources = self.sources(id, block)?;
        let run = || self.run(id, block, &sources);
        if self.checked { run() } else { KNOWN.answer(Question::new(self.nest, id, block, &sources), run) }
    }

    /// The constants that a block reads to make this one.
    fn sources(&mut self, id: BufferId, block: &[Stmt]) -> Result<Sources, Diagnostic> {
        let mut sources = Sources::new();
        for source in compile::touched(block).into_iter().filter(|source| *source != id) {
            if source > id {
                let [own, name] = [id, source].map(|id| &self.nest.buffers[id.idx()].name);
                return Err(Diagnostic::new(format!(
                    "the constant `{own}` needs `{name}`, declared behind it"
                )));
            }
            sources.push((source, self.get(source)?));
        }
        Ok(sources)
    }

    fn run(&self, id: BufferId, block: &[Stmt], sources: &Sources) -> Result<Arc<[u8]>, Diagnostic> {
        let nest = self.nest;
        let buffer = &nest.buffers[id.idx()];
        let code = compile::compile(nest, block, self.checked)?;
        let mut mem = vec![0; code.bytes];
        for (source, data) in sources {
            mem[code.regions[source.idx()].base..][..data.len()].copy_from_slice(data);
        }
        let region = code.regions[id.idx()];
        if region.bytes == 0 {
            return Err(Diagnostic::new(format!("`@{}`: nothing writes `{}`", nest.name, buffer.name)));
        }
        let len = buffer.map.len() * buffer.elem.bytes();
        if self.checked {
            let mut bytes = vec![Byte::Free; code.bytes];
            mark(&mut bytes, Region { bytes: len, ..region }, buffer, Byte::Once);
            exec::run::<true>(&code, &mut mem, &mut bytes).map_err(|fault| explain(nest, &code, fault))?;
            if let Some(hole) = bytes.iter().position(|byte| *byte == Byte::Once) {
                let element = element(nest, &code, hole);
                return Err(Diagnostic::new(format!("`@{}`: {element} is not written", nest.name)));
            }
        } else {
            exec::run::<false>(&code, &mut mem, &mut []).map_err(|fault| explain(nest, &code, fault))?;
        }
        Ok(mem[region.base..][..len].into())
    }
}

/// Constants with what they hold.
pub(super) type Sources = Vec<(BufferId, Arc<[u8]>)>;

/// One constant; to evaluate several of a nest, keep a [`Constants`].
pub fn eval_const(nest: &Nest, id: BufferId) -> Result<Arc<[u8]>, Diagnostic> {
    Constants::new(nest).get(id)
}
