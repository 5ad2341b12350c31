//! `im2col BUFFER at AXIS`: what each pixel of a tile reads lies in a row of a panel, and the loops over it become one.
//!
//! ```text
//! for column.o in 0..4 { for n in 0..8 { for column.i in 0..2 {
//!   reduce a over ky in 0..3, kx in 0..3, c in 0..3 {
//!     … mul(sext(x[row + ky, 2*column.o + column.i + kx, c]), sext(w[n, ky, kx, c])) …
//!   }
//! } } }
//! => im2col x at column.o pad 4
//! scratch x_panel: i16[2, 28]
//! x_panel[…, 27] = 0
//! for column.o in 0..4 {
//!   for p in 0..2 { for i in 0..3 { for j in 0..3 { for l in 0..3 {
//!     x_panel[p, 9*i + 3*j + l] = sext x[row + i, 2*column.o + p + j, l]
//!   } } } }
//!   for n in 0..8 { for column.i in 0..2 {
//!     reduce a over ky_kx_c in 0..28 { … mul(sext(x_panel[column.i, ky_kx_c]), sext(w_padded[n, ky_kx_c])) … }
//!   } }
//! }
//! ```
//!
//! The panel has halfwords. It is what `stage` makes for a tile with a dimension for each loop of the sum, `collapse` and `pad`: products that pad the sum are
//! with zero. `order (0 2 1 3)` permutes the innermost loop of the sum first, so that two words come out of four bytes without packing.
//! Where loads have a border, `border` comes before. Several reductions in the body, as `peel` leaves them, get a panel each.
//!
//! Legal for a body in which the loops of each reduction all move its loads of the buffer, which are of one form; then as
//! the steps that it is made of.

use ir::diag::Diagnostic;
use ir::loops::{BufferId, Loop, Nest, Stmt, VarId};
use ir::ty::Ty;

use super::border::border;
use super::collapse::collapse;
use super::edit::{Site, loop_of, visit_loads, with_loop};
use super::flatten::{flatten, reading_reductions};
use super::pad::pad;
use super::permute::permute;
use super::stage::{Panel, optional_axis, stage};
use super::step::{Arg, Args, StepDef};

/// The step.
pub const STEP: StepDef = StepDef {
    name: "im2col",
    usage: "im2col BUFFER at AXIS [order (ORDER)] [pad MULTIPLE]",
    summary: "Put what each pixel of a tile reads in a row of a panel, and make its loops one",
    run: |nest, args| {
        let window = Window::of(nest, args)?;
        let Some(axis) = window.axis else { return Err(args.missing("`at` and an axis")) };
        im2col(nest, &window, axis).map_err(|error| window.named("im2col", error))
    },
};

/// What windows are read from, where, and how.
pub(super) struct Window {
    name: String,
    pub(super) buffer: BufferId,
    pub(super) axis: Option<VarId>,
    order: Option<Vec<u32>>,
    multiple: u32,
}

impl Window {
    /// `BUFFER [at AXIS] [order (ORDER)] [pad MULTIPLE]`
    pub(super) fn of(nest: &Nest, args: &Args) -> Result<Self, Diagnostic> {
        let buffer = args.buffer(nest, 0)?;
        let name = nest.buffers[buffer.idx()].name.clone();
        let (axis, mut next) = optional_axis(nest, args, 1)?;
        let mut window = Window { name, buffer, axis, order: None, multiple: 1 };
        if args.get(next) == Some(&Arg::Word("order".into())) {
            window.order = Some(args.list(next + 1)?.to_vec());
            next += 2;
        }
        if args.get(next) == Some(&Arg::Word("pad".into())) {
            window.multiple = args.int(next + 1)?;
            next += 2;
        }
        args.at_most(next)?;
        Ok(window)
    }

    /// An error with what cannot be done in front.
    pub(super) fn named(&self, step: &str, error: Diagnostic) -> Diagnostic {
        if error.message.starts_with("cannot") {
            return error;
        }
        Diagnostic { message: format!("cannot {step} `{}`: {}", self.name, error.message), ..error }
    }

    /// The loops of each reduction in the body that reads the buffer.
    pub(super) fn summed(&self, nest: &mut Nest) -> Result<Vec<Vec<Loop>>, Diagnostic> {
        let body = match self.axis {
            None => nest.body.clone(),
            Some(axis) => with_loop(&mut nest.body, axis, &mut |site| match site {
                Site::For(block, at) => match &block[at] {
                    Stmt::For(_, body) => body.clone(),
                    _ => unreachable!("a site is a loop"),
                },
                Site::Reduction(..) => Vec::new(),
            })
            .unwrap_or_default(),
        };
        reading_reductions(&body, self.buffer).ok_or_else(|| {
            Diagnostic::new("its loads are not in the steps of a reduction inside")
                .help("legal at a loop around the reduction of a convolution")
        })
    }

    /// Lets the innermost loop of the sum walk in the order that was asked for.
    pub(super) fn ordered(&self, nest: &mut Nest, summed: &[Loop]) -> Result<(), Diagnostic> {
        match (&self.order, summed.last()) {
            (Some(order), Some(last)) => permute(nest, last.var, order),
            _ => Ok(()),
        }
    }

    /// Makes the loop over `axis` a multiple of what was asked for.
    pub(super) fn padded(&self, nest: &mut Nest, axis: VarId) -> Result<(), Diagnostic> {
        if self.multiple > 0 && loop_of(nest, axis).extent.is_multiple_of(self.multiple) {
            return Ok(());
        }
        pad(nest, axis, self.multiple)
    }

    /// The same buffer, or a copy with the border that its loads have.
    pub(super) fn bordered(&mut self, nest: &mut Nest) -> Result<(), Diagnostic> {
        if has_border(nest, self.buffer) {
            let n_buffers = nest.buffers.len();
            border(nest, self.buffer)?;
            if nest.buffers.len() > n_buffers {
                self.buffer = BufferId::new(n_buffers);
            }
        }
        Ok(())
    }
}

/// Rewrites the windows in the body of the loop over `axis`.
fn im2col(nest: &mut Nest, window: &Window, axis: VarId) -> Result<(), Diagnostic> {
    let mut window = Window { name: window.name.clone(), order: window.order.clone(), ..*window };
    let sums = window.summed(nest)?;
    window.bordered(nest)?;
    sums.iter().try_for_each(|summed| window.ordered(nest, summed))?;
    let vars: Vec<VarId> = sums.iter().flatten().map(|l| l.var).collect();
    if let Some(still) = unmoved(nest, window.buffer, &sums) {
        let still = &nest.vars[still.idx()];
        return Err(Diagnostic::new(format!("the loop `{still}` of the sum does not move its loads"))
            .help("legal where every loop of the sum does"));
    }
    let like = Panel { patches: Some(vars), ..Panel::of(Ty::I16) };
    let panels = stage(nest, window.buffer, Some(axis), &like)?;
    if panels.len() != sums.len() {
        let (forms, sums) = (panels.len(), sums.len());
        return Err(Diagnostic::new(format!("its loads are of {forms} forms in {sums} sums"))
            .help("legal for windows that are all read in one way, by each sum"));
    }
    for (panel, summed) in panels.into_iter().zip(&sums) {
        let n_summed = summed.iter().filter(|l| l.extent > 1).count();
        let rank = nest.buffers[panel.idx()].shape.len();
        if n_summed > 0 {
            flatten(nest, panel, rank - n_summed);
        }
        let vars: Vec<VarId> = summed.iter().map(|l| l.var).collect();
        let flat = if vars.len() > 1 { collapse(nest, &vars)? } else { vars[0] };
        window.padded(nest, flat)?;
    }
    Ok(())
}

fn has_border(nest: &mut Nest, buffer: BufferId) -> bool {
    let mut found = false;
    visit_loads(&mut nest.body, &mut Default::default(), &mut |access, _| {
        found |= access.buffer == buffer && access.border.is_some();
    });
    found
}

/// A loop that leaves some load of the buffer in its sum where it is.
fn unmoved(nest: &mut Nest, buffer: BufferId, sums: &[Vec<Loop>]) -> Option<VarId> {
    let mut still = None;
    visit_loads(&mut nest.body, &mut Default::default(), &mut |access, around| {
        if access.buffer == buffer {
            let mut used = Vec::new();
            access.index.iter().for_each(|index| index.vars(&mut used));
            let is_still =
                |l: &&Loop| !used.contains(&l.var) && around.get(&l.var).is_some_and(|extent| *extent > 1);
            still = still.or(sums.iter().flatten().find(is_still).map(|l| l.var));
        }
    });
    still
}
