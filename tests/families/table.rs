//! The families, with what hand-written kernels take.

/// A row of the table.
pub struct Family {
    /// The stem of its file.
    pub name: &'static str,
    /// Cycles for one multiply-accumulate, or element, of a whole layer like this on M4 and M7: sections 3 to 6 of the kernel measurements.
    pub wanted: [f64; 2],
    /// Why it takes more here, where that is a tenth or more.
    pub why: &'static str,
}

/// All of them.
#[rustfmt::skip] // One family per line.
pub const FAMILIES: &[Family] = &[
    Family { name: "gemm_2x4_int16",       wanted: [1.10, 0.58], why: "" }, // 64 -> 64 channels.
    Family { name: "gemm_2x4_packed",      wanted: [1.08, 0.60], why: "" }, // 64 -> 64.
    Family { name: "gemm_4x2_packed",      wanted: [1.06, 0.71], why: "" }, // 64 -> 64; 16 MACs in 11.4 cycles on M7.
    Family { name: "dense_1x8_packed",     wanted: [1.20, 0.61], why: "" }, // 128 -> 128.
    Family { name: "conv3x3_im2col",         wanted: [1.01, 0.55], why: "the figure is that of the sums; the copy into the panel and the rounds of their loop come on top" }, // K = 144.
    Family { name: "conv3x3_implicit",       wanted: [1.01, 0.55], why: "the figure is that of the sums; the rounds of their loop, one for each row of the window and eight steps, come on top" },
    Family { name: "conv3x3_s2_implicit",    wanted: [1.01, 0.55], why: "the figure is that of the sums without stride; the rounds of their loop come on top" },
    Family { name: "first_3ch_im2col",       wanted: [1.25, 0.83], why: "27 products for each rescaling, and a panel that is filled from windows of nine bytes" }, // 16 channels.
    Family { name: "first_3ch_implicit",     wanted: [1.35, 0.83], why: "27 products for each rescaling, and a tenth step with zero for each nine" }, // 8 channels.
    Family { name: "first_1ch_im2col",       wanted: [1.15, 0.70], why: "" }, // The formula of a block, K = 40.
    Family { name: "first_1ch_implicit",     wanted: [1.15, 0.70], why: "" },
    Family { name: "conv3x3_im2col_other",   wanted: [1.45, 0.95], why: "" }, // 2x2 with a panel for six channels, counted.
    Family { name: "gemm_2x4_packed_other",  wanted: [1.20, 0.68], why: "" },
    Family { name: "conv3x3_implicit_other", wanted: [1.02, 0.56], why: "rows of the window are sums of 18 steps in three rounds, and the map is widened for 20 channels" },
    Family { name: "first_3ch_other",        wanted: [1.10, 0.65], why: "windows of 15 bytes begin anywhere: the panel is filled byte by byte, for 12 channels" },
    Family { name: "gemm_4x2_packed_other",  wanted: [1.12, 0.75], why: "" },
    Family { name: "dense_1x8_packed_other", wanted: [1.22, 0.65], why: "24 outputs share the copy of 100 inputs" },
    Family { name: "gemm_2x4_int16_other", wanted: [1.19, 0.65], why: "20 products for each rescaling; 32 were measured" }, // 32 -> 32 is the nearest that was measured.
    Family { name: "residual_add",         wanted: [5.75, 4.5], why: "" }, // For each element.
    Family { name: "residual_add_other",   wanted: [5.75, 4.5], why: "" },
    Family { name: "avg_pool",             wanted: [0.81, 0.69], why: "the figure is that of the sums; 125 elements share a division" }, // For each element that is added up.
    Family { name: "avg_pool_8x8",         wanted: [0.81, 0.69], why: "64 elements share a division" },
    Family { name: "avg_pool_odd",         wanted: [0.81, 0.69], why: "no words: pixels of 22 bytes begin anywhere, and nine are too few for sums of every other one; nine share a division" }, // Words of four channels are what was measured.
    Family { name: "avg_pool_other",       wanted: [0.81, 0.69], why: "35 elements share a division" },
    Family { name: "avg_pool_odd_other",   wanted: [0.81, 0.69], why: "the figure is that of the sums; those of every fourth row wait in memory and are added up" },
    Family { name: "max_pool",             wanted: [0.75, 0.62], why: "four elements for each result" },
    Family { name: "winograd_f2_16",       wanted: [0.78, 0.43], why: "" },
    Family { name: "winograd_f2_32",       wanted: [0.61, 0.33], why: "" },
    Family { name: "winograd_f2_64",       wanted: [0.53, 0.28], why: "" },
    Family { name: "winograd_f2_other",    wanted: [1.11, 0.77], why: "5 channels share the transform of 7, and products with zero fill the eighth; the figure is for 8" }, // 8 channels is the nearest that was measured.
    Family { name: "winograd_f4_16",       wanted: [0.49, 0.29], why: "" },
    Family { name: "winograd_f4_32",       wanted: [0.37, 0.21], why: "" },
    Family { name: "winograd_f4_64",       wanted: [0.31, 0.17], why: "" },
    Family { name: "winograd_f4_other",    wanted: [0.74, 0.50], why: "6 channels share the transform of 10, and products with zero fill two more; half of the last tiles is outside; the figure is for 8" }, // 8 channels is the nearest that was measured.
    // Measured on planes; with what it takes to fill them from bytes.
    Family { name: "depthwise3x3_s1_planes",  wanted: [1.67, 1.32], why: "" },
    Family { name: "depthwise3x3_s1_carry",   wanted: [1.67, 1.32], why: "words that stay for the next outputs take the registers of the constants" },
    Family { name: "depthwise3x3_s1_rotated", wanted: [1.67, 1.32], why: "the weights wait in S registers, and each use begins with a move" },
    Family { name: "depthwise3x3_s1_other",   wanted: [1.99, 1.48], why: "" }, // 12 columns are the nearest that were measured.
    Family { name: "depthwise3x3_small",      wanted: [1.67, 1.32], why: "nine outputs share what each channel begins with: weights that are unpacked, and a plane of which little is inside" },
    Family { name: "depthwise3x3_s2_planes",  wanted: [2.57, 2.16], why: "what begins and ends a sum takes 0.8 cycles for each of its nine products; the figure is for less than that" },
    Family { name: "depthwise3x3_s2_other",   wanted: [2.57, 2.16], why: "planes of one channel each, filled byte by byte; the last of seven columns is computed alone" },
    Family { name: "depthwise3x3_hwc",        wanted: [1.82, 1.43], why: "the figure joins bytes to pairs in registers, which no step does; nine weights beside six bytes that stay do not fit in registers" }, // Counted by hand.
    Family { name: "depthwise3x3_hwc_kws",    wanted: [1.82, 1.43], why: "as the one above: bytes stay single" },
    Family { name: "depthwise5x5_smlad",      wanted: [1.35, 1.02], why: "" },
    Family { name: "depthwise5x5_tight",      wanted: [1.35, 1.02], why: "" },
    Family { name: "depthwise7x7_smlad",      wanted: [1.12, 0.86], why: "the figure is without the plane's border: 10 rows of 12 have 16 of 18 in the plane" },
    Family { name: "depthwise5x5_kronecker",  wanted: [1.17, 0.79], why: "sums leave their lanes one after the other before they are rescaled, which takes 0.5 cycles for each product" },
    Family { name: "depthwise5x5_kronecker_mcunet", wanted: [1.17, 0.79], why: "as the one above" },
    Family { name: "depthwise7x7_kronecker",  wanted: [0.87, 0.60], why: "sums leave their lanes one after the other before they are rescaled; the plane's border comes on top" },
    Family { name: "depthwise7x7_kronecker_mcunet", wanted: [0.87, 0.60], why: "each row of six is one step of four sums where three would do" },
    Family { name: "depthwise7x7_kronecker_other", wanted: [0.87, 0.60], why: "rows of ten outputs have six sums where five would do; five rows of outputs read eleven" },
    Family { name: "conv3x3_s2_other",       wanted: [1.08, 0.61], why: "72 products for each rescaling, and a panel for 12 channels" }, // The formula of a block with K = 72, and widening.
    Family { name: "conv3x3_dilated",        wanted: [1.16, 0.69], why: "" }, // The formulas of a block with K = 108 and of its panel, for 16 channels.
    Family { name: "first_1ch_other",        wanted: [1.39, 0.84], why: "windows of three bytes begin anywhere: the panel is filled byte by byte" }, // The same with K = 22, for 24 channels.
    Family { name: "depthwise3x3_dilated",   wanted: [1.83, 1.43], why: "four images for each channel, every one with its border, and no words to fill them by" }, // As without dilation: every other row and column is an image.
    Family { name: "depthwise3x3_multiplier", wanted: [1.68, 1.33], why: "rows of 12 columns: more of the plane is border than in the one that was measured" }, // Two outputs share a plane.
    // The formulas of the three layers, without planes and the second panel, which a band makes needless.
    Family { name: "band_vww",                wanted: [1.12, 0.65], why: "the first rows and the last ones have loops of their own around the same sums" },
    Family { name: "band_mcunet",             wanted: [1.26, 0.80], why: "16 channels in: sums of 16 products in the layer that expands, for 48 of which each is rescaled" },
    Family { name: "band_other",             wanted: [2.14, 1.47], why: "sums of 6 and 10 products, each rescaled" },
];
