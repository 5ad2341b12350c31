//! Objects made from hand-assembled code, as linkers, binutils, a C caller and a debugger see them.
//! A test whose tools are absent says so and checks nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use test_support::tools::{Stopped, have, present, run, said};
use tinyc_isel_thumb2::object::{
    self, Architecture, ConstBlock, DataRange, FpArch, FrameInfo, FunctionCode, LineRow, ObjectSpec, Reloc,
    RelocKind, SavedRegister, ZeroBlock,
};

const GNU_LD: &str = "arm-none-eabi-ld";
const LLD: &str = "ld.lld-19";
const GCC: &str = "arm-none-eabi-gcc";
const QEMU: &str = "qemu-system-arm";
const GDB: &str = "gdb-multiarch";

/// `<prefix>_run(arena)`: `arena[1] = arena[0] + weight`, by way of a layer function.
/// The weight stands behind `distance` other bytes, which must be a multiple of 4.
fn model(prefix: &str, weight: i32, distance: u32) -> ObjectSpec {
    let (run, layer) = (format!("{prefix}_run"), format!("{prefix}_layer_0_add"));
    let weights = format!("{prefix}_weights");
    let mut bytes = vec![0; distance as usize];
    bytes.extend(weight.to_le_bytes());
    let at = |offset, kind| Reloc { offset, kind, target: weights.clone(), addend: distance as i32 };
    let call = Reloc { offset: 10, kind: RelocKind::ThmCall, target: layer.clone(), addend: 0 };
    ObjectSpec {
        listing: format!("{prefix}.loops"),
        producer: "tinyc test".into(),
        architecture: Architecture::V7EM,
        fpu: Some(FpArch::V4Sp),
        functions: vec![
            run_function(run, vec![at(2, RelocKind::ThmMovwAbs), at(6, RelocKind::ThmMovtAbs), call]),
            layer_function(layer),
        ],
        constants: vec![ConstBlock { symbol: weights, bytes, align: 4, ..Default::default() }],
        ..Default::default()
    }
}

fn run_function(symbol: String, relocs: Vec<Reloc>) -> FunctionCode {
    let code = [
        0xb510, // push {r4, lr}
        0xf240, 0x0100, // movw r1, the weight
        0xf2c0, 0x0100, // movt r1, the weight
        0xf000, 0xd000, // bl the layer
        0xbd10, // pop {r4, pc}
    ];
    let mut frame = FrameInfo::default();
    frame.push(2, &[SavedRegister::Core(4), SavedRegister::Core(14)]);
    let lines = vec![LineRow { offset: 0, line: 1 }, LineRow { offset: 2, line: 2 }];
    FunctionCode { symbol, global: true, align: 4, bytes: halves(&code), relocs, lines, frame, data: vec![] }
}

fn layer_function(symbol: String) -> FunctionCode {
    let code = [
        0xb530, // push {r4, r5, lr}
        0xb083, // sub sp, #12
        0x680a, // ldr r2, [r1]
        0x6803, // ldr r3, [r0]
        0x18d2, // adds r2, r2, r3
        0x6042, // str r2, [r0, #4]
        0xb003, // add sp, #12
        0xbd30, // pop {r4, r5, pc}
        0x1234, 0x5678, // data
    ];
    let mut frame = FrameInfo::default();
    frame.push(2, &[SavedRegister::Core(4), SavedRegister::Core(5), SavedRegister::Core(14)]);
    frame.lower(4, 12);
    frame.raise(14, 12);
    let lines =
        [(0, 5), (4, 6), (8, 7), (10, 8), (12, 9)].map(|(offset, line)| LineRow { offset, line }).to_vec();
    let data = vec![DataRange { start: 16, end: 20 }];
    FunctionCode { symbol, align: 4, bytes: halves(&code), lines, frame, data, ..Default::default() }
}

fn halves(code: &[u16]) -> Vec<u8> {
    code.iter().flat_map(|half| half.to_le_bytes()).collect()
}

/// The linkers that are here: GNU ld, lld, and the lld that comes with rustc.
fn linkers() -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> =
        [GNU_LD, LLD].iter().filter(|tool| present(tool)).map(|tool| vec![tool.to_string()]).collect();
    let sysroot = run(Command::new("rustc").args(["--print", "sysroot"]));
    let libs = Path::new(sysroot.trim()).join("lib/rustlib");
    for folder in std::fs::read_dir(libs).into_iter().flatten().flatten() {
        let lld = folder.path().join("bin/rust-lld");
        if lld.is_file() {
            found.push(vec![lld.display().to_string(), "-flavor".into(), "gnu".into()]);
        }
    }
    found
}

fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/object").join(file)
}

/// Writes both models and the C caller, compiled with `abi`, into `folder` and links them.
fn firmware(folder: &Path, abi: &[&str], linker: &[String]) -> PathBuf {
    let elf = folder.join("firmware.elf");
    // The distance of the second does not fit the addend field of an address move.
    for (prefix, spec) in [("kws", model("kws", 2, 4)), ("vww", model("vww", 7, 70_000))] {
        std::fs::write(folder.join(prefix).with_extension("o"), object::write(&spec).unwrap()).unwrap();
    }
    let caller = folder.join("caller.o");
    run(Command::new(GCC)
        .args(["-c", "-O0", "-g", "-mthumb"])
        .args(abi)
        .arg(source("caller.c"))
        .arg("-o")
        .arg(&caller));
    run(Command::new(&linker[0])
        .args(&linker[1..])
        .args(["--fatal-warnings", "-T"])
        .args([source("mps2.ld"), caller, folder.join("kws.o"), folder.join("vww.o")])
        .arg("-o")
        .arg(&elf));
    elf
}

const SOFT: &[&str] = &["-mcpu=cortex-m4", "-mfloat-abi=soft"];
const HARD: &[&str] = &["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"];
const MACHINE: &[&str] = &[
    "-machine",
    "mps2-an386",
    "-nographic",
    "-monitor",
    "none",
    "-serial",
    "none",
    "-semihosting",
    "-kernel",
];

#[test]
fn soft_and_hard_callers_link_two_models_and_get_their_answers() {
    if !have(&[GCC, QEMU]) {
        return;
    }
    let linkers = linkers();
    if linkers.is_empty() {
        println!("skipped: no linker found");
    }
    for linker in linkers {
        for abi in [SOFT, HARD] {
            let folder = tempfile::tempdir().unwrap();
            let elf = firmware(folder.path(), abi, &linker);
            let output = Command::new("timeout").arg("20").arg(QEMU).args(MACHINE).arg(elf).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{linker:?} {abi:?}: {}", said(&output));
        }
    }
}

#[test]
fn binutils_read_the_object() {
    if !have(&["arm-none-eabi-readelf", "arm-none-eabi-nm", "arm-none-eabi-objdump"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kws.o");
    std::fs::write(&path, object::write(&model("kws", 2, 4)).unwrap()).unwrap();

    let header = run(Command::new("arm-none-eabi-readelf").args(["-h", "-A", "-S", "-W"]).arg(&path));
    for wanted in [
        "Type:                              REL (Relocatable file)",
        "Version5 EABI",
        "Tag_CPU_arch: v7E-M",
        "Tag_CPU_arch_profile: Microcontroller",
        "Tag_THUMB_ISA_use: Thumb-2",
        "Tag_FP_arch: VFPv4-D16",
        "Tag_ABI_VFP_args: compatible",
        "Tag_ABI_align_needed: 8-byte",
        ".text.kws_layer_0_add",
        ".rodata.kws_weights",
    ] {
        assert!(header.contains(wanted), "no `{wanted}` in\n{header}");
    }
    assert_eq!(run(Command::new("arm-none-eabi-nm").arg("-u").arg(&path)), "");
    let symbols = run(Command::new("arm-none-eabi-nm").arg("-S").arg(&path));
    assert_eq!(
        symbols,
        "00000000 00000014 t kws_layer_0_add\n00000000 00000010 T kws_run\n00000000 00000008 r kws_weights\n"
    );
    // `nm` hides bit 0, which says Thumb.
    let table = run(Command::new("arm-none-eabi-readelf").args(["-s", "-W"]).arg(&path));
    for wanted in ["00000001    20 FUNC    LOCAL  DEFAULT", "00000001    16 FUNC    GLOBAL DEFAULT"] {
        assert!(table.contains(wanted), "no `{wanted}` in\n{table}");
    }
    let code = run(Command::new("arm-none-eabi-objdump").arg("-d").arg(&path));
    assert!(code.contains("adds\tr2, r2, r3") && code.contains(".word\t0x56781234"), "{code}");
    let debug = run(Command::new("arm-none-eabi-readelf").arg("--debug-dump").arg(&path));
    assert!(debug.contains("kws_layer_0_add") && !debug.contains("arning"), "{debug}");
}

/// The tags are those that the assembler writes for the same core.
#[test]
fn attributes_say_what_the_core_must_have() {
    if !have(&["arm-none-eabi-readelf"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kws.o");
    let attributes = |architecture, fpu| {
        let spec = ObjectSpec { architecture, fpu, ..model("kws", 2, 4) };
        std::fs::write(&path, object::write(&spec).unwrap()).unwrap();
        run(Command::new("arm-none-eabi-readelf").arg("-A").arg(&path))
    };
    let cases = [
        (Architecture::V7M, None, vec!["Tag_CPU_arch: v7\n", "Tag_THUMB_ISA_use: Thumb-2\n"]),
        (Architecture::V7EM, None, vec!["Tag_CPU_arch: v7E-M\n"]),
        (
            Architecture::V8MMain,
            Some(FpArch::V5),
            vec![
                "Tag_CPU_arch: v8-M.mainline\n",
                "Tag_THUMB_ISA_use: Yes\n",
                "Tag_FP_arch: FPv5/FP-D16 for ARMv8\n",
                "Tag_ABI_HardFP_use: SP only\n",
                "Tag_DSP_extension: Allowed\n",
            ],
        ),
    ];
    for (architecture, fpu, wanted) in cases {
        let found = attributes(architecture, fpu);
        assert!(found.contains("Tag_CPU_arch_profile: Microcontroller\n"), "{found}");
        wanted.iter().for_each(|tag| assert!(found.contains(tag), "no `{tag}` in\n{found}"));
        assert_eq!(found.contains("Tag_FP_arch"), fpu.is_some(), "{found}");
    }
}

#[test]
fn the_debug_information_verifies() {
    const DWARFDUMP: &str = "llvm-dwarfdump-19";
    if !have(&[DWARFDUMP]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kws.o");
    std::fs::write(&path, object::write(&model("kws", 2, 4)).unwrap()).unwrap();
    let verdict = run(Command::new(DWARFDUMP).arg("--verify").arg(&path));
    assert!(verdict.contains("No errors"), "{verdict}");
}

#[test]
fn a_debugger_stops_in_a_layer_lists_its_loops_and_unwinds() {
    if !have(&[GCC, GNU_LD, QEMU, GDB]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let elf = firmware(folder.path(), HARD, &[GNU_LD.into()]);
    let listing = "run\ncall layer\nend\n\nlayer\nload x\nload w\ny = add x, w\nstore y\n";
    std::fs::write(folder.path().join("kws.loops"), listing).unwrap();
    let emulator = Stopped::start(Command::new(QEMU).args(MACHINE).arg(&elf), folder.path());
    let mut gdb = Command::new(GDB);
    gdb.current_dir(folder.path()).args(["-q", "-nx", "-batch"]).arg(&elf);
    let steps = [
        "target remote gdb.sock",
        "break kws_layer_0_add",
        "continue",
        "bt",
        "list",
        "break *$pc+6",
        "continue",
        "bt",
        "up",
        "info line",
        "disconnect", // `kill` fails when the emulator ends before the debugger has said its last word.
    ];
    for step in steps {
        gdb.args(["-ex", step]);
    }
    let said = run(&mut gdb);
    drop(emulator);
    // In the prologue and behind it, the callers are found and the lines are those of the listing.
    let frames = said.matches(" in kws_run () at kws.loops:2").count();
    assert!(frames >= 2, "callers found {frames} times:\n{said}");
    assert!(said.matches(" in main () at ").count() >= 2, "{said}");
    assert!(said.contains("kws_layer_0_add () at kws.loops:8"), "{said}");
    assert!(said.contains("8\ty = add x, w"), "{said}");
}

#[test]
fn the_same_spec_gives_the_same_bytes() {
    let bytes = object::write(&model("kws", 2, 70_000)).unwrap();
    assert_eq!(bytes, object::write(&model("kws", 2, 70_000)).unwrap());
    let path = env!("CARGO_MANIFEST_DIR");
    assert!(!bytes.windows(path.len()).any(|part| part == path.as_bytes()), "`{path}` is in the object");
}

#[test]
fn specs_that_are_no_object_are_refused() {
    let refused = |change: &dyn Fn(&mut ObjectSpec), wanted: &str| {
        let mut spec = model("kws", 2, 4);
        change(&mut spec);
        let message = object::write(&spec).expect_err(wanted).to_string();
        assert!(message.contains(wanted), "`{message}` does not say `{wanted}`");
    };
    refused(&|spec| spec.functions[0].relocs[2].target = "memcpy".into(), "no symbol is called `memcpy`");
    refused(&|spec| spec.functions[0].relocs[0].addend = -40_000, "bytes before `kws_weights`");
    refused(&|spec| spec.functions[0].relocs[0].offset = 14, "lies outside");
    refused(&|spec| spec.functions[0].relocs[0].offset = 10, "is no ThmMovwAbs");
    refused(&|spec| spec.functions[1].symbol = "kws_run".into(), "two symbols are called `kws_run`");
    refused(&|spec| spec.functions[1].bytes.truncate(3), "not whole instructions");
    refused(&|spec| spec.functions[1].data = vec![DataRange { start: 12, end: 40 }], "data ranges");
    refused(&|spec| spec.functions[1].lines.reverse(), "out of order");
    refused(&|spec| spec.constants[0].align = 3, "has alignment 3");
    refused(&|spec| spec.listing.clear(), "no name");
}

#[test]
fn zeroed_memory_takes_no_room_in_the_file() {
    let arena = ZeroBlock { symbol: "arena".into(), section: ".bss.arena".into(), bytes: 1 << 20, align: 16 };
    let bytes = object::write(&ObjectSpec { zeroed: vec![arena], ..Default::default() }).unwrap();
    assert!(bytes.len() < 1024);
}
