//! Moves that happen at one time, put into an order in which none destroys what another one needs.

use super::next_use::Value;

/// Where a value can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The core register of this number.
    Register(usize),
    /// The word outside of the core registers that belongs to this value.
    Slot(Value),
}

/// From one place to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) from: Place,
    pub(super) to: Place,
}

/// The moves one after the other. `spare` is a register that none of them touches; without one, a cycle goes through a word of
/// its own, which `n_values` numbers.
pub(super) fn sequence(moves: Vec<Move>, spare: Option<usize>, n_values: &mut Value) -> Vec<Move> {
    let mut waiting: Vec<Move> = moves.into_iter().filter(|step| step.from != step.to).collect();
    let mut done = Vec::new();
    while !waiting.is_empty() {
        let needed = |place: Place| waiting.iter().any(|other| other.from == place);
        if let Some(at) = waiting.iter().position(|step| !needed(step.to)) {
            let step = waiting.remove(at);
            emit(step, &waiting, spare, n_values, &mut done);
            continue;
        }
        // Each place that is left is the source of another move: break the circle by moving one source away.
        let from = waiting[0].from;
        let aside = match spare {
            Some(reg) => Place::Register(reg),
            None => Place::Slot(new_value(n_values)),
        };
        emit(Move { from, to: aside }, &waiting, None, n_values, &mut done);
        waiting.iter_mut().filter(|step| step.from == from).for_each(|step| step.from = aside);
    }
    done
}

/// Adds a move; one between words goes through a register, which is put aside for that time if none is spare.
fn emit(step: Move, waiting: &[Move], spare: Option<usize>, n_values: &mut Value, done: &mut Vec<Move>) {
    if let (Place::Slot(_), Place::Slot(_)) = (step.from, step.to) {
        let free = spare.filter(|reg| !waiting.iter().any(|other| other.from == Place::Register(*reg)));
        let through = Place::Register(free.unwrap_or(0));
        let aside = free.is_none().then(|| Place::Slot(new_value(n_values)));
        done.extend(aside.map(|aside| Move { from: through, to: aside }));
        done.push(Move { from: step.from, to: through });
        done.push(Move { from: through, to: step.to });
        done.extend(aside.map(|aside| Move { from: aside, to: through }));
    } else {
        done.push(step);
    }
}

fn new_value(n_values: &mut Value) -> Value {
    *n_values += 1;
    *n_values - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Runs the moves in order, and compares with all at once.
    fn check(moves: &[(Place, Place)], spare: Option<usize>) {
        let moves: Vec<Move> = moves.iter().map(|(from, to)| Move { from: *from, to: *to }).collect();
        let mut memory: BTreeMap<Place, String> = BTreeMap::new();
        let before = |place: Place| format!("{place:?}");
        for step in sequence(moves.clone(), spare, &mut 100) {
            let value = memory.get(&step.from).cloned().unwrap_or(before(step.from));
            memory.insert(step.to, value);
            assert!(!matches!((step.from, step.to), (Place::Slot(_), Place::Slot(_))));
        }
        for step in &moves {
            assert_eq!(memory.get(&step.to).cloned().unwrap_or(before(step.to)), before(step.from));
        }
        if spare.is_none() && moves.iter().all(|step| step.to != Place::Register(0)) {
            assert_eq!(
                memory.get(&Place::Register(0)).cloned().unwrap_or(before(Place::Register(0))),
                before(Place::Register(0))
            );
        }
    }

    #[test]
    fn nothing_is_lost() {
        use Place::{Register as R, Slot as S};
        let cases: [&[(Place, Place)]; 7] = [
            &[(R(1), R(2)), (R(2), R(3))],
            &[(R(1), R(2)), (R(2), R(1))],
            &[(R(1), R(2)), (R(2), R(3)), (R(3), R(1)), (R(1), R(4))],
            &[(S(1), R(1)), (R(1), S(2)), (R(1), R(2))],
            &[(S(1), S(2)), (R(0), R(1))],
            &[(S(1), S(2)), (S(2), S(1))],
            &[(S(1), S(2)), (S(2), R(3)), (R(3), S(1)), (R(0), R(5))],
        ];
        for case in cases {
            check(case, None);
            check(case, Some(12));
        }
    }
}
