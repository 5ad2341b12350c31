//! The command line of tinyc.

fn main() {}
