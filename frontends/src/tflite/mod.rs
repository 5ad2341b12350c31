//! From a `.tflite` file to the graph level.
//!
//! A file is verified as a flatbuffer, read into plain data (`file`), its tensors are checked one by one
//! (`tensors`), and each operator becomes one operator of the graph (`load`, `operators`). What the format leaves
//! implicit is made explicit: paddings, clamps of fused activations, zeros for a missing bias.
//! Whatever the bytes are, the answer is a graph or a list of errors, never a panic.

mod file;
mod geometry;
mod inspect;
mod load;
mod operators;
/// Made from `tflite/schema.fbs` by `tflite/regenerate`; public so that tests can make models.
#[allow(missing_docs, unsafe_code, clippy::all, warnings)]
#[doc(hidden)]
#[rustfmt::skip]
pub mod schema;
mod tensors;

use ir::diag::Diagnostic;
use ir::graph::Graph;

use file::File;

pub use inspect::{Inspection, OperatorInfo, TensorInfo};

/// The graph of the model in `bytes`, called `name`; otherwise all that is wrong with the model, in file order.
pub fn load(bytes: &[u8], name: &str) -> Result<Graph, Vec<Diagnostic>> {
    let file = File::read(bytes).map_err(|error| vec![error])?;
    load::load(&file, name).map_err(load::diagnostics)
}

/// What is in the model in `bytes`, whether or not [`load`] accepts it; an error where it cannot be read at all.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, Diagnostic> {
    let file = File::read(bytes)?;
    Ok(inspect::inspect(&file))
}
