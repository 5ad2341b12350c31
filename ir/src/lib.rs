//! The graph and loops levels of tinyc: data, text form, verifier, reference evaluation.
