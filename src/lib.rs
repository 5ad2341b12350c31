//! tinyc as a library: the compiler as calls, what it writes beside the object file, and an emulated device.

mod defaults;
pub mod emulate;
mod flash;
pub mod header;
pub mod link;
pub mod output;
pub mod pipeline;
mod ram;
pub mod report;
