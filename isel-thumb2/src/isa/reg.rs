//! Registers: the core's, the S registers of the FPU, and virtual ones before allocation.

use std::fmt;

/// A register: 0 to 15 are r0 to pc, 16 to 47 are s0 to s31, 64 and up are virtual.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Reg(u32);

impl Reg {
    /// The stack pointer.
    pub const SP: Reg = Reg(13);
    /// The link register, an ordinary register between prologue and epilogue.
    pub const LR: Reg = Reg(14);
    /// The program counter.
    pub const PC: Reg = Reg(15);

    /// The core register `r{n}`, `n` at most 15.
    pub const fn core(n: u32) -> Reg {
        assert!(n < 16, "a core register is r0 to r15");
        Reg(n)
    }

    /// The FPU register `s{n}`, `n` at most 31.
    pub const fn s(n: u32) -> Reg {
        assert!(n < 32, "a single register is s0 to s31");
        Reg(FIRST_S + n)
    }

    /// The virtual register `v{n}`. Its class is that of the operands it stands at.
    pub const fn virt(n: u32) -> Reg {
        Reg(FIRST_VIRTUAL + n)
    }

    /// Whether allocation still has to place this register.
    pub const fn is_virtual(self) -> bool {
        self.0 >= FIRST_VIRTUAL
    }

    /// Whether this is one of r0 to pc.
    pub const fn is_core(self) -> bool {
        self.0 < FIRST_S
    }

    /// Whether this is one of s0 to s31.
    pub const fn is_s(self) -> bool {
        self.0 >= FIRST_S && self.0 < FIRST_S + 32
    }

    /// The number within its kind: 13 for sp, 3 for s3, 7 for v7.
    pub const fn number(self) -> u32 {
        match self.0 {
            n if n < FIRST_S => n,
            n if n < FIRST_VIRTUAL => n - FIRST_S,
            n => n - FIRST_VIRTUAL,
        }
    }

    /// A dense index of real registers, below 48; virtual registers follow from 64.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

const FIRST_S: u32 = 16;
const FIRST_VIRTUAL: u32 = 64;

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            13 => f.write_str("sp"),
            14 => f.write_str("lr"),
            15 => f.write_str("pc"),
            n if n < FIRST_S => write!(f, "r{n}"),
            n if n < FIRST_VIRTUAL => write!(f, "s{}", n - FIRST_S),
            n => write!(f, "v{}", n - FIRST_VIRTUAL),
        }
    }
}

/// The registers an operand accepts. A list operand stands for any number of registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegClass {
    /// r0 to r12 and lr.
    Core,
    /// r0 to r7, what most 16-bit forms accept.
    Low,
    /// r0 to r12, lr and sp: the base of an address.
    Base,
    /// sp alone; it is not a field of the encoding.
    Sp,
    /// s0 to s31.
    Single,
    /// Two or more of r0 to r12 and lr, ascending.
    List,
    /// Two or more of r0 to r12 with pc last, ascending.
    ListPc,
    /// Any of r0 to r7, ascending.
    LowList,
    /// Any of r0 to r7 and lr, ascending.
    LowListLr,
    /// Any of r0 to r7 with pc last, ascending.
    LowListPc,
    /// Consecutive single registers.
    SingleList,
}

impl RegClass {
    /// Whether a real register may stand here; a virtual one always may.
    pub fn admits(self, reg: Reg) -> bool {
        let n = reg.number();
        match self {
            _ if reg.is_virtual() => true,
            RegClass::Single | RegClass::SingleList => reg.is_s(),
            _ if !reg.is_core() => false,
            RegClass::Core | RegClass::List => n <= 12 || reg == Reg::LR,
            RegClass::Base => n <= 14,
            RegClass::Sp => reg == Reg::SP,
            RegClass::Low | RegClass::LowList => n <= 7,
            RegClass::LowListLr => n <= 7 || reg == Reg::LR,
            RegClass::LowListPc => n <= 7 || reg == Reg::PC,
            RegClass::ListPc => n <= 12 || reg == Reg::PC,
        }
    }

    /// Whether the operand stands for several registers.
    pub const fn is_list(self) -> bool {
        matches!(
            self,
            RegClass::List
                | RegClass::ListPc
                | RegClass::LowList
                | RegClass::LowListLr
                | RegClass::LowListPc
                | RegClass::SingleList
        )
    }

    /// Whether the operand lives in the FPU's registers.
    pub const fn is_fpu(self) -> bool {
        matches!(self, RegClass::Single | RegClass::SingleList)
    }
}

impl AsRef<[Reg]> for Reg {
    fn as_ref(&self) -> &[Reg] {
        std::slice::from_ref(self)
    }
}
