//! Where random nests come from: a list of numbers. A shorter list, or smaller numbers, give a smaller nest, so that
//! failures shrink without knowing what a nest is.

/// Numbers that decide one thing after the other; behind the last one come zeros.
pub struct Choices {
    numbers: Vec<u32>,
    at: usize,
}

impl Choices {
    /// What these numbers decide.
    pub fn new(numbers: &[u32]) -> Self {
        Self { numbers: numbers.to_vec(), at: 0 }
    }

    /// From 0 up to `n`, `n` not included.
    pub fn below(&mut self, n: u32) -> u32 {
        let number = self.numbers.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        number % n
    }

    /// True once in `n` times; never where the numbers are used up.
    pub fn once_in(&mut self, n: u32) -> bool {
        self.below(n) == n - 1
    }

    /// One of them; the first where the numbers are used up.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u32) as usize]
    }
}

/// The numbers of a seed: xorshift64 (Marsaglia 2003, shifts 13, 7, 17), upper halves.
pub fn numbers(seed: u64, n: usize) -> Vec<u32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u32
    };
    (0..n).map(|_| next()).collect()
}

/// The shortest and smallest numbers that still fail, as far as `tries` tries find them.
pub fn shrink(mut numbers: Vec<u32>, mut tries: u32, fails: &mut dyn FnMut(&[u32]) -> bool) -> Vec<u32> {
    let mut size = numbers.len().next_power_of_two() / 2;
    while size > 0 {
        let mut from = 0;
        while from < numbers.len() && tries > 0 {
            let to = (from + size).min(numbers.len());
            let without: Vec<u32> = numbers[..from].iter().chain(&numbers[to..]).copied().collect();
            let mut zeroed = numbers.clone();
            zeroed[from..to].fill(0);
            tries -= 1;
            if fails(&without) {
                numbers = without;
            } else {
                if zeroed != numbers && fails(&zeroed) {
                    numbers = zeroed;
                }
                from = to;
            }
        }
        size /= 2;
    }
    numbers
}
