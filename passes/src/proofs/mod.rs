//! Proofs on the actual constants of a nest: they decide whether a rewrite that depends on values is exact.

pub mod accumulators;
mod bounded;
mod corners;
mod interval;
pub mod multiples;
pub mod short_forms;
pub(crate) mod steps;
pub mod stored;
pub mod thresholds;
mod uniform;
