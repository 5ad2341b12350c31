//! Offsets of elements by the strides of each dimension: what operators that move or repeat elements share.

/// Strides in elements of a dense tensor in C order.
pub fn dense_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for dim in (1..shape.len()).rev() {
        strides[dim - 1] = strides[dim] * shape[dim];
    }
    strides
}

/// For each index of `shape` in C order, the sum of its components times `strides`.
pub fn offsets(shape: &[usize], strides: &[usize]) -> Vec<usize> {
    let mut offsets = vec![0];
    for (extent, stride) in shape.iter().zip(strides) {
        let positions = |base: &usize| {
            let base = *base;
            (0..*extent).map(move |i| base + i * stride)
        };
        offsets = offsets.iter().flat_map(positions).collect();
    }
    offsets
}

/// Strides with which a dense tensor of `shape` is read as one of `wide`, which it broadcasts to: 0 where it repeats.
pub fn broadcast_strides(shape: &[usize], wide: &[usize]) -> Vec<usize> {
    let missing = wide.len() - shape.len();
    let dense = dense_strides(shape);
    let stride = |dim: usize| match dim.checked_sub(missing) {
        Some(own) if shape[own] > 1 => dense[own],
        _ => 0,
    };
    (0..wide.len()).map(stride).collect()
}

/// The shape that both broadcast to: dimensions are aligned at the last, and an extent of 1 repeats.
pub fn broadcast_shape(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let extent = |shape: &[usize], dim: usize| match (dim + shape.len()).checked_sub(rank) {
        Some(own) => shape[own],
        None => 1,
    };
    let common = |dim| match (extent(a, dim), extent(b, dim)) {
        (1, n) | (n, 1) => Some(n),
        (n, m) => (n == m).then_some(n),
    };
    (0..rank).map(common).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_aligns_the_last_dimensions() {
        assert_eq!(broadcast_shape(&[2, 1, 4], &[3, 1]), Some(vec![2, 3, 4]));
        assert_eq!(broadcast_shape(&[2, 3], &[2]), None);
        assert_eq!(broadcast_shape(&[], &[5]), Some(vec![5]));
        assert_eq!(broadcast_strides(&[3, 1], &[2, 3, 4]), [0, 1, 0]);
    }

    #[test]
    fn offsets_follow_c_order() {
        assert_eq!(offsets(&[2, 3], &[1, 2]), [0, 2, 4, 1, 3, 5]);
        assert_eq!(offsets(&[], &[]), [0]);
        assert_eq!(dense_strides(&[2, 3, 4]), [12, 4, 1]);
    }
}
