//! How far the buffers of a layer may lie on each other: when each byte is touched for the last and for the first time.
//!
//! ```text
//! for p in 0..4 { for n in 0..2 { … y[p, n] = … x[p, k] … } }    // x: i8[4, 3], y: i8[4, 2]
//! => y may begin where x does, or anywhere before: what it writes over has been read by then
//! ```
//!
//! Where `d` is the distance from the start of `x` to the start of `y`, both may share memory if every byte that they have in
//! common is left by `x` before `y` writes it. That is all that code needs which keeps the order of accesses to one address.
//! [`accesses`] and [`order`] say what is touched and in which order, [`touches`] when, and this file what distances follow.
//! A nest that takes more steps than a limit has no answer, and its buffers lie apart.

mod accesses;
mod order;
mod touches;

use std::collections::BTreeMap;

pub use self::order::{Order, number};
use self::touches::{Kept, NEVER, Touches};

/// The distances at which one buffer may lie on another, in bytes from the start of the one that is left to the start of
/// the one that comes to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distances {
    /// All up to this one.
    pub up_to: i64,
    /// All from this one on.
    pub from: i64,
    /// These between both.
    pub single: Vec<i64>,
}

/// Bytes of a buffer and ticks that ascend with them: of all bytes those that say where it may lie.
type Profile = Vec<(i64, u32)>;

/// Both profiles of a buffer: from its first byte on, and from its last one on in a mirror.
struct Profiles([Profile; 2]);

impl Distances {
    /// Where two buffers of these sizes have no byte in common.
    pub fn apart(left: i64, comes: i64) -> Self {
        Distances { up_to: -comes, from: left, single: Vec::new() }
    }

    /// Whether this distance is one of them.
    pub fn allow(&self, distance: i64) -> bool {
        distance <= self.up_to || distance >= self.from || self.single.contains(&distance)
    }
}

impl Order {
    /// The distances at which the second buffer of each pair may lie on the first, by [`number`]; `None` where that takes too long to
    /// find out.
    pub fn distances(&self, pairs: &[(usize, usize)]) -> Option<Vec<Distances>> {
        let touches = Touches::of(self, |buffer| Kept {
            first_store: pairs.iter().any(|(_, comes)| *comes == buffer),
            left: pairs.iter().any(|(leaves, _)| *leaves == buffer),
        })?;
        let (mut left, mut stored) = (BTreeMap::new(), BTreeMap::new());
        let mut distances = |(leaves, comes): &(usize, usize)| {
            let leaves = (
                &touches[*leaves],
                &*left.entry(*leaves).or_insert_with(|| Profiles::left(&touches[*leaves])),
            );
            let comes = (
                &touches[*comes],
                &*stored.entry(*comes).or_insert_with(|| Profiles::stored(&touches[*comes])),
            );
            distances(leaves, comes)
        };
        Some(pairs.iter().map(&mut distances).collect())
    }
}

impl Profiles {
    /// For how many of the first bytes the last of the ticks that they are left at is how late.
    fn left(of: &Touches) -> Profiles {
        Profiles([rises(of.grain, of.left.iter()), rises(of.grain, of.left.iter().rev())])
    }

    /// The bytes that are stored to before all behind them.
    fn stored(of: &Touches) -> Profiles {
        let mirrored = falls(of.grain, of.first_store.iter());
        let falls = falls(of.grain, of.first_store.iter().rev());
        let end = of.bytes() - 1;
        let from_first =
            |falls: Profile| falls.into_iter().rev().map(|(at, tick)| (end - at, tick)).collect();
        Profiles([falls, mirrored].map(from_first))
    }
}

/// The distances at which the second buffer may lie on the first.
fn distances((left, ends): (&Touches, &Profiles), (comes, starts): (&Touches, &Profiles)) -> Distances {
    let (n_left, n_comes) = (left.bytes(), comes.bytes());
    let [forward, mirrored] = [0, 1].map(|way| up_to(n_left, &ends.0[way], &starts.0[way]));
    let (up_to, from) = (forward, n_left - n_comes - mirrored);
    let mut single = vec![0, n_left - n_comes];
    single.dedup();
    single.retain(|distance| up_to < *distance && *distance < from && left.is_free(comes, *distance));
    Distances { up_to, from, single }
}

/// The first bytes of grains with a later tick than all before, each with that tick.
fn rises<'a>(grain: usize, ticks: impl Iterator<Item = &'a u32>) -> Profile {
    let mut latest = 0;
    let rise = |(at, tick): (i64, &u32)| {
        let rises = *tick > latest;
        latest = latest.max(*tick);
        rises.then_some((at * grain as i64, *tick))
    };
    (0..).zip(ticks).filter_map(rise).collect()
}

/// The first bytes of grains with an earlier tick than all before, each with that tick.
fn falls<'a>(grain: usize, ticks: impl Iterator<Item = &'a u32>) -> Profile {
    let mut earliest = NEVER;
    let fall = |(at, tick): (i64, &u32)| {
        let falls = *tick < earliest;
        earliest = earliest.min(*tick);
        falls.then_some((at * grain as i64, *tick))
    };
    (0..).zip(ticks).filter_map(fall).collect()
}

/// The greatest distance that is fine together with all smaller ones, of a buffer of so many bytes by when its first ones are left.
fn up_to(bytes: i64, left: &[(i64, u32)], stored: &[(i64, u32)]) -> i64 {
    let mut later = left.iter().peekable();
    let limit = |(at, tick): &(i64, u32)| {
        while later.next_if(|(_, left)| left <= tick).is_some() {}
        // Byte `at` may lie on those bytes that are left with all before them, and further back.
        later.peek().map(|(first, _)| first - 1 - at)
    };
    stored.iter().filter_map(limit).min().unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use ir::loops::text::parse_nest;
    use ir::loops::{Nest, Stmt};
    use proptest::prelude::*;

    use super::accesses::{Touch, collect, touch};
    use super::order::Sweep;
    use super::touches::Walk;
    use super::*;

    const ALL: Kept = Kept { first_store: true, left: true };

    /// The distances between `x`, which is read, and `y`, which is written.
    fn distances(text: &str) -> Distances {
        let nest = parse_nest(text).expect("a nest");
        let touches = touches(&nest);
        let named =
            |name: &str| nest.buffers.iter().position(|buffer| buffer.name == name).expect("it is there");
        distances_of(&touches[named("x")], &touches[named("y")])
    }

    #[test]
    fn pixel_by_pixel_a_result_follows_what_it_is_made_of() {
        // A sum first reads the whole pixel.
        let matrix = |k: u32, n: u32| {
            distances(&format!(
                "loops @f(x: i8[4, {k}], y: i8[4, {n}]) {{
                   for p in 0..4 {{
                     for n in 0..{n} {{
                       reduce a: i32 over k in 0..{k} {{
                         init {{ a = 0 }}
                         update {{ a = add a, sext(x[p, k]) }}
                         finish {{ y[p, n] = ssat a {{bits = 8, asr = 0}} }}
                       }}
                     }}
                   }}
                 }}"
            ))
        };
        // All channels but the last are written while the pixel is still read.
        assert_eq!(matrix(3, 2), Distances { up_to: -1, from: 12, single: vec![] });
        assert_eq!(matrix(3, 1), Distances { up_to: 2, from: 12, single: vec![] });
        // With more channels than before the last pixel decides.
        assert_eq!(matrix(2, 5), Distances { up_to: -13, from: 8, single: vec![] });
    }

    #[test]
    fn channel_by_channel_a_result_lies_where_its_channel_was() {
        let text = "loops @f(x: i8[2, 3], y: i8[2, 3]) {
          scratch s: i16[2]
          for c in 0..3 {
            for p in 0..2 { s[p] = sext x[p, c] }
            for p in 0..2 { y[p, c] = add s[0], s[p] }
          }
        }";
        // One pixel further back is as good as in place; one channel further back is not, for the first one.
        assert_eq!(distances(text), Distances { up_to: -3, from: 6, single: vec![0] });
    }

    #[test]
    fn what_is_read_again_is_not_left() {
        let text = "loops @f(x: i8[4], y: i8[4]) {
          for again in 0..2 { for i in 0..4 { y[i] = add sext(x[i]), sext(x[3]) } }
        }";
        assert_eq!(distances(text), Distances::apart(4, 4));
    }

    fn distances_of(left: &Touches, comes: &Touches) -> Distances {
        super::distances((left, &Profiles::left(left)), (comes, &Profiles::stored(comes)))
    }

    fn touches(nest: &Nest) -> Vec<Touches> {
        Order::of(nest).and_then(|order| Touches::of(&order, |_| ALL)).expect("it is short")
    }

    /// Every load and store with its time, one by one.
    fn traced(nest: &Nest) -> Vec<Touches> {
        let touches = nest.buffers.iter().map(|buffer| Touches::none(buffer.bytes(), 1, ALL)).collect();
        let mut walk = Walk { values: vec![0; nest.vars.len()], clock: 0, marks_left: usize::MAX, touches };
        trace(nest, &nest.body, &mut walk);
        walk.touches
    }

    fn trace(nest: &Nest, block: &[Stmt], walk: &mut Walk) {
        for stmt in block {
            match stmt {
                Stmt::For(l, body) => {
                    for value in 0..l.extent {
                        walk.values[l.var.idx()] = value.into();
                        trace(nest, body, walk);
                    }
                }
                Stmt::Store(to, value) => {
                    let mut touches = Vec::new();
                    collect(nest, value, &mut touches);
                    for touch in touches {
                        trace_one(&touch, walk);
                    }
                    trace_one(&touch(nest, to, true), walk);
                }
                _ => panic!("the nests of this test have loops and stores"),
            }
        }
    }

    fn trace_one(touch: &Touch, walk: &mut Walk) {
        let runs = vec![(0, touch.bytes)];
        let sweep = Sweep::new(touch.buffer, touch.stores, touch.at.clone(), runs);
        walk.mark(&sweep).expect("there is no limit");
        walk.clock += 1;
    }

    proptest! {
        /// The distances are those at which no byte is written before it is read for the last time.
        #[test]
        fn distances_are_those_at_which_nothing_is_lost(
            (outer, inner) in (1u32..4, 1u32..5),
            (rows, columns) in (-2i64..3, -2i64..3),
            (across, along) in (-2i64..3, 0i64..3),
            is_early in any::<bool>(),
            (bytes_read, bytes_written) in (0u32..2, 0u32..2),
        ) {
            let (read, written) = (1 << bytes_read, 1 << bytes_written);
            let (x, y) = (8 * read, 8 * written);
            let term = |by: i64, var: &str| format!("{} {}*{var}", if by < 0 { '-' } else { '+' }, by.abs());
            let at = |a: i64, b: i64| format!("12 {} {}", term(a, "i"), term(b, "j"));
            let (load, store) = (at(rows, columns), at(across, along));
            let staged = format!("for j in 0..{inner} {{ s[j] = x[{load}] }}");
            let text = format!(
                "loops @f(x: i{x}[32], y: i{y}[32]) {{
                   scratch s: i{x}[8]
                   {}
                   for i in 0..{outer} {{
                     {}
                     for j in 0..{inner} {{ y[{store}] = add sext(s[j]), sext(x[{load}]) }}
                   }}
                 }}",
                if is_early { "for j in 0..4 { y[j] = 7 }" } else { "" },
                if is_early { "" } else { &staged },
            );
            let nest = parse_nest(&text).expect("a nest");
            let (quick, slow) = (touches(&nest), traced(&nest));
            let found = distances_of(&quick[0], &quick[1]);
            let lost = |distance: i64| !slow[0].is_free(&slow[1], distance);
            for distance in -80..80 {
                prop_assert!(!found.allow(distance) || !lost(distance), "{distance}: {found:?}\n{text}");
            }
            prop_assert!(found.up_to == 32 * read || found.up_to >= found.from || lost(found.up_to + 1), "{found:?}\n{text}");
            prop_assert_eq!(found.allow(0), !lost(0));
        }
    }
}
