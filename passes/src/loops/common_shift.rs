//! `common-shift`: one shift in every saturation, so that rescalings differ in constants only and can share their code.
//!
//! ```text
//! finish { y[p, n] = requantize a, m[n], s[n] {zero = -128, min = -128, max = 127} }             // s of -5 to -7
//! finish { y[p.rest, n] = requantize a, m_1[n], s_1[n] {zero = -128, min = -128, max = 127} }    // s_1 of -6 to -8
//! =>
//! finish { y[p, n] = ssat mul_high_add(m_high[n], a, m_short[n]) {bits = 8, asr = 4} }
//! finish { y[p.rest, n] = ssat mul_high_add(m_1_high[n], a, m_1_short[n]) {bits = 8, asr = 4} }
//! ```
//!
//! An immediate of an instruction is the same for everyone who runs it. The step finds the shift with which each channel of each rescaling
//! has a short form, all of them together the shortest, and writes these as `short-requantize shift N` does ([`super::short_requantize`]): a multiplier with fewer bits
//! makes up for a shift that is less than a channel's own. The proof for each channel decides, so a shift that is too small for the
//! thresholds of one is not taken. [`common_shift`] does the same for several nests, which then have one shift.
//!
//! Legal where there is such a shift.

use ir::diag::Diagnostic;
use ir::loops::Nest;

use super::short_requantize::{Rescalings, Site, rescalings, sites, with_shift};
use super::step::StepDef;
use crate::proofs::short_forms::Cost;

/// The greatest shift of a saturation.
const GREATEST: i32 = 31;
/// Operations of the shortest form.
const SHORTEST: u32 = 2;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "common-shift",
    usage: "common-shift",
    summary: "Rescale with few operations that all have the same shift",
    run: |nest, args| {
        args.at_most(0)?;
        common_shift(&mut [nest]).map(|_| ())
    },
};

/// Shortens every rescaling of the nests with one shift, the greatest of those that take least, and gives it.
pub fn common_shift(nests: &mut [&mut Nest]) -> Result<i32, Diagnostic> {
    let mut all = Vec::new();
    for nest in nests.iter() {
        all.extend(searched(nest)?);
    }
    let number: usize = all.iter().map(|one| one.all.channels.number()).sum();
    let (mut fewest, mut best) = ((number + 1, 0), None::<(Cost, i32)>);
    for shift in (0..=GREATEST).rev() {
        let costs: Vec<Result<Cost, usize>> = all.iter().map(|one| one.cost(shift)).collect();
        let failures = costs.iter().filter_map(|cost| cost.err()).sum();
        if failures > 0 {
            fewest = fewest.min((failures, shift));
            continue;
        }
        let cost = costs.into_iter().flatten().fold(Cost::default(), Cost::and);
        if best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, shift));
        }
        if cost.operations == SHORTEST * all.len() as u32 {
            break;
        }
    }
    let Some((_, shift)) = best else {
        let (failures, shift) = fewest;
        let message = format!(
            "no shift is right for all channels: with {shift}, {failures} of {number} have no proven form of few operations"
        );
        return Err(Diagnostic::new(message).help(
            "`short-requantize` gives channels shifts of their own; `scale` brings their factors together",
        ));
    };
    nests.iter_mut().try_for_each(|nest| with_shift(nest, false, Some(shift)).map(|_| ()))?;
    Ok(shift)
}

/// A rescaling with what is known of its channels.
struct Searched {
    nest: Nest,
    site: Site,
    all: Rescalings,
}

impl Searched {
    /// What a form of all channels with this shift takes, or how many channels have none.
    fn cost(&self, shift: i32) -> Result<Cost, usize> {
        self.site.form(&self.nest, &self.all, Some(shift)).map(|(_, cost)| cost)
    }
}

/// Every rescaling of a nest, one at least.
fn searched(nest: &Nest) -> Result<Vec<Searched>, Diagnostic> {
    let found = sites(&nest.body);
    if found.is_empty() {
        return Err(Diagnostic::new(format!("nothing is rescaled by `requantize` in `{}`", nest.name))
            .help("legal once for each rescaling, before `short-requantize`"));
    }
    let searched = |(at, expr): (usize, &&ir::loops::Expr)| {
        let site = Site::of(expr);
        let all = rescalings(nest, at, &site)?;
        Ok(Searched { nest: nest.clone(), site, all })
    };
    found.iter().enumerate().map(searched).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::loops::text::parse_nest;

    fn rescaled_by(shift: i32) -> Nest {
        let text = format!(
            "loops @rescaled(x: i8[8], y: i8[8]) {{
               for n in 0..8 {{
                 y[n] = requantize mul(sext(x[n]), 100), 1518500250, {shift} {{zero = -128, min = -128, max = 127}}
               }}
             }}"
        );
        parse_nest(&text).expect("it is a nest")
    }

    #[test]
    fn several_nests_get_the_least_of_their_shifts() {
        let alone = |shift: i32| common_shift(&mut [&mut rescaled_by(shift)]).expect("each has one");
        let (far, near) = (alone(-9), alone(-6));
        assert!(near < far, "{near} {far}");
        let (mut a, mut b) = (rescaled_by(-9), rescaled_by(-6));
        assert_eq!(common_shift(&mut [&mut a, &mut b]), Ok(near));
        let text = format!("asr = {near}}}");
        assert!(a.to_string().contains(&text) && b.to_string().contains(&text), "{a}\n{b}");
    }

    #[test]
    fn nothing_is_changed_where_there_is_none() {
        let (mut a, mut b) = (rescaled_by(-30), rescaled_by(8));
        assert!(common_shift(&mut [&mut a, &mut b]).is_err());
        assert_eq!((a, b), (rescaled_by(-30), rescaled_by(8)));
    }
}
