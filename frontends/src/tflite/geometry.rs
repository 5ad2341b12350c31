//! What the format leaves implicit: the padding of windows, and the integers that a fused activation clamps to.

use ir::diag::Diagnostic;
use ir::ty::Ty;

use super::schema::tflite as fb;

/// A window that slides along one dimension.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub input: usize,
    pub extent: usize,
    pub stride: usize,
    pub dilation: usize,
}

impl Window {
    /// Elements from the first to the last one under the window; `None` where they do not fit into a number.
    fn span(self) -> Option<usize> {
        self.extent.checked_sub(1)?.checked_mul(self.dilation)?.checked_add(1)
    }

    /// Elements of padding before and after.
    ///
    /// With `SAME` an odd element goes after. The padding after is what the last window reads past the end, so
    /// it is 0 where the windows end early. Source: `ComputePaddingWithOffset` in `kernels/padding.h`.
    pub fn margins(self, padding: fb::Padding) -> Result<[usize; 2], Diagnostic> {
        match padding {
            fb::Padding::VALID => Ok([0, 0]),
            fb::Padding::SAME => {
                let last = (self.input.div_ceil(self.stride) - 1) * self.stride; // Below `input`.
                let total = self.span().and_then(|span| span.checked_add(last));
                let total = total.ok_or_else(|| Diagnostic::new("the dilated window is too large"))?;
                let total = total.saturating_sub(self.input);
                Ok([total / 2, total - total / 2])
            }
            other => {
                let found = other.0;
                Err(Diagnostic::new(format!("padding {found} is unknown, `SAME` and `VALID` are supported")))
            }
        }
    }
}

/// The clamp of a fused activation on an output of type `elem`, in the integers of the output.
///
/// `CalculateActivationRangeQuantized` of the references rounds `bound / scale` in f32 to the nearest integer, halves away from zero, adds the zero
/// point and cuts to the range of the type.
pub(super) fn activation_clamp(
    activation: fb::ActivationFunctionType,
    elem: Ty,
    (scale, zero): (f32, i32),
) -> Result<[i32; 2], Diagnostic> {
    use fb::ActivationFunctionType as Activation;
    let (low, high) = elem.range().expect("only quantised outputs are clamped");
    let quantized =
        |bound: f32| (f64::from((bound / scale).round()) as i64).saturating_add(zero.into()).clamp(low, high);
    let (low, high) = match activation {
        Activation::NONE => (low, high),
        Activation::RELU => (quantized(0.0), high),
        Activation::RELU6 => (quantized(0.0), quantized(6.0)),
        Activation::RELU_N1_TO_1 => (quantized(-1.0), quantized(1.0)),
        other => {
            let name =
                other.variant_name().map_or(format!("activation {}", other.0), str::to_ascii_lowercase);
            return Err(Diagnostic::new(format!("the fused activation `{name}` is not supported"))
                .help("`relu`, `relu_n1_to_1` and `relu6` are"));
        }
    };
    Ok([low as i32, high as i32])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(input: usize, extent: usize, stride: usize, dilation: usize) -> [usize; 2] {
        Window { input, extent, stride, dilation }.margins(fb::Padding::SAME).expect("the window fits")
    }

    #[test]
    fn same_pads_the_odd_element_after() {
        assert_eq!(same(10, 3, 1, 1), [1, 1]);
        assert_eq!(same(10, 3, 2, 1), [0, 1]);
        assert_eq!(same(11, 3, 2, 1), [1, 1]);
        assert_eq!(same(9, 1, 2, 1), [0, 0]);
        assert_eq!(same(12, 3, 1, 2), [2, 2]);
        assert_eq!(same(3, 7, 1, 1), [3, 3]);
    }

    #[test]
    fn absurd_windows_are_refused() {
        let window = Window { input: 4, extent: usize::MAX / 2, stride: 1, dilation: 1 << 31 };
        assert!(window.margins(fb::Padding::SAME).is_err());
        assert!(window.margins(fb::Padding(9)).is_err());
    }

    #[test]
    fn activations_clamp_in_the_integers_of_the_output() {
        let clamp =
            |activation, scale, zero| activation_clamp(activation, Ty::I8, (scale, zero)).expect("supported");
        assert_eq!(clamp(fb::ActivationFunctionType::NONE, 0.1, 3), [-128, 127]);
        assert_eq!(clamp(fb::ActivationFunctionType::RELU, 0.1, 3), [3, 127]);
        assert_eq!(clamp(fb::ActivationFunctionType::RELU6, 0.1, -20), [-20, 40]);
        assert_eq!(clamp(fb::ActivationFunctionType::RELU6, 1e-30, -128), [-128, 127]);
        assert!(activation_clamp(fb::ActivationFunctionType::TANH, Ty::I8, (0.1, 0)).is_err());
    }
}
