//! What the interpreter runs: one flat list of steps on numbered registers and one memory that holds all buffers.

use crate::ty::Ty;

/// The number of a register; each holds an `i64`.
pub(super) type Reg = u32;

/// One step. `at` is a register with a byte address that loops keep up to date; `plus` is added to it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Copy {
        dst: Reg,
        src: Reg,
    },
    Load {
        width: Width,
        dst: Reg,
        at: Reg,
        plus: i32,
    },
    Store {
        width: Width,
        src: Reg,
        at: Reg,
        plus: i32,
    },
    /// One register of a block that begins at `base`, at a position that varies.
    GetAt {
        dst: Reg,
        base: Reg,
        at: Reg,
        plus: i32,
    },
    SetAt {
        src: Reg,
        base: Reg,
        at: Reg,
        plus: i32,
    },
    Add {
        dst: Reg,
        a: Reg,
        b: Reg,
    },
    Sub {
        dst: Reg,
        a: Reg,
        b: Reg,
    },
    Mul {
        dst: Reg,
        a: Reg,
        b: Reg,
    },
    /// `dst = a + b c` on `i32`.
    Mac {
        dst: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
    },
    /// `acc = acc + x w` on signed bytes in memory.
    MacBytes {
        acc: Reg,
        x: Stream,
        w: Stream,
    },
    /// A whole loop of nothing but [`Op::MacBytes`].
    DotBytes {
        dot: u32,
    },
    /// Any other operation.
    Prim {
        call: u32,
    },
    /// An index with `div` or `mod`.
    General {
        dst: Reg,
        index: u32,
    },
    /// `dst = by a`.
    Scale {
        dst: Reg,
        a: Reg,
        by: i32,
    },
    /// Stops unless `at + plus` is in `low..high`.
    Bound {
        bound: u32,
    },
    /// Unless `at + plus` is in `0..extent`, puts `border` in `dst` and goes on at `to`.
    Outside {
        at: Reg,
        plus: i32,
        extent: u32,
        dst: Reg,
        border: Reg,
        to: u32,
    },
    /// The end of a loop's body.
    LoopEnd {
        of: u32,
    },
    Halt,
}

/// How an element lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    S8,
    U8,
    S16,
    U16,
    S32,
    D64,
}

impl Width {
    /// How a value of a type lies in memory.
    pub fn of(ty: Ty) -> Self {
        match ty {
            Ty::I8 => Width::S8,
            Ty::U8 | Ty::I1 => Width::U8,
            Ty::I16 => Width::S16,
            Ty::U16 => Width::U16,
            Ty::I32 | Ty::F32 | Ty::I8x4 | Ty::U8x4 | Ty::I16x2 => Width::S32,
            Ty::I64 => Width::D64,
        }
    }

    /// Bytes in memory.
    pub fn bytes(self) -> usize {
        match self {
            Width::S8 | Width::U8 => 1,
            Width::S16 | Width::U16 => 2,
            Width::S32 => 4,
            Width::D64 => 8,
        }
    }
}

/// An address: register plus constant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    pub at: Reg,
    pub plus: i32,
}

/// A loop that sums products of bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dot {
    pub acc: Reg,
    pub x: Stream,
    pub x_step: i64,
    pub w: Stream,
    pub w_step: i64,
    pub extent: u32,
}

/// A call of the row of an operation.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub eval: fn(Ty, &[i64], &[i32]) -> i64,
    /// Type of the first operand.
    pub ty: Ty,
    pub dst: Reg,
    pub args: [Reg; 4],
    pub count: usize,
    pub imm: Vec<i32>,
}

/// The end of a loop.
#[derive(Clone, Debug)]
pub(super) struct LoopInfo {
    pub counter: Reg,
    pub extent: u32,
    /// First step of the body.
    pub top: u32,
    /// Registers that change with the loop variable, and by how much.
    pub steps: Vec<(Reg, i64)>,
}

/// A value that could leave its range.
#[derive(Clone, Debug)]
pub(super) struct BoundInfo {
    pub at: Reg,
    pub plus: i64,
    pub low: i64,
    pub high: i64,
    /// What the range is of, for the message.
    pub what: String,
}

/// An index with `div` and `mod` over registers.
#[derive(Clone, Debug)]
pub(super) struct General {
    pub constant: i64,
    pub terms: Vec<(i64, GeneralAtom)>,
}

/// What a coefficient of a [`General`] stands before.
#[derive(Clone, Debug)]
pub(super) enum GeneralAtom {
    Reg(Reg),
    Div(Box<General>, i64),
    Mod(Box<General>, i64),
}

impl General {
    /// The value.
    pub fn eval(&self, regs: &[i64]) -> i64 {
        let value = |atom: &GeneralAtom| match atom {
            GeneralAtom::Reg(reg) => regs[*reg as usize],
            GeneralAtom::Div(inner, n) => inner.eval(regs).div_euclid(*n),
            GeneralAtom::Mod(inner, n) => inner.eval(regs).rem_euclid(*n),
        };
        self.constant + self.terms.iter().map(|(c, atom)| c * value(atom)).sum::<i64>()
    }
}

/// Where a buffer lies in memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Region {
    pub base: usize,
    pub bytes: usize,
}

/// All steps with their tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Code {
    pub ops: Vec<Op>,
    pub loops: Vec<LoopInfo>,
    pub calls: Vec<Call>,
    pub bounds: Vec<BoundInfo>,
    pub generals: Vec<General>,
    pub dots: Vec<Dot>,
    /// Registers at the start: constants have their value, all others 0.
    pub regs: Vec<i64>,
    /// By buffer; empty for one that the steps do not touch.
    pub regions: Vec<Region>,
    /// Bytes of all regions.
    pub bytes: usize,
}
