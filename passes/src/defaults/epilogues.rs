//! Layers that become the end of the sums in front of them: additions and functions of what a matrix product gives, each element of which is
//! in a register there.

use std::collections::BTreeSet;

use ir::diag::Diagnostic;
use ir::loops::{Nest, Program, Stmt};

use super::draft::Draft;
use super::shape::SumOfProducts;
use crate::schedule::Schedule;

/// What makes a function of a byte or two short while it stands alone, the best first.
const SHORTER: &[&str] = &["short-add", "table", "short-divide", "short-requantize", "short-requantize any"];

/// A layer that is to be part of the one in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epilogue {
    /// The layer.
    pub layer: String,
    /// What the two become.
    pub band: String,
    /// All layers that the band consists of then.
    pub parts: Vec<String>,
    /// The scope of the band, behind one for the layer alone.
    text: String,
}

impl Epilogue {
    /// The scopes as text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Makes one layer of the two.
    pub fn apply(&self, program: &mut Program) -> Result<(), Diagnostic> {
        Schedule::parse(&format!("schedule 1\n{}", self.text))?.apply(program, &mut |_, _| {})
    }
}

/// The epilogues of a program but for some layers, in the order in which they apply.
pub fn epilogues(program: &Program, but: &BTreeSet<String>) -> Vec<Epilogue> {
    let mut program = program.clone();
    let (mut found, mut first) = (Vec::<Epilogue>::new(), 0);
    while first + 1 < program.layers.len() {
        let [sum, next] = [0, 1].map(|at| &program.layers[first + at].nest);
        let suits = is_product(sum) && has_no_sum(next) && !but.contains(&next.name);
        let mut changed = program.clone();
        let mut epilogue = suits.then(|| epilogue(sum, next, &found));
        match epilogue.take_if(|epilogue| epilogue.apply(&mut changed).is_ok()) {
            Some(epilogue) => {
                program = changed; // Whatever follows may be part of the same sums.
                found.push(Epilogue { band: program.layers[first].nest.name.clone(), ..epilogue });
            }
            None => first += 1,
        }
    }
    found
}

fn is_product(nest: &Nest) -> bool {
    SumOfProducts::of(nest).is_some_and(|sum| sum.shared.is_empty())
}

fn has_no_sum(nest: &Nest) -> bool {
    let mut found = false;
    nest.walk(&mut |_, stmt| found |= matches!(stmt, Stmt::Reduce(_)));
    !found
}

/// The layer `next` as part of `sum`, which others may be part of by now.
fn epilogue(sum: &Nest, next: &Nest, others: &[Epilogue]) -> Epilogue {
    let mut alone = Draft::new(next);
    alone.first_of(SHORTER);
    let steps = alone.text();
    let text = format!("layer {0}:\n{steps}band {1} {0}:\n  epilogue\n", next.name, sum.name);
    let before = others.iter().find(|other| other.band == sum.name);
    let mut parts = before.map_or_else(|| vec![sum.name.clone()], |before| before.parts.clone());
    parts.push(next.name.clone());
    Epilogue { layer: next.name.clone(), band: String::new(), parts, text }
}

#[cfg(test)]
mod tests {
    use ir::loops::text::parse_program;

    use super::super::{Traits, formats};
    use super::*;

    /// A product, one whose result is added to the first one's, a byte function of the sum, and a product again; another layer may read
    /// what the second one gives.
    fn program(is_read_by_another: bool) -> Program {
        let product = |name: &str, from: usize, to: usize| {
            format!(
                "loops @{name}(x: i8[6, {from}], y: i8[6, {to}]) {{
                   const w: i8[{to}, {from}] = hex\"{}\"
                   for p in 0..6 {{ for n in 0..{to} {{
                     reduce a: i32 over k in 0..{from} {{
                       init {{ a = 0 }} update {{ a = add a, mul(sext(x[p, k]), sext(w[n, k])) }}
                       finish {{ y[p, n] = ssat a {{bits = 8, asr = 0}} }}
                     }}
                   }} }}
                 }}\n",
                "00".repeat(from * to)
            )
        };
        let (tensors, layers, nests) = match is_read_by_another {
            true => (
                "tensor z: i8[1, 3, 2, 4] output 1",
                "layer @copy(s, z) op \"copy\" macs 0 sources []",
                "loops @copy(x: i8[24], y: i8[24]) { for i in 0..24 { y[i] = sext x[i] } }",
            ),
            false => ("", "", ""),
        };
        parse_program(&format!(
            "program @net {{
               tensor x: i8[1, 3, 2, 4] input 0
               tensor r: i8[1, 3, 2, 4] scale 1 zero 0 temporary
               tensor s: i8[1, 3, 2, 4] scale 1 zero 0 temporary
               tensor t: i8[1, 3, 2, 4] scale 1 zero 0 temporary
               tensor u: i8[1, 3, 2, 4] scale 1 zero 0 temporary
               tensor y: i8[1, 3, 2, 2] output 0
               {tensors}
               layer @begin(x, r) op \"conv\" macs 0 sources []
               layer @project(r, s) op \"conv\" macs 0 sources []
               layer @plus(r, s, t) op \"add\" macs 0 sources []
               layer @clip(t, u) op \"relu\" macs 0 sources []
               layer @end(u, y) op \"conv\" macs 0 sources []
               {layers}
             }}
             {}{}{}{nests}
             loops @plus(a: i8[24], b: i8[24], y: i8[24]) {{
               for i in 0..24 {{ y[i] = ssat add(sext(a[i]), sext(b[i])) {{bits = 8, asr = 0}} }}
             }}
             loops @clip(x: i8[3, 8], y: i8[3, 8]) {{
               for i in 0..3 {{ for j in 0..8 {{ y[i, j] = max sext(x[i, j]), 0 }} }}
             }}",
            product("begin", 4, 4),
            product("project", 4, 4),
            product("end", 4, 2),
        ))
        .expect("a program")
    }

    #[test]
    fn all_that_follows_a_sum_becomes_its_end() {
        let mut program = program(false);
        let epilogues = epilogues(&program, &BTreeSet::new());
        let bands: Vec<&str> = epilogues
            .iter()
            .flat_map(|one| one.text().lines().filter(|line| line.starts_with("band")))
            .collect();
        assert_eq!(bands, ["band project plus:", "band band_project_plus clip:"]);
        assert_eq!(epilogues[1].parts, ["project", "plus", "clip"]);
        epilogues.iter().for_each(|epilogue| epilogue.apply(&mut program).expect("it was legal before"));
        assert_eq!(program.layers.len(), 3);
        let sum = SumOfProducts::of(&program.layers[1].nest).expect("a sum");
        assert_eq!((&*sum.x, sum.data.len(), sum.weights.len()), ("x", 1, 1));
    }

    #[test]
    fn what_others_read_too_stays() {
        assert_eq!(epilogues(&program(true), &BTreeSet::new()), []);
    }

    #[test]
    fn results_may_be_wide_that_only_products_and_epilogues_read() {
        let plain = program(false);
        let mut joined = plain.clone();
        epilogues(&plain, &BTreeSet::new())
            .iter()
            .for_each(|epilogue| epilogue.apply(&mut joined).expect("it was legal before"));
        let traits = Traits {
            dual_mac: true,
            unrolled_steps: 16,
            unrolled_blocks: 16,
            unrolled_copies: 8,
            overlapping: false,
        };
        let wide = |program: &Program| -> Vec<String> {
            formats(program, &traits).into_iter().map(|format| format.tensor).collect()
        };
        assert_eq!(wide(&plain), [""; 0]);
        assert_eq!(wide(&joined), ["r", "u"]);
    }
}
