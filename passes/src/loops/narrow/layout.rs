//! Where the bytes of pairs lie in memory: two apart, as SXTB16 takes them from a word.
//!
//! ```text
//! pairs (a, b) (b, c) (d, e) (e, f)
//! two in a word:  a b b c  d e e f                      // Each pair by itself: a . b . and . b . c
//! tight:          a d b e c f                           // What pairs have in common lies there once.
//! ```
//!
//! Tight, pairs that follow each other are a chain of bytes, each two behind the one before. Chains fill the even and the odd positions of a
//! row where they have two halves of one length; else a row has an odd number of bytes, and every second byte of row after row reaches all:
//! chains run on into the next row, through the positions that its own leave.

/// What one half of pairs holds, by number.
pub type Half = usize;

/// Bytes between those of a pair, plus one.
const APART: usize = 2;
/// Bytes of a word.
const WORD: usize = 4;
/// Bits of a byte.
const BYTE_BITS: i32 = 8;

/// The bytes of a row of pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes from row to row.
    pub stride: usize,
    /// What lies where, nothing perhaps; positions from `stride` on are in the next row.
    pub bytes: Vec<(usize, Option<Half>)>,
    /// The position of the first byte of each pair.
    pairs: Vec<usize>,
    /// Where the words that are read begin, in order.
    words: Vec<usize>,
}

impl Layout {
    /// Two pairs in each word.
    pub fn in_words(pairs: &[[Half; 2]]) -> Self {
        let place = |n: usize| n / APART * WORD + n % APART;
        let halves = |n: usize| pairs.get(n).map_or([None; 2], |pair| pair.map(Some));
        let row = pairs.len().next_multiple_of(APART);
        let both = |n: usize| (0..APART).map(move |half| (place(n) + APART * half, halves(n)[half]));
        let mut bytes: Vec<(usize, Option<Half>)> = (0..row).flat_map(both).collect();
        bytes.sort_unstable();
        Self::new(APART * row, bytes, (0..pairs.len()).map(place).collect())
    }

    /// No byte that another one is the same as, as far as pairs follow each other.
    pub fn tight(pairs: &[[Half; 2]]) -> Self {
        let chains = chains(pairs);
        let all: usize = chains.iter().map(Vec::len).sum();
        let (stride, starts) = match halved(&chains) {
            Some(starts) => (all, starts),
            None => {
                let stride = all | 1;
                let before = chains.iter().scan(0, |before, chain| {
                    *before += chain.len();
                    Some(*before - chain.len())
                });
                (stride, before.map(|before| APART * before % stride).collect())
            }
        };
        let along = |(chain, start): (&Vec<Half>, &usize)| {
            let start = *start;
            let place = move |(at, half): (usize, &Half)| (start + APART * at, Some(*half));
            chain.iter().enumerate().map(place).collect::<Vec<_>>()
        };
        let bytes: Vec<(usize, Option<Half>)> = chains.iter().zip(&starts).flat_map(along).collect();
        let of_pair = |[low, high]: &[Half; 2]| {
            let follows = |two: &&[(usize, Option<Half>)]| {
                two[0].1 == Some(*low) && two[1].1 == Some(*high) && two[0].0 + APART == two[1].0
            };
            bytes.windows(2).find(follows).expect("each pair is part of a chain")[0].0
        };
        let places = pairs.iter().map(of_pair).collect();
        let empty = (all < stride).then_some((APART * all % stride, None));
        Self::new(stride, bytes.iter().copied().chain(empty).collect(), places)
    }

    fn new(stride: usize, bytes: Vec<(usize, Option<Half>)>, pairs: Vec<usize>) -> Self {
        let mut places = pairs.clone();
        places.sort_unstable();
        let mut words: Vec<usize> = Vec::new();
        for place in places {
            if words.last().is_none_or(|last| last + 1 < place) {
                let even = stride.is_multiple_of(APART); // Then it costs nothing to begin at a halfword.
                words.push(if even { place - place % APART } else { place });
            }
        }
        Self { stride, bytes, pairs, words }
    }

    /// Bytes from the start of a row to the end of all that is read for it, or lies there.
    pub fn end(&self) -> usize {
        let bytes = self.bytes.iter().map(|(place, _)| place + 1);
        bytes.chain(self.words.iter().map(|word| word + WORD)).max().unwrap_or(0)
    }

    /// Where the word with a pair begins, and by how many bits it is rotated.
    pub fn word(&self, pair: usize) -> (usize, i32) {
        let place = self.pairs[pair];
        let of = self.words.partition_point(|word| *word <= place) - 1;
        (self.words[of], BYTE_BITS * (place - self.words[of]) as i32)
    }
}

/// Chains in which each pair follows each other somewhere: few and long.
fn chains(pairs: &[[Half; 2]]) -> Vec<Vec<Half>> {
    let mut chains: Vec<Vec<Half>> = Vec::new();
    for [low, high] in pairs {
        if let Some(chain) = chains.iter_mut().find(|chain| chain.last() == Some(low)) {
            chain.push(*high);
        } else if let Some(chain) = chains.iter_mut().find(|chain| chain.first() == Some(high)) {
            chain.insert(0, *low);
        } else {
            chains.push(vec![*low, *high]);
        }
    }
    let joint = |chains: &[Vec<Half>]| {
        let all = |first: usize| (0..chains.len()).map(move |second| (first, second));
        (0..chains.len())
            .flat_map(all)
            .find(|(first, second)| first != second && chains[*first].last() == chains[*second].first())
    };
    while let Some((first, second)) = joint(&chains) {
        let rest = chains[second][1..].to_vec();
        chains[first].extend(rest);
        chains.remove(second);
    }
    chains
}

/// Where each chain starts if some are as long as all others together: those at even positions, the others at odd ones.
fn halved(chains: &[Vec<Half>]) -> Option<Vec<usize>> {
    let all: usize = chains.iter().map(Vec::len).sum();
    let half = all.is_multiple_of(APART).then_some(all / APART)?;
    // Of each length that the first chains can have together, which ones they are.
    let mut sums: Vec<Option<Vec<usize>>> = vec![None; half + 1];
    sums[0] = Some(Vec::new());
    for (at, chain) in chains.iter().enumerate() {
        for sum in (chain.len()..=half).rev() {
            if sums[sum].is_none()
                && let Some(without) = &sums[sum - chain.len()]
            {
                sums[sum] = Some(without.iter().copied().chain([at]).collect());
            }
        }
    }
    let evens = sums[half].as_ref()?;
    let mut ends = [0, 1];
    let start = |(at, chain): (usize, &Vec<Half>)| {
        let end = &mut ends[usize::from(!evens.contains(&at))];
        *end += APART * chain.len();
        *end - APART * chain.len()
    };
    Some(chains.iter().enumerate().map(start).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that rows do not lie on each other and that each pair is where the layout says, in memory of many rows; gives the stride.
    fn checked(layout: &Layout, pairs: &[[Half; 2]]) -> usize {
        const ROWS: usize = 5;
        let mut memory = vec![None; ROWS * layout.stride + layout.end()];
        for row in 0..ROWS {
            for (place, half) in &layout.bytes {
                let at = &mut memory[row * layout.stride + place];
                assert_eq!(*at, None, "{layout:?}");
                *at = Some((row, *half));
            }
        }
        for row in 0..ROWS {
            for (at, pair) in pairs.iter().enumerate() {
                let (word, turned) = layout.word(at);
                let from = row * layout.stride + word + turned as usize / 8;
                assert!(turned == 0 || turned == 8);
                assert_eq!([memory[from], memory[from + 2]], pair.map(|half| Some((row, Some(half)))));
            }
        }
        layout.stride
    }

    /// The pairs of `rows` rows of `taps` that follow each other.
    fn window(rows: usize, taps: usize) -> Vec<[Half; 2]> {
        let of_row = |row: usize| (0..taps - 1).map(move |tap| [row * taps + tap, row * taps + tap + 1]);
        (0..rows).flat_map(of_row).collect()
    }

    #[test]
    fn a_window_takes_as_many_bytes_as_it_has_taps() {
        for (rows, taps) in [(3, 3), (5, 5), (7, 7), (1, 3), (4, 3), (2, 5), (1, 2)] {
            let pairs = window(rows, taps);
            assert_eq!(checked(&Layout::tight(&pairs), &pairs), (rows * taps).max(2 | 1));
        }
    }

    #[test]
    fn two_pairs_fill_a_word() {
        let pairs = window(3, 3);
        assert_eq!(checked(&Layout::in_words(&pairs), &pairs), 12);
        assert_eq!(checked(&Layout::in_words(&pairs[1..]), &pairs[1..]), 12);
    }

    #[test]
    fn any_pairs_are_found() {
        let mut seed = 1u32;
        for size in 1..60 {
            let mut pairs = Vec::new();
            for _ in 0..size {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let pair = [(seed >> 16) as usize % 24, (seed >> 24) as usize % 24];
                if !pairs.contains(&pair) {
                    pairs.push(pair);
                }
            }
            checked(&Layout::tight(&pairs), &pairs);
            checked(&Layout::in_words(&pairs), &pairs);
        }
    }
}
