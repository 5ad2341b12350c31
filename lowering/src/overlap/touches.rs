//! When the bytes of buffers are touched: the order of accesses, walked with a clock.
//!
//! Each tick marks the bytes that it loads and stores. A walk that would take too long has no answer.

use super::order::{Node, Order, Sweep};

/// Intervals of bytes that a walk may mark, after which it gives up: some tens of milliseconds.
const MAX_MARKS: usize = 4_000_000;
/// No tick: the byte is never touched.
pub const NEVER: u32 = u32::MAX;

/// When the bytes of a buffer are touched, by grains of [`Order::in_grains`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touches {
    /// Bytes of a grain.
    pub grain: usize,
    /// How many there are.
    pub grains: usize,
    /// By grain: the first store; nothing where nobody asks.
    pub first_store: Vec<u32>,
    /// By grain: the tick behind the last load or store; nothing where nobody asks.
    pub left: Vec<u32>,
}

/// What is kept of when the bytes of a buffer are touched.
#[derive(Clone, Copy)]
pub struct Kept {
    /// The first stores.
    pub first_store: bool,
    /// The last loads and stores.
    pub left: bool,
}

/// The clock, and what it has seen.
pub struct Walk {
    /// By variable: where its loop is at.
    pub values: Vec<i64>,
    /// The tick that it is at.
    pub clock: u32,
    /// How many intervals it may still mark.
    pub marks_left: usize,
    /// By buffer: what is known so far.
    pub touches: Vec<Touches>,
}

impl Touches {
    /// Those of each buffer as far as they are kept; `None` where that takes too long to find out.
    pub fn of(order: &Order, kept: impl Fn(usize) -> Kept) -> Option<Vec<Touches>> {
        let (nodes, grains) = order.in_grains();
        let none = |buffer: usize| Touches::none(order.bytes(buffer) as usize, grains[buffer], kept(buffer));
        let touches = (0..grains.len()).map(none).collect();
        let mut walk = Walk { values: vec![0; order.n_vars()], clock: 0, marks_left: MAX_MARKS, touches };
        walk.nodes(&nodes)?;
        Some(walk.touches)
    }

    /// Those of a buffer that nobody touches.
    pub fn none(bytes: usize, grain: usize, kept: Kept) -> Self {
        let grain = grain.max(1);
        let grains = bytes / grain;
        let ticks = |is_kept: bool, tick: u32| if is_kept { vec![tick; grains] } else { Vec::new() };
        Self { grain, grains, first_store: ticks(kept.first_store, NEVER), left: ticks(kept.left, 0) }
    }

    /// Bytes of the buffer.
    pub fn bytes(&self) -> i64 {
        (self.grains * self.grain) as i64
    }

    /// Whether every byte in common is left before it is written.
    pub fn is_free(&self, comes: &Touches, distance: i64) -> bool {
        let (mut at, to) = (distance.max(0), self.bytes().min(distance + comes.bytes()));
        let (ours, theirs) = (self.grain as i64, comes.grain as i64);
        while at < to {
            let (left, stored) = (at / ours, (at - distance) / theirs);
            if self.left[left as usize] > comes.first_store[stored as usize] {
                return false;
            }
            at = ((left + 1) * ours).min((stored + 1) * theirs + distance);
        }
        true
    }
}

impl Walk {
    fn nodes(&mut self, nodes: &[Node<Sweep>]) -> Option<()> {
        for node in nodes {
            match node {
                Node::For(var, extent, body) => {
                    for value in 0..*extent {
                        self.values[var.idx()] = value.into();
                        self.nodes(body)?;
                    }
                }
                Node::Tick(sweeps) => {
                    sweeps.iter().try_for_each(|sweep| self.mark(sweep))?;
                    self.clock += 1;
                }
            }
        }
        Some(())
    }

    /// Marks what is touched now; `None` where that has taken too long.
    pub fn mark(&mut self, sweep: &Sweep) -> Option<()> {
        self.marks_left = self.marks_left.checked_sub(sweep.runs.len())?;
        let base = match &sweep.affine {
            Some((constant, terms)) => {
                terms.iter().fold(*constant, |at, (by, var)| at + by * self.values[*var])
            }
            None => sweep.base.eval(&|var| self.values[var.idx()]),
        };
        let Touches { grains, first_store, left, .. } = &mut self.touches[sweep.buffer.idx()];
        if left.is_empty() && (first_store.is_empty() || !sweep.stores) {
            return Some(());
        }
        let end = *grains as i64;
        let grain = |at: i64| at.clamp(0, end) as usize;
        for (from, to) in &sweep.runs {
            let range = grain(base + from)..grain(base + to); // Loads may leave the buffer for junk.
            if !left.is_empty() {
                left[range.clone()].fill(self.clock + 1);
            }
            if sweep.stores && !first_store.is_empty() {
                first_store[range].iter_mut().for_each(|tick| *tick = (*tick).min(self.clock));
            }
        }
        Some(())
    }
}
