//! Code that several layers share: exact on the emulated cores, priced to the cycle, and no stack in its inner loops.
//!
//! A network of our own has layers of one kind with odd extents that all differ; the other is a real one with its default steps, where it
//! is there.

mod compiled;

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use ir::loops::interp::run_program;
use ir::loops::text::parse_program;
use ir::loops::verify::verify_program;
use ir::loops::{Lifetime, Program};
use isel_thumb2::cores::CORES;
use isel_thumb2::program::{CompiledLayer, assemble};
use lowering::memory::place;
use passes::schedule::Schedule;
use rayon::prelude::*;
use test_support::judge::{self, Judged};
use test_support::{Random, first_seed};
use tinyc::emulate::run_on;
use tinyc::link::{self, Board, Firmware, Linker};
use tinyc::pipeline::{self, Compiled, Options};

/// The emulator executes some hundred million instructions a second.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// Pixels, channels in and channels out of each layer of our own network; each takes the elements that the one before gives.
const LAYERS: [[usize; 3]; 3] = [[15, 7, 9], [27, 5, 7], [21, 9, 5]];
/// Steps for all of its layers: two channels at a time, and a rest.
const STEPS: &str = "schedule 1\nlayer conv_*:\n  peel n 1\n  tile n 2; unroll n.i\n";

/// A layer as text: scratch, a number that counts up, a literal of its own and a table beside the usual.
fn conv(name: &str, [pixels, k, n]: [usize; 3], random: &mut Random) -> String {
    let mut list = |len: usize| {
        let numbers: Vec<String> = random.bytes(len).iter().map(|byte| (*byte as i8).to_string()).collect();
        numbers.join(", ")
    };
    let (w, b, f) = (list(n * k), list(n), list(16));
    let zero = 1000 * pixels as i32 - 20_000; // Too far for an immediate.
    format!(
        "loops @{name}(x: i8[{pixels}, {k}], y: i8[{pixels}, {n}]) {{
  const w: i8[{n}, {k}] = [{w}]
  const b: i32[{n}] = [{b}]
  const f: i8[16] = [{f}]
  scratch z: i16[{k}]
  for p in 0..{pixels} {{
    for j in 0..{k} {{ z[j] = sext x[p, j] }}
    for n in 0..{n} {{
      reduce a: i32 over k in 0..{k} {{
        init {{ a = add b[n], add(index(n), {zero}) }}
        update {{ a = add a, mul(sext(z[k]), sext(w[n, k])) }}
        finish {{
          q: i32 = ssat a {{bits = 4, asr = 6}}
          y[p, n] = ssat add(asr(a, 3), sext(lookup(f, add(q, 8)))) {{bits = 8, asr = 0}}
        }}
      }}
    }}
  }}
}}
"
    )
}

/// Layers of one kind, one after the other.
fn own_program() -> Program {
    let mut random = Random(first_seed() + 6);
    let mut text = String::from("program @net {\n");
    let bytes = |number: usize| LAYERS.get(number).map_or(105, |[pixels, k, _]| pixels * k);
    for number in 0..=LAYERS.len() {
        let lifetime = match number {
            0 => "input 0",
            3 => "output 0",
            _ => "temporary",
        };
        writeln!(text, "  tensor t{number}: i8[{}] {lifetime}", bytes(number)).unwrap();
    }
    for number in 0..LAYERS.len() {
        let next = number + 1;
        writeln!(text, "  layer @conv_{number}(t{number}, t{next}) op \"conv2d\" macs 1 sources [{number}]")
            .unwrap();
    }
    text += "}\n";
    for (number, sizes) in LAYERS.into_iter().enumerate() {
        text += &conv(&format!("conv_{number}"), sizes, &mut random);
    }
    let program = parse_program(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(verify_program(&program), []);
    program
}

/// The network with its steps and, where wanted, with one code; what it computes is that of the plain one.
fn scheduled(plain: &Program, scopes: &str) -> Program {
    let mut program = plain.clone();
    let schedule = Schedule::parse(&format!("{STEPS}{scopes}")).expect("it is well formed");
    schedule.apply(&mut program, &mut |_, _| {}).unwrap_or_else(|error| panic!("{error}"));
    for layer in &mut program.layers {
        passes::loops::legalize(&mut layer.nest).expect("the nests are legal");
    }
    let text = program.to_string();
    assert_eq!(parse_program(&text).map(|again| again.to_string()), Ok(text));
    program
}

fn options(cpu: &str, fpu: bool) -> Options<'static> {
    let core = isel_thumb2::cores::by_name(cpu).expect("it is in the list");
    Options { core, prefix: "m", stem: "m", fpu, run_until: true, schedule: None }
}

fn compile(program: &Program, options: &Options) -> Compiled {
    pipeline::generate(program, String::new(), options, &|_, _| {}).unwrap_or_else(|error| panic!("{error}"))
}

/// Random inputs, and what the interpreter makes of them.
fn cases(program: &Program) -> Vec<[Vec<Vec<u8>>; 2]> {
    let inputs = program.tensors.iter().filter(|tensor| matches!(tensor.lifetime, Lifetime::Input(_)));
    let bytes: Vec<usize> = inputs.map(|tensor| tensor.ty.bytes()).collect();
    let case = |seed| {
        let inputs: Vec<Vec<u8>> = bytes.iter().map(|bytes| Random(seed).bytes(*bytes)).collect();
        let outputs = run_program(program, &inputs).expect("the program is right");
        [inputs, outputs]
    };
    let first = first_seed();
    (first..first + 3).map(case).collect()
}

/// Runs the cases on an emulated core.
fn expect_exact(compiled: &Compiled, cpu: &str, cases: &[[Vec<Vec<u8>>; 2]]) {
    let board = Board::of_cpu(cpu).expect("every core has a board");
    let inputs: Vec<_> = cases.iter().map(|[inputs, _]| inputs.clone()).collect();
    let outcome =
        run_on(board, &compiled.firmware(), &inputs, TIME_LIMIT).unwrap_or_else(|error| panic!("{error}"));
    for ([_, wanted], found) in cases.iter().zip(&outcome.outputs) {
        assert!(wanted == found, "a wrong answer on {cpu}");
    }
    let stack = compiled.report.stack_bytes;
    assert!(
        outcome.stack_bytes <= stack,
        "{} bytes of stack on {cpu}, {stack} reported",
        outcome.stack_bytes
    );
}

/// Whether QEMU is here; says so where not.
fn emulator() -> bool {
    let found = std::process::Command::new("qemu-system-arm").arg("--version").output().is_ok();
    if !found {
        println!("skipped: qemu-system-arm not found");
    }
    found
}

/// What the judge says of one inference.
fn judged(judge: &Path, firmware: &Firmware, cpu: &str, input: &[u8]) -> Judged {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let board = Board::of_cpu(cpu).expect("every core has a board");
    let linker = Linker::find().expect("Rust comes with a linker");
    let elf = link::link(board, firmware, &linker, folder.path()).expect("the firmware links");
    judge::run(judge, &elf, input, cpu, folder.path())
}

/// Predicted and judged cycles differ by this part at most.
fn expect_near(what: &str, cpu: &str, predicted: u64, judged: u64, part: f64) {
    let off = predicted as f64 / judged as f64 - 1.0;
    println!("{cpu}: {what}: {predicted} for {judged} ({:+.2} %)", 100.0 * off);
    assert!(off.abs() <= part, "{what} on {cpu}: {predicted} predicted, {judged} judged");
}

/// Predicted against judged cycles and accesses of a whole inference.
fn expect_cycles(compiled: &Compiled, cpu: &str, input: &[u8], part: f64) {
    let Some(judge) = judge::find() else { return };
    let judged = judged(&judge, &compiled.firmware(), cpu, input);
    expect_near("all", cpu, compiled.report.cycles, judged.cycles, part);
    let memory = compiled.report.memory;
    assert_eq!(
        (memory.flash_reads + memory.ram_reads, memory.ram_writes, memory.flash_reads),
        (judged.mem.loads, judged.mem.stores, judged.mem.flash_loads),
        "loads and stores on {cpu}"
    );
}

#[test]
fn one_code_serves_layers_of_all_extents() {
    let plain = own_program();
    let cases = cases(&plain);
    let (apart, shared) = (scheduled(&plain, ""), scheduled(&plain, "group conv_*:\n  share\n"));
    assert_eq!(shared.layers.iter().filter(|layer| layer.shares.as_deref() == Some("conv_0")).count(), 2);
    assert_eq!(run_program(&shared, &cases[0][0]), Ok(cases[0][1].clone()));
    CORES.par_iter().for_each(|core| {
        let cpu = core.name();
        let settings: &[bool] = if cpu == "cortex-m4" { &[true, false] } else { &[true] };
        for fpu in settings.iter().copied() {
            let [before, after] = [&apart, &shared].map(|program| compile(program, &options(cpu, fpu)));
            let (many, one) = (before.report.code_bytes, after.report.code_bytes);
            assert!(3 * one < 2 * many, "{one} bytes of code for three layers, {many} apart on {cpu}");
            if emulator() {
                expect_exact(&after, cpu, &cases);
                let part = if cpu == "cortex-m4" { 0.01 } else { 0.06 };
                expect_cycles(&after, cpu, &cases[0][0][0], part);
            }
        }
    });
}

/// Cycles of each member by itself: what a run takes more when it goes on to that layer.
#[test]
fn the_cycles_of_each_member_are_its_own() {
    let shared = scheduled(&own_program(), "group conv_*:\n  share\n");
    let placement = place(&shared).expect("the tensors fit");
    let input = Random(1).bytes(LAYERS[0][0] * LAYERS[0][1]);
    let Some(judge) = judge::find() else { return };
    for (cpu, part) in [("cortex-m4", 0.01), ("cortex-m7", 0.06)] {
        let settings = compiled::settings(options(cpu, true).core, true);
        let layers =
            pipeline::layers(&shared, &placement, &settings, &|_, _| {}).expect("the layers compile").1;
        let whole = compile(&shared, &options(cpu, true));
        let mut before = 0;
        for (number, layer) in layers.iter().enumerate() {
            let object = assemble(layers[..=number].to_vec(), &settings).expect("the object is written");
            let firmware = Firmware { object: &object.bytes, run: "model_run", ..whole.firmware() };
            let judged = judged(&judge, &firmware, cpu, &input);
            let all: u64 = layers.iter().map(|layer| judged.of(&layer.emitted.code.symbol)).sum();
            let all = all + judged.of("model_shared_conv_0");
            expect_near(
                &format!("conv_{number}"),
                cpu,
                layer.emitted.cycles(settings.options.core),
                all - before,
                part,
            );
            before = all;
        }
    }
}

/// A real network: the layers that are alike under the default rules.
#[test]
fn a_real_network_is_exact_and_smaller() {
    let models = test_support::shared_models();
    let Some(model) = models.iter().find(|model| model.name == "kws_ref_model") else { return };
    let file = model.read();
    let graph = pipeline::graph(&file, "m", &mut |_, _| {}).expect("it is supported");
    let mut steps = String::from("schedule 1\n");
    for number in [2, 4, 6, 8] {
        let blocks = "tile p 5; tile n 2; reorder p.o n.o p.i n.i; unroll-and-jam p.i n.i";
        writeln!(steps, "layer conv2d_{number}:\n  {blocks}").unwrap();
    }
    for cpu in ["cortex-m4", "cortex-m7"] {
        let with = |scopes: &str| {
            let schedule = Schedule::parse(&format!("{steps}{scopes}")).expect("it is well formed");
            let in_use = pipeline::schedule_in_use(&graph, Some(&schedule)).expect("it is legal");
            let options = Options { schedule: Some(&schedule), run_until: false, ..options(cpu, true) };
            let compiled = pipeline::compile(&file, &options, &|_, _| {}).expect("it is legal");
            let again = Options { schedule: Some(&in_use), ..options };
            let again = pipeline::compile(&file, &again, &|_, _| {}).expect("it is legal");
            assert!(compiled.object == again.object, "the schedule in use gives another object");
            compiled
        };
        let apart = with("");
        let shared =
            with("group conv2d_2 conv2d_4 conv2d_6 conv2d_8:\n  share\ngroup depthwise_*:\n  share\n");
        let [before, after] = [&apart, &shared].map(|compiled| compiled.report.code_bytes);
        println!("{cpu}: {after} bytes of code, {before} apart");
        assert!(2 * after < before, "{after} bytes of code, {before} apart");
        let [before, after] = [&apart, &shared].map(|compiled| compiled.report.cycles);
        assert!(after * 100 <= before * 101, "{after} cycles, {before} apart");
        if emulator() {
            let golden = model.golden();
            let cases: Vec<_> =
                golden.cases[..2].iter().map(|case| [case.inputs.clone(), case.outputs.clone()]).collect();
            expect_exact(&shared, cpu, &cases);
        }
    }
}

/// Inner loops of shared code leave the stack alone, though it has the table in a register beside everything else.
#[test]
fn inner_loops_of_shared_code_leave_the_stack_alone() {
    let shared = scheduled(&own_program(), "group conv_*:\n  share\n");
    let placement = place(&shared).expect("the tensors fit");
    let core = isel_thumb2::cores::by_name("cortex-m4").expect("it is in the list");
    let settings = compiled::settings(core, true);
    let layers = pipeline::layers(&shared, &placement, &settings, &|_, _| {}).expect("the layers compile").1;
    let bodies: Vec<_> = layers.iter().filter_map(|layer: &CompiledLayer| layer.body.as_ref()).collect();
    assert_eq!(bodies.len(), 1);
    assert!(compiled::stack_accesses(&bodies[0].timed).iter().all(|count| *count == 0));
}
