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
//! thresholds of one is not taken. For several nests [`common_shift`] finds one form, so that they differ in numbers only.
//!
//! Legal where there is such a shift.

use ir::diag::Diagnostic;
use ir::loops::Nest;

use super::short_form::{Peers, Tables};
use super::short_requantize::{Rescalings, Site, rescalings, sites, write};
use super::step::StepDef;
use crate::proofs::short_forms::{self, Cost, Found, Query, Wanted};

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
///
/// Of several nests the first rescalings get one form, with numbers of their own, and so do the second ones and so on.
pub fn common_shift(nests: &mut [&mut Nest]) -> Result<i32, Diagnostic> {
    let rows = rows(nests)?;
    let number: usize = rows.iter().map(Row::number).sum();
    let (mut fewest, mut best) = ((number + 1, 0), None::<(Cost, i32, Vec<Found>)>);
    for shift in (0..=GREATEST).rev() {
        let forms: Vec<Result<(Found, Cost), usize>> = rows.iter().map(|row| row.form(shift)).collect();
        let failures = forms.iter().filter_map(|form| form.as_ref().err()).sum();
        if failures > 0 {
            fewest = fewest.min((failures, shift));
            continue;
        }
        let (found, costs): (Vec<Found>, Vec<Cost>) = forms.into_iter().flatten().unzip();
        let cost = costs.into_iter().fold(Cost::default(), Cost::and);
        if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
            best = Some((cost, shift, found));
        }
        if cost.operations == SHORTEST * rows.len() as u32 {
            break;
        }
    }
    let Some((_, shift, found)) = best else {
        let (failures, shift) = fewest;
        let message = format!(
            "no shift is right for all channels: with {shift}, {failures} of {number} have no proven form of few operations"
        );
        return Err(Diagnostic::new(message).help(
            "`short-requantize` gives channels shifts of their own; `scale` brings their factors together",
        ));
    };
    let mut tables = vec![Tables::default(); nests.len()];
    for (row, found) in rows.iter().zip(&found) {
        row.write(nests, &mut tables, found);
    }
    Ok(shift)
}

/// Rescalings of several nests that get one form.
struct Row {
    members: Vec<Member>,
    /// The step functions of the channels of all members; `None` where one has none.
    wanted: Option<Vec<Option<Wanted>>>,
}

/// A rescaling with what is known of its channels.
struct Member {
    site: Site,
    all: Rescalings,
    offset_is_free: bool,
}

impl Row {
    fn new(members: Vec<Member>) -> Result<Row, Diagnostic> {
        let clamp = |member: &Member| (member.site.min, member.site.max);
        let first = clamp(&members[0]);
        if let Some((min, max)) = members.iter().map(clamp).find(|other| *other != first) {
            let message =
                format!("one is clamped to {min} and {max}, another one to {} and {}", first.0, first.1);
            return Err(Diagnostic::new(message).help("legal for layers with one clamp"));
        }
        let wanted: Option<Vec<_>> = members.iter().map(|one| one.site.wanted(&one.all)).collect();
        Ok(Row { wanted: wanted.map(|all| all.concat()), members })
    }

    /// Channels that are used.
    fn number(&self) -> usize {
        self.members.iter().map(|member| member.all.channels.number()).sum()
    }

    /// A form of all channels with this shift and what it takes, or how many channels have none.
    fn form(&self, shift: i32) -> Result<(Found, Cost), usize> {
        let (Some(wanted), Some(saturation)) = (&self.wanted, self.members[0].all.channels.saturation())
        else {
            return Err(self.number());
        };
        let offset_is_free = self.members.iter().all(|member| member.offset_is_free);
        let most = self.members.iter().map(|member| member.site.literal(&member.all)).min();
        let query = Query {
            wanted,
            limits: saturation.limits,
            clamp: (self.members[0].site.min, self.members[0].site.max),
            offset_is_free,
            most: most.expect("a row has members"),
            shift: Some(shift),
        };
        let found = short_forms::find(&query)?;
        let cost = found.cost(wanted, offset_is_free);
        Ok((found, cost))
    }

    /// Writes the form in the place of the first `requantize` of each nest.
    fn write(&self, nests: &mut [&mut Nest], tables: &mut [Tables], found: &Found) {
        let mut rest = &found.constants[..];
        let mut parts = Vec::new();
        let mut peers = Peers::default();
        for Member { all, .. } in &self.members {
            let (own, behind) = rest.split_at(all.channels.of.len());
            let part = Found { shape: found.shape, constants: own.to_vec() };
            let used = own.iter().zip(all.channels.used()).filter(|(_, used)| *used);
            peers.constants.extend(used.map(|(constants, _)| *constants));
            let leaves = all.channels.leaves(&part);
            peers.leaves = (peers.leaves.0 || leaves.0, peers.leaves.1 || leaves.1);
            parts.push(part);
            rest = behind;
        }
        for (at, (member, part)) in self.members.iter().zip(&parts).enumerate() {
            let written = member.all.channels.written(nests[at], &mut tables[at], part, &peers);
            write(nests[at], 0, written);
        }
    }
}

/// The rescalings of the nests, those with the same number together.
fn rows(nests: &[&mut Nest]) -> Result<Vec<Row>, Diagnostic> {
    let mut members: Vec<Vec<Member>> = Vec::new();
    for nest in nests {
        let found = sites(&nest.body);
        if found.is_empty() {
            return Err(Diagnostic::new(format!("nothing is rescaled by `requantize` in `{}`", nest.name))
                .help("legal once for each rescaling, before `short-requantize`"));
        }
        let first = &nests[0];
        let wanted = sites(&first.body).len();
        if found.len() != wanted {
            let message =
                format!("`{}` rescales in {} places, `{}` in {wanted}", nest.name, found.len(), first.name);
            return Err(Diagnostic::new(message).help("legal for layers that are alike"));
        }
        for (at, expr) in found.into_iter().enumerate() {
            let site = Site::of(expr);
            let all = rescalings(nest, at, &site)?;
            let offset_is_free = all.channels.offset_is_free(nest);
            if members.len() == at {
                members.push(Vec::new());
            }
            members[at].push(Member { site, all, offset_is_free });
        }
    }
    members.into_iter().map(Row::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::loops::text::parse_nest;

    fn rescaled_by(shift: i32) -> Nest {
        let text = format!(
            "loops @rescaled(x: i8[8], y: i8[1]) {{
               reduce a: i32 over k in 0..8 {{
                 init {{ a = 5 }}
                 update {{ a = add a, mul(sext(x[k]), 100) }}
                 finish {{ y[0] = requantize a, 1518500250, {shift} {{zero = -128, min = -128, max = 127}} }}
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
