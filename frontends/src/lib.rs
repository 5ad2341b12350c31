//! From model files to the graph level.
