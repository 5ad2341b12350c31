//! survey
use frontends::tflite;
use ir::loops::{Expr, Nest, Prim, Stmt};
use rayon::prelude::*;
use tinyc_passes::graph;
use tinyc_passes::loops::short_add::short_add;
use tinyc_passes::loops::short_requantize::short_requantize;

fn count(nest: &Nest) -> usize {
    let mut n = 0;
    fn of(e: &Expr, n: &mut usize) {
        if let Expr::Op { prim, args, .. } = e {
            *n += usize::from(*prim == Prim::Requantize);
            args.iter().for_each(|a| of(a, n));
        }
    }
    nest.walk(&mut |_, stmt| {
        if let Stmt::Let(_, e) | Stmt::Set(_, _, e) | Stmt::Store(_, e) = stmt {
            of(e, &mut n)
        }
    });
    n
}

#[test]
fn survey() {
    let lines: Vec<String> = test_support::all_models()
        .par_iter()
        .filter_map(|model| {
            let mut graph = tflite::load(&model.read(), "model").ok()?;
            graph::optimize(&mut graph, |_, _| {});
            let program = lowering::lower(&graph).ok()?;
            let mut text = String::new();
            for layer in &program.layers {
                if count(&layer.nest) == 0 {
                    continue;
                }
                let t = std::time::Instant::now();
                let mut nest = layer.nest.clone();
                let found = if layer.op.contains("add") {
                    short_add(&mut nest).map(|n| format!("{n}"))
                } else {
                    short_requantize(&mut nest, false).map(|r| format!("{r:?}"))
                };
                let shown = match found {
                    Ok(r) => r,
                    Err(e) => format!("ERR {}", e.message),
                };
                text +=
                    &format!("{} {} {} {} {:?}\n", model.name, layer.nest.name, layer.op, shown, t.elapsed());
            }
            Some(text)
        })
        .collect();
    println!("{}", lines.concat());
}
