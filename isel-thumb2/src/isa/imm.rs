//! Immediates: a type per kind of field, whose only constructor refuses what the field cannot hold.
//!
//! A value is kept as its meaning (a byte offset, a shift amount), never as its encoding; [`ImmKind::bits`]
//! encodes it in the order of the bits in the diagram.

use std::fmt;

/// Declares an immediate per row: its values are `lo..=hi` in steps of `step`.
macro_rules! linear {
    ($($(#[$doc:meta])* $name:ident $lo:literal ..= $hi:literal step $step:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, Debug)]
            pub struct $name(i32);

            impl $name {
                /// The immediate, or `None` where the field cannot hold it.
                pub fn new(value: i64) -> Option<Self> {
                    let value = i32::try_from(value).ok()?;
                    ImmKind::$name.accepts(value).then_some(Self(value))
                }

                /// The value as an instruction keeps it.
                pub fn raw(self) -> i32 {
                    self.0
                }
            }
        )*

        /// The kinds of immediates.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum ImmKind {
            $($(#[$doc])* $name,)*
            /// A constant of the form that data processing accepts, [`ModImm`].
            ModImm,
            /// The shift of a second operand, [`Shift`].
            Shift,
            /// The field that `ubfx` and `sbfx` read, [`Extract`].
            Extract,
            /// The field that `bfi` and `bfc` write, [`Insert`].
            Insert,
            /// A condition, [`Cond`].
            Cond,
            /// The head of an IT block, [`ItBlock`].
            ItBlock,
        }

        impl ImmKind {
            /// Least value, greatest value and step of a kind whose values are evenly spaced.
            pub const fn range(self) -> Option<(i32, i32, i32)> {
                match self {
                    $(ImmKind::$name => Some(($lo, $hi, $step)),)*
                    _ => None,
                }
            }
        }
    };
}

#[rustfmt::skip] // One kind per row.
linear! {
    /// A 3-bit number.
    Imm3 0..=7 step 1;
    /// A 5-bit byte offset.
    Imm5 0..=31 step 1;
    /// A byte offset, 5 bits of halfwords.
    Imm5x2 0..=62 step 2;
    /// A byte offset, 5 bits of words.
    Imm5x4 0..=124 step 4;
    /// A distance in bytes, 7 bits of words.
    Imm7x4 0..=508 step 4;
    /// An 8-bit number.
    Imm8 0..=255 step 1;
    /// A byte offset, 8 bits of words.
    Imm8x4 0..=1020 step 4;
    /// A 12-bit number.
    Imm12 0..=4095 step 1;
    /// A 16-bit number.
    Imm16 0..=65535 step 1;
    /// A shift to the left that is one.
    LeftBy 1..=31 step 1;
    /// A shift to the right.
    RightBy 1..=32 step 1;
    /// A rotation that is one.
    RotateBy 1..=31 step 1;
    /// A shift to the left that may be none.
    LslAmount 0..=31 step 1;
    /// A shift to the right ahead of a saturation.
    AsrAmount 1..=31 step 1;
    /// The scale of an index register, as a shift to the left.
    Scale 0..=3 step 1;
    /// A rotation to the right by whole bytes, in bits.
    Rot8 0..=24 step 8;
    /// Bits of a signed saturation.
    SatBits 1..=32 step 1;
    /// Bits of an unsigned saturation.
    UsatBits 0..=31 step 1;
    /// Bits of a signed saturation of halfwords.
    SatBits16 1..=16 step 1;
    /// Bits of an unsigned saturation of halfwords.
    UsatBits16 0..=15 step 1;
    /// A negative byte offset.
    NegImm8 -255..=-1 step 1;
    /// A byte offset to either side, added to the base after the access.
    PostImm8 -255..=255 step 1;
    /// A byte offset to either side, added to the base before the access; 0 would be no update.
    PreImm8 -255..=255 step 1;
    /// A byte offset to either side in words.
    OffsetImm8x4 -1020..=1020 step 4;
    /// A byte offset to either side in words; 0 would be no update.
    PreImm8x4 -1020..=1020 step 4;
    /// A forward branch of up to 126 bytes, from the address of the branch plus 4.
    BranchOffset7 0..=126 step 2;
    /// A branch within 256 bytes, from the address of the branch plus 4.
    BranchOffset9 -256..=254 step 2;
    /// A branch within 2 KiB, from the address of the branch plus 4.
    BranchOffset12 -2048..=2046 step 2;
    /// A branch within 1 MiB, from the address of the branch plus 4.
    BranchOffset21 -1048576..=1048574 step 2;
    /// A branch within 16 MiB, from the address of the branch plus 4.
    BranchOffset25 -16777216..=16777214 step 2;
    /// The number of a breakpoint, for the debugger alone.
    BreakpointCode 0..=255 step 1;
}

impl ImmKind {
    /// Whether `value` has an encoding.
    pub fn accepts(self, value: i32) -> bool {
        if let Some((lo, hi, step)) = self.range() {
            let updates = !matches!(self, ImmKind::PreImm8 | ImmKind::PreImm8x4) || value != 0;
            return (lo..=hi).contains(&value) && value % step == 0 && updates;
        }
        match self {
            ImmKind::ModImm => ModImm::encoding(value as u32).is_some(),
            ImmKind::Shift => Shift::of_raw(value).is_some(),
            ImmKind::Extract | ImmKind::Insert => Field::of_raw(value).is_some(),
            ImmKind::Cond => (0..14).contains(&value),
            _ => (value >> 4 & 15) < 14 && value & 15 != 0 && (0..256).contains(&value),
        }
    }

    /// The bits of `value`, in the order in which they stand in a diagram.
    pub fn bits(self, value: i32) -> u32 {
        let raw = value as u32;
        match self {
            ImmKind::RightBy => raw & 31,
            ImmKind::SatBits | ImmKind::SatBits16 => raw - 1,
            ImmKind::NegImm8 => raw.wrapping_neg(),
            ImmKind::PostImm8 | ImmKind::PreImm8 => signed(value, 1),
            ImmKind::OffsetImm8x4 | ImmKind::PreImm8x4 => signed(value, 4),
            // The top nibble of a 16-bit constant stands behind bit 11, as i imm4 imm3 imm8.
            ImmKind::Imm16 => (raw >> 11 & 1) << 15 | (raw >> 12) << 11 | raw & 0x7ff,
            ImmKind::BranchOffset9 => raw >> 1 & 0xff,
            ImmKind::BranchOffset12 => raw >> 1 & 0x7ff,
            // S imm6 J1 J2 imm11, where J1 and J2 are bits 18 and 19.
            ImmKind::BranchOffset21 => {
                let [s, j1, j2] = [20, 18, 19].map(|bit| raw >> bit & 1);
                s << 19 | (raw >> 12 & 0x3f) << 13 | j1 << 12 | j2 << 11 | raw >> 1 & 0x7ff
            }
            // S imm10 J1 J2 imm11, where J1 and J2 say whether bits 23 and 22 equal the sign.
            ImmKind::BranchOffset25 => {
                let [s, i1, i2] = [24, 23, 22].map(|bit| raw >> bit & 1);
                let [j1, j2] = [i1, i2].map(|i| 1 ^ i ^ s);
                s << 23 | (raw >> 12 & 0x3ff) << 13 | j1 << 12 | j2 << 11 | raw >> 1 & 0x7ff
            }
            ImmKind::ModImm => ModImm::encoding(raw).expect("the constructor refuses other constants"),
            ImmKind::Shift => raw >> 8 & 3 | (raw & 31) << 2,
            ImmKind::Extract => (raw & 31) << 5 | ((raw >> 8) - 1),
            ImmKind::Insert => (raw & 31) << 5 | ((raw >> 8) + (raw & 31) - 1),
            _ => raw / self.range().map_or(1, |(_, _, step)| step as u32),
        }
    }

    /// Whether the value is where a branch goes.
    pub const fn is_branch(self) -> bool {
        matches!(
            self,
            ImmKind::BranchOffset7
                | ImmKind::BranchOffset9
                | ImmKind::BranchOffset12
                | ImmKind::BranchOffset21
                | ImmKind::BranchOffset25
        )
    }
}

/// Direction and distance: the U bit, then 8 bits in units of `step` bytes.
fn signed(value: i32, step: u32) -> u32 {
    (u32::from(value >= 0) << 8) | (value.unsigned_abs() / step)
}

/// A 32-bit constant: a byte, a byte repeated in one of three patterns, or eight bits with the top one set,
/// shifted left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModImm(u32);

impl ModImm {
    /// The constant, or `None` where it has no encoding. A negative number stands for its 32-bit pattern.
    pub fn new(value: i64) -> Option<Self> {
        let bits = if value < 0 { i32::try_from(value).ok()? as u32 } else { u32::try_from(value).ok()? };
        Self::encoding(bits).map(|_| Self(bits))
    }

    /// The value as an instruction keeps it.
    pub fn raw(self) -> i32 {
        self.0 as i32
    }

    /// The constant that 12 bits of encoding stand for, as ThumbExpandImm in the Armv7-M manual; `None` for
    /// the unpredictable ones.
    pub fn decode(bits: u32) -> Option<Self> {
        let byte = bits & 0xff;
        let pattern = match bits >> 8 & 15 {
            0 => Some(byte),
            1 => Some(byte * 0x0001_0001),
            2 => Some(byte * 0x0100_0100),
            3 => Some(byte * 0x0101_0101),
            _ => return Some(Self((byte & 0x7f | 0x80).rotate_right(bits >> 7 & 31))),
        };
        pattern.filter(|_| bits < 0x100 || byte != 0).map(Self)
    }

    /// Whether the encoding of a constant rotates a byte, rather than repeating it.
    pub fn is_rotated(value: u32) -> bool {
        Self::encoding(value).is_some_and(|bits| bits >= 0x400)
    }

    /// The 12 bits i:imm3:imm8 of a constant.
    fn encoding(value: u32) -> Option<u32> {
        let byte = value & 0xff;
        let second = value >> 8 & 0xff;
        if value == byte {
            return Some(byte);
        }
        if byte != 0 && value == byte * 0x0001_0001 {
            return Some(0x100 | byte);
        }
        if second != 0 && value == second * 0x0100_0100 {
            return Some(0x200 | second);
        }
        if byte != 0 && value == byte * 0x0101_0101 {
            return Some(0x300 | byte);
        }
        // The top set bit comes first; the rotation to the right that brings it there is 8 to 31.
        let rotation = value.leading_zeros() + 8;
        let eight = value.rotate_left(rotation);
        (eight < 0x100 && rotation < 32).then_some(rotation << 7 | eight & 0x7f)
    }
}

/// How a shift moves bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShiftKind {
    /// To the left.
    Lsl,
    /// To the right, filling with zeros.
    Lsr,
    /// To the right, filling with the sign.
    Asr,
    /// To the right, around the end.
    Ror,
}

impl ShiftKind {
    /// Every kind, in the order of its encoding.
    pub const ALL: [ShiftKind; 4] = [ShiftKind::Lsl, ShiftKind::Lsr, ShiftKind::Asr, ShiftKind::Ror];

    /// As the assembler writes it.
    pub const fn name(self) -> &'static str {
        match self {
            ShiftKind::Lsl => "lsl",
            ShiftKind::Lsr => "lsr",
            ShiftKind::Asr => "asr",
            ShiftKind::Ror => "ror",
        }
    }
}

/// The shift of a second operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shift {
    kind: ShiftKind,
    amount: i32,
}

impl Shift {
    /// No shift.
    pub const NONE: Shift = Shift { kind: ShiftKind::Lsl, amount: 0 };

    /// The shift, or `None` where it has no encoding: 0 to 31 to the left, 1 to 32 to the right, 1 to 31
    /// around.
    pub fn new(kind: ShiftKind, amount: i64) -> Option<Self> {
        let limits = match kind {
            ShiftKind::Lsl => 0..=31,
            ShiftKind::Lsr | ShiftKind::Asr => 1..=32,
            ShiftKind::Ror => 1..=31,
        };
        limits.contains(&amount).then_some(Shift { kind, amount: amount as i32 })
    }

    /// The value as an instruction keeps it: the amount, and the kind above bit 8.
    pub fn raw(self) -> i32 {
        (self.kind as i32) << 8 | self.amount
    }

    /// The shift that [`Shift::raw`] stands for.
    pub fn of_raw(raw: i32) -> Option<Self> {
        let kind = ShiftKind::ALL.get(usize::try_from(raw >> 8).ok()?)?;
        Shift::new(*kind, i64::from(raw & 0xff))
    }

    /// How bits move.
    pub fn kind(self) -> ShiftKind {
        self.kind
    }

    /// By how many bits.
    pub fn amount(self) -> i32 {
        self.amount
    }
}

/// Bits `lsb` to `lsb + width - 1` of a word, as an instruction keeps them.
struct Field;

impl Field {
    fn of_raw(raw: i32) -> Option<(i32, i32)> {
        let (lsb, width) = (raw & 0xff, raw >> 8);
        ((0..32).contains(&lsb) && width >= 1 && lsb + width <= 32).then_some((lsb, width))
    }
}

/// Declares a bit field type.
macro_rules! bit_field {
    ($($(#[$doc:meta])* $name:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $name(i32);

        impl $name {
            /// The field of `width` bits from bit `lsb` on, or `None` where it leaves the word.
            pub fn new(lsb: i64, width: i64) -> Option<Self> {
                let inside = (0..32).contains(&lsb) && width >= 1 && width <= 32 - lsb;
                inside.then(|| Self((width << 8 | lsb) as i32))
            }

            /// The value as an instruction keeps it: the lowest bit, and the width above bit 8.
            pub fn raw(self) -> i32 {
                self.0
            }
        }
    )* };
}

bit_field! {
    /// The field that `ubfx` and `sbfx` read.
    Extract;
    /// The field that `bfi` and `bfc` write.
    Insert;
}

/// A condition on the flags.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Cond {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Carry set; unsigned at least.
    Cs,
    /// Carry clear; unsigned below.
    Cc,
    /// Negative.
    Mi,
    /// Not negative.
    Pl,
    /// Overflow.
    Vs,
    /// No overflow.
    Vc,
    /// Unsigned above.
    Hi,
    /// Unsigned at most.
    Ls,
    /// Signed at least.
    Ge,
    /// Signed below.
    Lt,
    /// Signed above.
    Gt,
    /// Signed at most.
    Le,
    /// Always; no field holds it.
    Al,
}

impl Cond {
    /// Every condition that can fail, in the order of its encoding.
    pub const ALL: [Cond; 14] = [
        Cond::Eq,
        Cond::Ne,
        Cond::Cs,
        Cond::Cc,
        Cond::Mi,
        Cond::Pl,
        Cond::Vs,
        Cond::Vc,
        Cond::Hi,
        Cond::Ls,
        Cond::Ge,
        Cond::Lt,
        Cond::Gt,
        Cond::Le,
    ];

    /// As the assembler writes it; nothing for `Al`.
    pub const fn suffix(self) -> &'static str {
        ["eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", ""]
            [self as usize]
    }

    /// The value as an instruction keeps it. `Al` has none: an unconditional branch is another form.
    pub fn raw(self) -> i32 {
        assert!(self != Cond::Al, "no field holds the condition `always`");
        self as i32
    }

    /// The opposite condition; `Al` stays.
    pub fn negated(self) -> Cond {
        if self == Cond::Al { self } else { Cond::ALL[self as usize ^ 1] }
    }
}

/// The head of an IT block: its condition and which of up to four instructions run on the opposite.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ItBlock(i32);

impl ItBlock {
    /// The block whose first instruction runs on `first`; `others` says for each further one whether it does
    /// too.
    pub fn new(first: Cond, others: &[bool]) -> Option<Self> {
        if first == Cond::Al || others.len() > 3 {
            return None;
        }
        let low = first as i32 & 1;
        let bits = others.iter().fold(0, |bits, &same| bits << 1 | if same { low } else { 1 - low });
        let mask = (bits << 1 | 1) << (3 - others.len());
        Some(ItBlock((first as i32) << 4 | mask))
    }

    /// The value as an instruction keeps it, which is its encoding.
    pub fn raw(self) -> i32 {
        self.0
    }
}

/// An immediate in the assembler's notation.
pub(super) struct Notation {
    /// How to read the value.
    pub kind: ImmKind,
    /// The value as an instruction keeps it.
    pub raw: i32,
}

impl fmt::Display for Notation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raw = self.raw;
        match self.kind {
            ImmKind::ModImm => write!(f, "{}", raw as u32),
            ImmKind::Shift if raw & 0xff == 0 => Ok(()),
            ImmKind::Shift => write!(f, ", {} #{}", ShiftKind::ALL[(raw >> 8) as usize].name(), raw & 0xff),
            ImmKind::Extract | ImmKind::Insert => write!(f, "#{}, #{}", raw & 0xff, raw >> 8),
            ImmKind::Cond => f.write_str(Cond::ALL[raw as usize].suffix()),
            ImmKind::ItBlock => write_it(raw, f),
            ImmKind::BreakpointCode => write!(f, "{raw:#06x}"),
            kind if kind.is_branch() => write!(f, ".{:+}", raw + 4),
            _ => write!(f, "{raw}"),
        }
    }
}

/// Writes `te ne` for the block of `ite ne`'s: a letter per further instruction, then the condition.
fn write_it(raw: i32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (cond, mask) = (raw >> 4, raw & 15);
    for bit in (mask.trailing_zeros() as i32 + 1..4).rev() {
        f.write_str(if mask >> bit & 1 == cond & 1 { "t" } else { "e" })?;
    }
    write!(f, " {}", Cond::ALL[cond as usize].suffix())
}
