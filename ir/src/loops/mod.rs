//! The loops level.
