//! Passes that keep the level: graph to graph, loops to loops; [`network`] sees all layers of a program at once.
//!
//! The crate knows no file and no instruction; the order of the graph passes is [`graph::PIPELINE`].

pub mod defaults;
pub mod graph;
pub mod loops;
pub mod network;
pub mod proofs;
pub mod schedule;

/// Whether a pass did anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Everything is as it was.
    No,
    /// Something is different.
    Yes,
}

impl std::ops::BitOrAssign for Changed {
    fn bitor_assign(&mut self, other: Changed) {
        if other == Changed::Yes {
            *self = Changed::Yes;
        }
    }
}
