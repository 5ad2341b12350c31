//! `implicit-gemm BUFFER`: windows are read in place, from rows of halfwords, and the loops along a row become one.
//!
//! ```text
//! for row in 0..8 { for column in 0..8 { for n in 0..8 {
//!   reduce a over ky in 0..3, kx in 0..3, c in 0..3 {
//!     … mul(sext(x[2*row + ky, 2*column + kx, c]), sext(w[n, ky, kx, c])) …
//!   }
//! } } }
//! => implicit-gemm x at row pad 2
//! scratch x_panel: i16[3, 52]
//! x_panel[…, 51] = 0
//! for row in 0..8 {
//!   for i in 0..3 { for j in 0..17 { for l in 0..3 { x_panel[i, 3*j + l] = sext x[2*row + i, j, l] } } }
//!   for column in 0..8 { for n in 0..8 {
//!     reduce a over ky in 0..3, kx_c in 0..10 { … mul(sext(x_panel[ky, 6*column + kx_c]), sext(w_padded[n, ky, kx_c])) … }
//!   } }
//! }
//! ```
//!
//! The product of matrices without the matrix: `stage`, `collapse` of the loops that walk on without a gap, and `pad`. Each element is widened
//! once for each iteration of the axis, however many windows it is in; without an axis once. `order (0 2 1 3)` permutes the innermost loop of
//! the sum first. Where loads have a border, it is written into the panel or a copy. Rows begin at a word.
//!
//! Legal for a body in which one reduction reads the buffer and its innermost loop walks along; then as the steps that it is made of.

use ir::diag::Diagnostic;
use ir::loops::{BufferId, Index, Loop, Nest, VarId};
use ir::ty::Ty;

use super::collapse::collapse;
use super::edit::visit_loads;
use super::flatten::{align_rows, coefficient, flatten};
use super::im2col::Window;
use super::stage::{Panel, stage};
use super::step::StepDef;

/// Elements of a word.
const LANES: u32 = 2;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "implicit-gemm",
    usage: "implicit-gemm BUFFER [at AXIS] [order (ORDER)] [pad MULTIPLE]",
    summary: "Read windows in place from rows of halfwords, and make the loops along a row one",
    run: |nest, args| {
        let mut window = Window::of(nest, args)?;
        implicit_gemm(nest, &mut window).map_err(|error| window.named("implicit-gemm", error))
    },
};

/// Rewrites the windows in the body of the loop over the axis, or in the whole nest.
fn implicit_gemm(nest: &mut Nest, window: &mut Window) -> Result<(), Diagnostic> {
    let sums = window.summed(nest)?;
    sums.iter().try_for_each(|summed| window.ordered(nest, summed))?;
    let panel = match staged(&mut nest.clone(), window, &sums) {
        Ok(_) => staged(nest, window, &sums)?,
        Err(_) => {
            window.bordered(nest)?; // What is outside may vary with the axis.
            staged(nest, window, &sums)?
        }
    };
    let runs = runs(nest, panel, &sums).ok_or_else(|| {
        Diagnostic::new("the innermost loop of the sum does not walk along it element by element")
            .help("move it there first: `reorder`")
    })?;
    let first = first_moved(nest, panel, &runs.concat());
    flatten(nest, panel, first);
    for run in runs {
        let vars: Vec<VarId> = run.iter().map(|l| l.var).collect();
        let flat = if vars.len() > 1 { collapse(nest, &vars)? } else { vars[0] };
        window.padded(nest, flat)?;
    }
    align_rows(&mut nest.buffers[panel.idx()], LANES);
    Ok(())
}

/// The first dimension that one of the loops moves along.
fn first_moved(nest: &mut Nest, buffer: BufferId, run: &[Loop]) -> usize {
    let mut first = nest.buffers[buffer.idx()].shape.len() - 1;
    for index in indices_of(nest, buffer, run) {
        let moves = |index: &Index| {
            let mut used = Vec::new();
            index.vars(&mut used);
            run.iter().any(|l| used.contains(&l.var))
        };
        first = first.min(index.iter().position(moves).unwrap_or(first));
    }
    first
}

/// The only panel that the windows need.
fn staged(nest: &mut Nest, window: &Window, sums: &[Vec<Loop>]) -> Result<BufferId, Diagnostic> {
    let runs = runs(nest, window.buffer, sums);
    let rows = runs.map(|runs| first_moved(nest, window.buffer, &runs.concat()));
    let panels = stage(nest, window.buffer, window.axis, &Panel { rows, ..Panel::of(Ty::I16) })?;
    match panels[..] {
        [panel] => Ok(panel),
        _ => Err(Diagnostic::new(format!("its loads are of {} forms", panels.len()))
            .help("legal for windows that are all read in one way")),
    }
}

/// How a buffer is read inside of some of the loops.
fn indices_of(nest: &mut Nest, buffer: BufferId, loops: &[Loop]) -> Vec<Vec<Index>> {
    let mut indices = Vec::new();
    visit_loads(&mut nest.body, &mut Default::default(), &mut |access, around| {
        if access.buffer == buffer && loops.iter().any(|l| around.contains_key(&l.var)) {
            indices.push(access.index.clone());
        }
    });
    indices
}

/// For each sum the loops that walk along the buffer; `None` where some does not.
fn runs(nest: &mut Nest, buffer: BufferId, sums: &[Vec<Loop>]) -> Option<Vec<Vec<Loop>>> {
    let mut runs = Vec::new();
    for summed in sums {
        let indices = indices_of(nest, buffer, summed);
        let map = &nest.buffers[buffer.idx()].map;
        let found: Option<Vec<_>> = indices.iter().map(|index| run(&map.position(index), summed)).collect();
        let (first, others) = found.as_ref()?.split_first()?;
        runs.extend(others.iter().all(|other| other == first).then(|| first.clone()));
    }
    (runs.len() == sums.len()).then_some(runs)
}

/// The last loops that walk on where the next one ends, outermost first.
fn run(position: &Index, summed: &[Loop]) -> Option<Vec<Loop>> {
    let mut length = 1;
    let mut run: Vec<Loop> = Vec::new();
    for l in summed.iter().rev() {
        if coefficient(position, l.var) != Some(length) {
            break;
        }
        length *= i64::from(l.extent);
        run.insert(0, l.clone());
    }
    (!run.is_empty()).then_some(run)
}
