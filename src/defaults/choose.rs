//! Which draft each layer gets: about the fastest of each, then smaller ones until all fit.
//!
//! Layers whose drafts are of one form share their code, so it is charged once for all of them. A move gives other drafts to one layer, or to
//! all layers that then share a code. While there is too much, the move is made that costs the fewest cycles for each byte
//! that it saves; what is left of the budget then goes to the moves that gain the most.

use std::collections::BTreeMap;

/// What smaller code may cost at most where there is room.
const SLOWER_BY_PERCENT: u64 = 3;
/// How much slower than with its fastest draft a layer is at most that is hardly slower.
const CLOSE_PERCENT: u64 = 5;
/// Bytes that a layer takes beside its code and constants, at most: its call, and gaps before what is aligned.
const GLUE_BYTES: usize = 32;
/// Bytes that a layer takes that shares its code: it passes a table of numbers.
const MEMBER_BYTES: usize = 64;

/// What decides the code of a nest.
pub type Body = [u8; 32];

/// The form of a nest, whatever the types of its tables: drafts of one form can share their code.
pub type Form = [u8; 32];

/// What a draft costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Predicted cycles.
    pub cycles: u64,
    /// Bytes of code.
    pub code: usize,
    /// Bytes of constants.
    pub constants: usize,
    /// The code.
    pub body: Body,
    /// What it is but for its numbers.
    pub form: Form,
}

impl Price {
    /// Bytes of a layer with code of its own.
    pub fn flash(&self) -> usize {
        self.code + self.constants + GLUE_BYTES
    }
}

/// What is chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// A draft for each layer that has any.
    pub drafts: Vec<Option<usize>>,
    /// Whether some layer would have got another draft if there were more room.
    pub is_short: bool,
    /// The most cycles that were paid for a byte.
    pub rate: f64,
    /// Cycles that all layers may take more if that saves bytes which are too many.
    pub spare: u64,
    /// Bytes of all layers, if all those of one form share their code.
    pub flash: usize,
}

/// Bytes that layers are to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// All layers are to take at most so many bytes, whatever that costs.
    Hard(usize),
    /// Wishes, one after the other, on none of which anybody insists.
    Soft([Wish; 2]),
}

impl Limit {
    /// The same for fewer bytes.
    pub fn less(self, bytes: usize) -> Self {
        match self {
            Limit::Hard(limit) => Limit::Hard(limit.saturating_sub(bytes)),
            Limit::Soft(wishes) => {
                Limit::Soft(wishes.map(|wish| Wish { bytes: wish.bytes.saturating_sub(bytes), ..wish }))
            }
        }
    }

    /// Bytes that are enough for all of it.
    pub fn least(self) -> usize {
        match self {
            Limit::Hard(limit) => limit,
            Limit::Soft(wishes) => wishes.iter().map(|wish| wish.bytes).min().unwrap_or(0),
        }
    }

    /// By how many bytes what is within misses after all, as it takes more than it was thought to.
    pub fn excess(self, thought: usize, taken: usize) -> usize {
        let excess = |limit: usize| if thought <= limit { taken.saturating_sub(limit) } else { 0 };
        match self {
            Limit::Hard(limit) => excess(limit),
            Limit::Soft(wishes) => wishes.iter().map(|wish| excess(wish.bytes)).max().unwrap_or(0),
        }
    }
}

/// That so many bytes are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Bytes of all layers.
    pub bytes: usize,
    /// How much slower all layers together may be for it than as fast as they can be.
    pub slower_by_permille: u64,
}

/// Drafts for layers, which take at most so many bytes if that can be.
pub fn choose(layers: &[Vec<Price>], limit: Limit) -> Chosen {
    let fastest: u64 = layers.iter().filter_map(|prices| prices.iter().map(|price| price.cycles).min()).sum();
    let most = |wish: Wish| (wish.bytes, fastest * (1000 + wish.slower_by_permille) / 1000);
    let budgets = match limit {
        Limit::Hard(bytes) => vec![(bytes, u64::MAX)],
        Limit::Soft(wishes) => wishes.map(most).to_vec(),
    };
    let slowest = budgets.iter().map(|(_, slowest)| *slowest).max().unwrap_or(0);
    let mut now = State::new(layers);
    let is_short = budgets.iter().any(|(bytes, _)| now.flash > *bytes);
    let moves = if is_short { moves(layers) } else { Vec::new() };
    for (budget, slowest) in budgets {
        if now.flash > budget {
            now.fit(&moves, budget, slowest);
        }
    }
    let spare = slowest.saturating_sub(now.cycles());
    Chosen { drafts: now.chosen, is_short, rate: now.rate, spare, flash: now.flash }
}

/// The smallest of the drafts that are about as fast as the fastest.
fn best(prices: &[Price]) -> Option<usize> {
    let fastest = prices.iter().map(|price| price.cycles).min()?;
    let about = |price: &Price| price.cycles * 100 <= fastest * (100 + SLOWER_BY_PERCENT);
    let fast = prices.iter().enumerate().filter(|(_, price)| about(price));
    fast.min_by_key(|(_, price)| (price.flash(), price.cycles)).map(|(draft, _)| draft)
}

/// Layers, each with the draft that it is to get.
type Move = Vec<(usize, usize)>;

/// Every draft for its layer alone, and every form for all layers that can have it, and for those that are hardly slower with it.
fn moves(layers: &[Vec<Price>]) -> Vec<Move> {
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

/// The choice so far.
struct State<'a> {
    layers: &'a [Vec<Price>],
    chosen: Vec<Option<usize>>,
    /// The bytes of each code, and the layers that have it.
    codes: BTreeMap<Form, (usize, usize)>,
    /// Bytes in all.
    flash: usize,
    /// The most cycles that a move cost for each byte that it saved.
    rate: f64,
}

/// What a move brings.
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
    fn new(layers: &'a [Vec<Price>]) -> Self {
        let mut codes = BTreeMap::new();
        for price in layers.iter().flatten() {
            let (bytes, _) = codes.entry(price.form).or_insert((0, 0));
            *bytes = price.code.max(*bytes);
        }
        let mut state = State { layers, chosen: vec![None; layers.len()], codes, flash: 0, rate: 0.0 };
        let best = layers.iter().enumerate().filter_map(|(layer, prices)| Some((layer, best(prices)?)));
        state.make(&best.collect());
        state
    }

    /// Cycles of all layers.
    fn cycles(&self) -> u64 {
        (0..self.layers.len()).filter_map(|layer| self.price(layer)).map(|price| price.cycles).sum()
    }

    /// Takes off bytes for the fewest cycles until there are no more than the budget, or all layers would take more than `slowest` cycles.
    fn fit(&mut self, moves: &[Move], budget: usize, slowest: u64) {
        while self.flash > budget {
            let saving =
                moves.iter().map(|change| (self.gain(change), change)).filter(|(gain, _)| gain.bytes > 0);
            let cycles = self.cycles() as i64;
            let affordable = |gain: &Gain| cycles + gain.cycles <= slowest.min(i64::MAX as u64) as i64;
            let saving = saving.filter(|(gain, _)| affordable(gain));
            let Some((gain, change)) = saving.min_by(|(a, _), (b, _)| a.price().total_cmp(&b.price())) else {
                break;
            };
            self.rate = self.rate.max(gain.price());
            self.make(change);
        }
        while let Some(change) = self.best_within(moves, budget) {
            self.make(change);
        }
    }

    fn price(&self, layer: usize) -> Option<&'a Price> {
        Some(&self.layers[layer][self.chosen[layer]?])
    }

    fn make(&mut self, change: &Move) {
        self.flash = (self.flash as i64 - self.gain(change).bytes) as usize;
        for (layer, draft) in change {
            let old = self.price(*layer).map(|price| price.form);
            old.into_iter().for_each(|form| self.codes.get_mut(&form).expect("all are known").1 -= 1);
            self.codes.get_mut(&self.layers[*layer][*draft].form).expect("all are known").1 += 1;
            self.chosen[*layer] = Some(*draft);
        }
    }

    fn gain(&self, change: &Move) -> Gain {
        let mut gain = Gain { bytes: 0, cycles: 0 };
        let mut users: BTreeMap<Form, i64> = BTreeMap::new();
        for (layer, draft) in change {
            let new = &self.layers[*layer][*draft];
            let (old_cycles, old_bytes) = self.price(*layer).map_or((0, 0), |old| {
                *users.entry(old.form).or_default() -= 1;
                (old.cycles, old.constants + GLUE_BYTES)
            });
            *users.entry(new.form).or_default() += 1;
            gain.cycles += new.cycles as i64 - old_cycles as i64;
            gain.bytes += old_bytes as i64 - (new.constants + GLUE_BYTES) as i64;
        }
        for (form, change) in users {
            let (code, now) = self.codes[&form];
            let bytes = |users: i64| match users {
                0 => 0,
                1 => code as i64,
                _ => code as i64 + users * MEMBER_BYTES as i64,
            };
            gain.bytes += bytes(now as i64) - bytes(now as i64 + change);
        }
        gain
    }

    /// The move that takes off the most cycles and fits.
    fn best_within<'m>(&self, moves: &'m [Move], budget: usize) -> Option<&'m Move> {
        let gains = moves.iter().map(|change| (self.gain(change), change));
        let fits = |gain: &Gain| gain.cycles < 0 && self.flash as i64 - gain.bytes <= budget as i64;
        gains.filter(|(gain, _)| fits(gain)).min_by_key(|(gain, _)| gain.cycles).map(|(_, change)| change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A draft whose code is like that of no other.
    fn price(cycles: u64, code: usize) -> Price {
        let mut form = [0; 32];
        form[..8].copy_from_slice(&(cycles * 1000 + code as u64).to_le_bytes());
        Price { cycles, code, constants: 0, body: form, form }
    }

    /// The same with this code.
    fn with_form(price: Price, form: u8) -> Price {
        Price { body: [form; 32], form: [form; 32], ..price }
    }

    fn chosen(layers: &[&[Price]], budget: usize) -> Vec<Option<usize>> {
        let layers: Vec<Vec<Price>> = layers.iter().map(|prices| prices.to_vec()).collect();
        choose(&layers, Limit::Hard(budget + layers.len() * GLUE_BYTES)).drafts
    }

    /// Two layers: the first has a small draft that is much slower, the second one that is a little slower.
    fn two(budget: usize) -> Vec<Option<usize>> {
        let first = [price(100, 90), price(300, 30)];
        chosen(&[&first, &[price(200, 80), price(240, 40), price(203, 79)]], budget)
    }

    #[test]
    fn about_the_fastest_is_chosen_where_everything_fits() {
        assert_eq!(two(usize::MAX / 2), [Some(0), Some(2)]);
        assert_eq!(two(169), [Some(0), Some(2)]);
    }

    #[test]
    fn a_budget_takes_the_cheapest_cycles_first() {
        assert_eq!(two(168), [Some(0), Some(1)]);
        assert_eq!(two(110), [Some(1), Some(0)]); // Not the small ones of both: what fits after all is taken back.
        assert_eq!(two(90), [Some(1), Some(1)]);
    }

    #[test]
    fn a_budget_that_cannot_be_met_gives_the_smallest() {
        assert_eq!(two(1), [Some(1), Some(1)]);
        assert_eq!(chosen(&[&[]], 1), [None]);
    }

    #[test]
    fn nobody_insists_on_a_soft_budget() {
        let layers = [vec![price(1000, 90), price(1080, 60), price(3000, 30)], vec![price(9000, 50)]];
        let soft = |percent: [u64; 2]| {
            let wishes = percent.map(|slower_by_permille| Wish { bytes: 1, slower_by_permille });
            choose(&layers, Limit::Soft(wishes)).drafts
        };
        assert_eq!(soft([30, 30]), [Some(1), Some(0)]);
        assert_eq!(soft([0, 250]), [Some(2), Some(0)]);
        assert_eq!(soft([0, 0]), [Some(0), Some(0)]);
        assert_eq!(choose(&layers, Limit::Hard(1)).drafts, [Some(2), Some(0)]);
    }

    #[test]
    fn layers_that_share_their_code_pay_for_it_once() {
        let layer = [with_form(price(100, 900), 1), with_form(price(400, 500), 2)];
        assert_eq!(chosen(&[&layer, &layer, &layer], 900 + 3 * MEMBER_BYTES), [Some(0); 3]);
    }

    #[test]
    fn layers_that_share_their_code_move_together() {
        let layer = [with_form(price(100, 900), 1), with_form(price(400, 500), 2)];
        assert_eq!(chosen(&[&layer, &layer], 500 + 2 * MEMBER_BYTES), [Some(1); 2]);
    }
}
