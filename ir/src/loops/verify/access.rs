//! Accesses: indices stay inside, words of several elements lie in a row, constants are written by their own nest.

use super::super::{Access, Buffer, BufferId, Index, StorageMap};
use super::Verifier;
use crate::ty::Ty;

/// Most iterations that are tried one by one where interval analysis does not suffice.
const MOST_POINTS: u64 = 1 << 16;

impl Verifier<'_> {
    pub(super) fn load(&mut self, access: &Access) {
        self.readable(access.buffer);
        let buffer = &self.nest.buffers[access.buffer.idx()];
        if !self.shape_and_type(access) {
            return;
        }
        if let Some(border) = access.border {
            let (name, elem) = (&buffer.name, buffer.elem);
            let fits = elem.range().is_some_and(|(low, high)| (low..=high).contains(&border));
            if access.ty != elem || !fits {
                self.error(format!("the border {border} of `{name}` is no integer of `{elem}`"));
            }
            return;
        }
        let mut inside = true;
        for (index, extent) in access.index.iter().zip(&buffer.shape) {
            inside &= self.inside(&buffer.name, index, *extent);
        }
        if inside {
            self.lanes(access);
        }
    }

    pub(super) fn store_target(&mut self, access: &Access) {
        let buffer = &self.nest.buffers[access.buffer.idx()];
        let name = &buffer.name;
        if access.border.is_some() {
            self.error(format!("a store to `{name}` has a border, which only loads have"));
        }
        match self.constant {
            None if buffer.is_const() => self.error(format!("the constant `{name}` is written")),
            Some(constant) if constant != access.buffer => {
                let own = self.buffer_name(constant);
                self.error(format!("the nest of the constant `{own}` writes `{name}`"));
            }
            _ => {}
        }
        if !self.shape_and_type(access) {
            return;
        }
        let lane_dim = self.lane_dim(access);
        let mut inside = true;
        for (dim, (index, extent)) in access.index.iter().zip(&buffer.shape).enumerate() {
            let more = if lane_dim == Some(dim) { lanes(access, buffer) - 1 } else { 0 };
            inside &= self.inside(name, index, *extent)
                && (more == 0 || self.inside(name, &index.offset(more), *extent));
        }
        if inside {
            self.lanes(access);
        }
    }

    /// Checks that a buffer may be read here.
    pub(super) fn readable(&mut self, buffer: BufferId) {
        let Some(constant) = self.constant else { return };
        let (name, own) = (self.buffer_name(buffer), self.buffer_name(constant));
        if !self.nest.buffers[buffer.idx()].is_const() {
            self.error(format!("the nest of the constant `{own}` reads `{name}`, which is no constant"));
        } else if buffer >= constant {
            self.error(format!(
                "the nest of the constant `{own}` reads `{name}`, which is not declared before"
            ));
        }
    }

    /// Checks that an index stays in `0..extent`.
    pub(super) fn inside(&mut self, name: &str, index: &Index, extent: u32) -> bool {
        if !self.known(index) {
            return false;
        }
        let within = |low: i64, high: i64| 0 <= low && high < i64::from(extent);
        let (mut low, mut high) = self.range(index);
        if within(low, high) {
            return true;
        }
        if !index.is_affine()
            && let Some(points) = self.points(index)
        {
            low = points.iter().copied().min().unwrap_or(0);
            high = points.iter().copied().max().unwrap_or(0);
        }
        if !within(low, high) {
            self.error(format!("an index of `{name}` runs from {low} to {high}, its extent is {extent}"));
        }
        within(low, high)
    }

    /// Checks that loops around have all variables of an index.
    pub(super) fn known(&mut self, index: &Index) -> bool {
        let mut used = Vec::new();
        index.vars(&mut used);
        let unknown = used.into_iter().find(|var| self.vars[var.idx()].is_none());
        if let Some(var) = unknown {
            let name = &self.nest.vars[var.idx()];
            self.error(format!("`{name}` ({var}) is used outside of its loop"));
        }
        unknown.is_none()
    }

    /// Least and greatest value of an index with known variables.
    pub(super) fn range(&self, index: &Index) -> (i64, i64) {
        index.range(&|var| (0, i64::from(self.vars[var.idx()].unwrap_or(1)) - 1))
    }

    /// Every value of an index with known variables, in order of iterations; `None` where there are too many.
    pub(super) fn points(&self, index: &Index) -> Option<Vec<i64>> {
        let mut used = Vec::new();
        index.vars(&mut used);
        used.sort_unstable();
        used.dedup();
        let extents: Vec<u64> = used.iter().map(|var| self.vars[var.idx()].unwrap_or(1).into()).collect();
        let count = extents.iter().try_fold(1u64, |count, extent| count.checked_mul(*extent))?;
        if count > MOST_POINTS {
            return None;
        }
        let value = |mut point: u64| {
            let mut at = vec![0; used.len()];
            for (at, extent) in at.iter_mut().zip(&extents).rev() {
                *at = (point % extent) as i64;
                point /= extent;
            }
            index.eval(&|var| at[used.binary_search(&var).expect("all variables are in `used`")])
        };
        Some((0..count).map(value).collect())
    }

    fn shape_and_type(&mut self, access: &Access) -> bool {
        let buffer = &self.nest.buffers[access.buffer.idx()];
        let Buffer { name, elem, shape, .. } = buffer;
        if access.index.len() != shape.len() {
            let (wanted, found) = (shape.len(), access.index.len());
            self.error(format!("`{name}` has {wanted} dimensions, found {found} indices"));
            return false;
        }
        if access.ty != *elem && (access.ty.lanes() == 1 || access.ty.lane() != *elem) {
            self.error(format!("`{name}` has elements of `{elem}`, which are no part of `{}`", access.ty));
            return false;
        }
        true
    }

    /// Checks that the elements of a word lie in a row and in memory.
    fn lanes(&mut self, access: &Access) {
        let buffer = &self.nest.buffers[access.buffer.idx()];
        let count = lanes(access, buffer);
        if count == 1 {
            return;
        }
        let (name, ty) = (&buffer.name, access.ty);
        if self.lane_dim(access).is_none() {
            return self.error(format!("the elements of a `{ty}` of `{name}` are not in a row in storage"));
        }
        let last = buffer.map.position(&access.index).offset(count - 1);
        let end = buffer.map.len() as i64 + i64::from(buffer.map.slack) / buffer.elem.bytes() as i64;
        let mut high = self.range(&last).1;
        if high >= end
            && let Some(points) = self.points(&last)
        {
            high = points.into_iter().max().unwrap_or(0);
        }
        if high >= end {
            let message = format!(
                "a `{ty}` of `{name}` ends at element {high} of the storage, which ends before {end}"
            );
            self.error(message);
        }
    }

    /// The dimension along which the elements of a word lie in a row; of several the last one that is long enough: neighbours along one
    /// that is shorter would lie there too, but are none.
    fn lane_dim(&self, access: &Access) -> Option<usize> {
        let buffer = &self.nest.buffers[access.buffer.idx()];
        let count = lanes(access, buffer);
        let in_a_row =
            |dim: &usize| (1..count).all(|lane| self.apart(&buffer.map, &access.index, *dim, lane));
        let (long, short): (Vec<usize>, Vec<usize>) =
            (0..access.index.len()).rev().partition(|dim| i64::from(buffer.shape[*dim]) >= count);
        long.into_iter().chain(short).find(in_a_row)
    }

    /// Whether moving by `lane` along `dim` always moves by `lane` in storage.
    fn apart(&self, map: &StorageMap, index: &[Index], dim: usize, lane: i64) -> bool {
        let mut moved = index.to_vec();
        moved[dim] = moved[dim].offset(lane);
        let distance = map.position(&moved).add(&map.position(index).scale(-1));
        match distance.as_constant() {
            Some(distance) => distance == lane,
            None => self.points(&distance).is_some_and(|points| points.iter().all(|point| *point == lane)),
        }
    }
}

/// How many elements of the buffer an access moves.
fn lanes(access: &Access, buffer: &Buffer) -> i64 {
    let count = |ty: Ty| i64::from(ty.lanes());
    count(access.ty) / count(buffer.elem)
}
