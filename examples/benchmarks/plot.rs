//! Bars for each model: cycles per multiply-accumulate of the model file, so that small and large models share one scale.

use std::fmt::Write;

use crate::measure::Measured;
use crate::page::cycles_per_mac;
use crate::peers::{PeerModel, Peers};

/// What the bars of a model stand for, from above: a name, and the class that gives the color.
pub const SERIES: [(&str, &str); 3] =
    [("tinyc", "own"), ("CMSIS-NN", "cmsis"), ("TinyEngine, inexact", "tiny")];

/// Models with fewer products than this are nothing but overhead, which this scale does not fit.
const FEWEST_MACS: u64 = 50_000;
/// Left of the bars, for the names.
const LEFT: f64 = 180.0;
/// Length of the longest bar.
const LENGTH: f64 = 480.0;
/// Right of the longest bar, for its number.
const RIGHT: f64 = 60.0;
const BAR: f64 = 9.0;
/// Between the models.
const GAP: f64 = 9.0;
const TOP: f64 = 64.0;

/// The file name of the plot of a core.
pub fn file(core: &str) -> String {
    format!("{core}.svg")
}

/// The plot of a core as SVG. Text is text; colors fit light and dark pages.
pub fn svg(peers: &Peers, measured: &Measured, core: &str) -> String {
    let bars: Vec<(&PeerModel, [Option<f64>; 3])> = peers
        .models()
        .filter(|peer| measured.figures(&peer.model, core).is_some_and(|f| f.file_macs >= FEWEST_MACS))
        .filter_map(|peer| Some((peer, cycles_per_mac(peer, measured, core)?)))
        .collect();
    let longest = bars.iter().flat_map(|(_, bars)| bars).flatten().fold(1.0f64, |a, b| a.max(*b));
    let scale = LENGTH / longest;
    let mut out = Body { text: String::new(), y: TOP };
    for (peer, bars) in &bars {
        out.model(&peer.model, bars, scale);
    }
    let (width, height) = (LEFT + LENGTH + RIGHT, out.y + 4.0);
    let ticks: String = (0..=longest as u32).map(|tick| tick_text(tick, scale, height)).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>Cycles per multiply-accumulate on {core}</title>\n{STYLE}{}{ticks}{}</svg>\n",
        heading(core),
        out.text
    )
}

const STYLE: &str = "<style>\n\
    text { font: 12px system-ui, sans-serif; fill: #24292f }\n\
    .small { font-size: 10px }\n\
    line { stroke: #8c959f; stroke-opacity: 0.35 }\n\
    .own { fill: #1a7f37 } .cmsis { fill: #8c959f } .tiny { fill: #bf8700 }\n\
    @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .own { fill: #3fb950 } .tiny { fill: #d29922 } }\n\
    </style>\n";

/// The lines of all models.
struct Body {
    text: String,
    /// Where the next model begins.
    y: f64,
}

impl Body {
    fn model(&mut self, name: &str, bars: &[Option<f64>; 3], scale: f64) {
        let n_bars = bars.iter().flatten().count() as f64;
        let middle = self.y + n_bars * BAR / 2.0 + 4.0;
        let _ = writeln!(
            self.text,
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{name}</text>",
            LEFT - 6.0
        );
        for (value, (_, class)) in bars.iter().zip(SERIES) {
            let Some(value) = value else { continue };
            let (y, width) = (self.y, value * scale);
            let _ = writeln!(
                self.text,
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\"/>\
                 <text class=\"small\" x=\"{:.1}\" y=\"{:.1}\">{value:.2}</text>",
                BAR - 1.0,
                LEFT + width + 3.0,
                y + BAR - 1.5
            );
            self.y += BAR;
        }
        self.y += GAP;
    }
}

/// What is shown, and what the colors mean.
fn heading(core: &str) -> String {
    let mut out = format!(
        "<text x=\"{LEFT}\" y=\"18\">Cycles per multiply-accumulate of the model file on {core}, modelled; shorter is faster</text>\n"
    );
    for (number, (name, class)) in SERIES.iter().enumerate() {
        let x = LEFT + 150.0 * number as f64;
        let _ = writeln!(
            out,
            "<rect class=\"{class}\" x=\"{x}\" y=\"28\" width=\"10\" height=\"10\"/><text x=\"{}\" y=\"37\">{name}</text>",
            x + 15.0
        );
    }
    out
}

/// A line down the plot with its number.
fn tick_text(tick: u32, scale: f64, height: f64) -> String {
    let x = LEFT + f64::from(tick) * scale;
    format!(
        "<line x1=\"{x:.1}\" y1=\"{}\" x2=\"{x:.1}\" y2=\"{height}\"/>\
         <text class=\"small\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{tick}</text>\n",
        TOP - 6.0,
        TOP - 9.0
    )
}
