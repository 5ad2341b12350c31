//! The algorithms: three matrices each, for windows of three in one dimension.
//!
//! Outputs `y` of a window `d` with taps `g`: `scale y = output ((weights g) * (input d))`, where `*` multiplies element by element. In two
//! dimensions each matrix is its Kronecker product with itself, and the scale its square. All entries are whole numbers: the
//! denominators of the literature (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015) are multiplied
//! into rows of `weights`, and where halfwords would not hold these, into a column of `output`.

use super::super::basis::Basis;

/// The taps of a window in one dimension.
pub const TAPS: usize = 3;

/// How to compute some outputs of a window at once.
#[derive(Clone, Debug)]
pub struct Algorithm {
    /// Outputs in one dimension.
    pub outputs: usize,
    /// From a window of inputs to its transform.
    pub input: Basis,
    /// From the taps to theirs.
    pub weights: Basis,
    /// From the products to the outputs times `scale`.
    pub output: Basis,
    /// What the outputs are multiplied by.
    pub scale: i64,
}

/// The position of the transform, in one dimension, that is added to every output as it is.
pub const EVERYWHERE: usize = 1;

impl Algorithm {
    /// The one for this many outputs in one dimension, if there is one.
    #[rustfmt::skip] // Matrices look like matrices.
    pub fn of(outputs: u32) -> Option<Algorithm> {
        match outputs {
            2 => Some(Algorithm {
                outputs: 2,
                input: Basis::of(&[
                    [1,  0, -1,  0],
                    [0,  1,  1,  0],
                    [0, -1,  1,  0],
                    [0,  1,  0, -1],
                ]),
                weights: Basis::of(&[[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]]),
                output: Basis::of(&[[1, 1, 1, 0], [0, 1, -1, -1]]),
                scale: 2,
            }),
            4 => Some(Algorithm {
                outputs: 4,
                input: Basis::of(&[
                    [4,  0, -5,  0, 1, 0],
                    [0, -4, -4,  1, 1, 0],
                    [0,  4, -4, -1, 1, 0],
                    [0, -2, -1,  2, 1, 0],
                    [0,  2, -1, -2, 1, 0],
                    [0,  4,  0, -5, 0, 1],
                ]),
                weights: Basis::of(&[
                    [6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 1],
                ]),
                output: Basis::of(&[
                    [1, 1,  1, 1,  1, 0],
                    [0, 1, -1, 2, -2, 0],
                    [0, 1,  1, 4,  4, 0],
                    [0, 1, -1, 8, -8, 24],
                ]),
                scale: 24,
            }),
            _ => None,
        }
    }

    /// Inputs, and products, of a window in one dimension.
    pub fn inputs(&self) -> usize {
        self.outputs + TAPS - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sides are linear in the taps and in the window: equal on units, they are equal.
    #[test]
    fn outputs_are_sums_of_products_times_the_scale() {
        for outputs in [2, 4] {
            let algorithm = Algorithm::of(outputs).unwrap();
            for (tap, at) in (0..TAPS).flat_map(|tap| (0..algorithm.inputs()).map(move |at| (tap, at))) {
                let unit = |len: usize, one: usize| (0..len).map(|n| i64::from(n == one)).collect::<Vec<_>>();
                let weights = algorithm.weights.apply(&unit(TAPS, tap));
                let inputs = algorithm.input.apply(&unit(algorithm.inputs(), at));
                let products: Vec<i64> = weights.iter().zip(&inputs).map(|(w, x)| w * x).collect();
                let wanted: Vec<i64> =
                    (0..algorithm.outputs).map(|y| algorithm.scale * i64::from(y + tap == at)).collect();
                assert_eq!(algorithm.output.apply(&products), wanted, "F({outputs}) tap {tap} input {at}");
            }
        }
        assert!(Algorithm::of(3).is_none());
    }

    #[test]
    fn one_position_counts_once_everywhere() {
        for outputs in [2, 4] {
            let algorithm = Algorithm::of(outputs).unwrap();
            assert!(algorithm.output.rows().iter().all(|row| row[EVERYWHERE] == 1));
        }
    }
}
