//! What the cycles of a layer go into.

use ir::loops::{Nest, Stmt};
use isel_thumb2::cores::function::block_cycles;
use isel_thumb2::cores::{Core, TICKS, TimedBlock, TimedFunction};
use isel_thumb2::emit::Emitted;

/// Cycles: of what is done for each product of a sum, of what begins and ends a sum, and of everything else: copies, transforms, loops.
pub type Parts = [f64; 3];

const PRODUCTS: usize = 0;
const RESULTS: usize = 1;
const REST: usize = 2;

/// Splits the cycles of code whose lines are the numbers of the statements of `nest`, counted from 1. Those of a block, which is straight
/// code, are split by instructions.
pub fn parts(nest: &Nest, emitted: &Emitted, core: &dyn Core) -> Parts {
    let mut by_statement = Vec::new();
    classify(&nest.body, REST, &mut by_statement);
    let timed = &emitted.timed;
    let blocks = timed.blocks.iter();
    let blocks =
        blocks.map(|block| TimedBlock { insts: &block.insts, touched: &block.touched, count: block.count });
    let cycles = block_cycles(core, &TimedFunction { blocks: blocks.collect(), edges: timed.edges.clone() });
    let mut parts = [0.0; 3];
    let mut offset = 0;
    for (block, ticks) in timed.blocks.iter().zip(cycles) {
        let each = ticks as f64 / TICKS as f64 / block.insts.len() as f64;
        for inst in &block.insts {
            let row = emitted.code.lines.iter().rev().find(|row| row.offset <= offset);
            let line = row.map_or(0, |row| row.line as usize);
            let part = line.checked_sub(1).and_then(|statement| by_statement.get(statement));
            parts[part.copied().unwrap_or(REST)] += each;
            offset += inst.size() as u32;
        }
    }
    parts
}

/// The part of each statement, in the order of their numbers.
fn classify(block: &[Stmt], part: usize, out: &mut Vec<usize>) {
    for stmt in block {
        match stmt {
            Stmt::For(_, body) => {
                out.push(part);
                classify(body, part, out);
            }
            Stmt::Reduce(reduce) => {
                out.push(PRODUCTS);
                classify(&reduce.init, RESULTS, out);
                classify(&reduce.update, PRODUCTS, out);
                classify(&reduce.finish, RESULTS, out);
            }
            Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => out.push(part),
        }
    }
}
