//! The functions that a firmware calls: `run` and `run_until` call the layers one after the other.

use crate::cores::Edge;
use crate::emit::{Emitted, Step, straight};
use crate::frame::{Frame, Home};
use crate::isa::imm::{Cond, Imm16, Shift};
use crate::isa::{Inst, Reg, ops};
use crate::object::RelocKind;
use crate::select::asm;

/// Where the address of the arena waits between calls.
const ARENA: Reg = Reg::core(4);
/// Where the number of the layer after the last one waits.
const LAST: Reg = Reg::core(5);

/// A layer as the entry calls it.
#[derive(Clone, Debug)]
pub struct Callee {
    /// Its function.
    pub symbol: String,
    /// The line of the listing that names it.
    pub line: u32,
}

/// `void run(void *arena)`: calls every layer with the arena.
pub fn run(symbol: String, layers: &[Callee]) -> Emitted {
    let frame = Frame::new([ops::mov(ARENA, Reg::core(0))].into_iter(), 0, Home { fpu: false }, true);
    let mut lines = plain(frame.prologue());
    lines.extend(plain(vec![ops::mov(ARENA, Reg::core(0))]));
    for layer in layers {
        lines.extend(call(layer));
    }
    lines.extend(plain(frame.epilogue()));
    straight(symbol, &lines, &frame)
}

/// `void run_until(void *arena, unsigned layer)`: stops before the layer of that number.
pub fn run_until(symbol: String, layers: &[Callee]) -> Emitted {
    let moved = [ops::mov(ARENA, Reg::core(0)), ops::mov(LAST, Reg::core(1))];
    let frame = Frame::new(moved.into_iter(), 0, Home { fpu: false }, true);
    let mut lines = plain(frame.prologue());
    lines.extend(plain(moved.to_vec()));
    let epilogue = frame.epilogue();
    for (number, layer) in layers.iter().enumerate() {
        // Fewer layers wanted than done so far: return from here.
        let number = Imm16::new(number as i64).expect("a network has fewer layers");
        lines.extend(plain(vec![
            ops::movw(Reg::core(12), number),
            ops::cmp(LAST, Reg::core(12), Shift::NONE),
        ]));
        let leave = 4 + epilogue.iter().map(|inst| inst.size() as i64).sum::<i64>();
        let skip = asm::branch(Cond::Ne, leave - 4, true).expect("the epilogue is short");
        lines.extend(plain(vec![skip]));
        lines.extend(plain(epilogue.clone()));
        lines.extend(call(layer));
    }
    lines.extend(plain(epilogue));
    straight(symbol, &lines, &frame)
}

/// The function of a layer that shares its code: passes the table of its parameters, if it has one, and goes on there.
pub fn go_on(symbol: String, table: Option<&str>, body: &Emitted, line: u32) -> Emitted {
    let frame = Frame::new(std::iter::empty(), 0, Home { fpu: false }, false);
    let step = |inst, kind, target: &str| Step { inst, reloc: Some((kind, target.to_string())), line };
    let (r1, none) = (Reg::core(1), asm::half(0));
    let mut steps = Vec::new();
    if let Some(table) = table {
        steps.push(step(ops::movw(r1, none), RelocKind::ThmMovwAbs, table));
        steps.push(step(ops::movt(r1, r1, none), RelocKind::ThmMovtAbs, table));
    }
    let jump = asm::branch(Cond::Al, 0, true).expect("zero is in reach");
    steps.push(step(jump, RelocKind::ThmJump, &body.code.symbol));
    let mut out = straight(symbol, &steps, &frame);
    out.code.global = false;
    out.stack_bytes = body.stack_bytes;
    out.uses_fpu = body.uses_fpu;
    out.timed.blocks.extend(body.timed.blocks.iter().cloned());
    out.timed.edges.push(Edge { from: 0, to: 1, taken: true, count: 1 });
    let later = |edge: &Edge| Edge { from: edge.from + 1, to: edge.to + 1, ..*edge };
    out.timed.edges.extend(body.timed.edges.iter().map(later));
    out
}

/// The call of a layer, with the arena.
fn call(layer: &Callee) -> [Step; 2] {
    let step = |inst, reloc| Step { inst, reloc, line: layer.line };
    let target = (RelocKind::ThmCall, layer.symbol.clone());
    [step(ops::mov(Reg::core(0), ARENA), None), step(asm::call(), Some(target))]
}

/// Instructions that belong to no line.
fn plain(insts: Vec<Inst>) -> Vec<Step> {
    insts.into_iter().map(|inst| Step { inst, reloc: None, line: 0 }).collect()
}
