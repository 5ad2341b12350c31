//! How many channels of all models get a short rescaling, and of how many operations; and that which ones is no accident.
//!
//! The table is printed (`--nocapture`); `TINYC_TEST_ALL=1` looks at all of the large models. Layers that are not shortened keep their two products, four operations where the shift
//! differs from channel to channel.

use frontends::tflite;
use ir::loops::{Expr, Nest, Prim, Program, Stmt};
use rayon::prelude::*;
use test_support::Model;
use tinyc_passes::graph;
use tinyc_passes::loops::short_add::short_add;
use tinyc_passes::loops::short_requantize::{Report, short_requantize};
use tinyc_passes::loops::table::table;

/// Behind a clamp at the zero point all channels have two operations, but for these.
const LONGER: [(&str, &str); 1] = [("person_detect", "depthwise_conv2d_0")];

/// Large models that are looked at always: one of each kind.
const LARGE: [&str; 3] = ["mbv2-w0.35-r144", "mcunet-in0", "mcunet-vww1_trained"];
/// Bytes of a large model file.
const LARGE_BYTES: usize = 600_000;

/// Operators whose result is a function of one byte.
const OF_ONE_BYTE: [&str; 2] = ["quantize", "relu"];

/// What became of a model.
#[derive(Default)]
struct Counts {
    short: [usize; 4],
    literal: usize,
}

impl Counts {
    fn add(&mut self, short: [usize; 4], literal: usize) {
        self.short.iter_mut().zip(short).for_each(|(sum, count)| *sum += count);
        self.literal += literal;
    }

    fn row(&self, name: &str) -> String {
        let [two, three, four, five] = self.short;
        format!("{name:24} {two:>7} {three:>7} {four:>7} {five:>7} {:>7}", self.literal)
    }
}

#[test]
fn behind_a_relu_every_channel_takes_two_operations_and_additions_round_once() {
    let models = test_support::all_models();
    let found: Vec<(String, Counts, Vec<String>)> = models.par_iter().filter_map(counted).collect();
    println!("{:24} {:>7} {:>7} {:>7} {:>7} {:>7}", "channels by operations", 2, 3, 4, 5, "literal");
    let mut all = Counts::default();
    for (name, counts, _) in &found {
        all.add(counts.short, counts.literal);
        if !name.starts_with("op_") {
            println!("{}", counts.row(name));
        }
    }
    println!("{}", all.row("all"));
    let longer: Vec<&str> = found.iter().flat_map(|(.., longer)| longer).map(String::as_str).collect();
    assert!(longer.is_empty(), "{longer:?}");
    assert!(all.short[0] > 0 && all.short[2] > 0);
}

/// The channels of a model, and the layers that should have been shorter; `None` for a model that is refused or rescales nothing.
fn counted(model: &Model) -> Option<(String, Counts, Vec<String>)> {
    let bytes = model.read();
    let is_large = bytes.len() > LARGE_BYTES && !LARGE.contains(&model.name.as_str());
    if is_large && std::env::var_os("TINYC_TEST_ALL").is_none() {
        return None;
    }
    let program = lowered(&bytes)?;
    let (mut counts, mut longer) = (Counts::default(), Vec::new());
    for layer in program.layers {
        let sites = rescalings(&layer.nest);
        if layer.op == "add" {
            if !is_short_addition(&layer.nest) {
                longer.push(format!("{} {}: rounds more than once", model.name, layer.nest.name));
            }
            continue; // It is a function of bytes.
        }
        if sites.is_empty() {
            continue;
        }
        if OF_ONE_BYTE.contains(&layer.op.as_str()) && table(&mut layer.nest.clone()).is_err() {
            longer.push(format!("{} {}: is no table", model.name, layer.nest.name));
        }
        let hides_sign = sites.iter().all(|[zero, min]| min >= zero);
        let mut nest = layer.nest.clone();
        let found = short_requantize(&mut nest, false);
        let is_known = LONGER.contains(&(model.name.as_str(), layer.nest.name.as_str()));
        match found {
            Ok(Report { short, literal }) => {
                counts.add(short, literal);
                if hides_sign && !is_known && short[1..] != [0; 3] && layer.macs > 0 {
                    longer.push(format!("{} {}: {short:?}", model.name, layer.nest.name));
                }
            }
            Err(refusal) => {
                counts.add([0; 4], channels(&layer.nest));
                if hides_sign && !is_known {
                    longer.push(format!("{} {}: {refusal}", model.name, layer.nest.name));
                }
            }
        }
    }
    let is_empty = counts.short == [0; 4] && counts.literal == 0;
    (!is_empty).then(|| (model.name.clone(), counts, longer))
}

/// Whether an addition becomes a sum with one rounding, or a table where it is of one byte.
fn is_short_addition(nest: &Nest) -> bool {
    let mut nest = nest.clone();
    let shortened = short_add(&mut nest).is_ok() || table(&mut nest).is_ok();
    shortened && rescalings(&nest).is_empty()
}

fn lowered(bytes: &[u8]) -> Option<Program> {
    let mut graph = tflite::load(bytes, "model").ok()?;
    graph::optimize(&mut graph, |_, _| {});
    lowering::lower(&graph).ok()
}

/// Zero point and lower clamp of each rescaling.
fn rescalings(nest: &Nest) -> Vec<[i32; 2]> {
    fn of(expr: &Expr, out: &mut Vec<[i32; 2]>) {
        if let Expr::Op { prim, args, imm } = expr {
            if *prim == Prim::Requantize {
                out.push([imm[0], imm[1]]);
            }
            args.iter().for_each(|arg| of(arg, out));
        }
    }
    let mut out = Vec::new();
    nest.walk(&mut |_, stmt| {
        if let Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) = stmt {
            of(value, &mut out);
        }
    });
    out
}

/// How many multipliers a layer has.
fn channels(nest: &Nest) -> usize {
    let tables = nest.buffers.iter().filter(|buffer| buffer.name == "m");
    tables.map(|buffer| buffer.shape[0] as usize).next().unwrap_or(1)
}
