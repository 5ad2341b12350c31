//! Runs nests as emitted code on the emulated boards, many in one firmware.
//!
//! Each nest is a layer of one object and has a window of the arena of its own. The arena is given and taken as a
//! whole, so that a nest that writes where it must not is found, wherever it writes.

#![allow(dead_code)] // Each test program uses a part of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ir::loops::text::calls::RunFile;
use ir::loops::verify::verify;
use ir::loops::walk::count;
use ir::loops::{BufferId, Nest, Role, interp};
use isel_thumb2::cores::m4::CortexM4;
use isel_thumb2::cores::{CORES, Core};
use isel_thumb2::layer::{ALLOCATORS, ORDERS, Options, Order};
use isel_thumb2::program::{CompiledLayer, Job, Object, Settings, assemble, compile_group, compile_layer};
use isel_thumb2::regalloc::{Allocator, Belady, Regalloc2};
use isel_thumb2::schedule::{REGISTERS, Style};
use passes::schedule::{Schedule, VERSION};
use tinyc::emulate::run_on;
use tinyc::link::{Board, Firmware, Linker, Place};

/// What memory holds that nobody has written.
const JUNK: u8 = 0xa5;
/// Bytes between the windows of two nests, which stay as they are.
const GAP_BYTES: u32 = 16;
/// How long a firmware may run.
const LIMIT: Duration = Duration::from_secs(300);

/// What competes for the code of a function.
#[derive(Clone, Copy)]
struct Rivals {
    allocators: &'static [&'static (dyn Allocator + Sync)],
    orders: &'static [Order],
}

const ALL: Rivals = Rivals { allocators: ALLOCATORS, orders: ORDERS };

/// A board with or without S registers for values.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    /// Which core.
    pub board: Board,
    /// Whether S registers may hold values.
    pub fpu: bool,
}

/// Every core, with S registers where it has some, and without.
pub const DEVICES: [Device; 6] = [
    Device { board: Board::Mps2An386, fpu: true },
    Device { board: Board::Mps2An500, fpu: true },
    Device { board: Board::Mps2An386, fpu: false },
    Device { board: Board::Mps2An500, fpu: false },
    Device { board: Board::Mps2An385, fpu: false },
    Device { board: Board::Mps2An505, fpu: true },
];

impl Device {
    /// The core of the board.
    pub fn core(self) -> &'static dyn Core {
        let is_there = |core: &&&dyn Core| Board::of_cpu(core.name()) == Some(self.board);
        *CORES.iter().find(is_there).expect("every board has a core")
    }
}

/// A nest with the memory of its parameters before it runs and after, by the interpreter.
#[derive(Clone, Debug)]
pub struct Case {
    /// As code generation takes it: without borders and composite operations.
    pub nest: Nest,
    /// By parameter, before.
    pub before: Vec<Vec<u8>>,
    /// By parameter, after.
    pub after: Vec<Vec<u8>>,
    /// How many cases further in front the one is whose code it runs, if it has none of its own.
    pub shares: Option<usize>,
}

impl Case {
    /// Interprets the nest, then takes it through the passes that code generation asks for.
    pub fn new(nest: Nest, before: Vec<Vec<u8>>) -> Result<Self, String> {
        let mut after = before.clone();
        let mut params: Vec<&mut [u8]> = after.iter_mut().map(Vec::as_mut_slice).collect();
        interp::run(&nest, &mut params).map_err(|error| error.to_string())?;
        Self::expecting(nest, before, after)
    }

    /// Takes the nest through the passes that code generation asks for; the caller knows what it must give.
    pub fn expecting(mut nest: Nest, before: Vec<Vec<u8>>, after: Vec<Vec<u8>>) -> Result<Self, String> {
        for pass in passes::loops::PASSES {
            (pass.run)(&mut nest).map_err(|error| error.to_string())?;
        }
        Ok(Self { nest, before, after, shares: None })
    }
}

/// The files of `tests/run` and `tests/isel` with their names: `isel/mac`.
pub fn files() -> Vec<(String, PathBuf)> {
    let of = |folder: &str| {
        let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder));
        let entries = entries.expect("the folder of the tests is there");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "tir"));
        paths.sort();
        let stem = |path: &Path| path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        paths.into_iter().map(|path| (format!("{folder}/{}", stem(&path)), path)).collect::<Vec<_>>()
    };
    [of("run"), of("isel")].concat()
}

/// The calls of a file; each gives in the interpreter what the file says.
pub fn cases(text: &str) -> Result<Vec<Case>, String> {
    let file = RunFile::parse(text).map_err(|error| error.to_string())?;
    let errors: Vec<String> = file.nests.iter().flat_map(verify).map(|error| error.to_string()).collect();
    if !errors.is_empty() {
        return Err(errors.join("\n"));
    }
    let mut cases = Vec::new();
    for call in &file.calls {
        let nest = &file.nests[call.nest];
        let case = Case::new(scheduled(nest, text)?, call.memory(nest))?;
        call.check(nest, &case.after).map_err(|error| error.to_string())?;
        cases.push(case);
    }
    if cases.is_empty() { Err("the file calls nothing".into()) } else { Ok(cases) }
}

/// The nest after the steps that a line of the file names for it.
fn scheduled(nest: &Nest, text: &str) -> Result<Nest, String> {
    let start = format!("//! steps @{} ", nest.name);
    let mut nest = nest.clone();
    for steps in text.lines().filter_map(|line| line.strip_prefix(&start)) {
        let schedule = Schedule::parse(&format!("schedule {VERSION}\nlayer *:\n  {steps}\n"));
        let applied = schedule.and_then(|schedule| schedule.apply_to(&mut nest, &mut |_, _| {}));
        applied.map_err(|error| error.to_string())?;
    }
    Ok(nest)
}

/// Whether QEMU and a linker are here; says so where not.
pub fn ready() -> bool {
    let ready = Command::new("qemu-system-arm").arg("--version").output().is_ok() && Linker::find().is_ok();
    if !ready {
        println!("skipped: qemu-system-arm or a linker for Arm not found");
    }
    ready
}

/// Where the buffers of each case lie in one arena, and its size in bytes.
struct Layout {
    offsets: Vec<BTreeMap<BufferId, u32>>,
    bytes: u32,
    align: u32,
}

impl Layout {
    fn new(cases: &[Case]) -> Self {
        let mut layout = Layout { offsets: Vec::new(), bytes: 0, align: 8 };
        for case in cases {
            let mut offsets = BTreeMap::new();
            for id in case.nest.buffers_where(|buffer| !buffer.is_const()) {
                let buffer = &case.nest.buffers[id.idx()];
                layout.align = layout.align.max(buffer.map.align);
                let at = layout.bytes.next_multiple_of(buffer.map.align);
                offsets.insert(id, at);
                layout.bytes = at + buffer.bytes() as u32;
            }
            layout.bytes += GAP_BYTES;
            layout.offsets.push(offsets);
        }
        layout.bytes = layout.bytes.next_multiple_of(layout.align);
        layout
    }

    /// The arena with the parameters of all cases, and where it holds scratch.
    fn image(&self, cases: &[Case], params: impl Fn(&Case) -> &Vec<Vec<u8>>) -> (Vec<u8>, Vec<bool>) {
        let mut image = vec![JUNK; self.bytes as usize];
        let mut scratch = vec![false; image.len()];
        for (case, offsets) in cases.iter().zip(&self.offsets) {
            for (id, data) in case.nest.params().zip(params(case)) {
                image[offsets[&id] as usize..][..data.len()].copy_from_slice(data);
            }
            for id in case.nest.buffers_where(|buffer| buffer.role == Role::Scratch) {
                let bytes = case.nest.buffers[id.idx()].bytes();
                scratch[offsets[&id] as usize..][..bytes].fill(true);
            }
        }
        (image, scratch)
    }
}

fn settings(core: &'static dyn Core, fpu: bool, rivals: Rivals) -> Settings {
    let Rivals { allocators, orders } = rivals;
    Settings {
        prefix: "test".into(),
        listing: "test.loops".into(),
        producer: "tinyc".into(),
        options: Options { allocators, orders, ..Options::new(core, fpu) },
        run_until: false,
    }
}

/// The code of each case as the compiler chooses it for the Cortex-M4; they must have different names.
pub fn compile(cases: &[Case], fpu: bool) -> Result<Vec<CompiledLayer>, String> {
    compile_with(cases, &CortexM4, fpu, ALL)
}

fn compile_with(
    cases: &[Case],
    core: &'static dyn Core,
    fpu: bool,
    rivals: Rivals,
) -> Result<Vec<CompiledLayer>, String> {
    let offsets = Layout::new(cases).offsets;
    let settings = settings(core, fpu, rivals);
    let job = |number: &usize| Job {
        nest: &cases[*number].nest,
        offsets: offsets[*number].clone(),
        lines: &[],
        line: 0,
    };
    let mut layers: Vec<(usize, CompiledLayer)> = Vec::new();
    for group in groups(cases) {
        let jobs: Vec<Job> = group.iter().map(job).collect();
        let compiled = compile_group(&jobs, &settings)
            .map_err(|error| format!("`@{}`: {error}", cases[group[0]].nest.name))?;
        layers.extend(group.into_iter().zip(compiled));
    }
    layers.sort_by_key(|(number, _)| *number);
    Ok(layers.into_iter().map(|(_, layer)| layer).collect())
}

/// The numbers of the cases, those with one code together.
fn groups(cases: &[Case]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let first = case.shares.map(|back| number - back);
        match groups.iter_mut().find(|group| Some(group[0]) == first) {
            Some(group) => group.push(number),
            None => groups.push(vec![number]),
        }
    }
    groups
}

/// The object of layers that were compiled for the Cortex-M4.
pub fn object(layers: Vec<CompiledLayer>, fpu: bool) -> Result<Object, String> {
    assemble(layers, &settings(&CortexM4, fpu, ALL)).map_err(|error| error.to_string())
}

/// Cases as one object, each a layer.
pub struct Program {
    /// The code of each case, its name with the number of the case behind it: a nest may be called twice.
    pub layers: Vec<CompiledLayer>,
    /// The object of all.
    pub object: Object,
    cases: Vec<Case>,
    layout: Layout,
}

impl Program {
    /// Compiles cases. Between them, the devices run what each allocator and each kind of order makes of every case.
    pub fn new(cases: &[Case], device: Device) -> Result<Self, String> {
        let rivals = match (device.board, device.fpu) {
            (Board::Mps2An386, true) => {
                Rivals { allocators: &[&Belady], orders: const { &[Order::of(Style::Grouped, REGISTERS)] } }
            }
            (Board::Mps2An500, true) => Rivals {
                allocators: &[&Regalloc2],
                orders: const { &[Order::of(Style::Soonest, REGISTERS + 2)] },
            },
            (Board::Mps2An386, false) => Rivals { allocators: &[&Belady], orders: &[Order::SOURCE] },
            (Board::Mps2An385, _) => Rivals {
                allocators: &[&Regalloc2],
                orders: const { &[Order::of(Style::Grouped, REGISTERS)] },
            },
            (Board::Mps2An505, _) => {
                Rivals { allocators: &[&Belady], orders: const { &[Order::of(Style::Soonest, REGISTERS)] } }
            }
            (Board::Mps2An500, false) => Rivals {
                allocators: &[&Regalloc2],
                orders: const { &[Order::of(Style::Grouped, REGISTERS + 1)] },
            },
        };
        let mut cases = cases.to_vec();
        for (number, case) in cases.iter_mut().enumerate() {
            case.nest.name = format!("{}_{number}", case.nest.name);
        }
        let layers = compile_with(&cases, device.core(), device.fpu, rivals)?;
        let object = assemble(layers.clone(), &settings(device.core(), device.fpu, rivals))
            .map_err(|error| error.to_string())?;
        Ok(Self { layers, object, layout: Layout::new(&cases), cases })
    }

    /// The firmware that runs all cases one after the other. Its input and its output are the whole arena.
    pub fn firmware(&self, interrupts: bool) -> Firmware<'_> {
        let place = Place { offset: 0, bytes: self.layout.bytes };
        Firmware {
            object: &self.object.bytes,
            run: "test_run",
            reset: None,
            arena_bytes: self.layout.bytes,
            arena_align: self.layout.align,
            inputs: vec![place],
            outputs: vec![place],
            interrupts,
        }
    }

    /// The arena before the run.
    pub fn input(&self) -> Vec<u8> {
        self.layout.image(&self.cases, |case| &case.before).0
    }

    /// Names each case after which the arena differs from what the interpreter left.
    fn compare(&self, found: &[u8]) -> Result<(), String> {
        let (wanted, scratch) = self.layout.image(&self.cases, |case| &case.after);
        compare(&self.cases, &self.layout, found, &wanted, &scratch)
    }
}

/// Runs all cases one after the other on a device, with interrupts on; names each that differs from the interpreter.
pub fn run(cases: &[Case], device: Device) -> Result<(), String> {
    let program = Program::new(cases, device)?;
    let outcome = run_on(device.board, &program.firmware(true), &[vec![program.input()]], LIMIT)
        .map_err(|error| error.to_string())?;
    program.compare(&outcome.outputs[0][0])
}

/// Runs one nest as the compiler emits it for a core, with the data of each case; gives its code, whose lines are numbers of statements,
/// counted from 1. Without `boards` it is only compiled.
pub fn run_as_compiled(
    cases: &[Case],
    core: &'static dyn Core,
    boards: bool,
) -> Result<CompiledLayer, String> {
    let one = &cases[..1];
    let settings = settings(core, true, ALL);
    let layout = Layout::new(one);
    let lines: Vec<u32> = (1..=count(&one[0].nest.body)).collect();
    let job = Job { nest: &one[0].nest, offsets: layout.offsets[0].clone(), lines: &lines, line: 0 };
    let layer = compile_layer(&job, &settings).map_err(|error| error.to_string())?;
    let Some(board) = Board::of_cpu(core.name()).filter(|_| boards) else { return Ok(layer) };
    let object = assemble(vec![layer.clone()], &settings).map_err(|error| error.to_string())?;
    let program = Program { layers: vec![layer.clone()], object, layout, cases: one.to_vec() };
    let image = |case: &Case, params: fn(&Case) -> &Vec<Vec<u8>>| {
        program.layout.image(std::slice::from_ref(case), params)
    };
    let inputs: Vec<_> = cases.iter().map(|case| vec![image(case, |case| &case.before).0]).collect();
    let outcome =
        run_on(board, &program.firmware(true), &inputs, LIMIT).map_err(|error| error.to_string())?;
    for (case, outputs) in cases.iter().zip(&outcome.outputs) {
        let (wanted, scratch) = image(case, |case| &case.after);
        compare(one, &program.layout, &outputs[0], &wanted, &scratch)
            .map_err(|error| format!("{}: {error}", core.name()))?;
    }
    Ok(layer)
}

/// Names the buffer of each case where the arena differs from what is wanted, scratch left aside.
fn compare(
    cases: &[Case],
    layout: &Layout,
    found: &[u8],
    wanted: &[u8],
    scratch: &[bool],
) -> Result<(), String> {
    let differs = |at: &usize| found[*at] != wanted[*at] && !scratch[*at];
    let mut failures: Vec<String> = Vec::new();
    for at in (0..found.len()).filter(differs) {
        let what = owner(cases, layout, at as u32);
        if failures.last().is_none_or(|last| !last.starts_with(&what)) {
            failures.push(format!("{what} holds {:#04x}, expected {:#04x}", found[at], wanted[at]));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// What lies at an offset of the arena: the buffer of a nest, and which byte of it is the first of that kind.
fn owner(cases: &[Case], layout: &Layout, at: u32) -> String {
    for (case, offsets) in cases.iter().zip(&layout.offsets) {
        for (id, from) in offsets {
            let buffer = &case.nest.buffers[id.idx()];
            if (*from..*from + buffer.bytes() as u32).contains(&at) {
                return format!("`@{}`: `{}`", case.nest.name, buffer.name);
            }
        }
    }
    "memory between the buffers".into()
}
