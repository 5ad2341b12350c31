//! Encoder and printer against an independent assembler.
//!
//! `tests/encoding/thumb2.txt` holds what GNU as makes of the edges of every row and needs no tool to be
//! checked;
//! `TINYC_BLESS=1` writes it anew. Where the assembler is installed, random operands of every row and
//! immediates just outside their range are tried as well.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use tinyc_isel_thumb2::isa::imm::{Cond, Imm8, Imm12, Rot8};
use tinyc_isel_thumb2::isa::{Form, ImmKind, Inst, Reg, Row, ops};

#[path = "encoding/assembler.rs"]
mod assembler;
#[path = "encoding/cases.rs"]
mod cases;
mod numbers;

/// Random instructions per row.
const RANDOM_CASES: usize = 200;

#[test]
fn every_row_agrees_with_its_lines() {
    if std::env::var_os("TINYC_BLESS").is_some() && assembler::available() {
        std::fs::write(path(), bless()).expect("the repository is writable");
    }
    let lines = read_lines();
    let mut failures = String::new();
    for &form in Form::ALL {
        let Some(expected) = lines.get(form.row().name) else {
            writeln!(failures, "{}: no line in thumb2.txt", form.row().name).expect("a string");
            continue;
        };
        let ours: Vec<String> = cases::edges(form).iter().map(line).collect();
        for (ours, expected) in ours.iter().zip(expected) {
            if ours != expected {
                writeln!(failures, "{}: `{ours}`, expected `{expected}`", form.row().name).expect("a string");
            }
        }
        if ours.len() != expected.len() {
            writeln!(failures, "{}: {} lines, expected {}", form.row().name, expected.len(), ours.len())
                .expect("a string");
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

#[test]
fn random_operands_agree_with_the_assembler() {
    if !assembler::available() {
        return;
    }
    let all = |&form: &Form| [cases::edges(form), cases::random(form, RANDOM_CASES)].concat();
    let insts: Vec<Inst> = Form::ALL.iter().flat_map(all).collect();
    let failures = disagreements(&insts);
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn conditional_instructions_agree_with_the_assembler() {
    if !assembler::available() {
        return;
    }
    let [r0, r1] = [0, 1].map(Reg::core);
    let insts = [
        ops::mov_narrow(r0, r1),
        ops::mov(r0, r1),
        ops::movs_imm_narrow(r0, Imm8::new(1).expect("a byte")),
        ops::cmp_narrow(r0, r1),
        ops::lsls_narrow(r0, r0, r1),
        ops::sxtb16(r0, r1, Rot8::new(8).expect("whole bytes")),
        ops::vmov(Reg::s(0), Reg::s(1)),
        ops::ldr(r0, r1, Imm12::new(4).expect("12 bits")),
    ];
    let failures = disagreements(&insts.map(|inst| inst.with_cond(Cond::Ne)));
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn immediates_out_of_range_are_refused_here_and_by_the_assembler() {
    let cases: Vec<(Form, String)> = Form::ALL.iter().flat_map(|&form| out_of_range(form)).collect();
    assert!(cases.len() > 300, "too few cases: {}", cases.len());
    if !assembler::available() {
        return;
    }
    let lines: Vec<String> = cases.iter().map(|(_, line)| line.clone()).collect();
    let taken = |listed: &Option<Vec<assembler::Listed>>, form: Form| {
        listed.as_ref().is_some_and(|listed| has_form(&listed[0].code, form.row()))
    };
    let listed = assembler::list(&lines);
    let encoded = cases.iter().zip(&listed).filter(|((form, _), listed)| taken(listed, *form));
    let failures: Vec<String> =
        encoded.map(|((form, line), _)| format!("{}: `{line}`", form.row().name)).collect();
    assert!(failures.is_empty(), "the assembler encodes what the table refuses:\n{}", failures.join("\n"));
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/encoding/thumb2.txt")
}

/// The line of an instruction: `fb21 3002  smlad r0, r1, r2, r3`.
fn line(inst: &Inst) -> String {
    format!("{:9}  {inst}", inst.encode().to_string())
}

/// The lines of the file by the name of their row.
fn read_lines() -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(path()).expect("tests/encoding/thumb2.txt is there");
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut row = String::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")) {
        match line.strip_suffix(':') {
            Some(name) => row = name.to_string(),
            None => lines.entry(row.clone()).or_default().push(line.to_string()),
        }
    }
    lines
}

/// The file as the assembler would have it.
fn bless() -> String {
    let mut text =
        format!("# Made by {}; `TINYC_BLESS=1 cargo test` writes it anew.\n", assembler::version());
    text += "# A row of the table, then its edges: bytes by the assembler, text by the disassembler.\n";
    let cases: Vec<Inst> = Form::ALL.iter().flat_map(|&form| cases::edges(form)).collect();
    let sources: Vec<String> = cases.iter().map(assembler::source).collect();
    let mut row = "";
    for ((inst, listed), source) in cases.iter().zip(assembler::list(&sources)).zip(&sources) {
        if inst.row().name != row {
            row = inst.row().name;
            writeln!(text, "\n{row}:").expect("a string");
        }
        let listed = &listed.unwrap_or_else(|| panic!("the assembler refuses `{source}`"))[0];
        writeln!(text, "{:9}  {}", listed.code, listed.text).expect("a string");
    }
    text
}

/// Where our bytes or text differ from the assembler's, a line each.
fn disagreements(insts: &[Inst]) -> Vec<String> {
    let sources: Vec<String> = insts.iter().map(assembler::source).collect();
    let check = |(inst, listed): (&Inst, Option<Vec<assembler::Listed>>)| {
        let ours = line(inst);
        // A conditional instruction is listed behind the head of its block.
        let at = usize::from(inst.cond() != Cond::Al);
        let theirs = listed.map_or("refused".to_string(), |l| format!("{:9}  {}", l[at].code, l[at].text));
        (ours != theirs).then(|| format!("{}: `{ours}`, the assembler has `{theirs}`", inst.row().name))
    };
    insts.iter().zip(assembler::list(&sources)).filter_map(check).collect()
}

/// Texts with an immediate just outside what the row accepts; asserts that the row refuses them.
fn out_of_range(form: Form) -> Vec<(Form, String)> {
    let inst = cases::random(form, 1)[0];
    let mut lines = Vec::new();
    for imm in form.row().imms {
        for value in values_outside(imm.kind) {
            assert!(inst.with_imm(imm.letter, value).is_none(), "{}: accepts {value}", form.row().name);
            lines.extend(text_with(&inst, imm.letter, imm.kind, value).map(|text| (form, text)));
        }
    }
    lines
}

/// Values next to the accepted ones. Left out are those that the table refuses because another row has the
/// same bits.
fn values_outside(kind: ImmKind) -> Vec<i32> {
    match (kind.range(), kind) {
        (_, ImmKind::LeftBy) => vec![-1, 32],
        // GNU as takes a negative shift modulo 32, and drops the lowest bit of a branch's target.
        (_, ImmKind::LslAmount) => vec![32],
        (Some((lo, hi, 2)), kind) if kind.is_branch() => vec![lo - 2, hi + 2],
        (Some((lo, hi, 1)), _) => vec![lo - 1, hi + 1],
        (Some((lo, hi, step)), _) => vec![lo - step, lo + 1, hi - 1, hi + step],
        (_, ImmKind::ModImm) => vec![0x101, 0x1ff, 0x00ff_00fe, 0x0f00_000f, 0x0001_0000 - 2],
        (_, ImmKind::Shift) => vec![32, 1 << 8 | 33, 2 << 8 | 33, 3 << 8 | 32],
        (_, ImmKind::Extract | ImmKind::Insert) => vec![2 << 8 | 31, 33 << 8, 1 << 8 | 32, 0],
        _ => Vec::new(),
    }
}

/// The text of `inst` with another value in place of one immediate, accepted or not.
fn text_with(inst: &Inst, letter: u8, kind: ImmKind, value: i32) -> Option<String> {
    if matches!(inst.form(), Form::Pkhbt | Form::Pkhtb) {
        return None; // GNU as takes any shift of these modulo 32.
    }
    let edge = cases::edge_values(kind).into_iter().rev().find(|&v| v != 0 && v != value)?;
    let marked = inst.with_imm(letter, edge)?;
    let (old, new) = match kind {
        ImmKind::Shift => (
            "ror #31".to_string(),
            format!("{} #{}", ["lsl", "lsr", "asr", "ror"][(value >> 8) as usize], value & 0xff),
        ),
        ImmKind::Extract | ImmKind::Insert => {
            ("#8, #8".to_string(), format!("#{}, #{}", value & 0xff, value >> 8))
        }
        ImmKind::BreakpointCode => (format!("{edge:#06x}"), format!("{value}")),
        kind if kind.is_branch() => (format!(".{:+}", edge + 4), format!(".{:+}", value + 4)),
        _ => (format!("#{}", edge as u32), format!("#{value}")),
    };
    let source = assembler::source(&marked);
    let source = if old.starts_with("#-") || source.contains(&old) {
        source
    } else {
        source.replace(&format!("#{edge}"), &old)
    };
    let replaced = source.replacen(&old, &new, 1);
    (replaced != source).then_some(replaced)
}

/// Whether bytes in a listing are of a row, by the fixed bits of its diagram.
fn has_form(code: &str, row: &Row) -> bool {
    let digits = code.replace(' ', "");
    let bits = u32::from_str_radix(&digits, 16).expect("a listing has hexadecimal bytes");
    let diagram: Vec<char> = row.diagram.chars().filter(|&c| c != ' ').collect();
    let agrees = |(at, &c): (usize, &char)| match c {
        '0' | '1' => c.to_digit(2) == Some(bits >> (diagram.len() - 1 - at) & 1),
        _ => true,
    };
    digits.len() * 4 == diagram.len() && diagram.iter().enumerate().all(agrees)
}
