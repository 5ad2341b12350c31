//! `docs/inner-loops.md`: what the inner loops of the main kernels take, beside those of hand-written ones.
//!
//! The loop without loops inside that computes most of a family's products is looked at alone, by the same timing that predicts whole
//! layers. Where it takes more than a tenth longer than by hand, the table says why.

use std::collections::BTreeMap;
use std::fmt::Write;

use ir::loops::{BufferId, Nest};
use isel_thumb2::cores::function::block_cycles;
use isel_thumb2::cores::{Core, TICKS, TimedBlock, TimedFunction};
use isel_thumb2::emit::{Emitted, Names, Timed};
use isel_thumb2::isa::Inst;
use isel_thumb2::layer::{Options, compile};
use test_support::{all_models, compare_with_file, repository};

use crate::layer::measured;
use crate::{parsed, scheduled, subject};

/// A kernel whose inner loop was measured.
struct Kernel {
    /// What it is.
    name: &'static str,
    /// The family whose schedule makes it.
    family: &'static str,
    /// Multiply-accumulates of a 64-bit product: two of each tap of a line, and a word for each two taps.
    per_long: f64,
    /// By core, cycles for one multiply-accumulate, and why ours takes more than a tenth longer, if it does.
    wanted: [(f64, &'static str); 2],
}

/// How much longer an inner loop may take than by hand, on any core, without a reason.
const WITHOUT_REASON: f64 = 1.1;
/// How much longer it may take on the first core.
const MOST: f64 = 1.2;
/// How far the numbers of the document may be off.
const TOLERANCE: f64 = 0.05;
/// What buffers are aligned to.
const ALIGN: u32 = 8;

#[rustfmt::skip] // One kernel per entry.
const KERNELS: &[Kernel] = &[
    // Steps of 16 products in 15 cycles, and two products a cycle.
    Kernel { name: "pointwise, 2 pixels by 4 channels, packed weights", family: "gemm_2x4_packed", per_long: 0.0, wanted: [(0.94, "M4: 0.11 for rescaling and stores, as all steps of a sum stand in one loop with them"), (0.50, "M7: 0.08 for the same, the rest where an extension or a load finds no partner")] },
    Kernel { name: "pointwise, 4 pixels by 2 channels, packed weights", family: "gemm_4x2_packed", per_long: 0.0, wanted: [(0.94, "M4: 0.10 for rescaling and stores, the rest for loads that do not stand together"), (0.71, "")] },
    Kernel { name: "pointwise, 2 pixels by 4 channels, halfwords", family: "gemm_2x4_int16", per_long: 0.0, wanted: [(1.00, ""), (0.50, "M7: 0.06 for rescaling and stores, as all steps of a sum stand in one loop with them")] },
    Kernel { name: "fully connected, 8 channels, packed weights", family: "dense_1x8_packed", per_long: 0.0, wanted: [(1.13, ""), (0.56, "")] },
    // Products of transformed values at 32 channels with the stores of their sums; on M7 half of what was measured on M4, counted.
    Kernel { name: "3x3 by Winograd, tiles of 4x4", family: "winograd_f4_32", per_long: 0.0, wanted: [(1.10, ""), (0.55, "")] },
    Kernel { name: "3x3 by Winograd, tiles of 2x2", family: "winograd_f2_32", per_long: 0.0, wanted: [(1.10, ""), (0.55, "")] },
    // Two outputs in 24.75 and 20.2 cycles.
    Kernel { name: "depthwise 3x3", family: "depthwise3x3_s1_carry", per_long: 0.0, wanted: [(1.375, ""), (1.12, "")] },
    // Whole layers without their planes: the inner loops alone were not measured.
    Kernel { name: "depthwise 5x5, 64-bit products", family: "depthwise5x5_kronecker", per_long: 10.0 / 3.0, wanted: [(1.09, ""), (0.73, "")] },
    Kernel { name: "depthwise 7x7, 64-bit products", family: "depthwise7x7_kronecker", per_long: 14.0 / 4.0, wanted: [(0.83, ""), (0.56, "")] },
];

const HEAD: &str = "# Inner loops

Cycles for one multiply-accumulate in the inner loop that computes most of a layer, on memory without wait states: of the code that this
compiler emits for the schedules of [some families](kernels.md), by the timing that predicts whole layers, and as measured of kernels
written by hand. Winograd's products are those of transformed values.

`TINYC_BLESS=1 cargo test --test families` writes this table; without it the test allows numbers that are a twentieth off.

| kernel | family | M4 | by hand | gap | M7 | by hand | gap | why more than a tenth |
|---|---|---:|---:|---:|---:|---:|---:|---|
";

#[test]
fn inner_loops_are_about_as_fast_as_by_hand() {
    let path = repository().join("docs/inner-loops.md");
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let bless = std::env::var_os("TINYC_BLESS").is_some();
    let (mut text, mut wrong) = (HEAD.to_owned(), Vec::new());
    for kernel in KERNELS {
        let known = written.lines().find(|line| line.contains(&format!("`{}`", kernel.family)));
        let Some(found) = found(kernel) else {
            println!("skipped: the model of {} is not there", kernel.family);
            known.iter().for_each(|line| text.push_str(&format!("{line}\n")));
            continue;
        };
        let line = line(kernel, &found);
        print!("{line}");
        match known.filter(|known| !bless && is_near(&line, known)) {
            Some(known) => text.push_str(&format!("{known}\n")),
            None => text.push_str(&line),
        }
        wrong.extend(complaints(kernel, &found));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    compare_with_file(&path, &text).unwrap();
}

/// By core, cycles for one multiply-accumulate; nothing where the model is not there.
fn found(kernel: &Kernel) -> Option<Vec<f64>> {
    let (schedule, comment) = parsed(kernel.family).expect("it is a schedule");
    let graph = subject::graph(&comment, &all_models()).expect("it names a network")?;
    let layers = scheduled(&graph, &schedule).expect("the steps are legal");
    let [layer] = &layers[..] else { panic!("{} changes one layer", kernel.family) };
    Some(measured().map(|core| inner(&emitted(&layer.nest, core).timed, core, kernel.per_long)).collect())
}

fn emitted(nest: &Nest, core: &'static dyn Core) -> Emitted {
    let mut nest = nest.clone();
    passes::loops::legalize(&mut nest).expect("a family's nest can be emitted");
    let mut end = 0;
    let mut offset = |buffer: BufferId| {
        let at = end;
        end += (nest.buffers[buffer.idx()].bytes() as u32).next_multiple_of(ALIGN);
        (buffer, at)
    };
    let offsets: BTreeMap<BufferId, u32> =
        nest.buffers_where(|buffer| !buffer.is_const()).map(&mut offset).collect();
    let names = Names { symbol: String::new(), constant: &|_| String::new(), line: &|_| 0 };
    compile(&nest, &offsets, &names, Options::new(core, true)).expect("a family's nest can be emitted")
}

/// Cycles for one multiply-accumulate in the inner loop with most of them.
fn inner(timed: &Timed, core: &dyn Core, per_long: f64) -> f64 {
    let blocks = timed.blocks.iter();
    let blocks =
        blocks.map(|block| TimedBlock { insts: &block.insts, touched: &block.touched, count: block.count });
    let function = TimedFunction { blocks: blocks.collect(), edges: timed.edges.clone() };
    let ticks = block_cycles(core, &function);
    let macs = |at: usize| -> f64 {
        let of_once: f64 = timed.blocks[at].insts.iter().map(|inst| products(inst, per_long)).sum();
        timed.blocks[at].count as f64 * of_once
    };
    let loops: Vec<(usize, usize)> = timed
        .edges
        .iter()
        .filter(|edge| edge.taken && edge.to <= edge.from)
        .map(|edge| (edge.to, edge.from))
        .collect();
    let holds = |outer: &(usize, usize), inner: &(usize, usize)| {
        outer != inner && outer.0 <= inner.0 && inner.1 <= outer.1
    };
    let innermost = loops.iter().filter(|outer| !loops.iter().any(|inner| holds(outer, inner)));
    let priced = innermost.map(|(from, to)| {
        let cycles = ticks[*from..=*to].iter().sum::<u64>() as f64 / TICKS as f64;
        ((*from..=*to).map(macs).sum::<f64>(), cycles)
    });
    let most = priced.max_by(|(a, _), (b, _)| a.total_cmp(b));
    most.map_or(f64::INFINITY, |(macs, cycles)| cycles / macs)
}

/// The multiply-accumulates of an instruction.
fn products(inst: &Inst, per_long: f64) -> f64 {
    match inst.row().name.to_ascii_lowercase().as_str() {
        "smlad" | "smuad" | "smladx" => 2.0,
        "smlabb" | "smlabt" | "smlatb" | "smlatt" | "mla" => 1.0,
        "smlal" => per_long,
        _ => 0.0,
    }
}

fn line(kernel: &Kernel, found: &[f64]) -> String {
    let mut line = format!("| {} | `{}` |", kernel.name, kernel.family);
    for (found, (wanted, _)) in found.iter().zip(kernel.wanted) {
        let more = 100.0 * (found / wanted - 1.0);
        write!(line, " {found:.3} | {wanted:.2} | {more:+.0} % |").expect("text grows");
    }
    let reasons: Vec<&str> =
        kernel.wanted.iter().map(|(_, reason)| *reason).filter(|reason| !reason.is_empty()).collect();
    format!("{line} {} |\n", reasons.join("; "))
}

/// Whether two lines say nearly the same.
fn is_near(line: &str, other: &str) -> bool {
    let cells = |line: &'_ str| line.trim().split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let near = |(a, b): (&String, &String)| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a / b - 1.0).abs() <= TOLERANCE,
        _ => a == b || a.ends_with('%') && b.ends_with('%'),
    };
    let (line, other) = (cells(line), cells(other));
    line.len() == other.len() && line.iter().zip(&other).all(near)
}

/// What is slower than it may be.
fn complaints(kernel: &Kernel, found: &[f64]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (core, (found, (wanted, reason))) in found.iter().zip(kernel.wanted).enumerate() {
        let ratio = found / wanted;
        if ratio > WITHOUT_REASON && reason.is_empty() || core == 0 && ratio > MOST {
            complaints.push(format!("{}: {found:.3} on core {core}, {ratio:.2} of {wanted}", kernel.name));
        }
    }
    complaints
}
