//! Which draft each layer gets: about the fastest of each, then smaller ones until all fit.
//!
//! Layers whose drafts are of one form share their code, so it is charged once for all of them. How drafts are exchanged until all fit is said in
//! [`state`].

mod state;

use self::state::{Choices, State, moves};

/// What smaller code may cost at most where there is room.
const SLOWER_BY_PERCENT: u64 = 3;
/// What a part of all bytes is worth of the same part of all cycles where nobody says how many bytes there are: a percent more for less than half a
/// percent is not worth it.
const WORTH: f64 = 0.5;
/// Bytes that a layer takes beside its code and constants, at most: its call, and gaps before what is aligned.
const GLUE_BYTES: usize = 12;
/// Bytes that a layer takes that shares its code: it passes a table of numbers.
pub const MEMBER_BYTES: usize = 64;

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
    /// Cycles that the next byte less would cost.
    pub rate: f64,
    /// Bytes of all layers, if all those of one form share their code.
    pub flash: usize,
}

/// Bytes that layers are to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// All layers are to take at most so many bytes, whatever that costs.
    Hard(usize),
    /// Wishes, one after the other, on none of which anybody insists.
    Soft([Wish; 2]),
}

impl Limit {
    /// The same for fewer bytes, or for more where their number is negative.
    pub fn less(self, bytes: i64) -> Self {
        let less = |limit: usize| (limit as i64).saturating_sub(bytes).max(0) as usize;
        match self {
            Limit::Hard(limit) => Limit::Hard(less(limit)),
            Limit::Soft(wishes) => Limit::Soft(wishes.map(|wish| Wish { bytes: less(wish.bytes), ..wish })),
        }
    }

    /// Bytes that are enough for all of it.
    pub fn least(self) -> usize {
        match self {
            Limit::Hard(limit) => limit,
            Limit::Soft(wishes) => wishes.iter().map(|wish| wish.bytes).min().unwrap_or(0),
        }
    }

    /// How many of the limits so many bytes exceed, and by how many those that a choice was thought to keep to in this room.
    pub fn missed(self, room: Limit, thought: usize, taken: usize) -> (usize, usize) {
        let (limits, rooms) = (self.bytes(), room.bytes());
        let exceeded = limits.iter().filter(|limit| taken > **limit).count();
        let kept = limits.iter().zip(rooms).filter(|(_, room)| thought <= *room);
        (exceeded, kept.map(|(limit, _)| taken.saturating_sub(*limit)).max().unwrap_or(0))
    }

    fn bytes(self) -> Vec<usize> {
        match self {
            Limit::Hard(limit) => vec![limit],
            Limit::Soft(wishes) => wishes.map(|wish| wish.bytes).to_vec(),
        }
    }
}

/// That so many bytes are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    let choices = Choices::new(layers);
    let begin: Vec<Option<usize>> = layers.iter().map(|prices| best(prices)).collect();
    let worth = if matches!(limit, Limit::Soft(_)) { WORTH } else { 0.0 };
    let mut now = State::new(&choices, &begin, worth);
    let is_short = budgets.iter().any(|(bytes, _)| now.flash() > *bytes);
    let moves = if is_short { moves(layers) } else { Vec::new() };
    for (budget, slowest) in budgets {
        if now.flash() > budget {
            now.fit(&moves, budget, slowest);
            now.exchange(&moves, budget);
        }
    }
    // Where nothing is small enough, every byte counts.
    let is_missed = matches!(limit, Limit::Hard(most) if now.flash() > most);
    let rate = if is_missed { f64::INFINITY } else { now.rate(&moves) };
    Chosen { is_short, rate, flash: now.flash(), drafts: now.chosen() }
}

/// The smallest of the drafts that are about as fast as the fastest.
fn best(prices: &[Price]) -> Option<usize> {
    let fastest = prices.iter().map(|price| price.cycles).min()?;
    let about = |price: &Price| price.cycles * 100 <= fastest * (100 + SLOWER_BY_PERCENT);
    let fast = prices.iter().enumerate().filter(|(_, price)| about(price));
    fast.min_by_key(|(_, price)| (price.flash(), price.cycles)).map(|(draft, _)| draft)
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

    #[test]
    fn a_move_that_does_not_fit_stays_where_others_make_room_for_less() {
        let [first, second] = [2000, 3000].map(|cycles| [price(cycles, 50), price(cycles + 200, 25)]);
        let chosen = |slower: u64| {
            let large = [price(1000, 100), price(1000 + slower, 60)];
            chosen(&[&first, &second, &large], 160)
        };
        // Bytes of the last layer are the cheapest, and one move suffices.
        assert_eq!(chosen(300), [Some(0), Some(0), Some(1)]);
        // They are dearer than those of the others, of which both are needed.
        assert_eq!(chosen(500), [Some(1), Some(1), Some(0)]);
        // One move for bytes that are a little dearer does for two.
        assert_eq!(chosen(350), [Some(0), Some(0), Some(1)]);
    }

    #[test]
    fn room_is_left_where_nobody_says_how_much_there_is_and_it_brings_little() {
        // Half of the bytes of the second layer have to go. The first one could have more again for a little.
        let layers = [vec![price(1000, 500), price(1100, 400)], vec![price(9000, 900), price(9500, 450)]];
        let wish = Wish { bytes: 950 + 2 * GLUE_BYTES, slower_by_permille: 250 };
        let draft = |limit: Limit| choose(&layers, limit).drafts;
        assert_eq!(draft(Limit::Soft([wish; 2])), [Some(1), Some(1)]);
        assert_eq!(draft(Limit::Hard(wish.bytes)), [Some(0), Some(1)]);
    }

    #[test]
    fn what_is_missed_is_told_by_the_limits_that_were_kept_to() {
        let limit = Limit::Soft(
            [(50, 30), (100, 250)].map(|(bytes, slower)| Wish { bytes, slower_by_permille: slower }),
        );
        assert_eq!(limit.missed(limit, 45, 47), (0, 0));
        assert_eq!(limit.missed(limit, 45, 53), (1, 3));
        assert_eq!(limit.missed(limit, 95, 99), (1, 0)); // The first wish was given up.
        assert_eq!(limit.missed(limit.less(5), 95, 104), (2, 4));
        assert_eq!(limit.missed(limit.less(-5), 105, 104), (2, 4));
        assert_eq!(Limit::Hard(70).missed(Limit::Hard(60), 65, 90), (1, 0));
        assert_eq!(Limit::Hard(10).less(20), Limit::Hard(0));
    }
}
