//! Links a model into a firmware for an emulated board, with whatever Arm linker is here.
//!
//! No C compiler is needed: startup and driver come prebuilt, and the table that tells the driver about the model is
//! an object of our own making. The same firmware runs under a cycle counter, which finds `bench_begin`
//! and `bench_end` around the run.

use std::path::{Path, PathBuf};
use std::process::Command;

use ir::diag::Diagnostic;
use isel_thumb2::object::{self, ConstBlock, ObjectSpec, Reloc, RelocKind, ZeroBlock};

/// Bytes that the driver watches before and after the arena: `TINYC_GUARD_BYTES` in `driver.h`.
const GUARD_BYTES: u32 = 64;
/// `TINYC_INTERRUPTS` in `driver.h`.
const INTERRUPTS_FLAG: u32 = 1;
/// The largest arena beside stack and data in the board's first RAM of 4 MB.
const SMALL_ARENA_BYTES: u32 = 3 << 20;
/// What the board's second RAM of 16 MB holds.
const LARGE_ARENA_BYTES: u32 = (16 << 20) - (64 << 10);

/// A board that QEMU emulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Board {
    /// Cortex-M3.
    Mps2An385,
    /// Cortex-M4 with FPU.
    Mps2An386,
    /// Cortex-M7 with FPU.
    Mps2An500,
    /// Cortex-M33 with DSP extension and FPU, in secure state.
    Mps2An505,
}

impl Board {
    /// The board for a `--cpu` name, or `None` where none is emulated.
    pub fn of_cpu(cpu: &str) -> Option<Board> {
        match cpu {
            "cortex-m3" => Some(Board::Mps2An385),
            "cortex-m4" => Some(Board::Mps2An386),
            "cortex-m7" => Some(Board::Mps2An500),
            "cortex-m33" => Some(Board::Mps2An505),
            _ => None,
        }
    }

    /// QEMU's name for it.
    pub fn machine(self) -> &'static str {
        match self {
            Board::Mps2An385 => "mps2-an385",
            Board::Mps2An386 => "mps2-an386",
            Board::Mps2An500 => "mps2-an500",
            Board::Mps2An505 => "mps2-an505",
        }
    }

    fn linker_script(self) -> &'static str {
        match self {
            Board::Mps2An385 => runtime::MPS2_AN385_LD,
            Board::Mps2An386 => runtime::MPS2_AN386_LD,
            Board::Mps2An500 => runtime::MPS2_AN500_LD,
            Board::Mps2An505 => runtime::MPS2_AN505_LD,
        }
    }
}

/// A model as a firmware sees it.
#[derive(Clone, Debug)]
pub struct Firmware<'a> {
    /// The model's object file.
    pub object: &'a [u8],
    /// The symbol of the whole inference: `kws_run`.
    pub run: &'a str,
    /// The symbol that clears the state, for models that have one.
    pub reset: Option<&'a str>,
    /// Size of the arena in bytes.
    pub arena_bytes: u32,
    /// Alignment of the arena in bytes, a power of two.
    pub arena_align: u32,
    /// Where the arena holds the inputs.
    pub inputs: Vec<Place>,
    /// Where the arena holds the outputs.
    pub outputs: Vec<Place>,
    /// Whether a timer interrupts the run every few hundred cycles: it finds code that keeps data below SP.
    pub interrupts: bool,
}

/// Where the arena holds a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes from the start of the arena.
    pub offset: u32,
    /// Size in bytes.
    pub bytes: u32,
}

/// A linker for Arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linker {
    program: PathBuf,
    first_args: &'static [&'static str],
}

impl Linker {
    /// Those that are here: the one of the Rust toolchain, lld, GNU ld.
    pub fn all() -> Vec<Linker> {
        let rust = rust_lld().map(|program| Linker { program, first_args: &["-flavor", "gnu"] });
        let others =
            ["ld.lld", "arm-none-eabi-ld"].map(|name| Linker { program: name.into(), first_args: &[] });
        rust.into_iter().chain(others).filter(Linker::works).collect()
    }

    /// The first of [`all`](Linker::all).
    pub fn find() -> Result<Linker, Diagnostic> {
        Linker::all().into_iter().next().ok_or_else(|| {
            Diagnostic::new(
                "no linker for Arm found: neither the `rust-lld` of a Rust toolchain, nor `ld.lld`, \
                 nor `arm-none-eabi-ld`",
            )
            .help("install one: Rust by rustup, or `apt-get install lld`, or `apt-get install binutils-arm-none-eabi`")
        })
    }

    fn works(&self) -> bool {
        let output = Command::new(&self.program).args(self.first_args).arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    }
}

/// Writes what `firmware` consists of into `folder`, links it with `linker`, and gives the path of the ELF file.
pub fn link(
    board: Board,
    firmware: &Firmware,
    linker: &Linker,
    folder: &Path,
) -> Result<PathBuf, Diagnostic> {
    let table = table_object(firmware)?;
    let files: [(&str, &[u8]); 6] = [
        ("board.ld", board.linker_script().as_bytes()),
        ("sections.ld", runtime::SECTIONS_LD.as_bytes()),
        ("startup.o", runtime::STARTUP_O),
        ("driver.o", runtime::DRIVER_O),
        ("table.o", &table),
        ("model.o", firmware.object),
    ];
    for (name, bytes) in files {
        let path = folder.join(name);
        std::fs::write(&path, bytes)
            .map_err(|error| Diagnostic::new(format!("cannot write `{}`: {error}", path.display())))?;
    }
    // In the folder, because the board's script includes the other one by name.
    let output = Command::new(&linker.program)
        .args(linker.first_args)
        .args(["-T", "board.ld", "-o", "firmware.elf", "startup.o", "driver.o", "table.o", "model.o"])
        .current_dir(folder)
        .output();
    let program = linker.program.display();
    match output {
        Ok(output) if output.status.success() => Ok(folder.join("firmware.elf")),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(Diagnostic::new(format!("`{program}` cannot link the firmware:\n{}", said.trim())))
        }
        Err(error) => Err(Diagnostic::new(format!("cannot start `{program}`: {error}"))),
    }
}

/// The `rust-lld` of the toolchain that `rustc` belongs to.
fn rust_lld() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let sysroot = String::from_utf8(output.stdout).ok()?;
    let hosts = std::fs::read_dir(Path::new(sysroot.trim()).join("lib/rustlib")).ok()?;
    let mut found: Vec<PathBuf> = hosts.flatten().map(|host| host.path().join("bin/rust-lld")).collect();
    found.retain(|path| path.is_file());
    found.sort();
    found.into_iter().next()
}

/// The table `tinyc_firmware` of `driver.h`, and the arena.
fn table_object(firmware: &Firmware) -> Result<Vec<u8>, Diagnostic> {
    let arena = arena(firmware)?;
    let word_at = |offset, target: &str, addend| Reloc {
        offset,
        kind: RelocKind::Abs32,
        target: target.to_owned(),
        addend,
    };
    let mut relocs =
        vec![word_at(0, firmware.run, 0), word_at(8, &arena.symbol, before_arena(firmware) as i32)];
    relocs.extend(firmware.reset.map(|reset| word_at(4, reset, 0)));
    let flags = if firmware.interrupts { INTERRUPTS_FLAG } else { 0 };
    let counts = [firmware.inputs.len() as u32, firmware.outputs.len() as u32];
    let mut words = vec![0, 0, 0, firmware.arena_bytes, flags];
    words.extend(counts);
    words.extend(
        firmware.inputs.iter().chain(&firmware.outputs).flat_map(|place| [place.offset, place.bytes]),
    );
    let table = ConstBlock {
        symbol: "tinyc_firmware".into(),
        global: true,
        bytes: words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect(),
        align: 4,
        relocs,
    };
    let externals = [Some(firmware.run), firmware.reset].into_iter().flatten().map(str::to_owned).collect();
    let spec = ObjectSpec { constants: vec![table], zeroed: vec![arena], externals, ..Default::default() };
    object::write(&spec)
        .map_err(|error| Diagnostic::new(format!("cannot describe the model to the driver: {error}")))
}

/// The arena with its guards, where the board has room for it.
fn arena(firmware: &Firmware) -> Result<ZeroBlock, Diagnostic> {
    let bytes = firmware.arena_bytes;
    if bytes > LARGE_ARENA_BYTES {
        return Err(Diagnostic::new(format!(
            "the arena takes {bytes} B, the emulated board has room for {LARGE_ARENA_BYTES} B"
        )));
    }
    let section = if bytes <= SMALL_ARENA_BYTES { ".bss.arena" } else { ".more.arena" };
    Ok(ZeroBlock {
        symbol: "tinyc_arena".into(),
        section: section.into(),
        bytes: before_arena(firmware) + bytes + GUARD_BYTES,
        align: firmware.arena_align.max(8),
    })
}

/// Bytes from the start of the guarded block to the arena: at least the guard, and the arena stays aligned.
fn before_arena(firmware: &Firmware) -> u32 {
    GUARD_BYTES.max(firmware.arena_align)
}
