//! The compiler as one list of calls: from a model file to an object file and what stands beside it.

use std::collections::BTreeMap;

use frontends::tflite;
use ir::diag::Diagnostic;
use ir::graph::Graph;
use ir::loops::text::{Style, print_with_lines};
use ir::loops::{Buffer, BufferId, Layer, Lifetime, Nest, Program, Role, TensorSlot};
use ir::ty::Ty;
use isel_thumb2::cores::Core;
use isel_thumb2::layer;
use isel_thumb2::program::{self, CompiledLayer, Job, Object, Settings};
use isel_thumb2::select::Offsets;
use lowering::memory::{Placement, place};
use passes::graph::GraphPass;
use passes::loops::NestPass;
use passes::loops::rescalings::rescalings;
use passes::schedule::Schedule;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::flash;
use crate::header::{CType, HeaderSpec, Quantization, TensorSpec, header};
use crate::link::{Firmware, Place};
use crate::report::{LayerReport, MemoryReport, Report, Rescaled};

/// What the user chose.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The core that the code is for.
    pub core: &'static dyn Core,
    /// Begins every symbol and every name in the header: a C identifier.
    pub prefix: &'a str,
    /// The stem of the files that are written; debuggers look for `<stem>.loops`.
    pub stem: &'a str,
    /// Whether S registers may hold values.
    pub fpu: bool,
    /// Whether `run_until` is wanted beside `run`.
    pub run_until: bool,
    /// How layers are computed; without it, as lowering leaves them.
    pub schedule: Option<&'a Schedule>,
}

/// Everything that is written for a model.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The object file.
    pub object: Vec<u8>,
    /// The C header beside it.
    pub header: String,
    /// The loop nests that its debug information refers to.
    pub listing: String,
    /// What is known about it.
    pub report: Report,
    /// The symbol of a whole inference.
    pub run: String,
    /// Alignment of the arena in bytes.
    pub arena_align: u32,
    /// Where the arena holds the inputs.
    pub inputs: Vec<Place>,
    /// Where the arena holds the outputs.
    pub outputs: Vec<Place>,
}

/// Told about progress: layers compiled so far, and all of them.
pub type Progress<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// Compiles a model file.
pub fn compile(model: &[u8], options: &Options, progress: &Progress) -> Result<Compiled, Vec<Diagnostic>> {
    let graph = graph(model, options.prefix, &mut |_, _| {})?;
    let sha256 = Sha256::digest(model).iter().map(|byte| format!("{byte:02x}")).collect();
    compile_graph(&graph, sha256, options, progress).map_err(|error| vec![error])
}

fn compile_graph(
    graph: &Graph,
    model_sha256: String,
    options: &Options,
    progress: &Progress,
) -> Result<Compiled, Diagnostic> {
    let mut program = scheduled(graph, options.schedule)?;
    // Before the passes, which write the literal ones out.
    let rescaled = |layer: &Layer| rescalings(&layer.nest).into();
    let rescaled: Vec<Rescaled> = program.layers.iter().map(rescaled).collect();
    let passed = program.layers.par_iter_mut().map(|layer| run_passes(layer, &mut |_, _| {}));
    passed.collect::<Vec<_>>().into_iter().collect::<Result<(), Diagnostic>>()?; // The first layer's error.
    let mut compiled = generate(&program, model_sha256, options, progress)?;
    compiled.report.set_rescaled(&rescaled);
    Ok(compiled)
}

/// Reads a model and simplifies its graph; `after` sees the graph after each pass.
pub fn graph(
    model: &[u8],
    name: &str,
    after: &mut dyn FnMut(&GraphPass, &Graph),
) -> Result<Graph, Vec<Diagnostic>> {
    let mut graph = tflite::load(model, name)?;
    passes::graph::optimize(&mut graph, after);
    Ok(graph)
}

/// Lowers a graph to nests that the host and the code generator take; `after` sees each nest after each pass.
///
/// Only errors of the schedule have places: those in its text.
pub fn program(
    graph: &Graph,
    schedule: Option<&Schedule>,
    after: &mut dyn FnMut(&NestPass, &Nest),
) -> Result<Program, Diagnostic> {
    let mut program = scheduled(graph, schedule)?;
    program.layers.iter_mut().try_for_each(|layer| run_passes(layer, after))?;
    Ok(program)
}

/// Lowers a graph and applies a schedule, before the passes, whose work depends on the loops.
fn scheduled(graph: &Graph, schedule: Option<&Schedule>) -> Result<Program, Diagnostic> {
    let mut program = lowering::lower(graph)?;
    if let Some(schedule) = schedule {
        schedule.apply_in_parallel(&mut program)?;
    }
    Ok(program)
}

fn run_passes(layer: &mut Layer, after: &mut dyn FnMut(&NestPass, &Nest)) -> Result<(), Diagnostic> {
    for pass in passes::loops::PASSES {
        (pass.run)(&mut layer.nest).map_err(|error| in_layer(error, &layer.nest))?;
        after(pass, &layer.nest);
    }
    Ok(())
}

/// The schedule that says what each layer gets, under its own name; an empty one where none is given.
pub fn schedule_in_use(graph: &Graph, schedule: Option<&Schedule>) -> Result<Schedule, Diagnostic> {
    schedule.unwrap_or(&Schedule::default()).in_use(&lowering::lower(graph)?)
}

/// The schedule that the rules choose for a core.
pub fn default_schedule(graph: &Graph, core: &'static dyn Core, fpu: bool) -> Result<Schedule, Diagnostic> {
    default_schedule_within(graph, core, fpu, Budget::default())
}

/// What a network may take, at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of code and constants.
    pub flash: Option<usize>,
    /// Bytes of arena and stack.
    pub ram: Option<usize>,
}

/// The same, within a budget if that can be.
pub fn default_schedule_within(
    graph: &Graph,
    core: &'static dyn Core,
    fpu: bool,
    budget: Budget,
) -> Result<Schedule, Diagnostic> {
    crate::defaults::schedule(&lowering::lower(graph)?, layer::Options::new(core, fpu), budget)
}

/// Emits a program, whose schedule has been applied. How channels are rescaled is not in its report: the passes have hidden it.
pub fn generate(
    program: &Program,
    model_sha256: String,
    options: &Options,
    progress: &Progress,
) -> Result<Compiled, Diagnostic> {
    let placement = place(program)?;
    let settings = settings(options);
    let (listing, layers) = layers(program, &placement, &settings, progress)?;
    let reports: Vec<LayerReport> = layers
        .iter()
        .enumerate()
        .map(|(number, layer)| layer_report(program, number, layer, options))
        .collect();
    let weights = weight_bytes(program, &layers);
    let object = program::assemble(layers, &settings)?;
    let report = report(program, &placement, &object, &weights, reports, options);
    let header = header(&header_spec(program, &placement, &object, &report, model_sha256, options));
    Ok(Compiled {
        header,
        listing,
        run: format!("{}_run", options.prefix),
        arena_align: placement.align.max(8),
        inputs: places(program, &placement, input_number),
        outputs: places(program, &placement, output_number),
        object: object.bytes,
        report,
    })
}

/// Compiles the layers of a program; gives the listing that their lines refer to with them.
pub fn layers(
    program: &Program,
    placement: &Placement,
    settings: &Settings,
    progress: &Progress,
) -> Result<(String, Vec<CompiledLayer>), Diagnostic> {
    let (listing, lines) = print_with_lines(program, Style::Reading);
    let layer_lines = layer_lines(&listing);
    let done = std::sync::atomic::AtomicUsize::new(0);
    let compile = |group: &Vec<usize>| {
        let job = |number: &usize| Job {
            nest: &program.layers[*number].nest,
            offsets: offsets(program, placement, *number),
            lines: &lines[*number],
            line: layer_lines[*number],
        };
        let jobs: Vec<Job> = group.iter().map(job).collect();
        let layers =
            program::compile_group(&jobs, settings).map_err(|error| in_layer(error, jobs[0].nest))?;
        let before = done.fetch_add(group.len(), std::sync::atomic::Ordering::Relaxed);
        progress(before + group.len(), program.layers.len());
        Ok(group.iter().copied().zip(layers).collect())
    };
    let compiled: Vec<Vec<(usize, CompiledLayer)>> =
        groups(program).par_iter().map(compile).collect::<Result<_, Diagnostic>>()?;
    let by_number: BTreeMap<usize, CompiledLayer> = compiled.into_iter().flatten().collect();
    Ok((listing, by_number.into_values().collect()))
}

/// The layers by number, those that share their code together.
fn groups(program: &Program) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (number, layer) in program.layers.iter().enumerate() {
        let is_first =
            |group: &&mut Vec<usize>| layer.shares.as_ref() == Some(&program.layers[group[0]].nest.name);
        match groups.iter_mut().find(is_first) {
            Some(group) => group.push(number),
            None => groups.push(vec![number]),
        }
    }
    groups
}

impl Compiled {
    /// The model as an emulated board takes it.
    pub fn firmware(&self) -> Firmware<'_> {
        Firmware {
            object: &self.object,
            run: &self.run,
            reset: None,
            arena_bytes: self.report.arena_bytes,
            arena_align: self.arena_align,
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            interrupts: false,
        }
    }
}

/// The lines of the listing that name the layers, in order.
fn layer_lines(listing: &str) -> Vec<u32> {
    let numbered = (1..).zip(listing.lines());
    numbered.filter(|(_, line)| line.starts_with("  layer @")).map(|(number, _)| number).collect()
}

fn settings(options: &Options) -> Settings {
    Settings {
        prefix: options.prefix.into(),
        listing: format!("{}.loops", options.stem),
        producer: concat!("tinyc ", env!("CARGO_PKG_VERSION")).into(),
        options: layer::Options::new(options.core, options.fpu),
        run_until: options.run_until,
    }
}

fn in_layer(error: Diagnostic, nest: &Nest) -> Diagnostic {
    Diagnostic { message: format!("layer `{}`: {}", nest.name, error.message), ..error }
}

/// Where the parameters and the scratch of a layer lie in the arena.
fn offsets(program: &Program, placement: &Placement, number: usize) -> Offsets {
    let layer = &program.layers[number];
    let params = layer.nest.params().zip(layer.args.iter().map(|tensor| placement.tensors[*tensor]));
    let scratch = layer.nest.buffers_where(|buffer| buffer.role == Role::Scratch);
    params.chain(scratch.zip(placement.scratch[number].iter().copied())).collect::<BTreeMap<_, _>>()
}

fn layer_report(
    program: &Program,
    number: usize,
    compiled: &CompiledLayer,
    options: &Options,
) -> LayerReport {
    let layer = &program.layers[number];
    let result = layer.args.last().map(|tensor| program.tensors[*tensor].ty.shape.clone());
    let constants = program::bytes_once(&compiled.constants);
    let body = compiled.body.as_ref().map_or(0, |body| body.code.bytes.len());
    let scratch = layer.nest.buffers.iter().filter(|buffer| buffer.role == Role::Scratch).map(Buffer::bytes);
    LayerReport {
        name: layer.nest.name.clone(),
        op: layer.op.clone(),
        shape: result.unwrap_or_default(),
        macs: layer.macs,
        cycles: compiled.emitted.cycles(options.core),
        memory: compiled.emitted.memory().into(),
        rescaled: Rescaled::default(),
        flash_bytes: (compiled.emitted.code.bytes.len() + body + constants) as u32,
        scratch_bytes: scratch.sum::<usize>() as u32,
        symbol: compiled.emitted.code.symbol.clone(),
        shares: compiled.shares.clone(),
    }
}

/// The bytes of weights behind the symbol of each constant.
fn weight_bytes(program: &Program, layers: &[CompiledLayer]) -> BTreeMap<String, u32> {
    let of_layer = |(layer, compiled): (&Layer, &CompiledLayer)| -> Vec<(String, u32)> {
        let weights = flash::weights(&layer.nest);
        let bytes = |(symbol, contents): &(String, Vec<(BufferId, u32)>)| {
            let weights = contents.iter().filter(|(buffer, _)| weights.contains(buffer));
            (symbol.clone(), weights.map(|(_, bytes)| bytes).sum())
        };
        compiled.contents.iter().map(bytes).collect()
    };
    program.layers.iter().zip(layers).flat_map(of_layer).collect()
}

fn report(
    program: &Program,
    placement: &Placement,
    object: &Object,
    weights: &BTreeMap<String, u32>,
    layers: Vec<LayerReport>,
    options: &Options,
) -> Report {
    let mut memory = MemoryReport::from(object.run.memory());
    layers.iter().for_each(|layer| memory += layer.memory);
    let weight_bytes = object.constants.iter().filter_map(|(symbol, _)| weights.get(symbol)).sum();
    let constant_bytes: u32 = object.constants.iter().map(|(_, bytes)| bytes).sum();
    let table_bytes = constant_bytes - weight_bytes;
    Report {
        model: options.prefix.into(),
        cpu: options.core.name().into(),
        cycles: object.run.cycles(options.core) + layers.iter().map(|layer| layer.cycles).sum::<u64>(),
        arena_bytes: placement.arena_bytes,
        stack_bytes: object.stack_bytes,
        scratch_bytes: layers.iter().map(|layer| layer.scratch_bytes).max().unwrap_or(0),
        flash_bytes: object.code_bytes + weight_bytes + table_bytes,
        code_bytes: object.code_bytes,
        weight_bytes,
        table_bytes,
        macs: program.layers.iter().map(|layer| layer.macs).sum(),
        memory,
        rescaled: Rescaled::default(),
        layers,
    }
}

fn header_spec(
    program: &Program,
    placement: &Placement,
    object: &Object,
    report: &Report,
    model_sha256: String,
    options: &Options,
) -> HeaderSpec {
    HeaderSpec {
        prefix: options.prefix.into(),
        tinyc_version: env!("CARGO_PKG_VERSION").into(),
        model_sha256,
        cpu: report.cpu.clone(),
        arena_bytes: report.arena_bytes,
        arena_align: placement.align.max(8),
        stack_bytes: report.stack_bytes,
        uses_fpu: object.uses_fpu,
        macs: report.macs,
        cycles: report.cycles,
        inputs: tensors(program, placement, input_number),
        outputs: tensors(program, placement, output_number),
        has_state: false,
        run_until_layers: options.run_until.then_some(program.layers.len() as u32),
    }
}

fn input_number(lifetime: Lifetime) -> Option<u32> {
    if let Lifetime::Input(number) = lifetime { Some(number) } else { None }
}

fn output_number(lifetime: Lifetime) -> Option<u32> {
    if let Lifetime::Output(number) = lifetime { Some(number) } else { None }
}

/// The tensors that `number` numbers, in that order, with their offsets.
fn numbered<'a>(
    program: &'a Program,
    placement: &Placement,
    number: fn(Lifetime) -> Option<u32>,
) -> Vec<(&'a TensorSlot, u32)> {
    let slots = program.tensors.iter().zip(placement.tensors.iter().copied());
    let mut found: Vec<_> = slots.filter_map(|(slot, at)| Some((number(slot.lifetime)?, slot, at))).collect();
    found.sort_by_key(|(number, ..)| *number);
    found.into_iter().map(|(_, slot, at)| (slot, at)).collect()
}

fn places(program: &Program, placement: &Placement, number: fn(Lifetime) -> Option<u32>) -> Vec<Place> {
    let place = |(slot, offset): (&TensorSlot, u32)| Place { offset, bytes: slot.ty.bytes() as u32 };
    numbered(program, placement, number).into_iter().map(place).collect()
}

fn tensors(program: &Program, placement: &Placement, number: fn(Lifetime) -> Option<u32>) -> Vec<TensorSpec> {
    let spec = |(slot, offset): (&TensorSlot, u32)| TensorSpec {
        element: c_type(slot.ty.elem),
        offset,
        bytes: slot.ty.bytes() as u32,
        shape: slot.ty.shape.iter().map(|extent| *extent as u32).collect(),
        quantization: slot.ty.per_tensor().map(|(scale, zero_point)| Quantization { scale, zero_point }),
    };
    numbered(program, placement, number).into_iter().map(spec).collect()
}

fn c_type(elem: Ty) -> CType {
    match elem {
        Ty::I8 | Ty::I1 | Ty::I8x4 => CType::Int8,
        Ty::U8 | Ty::U8x4 => CType::Uint8,
        Ty::I16 | Ty::U16 | Ty::I16x2 => CType::Int16,
        Ty::I32 => CType::Int32,
        Ty::I64 => CType::Int64,
        Ty::F32 => CType::Float,
    }
}
