//! The search for the drafts of all layers, and for those that share their code.
//!
//! What layers cost together that share their code is known only once it has been made. So drafts are chosen as if all of one form shared theirs for
//! nothing, groups are made of them as far as that pays, and what these cost goes into the next choice. The best of all attempts is kept.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use passes::defaults::Draft;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::choose::{Body, Chosen, Form, Limit, MEMBER_BYTES, Price, choose};
use super::network::Network;
use super::price::Pricer;
use super::share::{self, Group, Groups, Sharing};
use super::{MIDDLE, SMALL};
use crate::ram;

/// How often drafts are chosen at most.
const MOST_ATTEMPTS: usize = 12;

/// What a search goes by.
pub struct Search<'a> {
    network: &'a Network,
    /// Knows what drafts cost.
    pricer: &'a Pricer,
    /// Bytes of flash.
    flash: Limit,
    /// Bytes of the arena, if somebody says how many.
    ram: Option<u64>,
}

/// What attempts have found out.
#[derive(Default)]
struct Learned {
    /// By layer and body, what a draft costs among those that it shared its code with.
    prices: BTreeMap<(usize, Body), Price>,
    /// What codes cost.
    codes: share::Known,
}

/// How bad a choice is: limits that it exceeds, bytes of that which were not foreseen, cycles.
type Merit = (usize, usize, u64);

impl<'a> Search<'a> {
    /// A search among the drafts of a network, and smaller ones, for so many bytes of flash, and of the arena if somebody says how many.
    pub fn new(network: &'a Network, pricer: &'a Pricer, flash: Limit, ram: Option<u64>) -> Self {
        Self { network, pricer, flash, ram }
    }

    /// Whether the fastest drafts take more flash than is wanted.
    pub fn is_short(&self) -> bool {
        let drafts = self.within(self.network.drafts.clone(), self.ram);
        choose(&self.charges(&drafts, &Learned::default()), self.flash).is_short
    }

    /// The scopes of the layers, and of those that share their code, for the best of what these drafts and smaller ones allow.
    pub fn layers(&self) -> String {
        let (mut arena, mut has_small) = (self.ram, false);
        let mut drafts = self.within(self.network.drafts.clone(), arena);
        let mut learned = Learned::default();
        let (mut room, mut attempts) = (self.flash, 0);
        let mut best: Option<(Merit, String)> = None;
        loop {
            let charges = self.charges(&drafts, &learned);
            let chosen = choose(&charges, room);
            if chosen.is_short && !has_small {
                has_small = true;
                self.add_smaller(&mut drafts);
                drafts = self.within(drafts, arena);
                continue;
            }
            if let Some(less) = arena.and_then(|last| self.smaller_arena(&drafts, &chosen, last)) {
                arena = Some(less);
                drafts = self.within(drafts, arena);
                continue;
            }
            attempts += 1;
            let is_priced = self.price(&mut drafts, &chosen);
            let beside = beside_code(&charges, &chosen);
            let enough = self.flash.least().saturating_sub(beside);
            let groups = self.groups(&drafts, &charges, &chosen, &learned.codes, enough);
            let taken = groups.bytes + beside;
            let (exceeded, excess) = self.flash.missed(room, chosen.flash, taken);
            let merit = (exceeded, excess, cycles(&drafts, &chosen) + groups.slower());
            if best.as_ref().is_none_or(|(least, _)| merit < *least) {
                best = Some((merit, self.text(&drafts, &chosen, &groups)));
            }
            let is_new = learned.learn(&drafts, &chosen, &groups) | is_priced;
            let next = self.flash.less(taken as i64 - chosen.flash as i64);
            // Without news attempts would go to and fro between rooms.
            let next = if is_new { next } else { next.min(room) };
            let before = std::mem::replace(&mut room, next);
            let is_settled = if chosen.is_short { !is_new && room == before } else { excess == 0 };
            if attempts == MOST_ATTEMPTS || is_settled {
                return best.map(|(_, text)| text).unwrap_or_default();
            }
        }
    }

    /// Prices what is chosen, where that was an estimate; tells whether some prices are others now.
    fn price(&self, drafts: &mut [Vec<(Price, Draft)>], chosen: &Chosen) -> bool {
        let all = cycles(drafts, chosen);
        let layers = drafts.par_iter_mut().zip(&chosen.drafts);
        let changed = layers.filter_map(|(drafts, at)| {
            let (price, draft) = &mut drafts[(*at)?];
            let before = std::mem::replace(price, self.pricer.price(*price, draft, all));
            (*price != before).then_some(())
        });
        changed.count() > 0
    }

    fn add_smaller(&self, drafts: &mut [Vec<(Price, Draft)>]) {
        for repeats in [&MIDDLE, &SMALL] {
            let smaller = self.pricer.drafts(&self.network.program.layers, &repeats.on(self.pricer.core()));
            drafts.iter_mut().zip(smaller).for_each(|(drafts, smaller)| drafts.extend(smaller));
        }
    }

    /// What each layer may need of the arena so that all together fit, after drafts that need at most `last` leave gaps; `None` where they fit.
    fn smaller_arena(&self, drafts: &[Vec<(Price, Draft)>], chosen: &Chosen, last: u64) -> Option<u64> {
        let nests = chosen.drafts.iter().zip(drafts).map(|(at, drafts)| at.map(|at| &drafts[at].1.nest));
        let excess = ram::arena(&self.network.program, nests)?.saturating_sub(self.ram?);
        (excess > 0 && last > 0).then(|| last.saturating_sub(excess))
    }

    /// The drafts that keep to an arena of so many bytes; where nobody says how many, to about the smallest.
    fn within(&self, drafts: Vec<Vec<(Price, Draft)>>, arena: Option<u64>) -> Vec<Vec<(Price, Draft)>> {
        let candidates: Vec<Vec<ram::Candidate>> = drafts.iter().map(|drafts| candidates(drafts)).collect();
        let fitting = ram::fitting(&self.network.program, &candidates, arena, &self.network.known);
        let kept = |(drafts, fits): (Vec<(Price, Draft)>, Vec<bool>)| {
            drafts.into_iter().zip(fits).filter_map(|(draft, fits)| fits.then_some(draft)).collect()
        };
        drafts.into_iter().zip(fitting).map(kept).collect()
    }

    /// What the budget is charged for each draft: where it is not the user's, weights that an algorithm transforms
    /// count as those of the smallest draft that takes them as they are.
    fn charges(&self, layers: &[Vec<(Price, Draft)>], learned: &Learned) -> Vec<Vec<Price>> {
        let in_full = matches!(self.flash, Limit::Hard(_));
        let of_layer = |(layer, drafts): (usize, &Vec<(Price, Draft)>)| -> Vec<Price> {
            let direct = drafts.iter().filter(|(_, draft)| !in_full && !draft.transforms_weights());
            let direct = direct.min_by_key(|(price, _)| price.flash()).map(|(price, _)| *price);
            let charge = |(price, draft): &(Price, Draft)| match direct {
                Some(Price { code, constants, .. }) if draft.transforms_weights() => {
                    Price { code, constants, ..*price }
                }
                _ => *learned.prices.get(&(layer, price.body)).unwrap_or(price),
            };
            drafts.iter().map(charge).collect()
        };
        layers.iter().enumerate().map(of_layer).collect()
    }

    /// Which layers of one form share their code, as that pays; so many bytes of code are enough.
    fn groups(
        &self,
        drafts: &[Vec<(Price, Draft)>],
        charges: &[Vec<Price>],
        chosen: &Chosen,
        known: &share::Known,
        enough: usize,
    ) -> Groups {
        let (mut alike, mut nests) = (BTreeMap::<Form, Vec<usize>>::new(), BTreeMap::new());
        for (layer, chosen) in chosen.drafts.iter().enumerate() {
            if let Some(chosen) = chosen {
                let (price, draft) = &drafts[layer][*chosen];
                nests.insert(layer, (price.body, &draft.nest));
                alike.entry(price.form).or_default().push(layer);
            }
        }
        let code = |layer: usize| chosen.drafts[layer].map_or(0, |at| charges[layer][at].code);
        let (kinds, single): (Vec<Vec<usize>>, Vec<Vec<usize>>) =
            alike.into_values().partition(|layers| layers.len() > 1);
        let in_single: usize = single.iter().flatten().map(|layer| code(*layer)).sum();
        let sharing = Sharing {
            nests: &nests,
            rate: chosen.rate,
            enough: enough.saturating_sub(in_single),
            pricer: self.pricer,
            known,
        };
        let mut groups = sharing.groups(kinds);
        groups.bytes += in_single;
        groups
    }

    fn text(&self, drafts: &[Vec<(Price, Draft)>], chosen: &Chosen, groups: &Groups) -> String {
        let name = |layer: usize| self.network.program.layers[layer].nest.name.as_str();
        let mut text = String::new();
        for (layer, drafts) in drafts.iter().enumerate() {
            let steps = chosen.drafts[layer].map_or(String::new(), |chosen| drafts[chosen].1.text());
            text.push_str(&format!("layer {}:\n{steps}", name(layer)));
        }
        let mut shared: Vec<&Group> = groups.groups.iter().filter(|group| group.layers.len() > 1).collect();
        shared.sort_by_key(|group| group.layers.keys().next()); // As they run.
        for group in shared {
            let names: Vec<&str> = group.layers.keys().map(|layer| name(*layer)).collect();
            text.push_str(&format!("group {}:\n  share\n", names.join(" ")));
        }
        text
    }
}

impl Learned {
    /// Notes what drafts cost among those with whom they share their code; tells whether that was not known.
    fn learn(&mut self, drafts: &[Vec<(Price, Draft)>], chosen: &Chosen, groups: &Groups) -> bool {
        let mut groups: Vec<&Group> = groups.groups.iter().collect();
        groups.sort_by_key(|group| Reverse(group.layers.len()));
        let (mut known, mut is_new) = (BTreeSet::new(), false);
        for group in groups {
            let price = |layer: &usize| Some(drafts[*layer][chosen.drafts[*layer]?].0);
            let Some(first) = group.layers.keys().next().and_then(price) else { continue };
            // The largest group keeps the form: others of this form are thought to join it.
            let form = if known.insert(first.form) { first.form } else { apart(first.form, group) };
            let members = if group.layers.len() > 1 { group.layers.len() * MEMBER_BYTES } else { 0 };
            let code = group.cost.bytes.saturating_sub(members);
            for layer in group.layers.keys() {
                let Some(price) = price(layer) else { continue };
                let now = Price { cycles: group.cycles_of(*layer), code, form, ..price };
                is_new |= self.prices.insert((*layer, price.body), now) != Some(now);
            }
        }
        is_new
    }
}

/// A form for the layers of a group alone.
fn apart(form: Form, group: &Group) -> Form {
    let layers = group.layers.keys().flat_map(|layer| layer.to_le_bytes());
    Sha256::digest(form.into_iter().chain(layers).collect::<Vec<u8>>()).into()
}

/// Drafts as the arena sees them.
pub fn candidates(drafts: &[(Price, Draft)]) -> Vec<ram::Candidate<'_>> {
    let of = |draft| {
        let (Price { cycles, body, .. }, Draft { nest, .. }): &(Price, Draft) = draft;
        ram::Candidate { cycles: *cycles, nest, body }
    };
    drafts.iter().map(of).collect()
}

/// Bytes that layers take beside their code.
fn beside_code(charges: &[Vec<Price>], chosen: &Chosen) -> usize {
    let prices = charges.iter().zip(&chosen.drafts).filter_map(|(prices, at)| Some(&prices[(*at)?]));
    prices.map(|price| price.flash() - price.code).sum()
}

/// Cycles of the layers, each alone.
fn cycles(drafts: &[Vec<(Price, Draft)>], chosen: &Chosen) -> u64 {
    drafts.iter().zip(&chosen.drafts).filter_map(|(drafts, at)| Some(drafts[(*at)?].0.cycles)).sum()
}
