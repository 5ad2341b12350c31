//! Which tensors get another format: those that gain the most, as far as there is room in the arena.

use ir::loops::{Layer, Program};
use lowering::memory::Needs;
use passes::defaults::{Format, Traits, formats, goes_by_pixels};

/// Where nobody says how large the arena may be: what all that one layer reads and writes takes side by side, and one part of so
/// many more.
const LARGER_BY_PART: u64 = 8;

/// A program whose tensors have other formats.
pub struct Formatted<'p> {
    plain: &'p Program,
    /// The program with these formats.
    pub program: Program,
    /// The formats.
    pub formats: Vec<Format>,
    /// Bytes that the arena may have so that they are worth it.
    pub most: u64,
}

impl<'p> Formatted<'p> {
    /// The formats that fit into an arena of `budget` bytes.
    pub fn new(plain: &'p Program, traits: &Traits, budget: Option<u64>) -> Self {
        let side_by_side = needs(plain, u64::MAX).into_iter().max().unwrap_or(0);
        let most = budget.unwrap_or(side_by_side + side_by_side / LARGER_BY_PART);
        let mut now = Self { plain, program: plain.clone(), formats: Vec::new(), most };
        let mut before = needs(plain, most);
        for format in formats(plain, traits) {
            let mut changed = now.program.clone();
            if format.apply(&mut changed).is_err() {
                continue;
            }
            let after = needs(&changed, most);
            let is_worse = |(before, after): (&u64, &u64)| *after > most && after > before;
            if !before.iter().zip(&after).any(is_worse) {
                (now.program, before) = (changed, after);
                now.formats.push(format);
            }
        }
        now.formats.sort_by_key(|format| plain.tensors.iter().position(|slot| slot.name == format.tensor));
        now.reformat();
        now
    }

    /// Takes back the format that gains the least of those of a layer's operands; tells which layers are others now, if there is one.
    pub fn relieve(&mut self, layer: usize) -> Option<Vec<usize>> {
        let is_operand = |format: &Format| {
            self.tensor(format).is_some_and(|tensor| self.plain.layers[layer].args.contains(&tensor))
        };
        let operands = self.formats.iter().enumerate().filter(|(_, format)| is_operand(format));
        let (at, _) = operands.min_by_key(|(_, format)| format.gain)?;
        let format = self.formats.remove(at);
        let tensor = self.tensor(&format)?;
        self.reformat();
        let has_it = |layer: &Layer| layer.args.contains(&tensor);
        Some((0..self.plain.layers.len()).filter(|number| has_it(&self.plain.layers[*number])).collect())
    }

    fn tensor(&self, format: &Format) -> Option<usize> {
        self.plain.tensors.iter().position(|slot| slot.name == format.tensor)
    }

    /// The program is what the formats make of it in the order in which they stand in the schedule.
    fn reformat(&mut self) {
        self.program = self.plain.clone();
        self.formats.retain(|format| format.apply(&mut self.program).is_ok());
    }
}

/// What each layer needs at least: its operands side by side, or where that is more than `most` and it goes from pixel to pixel, on
/// each other as far as they may. Channel by channel, operands of different widths cannot lie on each other.
fn needs(program: &Program, most: u64) -> Vec<u64> {
    let needs = Needs::new(program);
    let of_layer = |(number, layer): (usize, &Layer)| match needs.apart(number, &layer.nest) {
        bytes if bytes > most && goes_by_pixels(&layer.nest) => needs.together(number, &layer.nest),
        bytes => bytes,
    };
    program.layers.iter().enumerate().map(of_layer).collect()
}

#[cfg(test)]
mod tests {
    use ir::loops::text::parse_program;

    use super::*;

    const TRAITS: Traits = Traits {
        dual_mac: true,
        unrolled_steps: 16,
        unrolled_blocks: 16,
        unrolled_copies: 8,
        overlapping: false,
    };
    /// Two matrix products, one after the other.
    const PROGRAM: &str = "program @two {
      tensor x: i8[4, 4] input 0
      tensor t: i8[4, 4] temporary
      tensor y: i8[4, 4] output 0
      layer @first(x, t) op \"conv\" macs 0 sources []
      layer @second(t, y) op \"conv\" macs 0 sources []
    }
    loops @first(x: i8[4, 4], y: i8[4, 4]) { NEST }
    loops @second(x: i8[4, 4], y: i8[4, 4]) { NEST }";
    const NEST: &str = "const w: i8[4, 4] = hex\"00000000000000000000000000000000\"
      for p in 0..4 { for n in 0..4 {
        reduce a: i32 over k in 0..4 {
          init { a = 0 }
          update { a = add a, mul(sext(x[p, k]), sext(w[n, k])) }
          finish { y[p, n] = ssat a {bits = 8, asr = 0} }
        }
      } }";

    fn program() -> Program {
        parse_program(&PROGRAM.replace("NEST", NEST)).expect("a program")
    }

    #[test]
    fn halfwords_are_chosen_where_there_is_room() {
        let program = program();
        let formats = |budget: u64| Formatted::new(&program, &TRAITS, Some(budget)).formats.len();
        assert_eq!(formats(48), 1); // 32 bytes of halfwords and 16 beside them.
        assert_eq!(formats(32), 0); // As bytes.
    }

    #[test]
    fn a_layer_that_needs_too_much_gets_its_bytes_back() {
        let program = program();
        let mut formatted = Formatted::new(&program, &TRAITS, Some(48));
        assert_ne!(formatted.program, program);
        assert_eq!(formatted.relieve(1), Some(vec![0, 1]));
        assert_eq!(formatted.program, program);
        assert_eq!(formatted.relieve(1), None);
    }
}
