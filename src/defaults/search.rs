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

/// A search among the drafts of a network.
pub struct Search<'a> {
    network: &'a Network,
    /// Knows what drafts cost.
    pricer: &'a Pricer,
    /// Bytes of flash.
    flash: Limit,
    /// Bytes of the arena, if somebody says how many.
    ram: Option<u64>,
    /// Bytes of the arena that each draft keeps to by itself, so that all together keep to those.
    arena: Option<u64>,
    /// The drafts that do so.
    drafts: Vec<Vec<(Price, Draft)>>,
    /// Whether smaller ones are among them.
    has_small: bool,
    learned: Learned,
}

/// What attempts have found out.
#[derive(Default)]
struct Learned {
    /// By layer and body, what a draft costs among those that it shared its code with.
    prices: BTreeMap<(usize, Body), Price>,
    /// What codes cost.
    codes: share::Known,
}

/// A choice, with the groups that share their code.
struct Attempt {
    merit: Merit,
    /// The scopes.
    text: String,
    /// Whether some layer would have got another draft if there were more room.
    is_short: bool,
    /// Whether some code costs something else than was thought.
    is_new: bool,
    /// The room to choose for so that as many bytes as are wanted are taken, if as many more are than were thought.
    room: Limit,
}

/// How bad a choice is: limits that it exceeds, bytes of that which were not foreseen, cycles.
type Merit = (usize, usize, u64);

impl<'a> Search<'a> {
    /// A search among the drafts of a network, and smaller ones, for so many bytes of flash, and of the arena if somebody says how many.
    pub fn new(network: &'a Network, pricer: &'a Pricer, flash: Limit, ram: Option<u64>) -> Self {
        let drafts = network.drafts.clone();
        let learned = Learned::default();
        let mut search = Self { network, pricer, flash, ram, arena: ram, drafts, has_small: false, learned };
        search.keep_to_arena();
        search
    }

    /// Whether the fastest drafts take more flash than is wanted.
    pub fn is_short(&self) -> bool {
        choose(&self.charges(), self.flash).is_short
    }

    /// The scopes of the layers, and of those that share their code, for the best of what these drafts and smaller ones allow.
    pub fn layers(mut self) -> String {
        let mut room = self.flash;
        let mut best: Option<Attempt> = None;
        for _ in 0..MOST_ATTEMPTS {
            let attempt = self.attempt(room);
            // Without news attempts would go to and fro between rooms.
            let next = if attempt.is_new { attempt.room } else { attempt.room.min(room) };
            let (_, excess, _) = attempt.merit;
            let is_last = if attempt.is_short { !attempt.is_new && next == room } else { excess == 0 };
            if best.as_ref().is_none_or(|best| attempt.merit < best.merit) {
                best = Some(attempt);
            }
            if is_last {
                break;
            }
            room = next;
        }
        best.map(|attempt| attempt.text).unwrap_or_default()
    }

    /// Chooses drafts for so much room, and those that share their code.
    fn attempt(&mut self, room: Limit) -> Attempt {
        let (charges, chosen) = self.choice(room);
        let is_priced = self.price(&chosen);
        let beside = beside_code(&charges, &chosen);
        let enough = self.flash.least().saturating_sub(beside);
        let groups = self.groups(&charges, &chosen, enough);
        let taken = groups.bytes + beside;
        let (exceeded, excess) = self.flash.missed(room, chosen.flash, taken);
        Attempt {
            merit: (exceeded, excess, cycles(&self.drafts, &chosen) + groups.slower()),
            text: self.text(&chosen, &groups),
            is_short: chosen.is_short,
            is_new: self.learned.learn(&self.drafts, &chosen, &groups) | is_priced,
            room: self.flash.less(taken as i64 - chosen.flash as i64),
        }
    }

    /// A choice for so much room that keeps to the arena, among smaller drafts too where the room is short; and what it is charged.
    fn choice(&mut self, room: Limit) -> (Vec<Vec<Price>>, Chosen) {
        loop {
            let charges = self.charges();
            let chosen = choose(&charges, room);
            if chosen.is_short && !self.has_small {
                self.add_smaller();
            } else if let Some(less) = self.smaller_arena(&chosen) {
                self.arena = Some(less);
            } else {
                return (charges, chosen);
            }
            self.keep_to_arena();
        }
    }

    /// Prices what is chosen, where that was an estimate; tells whether some prices are others now.
    fn price(&mut self, chosen: &Chosen) -> bool {
        let all = cycles(&self.drafts, chosen);
        let layers = self.drafts.par_iter_mut().zip(&chosen.drafts);
        let changed = layers.filter_map(|(drafts, at)| {
            let (price, draft) = &mut drafts[(*at)?];
            let before = std::mem::replace(price, self.pricer.price(*price, draft, all));
            (*price != before).then_some(())
        });
        changed.count() > 0
    }

    fn add_smaller(&mut self) {
        for repeats in [&MIDDLE, &SMALL] {
            let traits = repeats.on(self.pricer.core());
            let smaller = self.pricer.drafts(&self.network.program.layers, &traits);
            self.drafts.iter_mut().zip(smaller).for_each(|(drafts, smaller)| drafts.extend(smaller));
        }
        self.has_small = true;
    }

    /// What each draft may need of the arena so that all together fit, after those that need at most what they may now leave gaps; `None`
    /// where they fit.
    fn smaller_arena(&self, chosen: &Chosen) -> Option<u64> {
        let nests = chosen.drafts.iter().zip(&self.drafts);
        let nests = nests.map(|(at, drafts)| at.map(|at| &drafts[at].1.nest));
        let last = self.arena.filter(|last| *last > 0)?;
        let excess = ram::arena(&self.network.program, nests)?.saturating_sub(self.ram?);
        (excess > 0).then(|| last.saturating_sub(excess))
    }

    /// Leaves the drafts that keep to the arena; where nobody says how large that is, to about the smallest.
    fn keep_to_arena(&mut self) {
        let candidates: Vec<Vec<ram::Candidate>> =
            self.drafts.iter().map(|drafts| candidates(drafts)).collect();
        let fitting = ram::fitting(&self.network.program, &candidates, self.arena, &self.network.known);
        for (drafts, fits) in self.drafts.iter_mut().zip(fitting) {
            let mut fits = fits.into_iter();
            drafts.retain(|_| fits.next().unwrap_or(true));
        }
    }

    /// What the budget is charged for each draft: where it is not the user's, weights that an algorithm transforms
    /// count as those of the smallest draft that takes them as they are.
    fn charges(&self) -> Vec<Vec<Price>> {
        let in_full = matches!(self.flash, Limit::Hard(_));
        let of_layer = |(layer, drafts): (usize, &Vec<(Price, Draft)>)| -> Vec<Price> {
            let direct = drafts.iter().filter(|(_, draft)| !in_full && !draft.transforms_weights());
            let direct = direct.min_by_key(|(price, _)| price.flash()).map(|(price, _)| *price);
            let charge = |(price, draft): &(Price, Draft)| match direct {
                Some(Price { code, constants, .. }) if draft.transforms_weights() => {
                    Price { code, constants, ..*price }
                }
                _ => *self.learned.prices.get(&(layer, price.body)).unwrap_or(price),
            };
            drafts.iter().map(charge).collect()
        };
        self.drafts.iter().enumerate().map(of_layer).collect()
    }

    /// Which layers of one form share their code, as that pays; so many bytes of code are enough.
    fn groups(&self, charges: &[Vec<Price>], chosen: &Chosen, enough: usize) -> Groups {
        let (mut alike, mut nests) = (BTreeMap::<Form, Vec<usize>>::new(), BTreeMap::new());
        for (layer, chosen) in chosen.drafts.iter().enumerate() {
            if let Some(chosen) = chosen {
                let (price, draft) = &self.drafts[layer][*chosen];
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
            known: &self.learned.codes,
        };
        let mut groups = sharing.groups(kinds);
        groups.bytes += in_single;
        groups
    }

    fn text(&self, chosen: &Chosen, groups: &Groups) -> String {
        let name = |layer: usize| self.network.program.layers[layer].nest.name.as_str();
        let mut text = String::new();
        for (layer, drafts) in self.drafts.iter().enumerate() {
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
