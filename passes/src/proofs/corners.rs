//! Corners of a set of points: of all that lie on one side of a line, those that some rising line touches first.
//!
//! A step function has up to 255 thresholds; which of them limit a line that has to pass between them is decided by a handful.

/// A value and the accumulator that it is for.
pub type Point = (i32, i32);

/// Which side of a line the points are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The line passes above them or through them.
    Below,
    /// The line passes below them.
    Above,
}

/// The corners of points whose accumulators never fall: whatever the slope of a line, one of those that it touches first is among them.
/// Negative accumulators have corners of their own, as a line may lie higher or lower there.
pub fn corners(points: impl Iterator<Item = Point>, side: Side) -> Vec<Point> {
    let mut corners: Vec<Point> = Vec::new();
    let mut first = 0; // Of those on this side of zero.
    for point in points {
        if let Some((_, before)) = corners.last()
            && *before < 0
            && point.1 >= 0
        {
            first = corners.len();
        }
        while let [.., from, last] = &corners[first..]
            && is_within(*from, *last, point, side)
        {
            corners.pop();
        }
        corners.push(point);
    }
    corners
}

/// Whether the second of three points is touched by no line before the others.
fn is_within(from: Point, point: Point, to: Point, side: Side) -> bool {
    let apart = |(v, a): Point, (from_v, from_a): Point| {
        (i64::from(v) - i64::from(from_v), i64::from(a) - i64::from(from_a))
    };
    let ((v, a), (all_v, all_a)) = (apart(point, from), apart(to, from));
    match side {
        Side::Below => v * all_a <= all_v * a,
        Side::Above => v * all_a >= all_v * a,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the slope, the corners are as far to each side of a line as all points.
        #[test]
        fn corners_are_touched_first(
            start in -50i32..20,
            steps in proptest::collection::vec((0i32..3, 0i32..9), 1..40),
            slopes in proptest::collection::vec((0i64..40, 1i64..40), 8),
        ) {
            let mut at = (0, start);
            let follow = |(v, a): (i32, i32)| { at = (at.0 + v, at.1 + a); at };
            let points: Vec<Point> = steps.into_iter().map(follow).collect();
            let sides: [(Side, i64); 2] = [(Side::Below, 1), (Side::Above, -1)];
            for (side, sign) in sides {
                let corners = corners(points.iter().copied(), side);
                prop_assert!(corners.iter().all(|corner| points.contains(corner)));
                for (rise, run) in &slopes {
                    for is_negative in [false, true] {
                        let height = |(v, a): &Point| sign * (i64::from(*v) * run - i64::from(*a) * rise);
                        let of_half = |points: &[Point]| {
                            points.iter().filter(|(_, a)| (*a < 0) == is_negative).map(height).max()
                        };
                        prop_assert_eq!(of_half(&corners), of_half(&points), "{:?} {}/{}", side, rise, run);
                    }
                }
            }
        }
    }
}
