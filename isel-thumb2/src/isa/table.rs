//! The instruction table: one row per form, in the notation that `row` explains.
//!
//! Encodings are those of the Armv7-M Architecture Reference Manual (DDI 0403), chapter A7;
//! `tests/encoding/thumb2.txt` holds what an independent assembler makes of each row. Texts are as GNU objdump
//! prints them, which writes shifts by a constant as `mov`. Names that end in `Narrow` are the 16-bit forms;
//! code is made of the wide forms and narrowed once registers are known.

use super::imm::ImmKind;
use super::row::{
    Access, Addressing, Class, Effects, Extension, Immediate, Mem, Operand, Role, Row, class, diagram_bits,
    diagram_uses_only, effect, role, thumb2,
};

/// What most rows do beside their operands.
const NO_EFFECTS: Effects = Effects {
    sets_flags: false,
    reads_flags: false,
    writes_ge: false,
    reads_ge: false,
    clobbers_lr: false,
    moves_sp: false,
    commutes: false,
};

#[rustfmt::skip] // One instruction form per line.
thumb2! {
    // Moves and constants.
    /// Moves a register.
    Mov           mov             "mov.w {d}, {m}"    "1110 1010 0100 1111  0000 dddd 0000 mmmm" [d <- m]            Add   Base => MovNarrow;
    /// Moves a register, in 16 bits.
    MovNarrow     mov_narrow      "mov {d}, {m}"      "0100 0110 dmmm mddd"                      [d <- m]            Add   Base;
    /// Moves a constant.
    MovImm        mov_imm         "mov.w {d}, #{i}"   "1111 0i00 0100 1111  0iii dddd iiii iiii" [d <-; i:ModImm]    Add   Base => MovsImmNarrow;
    /// Moves a constant and sets N and Z.
    MovsImm       movs_imm        "movs.w {d}, #{i}"  "1111 0i00 0101 1111  0iii dddd iiii iiii" [d <-; i:ModImm]    Add   Base + SetsFlags => MovsImmNarrow;
    /// Moves a byte, in 16 bits.
    MovsImmNarrow movs_imm_narrow "movs {d}, #{i}"    "0010 0ddd iiii iiii"                      [d:Low <-; i:Imm8]  Add   Base + SetsFlags;
    /// The complement of a register.
    Mvn           mvn             "mvn.w {d}, {m}{s}" "1110 1010 0110 1111  0sss dddd ssss mmmm" [d <- m; s:Shift]   Logic Base => MvnsNarrow;
    /// The complement of a register, in 16 bits.
    MvnsNarrow    mvns_narrow     "mvns {d}, {m}"     "0100 0011 11mm mddd"                      [d:Low <- m:Low]    Logic Base + SetsFlags;
    /// The complement of a constant.
    MvnImm        mvn_imm         "mvn.w {d}, #{i}"   "1111 0i00 0110 1111  0iii dddd iiii iiii" [d <-; i:ModImm]    Logic Base;
    /// Moves a halfword; the upper half becomes 0.
    Movw          movw            "movw {d}, #{i}"    "1111 0i10 0100 iiii  0iii dddd iiii iiii" [d <-; i:Imm16]     Movw  Base => MovsImmNarrow;
    /// Replaces the upper half of `d`.
    Movt          movt            "movt {d}, #{i}"    "1111 0i10 1100 iiii  0iii dddd iiii iiii" [d <- o=d; i:Imm16] Movt  Base;

    // Addition and subtraction.
    /// `d = n + m`, `m` shifted.
    Add             add                "add.w {d}, {n}, {m}{s}"  "1110 1011 0000 nnnn  0sss dddd ssss mmmm" [d <- n m; s:Shift]        Add   Base + Commutes => AddHighNarrow AddsNarrow;
    /// `d = n + i`.
    AddImm          add_imm            "add.w {d}, {n}, #{i}"    "1111 0i01 0000 nnnn  0iii dddd iiii iiii" [d <- n:Base; i:ModImm]    Add   Base => AddFromSpNarrow AddsImm3Narrow AddsImm8Narrow;
    /// `d = n + m`, `m` shifted and sets the flags.
    Adds            adds               "adds.w {d}, {n}, {m}{s}" "1110 1011 0001 nnnn  0sss dddd ssss mmmm" [d <- n m; s:Shift]        Add   Base + SetsFlags + Commutes => AddsNarrow;
    /// `d = n + i` and sets the flags.
    AddsImm         adds_imm           "adds.w {d}, {n}, #{i}"   "1111 0i01 0001 nnnn  0iii dddd iiii iiii" [d <- n; i:ModImm]         Add   Base + SetsFlags => AddsImm3Narrow AddsImm8Narrow;
    /// `d = n + i`, any 12 bits.
    Addw            addw               "addw {d}, {n}, #{i}"     "1111 0i10 0000 nnnn  0iii dddd iiii iiii" [d <- n:Base; i:Imm12]     Add   Base => AddFromSpNarrow AddsImm3Narrow AddsImm8Narrow;
    /// `d = n + m`, in 16 bits.
    AddsNarrow      adds_narrow        "adds {d}, {n}, {m}"      "0001 100m mmnn nddd"                      [d:Low <- n:Low m:Low]     Add   Base + SetsFlags + Commutes;
    /// `d = n + i`, 3 bits, in 16 bits.
    AddsImm3Narrow  adds_imm3_narrow   "adds {d}, {n}, #{i}"     "0001 110i iinn nddd"                      [d:Low <- n:Low; i:Imm3]   Add   Base + SetsFlags;
    /// `d += i`, in 16 bits.
    AddsImm8Narrow  adds_imm8_narrow   "adds {d}, #{i}"          "0011 0ddd iiii iiii"                      [d:Low <- n=d:Low; i:Imm8] Add   Base + SetsFlags;
    /// Moves sp up.
    AddSp           add_sp             "addw {d}, {n}, #{i}"     "1111 0i10 0000 1101  0iii 1101 iiii iiii" [d:Sp <- n=d:Sp; i:Imm12]  Add   Base => AddSpNarrow;
    /// Moves sp up by a constant of eight bits, shifted.
    AddSpImm        add_sp_imm         "add.w {d}, {n}, #{i}"    "1111 0i01 0000 1101  0iii 1101 iiii iiii" [d:Sp <- n=d:Sp; i:ModImm] Add   Base => AddSpNarrow;
    /// Moves sp up by whole words, in 16 bits.
    AddSpNarrow     add_sp_narrow      "add {d}, #{i}"           "1011 0000 0iii iiii"                      [d:Sp <- n=d:Sp; i:Imm7x4] Add   Base;
    /// `d = n - m`, `m` shifted.
    Sub             sub                "sub.w {d}, {n}, {m}{s}"  "1110 1011 1010 nnnn  0sss dddd ssss mmmm" [d <- n m; s:Shift]        Add   Base => SubsNarrow;
    /// `d = n - i`.
    SubImm          sub_imm            "sub.w {d}, {n}, #{i}"    "1111 0i01 1010 nnnn  0iii dddd iiii iiii" [d <- n:Base; i:ModImm]    Add   Base => SubsImm3Narrow SubsImm8Narrow;
    /// `d = n - m`, `m` shifted and sets the flags.
    Subs            subs               "subs.w {d}, {n}, {m}{s}" "1110 1011 1011 nnnn  0sss dddd ssss mmmm" [d <- n m; s:Shift]        Add   Base + SetsFlags => SubsNarrow;
    /// `d = n - i` and sets the flags.
    SubsImm         subs_imm           "subs.w {d}, {n}, #{i}"   "1111 0i01 1011 nnnn  0iii dddd iiii iiii" [d <- n; i:ModImm]         Add   Base + SetsFlags => SubsImm3Narrow SubsImm8Narrow;
    /// `d = n - i`, any 12 bits.
    Subw            subw               "subw {d}, {n}, #{i}"     "1111 0i10 1010 nnnn  0iii dddd iiii iiii" [d <- n:Base; i:Imm12]     Add   Base => SubsImm3Narrow SubsImm8Narrow;
    /// `d = n - m`, in 16 bits.
    SubsNarrow      subs_narrow        "subs {d}, {n}, {m}"      "0001 101m mmnn nddd"                      [d:Low <- n:Low m:Low]     Add   Base + SetsFlags;
    /// `d = n - i`, 3 bits, in 16 bits.
    SubsImm3Narrow  subs_imm3_narrow   "subs {d}, {n}, #{i}"     "0001 111i iinn nddd"                      [d:Low <- n:Low; i:Imm3]   Add   Base + SetsFlags;
    /// `d -= i`, in 16 bits.
    SubsImm8Narrow  subs_imm8_narrow   "subs {d}, #{i}"          "0011 1ddd iiii iiii"                      [d:Low <- n=d:Low; i:Imm8] Add   Base + SetsFlags;
    /// Moves sp down.
    SubSp           sub_sp             "subw {d}, {n}, #{i}"     "1111 0i10 1010 1101  0iii 1101 iiii iiii" [d:Sp <- n=d:Sp; i:Imm12]  Add   Base => SubSpNarrow;
    /// Moves sp down by a constant of eight bits, shifted.
    SubSpImm        sub_sp_imm         "sub.w {d}, {n}, #{i}"    "1111 0i01 1010 1101  0iii 1101 iiii iiii" [d:Sp <- n=d:Sp; i:ModImm] Add   Base => SubSpNarrow;
    /// Moves sp down by whole words, in 16 bits.
    SubSpNarrow     sub_sp_narrow      "sub {d}, #{i}"           "1011 0000 1iii iiii"                      [d:Sp <- n=d:Sp; i:Imm7x4] Add   Base;
    /// `d += m`, in 16 bits, the flags left alone.
    AddHighNarrow   add_high_narrow    "add {d}, {m}"            "0100 0100 dmmm mddd"                      [d <- n=d m]               Add   Base;
    /// `d = sp + i`, in 16 bits.
    AddFromSpNarrow add_from_sp_narrow "add {d}, {n}, #{i}"      "1010 1ddd iiii iiii"                      [d:Low <- n:Sp; i:Imm8x4]  Add   Base;
    /// `d = m - n`, `m` shifted.
    Rsb             rsb                "rsb {d}, {n}, {m}{s}"    "1110 1011 1100 nnnn  0sss dddd ssss mmmm" [d <- n m; s:Shift]        Logic Base;
    /// `d = i - n`.
    RsbImm          rsb_imm            "rsb {d}, {n}, #{i}"      "1111 0i01 1100 nnnn  0iii dddd iiii iiii" [d <- n; i:ModImm]         Logic Base => NegsNarrow;
    /// `d = i - n` and sets the flags.
    RsbsImm         rsbs_imm           "rsbs {d}, {n}, #{i}"     "1111 0i01 1101 nnnn  0iii dddd iiii iiii" [d <- n; i:ModImm]         Logic Base + SetsFlags => NegsNarrow;
    /// `d = -n`, in 16 bits.
    NegsNarrow      negs_narrow        "negs {d}, {n}"           "0100 0010 01nn nddd"                      [d:Low <- n:Low]           Logic Base + SetsFlags;
    /// `d = n + m + carry`.
    Adc             adc                "adc.w {d}, {n}, {m}{s}"  "1110 1011 0100 nnnn  0sss dddd ssss mmmm" [d <- n m; s:Shift]        Logic Base + ReadsFlags + Commutes => AdcsNarrow;
    /// `d = n + m + carry` and sets the flags.
    Adcs            adcs               "adcs.w {d}, {n}, {m}{s}" "1110 1011 0101 nnnn  0sss dddd ssss mmmm" [d <- n m; s:Shift]        Logic Base + SetsFlags + ReadsFlags + Commutes => AdcsNarrow;
    /// `n + m + carry` into `n`, in 16 bits.
    AdcsNarrow      adcs_narrow        "adcs {d}, {m}"           "0100 0001 01mm mddd"                      [d:Low <- n=d:Low m:Low]   Logic Base + SetsFlags + ReadsFlags;
    /// `d = n + i + carry`.
    AdcImm          adc_imm            "adc.w {d}, {n}, #{i}"    "1111 0i01 0100 nnnn  0iii dddd iiii iiii" [d <- n; i:ModImm]         Logic Base + ReadsFlags;
    /// `d = n - m - 1 + carry`.
    Sbc             sbc                "sbc.w {d}, {n}, {m}{s}"  "1110 1011 0110 nnnn  0sss dddd ssss mmmm" [d <- n m; s:Shift]        Logic Base + ReadsFlags => SbcsNarrow;
    /// `d = n - m - 1 + carry` and sets the flags.
    Sbcs            sbcs               "sbcs.w {d}, {n}, {m}{s}" "1110 1011 0111 nnnn  0sss dddd ssss mmmm" [d <- n m; s:Shift]        Logic Base + SetsFlags + ReadsFlags => SbcsNarrow;
    /// `n - m - 1 + carry` into `n`, in 16 bits.
    SbcsNarrow      sbcs_narrow        "sbcs {d}, {m}"           "0100 0001 10mm mddd"                      [d:Low <- n=d:Low m:Low]   Logic Base + SetsFlags + ReadsFlags;
    /// `d = n - i - 1 + carry`.
    SbcImm          sbc_imm            "sbc.w {d}, {n}, #{i}"    "1111 0i01 0110 nnnn  0iii dddd iiii iiii" [d <- n; i:ModImm]         Logic Base + ReadsFlags;

    // Logic.
    /// `d = n & m`, `m` shifted.
    And        and         "and.w {d}, {n}, {m}{s}"  "1110 1010 0000 nnnn  0sss dddd ssss mmmm" [d <- n m; s:Shift]      Logic Base + Commutes => AndsNarrow;
    /// `d = n & i`.
    AndImm     and_imm     "and.w {d}, {n}, #{i}"    "1111 0i00 0000 nnnn  0iii dddd iiii iiii" [d <- n; i:ModImm]       Logic Base;
    /// `d = n & m` and sets N and Z.
    Ands       ands        "ands.w {d}, {n}, {m}{s}" "1110 1010 0001 nnnn  0sss dddd ssss mmmm" [d <- n m; s:Shift]      Logic Base + SetsFlags + Commutes => AndsNarrow;
    /// `d = n & i` and sets N and Z.
    AndsImm    ands_imm    "ands.w {d}, {n}, #{i}"   "1111 0i00 0001 nnnn  0iii dddd iiii iiii" [d <- n; i:ModImm]       Logic Base + SetsFlags;
    /// `n & m` into `n`, in 16 bits.
    AndsNarrow ands_narrow "ands {d}, {m}"           "0100 0000 00mm mddd"                      [d:Low <- n=d:Low m:Low] Logic Base + SetsFlags;
    /// `d = n & !m`, `m` shifted.
    Bic        bic         "bic.w {d}, {n}, {m}{s}"  "1110 1010 0010 nnnn  0sss dddd ssss mmmm" [d <- n m; s:Shift]      Logic Base => BicsNarrow;
    /// `d = n & !i`.
    BicImm     bic_imm     "bic.w {d}, {n}, #{i}"    "1111 0i00 0010 nnnn  0iii dddd iiii iiii" [d <- n; i:ModImm]       Logic Base;
    /// `n & !m` into `n`, in 16 bits.
    BicsNarrow bics_narrow "bics {d}, {m}"           "0100 0011 10mm mddd"                      [d:Low <- n=d:Low m:Low] Logic Base + SetsFlags;
    /// `d = n | m`, `m` shifted.
    Orr        orr         "orr.w {d}, {n}, {m}{s}"  "1110 1010 0100 nnnn  0sss dddd ssss mmmm" [d <- n m; s:Shift]      Logic Base + Commutes => OrrsNarrow;
    /// `d = n | i`.
    OrrImm     orr_imm     "orr.w {d}, {n}, #{i}"    "1111 0i00 0100 nnnn  0iii dddd iiii iiii" [d <- n; i:ModImm]       Logic Base;
    /// `n | m` into `n`, in 16 bits.
    OrrsNarrow orrs_narrow "orrs {d}, {m}"           "0100 0011 00mm mddd"                      [d:Low <- n=d:Low m:Low] Logic Base + SetsFlags;
    /// `d = n | !m`, `m` shifted.
    Orn        orn         "orn {d}, {n}, {m}{s}"    "1110 1010 0110 nnnn  0sss dddd ssss mmmm" [d <- n m; s:Shift]      Logic Base;
    /// `d = n | !i`.
    OrnImm     orn_imm     "orn {d}, {n}, #{i}"      "1111 0i00 0110 nnnn  0iii dddd iiii iiii" [d <- n; i:ModImm]       Logic Base;
    /// `d = n ^ m`, `m` shifted.
    Eor        eor         "eor.w {d}, {n}, {m}{s}"  "1110 1010 1000 nnnn  0sss dddd ssss mmmm" [d <- n m; s:Shift]      Logic Base + Commutes => EorsNarrow;
    /// `d = n ^ i`.
    EorImm     eor_imm     "eor.w {d}, {n}, #{i}"    "1111 0i00 1000 nnnn  0iii dddd iiii iiii" [d <- n; i:ModImm]       Logic Base;
    /// `n ^ m` into `n`, in 16 bits.
    EorsNarrow eors_narrow "eors {d}, {m}"           "0100 0000 01mm mddd"                      [d:Low <- n=d:Low m:Low] Logic Base + SetsFlags;

    // Comparisons.
    /// Sets the flags by `n - m`, `m` shifted.
    Cmp          cmp            "cmp.w {n}, {m}{s}" "1110 1011 1011 nnnn  0sss 1111 ssss mmmm" [<- n m; s:Shift]  Logic Base + SetsFlags => CmpNarrow;
    /// Sets the flags by `n - i`.
    CmpImm       cmp_imm        "cmp.w {n}, #{i}"   "1111 0i01 1011 nnnn  0iii 1111 iiii iiii" [<- n; i:ModImm]   Logic Base + SetsFlags => CmpImmNarrow;
    /// Sets the flags by `n - m`, in 16 bits.
    CmpNarrow    cmp_narrow     "cmp {n}, {m}"      "0100 0010 10mm mnnn"                      [<- n:Low m:Low]   Logic Base + SetsFlags;
    /// Sets the flags by `n + m`, `m` shifted.
    Cmn          cmn            "cmn.w {n}, {m}{s}" "1110 1011 0001 nnnn  0sss 1111 ssss mmmm" [<- n m; s:Shift]  Logic Base + SetsFlags => CmnNarrow;
    /// Sets the flags by `n + i`.
    CmnImm       cmn_imm        "cmn.w {n}, #{i}"   "1111 0i01 0001 nnnn  0iii 1111 iiii iiii" [<- n; i:ModImm]   Logic Base + SetsFlags;
    /// Sets the flags by `n + m`, in 16 bits.
    CmnNarrow    cmn_narrow     "cmn {n}, {m}"      "0100 0010 11mm mnnn"                      [<- n:Low m:Low]   Logic Base + SetsFlags;
    /// Sets the flags by `n & m`, `m` shifted.
    Tst          tst            "tst.w {n}, {m}{s}" "1110 1010 0001 nnnn  0sss 1111 ssss mmmm" [<- n m; s:Shift]  Logic Base + SetsFlags => TstNarrow;
    /// Sets the flags by `n & i`.
    TstImm       tst_imm        "tst.w {n}, #{i}"   "1111 0i00 0001 nnnn  0iii 1111 iiii iiii" [<- n; i:ModImm]   Logic Base + SetsFlags;
    /// Sets the flags by `n & m`, in 16 bits.
    TstNarrow    tst_narrow     "tst {n}, {m}"      "0100 0010 00mm mnnn"                      [<- n:Low m:Low]   Logic Base + SetsFlags;
    /// Sets the flags by `n ^ m`, `m` shifted.
    Teq          teq            "teq {n}, {m}{s}"   "1110 1010 1001 nnnn  0sss 1111 ssss mmmm" [<- n m; s:Shift]  Logic Base + SetsFlags;
    /// Sets the flags by `n ^ i`.
    TeqImm       teq_imm        "teq {n}, #{i}"     "1111 0i00 1001 nnnn  0iii 1111 iiii iiii" [<- n; i:ModImm]   Logic Base + SetsFlags;
    /// Sets the flags by `n - i`, in 16 bits.
    CmpImmNarrow cmp_imm_narrow "cmp {n}, #{i}"     "0010 1nnn iiii iiii"                      [<- n:Low; i:Imm8] Logic Base + SetsFlags;

    // Shifts.
    /// `m` shifted left.
    LslImm        lsl_imm         "mov.w {d}, {m}, lsl #{i}"  "1110 1010 0100 1111  0iii dddd ii00 mmmm" [d <- m; i:LeftBy]          Shift Base => LslsImmNarrow;
    /// `m` shifted left; sets N, Z and C.
    LslsImm       lsls_imm        "movs.w {d}, {m}, lsl #{i}" "1110 1010 0101 1111  0iii dddd ii00 mmmm" [d <- m; i:LeftBy]          Shift Base + SetsFlags => LslsImmNarrow;
    /// `m` shifted left, in 16 bits.
    LslsImmNarrow lsls_imm_narrow "lsls {d}, {m}, #{i}"       "0000 0iii iimm mddd"                      [d:Low <- m:Low; i:LeftBy]  Shift Base + SetsFlags;
    /// `n` shifted left, by the low byte of `m`.
    Lsl           lsl             "lsl.w {d}, {n}, {m}"       "1111 1010 0000 nnnn  1111 dddd 0000 mmmm" [d <- n m]                  Shift Base => LslsNarrow;
    /// `n` shifted left, by the low byte of `m`, in 16 bits.
    LslsNarrow    lsls_narrow     "lsls {d}, {m}"             "0100 0000 10mm mddd"                      [d:Low <- n=d:Low m:Low]    Shift Base + SetsFlags;
    /// `m` shifted right, zeros in.
    LsrImm        lsr_imm         "mov.w {d}, {m}, lsr #{i}"  "1110 1010 0100 1111  0iii dddd ii01 mmmm" [d <- m; i:RightBy]         Shift Base => LsrsImmNarrow;
    /// `m` shifted right, zeros in; sets N, Z and C.
    LsrsImm       lsrs_imm        "movs.w {d}, {m}, lsr #{i}" "1110 1010 0101 1111  0iii dddd ii01 mmmm" [d <- m; i:RightBy]         Shift Base + SetsFlags => LsrsImmNarrow;
    /// `m` shifted right, zeros in, in 16 bits.
    LsrsImmNarrow lsrs_imm_narrow "lsrs {d}, {m}, #{i}"       "0000 1iii iimm mddd"                      [d:Low <- m:Low; i:RightBy] Shift Base + SetsFlags;
    /// `n` shifted right, zeros in, by the low byte of `m`.
    Lsr           lsr             "lsr.w {d}, {n}, {m}"       "1111 1010 0010 nnnn  1111 dddd 0000 mmmm" [d <- n m]                  Shift Base => LsrsNarrow;
    /// `n` shifted right, zeros in, by the low byte of `m`, in 16 bits.
    LsrsNarrow    lsrs_narrow     "lsrs {d}, {m}"             "0100 0000 11mm mddd"                      [d:Low <- n=d:Low m:Low]    Shift Base + SetsFlags;
    /// `m` shifted right, sign in.
    AsrImm        asr_imm         "mov.w {d}, {m}, asr #{i}"  "1110 1010 0100 1111  0iii dddd ii10 mmmm" [d <- m; i:RightBy]         Shift Base => AsrsImmNarrow;
    /// `m` shifted right, sign in; sets N, Z and C.
    AsrsImm       asrs_imm        "movs.w {d}, {m}, asr #{i}" "1110 1010 0101 1111  0iii dddd ii10 mmmm" [d <- m; i:RightBy]         Shift Base + SetsFlags => AsrsImmNarrow;
    /// `m` shifted right, sign in, in 16 bits.
    AsrsImmNarrow asrs_imm_narrow "asrs {d}, {m}, #{i}"       "0001 0iii iimm mddd"                      [d:Low <- m:Low; i:RightBy] Shift Base + SetsFlags;
    /// `n` shifted right, sign in, by the low byte of `m`.
    Asr           asr             "asr.w {d}, {n}, {m}"       "1111 1010 0100 nnnn  1111 dddd 0000 mmmm" [d <- n m]                  Shift Base => AsrsNarrow;
    /// `n` shifted right, sign in, by the low byte of `m`, in 16 bits.
    AsrsNarrow    asrs_narrow     "asrs {d}, {m}"             "0100 0001 00mm mddd"                      [d:Low <- n=d:Low m:Low]    Shift Base + SetsFlags;
    /// `m` shifted right, around.
    RorImm        ror_imm         "mov.w {d}, {m}, ror #{i}"  "1110 1010 0100 1111  0iii dddd ii11 mmmm" [d <- m; i:RotateBy]        Shift Base;
    /// `n` shifted right, around, by the low byte of `m`.
    Ror           ror             "ror.w {d}, {n}, {m}"       "1111 1010 0110 nnnn  1111 dddd 0000 mmmm" [d <- n m]                  Shift Base => RorsNarrow;
    /// `n` shifted right, around, by the low byte of `m`, in 16 bits.
    RorsNarrow    rors_narrow     "rors {d}, {m}"             "0100 0001 11mm mddd"                      [d:Low <- n=d:Low m:Low]    Shift Base + SetsFlags;

    // Multiplication and division.
    /// `d = n*m`.
    Mul        mul         "mul.w {d}, {n}, {m}"      "1111 1011 0000 nnnn  1111 dddd 0000 mmmm" [d <- n m]               Mul     Base + Commutes => MulsNarrow;
    /// `d *= n`, in 16 bits.
    MulsNarrow muls_narrow "muls {d}, {n}"            "0100 0011 01nn nddd"                      [d:Low <- n:Low m=d:Low] Mul     Base + SetsFlags;
    /// `d = a + n*m`.
    Mla        mla         "mla {d}, {n}, {m}, {a}"   "1111 1011 0000 nnnn  aaaa dddd 0000 mmmm" [d <- n m a]             Mac     Base + Commutes;
    /// `d = a - n*m`.
    Mls        mls         "mls {d}, {n}, {m}, {a}"   "1111 1011 0000 nnnn  aaaa dddd 0001 mmmm" [d <- n m a]             Mac     Base + Commutes;
    /// `h:l = n*m`, signed.
    Smull      smull       "smull {l}, {h}, {n}, {m}" "1111 1011 1000 nnnn  llll hhhh 0000 mmmm" [l h <- n m]             LongMul Base + Commutes;
    /// `h:l = n*m`, unsigned.
    Umull      umull       "umull {l}, {h}, {n}, {m}" "1111 1011 1010 nnnn  llll hhhh 0000 mmmm" [l h <- n m]             LongMul Base + Commutes;
    /// `h:l += n*m`, signed.
    Smlal      smlal       "smlal {l}, {h}, {n}, {m}" "1111 1011 1100 nnnn  llll hhhh 0000 mmmm" [l h <- o=l p=h n m]     LongMac Base + Commutes;
    /// `h:l += n*m`, unsigned.
    Umlal      umlal       "umlal {l}, {h}, {n}, {m}" "1111 1011 1110 nnnn  llll hhhh 0000 mmmm" [l h <- o=l p=h n m]     LongMac Base + Commutes;
    /// `h:l = h + l + n*m`, unsigned.
    Umaal      umaal       "umaal {l}, {h}, {n}, {m}" "1111 1011 1110 nnnn  llll hhhh 0110 mmmm" [l h <- o=l p=h n m]     LongMac Dsp + Commutes;
    /// `d = n / m`, signed, towards 0.
    Sdiv       sdiv        "sdiv {d}, {n}, {m}"       "1111 1011 1001 nnnn  1111 dddd 1111 mmmm" [d <- n m]               Div     Base;
    /// `d = n / m`, unsigned.
    Udiv       udiv        "udiv {d}, {n}, {m}"       "1111 1011 1011 nnnn  1111 dddd 1111 mmmm" [d <- n m]               Div     Base;

    // Products of the DSP extension.
    /// `d = a + n.lo*m.lo + n.hi*m.hi`.
    Smlad   smlad   "smlad {d}, {n}, {m}, {a}"   "1111 1011 0010 nnnn  aaaa dddd 0000 mmmm" [d <- n m a]         Mac     Dsp + Commutes;
    /// `d = a + n.lo*m.hi + n.hi*m.lo`.
    Smladx  smladx  "smladx {d}, {n}, {m}, {a}"  "1111 1011 0010 nnnn  aaaa dddd 0001 mmmm" [d <- n m a]         Mac     Dsp + Commutes;
    /// `d = a + n.lo*m.lo - n.hi*m.hi`.
    Smlsd   smlsd   "smlsd {d}, {n}, {m}, {a}"   "1111 1011 0100 nnnn  aaaa dddd 0000 mmmm" [d <- n m a]         Mac     Dsp + Commutes;
    /// `d = a + n.lo*m.hi - n.hi*m.lo`.
    Smlsdx  smlsdx  "smlsdx {d}, {n}, {m}, {a}"  "1111 1011 0100 nnnn  aaaa dddd 0001 mmmm" [d <- n m a]         Mac     Dsp;
    /// `d = n.lo*m.lo + n.hi*m.hi`.
    Smuad   smuad   "smuad {d}, {n}, {m}"        "1111 1011 0010 nnnn  1111 dddd 0000 mmmm" [d <- n m]           Mul     Dsp + Commutes;
    /// `d = n.lo*m.hi + n.hi*m.lo`.
    Smuadx  smuadx  "smuadx {d}, {n}, {m}"       "1111 1011 0010 nnnn  1111 dddd 0001 mmmm" [d <- n m]           Mul     Dsp + Commutes;
    /// `d = n.lo*m.lo - n.hi*m.hi`.
    Smusd   smusd   "smusd {d}, {n}, {m}"        "1111 1011 0100 nnnn  1111 dddd 0000 mmmm" [d <- n m]           Mul     Dsp + Commutes;
    /// `d = n.lo*m.hi - n.hi*m.lo`.
    Smusdx  smusdx  "smusdx {d}, {n}, {m}"       "1111 1011 0100 nnnn  1111 dddd 0001 mmmm" [d <- n m]           Mul     Dsp;
    /// `h:l += n.lo*m.lo + n.hi*m.hi`.
    Smlald  smlald  "smlald {l}, {h}, {n}, {m}"  "1111 1011 1100 nnnn  llll hhhh 1100 mmmm" [l h <- o=l p=h n m] LongMac Dsp + Commutes;
    /// `h:l += n.lo*m.hi + n.hi*m.lo`.
    Smlaldx smlaldx "smlaldx {l}, {h}, {n}, {m}" "1111 1011 1100 nnnn  llll hhhh 1101 mmmm" [l h <- o=l p=h n m] LongMac Dsp + Commutes;
    /// `h:l += n.lo*m.lo - n.hi*m.hi`.
    Smlsld  smlsld  "smlsld {l}, {h}, {n}, {m}"  "1111 1011 1101 nnnn  llll hhhh 1100 mmmm" [l h <- o=l p=h n m] LongMac Dsp + Commutes;
    /// `d = n.lo*m.lo`.
    Smulbb  smulbb  "smulbb {d}, {n}, {m}"       "1111 1011 0001 nnnn  1111 dddd 0000 mmmm" [d <- n m]           Mul     Dsp + Commutes;
    /// `d = n.lo*m.hi`.
    Smulbt  smulbt  "smulbt {d}, {n}, {m}"       "1111 1011 0001 nnnn  1111 dddd 0001 mmmm" [d <- n m]           Mul     Dsp;
    /// `d = n.hi*m.lo`.
    Smultb  smultb  "smultb {d}, {n}, {m}"       "1111 1011 0001 nnnn  1111 dddd 0010 mmmm" [d <- n m]           Mul     Dsp;
    /// `d = n.hi*m.hi`.
    Smultt  smultt  "smultt {d}, {n}, {m}"       "1111 1011 0001 nnnn  1111 dddd 0011 mmmm" [d <- n m]           Mul     Dsp + Commutes;
    /// `d = a + n.lo*m.lo`.
    Smlabb  smlabb  "smlabb {d}, {n}, {m}, {a}"  "1111 1011 0001 nnnn  aaaa dddd 0000 mmmm" [d <- n m a]         Mac     Dsp + Commutes;
    /// `d = a + n.lo*m.hi`.
    Smlabt  smlabt  "smlabt {d}, {n}, {m}, {a}"  "1111 1011 0001 nnnn  aaaa dddd 0001 mmmm" [d <- n m a]         Mac     Dsp;
    /// `d = a + n.hi*m.lo`.
    Smlatb  smlatb  "smlatb {d}, {n}, {m}, {a}"  "1111 1011 0001 nnnn  aaaa dddd 0010 mmmm" [d <- n m a]         Mac     Dsp;
    /// `d = a + n.hi*m.hi`.
    Smlatt  smlatt  "smlatt {d}, {n}, {m}, {a}"  "1111 1011 0001 nnnn  aaaa dddd 0011 mmmm" [d <- n m a]         Mac     Dsp + Commutes;
    /// `h:l += n.lo*m.lo`.
    Smlalbb smlalbb "smlalbb {l}, {h}, {n}, {m}" "1111 1011 1100 nnnn  llll hhhh 1000 mmmm" [l h <- o=l p=h n m] LongMac Dsp + Commutes;
    /// `h:l += n.lo*m.hi`.
    Smlalbt smlalbt "smlalbt {l}, {h}, {n}, {m}" "1111 1011 1100 nnnn  llll hhhh 1001 mmmm" [l h <- o=l p=h n m] LongMac Dsp;
    /// `h:l += n.hi*m.lo`.
    Smlaltb smlaltb "smlaltb {l}, {h}, {n}, {m}" "1111 1011 1100 nnnn  llll hhhh 1010 mmmm" [l h <- o=l p=h n m] LongMac Dsp;
    /// `h:l += n.hi*m.hi`.
    Smlaltt smlaltt "smlaltt {l}, {h}, {n}, {m}" "1111 1011 1100 nnnn  llll hhhh 1011 mmmm" [l h <- o=l p=h n m] LongMac Dsp + Commutes;
    /// `d = n*m.lo`, bits 47 to 16.
    Smulwb  smulwb  "smulwb {d}, {n}, {m}"       "1111 1011 0011 nnnn  1111 dddd 0000 mmmm" [d <- n m]           Mul     Dsp;
    /// `d = n*m.hi`, bits 47 to 16.
    Smulwt  smulwt  "smulwt {d}, {n}, {m}"       "1111 1011 0011 nnnn  1111 dddd 0001 mmmm" [d <- n m]           Mul     Dsp;
    /// `d = a + n*m.lo`, bits 47 to 16 of the product.
    Smlawb  smlawb  "smlawb {d}, {n}, {m}, {a}"  "1111 1011 0011 nnnn  aaaa dddd 0000 mmmm" [d <- n m a]         Mac     Dsp;
    /// `d = a + n*m.hi`, bits 47 to 16 of the product.
    Smlawt  smlawt  "smlawt {d}, {n}, {m}, {a}"  "1111 1011 0011 nnnn  aaaa dddd 0001 mmmm" [d <- n m a]         Mac     Dsp;
    /// `d` is the high word of `n*m`.
    Smmul   smmul   "smmul {d}, {n}, {m}"        "1111 1011 0101 nnnn  1111 dddd 0000 mmmm" [d <- n m]           Mul     Dsp + Commutes;
    /// `d` is the high word of `n*m`, rounded.
    Smmulr  smmulr  "smmulr {d}, {n}, {m}"       "1111 1011 0101 nnnn  1111 dddd 0001 mmmm" [d <- n m]           Mul     Dsp + Commutes;
    /// `d` is the high word of `(a << 32) + n*m`.
    Smmla   smmla   "smmla {d}, {n}, {m}, {a}"   "1111 1011 0101 nnnn  aaaa dddd 0000 mmmm" [d <- n m a]         Mac     Dsp + Commutes;
    /// `d` is the high word of `(a << 32) + n*m`, rounded.
    Smmlar  smmlar  "smmlar {d}, {n}, {m}, {a}"  "1111 1011 0101 nnnn  aaaa dddd 0001 mmmm" [d <- n m a]         Mac     Dsp + Commutes;
    /// `d` is the high word of `(a << 32) - n*m`.
    Smmls   smmls   "smmls {d}, {n}, {m}, {a}"   "1111 1011 0110 nnnn  aaaa dddd 0000 mmmm" [d <- n m a]         Mac     Dsp + Commutes;
    /// `d` is the high word of `(a << 32) - n*m`, rounded.
    Smmlsr  smmlsr  "smmlsr {d}, {n}, {m}, {a}"  "1111 1011 0110 nnnn  aaaa dddd 0001 mmmm" [d <- n m a]         Mac     Dsp + Commutes;

    // Extension.
    /// `d` is the low halfword of `m`, sign-extended, `m` rotated first.
    Sxth       sxth        "sxth.w {d}, {m}{, ror #r}"       "1111 1010 0000 1111  1111 dddd 10rr mmmm" [d <- m; r:Rot8]   Lanes Base => SxthNarrow;
    /// `d` is the low halfword of `m`, sign-extended, in 16 bits.
    SxthNarrow sxth_narrow "sxth {d}, {m}"                   "1011 0010 00mm mddd"                      [d:Low <- m:Low]   Lanes Base;
    /// `d` is the low halfword of `m`, zero-extended, `m` rotated first.
    Uxth       uxth        "uxth.w {d}, {m}{, ror #r}"       "1111 1010 0001 1111  1111 dddd 10rr mmmm" [d <- m; r:Rot8]   Lanes Base => UxthNarrow;
    /// `d` is the low halfword of `m`, zero-extended, in 16 bits.
    UxthNarrow uxth_narrow "uxth {d}, {m}"                   "1011 0010 10mm mddd"                      [d:Low <- m:Low]   Lanes Base;
    /// `d` is bytes 0 and 2 of `m`, sign-extended into halfwords, `m` rotated first.
    Sxtb16     sxtb16      "sxtb16 {d}, {m}{, ror #r}"       "1111 1010 0010 1111  1111 dddd 10rr mmmm" [d <- m; r:Rot8]   Lanes Dsp;
    /// `d` is bytes 0 and 2 of `m`, zero-extended into halfwords, `m` rotated first.
    Uxtb16     uxtb16      "uxtb16 {d}, {m}{, ror #r}"       "1111 1010 0011 1111  1111 dddd 10rr mmmm" [d <- m; r:Rot8]   Lanes Dsp;
    /// `d` is the low byte of `m`, sign-extended, `m` rotated first.
    Sxtb       sxtb        "sxtb.w {d}, {m}{, ror #r}"       "1111 1010 0100 1111  1111 dddd 10rr mmmm" [d <- m; r:Rot8]   Lanes Base => SxtbNarrow;
    /// `d` is the low byte of `m`, sign-extended, in 16 bits.
    SxtbNarrow sxtb_narrow "sxtb {d}, {m}"                   "1011 0010 01mm mddd"                      [d:Low <- m:Low]   Lanes Base;
    /// `d` is the low byte of `m`, zero-extended, `m` rotated first.
    Uxtb       uxtb        "uxtb.w {d}, {m}{, ror #r}"       "1111 1010 0101 1111  1111 dddd 10rr mmmm" [d <- m; r:Rot8]   Lanes Base => UxtbNarrow;
    /// `d` is the low byte of `m`, zero-extended, in 16 bits.
    UxtbNarrow uxtb_narrow "uxtb {d}, {m}"                   "1011 0010 11mm mddd"                      [d:Low <- m:Low]   Lanes Base;
    /// `d` is `n` plus the low halfword of `m`, sign-extended; `m` is rotated first.
    Sxtah      sxtah       "sxtah {d}, {n}, {m}{, ror #r}"   "1111 1010 0000 nnnn  1111 dddd 10rr mmmm" [d <- n m; r:Rot8] Pack  Dsp;
    /// `d` is `n` plus the low halfword of `m`, zero-extended; `m` is rotated first.
    Uxtah      uxtah       "uxtah {d}, {n}, {m}{, ror #r}"   "1111 1010 0001 nnnn  1111 dddd 10rr mmmm" [d <- n m; r:Rot8] Pack  Dsp;
    /// `d` is `n` plus bytes 0 and 2 of `m`, sign-extended, to halfwords; `m` is rotated first.
    Sxtab16    sxtab16     "sxtab16 {d}, {n}, {m}{, ror #r}" "1111 1010 0010 nnnn  1111 dddd 10rr mmmm" [d <- n m; r:Rot8] Pack  Dsp;
    /// `d` is `n` plus bytes 0 and 2 of `m`, zero-extended, to halfwords; `m` is rotated first.
    Uxtab16    uxtab16     "uxtab16 {d}, {n}, {m}{, ror #r}" "1111 1010 0011 nnnn  1111 dddd 10rr mmmm" [d <- n m; r:Rot8] Pack  Dsp;
    /// `d` is `n` plus the low byte of `m`, sign-extended; `m` is rotated first.
    Sxtab      sxtab       "sxtab {d}, {n}, {m}{, ror #r}"   "1111 1010 0100 nnnn  1111 dddd 10rr mmmm" [d <- n m; r:Rot8] Pack  Dsp;
    /// `d` is `n` plus the low byte of `m`, zero-extended; `m` is rotated first.
    Uxtab      uxtab       "uxtab {d}, {n}, {m}{, ror #r}"   "1111 1010 0101 nnnn  1111 dddd 10rr mmmm" [d <- n m; r:Rot8] Pack  Dsp;

    // Packing, bit fields and bit orders.
    /// `d.lo = n.lo`, `d.hi = m.hi`, `m` shifted.
    Pkhbt       pkhbt        "pkhbt {d}, {n}, {m}{, lsl #i}" "1110 1010 1100 nnnn  0iii dddd ii00 mmmm" [d <- n m; i:LslAmount] Pack    Dsp;
    /// `d.lo = m.lo`, `d.hi = n.hi`, `m` shifted.
    Pkhtb       pkhtb        "pkhtb {d}, {n}, {m}{, asr #i}" "1110 1010 1100 nnnn  0iii dddd ii10 mmmm" [d <- n m; i:RightBy]   Pack    Dsp;
    /// A field of `n`, zero-extended.
    Ubfx        ubfx         "ubfx {d}, {n}, {f}"            "1111 0011 1100 nnnn  0fff dddd ff0f ffff" [d <- n; f:Extract]     Extract Base;
    /// A field of `n`, sign-extended.
    Sbfx        sbfx         "sbfx {d}, {n}, {f}"            "1111 0011 0100 nnnn  0fff dddd ff0f ffff" [d <- n; f:Extract]     Extract Base;
    /// Replaces a field of `d` with the low bits of `n`.
    Bfi         bfi          "bfi {d}, {n}, {f}"             "1111 0011 0110 nnnn  0fff dddd ff0f ffff" [d <- o=d n; f:Insert]  Pack    Base;
    /// Clears a field of `d`.
    Bfc         bfc          "bfc {d}, {f}"                  "1111 0011 0110 1111  0fff dddd ff0f ffff" [d <- o=d; f:Insert]    Clear   Base;
    /// Leading zeros of `m`.
    Clz         clz          "clz {d}, {m}"                  "1111 1010 1011 mmmm  1111 dddd 1000 mmmm" [d <- m]                Lanes   Base;
    /// `m` with its bits in reverse order.
    Rbit        rbit         "rbit {d}, {m}"                 "1111 1010 1001 mmmm  1111 dddd 1010 mmmm" [d <- m]                Reverse Base;
    /// `d` is `m` with its bytes in reverse order.
    Rev         rev          "rev.w {d}, {m}"                "1111 1010 1001 mmmm  1111 dddd 1000 mmmm" [d <- m]                Reverse Base => RevNarrow;
    /// `d` is `m` with its bytes in reverse order, in 16 bits.
    RevNarrow   rev_narrow   "rev {d}, {m}"                  "1011 1010 00mm mddd"                      [d:Low <- m:Low]        Reverse Base;
    /// `d` is `m` with the bytes of each halfword exchanged.
    Rev16       rev16        "rev16.w {d}, {m}"              "1111 1010 1001 mmmm  1111 dddd 1001 mmmm" [d <- m]                Reverse Base => Rev16Narrow;
    /// `d` is `m` with the bytes of each halfword exchanged, in 16 bits.
    Rev16Narrow rev16_narrow "rev16 {d}, {m}"                "1011 1010 01mm mddd"                      [d:Low <- m:Low]        Reverse Base;
    /// `d` is the low halfword of `m`, its bytes exchanged, sign-extended.
    Revsh       revsh        "revsh.w {d}, {m}"              "1111 1010 1001 mmmm  1111 dddd 1011 mmmm" [d <- m]                Reverse Base => RevshNarrow;
    /// `d` is the low halfword of `m`, its bytes exchanged, sign-extended, in 16 bits.
    RevshNarrow revsh_narrow "revsh {d}, {m}"                "1011 1010 11mm mddd"                      [d:Low <- m:Low]        Reverse Base;

    // Saturation.
    /// `n`, shifted left, saturated to signed `b` bits.
    Ssat    ssat     "ssat {d}, #{b}, {n}{, lsl #i}" "1111 0011 0000 nnnn  0iii dddd ii0b bbbb" [d <- n; b:SatBits i:LslAmount]  Saturate  Base;
    /// `n`, shifted right, saturated to signed `b` bits.
    SsatAsr ssat_asr "ssat {d}, #{b}, {n}, asr #{i}" "1111 0011 0010 nnnn  0iii dddd ii0b bbbb" [d <- n; b:SatBits i:AsrAmount]  Saturate  Base;
    /// Both halfwords of `n` saturated to signed `b` bits.
    Ssat16  ssat16   "ssat16 {d}, #{b}, {n}"         "1111 0011 0010 nnnn  0000 dddd 0000 bbbb" [d <- n; b:SatBits16]            Saturate  Dsp;
    /// `n`, shifted left, saturated to unsigned `b` bits.
    Usat    usat     "usat {d}, #{b}, {n}{, lsl #i}" "1111 0011 1000 nnnn  0iii dddd ii0b bbbb" [d <- n; b:UsatBits i:LslAmount] Saturate  Base;
    /// `n`, shifted right, saturated to unsigned `b` bits.
    UsatAsr usat_asr "usat {d}, #{b}, {n}, asr #{i}" "1111 0011 1010 nnnn  0iii dddd ii0b bbbb" [d <- n; b:UsatBits i:AsrAmount] Saturate  Base;
    /// Both halfwords of `n` saturated to unsigned `b` bits.
    Usat16  usat16   "usat16 {d}, #{b}, {n}"         "1111 0011 1010 nnnn  0000 dddd 0000 bbbb" [d <- n; b:UsatBits16]           Saturate  Dsp;
    /// `d = m + n`, saturated.
    Qadd    qadd     "qadd {d}, {m}, {n}"            "1111 1010 1000 nnnn  1111 dddd 1000 mmmm" [d <- m n]                       LanesLate Dsp + Commutes;
    /// `d = m + sat(2*n)`, saturated.
    Qdadd   qdadd    "qdadd {d}, {m}, {n}"           "1111 1010 1000 nnnn  1111 dddd 1001 mmmm" [d <- m n]                       LanesLate Dsp;
    /// `d = m - n`, saturated.
    Qsub    qsub     "qsub {d}, {m}, {n}"            "1111 1010 1000 nnnn  1111 dddd 1010 mmmm" [d <- m n]                       LanesLate Dsp;
    /// `d = m - sat(2*n)`, saturated.
    Qdsub   qdsub    "qdsub {d}, {m}, {n}"           "1111 1010 1000 nnnn  1111 dddd 1011 mmmm" [d <- m n]                       LanesLate Dsp;

    // Parallel addition and subtraction.
    /// The sums of bytes, signed.
    Sadd8   sadd8   "sadd8 {d}, {n}, {m}"       "1111 1010 1000 nnnn  1111 dddd 0000 mmmm" [d <- n m]   Lanes     Dsp + WritesGe + Commutes;
    /// The sums of halfwords, signed.
    Sadd16  sadd16  "sadd16 {d}, {n}, {m}"      "1111 1010 1001 nnnn  1111 dddd 0000 mmmm" [d <- n m]   Lanes     Dsp + WritesGe + Commutes;
    /// `n.lo - m.hi` and `n.hi + m.lo`, signed.
    Sasx    sasx    "sasx {d}, {n}, {m}"        "1111 1010 1010 nnnn  1111 dddd 0000 mmmm" [d <- n m]   Lanes     Dsp + WritesGe;
    /// The differences of bytes, signed.
    Ssub8   ssub8   "ssub8 {d}, {n}, {m}"       "1111 1010 1100 nnnn  1111 dddd 0000 mmmm" [d <- n m]   Lanes     Dsp + WritesGe;
    /// The differences of halfwords, signed.
    Ssub16  ssub16  "ssub16 {d}, {n}, {m}"      "1111 1010 1101 nnnn  1111 dddd 0000 mmmm" [d <- n m]   Lanes     Dsp + WritesGe;
    /// `n.lo + m.hi` and `n.hi - m.lo`, signed.
    Ssax    ssax    "ssax {d}, {n}, {m}"        "1111 1010 1110 nnnn  1111 dddd 0000 mmmm" [d <- n m]   Lanes     Dsp + WritesGe;
    /// The sums of bytes, saturated.
    Qadd8   qadd8   "qadd8 {d}, {n}, {m}"       "1111 1010 1000 nnnn  1111 dddd 0001 mmmm" [d <- n m]   LanesLate Dsp + Commutes;
    /// The sums of halfwords, saturated.
    Qadd16  qadd16  "qadd16 {d}, {n}, {m}"      "1111 1010 1001 nnnn  1111 dddd 0001 mmmm" [d <- n m]   LanesLate Dsp + Commutes;
    /// `n.lo - m.hi` and `n.hi + m.lo`, saturated.
    Qasx    qasx    "qasx {d}, {n}, {m}"        "1111 1010 1010 nnnn  1111 dddd 0001 mmmm" [d <- n m]   LanesLate Dsp;
    /// The differences of bytes, saturated.
    Qsub8   qsub8   "qsub8 {d}, {n}, {m}"       "1111 1010 1100 nnnn  1111 dddd 0001 mmmm" [d <- n m]   LanesLate Dsp;
    /// The differences of halfwords, saturated.
    Qsub16  qsub16  "qsub16 {d}, {n}, {m}"      "1111 1010 1101 nnnn  1111 dddd 0001 mmmm" [d <- n m]   LanesLate Dsp;
    /// `n.lo + m.hi` and `n.hi - m.lo`, saturated.
    Qsax    qsax    "qsax {d}, {n}, {m}"        "1111 1010 1110 nnnn  1111 dddd 0001 mmmm" [d <- n m]   LanesLate Dsp;
    /// The sums of bytes, halved.
    Shadd8  shadd8  "shadd8 {d}, {n}, {m}"      "1111 1010 1000 nnnn  1111 dddd 0010 mmmm" [d <- n m]   Lanes     Dsp + Commutes;
    /// The sums of halfwords, halved.
    Shadd16 shadd16 "shadd16 {d}, {n}, {m}"     "1111 1010 1001 nnnn  1111 dddd 0010 mmmm" [d <- n m]   Lanes     Dsp + Commutes;
    /// `n.lo - m.hi` and `n.hi + m.lo`, halved.
    Shasx   shasx   "shasx {d}, {n}, {m}"       "1111 1010 1010 nnnn  1111 dddd 0010 mmmm" [d <- n m]   Lanes     Dsp;
    /// The differences of bytes, halved.
    Shsub8  shsub8  "shsub8 {d}, {n}, {m}"      "1111 1010 1100 nnnn  1111 dddd 0010 mmmm" [d <- n m]   Lanes     Dsp;
    /// The differences of halfwords, halved.
    Shsub16 shsub16 "shsub16 {d}, {n}, {m}"     "1111 1010 1101 nnnn  1111 dddd 0010 mmmm" [d <- n m]   Lanes     Dsp;
    /// `n.lo + m.hi` and `n.hi - m.lo`, halved.
    Shsax   shsax   "shsax {d}, {n}, {m}"       "1111 1010 1110 nnnn  1111 dddd 0010 mmmm" [d <- n m]   Lanes     Dsp;
    /// The sums of bytes, unsigned.
    Uadd8   uadd8   "uadd8 {d}, {n}, {m}"       "1111 1010 1000 nnnn  1111 dddd 0100 mmmm" [d <- n m]   Lanes     Dsp + WritesGe + Commutes;
    /// The sums of halfwords, unsigned.
    Uadd16  uadd16  "uadd16 {d}, {n}, {m}"      "1111 1010 1001 nnnn  1111 dddd 0100 mmmm" [d <- n m]   Lanes     Dsp + WritesGe + Commutes;
    /// `n.lo - m.hi` and `n.hi + m.lo`, unsigned.
    Uasx    uasx    "uasx {d}, {n}, {m}"        "1111 1010 1010 nnnn  1111 dddd 0100 mmmm" [d <- n m]   Lanes     Dsp + WritesGe;
    /// The differences of bytes, unsigned.
    Usub8   usub8   "usub8 {d}, {n}, {m}"       "1111 1010 1100 nnnn  1111 dddd 0100 mmmm" [d <- n m]   Lanes     Dsp + WritesGe;
    /// The differences of halfwords, unsigned.
    Usub16  usub16  "usub16 {d}, {n}, {m}"      "1111 1010 1101 nnnn  1111 dddd 0100 mmmm" [d <- n m]   Lanes     Dsp + WritesGe;
    /// `n.lo + m.hi` and `n.hi - m.lo`, unsigned.
    Usax    usax    "usax {d}, {n}, {m}"        "1111 1010 1110 nnnn  1111 dddd 0100 mmmm" [d <- n m]   Lanes     Dsp + WritesGe;
    /// The sums of bytes, unsigned, saturated.
    Uqadd8  uqadd8  "uqadd8 {d}, {n}, {m}"      "1111 1010 1000 nnnn  1111 dddd 0101 mmmm" [d <- n m]   LanesLate Dsp + Commutes;
    /// The sums of halfwords, unsigned, saturated.
    Uqadd16 uqadd16 "uqadd16 {d}, {n}, {m}"     "1111 1010 1001 nnnn  1111 dddd 0101 mmmm" [d <- n m]   LanesLate Dsp + Commutes;
    /// `n.lo - m.hi` and `n.hi + m.lo`, unsigned, saturated.
    Uqasx   uqasx   "uqasx {d}, {n}, {m}"       "1111 1010 1010 nnnn  1111 dddd 0101 mmmm" [d <- n m]   LanesLate Dsp;
    /// The differences of bytes, unsigned, saturated.
    Uqsub8  uqsub8  "uqsub8 {d}, {n}, {m}"      "1111 1010 1100 nnnn  1111 dddd 0101 mmmm" [d <- n m]   LanesLate Dsp;
    /// The differences of halfwords, unsigned, saturated.
    Uqsub16 uqsub16 "uqsub16 {d}, {n}, {m}"     "1111 1010 1101 nnnn  1111 dddd 0101 mmmm" [d <- n m]   LanesLate Dsp;
    /// `n.lo + m.hi` and `n.hi - m.lo`, unsigned, saturated.
    Uqsax   uqsax   "uqsax {d}, {n}, {m}"       "1111 1010 1110 nnnn  1111 dddd 0101 mmmm" [d <- n m]   LanesLate Dsp;
    /// The sums of bytes, unsigned, halved.
    Uhadd8  uhadd8  "uhadd8 {d}, {n}, {m}"      "1111 1010 1000 nnnn  1111 dddd 0110 mmmm" [d <- n m]   Lanes     Dsp + Commutes;
    /// The sums of halfwords, unsigned, halved.
    Uhadd16 uhadd16 "uhadd16 {d}, {n}, {m}"     "1111 1010 1001 nnnn  1111 dddd 0110 mmmm" [d <- n m]   Lanes     Dsp + Commutes;
    /// `n.lo - m.hi` and `n.hi + m.lo`, unsigned, halved.
    Uhasx   uhasx   "uhasx {d}, {n}, {m}"       "1111 1010 1010 nnnn  1111 dddd 0110 mmmm" [d <- n m]   Lanes     Dsp;
    /// The differences of bytes, unsigned, halved.
    Uhsub8  uhsub8  "uhsub8 {d}, {n}, {m}"      "1111 1010 1100 nnnn  1111 dddd 0110 mmmm" [d <- n m]   Lanes     Dsp;
    /// The differences of halfwords, unsigned, halved.
    Uhsub16 uhsub16 "uhsub16 {d}, {n}, {m}"     "1111 1010 1101 nnnn  1111 dddd 0110 mmmm" [d <- n m]   Lanes     Dsp;
    /// `n.lo + m.hi` and `n.hi - m.lo`, unsigned, halved.
    Uhsax   uhsax   "uhsax {d}, {n}, {m}"       "1111 1010 1110 nnnn  1111 dddd 0110 mmmm" [d <- n m]   Lanes     Dsp;
    /// Bytes of `n` where GE is set, of `m` elsewhere.
    Sel     sel     "sel {d}, {n}, {m}"         "1111 1010 1010 nnnn  1111 dddd 1000 mmmm" [d <- n m]   Lanes     Dsp + ReadsGe;
    /// The sum of the absolute differences of unsigned bytes.
    Usad8   usad8   "usad8 {d}, {n}, {m}"       "1111 1011 0111 nnnn  1111 dddd 0000 mmmm" [d <- n m]   LanesLate Dsp + Commutes;
    /// `a` plus the sum of the absolute differences of unsigned bytes.
    Usada8  usada8  "usada8 {d}, {n}, {m}, {a}" "1111 1011 0111 nnnn  aaaa dddd 0000 mmmm" [d <- n m a] LanesLate Dsp + Commutes;

    // Loads.
    /// Loads the word, at `n + i`.
    Ldr             ldr               "ldr.w {t}, [{n}{, #i}]"            "1111 1000 1101 nnnn  tttt iiii iiii iiii" [t <- n:Base; i:Imm12]          Load         Base @ Load 4 Imm => LdrNarrow LdrSpNarrow;
    /// Loads the word, below `n`.
    LdrNeg          ldr_neg           "ldr.w {t}, [{n}, #{i}]"            "1111 1000 0101 nnnn  tttt 1100 iiii iiii" [t <- n:Base; i:NegImm8]        Load         Base @ Load 4 Imm;
    /// Loads the word, at `n + (m << s)`.
    LdrReg          ldr_reg           "ldr.w {t}, [{n}, {m}{, lsl #s}]"   "1111 1000 0101 nnnn  tttt 0000 00ss mmmm" [t <- n:Base m; s:Scale]        Load         Base @ Load 4 Reg => LdrRegNarrow;
    /// Loads the word, at `n`, then adds `i` to `n`.
    LdrPost         ldr_post          "ldr.w {t}, [{b}], #{i}"            "1111 1000 0101 nnnn  tttt 10i1 iiii iiii" [t n <- b=n; i:PostImm8]        Load         Base @ Load 4 Post;
    /// Adds `i` to `n`, then loads the word, at `n`.
    LdrPre          ldr_pre           "ldr.w {t}, [{b}, #{i}]!"           "1111 1000 0101 nnnn  tttt 11i1 iiii iiii" [t n <- b=n; i:PreImm8]         Load         Base @ Load 4 Pre;
    /// Loads the word, at `n + i`, in 16 bits.
    LdrNarrow       ldr_narrow        "ldr {t}, [{n}, #{i}]"              "0110 1iii iinn nttt"                      [t:Low <- n:Low; i:Imm5x4]      Load         Base @ Load 4 Imm;
    /// Loads the word, at `sp + i`, in 16 bits.
    LdrSpNarrow     ldr_sp_narrow     "ldr {t}, [{n}, #{i}]"              "1001 1ttt iiii iiii"                      [t:Low <- n:Sp; i:Imm8x4]       Load         Base @ Load 4 Imm;
    /// Loads the word, at `n + m`, in 16 bits.
    LdrRegNarrow    ldr_reg_narrow    "ldr {t}, [{n}, {m}]"               "0101 100m mmnn nttt"                      [t:Low <- n:Low m:Low]          Load         Base @ Load 4 Reg;
    /// Loads the byte, zero-extended, at `n + i`.
    Ldrb            ldrb              "ldrb.w {t}, [{n}{, #i}]"           "1111 1000 1001 nnnn  tttt iiii iiii iiii" [t <- n:Base; i:Imm12]          Load         Base @ Load 1 Imm => LdrbNarrow;
    /// Loads the byte, zero-extended, below `n`.
    LdrbNeg         ldrb_neg          "ldrb.w {t}, [{n}, #{i}]"           "1111 1000 0001 nnnn  tttt 1100 iiii iiii" [t <- n:Base; i:NegImm8]        Load         Base @ Load 1 Imm;
    /// Loads the byte, zero-extended, at `n + (m << s)`.
    LdrbReg         ldrb_reg          "ldrb.w {t}, [{n}, {m}{, lsl #s}]"  "1111 1000 0001 nnnn  tttt 0000 00ss mmmm" [t <- n:Base m; s:Scale]        Load         Base @ Load 1 Reg => LdrbRegNarrow;
    /// Loads the byte, zero-extended, at `n`, then adds `i` to `n`.
    LdrbPost        ldrb_post         "ldrb.w {t}, [{b}], #{i}"           "1111 1000 0001 nnnn  tttt 10i1 iiii iiii" [t n <- b=n; i:PostImm8]        Load         Base @ Load 1 Post;
    /// Adds `i` to `n`, then loads the byte, zero-extended, at `n`.
    LdrbPre         ldrb_pre          "ldrb.w {t}, [{b}, #{i}]!"          "1111 1000 0001 nnnn  tttt 11i1 iiii iiii" [t n <- b=n; i:PreImm8]         Load         Base @ Load 1 Pre;
    /// Loads the byte, zero-extended, at `n + i`, in 16 bits.
    LdrbNarrow      ldrb_narrow       "ldrb {t}, [{n}, #{i}]"             "0111 1iii iinn nttt"                      [t:Low <- n:Low; i:Imm5]        Load         Base @ Load 1 Imm;
    /// Loads the byte, zero-extended, at `n + m`, in 16 bits.
    LdrbRegNarrow   ldrb_reg_narrow   "ldrb {t}, [{n}, {m}]"              "0101 110m mmnn nttt"                      [t:Low <- n:Low m:Low]          Load         Base @ Load 1 Reg;
    /// Loads the halfword, zero-extended, at `n + i`.
    Ldrh            ldrh              "ldrh.w {t}, [{n}{, #i}]"           "1111 1000 1011 nnnn  tttt iiii iiii iiii" [t <- n:Base; i:Imm12]          Load         Base @ Load 2 Imm => LdrhNarrow;
    /// Loads the halfword, zero-extended, below `n`.
    LdrhNeg         ldrh_neg          "ldrh.w {t}, [{n}, #{i}]"           "1111 1000 0011 nnnn  tttt 1100 iiii iiii" [t <- n:Base; i:NegImm8]        Load         Base @ Load 2 Imm;
    /// Loads the halfword, zero-extended, at `n + (m << s)`.
    LdrhReg         ldrh_reg          "ldrh.w {t}, [{n}, {m}{, lsl #s}]"  "1111 1000 0011 nnnn  tttt 0000 00ss mmmm" [t <- n:Base m; s:Scale]        Load         Base @ Load 2 Reg => LdrhRegNarrow;
    /// Loads the halfword, zero-extended, at `n`, then adds `i` to `n`.
    LdrhPost        ldrh_post         "ldrh.w {t}, [{b}], #{i}"           "1111 1000 0011 nnnn  tttt 10i1 iiii iiii" [t n <- b=n; i:PostImm8]        Load         Base @ Load 2 Post;
    /// Adds `i` to `n`, then loads the halfword, zero-extended, at `n`.
    LdrhPre         ldrh_pre          "ldrh.w {t}, [{b}, #{i}]!"          "1111 1000 0011 nnnn  tttt 11i1 iiii iiii" [t n <- b=n; i:PreImm8]         Load         Base @ Load 2 Pre;
    /// Loads the halfword, zero-extended, at `n + i`, in 16 bits.
    LdrhNarrow      ldrh_narrow       "ldrh {t}, [{n}, #{i}]"             "1000 1iii iinn nttt"                      [t:Low <- n:Low; i:Imm5x2]      Load         Base @ Load 2 Imm;
    /// Loads the halfword, zero-extended, at `n + m`, in 16 bits.
    LdrhRegNarrow   ldrh_reg_narrow   "ldrh {t}, [{n}, {m}]"              "0101 101m mmnn nttt"                      [t:Low <- n:Low m:Low]          Load         Base @ Load 2 Reg;
    /// Loads the byte, sign-extended, at `n + i`.
    Ldrsb           ldrsb             "ldrsb.w {t}, [{n}{, #i}]"          "1111 1001 1001 nnnn  tttt iiii iiii iiii" [t <- n:Base; i:Imm12]          Load         Base @ Load 1 Imm;
    /// Loads the byte, sign-extended, below `n`.
    LdrsbNeg        ldrsb_neg         "ldrsb.w {t}, [{n}, #{i}]"          "1111 1001 0001 nnnn  tttt 1100 iiii iiii" [t <- n:Base; i:NegImm8]        Load         Base @ Load 1 Imm;
    /// Loads the byte, sign-extended, at `n + (m << s)`.
    LdrsbReg        ldrsb_reg         "ldrsb.w {t}, [{n}, {m}{, lsl #s}]" "1111 1001 0001 nnnn  tttt 0000 00ss mmmm" [t <- n:Base m; s:Scale]        Load         Base @ Load 1 Reg => LdrsbRegNarrow;
    /// Loads the byte, sign-extended, at `n`, then adds `i` to `n`.
    LdrsbPost       ldrsb_post        "ldrsb.w {t}, [{b}], #{i}"          "1111 1001 0001 nnnn  tttt 10i1 iiii iiii" [t n <- b=n; i:PostImm8]        Load         Base @ Load 1 Post;
    /// Adds `i` to `n`, then loads the byte, sign-extended, at `n`.
    LdrsbPre        ldrsb_pre         "ldrsb.w {t}, [{b}, #{i}]!"         "1111 1001 0001 nnnn  tttt 11i1 iiii iiii" [t n <- b=n; i:PreImm8]         Load         Base @ Load 1 Pre;
    /// Loads the byte, sign-extended, at `n + m`, in 16 bits.
    LdrsbRegNarrow  ldrsb_reg_narrow  "ldrsb {t}, [{n}, {m}]"             "0101 011m mmnn nttt"                      [t:Low <- n:Low m:Low]          Load         Base @ Load 1 Reg;
    /// Loads the halfword, sign-extended, at `n + i`.
    Ldrsh           ldrsh             "ldrsh.w {t}, [{n}{, #i}]"          "1111 1001 1011 nnnn  tttt iiii iiii iiii" [t <- n:Base; i:Imm12]          Load         Base @ Load 2 Imm;
    /// Loads the halfword, sign-extended, below `n`.
    LdrshNeg        ldrsh_neg         "ldrsh.w {t}, [{n}, #{i}]"          "1111 1001 0011 nnnn  tttt 1100 iiii iiii" [t <- n:Base; i:NegImm8]        Load         Base @ Load 2 Imm;
    /// Loads the halfword, sign-extended, at `n + (m << s)`.
    LdrshReg        ldrsh_reg         "ldrsh.w {t}, [{n}, {m}{, lsl #s}]" "1111 1001 0011 nnnn  tttt 0000 00ss mmmm" [t <- n:Base m; s:Scale]        Load         Base @ Load 2 Reg => LdrshRegNarrow;
    /// Loads the halfword, sign-extended, at `n`, then adds `i` to `n`.
    LdrshPost       ldrsh_post        "ldrsh.w {t}, [{b}], #{i}"          "1111 1001 0011 nnnn  tttt 10i1 iiii iiii" [t n <- b=n; i:PostImm8]        Load         Base @ Load 2 Post;
    /// Adds `i` to `n`, then loads the halfword, sign-extended, at `n`.
    LdrshPre        ldrsh_pre         "ldrsh.w {t}, [{b}, #{i}]!"         "1111 1001 0011 nnnn  tttt 11i1 iiii iiii" [t n <- b=n; i:PreImm8]         Load         Base @ Load 2 Pre;
    /// Loads the halfword, sign-extended, at `n + m`, in 16 bits.
    LdrshRegNarrow  ldrsh_reg_narrow  "ldrsh {t}, [{n}, {m}]"             "0101 111m mmnn nttt"                      [t:Low <- n:Low m:Low]          Load         Base @ Load 2 Reg;
    /// Loads two words, at `n + i`.
    Ldrd            ldrd              "ldrd {t}, {u}, [{n}{, #i}]"        "1110 1001 i101 nnnn  tttt uuuu iiii iiii" [t u <- n:Base; i:OffsetImm8x4] LoadMultiple Base @ Load 4 Imm;
    /// Loads two words, at `n`, then adds `i` to `n`.
    LdrdPost        ldrd_post         "ldrd {t}, {u}, [{b}], #{i}"        "1110 1000 i111 nnnn  tttt uuuu iiii iiii" [t u n <- b=n; i:OffsetImm8x4]  LoadMultiple Base @ Load 4 Post;
    /// Adds `i` to `n`, then loads two words, at `n`.
    LdrdPre         ldrd_pre          "ldrd {t}, {u}, [{b}, #{i}]!"       "1110 1001 i111 nnnn  tttt uuuu iiii iiii" [t u n <- b=n; i:PreImm8x4]     LoadMultiple Base @ Load 4 Pre;
    /// Loads words from `n` on.
    Ldm             ldm               "ldmia.w {n}, {l}"                  "1110 1000 1001 nnnn  llll llll llll llll" [l:List <- n]                   LoadMultiple Base @ Load 4 Multiple;
    /// Loads words from `n` on, then moves `n` behind them.
    LdmUpdate       ldm_update        "ldmia.w {n}!, {l}"                 "1110 1000 1011 nnnn  llll llll llll llll" [n l:List <- b=n]               LoadMultiple Base @ Load 4 MultipleUpdate => LdmUpdateNarrow;
    /// Loads words from `n` on, then moves `n` behind them, in 16 bits.
    LdmUpdateNarrow ldm_update_narrow "ldmia {n}!, {l}"                   "1100 1nnn llll llll"                      [n:Low l:LowList <- b=n:Low]    LoadMultiple Base @ Load 4 MultipleUpdate;
    /// Loads the words that end below `n`, which moves to the first of them.
    LdmdbUpdate     ldmdb_update      "ldmdb {n}!, {l}"                   "1110 1001 0011 nnnn  llll llll llll llll" [n l:List <- b=n]               LoadMultiple Base @ Load 4 MultipleUpdate;

    // Stores.
    /// Stores the word, at `n + i`.
    Str             str               "str.w {t}, [{n}{, #i}]"           "1111 1000 1100 nnnn  tttt iiii iiii iiii" [<- t n:Base; i:Imm12]          Store         Base @ Store 4 Imm => StrNarrow StrSpNarrow;
    /// Stores the word, below `n`.
    StrNeg          str_neg           "str.w {t}, [{n}, #{i}]"           "1111 1000 0100 nnnn  tttt 1100 iiii iiii" [<- t n:Base; i:NegImm8]        Store         Base @ Store 4 Imm;
    /// Stores the word, at `n + (m << s)`.
    StrReg          str_reg           "str.w {t}, [{n}, {m}{, lsl #s}]"  "1111 1000 0100 nnnn  tttt 0000 00ss mmmm" [<- t n:Base m; s:Scale]        Store         Base @ Store 4 Reg => StrRegNarrow;
    /// Stores the word, at `n`, then adds `i` to `n`.
    StrPost         str_post          "str.w {t}, [{b}], #{i}"           "1111 1000 0100 nnnn  tttt 10i1 iiii iiii" [n <- b=n t; i:PostImm8]        Store         Base @ Store 4 Post;
    /// Adds `i` to `n`, then stores the word, at `n`.
    StrPre          str_pre           "str.w {t}, [{b}, #{i}]!"          "1111 1000 0100 nnnn  tttt 11i1 iiii iiii" [n <- b=n t; i:PreImm8]         Store         Base @ Store 4 Pre;
    /// Stores the word, at `n + i`, in 16 bits.
    StrNarrow       str_narrow        "str {t}, [{n}, #{i}]"             "0110 0iii iinn nttt"                      [<- t:Low n:Low; i:Imm5x4]      Store         Base @ Store 4 Imm;
    /// Stores the word, at `sp + i`, in 16 bits.
    StrSpNarrow     str_sp_narrow     "str {t}, [{n}, #{i}]"             "1001 0ttt iiii iiii"                      [<- t:Low n:Sp; i:Imm8x4]       Store         Base @ Store 4 Imm;
    /// Stores the word, at `n + m`, in 16 bits.
    StrRegNarrow    str_reg_narrow    "str {t}, [{n}, {m}]"              "0101 000m mmnn nttt"                      [<- t:Low n:Low m:Low]          Store         Base @ Store 4 Reg;
    /// Stores the byte, at `n + i`.
    Strb            strb              "strb.w {t}, [{n}{, #i}]"          "1111 1000 1000 nnnn  tttt iiii iiii iiii" [<- t n:Base; i:Imm12]          Store         Base @ Store 1 Imm => StrbNarrow;
    /// Stores the byte, below `n`.
    StrbNeg         strb_neg          "strb.w {t}, [{n}, #{i}]"          "1111 1000 0000 nnnn  tttt 1100 iiii iiii" [<- t n:Base; i:NegImm8]        Store         Base @ Store 1 Imm;
    /// Stores the byte, at `n + (m << s)`.
    StrbReg         strb_reg          "strb.w {t}, [{n}, {m}{, lsl #s}]" "1111 1000 0000 nnnn  tttt 0000 00ss mmmm" [<- t n:Base m; s:Scale]        Store         Base @ Store 1 Reg => StrbRegNarrow;
    /// Stores the byte, at `n`, then adds `i` to `n`.
    StrbPost        strb_post         "strb.w {t}, [{b}], #{i}"          "1111 1000 0000 nnnn  tttt 10i1 iiii iiii" [n <- b=n t; i:PostImm8]        Store         Base @ Store 1 Post;
    /// Adds `i` to `n`, then stores the byte, at `n`.
    StrbPre         strb_pre          "strb.w {t}, [{b}, #{i}]!"         "1111 1000 0000 nnnn  tttt 11i1 iiii iiii" [n <- b=n t; i:PreImm8]         Store         Base @ Store 1 Pre;
    /// Stores the byte, at `n + i`, in 16 bits.
    StrbNarrow      strb_narrow       "strb {t}, [{n}, #{i}]"            "0111 0iii iinn nttt"                      [<- t:Low n:Low; i:Imm5]        Store         Base @ Store 1 Imm;
    /// Stores the byte, at `n + m`, in 16 bits.
    StrbRegNarrow   strb_reg_narrow   "strb {t}, [{n}, {m}]"             "0101 010m mmnn nttt"                      [<- t:Low n:Low m:Low]          Store         Base @ Store 1 Reg;
    /// Stores the halfword, at `n + i`.
    Strh            strh              "strh.w {t}, [{n}{, #i}]"          "1111 1000 1010 nnnn  tttt iiii iiii iiii" [<- t n:Base; i:Imm12]          Store         Base @ Store 2 Imm => StrhNarrow;
    /// Stores the halfword, below `n`.
    StrhNeg         strh_neg          "strh.w {t}, [{n}, #{i}]"          "1111 1000 0010 nnnn  tttt 1100 iiii iiii" [<- t n:Base; i:NegImm8]        Store         Base @ Store 2 Imm;
    /// Stores the halfword, at `n + (m << s)`.
    StrhReg         strh_reg          "strh.w {t}, [{n}, {m}{, lsl #s}]" "1111 1000 0010 nnnn  tttt 0000 00ss mmmm" [<- t n:Base m; s:Scale]        Store         Base @ Store 2 Reg => StrhRegNarrow;
    /// Stores the halfword, at `n`, then adds `i` to `n`.
    StrhPost        strh_post         "strh.w {t}, [{b}], #{i}"          "1111 1000 0010 nnnn  tttt 10i1 iiii iiii" [n <- b=n t; i:PostImm8]        Store         Base @ Store 2 Post;
    /// Adds `i` to `n`, then stores the halfword, at `n`.
    StrhPre         strh_pre          "strh.w {t}, [{b}, #{i}]!"         "1111 1000 0010 nnnn  tttt 11i1 iiii iiii" [n <- b=n t; i:PreImm8]         Store         Base @ Store 2 Pre;
    /// Stores the halfword, at `n + i`, in 16 bits.
    StrhNarrow      strh_narrow       "strh {t}, [{n}, #{i}]"            "1000 0iii iinn nttt"                      [<- t:Low n:Low; i:Imm5x2]      Store         Base @ Store 2 Imm;
    /// Stores the halfword, at `n + m`, in 16 bits.
    StrhRegNarrow   strh_reg_narrow   "strh {t}, [{n}, {m}]"             "0101 001m mmnn nttt"                      [<- t:Low n:Low m:Low]          Store         Base @ Store 2 Reg;
    /// Stores two words, at `n + i`.
    Strd            strd              "strd {t}, {u}, [{n}{, #i}]"       "1110 1001 i100 nnnn  tttt uuuu iiii iiii" [<- t u n:Base; i:OffsetImm8x4] StoreMultiple Base @ Store 4 Imm;
    /// Stores two words, at `n`, then adds `i` to `n`.
    StrdPost        strd_post         "strd {t}, {u}, [{b}], #{i}"       "1110 1000 i110 nnnn  tttt uuuu iiii iiii" [n <- b=n t u; i:OffsetImm8x4]  StoreMultiple Base @ Store 4 Post;
    /// Adds `i` to `n`, then stores two words, at `n`.
    StrdPre         strd_pre          "strd {t}, {u}, [{b}, #{i}]!"      "1110 1001 i110 nnnn  tttt uuuu iiii iiii" [n <- b=n t u; i:PreImm8x4]     StoreMultiple Base @ Store 4 Pre;
    /// Stores words from `n` on.
    Stm             stm               "stmia.w {n}, {l}"                 "1110 1000 1000 nnnn  llll llll llll llll" [<- n l:List]                   StoreMultiple Base @ Store 4 Multiple;
    /// Stores words from `n` on, then moves `n` behind them.
    StmUpdate       stm_update        "stmia.w {n}!, {l}"                "1110 1000 1010 nnnn  llll llll llll llll" [n <- b=n l:List]               StoreMultiple Base @ Store 4 MultipleUpdate => StmUpdateNarrow;
    /// Stores words from `n` on, then moves `n` behind them, in 16 bits.
    StmUpdateNarrow stm_update_narrow "stmia {n}!, {l}"                  "1100 0nnn llll llll"                      [n:Low <- b=n:Low l:LowList]    StoreMultiple Base @ Store 4 MultipleUpdate;
    /// Stores the words that end below `n`, which moves to the first of them.
    StmdbUpdate     stmdb_update      "stmdb {n}!, {l}"                  "1110 1001 0010 nnnn  llll llll llll llll" [n <- b=n l:List]               StoreMultiple Base @ Store 4 MultipleUpdate;

    // The stack.
    /// Pushes registers.
    Push            push              "stmdb sp!, {l}"   "1110 1001 0010 1101  llll llll llll llll" [<- l:List]      StoreMultiple Base + MovesSp @ Store 4 Multiple => PushNarrow;
    /// Pushes registers, in 16 bits.
    PushNarrow      push_narrow       "push {l}"         "1011 010l llll llll"                      [<- l:LowListLr] StoreMultiple Base + MovesSp @ Store 4 Multiple;
    /// Pops registers.
    Pop             pop               "ldmia.w sp!, {l}" "1110 1000 1011 1101  llll llll llll llll" [l:List <-]      LoadMultiple  Base + MovesSp @ Load 4 Multiple => PopNarrow;
    /// Pops registers, in 16 bits.
    PopNarrow       pop_narrow        "pop {l}"          "1011 1100 llll llll"                      [l:LowList <-]   LoadMultiple  Base + MovesSp @ Load 4 Multiple;
    /// Pops registers and returns.
    PopReturn       pop_return        "ldmia.w sp!, {l}" "1110 1000 1011 1101  llll llll llll llll" [l:ListPc <-]    LoadReturn    Base + MovesSp @ Load 4 Multiple => PopReturnNarrow;
    /// Pops registers and returns, in 16 bits.
    PopReturnNarrow pop_return_narrow "pop {l}"          "1011 110l llll llll"                      [l:LowListPc <-] LoadReturn    Base + MovesSp @ Load 4 Multiple;

    // Branches.
    /// Branches.
    B           b             "b.w {i}"       "1111 0iii iiii iiii  10i1 iiii iiii iiii" [<-; i:BranchOffset25]         Branch   Base => BNarrow;
    /// Branches, in 16 bits.
    BNarrow     b_narrow      "b.n {i}"       "1110 0iii iiii iiii"                      [<-; i:BranchOffset12]         Branch   Base;
    /// Branches on a condition.
    BCond       b_cond        "b{c}.w {i}"    "1111 0icc ccii iiii  10i0 iiii iiii iiii" [<-; c:Cond i:BranchOffset21]  BranchIf Base + ReadsFlags => BCondNarrow;
    /// Branches on a condition, in 16 bits.
    BCondNarrow b_cond_narrow "b{c}.n {i}"    "1101 cccc iiii iiii"                      [<-; c:Cond i:BranchOffset9]   BranchIf Base + ReadsFlags;
    /// Branches forward if `n` is 0.
    Cbz         cbz           "cbz {n}, {i}"  "1011 00i1 iiii innn"                      [<- n:Low; i:BranchOffset7]    BranchIf Base;
    /// Branches forward if `n` is not 0.
    Cbnz        cbnz          "cbnz {n}, {i}" "1011 10i1 iiii innn"                      [<- n:Low; i:BranchOffset7]    BranchIf Base;
    /// Calls; the callee may change r12 besides what its convention says.
    Bl          bl            "bl {i}"        "1111 0iii iiii iiii  11i1 iiii iiii iiii" [<-; i:BranchOffset25]         Call     Base + WritesLr;
    /// Calls the function at `m`.
    Blx         blx           "blx {m}"       "0100 0111 1mmm m000"                      [<- m]                         Return   Base + WritesLr;
    /// Branches to `m`, as a return does.
    Bx          bx            "bx {m}"        "0100 0111 0mmm m000"                      [<- m]                         Return   Base;
    /// Makes the next one to four instructions conditional.
    It          it            "it{b}"         "1011 1111 bbbb bbbb"                      [<-; b:ItBlock]                It       Base + ReadsFlags;

    // Nothing, and stop.
    /// Does nothing, in 16 bits.
    NopNarrow nop_narrow "nop"      "1011 1111 0000 0000"                      [<-]                    Logic  Base;
    /// Does nothing.
    Nop       nop        "nop.w"    "1111 0011 1010 1111  1000 0000 0000 0000" [<-]                    Logic  Base => NopNarrow;
    /// Stops in the debugger.
    Bkpt      bkpt       "bkpt {i}" "1011 1110 iiii iiii"                      [<-; i:BreakpointCode]  System Base;
    /// Permanently undefined: faults.
    Udf       udf        "udf #{i}" "1101 1110 iiii iiii"                      [<-; i:Imm8]            System Base;

    // The FPU's registers.
    /// Moves a core register into an S register, bit for bit.
    VmovToS   vmov_to_s   "vmov {n}, {t}"         "1110 1110 0000 nnnn  tttt 1010 N001 0000" [n:Single <- t]                      FloatMove          Fpu;
    /// Moves an S register into a core register, bit for bit.
    VmovFromS vmov_from_s "vmov {t}, {n}"         "1110 1110 0001 nnnn  tttt 1010 N001 0000" [t <- n:Single]                      FloatToCore        Fpu;
    /// Moves an S register.
    Vmov      vmov        "vmov.f32 {d}, {m}"     "1110 1110 1D11 0000  dddd 1010 01M0 mmmm" [d:Single <- m:Single]               FloatMove          Fpu;
    /// Loads an S register, at `n + i`.
    Vldr      vldr        "vldr {d}, [{n}{, #i}]" "1110 1101 iD01 nnnn  dddd 1010 iiii iiii" [d:Single <- n:Base; i:OffsetImm8x4] FloatLoad          Fpu @ Load 4 Imm;
    /// Stores an S register, at `n + i`.
    Vstr      vstr        "vstr {d}, [{n}{, #i}]" "1110 1101 iD00 nnnn  dddd 1010 iiii iiii" [<- d:Single n:Base; i:OffsetImm8x4] FloatStore         Fpu @ Store 4 Imm;
    /// Pushes consecutive S registers; `c` is how many.
    Vpush     vpush       "vpush {l}"             "1110 1101 0L10 1101  llll 1010 cccc cccc" [<- l:SingleList]                    FloatStoreMultiple Fpu + MovesSp @ Store 4 Multiple;
    /// Pops consecutive S registers; `c` is how many.
    Vpop      vpop        "vpop {l}"              "1110 1100 1L11 1101  llll 1010 cccc cccc" [l:SingleList <-]                    FloatLoadMultiple  Fpu + MovesSp @ Load 4 Multiple;
}

#[cfg(test)]
mod tests {
    use super::super::RegClass;
    use super::*;

    /// The letters that a text prints.
    fn printed(text: &str) -> impl Iterator<Item = u8> + '_ {
        text.split('{').skip(1).map(|rest| {
            let field = rest.split('}').next().expect("split gives at least one part");
            *field.as_bytes().last().expect("a field is not empty")
        })
    }

    #[test]
    fn every_operand_has_its_place_in_the_diagram() {
        for row in Form::ALL.iter().map(|form| form.row()) {
            let encoded = |o: &&Operand| !matches!(o.role, Role::Tied(_)) && o.class != RegClass::Sp;
            let letters = row
                .operands
                .iter()
                .filter(encoded)
                .map(|o| o.letter)
                .chain(row.imms.iter().map(|i| i.letter));
            for letter in letters {
                assert!(
                    row.diagram.bytes().any(|b| b == letter),
                    "{}: no bits for {}",
                    row.name,
                    letter as char
                );
            }
        }
    }

    #[test]
    fn texts_print_operands_of_their_row() {
        for row in Form::ALL.iter().map(|form| form.row()) {
            for letter in printed(row.text) {
                let known = row.operands.iter().any(|o| o.letter == letter)
                    || row.imms.iter().any(|i| i.letter == letter);
                assert!(known, "{}: the text prints {}", row.name, letter as char);
            }
        }
    }
}
