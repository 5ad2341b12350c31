//! A whole program: a function for each layer, the entry that calls them, and the constants that they read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ir::diag::Diagnostic;
use ir::loops::{BufferId, Nest, interp};

use crate::emit::{Emitted, Names};
use crate::entry::{self, Callee};
use crate::layer::{self, Options, Shared};
use crate::mir::Word;
use crate::object::{self, Architecture, ConstBlock, FpArch, ObjectSpec, Reloc, RelocKind};
use crate::select::{CONSTANT_ALIGN, Member, Offsets, Together, together};

/// A layer to compile.
pub struct Job<'a> {
    /// A nest that the verifier accepted, without borders and composite operations.
    pub nest: &'a Nest,
    /// Its parameters and scratch in the arena.
    pub offsets: Offsets,
    /// The line of each statement in the listing, by pre-order number.
    pub lines: &'a [u32],
    /// The line of the listing that names the layer; 0 for none.
    pub line: u32,
}

/// What all functions of an object have in common.
#[derive(Clone)]
pub struct Settings {
    /// Begins every symbol.
    pub prefix: String,
    /// The file that debuggers list: `kws.loops`.
    pub listing: String,
    /// Who made it: `tinyc 0.1.0`.
    pub producer: String,
    /// What the code is compiled for.
    pub options: Options,
    /// Whether `run_until` is wanted beside `run`.
    pub run_until: bool,
}

/// A compiled layer.
#[derive(Clone, Debug)]
pub struct CompiledLayer {
    /// Its code.
    pub emitted: Emitted,
    /// The constants that it reads, by symbol.
    pub constants: Vec<ConstBlock>,
    /// What lies behind each of these symbols: constants of the nest, with the bytes of each.
    pub contents: Vec<(String, Vec<(BufferId, u32)>)>,
    /// The line of the listing that names it; 0 for none.
    pub line: u32,
    /// The code that it shares with later layers, where it is the first of them. Then `emitted` is a few instructions
    /// that go on there, timed with what follows.
    pub body: Option<Emitted>,
    /// The symbol of the code that it shares with other layers, if it does.
    pub shares: Option<String>,
}

/// The object file and the functions that a firmware calls.
#[derive(Clone, Debug)]
pub struct Object {
    /// The file.
    pub bytes: Vec<u8>,
    /// `run`, for its cycles and size.
    pub run: Emitted,
    /// Bytes of stack of one run, all calls included.
    pub stack_bytes: u32,
    /// Whether S registers are touched.
    pub uses_fpu: bool,
    /// Bytes of all code.
    pub code_bytes: u32,
    /// The symbol of each constant with its bytes; those with the same contents are one.
    pub constants: Vec<(String, u32)>,
}

/// The symbol of a layer.
pub fn layer_symbol(settings: &Settings, nest: &Nest) -> String {
    format!("{}_{}", settings.prefix, nest.name)
}

/// Compiles one layer; layers do not depend on each other.
pub fn compile_layer(job: &Job, settings: &Settings) -> Result<CompiledLayer, Diagnostic> {
    let symbol = layer_symbol(settings, job.nest);
    let constant = |buffer| constant_symbol(settings, job.nest, buffer);
    let line = |stmt: u32| job.lines.get(stmt as usize).copied().unwrap_or(0);
    let names = Names { symbol, constant: &constant, line: &line };
    let emitted = layer::compile(job.nest, &job.offsets, &names, settings.options)?;
    let together = Together::new(job.nest);
    let constants = blocks(job.nest, &together, &emitted.constants, &constant)?;
    let contents = contents(job.nest, &together, &emitted.constants, &constant);
    Ok(CompiledLayer { emitted, constants, contents, line: job.line, body: None, shares: None })
}

/// Compiles layers that share their code, at least one.
pub fn compile_group(jobs: &[Job], settings: &Settings) -> Result<Vec<CompiledLayer>, Diagnostic> {
    let [first, others @ ..] = jobs else { return Ok(Vec::new()) };
    if others.is_empty() {
        return Ok(vec![compile_layer(first, settings)?]);
    }
    let members: Vec<Member> =
        jobs.iter().map(|job| Member { nest: job.nest, offsets: &job.offsets }).collect();
    let symbol = format!("{}_shared_{}", settings.prefix, first.nest.name);
    let line = |stmt: u32| first.lines.get(stmt as usize).copied().unwrap_or(0);
    let constant = |buffer| constant_symbol(settings, first.nest, buffer);
    let names = Names { symbol, constant: &constant, line: &line };
    let Shared { bodies, parameters } = layer::compile_shared(&members, &names, settings.options)?;
    let together = together(&members)?;
    let mut layers = Vec::new();
    for (member, ((job, together), body)) in jobs.iter().zip(&together).zip(&bodies).enumerate() {
        let words: Vec<&Word> = parameters.iter().map(|words| &words[member]).collect();
        layers.push(caller(job, together, &words, body, settings)?);
    }
    layers[0].body = bodies.into_iter().next();
    Ok(layers)
}

/// A layer that runs shared code with the words of its table.
fn caller(
    job: &Job,
    together: &Together,
    words: &[&Word],
    body: &Emitted,
    settings: &Settings,
) -> Result<CompiledLayer, Diagnostic> {
    let constant = |buffer| constant_symbol(settings, job.nest, buffer);
    let mut table = ConstBlock {
        symbol: format!("{}_parameters_{}", settings.prefix, job.nest.name),
        align: CONSTANT_ALIGN,
        ..ConstBlock::default()
    };
    let mut read = BTreeSet::new();
    for word in words {
        let offset = table.bytes.len() as u32;
        let value = match word {
            Word::Number(value) => *value as i32,
            Word::Constant(buffer, addend) => {
                read.insert(*buffer);
                let (target, addend) = (constant(*buffer), *addend as i32);
                table.relocs.push(Reloc { offset, kind: RelocKind::Abs32, target, addend });
                0
            }
        };
        table.bytes.extend(value.to_le_bytes());
    }
    let has_table = (!words.is_empty()).then_some(table.symbol.as_str());
    let mut emitted = entry::go_on(layer_symbol(settings, job.nest), has_table, body, job.line);
    emitted.constants = read.into_iter().collect();
    let mut constants = blocks(job.nest, together, &emitted.constants, &constant)?;
    let contents = contents(job.nest, together, &emitted.constants, &constant);
    constants.extend(has_table.is_some().then_some(table));
    let shares = Some(body.code.symbol.clone());
    Ok(CompiledLayer { emitted, constants, contents, line: job.line, body: None, shares })
}

/// The symbol of a constant of a layer.
fn constant_symbol(settings: &Settings, nest: &Nest, buffer: BufferId) -> String {
    let symbol = layer_symbol(settings, nest);
    format!("{symbol}_{}", nest.buffers[buffer.idx()].name.replace('.', "_"))
}

/// The constants that the code of a nest reads, named by the first where several lie together, those as one, under the names that `symbol` has for them.
///
/// The same contents may occur more than once: an object holds them once.
pub fn constants(
    nest: &Nest,
    read: &[BufferId],
    symbol: &dyn Fn(BufferId) -> String,
) -> Result<Vec<ConstBlock>, Diagnostic> {
    blocks(nest, &Together::new(nest), read, symbol)
}

/// The same where something else may lie together.
fn blocks(
    nest: &Nest,
    together: &Together,
    read: &[BufferId],
    symbol: &dyn Fn(BufferId) -> String,
) -> Result<Vec<ConstBlock>, Diagnostic> {
    let block = |first: &BufferId| -> Result<ConstBlock, Diagnostic> {
        let (mut bytes, mut align) = (Vec::new(), CONSTANT_ALIGN);
        for (buffer, pieces) in together.pieces(*first, nest) {
            let data = &nest.buffers[buffer.idx()];
            let mut content = interp::eval_const(nest, buffer)?.to_vec();
            content.resize(data.bytes(), 0);
            for (at, piece) in pieces {
                bytes.resize((at + piece.len()).max(bytes.len()), 0);
                bytes[at..at + piece.len()].copy_from_slice(&content[piece]);
            }
            align = align.max(data.map.align);
        }
        Ok(ConstBlock { symbol: symbol(*first), bytes, align, ..ConstBlock::default() })
    };
    read.iter().map(block).collect()
}

/// What lies behind the symbol of each constant that is read.
fn contents(
    nest: &Nest,
    together: &Together,
    read: &[BufferId],
    symbol: &dyn Fn(BufferId) -> String,
) -> Vec<(String, Vec<(BufferId, u32)>)> {
    let bytes = |buffer: BufferId| (buffer, nest.buffers[buffer.idx()].bytes() as u32);
    let behind =
        |first: BufferId| together.members(first).into_iter().map(|(buffer, _)| bytes(buffer)).collect();
    read.iter().map(|first| (symbol(*first), behind(*first))).collect()
}

/// The bytes that constants take in an object.
pub fn bytes_once(constants: &[ConstBlock]) -> usize {
    let distinct: BTreeSet<&[u8]> = constants.iter().map(|block| block.bytes.as_slice()).collect();
    distinct.into_iter().map(<[u8]>::len).sum()
}

/// Puts compiled layers into an object file, in the order in which they run.
pub fn assemble(mut layers: Vec<CompiledLayer>, settings: &Settings) -> Result<Object, Diagnostic> {
    let constants = shared_constants(&mut layers);
    let callee =
        |layer: &CompiledLayer| Callee { symbol: layer.emitted.code.symbol.clone(), line: layer.line };
    let callees: Vec<Callee> = layers.iter().map(callee).collect();
    let run = entry::run(format!("{}_run", settings.prefix), &callees);
    let mut functions = vec![run.code.clone()];
    if settings.run_until {
        functions.push(entry::run_until(format!("{}_run_until", settings.prefix), &callees).code);
    }
    let deepest = layers.iter().map(|layer| layer.emitted.stack_bytes).max().unwrap_or(0);
    let uses_fpu = layers.iter().any(|layer| layer.emitted.uses_fpu);
    for layer in layers {
        functions.extend(layer.body.map(|body| body.code));
        functions.push(layer.emitted.code);
    }
    let architecture = settings.options.core.architecture();
    let spec = ObjectSpec {
        listing: settings.listing.clone(),
        producer: settings.producer.clone(),
        architecture,
        fpu: uses_fpu.then_some(fp_arch(architecture)),
        functions,
        constants,
        ..ObjectSpec::default()
    };
    let bytes = object::write(&spec)
        .map_err(|error| Diagnostic::new(format!("cannot write the object file: {error}")))?;
    Ok(Object {
        bytes,
        stack_bytes: run.stack_bytes + deepest,
        run,
        uses_fpu,
        code_bytes: spec.functions.iter().map(|function| function.bytes.len() as u32).sum(),
        constants: spec.constants.into_iter().map(|block| (block.symbol, block.bytes.len() as u32)).collect(),
    })
}

/// The least FPU of an architecture: code only moves words through it.
fn fp_arch(architecture: Architecture) -> FpArch {
    match architecture {
        Architecture::V7M | Architecture::V7EM => FpArch::V4Sp,
        Architecture::V8MMain => FpArch::V5,
    }
}

/// Takes the constants out of the layers; of those with the same contents only the first stays.
fn shared_constants(layers: &mut [CompiledLayer]) -> Vec<ConstBlock> {
    let mut first: BTreeMap<(Arc<[u8]>, u32), String> = BTreeMap::new();
    let mut kept = Vec::new();
    for layer in layers {
        let mut renamed: BTreeMap<String, String> = BTreeMap::new();
        let rename = |reloc: &mut Reloc, renamed: &BTreeMap<String, String>| {
            if let Some(symbol) = renamed.get(&reloc.target) {
                reloc.target = symbol.clone();
            }
        };
        for mut block in layer.constants.drain(..) {
            if !block.relocs.is_empty() {
                // A table, which stands behind the constants that it names, is not known by its bytes.
                block.relocs.iter_mut().for_each(|reloc| rename(reloc, &renamed));
                kept.push(block);
                continue;
            }
            let key = (Arc::from(block.bytes.as_slice()), block.align);
            let symbol = first.entry(key).or_insert_with(|| block.symbol.clone());
            if *symbol == block.symbol {
                kept.push(block);
            } else {
                renamed.insert(block.symbol, symbol.clone());
            }
        }
        layer.emitted.code.relocs.iter_mut().for_each(|reloc| rename(reloc, &renamed));
    }
    kept
}
