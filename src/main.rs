//! The command line of tinyc: arguments in, files and text out. Everything else is in the library.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
