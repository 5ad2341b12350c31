//! Loads that become one block of registers, which holds nothing else: each of its places is read by one of them.
//!
//! ```text
//! w[n, 0]  w[n, 1]  w[n, 2]                             one block [3]
//! x[0, 0] as i16x2  x[0, 2] as i16x2  x[1, 1] as i16x2  one of each: a block [2, 3] would read words that begin at the last element
//! ```

use std::collections::BTreeSet;

use ir::diag::Diagnostic;
use ir::loops::{Loop, VarId};

use super::footprint::{Footprint, Read};
use super::unroll::MOST_COPIES;

/// Loads with the block that they become.
pub struct Group {
    /// What the block has.
    pub footprint: Footprint,
    /// At least one; all give values of one type.
    pub reads: Vec<Read>,
}

/// A block for loads of one buffer and one type where they fill it, else one for each load. What of them varies inside may vary only with
/// unrolled loops.
pub fn groups(reads: &[Read]) -> Result<Vec<Group>, Diagnostic> {
    let Ok(footprints) = Footprint::of(reads) else { return apart(reads) };
    let mut groups = Vec::new();
    for footprint in footprints {
        let reads: Vec<Read> = reads.iter().filter(|read| footprint.has(read)).cloned().collect();
        let group = Group { footprint, reads };
        match group.is_full() {
            true => groups.push(group),
            false => groups.extend(apart(&group.reads)?),
        }
    }
    Ok(groups)
}

/// A block for each load.
fn apart(reads: &[Read]) -> Result<Vec<Group>, Diagnostic> {
    let mut groups: Vec<Group> = Vec::new();
    for read in reads {
        if groups.iter().any(|group| group.has(read)) {
            continue;
        }
        let footprint = Footprint::of(std::slice::from_ref(read))?.remove(0);
        let group = Group { footprint, reads: vec![read.clone()] };
        if !group.is_full() {
            return Err(Diagnostic::new("a load leaves gaps between what it reads in one step")
                .help("stage it first, so that what is read lies side by side"));
        }
        groups.push(group);
    }
    Ok(groups)
}

impl Group {
    /// Whether a load reads what the block has for it.
    pub fn has(&self, read: &Read) -> bool {
        self.reads.iter().any(|member| member.expr == read.expr)
    }

    /// Whether each place of the footprint is read by some load.
    fn is_full(&self) -> bool {
        let places: u64 = self.footprint.shape.iter().map(|extent| u64::from(*extent)).product();
        let mut seen = BTreeSet::new();
        for read in &self.reads {
            let position = self.footprint.position(read);
            let loops: Vec<&Loop> = read.varies_with().collect();
            let copies: u64 = loops.iter().map(|l| u64::from(l.extent)).product();
            if copies.max(places) > MOST_COPIES {
                return false;
            }
            for n in 0..copies as i64 {
                let value = |var: VarId| {
                    let inner = loops.iter().rev().take_while(|l| l.var != var);
                    let below: i64 = inner.map(|l| i64::from(l.extent)).product();
                    let extent = loops.iter().find(|l| l.var == var).map_or(1, |l| i64::from(l.extent));
                    n / below % extent
                };
                seen.insert(position.iter().map(|index| index.eval(&value)).collect::<Vec<i64>>());
            }
        }
        seen.len() as u64 == places
    }
}
