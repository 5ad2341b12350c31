//! The kernel families: each is a schedule, exact as emitted code on both emulated cores, with its cycles for one
//! multiply-accumulate beside those of the best hand-written kernel that was measured.
//!
//! A family is a file `tests/schedules/<family>.schedule` and a row below. The first comment in the file says what it is for:
//!
//! ```text
//! schedule 1
//! // model kws_ref_model                                                  Layers of this model, or
//! // shape conv2d x 13 10 12 w 20 3 3 stride 2 2 pad 0 1 0 1               the layer of that operator, with random weights:
//! // shape depthwise_conv2d x 13 10 12 w 3 3 stride 1 1 pad 1 1 1 1        rows, columns, channels; margins above, below, left, right;
//! // shape depthwise_conv2d x … dilation 2 2 multiplier 2                  where there are any;
//! // shape fully_connected x 40 w 12                                      depths;
//! // shape add x 7 9 20, shape avg_pool2d x 7 5 12 w 7 5                   windows that lie side by side;
//! // shape band x 7 10 6 expand 12 w 3 3 pad 1 1 1 1 project 9            pointwise, depthwise and pointwise.
//! layer conv2d_2:
//!   …
//! ```
//!
//! The layers that the schedule changes give what the plain nests give: in the interpreter, and as the code that the compiler emits for
//! each core. The table is kept in `docs/kernels.md`. `TINYC_TEST_ONLY=gemm cargo test --test families -- --nocapture` runs the families whose names begin so.

#[path = "families/document.rs"]
mod document;
mod emitted;

use std::fmt::Write;
use std::fs;

use document::Row;
use ir::graph::ops::{Add, AvgPool2d, Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d};
use ir::graph::{Graph, Op, Tensor};
use ir::loops::text::parse_program;
use ir::loops::{Layer, Nest, Program, interp};
use ir::ty::{Quant, TensorType, Ty};
use isel_thumb2::cores::{Core, by_name};
use passes::loops::step::Step;
use passes::network::{self, Subject};
use passes::schedule::{Content, Kind, Schedule, Scope};
use rayon::prelude::*;
use test_support::operators::{Rng, finish, graph_of, memory};
use test_support::{Model, all_models, repository};
use tinyc::pipeline;

/// The cores that the kernel measurements are of.
const MEASURED: [&str; 2] = ["cortex-m4", "cortex-m7"];

/// A row of the table.
struct Family {
    /// The stem of its file.
    name: &'static str,
    /// Cycles for one multiply-accumulate, or element, of a whole layer like this on M4 and M7: sections 3 to 6 of the kernel measurements.
    wanted: [f64; 2],
}

#[rustfmt::skip] // One family per line.
const FAMILIES: &[Family] = &[
    Family { name: "gemm_2x4_int16",       wanted: [1.10, 0.58] }, // 64 -> 64 channels.
    Family { name: "gemm_2x4_packed",      wanted: [1.08, 0.60] }, // 64 -> 64.
    Family { name: "gemm_4x2_packed",      wanted: [1.06, 0.71] }, // 64 -> 64; 16 MACs in 11.4 cycles on M7.
    Family { name: "dense_1x8_packed",     wanted: [1.20, 0.61] }, // 128 -> 128.
    Family { name: "conv3x3_im2col",         wanted: [1.01, 0.55] }, // K = 144.
    Family { name: "conv3x3_implicit",       wanted: [1.01, 0.55] },
    Family { name: "conv3x3_s2_implicit",    wanted: [1.01, 0.55] },
    Family { name: "first_3ch_im2col",       wanted: [1.25, 0.83] }, // 16 channels.
    Family { name: "first_3ch_implicit",     wanted: [1.35, 0.83] }, // 8 channels.
    Family { name: "first_1ch_im2col",       wanted: [1.15, 0.70] }, // The formula of a block, K = 40.
    Family { name: "first_1ch_implicit",     wanted: [1.15, 0.70] },
    Family { name: "conv3x3_im2col_other",   wanted: [1.45, 0.95] }, // 2x2 with a panel for six channels, counted.
    Family { name: "gemm_2x4_packed_other",  wanted: [1.20, 0.68] },
    Family { name: "conv3x3_implicit_other", wanted: [1.02, 0.56] },
    Family { name: "first_3ch_other",        wanted: [1.10, 0.65] },
    Family { name: "gemm_4x2_packed_other",  wanted: [1.12, 0.75] },
    Family { name: "dense_1x8_packed_other", wanted: [1.22, 0.65] },
    Family { name: "gemm_2x4_int16_other", wanted: [1.19, 0.65] }, // 32 -> 32 is the nearest that was measured.
    Family { name: "residual_add",         wanted: [5.75, 4.5] }, // For each element.
    Family { name: "residual_add_other",   wanted: [5.75, 4.5] },
    Family { name: "avg_pool",             wanted: [0.81, 0.69] }, // For each element that is added up.
    Family { name: "avg_pool_8x8",         wanted: [0.81, 0.69] },
    Family { name: "avg_pool_odd",         wanted: [0.81, 0.69] }, // Words of four channels are what was measured.
    Family { name: "avg_pool_other",       wanted: [0.81, 0.69] },
    Family { name: "max_pool",             wanted: [0.75, 0.62] },
    Family { name: "winograd_f2_16",       wanted: [0.78, 0.43] },
    Family { name: "winograd_f2_32",       wanted: [0.61, 0.33] },
    Family { name: "winograd_f2_64",       wanted: [0.53, 0.28] },
    Family { name: "winograd_f2_other",    wanted: [1.11, 0.77] }, // 8 channels is the nearest that was measured.
    Family { name: "winograd_f4_16",       wanted: [0.49, 0.29] },
    Family { name: "winograd_f4_32",       wanted: [0.37, 0.21] },
    Family { name: "winograd_f4_64",       wanted: [0.31, 0.17] },
    Family { name: "winograd_f4_other",    wanted: [0.74, 0.50] }, // 8 channels is the nearest that was measured.
    // Measured on planes; with what it takes to fill them from bytes.
    Family { name: "depthwise3x3_s1_planes",  wanted: [1.67, 1.32] },
    Family { name: "depthwise3x3_s1_carry",   wanted: [1.67, 1.32] },
    Family { name: "depthwise3x3_s1_rotated", wanted: [1.67, 1.32] },
    Family { name: "depthwise3x3_s1_other",   wanted: [1.99, 1.48] }, // 12 columns are the nearest that were measured.
    Family { name: "depthwise3x3_s2_planes",  wanted: [2.57, 2.16] },
    Family { name: "depthwise3x3_s2_other",   wanted: [2.57, 2.16] },
    Family { name: "depthwise3x3_hwc",        wanted: [1.82, 1.43] }, // Counted by hand.
    Family { name: "depthwise5x5_smlad",      wanted: [1.35, 1.02] },
    Family { name: "depthwise7x7_smlad",      wanted: [1.12, 0.86] },
    Family { name: "depthwise5x5_kronecker",  wanted: [1.17, 0.79] },
    Family { name: "depthwise7x7_kronecker",  wanted: [0.87, 0.60] },
    Family { name: "depthwise7x7_kronecker_other", wanted: [0.87, 0.60] },
    Family { name: "conv3x3_s2_other",       wanted: [1.08, 0.61] }, // The formula of a block with K = 72, and widening.
    Family { name: "conv3x3_dilated",        wanted: [1.16, 0.69] }, // The formulas of a block with K = 108 and of its panel, for 16 channels.
    Family { name: "first_1ch_other",        wanted: [1.39, 0.84] }, // The same with K = 22, for 24 channels.
    Family { name: "depthwise3x3_dilated",   wanted: [1.83, 1.43] }, // As without dilation: every other row and column is an image.
    Family { name: "depthwise3x3_multiplier", wanted: [1.68, 1.33] }, // Two outputs share a plane.
    // The formulas of the three layers, without planes and the second panel, which a band makes needless.
    Family { name: "band_vww",                wanted: [1.12, 0.65] },
    Family { name: "band_mcunet",             wanted: [1.26, 0.80] },
    Family { name: "band_other",             wanted: [2.14, 1.47] },
];

/// What was found out about a family.
struct Outcome {
    /// The comment that says what it is for.
    subject: String,
    layers: Vec<String>,
    macs: u64,
    /// By core.
    cycles: Vec<u64>,
}

/// A layer before and after its schedule.
struct Scheduled {
    plain: Nest,
    nest: Nest,
    macs: u64,
}

#[test]
fn families_are_exact() {
    let only = std::env::var("TINYC_TEST_ONLY").unwrap_or_default();
    let families: Vec<&Family> = FAMILIES.iter().filter(|family| family.name.starts_with(&only)).collect();
    let models = all_models();
    let outcomes: Vec<_> = families.par_iter().map(|family| (family, outcome(family, &models))).collect();
    println!("{}", table(&outcomes));
    let failures: Vec<String> = outcomes
        .iter()
        .filter_map(|(family, outcome)| Some(format!("{}: {}", family.name, outcome.as_ref().err()?)))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    if only.is_empty() {
        document::expect(&outcomes.into_iter().map(row).collect::<Vec<_>>());
    }
}

/// What the document says of a family.
fn row((family, outcome): (&&Family, Result<Option<Outcome>, String>)) -> (&'static str, Option<Row>) {
    let row = |outcome: Outcome| {
        let layers = match outcome.subject.split_once(' ') {
            Some(("model", model)) => format!("`{}` of `{model}`", outcome.layers.join("`, `")),
            _ => outcome.subject.clone(),
        };
        let found = outcome.cycles.iter().map(|cycles| *cycles as f64 / outcome.macs as f64);
        let cycles = found.zip(family.wanted).map(|(found, wanted)| [found, wanted]).collect();
        Row { family: family.name, subject: layers, cycles }
    };
    (family.name, outcome.ok().flatten().map(row))
}

/// Every file belongs to a row.
#[test]
fn every_schedule_is_tested() {
    let entries = fs::read_dir(repository().join("tests/schedules")).expect("the folder is there");
    for entry in entries {
        let path = entry.expect("it can be read").path();
        let stem = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        assert!(FAMILIES.iter().any(|family| family.name == stem), "{stem} is in no row");
    }
}

/// `None` where the model is not there.
fn outcome(family: &Family, models: &[Model]) -> Result<Option<Outcome>, String> {
    let path = repository().join(format!("tests/schedules/{}.schedule", family.name));
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let schedule = Schedule::parse(&text).map_err(|error| error.to_string())?;
    if schedule.to_string() != text {
        return Err(format!("it prints as something else:\n{schedule}"));
    }
    let subject = text.lines().find_map(|line| line.strip_prefix("// ")).ok_or("no comment names a model")?;
    let Some(graph) = graph(subject, models)? else { return Ok(None) };
    let layers = scheduled(&graph, &schedule)?;
    let (subject, cycles) = (subject.to_string(), vec![0; MEASURED.len()]);
    let mut outcome = Outcome { subject, layers: Vec::new(), macs: 0, cycles };
    for layer in &layers {
        let cycles =
            layer.run().map_err(|error| format!("`{}`: {error}\n{}", layer.nest.name, layer.nest))?;
        outcome.cycles.iter_mut().zip(cycles).for_each(|(sum, cycles)| *sum += cycles);
        outcome.macs += layer.macs;
        outcome.layers.push(layer.nest.name.clone());
    }
    Ok(Some(outcome))
}

fn measured() -> impl Iterator<Item = &'static dyn Core> {
    MEASURED.iter().map(|name| by_name(name).expect("a core of ours"))
}

/// The network that a comment names.
fn graph(subject: &str, models: &[Model]) -> Result<Option<Graph>, String> {
    let words: Vec<&str> = subject.split_whitespace().collect();
    match words[..] {
        ["model", name, ..] => {
            let Some(model) = models.iter().find(|model| model.name == name) else { return Ok(None) };
            let graph = pipeline::graph(&model.read(), "model", &mut |_, _| {});
            graph.map(Some).map_err(|errors| format!("{errors:?}"))
        }
        ["shape", operator, ..] => {
            let graph = operator_of(operator, &|key| numbers(&words, key));
            graph.map(Some).ok_or_else(|| format!("`{subject}` is no operator"))
        }
        _ => Err(format!("`{subject}` names neither a model nor a shape")),
    }
}

/// The numbers behind a word.
fn numbers(words: &[&str], key: &str) -> Vec<usize> {
    let behind = words.iter().skip_while(|word| **word != key).skip(1);
    behind.map_while(|word| word.trim_end_matches(',').parse().ok()).collect()
}

/// An operator with random weights, as they are after training: all values, several scales, and a fused activation.
fn operator_of(name: &str, of: &dyn Fn(&str) -> Vec<usize>) -> Option<Graph> {
    let mut rng = Rng::new(7);
    let rng = &mut rng;
    let (x, w) = (of("x"), of("w"));
    let clamp = [-128, 127];
    let windows = || {
        let (stride, pad) = (of("stride"), of("pad"));
        Some((
            (*stride.first()?, *stride.get(1)?),
            [[*pad.first()?, *pad.get(1)?], [*pad.get(2)?, *pad.get(3)?]],
        ))
    };
    let dilation = of("dilation").try_into().unwrap_or([1, 1]);
    let multiplier = of("multiplier").first().copied().unwrap_or(1);
    match (name, &x[..], &w[..]) {
        ("conv2d", &[rows, columns, depth], &[n, height, width]) => {
            let (stride, pad) = windows()?;
            let op = Conv2d { stride: stride.into(), dilation, pad, clamp };
            let w = weights(rng, &[n, height, width, depth], 0);
            graph_of(
                op,
                &input(&[1, rows, columns, depth]),
                &[w, biases(rng, n)],
                output(height * width * depth),
            )
        }
        ("depthwise_conv2d", &[rows, columns, depth], &[height, width]) => {
            let (stride, pad) = windows()?;
            let op = DepthwiseConv2d { stride: stride.into(), dilation, pad, multiplier, clamp };
            let w = weights(rng, &[1, height, width, depth * multiplier], 3);
            let b = biases(rng, depth * multiplier);
            graph_of(op, &input(&[1, rows, columns, depth]), &[w, b], output(height * width))
        }
        ("band", &[rows, columns, depth], &[height, width]) => {
            let (stride, pad) = windows()?;
            let (expand, project) = (*of("expand").first()?, *of("project").first()?);
            let pointwise = Conv2d { stride: [1, 1], dilation: [1, 1], pad: [[0, 0]; 2], clamp };
            let middle = DepthwiseConv2d { stride: stride.into(), dilation, pad, multiplier, clamp };
            let mut graph = Graph::new("test");
            let x = graph.add_input(input(&[1, rows, columns, depth]), "x");
            let mut layer = |op: Op, x, shape: &[usize], axis: usize, products| {
                let (w, b) = (weights(rng, shape, axis), biases(rng, shape[axis]));
                let operands = [x, graph.add_const(w, ""), graph.add_const(b, "")];
                graph.add_op(op, &operands, output(products), "", graph.ops.len() as u32).ok()
            };
            let x = layer(pointwise.clone().into(), x, &[expand, 1, 1, depth], 0, depth)?;
            let n = expand * multiplier;
            let x = layer(middle.into(), x, &[1, height, width, n], 3, height * width)?;
            let y = layer(pointwise.into(), x, &[project, 1, 1, n], 0, n)?;
            graph.add_output(y);
            Some(graph)
        }
        ("fully_connected", &[depth], &[n]) => {
            let w = weights(rng, &[n, depth], 0);
            graph_of(FullyConnected { clamp }, &input(&[1, depth]), &[w, biases(rng, n)], output(depth))
        }
        ("add", &[rows, columns, depth], &[]) => {
            let shape = [1, rows, columns, depth];
            let mut graph = Graph::new("test");
            let a = graph.add_input(input(&shape), "a");
            let b = graph.add_input(TensorType::quantized(Ty::I8, &shape, 0.031, 7), "b");
            let out = TensorType::quantized(Ty::I8, &[], 0.043, -9).quant;
            finish(graph, Add { clamp }, &[a, b], out)
        }
        ("avg_pool2d", &[rows, columns, depth], &[height, width]) => {
            let window = [height, width];
            let op = AvgPool2d { window, stride: window, pad: [[0, 0]; 2], clamp };
            let x = input(&[1, rows, columns, depth]);
            graph_of(op, &x, &[], x.quant.clone())
        }
        ("max_pool2d", &[rows, columns, depth], &[height, width]) => {
            let window = [height, width];
            let op = MaxPool2d { window, stride: window, pad: [[0, 0]; 2], clamp };
            let x = input(&[1, rows, columns, depth]);
            graph_of(op, &x, &[], x.quant.clone())
        }
        _ => None,
    }
}

fn input(shape: &[usize]) -> TensorType {
    TensorType::quantized(Ty::I8, shape, 0.02, -5)
}

/// A scale with which sums of so many products fill the range, from the zero point on.
fn output(products: usize) -> Quant {
    TensorType::quantized(Ty::I8, &[], 0.0005 * 60.0 * (products as f32).sqrt(), -128).quant
}

fn weights(rng: &mut Rng, shape: &[usize], axis: usize) -> Tensor {
    let mut ty = TensorType::quantized(Ty::I8, shape, 0.02, 0);
    ty.quant = Quant::PerChannel { axis, scales: (0..shape[axis]).map(|_| rng.scale(0.01)).collect() };
    let values: Vec<i8> = (0..ty.len()).map(|_| rng.pick(-127, 127) as i8).collect();
    Tensor::from_i8s(&ty, &values)
}

fn biases(rng: &mut Rng, len: usize) -> Tensor {
    let values: Vec<i32> = (0..len).map(|_| rng.pick(-5000, 5000) as i32).collect();
    Tensor::from_i32s(&TensorType::new(Ty::I32, &[len]), &values)
}

/// The layers that the schedule changes.
fn scheduled(graph: &Graph, schedule: &Schedule) -> Result<Vec<Scheduled>, String> {
    let mut plain = lowering::lower(graph).map_err(|error| error.to_string())?;
    let mut program: Program = plain.clone();
    schedule.apply(&mut program, &mut |_, _| {}).map_err(|error| error.to_string())?;
    expect_round_trips(schedule, &plain, &program)?;
    join_bands(schedule, &mut plain)?;
    let pair = |(plain, layer): (Layer, Layer)| {
        let macs = if layer.macs > 0 { layer.macs } else { elements(&plain.nest) };
        Scheduled { plain: plain.nest, nest: layer.nest, macs }
    };
    let changed = |(plain, layer): &(Layer, Layer)| plain.nest != layer.nest;
    Ok(plain.layers.into_iter().zip(program.layers).filter(changed).map(pair).collect())
}

/// What is printed parses back; the schedule in use prints, parses back, and makes the same nests.
fn expect_round_trips(schedule: &Schedule, plain: &Program, scheduled: &Program) -> Result<(), String> {
    let text = scheduled.to_string();
    let again = parse_program(&text).map_err(|error| error.to_string())?.to_string();
    let in_use = schedule.in_use(plain).map_err(|error| error.to_string())?.to_string();
    let parsed = Schedule::parse(&in_use).map_err(|error| error.to_string())?;
    let mut found = plain.clone();
    parsed.apply(&mut found, &mut |_, _| {}).map_err(|error| error.to_string())?;
    if again != text || parsed.to_string() != in_use || found.to_string() != text {
        return Err(format!("what is printed reads back as something else\n{in_use}{text}"));
    }
    Ok(())
}

/// Makes one layer of the layers of each band, one after the other as they are: what the band is compared with.
fn join_bands(schedule: &Schedule, program: &mut Program) -> Result<(), String> {
    let join = Step { name: "join".into(), args: Vec::new() };
    for line in &schedule.lines {
        let Content::Scope(Scope { kind: Kind::Band, patterns, .. }) = &line.content else { continue };
        let joined = network::apply(&join, program, &Subject::Band(patterns.clone()));
        joined.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The elements of the first input.
fn elements(nest: &Nest) -> u64 {
    nest.params().next().map_or(1, |x| nest.buffers[x.idx()].shape.iter().map(|n| u64::from(*n)).product())
}

impl Scheduled {
    /// Cycles on each core; an error where a result differs.
    fn run(&self) -> Result<Vec<u64>, String> {
        let cases = self.cases()?;
        let boards = emitted::ready();
        measured().map(|core| emitted::run_as_compiled(&cases, core, boards)).collect()
    }

    /// Random data and both extremes, with what the plain nest makes of them.
    fn cases(&self) -> Result<Vec<emitted::Case>, String> {
        let mut plain = self.plain.clone();
        passes::loops::legalize(&mut plain).map_err(|error| error.to_string())?;
        let mut host = host::compile_nest(&plain).map_err(|error| error.to_string())?;
        let random = memory(&self.plain, 1);
        let all = |value: i8| -> Vec<Vec<u8>> {
            random.iter().map(|bytes| vec![value as u8; bytes.len()]).collect()
        };
        let mut cases = Vec::new();
        for before in [random.clone(), all(-128), all(127)] {
            let mut after = before.clone();
            host.run(&mut slices(&mut after)).map_err(|error| error.to_string())?;
            let case = emitted::Case::expecting(self.nest.clone(), before, after)?;
            if cases.is_empty() {
                check_interpreted(&self.nest, &case)?;
            }
            cases.push(case);
        }
        Ok(cases)
    }
}

/// The scheduled nest, with every byte watched.
fn check_interpreted(nest: &Nest, case: &emitted::Case) -> Result<(), String> {
    let mut memory = case.before.clone();
    interp::run_checked(nest, &mut slices(&mut memory)).map_err(|error| error.to_string())?;
    if memory == case.after { Ok(()) } else { Err("the interpreter's results differ".into()) }
}

fn slices(memory: &mut [Vec<u8>]) -> Vec<&mut [u8]> {
    memory.iter_mut().map(Vec::as_mut_slice).collect()
}

/// Cycles for one multiply-accumulate: found, wanted, and how much more that is.
fn table(outcomes: &[(&&Family, Result<Option<Outcome>, String>)]) -> String {
    let cores: Vec<String> = measured().map(|core| format!("{:>28}", core.name())).collect();
    let mut out = format!("{:28}{:24}{}\n", "family", "layers", cores.concat());
    for (family, outcome) in outcomes {
        write!(out, "{:28}", family.name).expect("text grows");
        match outcome {
            Err(_) => out.push_str("wrong"),
            Ok(None) => out.push_str("skipped: the model is not there"),
            Ok(Some(outcome)) => {
                write!(out, "{:24}", outcome.layers.join(" ")).expect("text grows");
                for (cycles, wanted) in outcome.cycles.iter().zip(family.wanted) {
                    let found = *cycles as f64 / outcome.macs as f64;
                    let more = 100.0 * (found / wanted - 1.0);
                    write!(out, "   {found:6.3} for {wanted:5.3} ({more:+4.0} %)").expect("text grows");
                }
            }
        }
        out.push('\n');
    }
    out
}
