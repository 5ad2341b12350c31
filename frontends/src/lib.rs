//! From model files to the graph level. Bytes in, graph or diagnostics out: no file is opened here.

pub mod tflite;
