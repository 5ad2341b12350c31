//! What a row of the instruction table says, and the macro that reads the rows.
//!
//! ```text
//! Form constructor "text" "diagram" [defs <- uses; immediates] Class Extension + effects @ access => narrower;
//! ```
//!
//! - Text: `{d}` prints an operand, `{, #i}` prints `, #` and the immediate unless that is zero.
//! - Diagram: a letter stands for one bit of the operand or immediate of that name, most significant bit
//!   first. The capital letter is the lowest bit of an S register whose other bits stand at the small letter,
//!   and `c` counts a list of S registers.
//! - `n=d` among the uses is tied: its register is that of `d`, and it has no bits of its own.
//! - `n:Base` names a register class; without one it is `Core`. `i:Imm12` names the type of an immediate.

use super::imm::ImmKind;
use super::reg::RegClass;
pub use super::table::Form;

/// All there is to know about an instruction form, except its cycles.
#[derive(Debug)]
pub struct Row {
    /// The name of the form, as in [`Form`].
    pub name: &'static str,
    /// How it prints; see the module header.
    pub text: &'static str,
    /// Its bits; see the module header.
    pub diagram: &'static str,
    /// Defs first, then uses; an instruction holds its registers in this order.
    pub operands: &'static [Operand],
    /// Immediates in the order of the constructor's arguments.
    pub imms: &'static [Immediate],
    /// How the cores' timing machines see it.
    pub class: Class,
    /// What the core must have.
    pub ext: Extension,
    /// What it reads and writes beside its operands.
    pub effects: Effects,
    /// The memory access, if it makes one.
    pub mem: Option<Mem>,
    /// 16-bit forms to try instead once registers are known, best first.
    pub narrower: &'static [Form],
    /// Length of the encoding in bytes, 2 or 4.
    pub size: usize,
}

/// A register operand of a row.
#[derive(Clone, Copy, Debug)]
pub struct Operand {
    /// Its name in text and diagram.
    pub letter: u8,
    /// Written, read, or both.
    pub role: Role,
    /// The registers it accepts.
    pub class: RegClass,
}

/// What an instruction does with an operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Written.
    Def,
    /// Read.
    Use,
    /// Read from the register that the def of this letter is written to.
    Tied(u8),
}

/// An immediate of a row.
#[derive(Clone, Copy, Debug)]
pub struct Immediate {
    /// Its name in text and diagram.
    pub letter: u8,
    /// Its values and their encoding.
    pub kind: ImmKind,
}

/// Instructions that no supported core tells apart when it times them, operands aside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Addition, subtraction and moves.
    Add,
    /// `movw`, the first half of a 32-bit constant.
    Movw,
    /// `movt`, the second half of a 32-bit constant.
    Movt,
    /// Logic, comparison, negation, addition with carry.
    Logic,
    /// Shifts that are not part of another operation.
    Shift,
    /// Extensions, parallel addition and subtraction, `sel`, `clz`.
    Lanes,
    /// Saturating addition and subtraction, sums of absolute differences.
    LanesLate,
    /// `pkhbt`, `bfi`, extension with addition: the last operand passes the shifter.
    Pack,
    /// `bfc`.
    Clear,
    /// `ubfx` and `sbfx`.
    Extract,
    /// `ssat` and its kin.
    Saturate,
    /// `rev`, `rbit` and their kin.
    Reverse,
    /// A product of up to 32 bits.
    Mul,
    /// A product added to a 32-bit accumulator, the last operand.
    Mac,
    /// A 64-bit product.
    LongMul,
    /// A product added to a 64-bit accumulator.
    LongMac,
    /// Division.
    Div,
    /// A load into one core register.
    Load,
    /// A store of one core register.
    Store,
    /// A load into several core registers.
    LoadMultiple,
    /// A store of several core registers.
    StoreMultiple,
    /// A branch that is always taken.
    Branch,
    /// A branch that may fall through.
    BranchIf,
    /// A call.
    Call,
    /// A branch to an address in a register, as a return.
    Return,
    /// A load of several registers among them pc.
    LoadReturn,
    /// The head of a block of conditional instructions.
    It,
    /// Instructions that no kernel contains.
    System,
    /// A load into an S register.
    FloatLoad,
    /// A store of an S register.
    FloatStore,
    /// A load into several S registers.
    FloatLoadMultiple,
    /// A store of several S registers.
    FloatStoreMultiple,
    /// A move into an S register.
    FloatMove,
    /// A move from an S register to a core register.
    FloatToCore,
}

/// What a core must have to run an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extension {
    /// Every core with Thumb-2.
    Base,
    /// The DSP extension.
    Dsp,
    /// A single-precision FPU.
    Fpu,
}

/// What an instruction reads and writes beside its operands; the Q flag is ignored throughout.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Effects {
    /// Writes N, Z, C, V or some of them.
    pub sets_flags: bool,
    /// Reads N, Z, C or V.
    pub reads_flags: bool,
    /// Writes the GE flags.
    pub writes_ge: bool,
    /// Reads the GE flags.
    pub reads_ge: bool,
    /// Writes lr.
    pub clobbers_lr: bool,
    /// Reads and moves sp.
    pub moves_sp: bool,
    /// `n` and `m` may change places.
    pub commutes: bool,
}

/// A memory access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mem {
    /// Load or store.
    pub access: Access,
    /// Bytes of each register's part.
    pub bytes: u8,
    /// How the address is formed.
    pub addressing: Addressing,
}

/// The direction of a memory access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Memory to register.
    Load,
    /// Register to memory.
    Store,
}

/// How an address is formed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Addressing {
    /// Base plus a constant.
    Imm,
    /// Base plus a register, shifted left by a constant.
    Reg,
    /// At the base, which then moves by a constant.
    Post,
    /// At the base moved by a constant, which it keeps.
    Pre,
    /// Several words from the base on.
    Multiple,
    /// Several words from the base on, which then points behind them.
    MultipleUpdate,
}

impl Addressing {
    /// Whether the base register is written.
    pub const fn writes_base(self) -> bool {
        matches!(self, Addressing::Post | Addressing::Pre | Addressing::MultipleUpdate)
    }
}

/// The bits of a diagram, spaces left out.
pub(super) const fn diagram_bits(diagram: &str) -> usize {
    let (bytes, mut i, mut bits) = (diagram.as_bytes(), 0, 0);
    while i < bytes.len() {
        if bytes[i] != b' ' {
            bits += 1;
        }
        i += 1;
    }
    bits
}

/// Whether every letter of a diagram is one of `letters`, which are small.
pub(super) const fn diagram_uses_only(diagram: &str, letters: &str) -> bool {
    let (bytes, letters, mut i) = (diagram.as_bytes(), letters.as_bytes(), 0);
    while i < bytes.len() {
        if bytes[i].is_ascii_alphabetic() {
            let (mut j, mut found) = (0, false);
            while j < letters.len() {
                found |= letters[j] == bytes[i].to_ascii_lowercase();
                j += 1;
            }
            if !found {
                return false;
            }
        }
        i += 1;
    }
    true
}

/// Sets one flag of an [`Effects`] by its name in a row.
macro_rules! effect {
    ($e:ident SetsFlags) => {
        $e.sets_flags = true
    };
    ($e:ident ReadsFlags) => {
        $e.reads_flags = true
    };
    ($e:ident WritesGe) => {
        $e.writes_ge = true
    };
    ($e:ident ReadsGe) => {
        $e.reads_ge = true
    };
    ($e:ident WritesLr) => {
        $e.clobbers_lr = true
    };
    ($e:ident MovesSp) => {
        $e.moves_sp = true
    };
    ($e:ident Commutes) => {
        $e.commutes = true
    };
}

/// The class of an operand, `Core` where the row names none.
macro_rules! class {
    () => {
        $crate::isa::RegClass::Core
    };
    ($class:ident) => {
        $crate::isa::RegClass::$class
    };
}

/// The role of an operand on the right of the arrow.
macro_rules! role {
    () => {
        $crate::isa::Role::Use
    };
    ($tie:ident) => {
        $crate::isa::Role::Tied(stringify!($tie).as_bytes()[0])
    };
}

/// The argument type of an operand: one register or a list.
macro_rules! argument {
    () => {
        $crate::isa::Reg
    };
    (List) => {
        &[$crate::isa::Reg]
    };
    (ListPc) => {
        &[$crate::isa::Reg]
    };
    (LowList) => {
        &[$crate::isa::Reg]
    };
    (LowListLr) => {
        &[$crate::isa::Reg]
    };
    (LowListPc) => {
        &[$crate::isa::Reg]
    };
    (SingleList) => {
        &[$crate::isa::Reg]
    };
    ($class:ident) => {
        $crate::isa::Reg
    };
}

/// Reads the rows: makes [`Form`], the table and one constructor per row.
macro_rules! thumb2 {
    ($(
        $(#[$doc:meta])*
        $form:ident $ctor:ident $text:literal $diagram:literal
        [$($def:ident $(: $dclass:ident)?)* <- $($use:ident $(= $tie:ident)? $(: $uclass:ident)?)* $(; $($imm:ident : $kind:ident)*)?]
        $class:ident $ext:ident $(+ $effect:ident)* $(@ $access:ident $bytes:literal $addressing:ident)? $(=> $($narrower:ident)*)? ;
    )*) => {
        /// An instruction form: one encoding with its operands.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u16)]
        pub enum Form { $( $(#[$doc])* $form, )* }

        impl Form {
            /// Every form, in the order of the table.
            pub const ALL: &'static [Form] = &[$(Form::$form),*];

            /// The row of this form.
            pub fn row(self) -> &'static Row {
                &ROWS[self as usize]
            }
        }

        static ROWS: [Row; Form::ALL.len()] = [$(Row {
            name: stringify!($form),
            text: $text,
            diagram: $diagram,
            operands: &[
                $(Operand { letter: stringify!($def).as_bytes()[0], role: Role::Def, class: class!($($dclass)?) },)*
                $(Operand { letter: stringify!($use).as_bytes()[0], role: role!($($tie)?), class: class!($($uclass)?) },)*
            ],
            imms: &[$($(Immediate { letter: stringify!($imm).as_bytes()[0], kind: ImmKind::$kind },)*)?],
            class: Class::$class,
            ext: Extension::$ext,
            effects: {
                #[allow(unused_mut)]
                let mut effects = NO_EFFECTS;
                $(effect!(effects $effect);)*
                effects
            },
            mem: {
                #[allow(unused_mut, unused_assignments)]
                let mut mem = None;
                $(mem = Some(Mem { access: Access::$access, bytes: $bytes, addressing: Addressing::$addressing });)?
                mem
            },
            narrower: &[$($(Form::$narrower),*)?],
            size: diagram_bits($diagram) / 8,
        }),*];

        $(const _: () = {
            assert!(
                matches!(diagram_bits($diagram), 16 | 32),
                concat!("the diagram of ", stringify!($form), " is not 16 or 32 bits long")
            );
            assert!(
                diagram_uses_only($diagram, concat!($(stringify!($def),)* $(stringify!($use),)* $($(stringify!($imm),)*)? "c")),
                concat!("the diagram of ", stringify!($form), " has a letter that is no operand")
            );
        };)*

        /// One constructor per row: registers in row order, defs first, then immediates.
        pub mod inst {
            use super::super::row::argument;
            use super::super::{Inst, imm};
            use super::Form;
            $(
                $(#[$doc])*
                #[allow(clippy::too_many_arguments)]
                pub fn $ctor(
                    $($def: argument!($($dclass)?),)*
                    $($use: argument!($($uclass)?),)*
                    $($($imm: imm::$kind,)*)?
                ) -> Inst {
                    Inst::new(Form::$form, &[$(($def).as_ref(),)* $(($use).as_ref(),)*], &[$($($imm.raw(),)*)?])
                }
            )*
        }
    };
}

pub(super) use {argument, class, effect, role, thumb2};
