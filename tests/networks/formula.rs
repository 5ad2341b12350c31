//! What hand-written kernels need for a layer: formulas that were fitted to measured inner loops and layers.
//!
//! Cycles on memory without wait states, from int8 tensors of pixels to such tensors: panels, planes, rescaling and stores included.
//! They are the sums of what the judge said of kernels written by hand, not of a network that runs.

use test_support::networks::Work;

/// The constants of a core.
pub struct Core {
    /// Pixels by channels in blocks of 8 outputs: for each product's depth, and around it.
    product: (f64, f64),
    /// The same for short depths, where it is cheaper; the cheaper one counts.
    lean: (f64, f64),
    /// Widening a panel of two pixels: for each element, and around it.
    panel: (f64, f64),
    /// Gathering an element of a window.
    gather: f64,
    /// Widening an element in order: windows are then read in place, which is the cheaper way for some.
    widen: f64,
    /// Two outputs of a depthwise convolution of 3x3, stride 1, and what is around a row.
    window3: (f64, f64),
    /// One output of the same with stride 2.
    window3_strided: f64,
    /// Multiply-accumulates in a cycle of windows of 5x5 and 7x7, stride 1 and then 2.
    windows: [[f64; 2]; 2],
    /// Widening an element into a plane.
    plane: f64,
    /// A multiply-accumulate of a fully connected layer.
    fully_connected: f64,
    /// An element of an addition.
    add: f64,
    /// An element of a pool.
    pool: f64,
}

/// Cycles around each channel of a depthwise convolution.
const AROUND_CHANNEL: f64 = 40.0;

/// The constants of a core by name, where hand-written kernels were measured on it.
pub fn core(name: &str) -> Option<&'static Core> {
    match name {
        "cortex-m4" => Some(&M4),
        "cortex-m7" => Some(&M7),
        _ => None,
    }
}

static M4: Core = Core {
    product: (7.5, 51.0),
    lean: (8.0, 35.0),
    panel: (2.75, 22.0),
    gather: 1.2,
    widen: 1.35,
    window3: (24.75, 16.0),
    window3_strided: 15.3,
    windows: [[0.92, 1.20], [0.70, 0.85]],
    plane: 1.9,
    fully_connected: 1.21,
    add: 5.75,
    pool: 0.81,
};

static M7: Core = Core {
    product: (4.0, 39.0),
    lean: (4.0, 33.0),
    panel: (2.0, 22.0),
    gather: 1.2,
    widen: 0.95,
    window3: (20.2, 9.0),
    window3_strided: 13.4,
    windows: [[1.37, 1.80], [0.9, 1.1]],
    plane: 1.5,
    fully_connected: 0.61,
    add: 4.5,
    pool: 0.69,
};

impl Core {
    /// Cycles of a layer.
    pub fn cycles(&self, work: &Work) -> f64 {
        match *work {
            Work::Product { pixels, depth, outputs, size: 1, .. } => self.product(pixels, depth, outputs),
            Work::Product { pixels, depth, outputs, size, stride } => {
                let gathered = self.product(pixels, depth, outputs) + self.gather * (pixels * depth) as f64;
                let padded = size * (depth / size).next_multiple_of(2);
                let read = pixels * stride * stride * depth / (size * size);
                gathered.min(self.sums(pixels, padded, outputs) + self.widen * read as f64)
            }
            Work::Depthwise { rows, columns, channels, size, stride } => {
                let pixels = (rows * columns) as f64;
                let plane = self.plane * pixels * (stride * stride) as f64;
                let sums = match (size, stride) {
                    (3, 1) => self.rows3(rows, columns).min(self.rows3(columns, rows)),
                    (3, _) => rows as f64 * (self.window3_strided * columns as f64 + 10.0),
                    _ => pixels * (size * size) as f64 / self.windows[stride - 1][(size - 5) / 2],
                };
                channels as f64 * (sums + plane + AROUND_CHANNEL)
            }
            Work::FullyConnected { depth, outputs } => {
                self.fully_connected * (depth * outputs.next_multiple_of(8)) as f64
            }
            Work::Add(elements) => self.add * elements as f64,
            Work::Pool(elements) => self.pool * elements as f64,
        }
    }

    /// A product whose pixels are widened into panels.
    fn product(&self, pixels: usize, depth: usize, outputs: usize) -> f64 {
        let padded = depth.next_multiple_of(4);
        self.sums(pixels, padded, outputs) + pixels.div_ceil(2) as f64 * line(self.panel, padded)
    }

    fn sums(&self, pixels: usize, depth: usize, outputs: usize) -> f64 {
        let blocks = (pixels.div_ceil(2) * outputs.div_ceil(4)) as f64;
        blocks * line(self.product, depth).min(line(self.lean, depth))
    }

    fn rows3(&self, rows: usize, columns: usize) -> f64 {
        let (pair, around) = self.window3;
        rows as f64 * (pair * columns.div_ceil(2) as f64 + around)
    }
}

/// So much for each product, and so much around them.
fn line((slope, around): (f64, f64), depth: usize) -> f64 {
    slope * depth as f64 + around
}
