//! What is linked with generated code: startup, linker scripts, console.
//!
//! Only texts and bytes. `tinyc run --on` links the two prebuilt objects, so that nobody needs a C compiler;
//! `prebuilt/make.sh` makes them from the C files, and a test compares.

/// Vector table, FPU, `.data` and `.bss`, console.
pub const STARTUP_C: &str = include_str!("../c/startup.c");
/// The console, files of the host, and the end of a run.
pub const SEMIHOSTING_H: &str = include_str!("../c/semihosting.h");
/// Runs a model on all cases of a file.
pub const DRIVER_C: &str = include_str!("../c/driver.c");
/// The table through which the driver knows the model.
pub const DRIVER_H: &str = include_str!("../c/driver.h");
/// A firmware to begin with.
pub const DEMO_C: &str = include_str!("../c/demo.c");

/// Sections, included by the scripts of the boards under this name.
pub const SECTIONS_LD: &str = include_str!("../ld/sections.ld");
/// The memory of the emulated Cortex-M3 board.
pub const MPS2_AN385_LD: &str = include_str!("../ld/mps2-an385.ld");
/// The memory of the emulated Cortex-M4 board.
pub const MPS2_AN386_LD: &str = include_str!("../ld/mps2-an386.ld");
/// The memory of the emulated Cortex-M7 board.
pub const MPS2_AN500_LD: &str = include_str!("../ld/mps2-an500.ld");
/// The memory of the emulated Cortex-M33 board.
pub const MPS2_AN505_LD: &str = include_str!("../ld/mps2-an505.ld");

/// `STARTUP_C`, compiled for every core.
pub const STARTUP_O: &[u8] = include_bytes!("../prebuilt/startup.o");
/// `DRIVER_C`, compiled for every core.
pub const DRIVER_O: &[u8] = include_bytes!("../prebuilt/driver.o");
