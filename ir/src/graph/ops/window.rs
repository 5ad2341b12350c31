//! A window that moves over rows and columns: what convolutions and pools share.

use crate::ty::TypeError;

/// Greatest size, stride, dilation or padding.
const MAX: usize = 1 << 15;

/// Size and steps of a window, for rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Taps.
    pub size: [usize; 2],
    /// Elements between neighbouring positions.
    pub stride: [usize; 2],
    /// Elements between neighbouring taps.
    pub dilation: [usize; 2],
    /// Elements added before and after.
    pub pad: [[usize; 2]; 2],
}

impl Window {
    /// Number of positions over an input of `input` rows and columns.
    pub fn positions(&self, input: [usize; 2]) -> Result<[usize; 2], TypeError> {
        let [rows, columns] = [0, 1].map(|dim| self.positions_along(dim, input[dim]));
        Ok([rows?, columns?])
    }

    /// At position `at` along dimension `dim`, the taps that fall inside the input of extent `extent`, each with the
    /// index that it falls on.
    pub fn taps(
        &self,
        dim: usize,
        at: usize,
        extent: usize,
    ) -> impl Iterator<Item = (usize, usize)> + Clone + use<> {
        let (first, before, dilation) = (at * self.stride[dim], self.pad[dim][0], self.dilation[dim]);
        let index =
            move |tap: usize| (first + tap * dilation).checked_sub(before).filter(|idx| *idx < extent);
        (0..self.size[dim]).filter_map(move |tap| Some((tap, index(tap)?)))
    }

    fn positions_along(&self, dim: usize, extent: usize) -> Result<usize, TypeError> {
        let (size, stride, dilation) = (self.size[dim], self.stride[dim], self.dilation[dim]);
        let [before, after] = self.pad[dim];
        if [size, stride, dilation].contains(&0) {
            return Err(TypeError::new("window, stride and dilation start at 1"));
        }
        if [size, stride, dilation, before, after].iter().any(|n| *n > MAX) {
            return Err(TypeError::new(format!("window, stride, dilation and padding end at {MAX}")));
        }
        let (padded, spanned) = (extent + before + after, dilation * (size - 1) + 1);
        match padded.checked_sub(spanned) {
            Some(rest) => Ok(rest / stride + 1),
            None => Err(TypeError::new(format!(
                "the window spans {spanned} elements, the padded input has {padded}"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_outside_are_left_out() {
        let window = Window { size: [3, 1], stride: [2, 1], dilation: [2, 1], pad: [[1, 1], [0, 0]] };
        assert_eq!(window.positions([6, 4]).unwrap(), [2, 4]);
        assert_eq!(window.taps(0, 0, 6).collect::<Vec<_>>(), [(1, 1), (2, 3)]);
        assert_eq!(window.taps(0, 1, 6).collect::<Vec<_>>(), [(0, 1), (1, 3), (2, 5)]);
        assert!(window.positions([2, 4]).is_err());
        assert!(Window { stride: [0, 1], ..window }.positions([6, 4]).is_err());
    }
}
