//! `permute AXIS (ORDER)`: visits the iterations of a loop in another order, group by group.
//!
//! ```text
//! for k in 0..8 { S(k) }
//! => permute k (0 2 1 3)
//! for k in 0..8 { S(4*(k div 4) + 2*(k mod 2) + k mod 4 div 2) }        // 0 2 1 3, 4 6 5 7
//! ```
//!
//! The order is one of the numbers from 0 on. It must be a transposition of digits, such as (0 2 1 3) or (0 4 1 5 2 6 3 7): those are what indices
//! can say, and what the extending instructions of the core yield. Legal where the group divides the extent, for a loop whose iterations
//! are independent, or for the loop of a reduction that is the same in any order.

use ir::diag::Diagnostic;
use ir::loops::{Index, Nest, Stmt, VarId};

use super::edit::{Site, independent, loop_of, order_is_free, substitute, with_loop};
use super::step::StepDef;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "permute",
    usage: "permute AXIS (ORDER)",
    summary: "Visit the iterations of a loop in another order, group by group",
    run: |nest, args| {
        args.at_most(2)?;
        let axis = args.axis(nest, 0)?;
        permute(nest, axis, args.list(1)?)
    },
};

/// Lets iteration `n` of each group of the loop over `axis` be the one that `order[n]` was.
pub fn permute(nest: &mut Nest, axis: VarId, order: &[u32]) -> Result<(), Diagnostic> {
    let name = nest.vars[axis.idx()].clone();
    let extent = loop_of(nest, axis).extent;
    let size = order.len() as u32;
    let Some(columns) = columns(order) else {
        let order: Vec<String> = order.iter().map(ToString::to_string).collect();
        return Err(Diagnostic::new(format!(
            "cannot permute `{name}` by ({}): it transposes no rows and columns",
            order.join(" ")
        ))
        .help("legal: (0 2 1 3), (0 4 1 5 2 6 3 7), (0 2 4 6 1 3 5 7), …"));
    };
    if !extent.is_multiple_of(size) {
        let message =
            format!("cannot permute `{name}` in groups of {size}: its extent {extent} is not a multiple");
        return Err(Diagnostic::new(message)
            .help(format!("take iterations off first: `peel {name} {}`", extent % size)));
    }
    let index = Index::var(axis);
    let within = index.modulo(size);
    let value = index.div(size).scale(size.into());
    // In a group of rows and columns, number n of the new order is row n mod rows, column n div rows.
    let rows = size / columns;
    let value = value.add(&within.modulo(rows).scale(columns.into())).add(&within.div(rows));
    let legal = with_loop(&mut nest.body, axis, &mut |site| match site {
        Site::For(block, at) => {
            let free = independent(&block[at]);
            let Stmt::For(_, body) = &mut block[at] else { unreachable!("a site is a loop") };
            substitute(body, axis, &value);
            free
        }
        Site::Reduction(block, at, _) => {
            let free = order_is_free(&block[at]);
            let Stmt::Reduce(reduce) = &mut block[at] else { unreachable!("a site is a reduction") };
            substitute(&mut reduce.update, axis, &value);
            free
        }
    });
    if legal == Some(true) { Ok(()) } else { Err(depends(&name)) }
}

/// For an order that reads a matrix with this many columns column by column, their number.
fn columns(order: &[u32]) -> Option<u32> {
    let size = order.len() as u32;
    let transposes = |columns: &u32| {
        let rows = size / columns;
        order.iter().zip(0..).all(|(value, n)| *value == (n % rows) * columns + n / rows)
    };
    (1..=size).filter(|columns| size.is_multiple_of(*columns)).find(transposes)
}

fn depends(name: &str) -> Diagnostic {
    Diagnostic::new(format!("cannot permute `{name}`: the result depends on the order of its iterations"))
        .help("legal for independent iterations, and for sums and extremes")
}
