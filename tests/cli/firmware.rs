//! What is built for the digit classifier, as other tools see it: symbols, C compilers, linkers, a debugger.
//! A test whose tools are absent says so and checks nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use test_support::tools::{Stopped, have, run};

use crate::support::{DIGITS, folder, shown, text, tinyc};

const GCC: &str = "arm-none-eabi-gcc";
const GNU_LD: &str = "arm-none-eabi-ld";
const LLD: &str = "ld.lld-19";
const QEMU: &str = "qemu-system-arm";
const GDB: &str = "gdb-multiarch";
const NM: &str = "arm-none-eabi-nm";

/// A folder with `kws.o`, `kws.h` and `kws.loops`.
fn built(more: &[&str]) -> TempDir {
    let folder = folder();
    let object = folder.path().join("kws.o");
    let output = tinyc(["build", DIGITS, "-o", text(&object)].into_iter().chain(more.iter().copied()));
    assert!(output.status.success(), "{}", shown(&output));
    folder
}

#[test]
fn nothing_is_undefined() {
    if have(&[NM]) {
        for more in [&[][..], &["--run-until"], &["--no-fpu"], &["--cpu", "cortex-m7"]] {
            let folder = built(more);
            let undefined = run(Command::new(NM).args(["-u", "kws.o"]).current_dir(folder.path()));
            assert_eq!(undefined, "", "{more:?}");
        }
    }
}

#[test]
fn several_models_link_side_by_side() {
    if have(&[NM, GNU_LD]) {
        let folder = built(&[]);
        let second = folder.path().join("second.o");
        let output = tinyc(["build", DIGITS, "-o", text(&second), "--no-fpu", "--run-until"]);
        assert!(output.status.success(), "{}", shown(&output));
        let both = ["-r", "-o", "both.o", "kws.o", "second.o"];
        run(Command::new(GNU_LD).args(both).current_dir(folder.path()));
        let symbols = run(Command::new(NM).args(["-g", "both.o"]).current_dir(folder.path()));
        for symbol in ["T kws_run", "T second_run", "T second_run_until"] {
            assert!(symbols.lines().any(|line| line.ends_with(symbol)), "no `{symbol}`:\n{symbols}");
        }
    }
}

#[test]
fn the_header_compiles_without_a_warning() {
    let folder = built(&["--run-until"]);
    let program = "#include \"kws.h\"\nstatic unsigned char arena[KWS_ARENA_BYTES];\nint first(void);\n\
                   int first(void)\n{\n    kws_run_until(arena, KWS_LAYERS);\n    kws_run(arena);\n    \
                   return kws_input_0(arena)[0] + kws_output_0(arena)[0];\n}\n";
    for (compiler, standard, file) in
        [(GCC, "c99", "program.c"), ("arm-none-eabi-g++", "c++11", "program.cpp"), ("cc", "c99", "program.c")]
    {
        std::fs::write(folder.path().join(file), program).unwrap();
        if have(&[compiler]) {
            run(Command::new(compiler)
                .args(["-fsyntax-only", "-Wall", "-Wextra", "-pedantic", "-Werror", file])
                .arg(format!("-std={standard}"))
                .current_dir(folder.path()));
        }
    }
}

/// Compiles the demo firmware in `folder` for one float ABI and links it with one linker.
fn firmware(folder: &Path, abi: &[&str], linker: &str) -> PathBuf {
    for (name, contents) in [
        ("demo.c", runtime::DEMO_C),
        ("startup.c", runtime::STARTUP_C),
        ("semihosting.h", runtime::SEMIHOSTING_H),
        ("sections.ld", runtime::SECTIONS_LD),
        ("mps2-an386.ld", runtime::MPS2_AN386_LD),
    ] {
        std::fs::write(folder.join(name), contents).unwrap();
    }
    run(Command::new(GCC)
        .args(["-mcpu=cortex-m4", "-mthumb", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-c"])
        .args(abi)
        .args(["-DMODEL=kws", "-DMODEL_UPPER=KWS", "-include", "kws.h", "demo.c", "startup.c"])
        .current_dir(folder));
    run(Command::new(linker)
        .args(["-T", "mps2-an386.ld", "-o", "demo.elf", "demo.o", "startup.o", "kws.o"])
        .current_dir(folder));
    folder.join("demo.elf")
}

const SOFT: &[&str] = &["-mfloat-abi=soft"];
const HARD: &[&str] = &["-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"];

#[test]
fn soft_and_hard_float_firmware_link_and_run() {
    if !have(&[GCC, GNU_LD, QEMU]) {
        return;
    }
    let wanted = answer_to_zeros();
    let linkers: &[&str] = if have(&[LLD]) { &[GNU_LD, LLD] } else { &[GNU_LD] };
    for (more, abi) in [(&[][..], SOFT), (&[], HARD), (&["--no-fpu"], SOFT), (&["--no-fpu"], HARD)] {
        let folder = built(more);
        for linker in linkers {
            let elf = firmware(folder.path(), abi, linker);
            let said = run(Command::new("timeout")
                .args(["60", QEMU, "-machine", "mps2-an386", "-nographic", "-semihosting", "-kernel"])
                .arg(&elf));
            assert_eq!(said.trim(), wanted, "{more:?} {abi:?} {linker}");
        }
    }
}

/// What the demo must print: the host's answer to an input of zeros.
fn answer_to_zeros() -> String {
    let folder = folder();
    let [input, out] = ["in.bin", "out.bin"].map(|name| folder.path().join(name));
    std::fs::write(&input, [0; 64]).unwrap();
    let output = tinyc(["run", DIGITS, "--input", text(&input), "--output", text(&out)]);
    assert!(output.status.success(), "{}", shown(&output));
    let bytes = std::fs::read(&out).unwrap();
    bytes.iter().map(|byte| format!("0x{byte:08x}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_debugger_stops_in_a_layer_and_lists_its_loops() {
    if !have(&[GCC, GNU_LD, QEMU, GDB]) {
        return;
    }
    let folder = built(&[]);
    let listing = std::fs::read_to_string(folder.path().join("kws.loops")).unwrap();
    let (line_number, statement) = statement_of(&listing, "add_7");
    let elf = firmware(folder.path(), HARD, GNU_LD);
    let mut qemu = Command::new(QEMU);
    qemu.args(["-machine", "mps2-an386", "-nographic", "-semihosting", "-kernel"]).arg(&elf);
    let emulator = Stopped::start(&mut qemu, folder.path());
    let steps = [
        "target remote gdb.sock",
        "break kws_add_7",
        "continue",
        "bt",
        "list",
        &format!("break kws.loops:{line_number}"),
        "continue",
        "bt",
        "list",
        "disconnect",
    ];
    let mut gdb = Command::new(GDB);
    gdb.current_dir(folder.path()).args(["-q", "-nx", "-batch"]).arg(&elf);
    for step in steps {
        gdb.args(["-ex", step]);
    }
    let said = run(&mut gdb);
    drop(emulator);
    let calls: Vec<&str> = said.lines().filter(|line| line.starts_with('#')).collect();
    let functions =
        ["kws_add_7 ()", "in kws_run ()", "in main ()", "kws_add_7 ()", "in kws_run ()", "in main ()"];
    let found = calls.iter().zip(functions).filter(|(call, function)| call.contains(function)).count();
    assert!(found == functions.len() && calls.len() <= functions.len() + 2, "{said}");
    assert!(calls[..2].iter().all(|call| call.contains(" at kws.loops:")), "{said}");
    assert!(said.contains(&format!("{line_number}\t{statement}")), "`{statement}` is not listed:\n{said}");
}

/// The line and the text of the innermost statement of a layer: where most of its time goes.
fn statement_of<'a>(listing: &'a str, layer: &str) -> (usize, &'a str) {
    let begin = format!("loops @{layer}(");
    let lines = (1..).zip(listing.lines()).skip_while(|(_, line)| !line.starts_with(&begin));
    let body = lines.take_while(|(_, line)| *line != "}");
    body.filter(|(_, line)| line.contains(" = ") && !line.contains("const "))
        .max_by_key(|(_, line)| line.len() - line.trim_start().len())
        .expect("a layer has a statement")
}
