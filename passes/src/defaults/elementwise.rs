//! Everything that is no product: rescaling and additions in few operations, functions of a byte as tables.

use ir::loops::Nest;

use super::Traits;
use super::draft::Draft;

/// The drafts for a nest of any kind.
pub fn drafts(nest: &Nest, _: &Traits) -> Vec<Draft> {
    let mut draft = Draft::new(nest);
    draft.first_of(&["short-add", "table", "short-requantize", "short-requantize any"]);
    if draft.lines.is_empty() { Vec::new() } else { vec![draft] }
}
