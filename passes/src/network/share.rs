//! `share`: lets layers run one code, each with numbers of its own.
//!
//! ```text
//! layer @conv_4(t3, t4) op "conv2d" macs 512 sources [4]
//! layer @conv_6(t5, t6) op "conv2d" macs 512 sources [6]
//! =>
//! layer @conv_4(t3, t4) op "conv2d" macs 512 sources [4]
//! layer @conv_6(t5, t6) op "conv2d" macs 512 sources [6] shares @conv_4
//! ```
//!
//! What nests compute is the same with and without. Where tables of theirs differ in their element types, they get a common one
//! ([`crate::loops::common_types`]); else nests stay as they are. In the object file the code of the first layer serves all of
//! the group; each has a few instructions that pass it a table of its numbers: where tensors and constants lie, how often loops run, how
//! far pointers step. That takes a few cycles for each loop that is entered, and one copy of the code instead of several.
//!
//! Legal for layers whose nests have the same statements, operations, attributes and types; no step may change them afterwards. Names
//! and the contents of constants may differ, the types of tables, literals, extents of loops that are not unrolled, shapes and the order in memory.
//! Where rescalings shift by different amounts, `common-shift` gives them one, or `short-requantize shift N` among the steps of each layer.

use ir::diag::Diagnostic;
use ir::loops::alike::Alike;
use ir::loops::{Layer, Nest, Program};

use super::{ProgramStep, Run};
use crate::loops::common_types::common_types;
use crate::loops::legalize;

/// The step.
pub const STEP: ProgramStep = ProgramStep {
    name: "share",
    usage: "share",
    summary: "Let layers run one code, each with numbers of its own",
    run: Run::Group(|program, layers, args| {
        args.at_most(0)?;
        share(program, layers)
    }),
};

const SAME: &str = "legal for the same statements, operations and types after all steps; constants, shapes and extents may differ";

/// Lets the layers of these numbers, in ascending order, run the code of the first of them.
pub fn share(program: &mut Program, layers: &[usize]) -> Result<(), Diagnostic> {
    let [first, others @ ..] = layers else { return Ok(()) };
    let name = program.layers[*first].nest.name.clone();
    for layer in layers {
        if partner(program, *layer).is_some() {
            let message = format!("`{}` shares its code already", program.layers[*layer].nest.name);
            return Err(
                Diagnostic::new(message).help("legal once for each layer: name all of a group at once")
            );
        }
    }
    let mut nests: Vec<Nest> = layers.iter().map(|layer| program.layers[*layer].nest.clone()).collect();
    common_types(&mut nests.iter_mut().collect::<Vec<_>>());
    for other in &nests[1..] {
        shareable(&nests[0], other).map_err(|error| Diagnostic {
            message: format!("`{}` is not like `{name}`: {}", other.name, error.message),
            help: error.help.or(Some(SAME.into())),
            ..error
        })?;
    }
    for (layer, nest) in layers.iter().zip(nests) {
        program.layers[*layer].nest = nest;
    }
    for layer in others {
        program.layers[*layer].shares = Some(name.clone());
    }
    Ok(())
}

/// A layer with which the layer of this number shares its code.
pub fn partner(program: &Program, layer: usize) -> Option<&str> {
    let this = &program.layers[layer];
    let is_other = |other: &&Layer| other.shares.as_ref() == Some(&this.nest.name);
    let other = || program.layers.iter().find(is_other).map(|other| other.nest.name.as_str());
    this.shares.as_deref().or_else(other)
}

/// Whether one code can serve both nests; the error says what the second one has and the first one has not.
pub fn shareable(first: &Nest, other: &Nest) -> Result<(), Diagnostic> {
    // What they are when code is made of them.
    let (mut first, mut other) = (first.clone(), other.clone());
    legalize(&mut first)?;
    legalize(&mut other)?;
    Alike::new(&first, &other).map(|_| ())
}
