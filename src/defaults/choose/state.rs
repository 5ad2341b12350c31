//! A choice of drafts, and the moves that change it.
//!
//! A move gives other drafts to one layer, or to all layers that then share a code. While there is too much, the move is made that costs the
//! fewest cycles for each byte that it saves; what is left of the budget then goes to the moves that gain the most. Such a choice looks at
//! one move at a time. So moves are tried that do not fit: where those that then make room cost less than the move has gained, all of them stay.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{Form, GLUE_BYTES, MEMBER_BYTES, Price};

/// How much slower than with its fastest draft a layer is at most that is hardly slower.
const CLOSE_PERCENT: u64 = 5;
/// Moves that are tried although they do not fit, those first that gain the most for a byte.
const TRIED: usize = 48;
/// How often such moves are tried at most.
const MOST_EXCHANGES: usize = 12;

/// Layers, each with the draft that it is to get.
pub type Move = Vec<(usize, usize)>;

/// Every draft for its layer alone, and every form for all layers that can have it, and for those that are hardly slower with it.
pub fn moves(layers: &[Vec<Price>]) -> Vec<Move> {
    let all = || {
        layers
            .iter()
            .enumerate()
            .flat_map(|(layer, prices)| (0..prices.len()).map(move |draft| (layer, draft)))
    };
    let mut together: BTreeMap<Form, BTreeMap<usize, usize>> = BTreeMap::new();
    for (layer, draft) in all() {
        let prices = &layers[layer];
        let kept = together.entry(prices[draft].form).or_default().entry(layer).or_insert(draft);
        if prices[draft].cycles < prices[*kept].cycles {
            *kept = draft;
        }
    }
    let is_close = |(layer, draft): &(usize, usize)| {
        let fastest = layers[*layer].iter().map(|price| price.cycles).min().unwrap_or(0);
        layers[*layer][*draft].cycles * 100 <= fastest * (100 + CLOSE_PERCENT)
    };
    let mut moves: Vec<Move> = all().map(|one| vec![one]).collect();
    for members in together.into_values() {
        let members: Move = members.into_iter().collect();
        let close: Move = members.iter().copied().filter(is_close).collect();
        if close.len() > 1 && close.len() < members.len() {
            moves.push(close);
        }
        if members.len() > 1 {
            moves.push(members);
        }
    }
    moves
}

/// The drafts of all layers.
pub struct Choices {
    layers: Vec<Vec<Item>>,
    /// The bytes of the code of each form.
    codes: Vec<i64>,
}

/// What a draft costs.
#[derive(Clone, Copy)]
struct Item {
    cycles: i64,
    /// Beside its code.
    bytes: i64,
    /// The number of its form.
    form: usize,
}

impl Choices {
    /// The drafts with these prices.
    pub fn new(layers: &[Vec<Price>]) -> Self {
        let (mut numbers, mut codes) = (BTreeMap::new(), Vec::new());
        let mut item = |price: &Price| {
            let form = *numbers.entry(price.form).or_insert(codes.len());
            if form == codes.len() {
                codes.push(0);
            }
            codes[form] = codes[form].max(price.code as i64);
            Item { cycles: price.cycles as i64, bytes: (price.constants + GLUE_BYTES) as i64, form }
        };
        let layers = layers.iter().map(|prices| prices.iter().map(&mut item).collect()).collect();
        Self { layers, codes }
    }

    /// The bytes of the code of a form that so many layers have.
    fn code(&self, form: usize, users: i64) -> i64 {
        match users {
            0 => 0,
            1 => self.codes[form],
            _ => self.codes[form] + users * MEMBER_BYTES as i64,
        }
    }
}

/// The choice so far.
#[derive(Clone)]
pub struct State<'a> {
    choices: &'a Choices,
    chosen: Vec<Option<usize>>,
    /// The layers that have each form.
    users: Vec<i64>,
    bytes: i64,
    cycles: i64,
    /// The part of all cycles that has to be saved by a part of all bytes, where there is room for these.
    worth: f64,
}

/// What a move brings.
#[derive(Clone, Copy)]
struct Gain {
    /// Bytes that it saves.
    bytes: i64,
    /// Cycles that it costs.
    cycles: i64,
}

impl Gain {
    /// Cycles for each byte.
    fn price(&self) -> f64 {
        self.cycles as f64 / self.bytes as f64
    }
}

impl<'a> State<'a> {
    /// The choice of these drafts; a part of all bytes is worth so much of the same part of all cycles.
    pub fn new(choices: &'a Choices, drafts: &[Option<usize>], worth: f64) -> Self {
        let users = vec![0; choices.codes.len()];
        let mut state = Self { choices, chosen: vec![None; drafts.len()], users, bytes: 0, cycles: 0, worth };
        let all = drafts.iter().enumerate().filter_map(|(layer, draft)| Some((layer, (*draft)?)));
        state.make(&all.collect::<Move>());
        state
    }

    /// The draft of each layer that has any.
    pub fn chosen(self) -> Vec<Option<usize>> {
        self.chosen
    }

    /// Bytes in all.
    pub fn flash(&self) -> usize {
        self.bytes.max(0) as usize
    }

    /// The fewest cycles for which one of some moves would save a byte.
    pub fn rate(&self, moves: &[Move]) -> f64 {
        let gains = moves.iter().map(|change| self.gain(change)).filter(|gain| gain.bytes > 0);
        gains.map(|gain| gain.price().max(0.0)).min_by(f64::total_cmp).unwrap_or(f64::INFINITY)
    }

    /// Takes off bytes for the fewest cycles until there are no more than the budget, or all layers would take more than `slowest` cycles.
    pub fn fit(&mut self, moves: &[Move], budget: usize, slowest: u64) {
        let slowest = slowest.min(i64::MAX as u64) as i64;
        self.save(moves, budget, |_| true, slowest);
        self.spend(moves, budget);
    }

    /// Tries moves that do not fit, each with those that then make room for it, for as long as that gains something.
    pub fn exchange(&mut self, moves: &[Move], budget: usize) {
        for _ in 0..MOST_EXCHANGES {
            let mut wanted: Vec<(f64, &Move)> = moves
                .iter()
                .map(|change| (self.gain(change), change))
                .filter(|(gain, _)| self.pays(gain))
                .map(|(gain, change)| (gain.cycles as f64 / (-gain.bytes).max(1) as f64, change))
                .collect();
            wanted.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            wanted.truncate(TRIED);
            let tried = wanted.into_par_iter().map(|(_, change)| self.with(change, moves, budget));
            let tried: Vec<State> = tried.flatten().collect();
            match tried.into_iter().min_by_key(|state| state.cycles) {
                Some(best) if best.cycles < self.cycles => *self = best,
                _ => return,
            }
        }
    }

    /// The choice after a move, and after others that make room for it if that can be.
    fn with(&self, change: &Move, moves: &[Move], budget: usize) -> Option<State<'a>> {
        let mut state = self.clone();
        state.make(change);
        let is_other =
            |other: &Move| other.iter().all(|(layer, _)| change.iter().all(|(own, _)| own != layer));
        state.save(moves, budget, is_other, i64::MAX); // More than is needed, perhaps, so that some can be spent again.
        state.spend(moves, budget);
        (state.flash() <= budget).then_some(state)
    }

    /// Makes those of some moves that cost the fewest cycles for each byte while there are more than the budget.
    fn save(&mut self, moves: &[Move], budget: usize, suits: impl Fn(&Move) -> bool, slowest: i64) {
        while self.flash() > budget {
            let gains = moves.iter().map(|change| (self.gain(change), change));
            let affordable = |gain: &Gain| gain.bytes > 0 && self.cycles + gain.cycles <= slowest;
            let saving = gains.filter(|(gain, change)| affordable(gain) && suits(change));
            let Some((_, change)) = saving.min_by(|(a, _), (b, _)| a.price().total_cmp(&b.price())) else {
                return;
            };
            self.make(change);
        }
    }

    /// Makes the moves that take off the most cycles and fit.
    fn spend(&mut self, moves: &[Move], budget: usize) {
        let best_within = |state: &Self| {
            let gains = moves.iter().map(|change| (state.gain(change), change));
            let fits = |gain: &Gain| state.pays(gain) && state.bytes - gain.bytes <= budget as i64;
            gains.filter(|(gain, _)| fits(gain)).min_by_key(|(gain, _)| gain.cycles).map(|(_, change)| change)
        };
        while let Some(change) = best_within(self) {
            self.make(change);
        }
    }

    /// Whether a move takes off cycles, and as many as the bytes are worth that it adds.
    fn pays(&self, gain: &Gain) -> bool {
        let part = |of: i64, all: i64| -of as f64 / all.max(1) as f64;
        gain.cycles < 0 && part(gain.cycles, self.cycles) >= self.worth * part(gain.bytes, self.bytes)
    }

    fn item(&self, layer: usize) -> Option<&'a Item> {
        Some(&self.choices.layers[layer][self.chosen[layer]?])
    }

    fn make(&mut self, change: &[(usize, usize)]) {
        let gain = self.gain(change);
        self.bytes -= gain.bytes;
        self.cycles += gain.cycles;
        for (layer, draft) in change {
            if let Some(old) = self.item(*layer) {
                self.users[old.form] -= 1;
            }
            self.users[self.choices.layers[*layer][*draft].form] += 1;
            self.chosen[*layer] = Some(*draft);
        }
    }

    fn gain(&self, change: &[(usize, usize)]) -> Gain {
        let mut gain = Gain { bytes: 0, cycles: 0 };
        let mut users: Vec<(usize, i64)> = Vec::with_capacity(4);
        let mut count = |form: usize, by: i64| match users.iter_mut().find(|(other, _)| *other == form) {
            Some((_, change)) => *change += by,
            None => users.push((form, by)),
        };
        for (layer, draft) in change {
            let new = &self.choices.layers[*layer][*draft];
            count(new.form, 1);
            gain.cycles += new.cycles;
            gain.bytes -= new.bytes;
            if let Some(old) = self.item(*layer) {
                count(old.form, -1);
                gain.cycles -= old.cycles;
                gain.bytes += old.bytes;
            }
        }
        for (form, change) in users {
            let now = self.users[form];
            gain.bytes += self.choices.code(form, now) - self.choices.code(form, now + change);
        }
        gain
    }
}
