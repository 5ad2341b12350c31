//! Puts real registers, and the moves between them, into a function.

use regalloc2::{Allocation, Block, Edit, InstOrEdit, Output};

use super::view::View;
use super::{Assigned, AssignedBlock, AssignedEnd, Coded, Spill};
use crate::isa::{Inst, Reg, ops};
use crate::mir::{End, Function, Group};

/// The function with every operand where `output` has it.
pub(super) fn rewrite(function: &Function, view: &View, output: &Output, spill: &dyn Spill) -> Assigned {
    let mut blocks = Vec::new();
    for (idx, block) in function.blocks.iter().enumerate() {
        let range = view.blocks[idx].insts;
        let first = range.first().index();
        let mut code = Vec::new();
        let mut stmt = block.groups.first().map_or(0, |group| group.stmt);
        for item in output.block_insts_and_edits(view, Block::new(idx)) {
            match item {
                InstOrEdit::Edit(Edit::Move { from, to }) => {
                    code.push(Coded {
                        inst: move_between(*from, *to, spill),
                        reloc: None,
                        touched: None,
                        stmt,
                    });
                }
                InstOrEdit::Inst(inst) => {
                    if let Some(group) = block.groups.get(inst.index() - first) {
                        stmt = group.stmt;
                        code.extend(rewrite_group(group, output.inst_allocs(inst)));
                    }
                }
            }
        }
        blocks.push(AssignedBlock { code, end: rewrite_end(&block.end), count: block.count });
    }
    Assigned { blocks, slots: output.num_spillslots as u32, parameters: function.parameters.clone() }
}

fn rewrite_group(group: &Group, allocations: &[Allocation]) -> Vec<Coded> {
    let (uses, defs) = group.operands();
    let of = |reg: Reg| {
        if !reg.is_virtual() {
            return reg;
        }
        let def = defs.iter().position(|have| *have == reg).map(|at| at + uses.len());
        let at =
            def.or_else(|| uses.iter().position(|have| *have == reg)).expect("every register is an operand");
        real(allocations[at])
    };
    let coded = |inst: &Inst| Coded {
        inst: inst.map_regs(of),
        reloc: group.reloc,
        touched: group.touched.clone().filter(|_| inst.mem().is_some()),
        stmt: group.stmt,
    };
    group.insts.iter().map(coded).collect()
}

fn rewrite_end(end: &End) -> AssignedEnd {
    match end {
        End::Jump(to, _) => AssignedEnd::Jump(to.0),
        End::Branch(cond, taken, other) => AssignedEnd::Branch(*cond, taken.0, other.0),
        End::Return => AssignedEnd::Return,
    }
}

fn real(allocation: Allocation) -> Reg {
    Reg::core(allocation.as_reg().expect("operands are in registers").hw_enc() as u32)
}

fn move_between(from: Allocation, to: Allocation, spill: &dyn Spill) -> Inst {
    let slot = |at: Allocation| at.as_stack().expect("an allocation is a register or a slot").index() as u32;
    match (from.as_reg(), to.as_reg()) {
        (Some(_), Some(_)) => ops::mov(real(to), real(from)),
        (Some(_), None) => spill.store(real(from), slot(to)),
        (None, Some(_)) => spill.load(real(to), slot(from)),
        (None, None) => unreachable!("regalloc2 moves between slots through a register"),
    }
}
