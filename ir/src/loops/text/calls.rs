//! Run files: nests with calls and their results. The interpreter, the host and the emulated cores all run them.
//!
//! ```text
//! //! test run
//! //! call double(x = [1, -2, 3]) -> y = [2, -4, 6]
//! //! call double(x = random 7)
//! //!   -> y = [-44, 102, 8]
//! loops @double(x: i8[3], y: i8[3]) { for i in 0..3 { y[i] = add sext(x[i]), sext(x[i]) } }
//! ```
//!
//! - A call names the nest and gives the contents of parameters; the others, and all memory between elements, hold junk.
//!   Behind the arrow stand parameters with what they hold afterwards. Lines that begin with `//!` and two blanks go on.
//! - Contents are elements in row-major order of the logical shape, whatever the storage map: in
//!   brackets integers, `7 x 12` (twelve times 7), `-8..8` (from -8 to 7); packed words and floats as the integer of their bits. `random 7` fills the
//!   buffer with the sequence of seed 7, `random 7 in -8..8` with such small numbers.
//! - A long result is a checksum: `y = crc 0x1234abcd`, the CRC-32 of the elements' bytes in logical order.

use super::super::{Buffer, BufferId, Nest};
use crate::diag::{Diagnostic, Place};
use crate::loops::text::{parse_file, print};
use crate::text::{Cursor, Tok};
use crate::ty::Ty;

/// What memory holds that nobody has written.
const JUNK: u8 = 0xa5;

/// Most elements of a result that [`bless`] writes one by one.
const LISTED: usize = 64;

/// Runs a nest on the memory of its parameters.
pub type Runner<'a> = dyn FnMut(&Nest, &mut [Vec<u8>]) -> Result<(), Diagnostic> + 'a;

/// The nests of a run file and the calls to them.
#[derive(Clone, Debug)]
pub struct RunFile {
    /// All nests.
    pub nests: Vec<Nest>,
    /// All calls, in order.
    pub calls: Vec<Call>,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Where it stands.
    pub place: Place,
    /// Position of the nest in the file.
    pub nest: usize,
    /// What parameters hold before the call, in logical order.
    pub given: Vec<(BufferId, Vec<i64>)>,
    /// What parameters hold after it.
    pub expected: Vec<(BufferId, Contents)>,
}

/// What a parameter holds after a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Contents {
    /// The elements in logical order.
    Elements(Vec<i64>),
    /// The CRC-32 of their bytes.
    Crc(u32),
}

impl RunFile {
    /// Reads nests and calls.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        let nests: Vec<Nest> = parse_file(text)?.nests.into_iter().map(|(nest, _)| nest).collect();
        let directives = directives(text);
        let mut cursor = Cursor::new(&directives)?;
        let mut calls = Vec::new();
        while *cursor.peek() != Tok::End {
            calls.push(call(&mut cursor, &nests)?);
        }
        Ok(Self { nests, calls })
    }
}

impl Call {
    /// The memory of each parameter before the call, slack included, in the order of the storage map.
    pub fn memory(&self, nest: &Nest) -> Vec<Vec<u8>> {
        let memory = |id: BufferId| {
            let buffer = &nest.buffers[id.idx()];
            let given = self.given.iter().find(|(given, _)| *given == id);
            given.map_or_else(|| vec![JUNK; buffer.bytes()], |(_, elements)| to_memory(buffer, elements))
        };
        nest.params().map(memory).collect()
    }

    /// Compares the memory of each parameter after the call with what is expected.
    pub fn check(&self, nest: &Nest, memory: &[Vec<u8>]) -> Result<(), Diagnostic> {
        for (id, expected) in &self.expected {
            let buffer = &nest.buffers[id.idx()];
            let found = from_memory(buffer, &memory[id.idx()]);
            if let Some(message) = difference(buffer, &found, expected) {
                return Err(Diagnostic::new(format!("`@{}`: {message}", nest.name)).at(self.place));
            }
        }
        Ok(())
    }
}

/// The memory that holds `elements`, given in logical order; what no element lies on holds junk.
pub fn to_memory(buffer: &Buffer, elements: &[i64]) -> Vec<u8> {
    let mut memory = vec![JUNK; buffer.bytes()];
    let size = buffer.elem.bytes();
    for (position, value) in buffer.positions().into_iter().zip(elements) {
        memory[position * size..][..size].copy_from_slice(&value.to_le_bytes()[..size]);
    }
    memory
}

/// The elements in logical order that lie in `memory`.
pub fn from_memory(buffer: &Buffer, memory: &[u8]) -> Vec<i64> {
    let size = buffer.elem.bytes();
    let value = |position: usize| signed(buffer.elem, &memory[position * size..][..size]);
    buffer.positions().into_iter().map(value).collect()
}

/// The text of a run file with what `run` leaves in the parameters that each nest writes, in place of what stands there.
pub fn bless(text: &str, run: &mut Runner) -> Result<String, Diagnostic> {
    let file = RunFile::parse(text)?;
    let mut lines = text.lines();
    let mut out = String::new();
    let mut line_no = 0;
    for call in &file.calls {
        while line_no + 1 < call.place.line {
            out.extend([lines.next().unwrap_or_default(), "\n"]);
            line_no += 1;
        }
        let nest = &file.nests[call.nest];
        let mut memory = call.memory(nest);
        run(nest, &mut memory).map_err(|error| error.at(call.place))?;
        let mut head = lines.next().unwrap_or_default().to_string();
        line_no += 1;
        while lines.clone().next().is_some_and(is_continuation) {
            head.extend(["\n", lines.next().unwrap_or_default()]);
            line_no += 1;
        }
        let head = head.split("->").next().unwrap_or_default().trim_end().trim_end_matches("\n//!");
        out.push_str(&with_results(head, &results(nest, &memory)));
    }
    out.extend(lines.flat_map(|line| [line, "\n"]));
    Ok(out)
}

/// The parameters that a nest writes, as text: `y = [1, 2]`.
fn results(nest: &Nest, memory: &[Vec<u8>]) -> Vec<String> {
    let stored = nest.stored();
    let text = |id: BufferId| {
        let buffer = &nest.buffers[id.idx()];
        let elements = from_memory(buffer, &memory[id.idx()]);
        let value = if elements.len() <= LISTED {
            format!("[{}]", print::extents(&elements))
        } else {
            format!("crc {:#010x}", checksum(buffer, &elements))
        };
        format!("{} = {value}", buffer.name)
    };
    nest.params().filter(|id| stored[id.idx()]).map(text).collect()
}

/// On one line if it fits, else each result on a line of its own.
fn with_results(head: &str, results: &[String]) -> String {
    let line = format!("{head} -> {}\n", results.join(", "));
    if !head.contains('\n') && line.len() <= 111 {
        return line;
    }
    format!("{head}\n//!   -> {}\n", results.join(",\n//!      "))
}

/// The text with everything but calls replaced by blanks, so that places stay.
fn directives(text: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    for line in text.lines() {
        inside = line.starts_with("//! call ") || (inside && is_continuation(line));
        if inside {
            out.push_str(&line.replacen("//!", "   ", 1));
        }
        out.push('\n');
    }
    out
}

fn is_continuation(line: &str) -> bool {
    line.starts_with("//!  ")
}

fn call(cursor: &mut Cursor, nests: &[Nest]) -> Result<Call, Diagnostic> {
    cursor.expect_word("call")?;
    let place = cursor.place();
    let name = cursor.ident("the name of a nest")?;
    let unknown = || Diagnostic::new(format!("there is no nest `@{name}`")).at(place);
    let position = nests.iter().position(|nest| nest.name == name).ok_or_else(unknown)?;
    let nest = &nests[position];
    let given = cursor.list("(", ")", |cursor| {
        let id = param(cursor, nest)?;
        Ok((id, elements(cursor, &nest.buffers[id.idx()])?))
    })?;
    let mut expected = Vec::new();
    if cursor.eat("->") {
        loop {
            let id = param(cursor, nest)?;
            expected.push((id, contents(cursor, &nest.buffers[id.idx()])?));
            if !cursor.eat(",") {
                break;
            }
        }
    }
    Ok(Call { place, nest: position, given, expected })
}

/// Reads `x =`.
fn param(cursor: &mut Cursor, nest: &Nest) -> Result<BufferId, Diagnostic> {
    let place = cursor.place();
    let name = cursor.ident("the name of a parameter")?;
    let found = nest.params().find(|id| nest.buffers[id.idx()].name == name);
    let unknown = || Diagnostic::new(format!("`@{}` has no parameter `{name}`", nest.name)).at(place);
    cursor.expect("=")?;
    found.ok_or_else(unknown)
}

fn contents(cursor: &mut Cursor, buffer: &Buffer) -> Result<Contents, Diagnostic> {
    if cursor.eat_word("crc") {
        return Ok(Contents::Crc(cursor.int()?));
    }
    elements(cursor, buffer).map(Contents::Elements)
}

fn elements(cursor: &mut Cursor, buffer: &Buffer) -> Result<Vec<i64>, Diagnostic> {
    let place = cursor.place();
    let len: usize = buffer.shape.iter().map(|extent| *extent as usize).product();
    if cursor.eat_word("random") {
        let seed = cursor.int()?;
        let range = if cursor.eat_word("in") { span(cursor)? } else { bits_range(buffer.elem) };
        return Ok(random(seed, range, len));
    }
    let parts = cursor.list("[", "]", |cursor| part(cursor, buffer.elem))?;
    let elements = parts.concat();
    if elements.len() != len {
        let (found, name) = (elements.len(), &buffer.name);
        return Err(Diagnostic::new(format!("`{name}` has {len} elements, found {found}")).at(place));
    }
    Ok(elements)
}

/// Reads `7`, `7 x 12` or `-8..8`.
fn part(cursor: &mut Cursor, elem: Ty) -> Result<Vec<i64>, Diagnostic> {
    let place = cursor.place();
    let (low, high) = bits_range(elem);
    let first: i64 = cursor.int()?;
    let part = if cursor.eat("..") {
        (first..cursor.int()?).collect()
    } else if cursor.eat_word("x") {
        vec![first; cursor.int::<u16>()? as usize]
    } else {
        vec![first]
    };
    match part.iter().find(|value| !(low..=high).contains(value)) {
        Some(value) => Err(Diagnostic::new(format!("{value} does not fit in `{elem}`")).at(place)),
        None => Ok(part),
    }
}

/// Reads `-8..8`, and gives both ends included.
fn span(cursor: &mut Cursor) -> Result<(i64, i64), Diagnostic> {
    let place = cursor.place();
    let low: i32 = cursor.int()?;
    cursor.expect("..")?;
    let high: i32 = cursor.int()?;
    if low < high {
        return Ok((low.into(), i64::from(high) - 1));
    }
    Err(Diagnostic::new(format!("no number is in {low}..{high}")).at(place))
}

/// The integers of a type; those of `i32` for words that are no integers.
fn bits_range(elem: Ty) -> (i64, i64) {
    elem.range().unwrap_or((i32::MIN.into(), i32::MAX.into()))
}

/// Numbers of xorshift64 (Marsaglia 2003, shifts 13, 7, 17), the upper half of each reduced to the range.
fn random(seed: u32, (low, high): (i64, i64), len: usize) -> Vec<i64> {
    let mut state = u64::from(seed) << 1 | 0x9e37_79b9_0000_0001;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if high.wrapping_sub(low) == -1 {
            return state as i64; // All of `i64`.
        }
        low + ((state >> 32) as i64).rem_euclid(high - low + 1)
    };
    (0..len).map(|_| next()).collect()
}

fn difference(buffer: &Buffer, found: &[i64], expected: &Contents) -> Option<String> {
    let name = &buffer.name;
    match expected {
        Contents::Crc(crc) => {
            let found = checksum(buffer, found);
            (found != *crc).then(|| format!("`{name}` has the checksum {found:#010x}, expected {crc:#010x}"))
        }
        Contents::Elements(expected) => {
            let at = found.iter().zip(expected).position(|(found, expected)| found != expected)?;
            Some(format!("element {at} of `{name}` is {}, expected {}", found[at], expected[at]))
        }
    }
}

fn checksum(buffer: &Buffer, elements: &[i64]) -> u32 {
    let size = buffer.elem.bytes();
    let bytes: Vec<u8> = elements.iter().flat_map(|value| value.to_le_bytes()[..size].to_vec()).collect();
    print::crc32(&bytes)
}

/// The integer of little-endian bytes; packed words and floats as `i32`.
fn signed(elem: Ty, bytes: &[u8]) -> i64 {
    print::int_from(if elem.range().is_some() { elem } else { Ty::I32 }, bytes)
}
