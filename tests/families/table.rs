//! The families, with what hand-written kernels take.

/// A row of the table.
pub struct Family {
    /// The stem of its file.
    pub name: &'static str,
    /// Cycles for one multiply-accumulate, or element, of a whole layer like this on M4 and M7: sections 3 to 6 of the kernel measurements.
    pub wanted: [f64; 2],
}

/// All of them.
#[rustfmt::skip] // One family per line.
pub const FAMILIES: &[Family] = &[
    Family { name: "gemm_2x4_int16",       wanted: [1.10, 0.58] }, // 64 -> 64 channels.
    Family { name: "gemm_2x4_packed",      wanted: [1.08, 0.60] }, // 64 -> 64.
    Family { name: "gemm_4x2_packed",      wanted: [1.06, 0.71] }, // 64 -> 64; 16 MACs in 11.4 cycles on M7.
    Family { name: "dense_1x8_packed",     wanted: [1.20, 0.61] }, // 128 -> 128.
    Family { name: "conv3x3_im2col",         wanted: [1.01, 0.55] }, // K = 144.
    Family { name: "conv3x3_implicit",       wanted: [1.01, 0.55] },
    Family { name: "conv3x3_s2_implicit",    wanted: [1.01, 0.55] },
    Family { name: "first_3ch_im2col",       wanted: [1.25, 0.83] }, // 16 channels.
    Family { name: "first_3ch_implicit",     wanted: [1.35, 0.83] }, // 8 channels.
    Family { name: "first_1ch_im2col",       wanted: [1.15, 0.70] }, // The formula of a block, K = 40.
    Family { name: "first_1ch_implicit",     wanted: [1.15, 0.70] },
    Family { name: "conv3x3_im2col_other",   wanted: [1.45, 0.95] }, // 2x2 with a panel for six channels, counted.
    Family { name: "gemm_2x4_packed_other",  wanted: [1.20, 0.68] },
    Family { name: "conv3x3_implicit_other", wanted: [1.02, 0.56] },
    Family { name: "first_3ch_other",        wanted: [1.10, 0.65] },
    Family { name: "gemm_4x2_packed_other",  wanted: [1.12, 0.75] },
    Family { name: "dense_1x8_packed_other", wanted: [1.22, 0.65] },
    Family { name: "gemm_2x4_int16_other", wanted: [1.19, 0.65] }, // 32 -> 32 is the nearest that was measured.
    Family { name: "residual_add",         wanted: [5.75, 4.5] }, // For each element.
    Family { name: "residual_add_other",   wanted: [5.75, 4.5] },
    Family { name: "avg_pool",             wanted: [0.81, 0.69] }, // For each element that is added up.
    Family { name: "avg_pool_8x8",         wanted: [0.81, 0.69] },
    Family { name: "avg_pool_odd",         wanted: [0.81, 0.69] }, // Words of four channels are what was measured.
    Family { name: "avg_pool_other",       wanted: [0.81, 0.69] },
    Family { name: "max_pool",             wanted: [0.75, 0.62] },
    Family { name: "winograd_f2_16",       wanted: [0.78, 0.43] },
    Family { name: "winograd_f2_32",       wanted: [0.61, 0.33] },
    Family { name: "winograd_f2_64",       wanted: [0.53, 0.28] },
    Family { name: "winograd_f2_other",    wanted: [1.11, 0.77] }, // 8 channels is the nearest that was measured.
    Family { name: "winograd_f4_16",       wanted: [0.49, 0.29] },
    Family { name: "winograd_f4_32",       wanted: [0.37, 0.21] },
    Family { name: "winograd_f4_64",       wanted: [0.31, 0.17] },
    Family { name: "winograd_f4_other",    wanted: [0.74, 0.50] }, // 8 channels is the nearest that was measured.
    // Measured on planes; with what it takes to fill them from bytes.
    Family { name: "depthwise3x3_s1_planes",  wanted: [1.67, 1.32] },
    Family { name: "depthwise3x3_s1_carry",   wanted: [1.67, 1.32] },
    Family { name: "depthwise3x3_s1_rotated", wanted: [1.67, 1.32] },
    Family { name: "depthwise3x3_s1_other",   wanted: [1.99, 1.48] }, // 12 columns are the nearest that were measured.
    Family { name: "depthwise3x3_s2_planes",  wanted: [2.57, 2.16] },
    Family { name: "depthwise3x3_s2_other",   wanted: [2.57, 2.16] },
    Family { name: "depthwise3x3_hwc",        wanted: [1.82, 1.43] }, // Counted by hand.
    Family { name: "depthwise5x5_smlad",      wanted: [1.35, 1.02] },
    Family { name: "depthwise7x7_smlad",      wanted: [1.12, 0.86] },
    Family { name: "depthwise5x5_kronecker",  wanted: [1.17, 0.79] },
    Family { name: "depthwise7x7_kronecker",  wanted: [0.87, 0.60] },
    Family { name: "depthwise7x7_kronecker_other", wanted: [0.87, 0.60] },
    Family { name: "conv3x3_s2_other",       wanted: [1.08, 0.61] }, // The formula of a block with K = 72, and widening.
    Family { name: "conv3x3_dilated",        wanted: [1.16, 0.69] }, // The formulas of a block with K = 108 and of its panel, for 16 channels.
    Family { name: "first_1ch_other",        wanted: [1.39, 0.84] }, // The same with K = 22, for 24 channels.
    Family { name: "depthwise3x3_dilated",   wanted: [1.83, 1.43] }, // As without dilation: every other row and column is an image.
    Family { name: "depthwise3x3_multiplier", wanted: [1.68, 1.33] }, // Two outputs share a plane.
    // The formulas of the three layers, without planes and the second panel, which a band makes needless.
    Family { name: "band_vww",                wanted: [1.12, 0.65] },
    Family { name: "band_mcunet",             wanted: [1.26, 0.80] },
    Family { name: "band_other",             wanted: [2.14, 1.47] },
];
