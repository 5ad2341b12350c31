//! The text form of the loops level: what is printed parses back to the same text.
//!
//! ```text
//! loops @f(x: i8[1, 32, 8], y: i8[32, 8] align 4) {
//!   const w: i8[8, 8] = hex"0011…"                          // little-endian, in the order of the storage map
//!   const b: i32[3] = [1, -2, 3]                            // the same for at most 16 integers
//!   const wp: i16x2[4, 8] = {                               // a constant that is a nest
//!     for n in 0..4 { for k in 0..8 { wp[n, k] = pack_bt sext(w[2*n, k]), sext(w[2*n + 1, k]) {lsl = 16} } }
//!   }
//!   scratch s: i16[2, 32] map (d0: 2, d1 + 1: 34) align 4 slack 16
//!   for p.o in 0..8 unroll {
//!     v: i8x4 = x[0, p.o, 0] as i8x4                        // a word of several elements
//!     reduce a: i32[2], m: i32 parked over k in 0..8 unroll { // m is not needed often
//!       init { a[0] = 0  a[1] = b[2]  m = -128 }
//!       update { a[0] = add a[0], mul(sext(x[0, p.o + k - 1, 0] else -128), 7) }
//!       finish { y[3*p.o div 4, (p.o + 1) mod 8] = requantize a[0], m, 3 {zero = 0, min = -128, max = 127} }
//!     }
//!     y[p.o, 0] = lookup w1, index(2*p.o + 1)               // at a position that depends on data
//!   }
//! }
//! ```
//!
//! - The operation of a statement stands as `name a, b {attribute = value}`, one inside another as a call
//!   `name(a, b {attribute = value})`. One operand may stand behind its operation without parentheses.
//! - A literal is an `i32`; `7: i64` is an `i64`.
//! - `*`, `div` and `mod` bind equally, from the left; then `+` and `-`. In a map, `d0` is the first logical dimension.
//! - `map` stands where the buffer is not row-major, `align` where it is not the size of the element.
//! - A name is visible to the end of its block, and nothing inside the block has the same name.
//!
//! A program names its tensors and layers; the nests follow:
//!
//! ```text
//! program @kws {
//!   tensor x: i8[1, 490] scale 0.5 zero 83 input 0
//!   tensor t: i8[1, 12] scale 0.25 zero -128 align 4 temporary
//!   layer @fc_0(x, t) op "fully_connected" macs 5880 sources [0]
//! }
//! ```

pub mod calls;
mod expr;
mod names;
mod parse;
mod print;
mod program;

use std::fmt;

use super::{BufferId, Nest, Program};
use crate::diag::{Diagnostic, Place};
use crate::loops::walk::StmtNo;
use crate::text::Cursor;

pub(in crate::loops) use print::int_from;

pub use names::is_legal_name;
pub use print::{Printed, Style, print_nest, print_with_lines};

/// Where the parts of a nest stand in its text.
#[derive(Clone, Debug)]
pub struct Places {
    /// The nest's name.
    pub nest: Place,
    /// The name of each buffer.
    pub buffers: Vec<Place>,
    /// The first token of each statement, by [`StmtNo`].
    pub stmts: Vec<Place>,
}

impl Places {
    /// Where a buffer is declared.
    pub fn buffer(&self, buffer: BufferId) -> Option<Place> {
        self.buffers.get(buffer.idx()).copied()
    }

    /// Where a statement begins.
    pub fn stmt(&self, stmt: StmtNo) -> Option<Place> {
        self.stmts.get(stmt.0 as usize).copied()
    }
}

/// What a text of this level holds.
#[derive(Clone, Debug)]
pub struct File {
    /// The program with its layers' nests, if the text has one.
    pub program: Option<Program>,
    /// All nests, in order, with their places.
    pub nests: Vec<(Nest, Places)>,
}

/// Reads a text with any number of nests, and a program before them or none.
pub fn parse_file(text: &str) -> Result<File, Diagnostic> {
    let mut cursor = Cursor::new(text)?;
    let outline = if cursor.at_word("program") { Some(program::parse(&mut cursor)?) } else { None };
    let mut nests: Vec<(Nest, Places)> = Vec::new();
    while *cursor.peek() != crate::text::Tok::End {
        let (nest, places) = parse::nest(&mut cursor)?;
        if nests.iter().any(|(have, _)| have.name == nest.name) {
            return Err(Diagnostic::new(format!("there are two nests `@{}`", nest.name)).at(places.nest));
        }
        nests.push((nest, places));
    }
    let program = outline.map(|outline| outline.with_nests(&nests)).transpose()?;
    Ok(File { program, nests })
}

/// Reads a text that is one nest.
pub fn parse_nest(text: &str) -> Result<Nest, Diagnostic> {
    let mut cursor = Cursor::new(text)?;
    let (nest, _) = parse::nest(&mut cursor)?;
    match cursor.peek() {
        crate::text::Tok::End => Ok(nest),
        _ => Err(cursor.wanted("the end of the text")),
    }
}

/// Reads a text that is a program with its nests.
pub fn parse_program(text: &str) -> Result<Program, Diagnostic> {
    parse_file(text)?.program.ok_or_else(|| Diagnostic::new("the text has no `program`"))
}

impl fmt::Display for Nest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print_nest(self, Style::Exact).text)
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print_with_lines(self, Style::Exact).0)
    }
}
