//! The command line of tinyc: arguments in, files and text out. Everything else is in the library.

mod cli;

/// Compiling takes and gives back memory all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
