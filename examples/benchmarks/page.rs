//! The page `docs/benchmarks.md`: tables with a row for each model.

use std::fmt::Write;

use isel_thumb2::cores::CORES;

use crate::measure::{Figures, Measured, Row};
use crate::peers::{Engine, PeerModel, Peers};
use crate::plot;

/// What is said of figures that are missing.
const NONE: &str = "–";

/// The whole page.
pub fn page(peers: &Peers, measured: &Measured) -> String {
    let mut out = String::from(INTRODUCTION);
    for core in CORES {
        write!(
            out,
            "\n## {0}\n\n![Cycles per multiply-accumulate on {0}](benchmarks/{1})\n",
            core.name(),
            plot::file(core.name())
        )
        .expect("text grows");
        out += &cycles(peers, measured, core.name());
        out += &bytes(peers, measured, core.name());
    }
    out += &refused(measured);
    out += &published(peers, measured);
    out += &how(peers, measured);
    out
}

const INTRODUCTION: &str = "\
# Benchmarks

<!-- Written by `scripts/benchmarks`. -->

One inference of each model, compiled with `--schedule default`, beside the engines that most people use today. `scripts/benchmarks`
measures all of it anew and writes this page.

- **predicted**: cycles as tinyc counts them from its timing table of the core, memory without wait states.
- **judged**: cycles by another model, written independently: the firmware runs instruction by instruction in QEMU, and a timing model of the
  core prices what ran. Nothing here was measured on silicon but the last table, which says so.
- **MAC/cycle**: multiply-accumulates that the result needs, for each judged cycle (predicted where none is judged).
- **×**: how many times as many cycles the other engine takes.
";

/// Cycles of all models on a core.
fn cycles(peers: &Peers, measured: &Measured, core: &str) -> String {
    let mut out = String::from(
        "\n| model | MACs in the file | MACs needed | predicted | judged | MAC/cycle | CMSIS-NN | × | TinyEngine | × | TinyEngine exact | × |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for group in &peers.groups {
        let mut ratios: [Vec<f64>; 3] = Default::default();
        for peer in &group.models {
            let row = measured.row(&peer.model, core);
            let figures = figures(row);
            let tinyengine = peer.tinyengine.as_ref();
            let others = [
                peer.cmsis_nn.cycles.get(core),
                tinyengine.and_then(|engine| engine.cycles.get(core)),
                tinyengine.and_then(|engine| engine.exact_cycles.get(core)),
            ];
            let mut cells = vec![format!("`{}`", peer.model)];
            cells.extend(own_cycles(row));
            for (other, ratios) in others.into_iter().zip(&mut ratios) {
                let ratio =
                    figures.zip(other).map(|(figures, other)| *other as f64 / best_cycles(figures) as f64);
                ratios.extend(ratio);
                cells.push(other.map_or(NONE.into(), |cycles| millions(*cycles)));
                cells.push(ratio.map_or(NONE.into(), |ratio| format!("{ratio:.2}")));
            }
            line(&mut out, &cells);
        }
        let mut cells = vec![format!("*{}, geometric mean*", group.name)];
        cells.resize(6, String::new());
        for ratios in &ratios {
            cells.push(String::new());
            cells.push(geometric_mean(ratios).map_or(String::new(), |mean| format!("*{mean:.2}*")));
        }
        line(&mut out, &cells);
    }
    out
}

/// MACs and cycles of a model, five cells.
fn own_cycles(row: Option<&Row>) -> Vec<String> {
    let Some(figures) = figures(row) else {
        let reason = if row.is_some() { "refused" } else { NONE };
        return [NONE, NONE, reason, NONE, NONE].map(String::from).to_vec();
    };
    let judged = figures.judged.map_or(NONE.into(), |judged| {
        // The code has changed since: the page says so.
        let mark = if judged.predicted == figures.cycles { "" } else { " (of earlier code)" };
        format!("{}{mark}", grouped(judged.cycles))
    });
    let speed = figures.macs as f64 / best_cycles(figures) as f64;
    vec![
        grouped(figures.file_macs),
        grouped(figures.macs),
        grouped(figures.cycles),
        judged,
        format!("{speed:.2}"),
    ]
}

/// Bytes and compile times of all models on a core.
fn bytes(peers: &Peers, measured: &Measured, core: &str) -> String {
    let mut out = String::from(
        "\nBytes; a constant that layers share counts once. RAM is arena and stack; that of the others is their arena alone.\n\n\
         | model | code | weights | tables | flash | CMSIS-NN | TinyEngine | arena | of it scratch | stack | RAM | CMSIS-NN | TinyEngine | compiled in |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for peer in peers.models() {
        let figures = measured.figures(&peer.model, core);
        let own =
            |of: fn(&Figures) -> u32| figures.map_or(NONE.into(), |figures| grouped(of(figures).into()));
        let other = |of: fn(&Engine) -> u64| {
            let engines = [Some(&peer.cmsis_nn), peer.tinyengine.as_ref()];
            engines.map(|engine| engine.map_or(NONE.into(), |engine| grouped(of(engine))))
        };
        let mut cells = vec![format!("`{}`", peer.model)];
        cells.extend([own(|f| f.code), own(|f| f.weights), own(|f| f.tables), own(Figures::flash)]);
        cells.extend(other(|engine| engine.flash_bytes));
        cells.extend([own(|f| f.arena), own(|f| f.scratch), own(|f| f.stack), own(|f| f.arena + f.stack)]);
        cells.extend(other(|engine| engine.ram_bytes));
        cells.push(figures.map_or(NONE.into(), |figures| format!("{:.1} s", figures.seconds)));
        line(&mut out, &cells);
    }
    out
}

/// Models for which there are no figures, with the reason.
fn refused(measured: &Measured) -> String {
    let mut out = String::new();
    for row in &measured.rows {
        if let Err(error) = &row.outcome {
            writeln!(out, "- `{}` on {}: {error}", row.model, row.core).expect("text grows");
        }
    }
    if out.is_empty() { out } else { format!("\n## Refused\n\n{out}") }
}

/// The best published results on boards.
fn published(peers: &Peers, measured: &Measured) -> String {
    let mut out = String::from(
        "\n## Best published on boards\n\n\
         Measured on silicon, with the wait states of its flash; tinyc without wait states and judged (predicted where nothing is judged). So the last\n\
         column is no race on equal terms.\n\n\
         | core | board | model | published | tinyc | × |\n|---|---|---|--:|--:|--:|\n",
    );
    for board in &peers.published {
        for model in peers.models().filter(|peer| board.cycles.contains_key(&peer.model)) {
            let cycles = board.cycles[&model.model];
            let own = measured.figures(&model.model, &board.core).map(best_cycles);
            let ratio = own.map_or(NONE.into(), |own| format!("{:.2}", cycles as f64 / own as f64));
            let own = own.map_or(NONE.into(), millions);
            let cells =
                [&board.core, &board.board, &format!("`{}`", model.model), &millions(cycles), &own, &ratio];
            line(&mut out, &cells);
        }
    }
    out
}

fn how(peers: &Peers, measured: &Measured) -> String {
    format!(
        "\n## How the others were measured\n\n\
         - **CMSIS-NN**: {}\n- **TinyEngine**: {}\n- **Published**: {}\n\n\
         Compile times are wall-clock times of a release build with {} threads, schedules chosen and all.\n",
        peers.how.cmsis_nn, peers.how.tinyengine, peers.how.published, measured.threads
    )
}

fn figures(row: Option<&Row>) -> Option<&Figures> {
    row?.outcome.as_ref().ok()
}

/// Judged cycles of this very code, else predicted ones.
pub fn best_cycles(figures: &Figures) -> u64 {
    let judged = figures.judged.filter(|judged| judged.predicted == figures.cycles);
    judged.map_or(figures.cycles, |judged| judged.cycles)
}

/// Cycles per multiply-accumulate of the model file: of tinyc, then of the others in the order of [`plot::SERIES`].
pub fn cycles_per_mac(peer: &PeerModel, measured: &Measured, core: &str) -> Option<[Option<f64>; 3]> {
    let figures = measured.figures(&peer.model, core)?;
    let others = [Some(&peer.cmsis_nn), peer.tinyengine.as_ref()];
    let [cmsis_nn, tinyengine] = others.map(|engine| engine?.cycles.get(core).copied());
    let all = [Some(best_cycles(figures)), cmsis_nn, tinyengine];
    Some(all.map(|cycles| cycles.map(|cycles| cycles as f64 / figures.file_macs as f64)))
}

fn line(out: &mut String, cells: &[impl AsRef<str>]) {
    let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    writeln!(out, "| {} |", cells.join(" | ")).expect("text grows");
}

fn geometric_mean(ratios: &[f64]) -> Option<f64> {
    let sum: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
    (ratios.len() > 1).then(|| (sum / ratios.len() as f64).exp())
}

/// `12.35M`, with three digits behind the point below a million.
fn millions(cycles: u64) -> String {
    let digits = if cycles < 1_000_000 { 3 } else { 2 };
    format!("{:.digits$}M", cycles as f64 / 1e6)
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    if number < 1000 {
        return number.to_string();
    }
    format!("{} {:03}", grouped(number / 1000), number % 1000)
}
