//! Runs loop nests on the host through Cranelift.
