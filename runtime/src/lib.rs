//! What is linked with generated code: startup, linker scripts, console.
