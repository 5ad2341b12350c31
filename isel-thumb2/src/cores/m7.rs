//! Cortex-M7: two instructions at a time, in order.
//!
//! Arm publishes no table. An operand is needed at a stage and a result is ready after a stage; two
//! instructions issue together unless a rule forbids the pair. Sources: the stages and pairs that others
//! measured on an STM32H743 (github.com/jnk0le/random, "pipeline cycle test"), and where those say nothing
//! LLVM's scheduling model of the Cortex-M7, written at Arm. Caches, the store buffer and fetch alignment are
//! left out.

use super::{Address, Core, Machine, TICKS};
use crate::isa::imm::ModImm;
use crate::isa::{Addressing, Class, Cond, Extension, Form, ImmKind, Inst, Reg, Role};
use crate::object::Architecture;
use crate::schedule::Style;

/// The Cortex-M7 with a single-precision FPU.
pub struct CortexM7;

impl Core for CortexM7 {
    fn name(&self) -> &'static str {
        "cortex-m7"
    }

    fn has(&self, extension: Extension) -> bool {
        match extension {
            Extension::Base | Extension::Dsp | Extension::Fpu => true,
        }
    }

    fn style(&self) -> Style {
        Style::Soonest
    }

    fn architecture(&self) -> Architecture {
        Architecture::V7EM
    }

    fn machine(&self) -> Box<dyn Machine> {
        Box::new(Pipeline::new())
    }

    /// A two-bit counter predicts; it is wrong once each time a branch changes its mind, as a loop's does at
    /// the end.
    fn branch_penalty(&self, taken: u64, not_taken: u64) -> u64 {
        MISPREDICTION * taken.min(not_taken)
    }
}

/// Cycles of a mispredicted branch; measured as above.
const MISPREDICTION: u64 = 8;

/// Cycles of a division; LLVM's model.
const DIVISION: i64 = 7;

/// Two loads that hit one bank more often than this are taken never to go together. Half of the time is not more
/// often, whatever rounding does to it.
const OFTEN: f64 = 0.5 + 1e-9;

/// Cycles that an unaligned load takes longer; measured as above.
const UNALIGNED: f64 = 3.0;

/// The unit that an instruction occupies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unit {
    Alu,
    /// The half of the integer side that has the parallel and bit-field operations.
    Dsp,
    Mul,
    Div,
    Load,
    Store,
    Branch,
    Fpu,
}

/// What can be ready one stage early, if its operands are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Early {
    No,
    /// In the first slot only.
    InFirstSlot,
    Always,
}

/// The pipeline's view of an instruction, operands aside.
#[derive(Clone, Copy, Debug)]
struct Shape {
    unit: Unit,
    /// Issues alone.
    alone: bool,
    /// Uses the shifter ahead of the ALU.
    shifter: bool,
    early: Early,
    /// Cycles until the next can issue.
    occupies: i64,
    /// The stage at which operands are needed, addresses aside.
    needs: i64,
    /// The stage after which results are ready, a moved base aside.
    ready: i64,
    /// A load of a whole word into a core register.
    word: bool,
    form: Form,
}

/// A result on its way.
#[derive(Clone, Copy, Debug)]
struct Write {
    /// The cycle in which its instruction issued.
    issued: i64,
    /// The stage after which it is ready.
    ready: i64,
    by: Producer,
}

/// What a result is of, as far as whoever reads it asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Producer {
    /// A load of a whole word into a core register.
    Word,
    /// Any other load.
    Load,
    Reversal,
    Movw,
    Other,
}

impl Producer {
    fn of(shape: &Shape) -> Self {
        match shape.unit {
            Unit::Load if shape.word => Self::Word,
            Unit::Load => Self::Load,
            _ if is_reversal(shape.form) => Self::Reversal,
            _ if shape.form == Form::Movw => Self::Movw,
            _ => Self::Other,
        }
    }

    fn is_load(self) -> bool {
        matches!(self, Self::Word | Self::Load)
    }
}

/// The latest results, so many that all older ones have arrived: two are written in a cycle and four cycles are the
/// longest wait, list loads and divisions occupy the cycles that they take.
#[derive(Clone)]
struct Results {
    /// What each is in: apart from the rest, which is looked at less often.
    at: [u32; N_WRITES],
    writes: [Write; N_WRITES],
    next: usize,
}

const N_WRITES: usize = 24;
/// Cycles behind the issue of an instruction in which its results have arrived, whoever reads them; one more for a partner.
const LONGEST_WAIT: i64 = 5;
/// No register has this index.
const NOWHERE: u32 = u32::MAX;

impl Results {
    fn new() -> Self {
        let none = Write { issued: 0, ready: 0, by: Producer::Other };
        Self { at: [NOWHERE; N_WRITES], writes: [none; N_WRITES], next: 0 }
    }

    fn position(&self, at: usize) -> Option<usize> {
        self.at.iter().position(|have| *have == at as u32)
    }

    fn get(&self, at: usize) -> Option<&Write> {
        self.position(at).map(|position| &self.writes[position])
    }

    /// Those that somebody may wait for from a cycle on, with their cycles counted from there.
    fn on_their_way(&self, from: i64) -> Vec<i64> {
        let all = self.at.iter().zip(&self.writes).filter(|(at, _)| **at != NOWHERE);
        let mut late: Vec<_> = all.filter(|(_, write)| write.issued + LONGEST_WAIT >= from).collect();
        late.sort_unstable_by_key(|(at, _)| **at);
        let numbers =
            |(at, write): (&u32, &Write)| [i64::from(*at), write.issued - from, write.ready, write.by as i64];
        late.into_iter().flat_map(numbers).collect()
    }

    fn set(&mut self, at: usize, write: Write) {
        if let Some(older) = self.position(at) {
            self.at[older] = NOWHERE;
        }
        (self.at[self.next], self.writes[self.next]) = (at as u32, write);
        self.next = (self.next + 1) % N_WRITES;
    }
}

/// An address as a base that nothing is known of, and a distance in bytes from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    base: u32,
    offset: i32,
}

#[derive(Clone)]
struct Pipeline {
    /// The cycle of the last issue, the first cycle after it, and the last cycle that is occupied.
    last: i64,
    next: i64,
    end: i64,
    /// Ticks of expected bank conflicts and unaligned loads.
    chances: u64,
    /// The last instruction, while another may issue beside it.
    open: Option<Shape>,
    results: Results,
    places: [Place; N_CORE],
    n_bases: u32,
    last_load: LastLoad,
}

/// Where the last load went, as far as either way of saying it is known.
#[derive(Clone, Default)]
struct LastLoad {
    place: Option<Place>,
    address: Option<Address>,
}

/// The flags among the results; registers have their own index.
const FLAGS: usize = 48;
const N_CORE: usize = 16;

impl Machine for Pipeline {
    fn issue(&mut self, inst: &Inst, address: Option<&Address>) {
        let shape = shape(inst);
        let conflict = if shape.unit == Unit::Load { self.bank_conflict(inst, address) } else { 0.0 };
        let partner = self.open.filter(|first| may_pair(first, &shape, conflict));
        let ready = self.operands_ready(inst, &shape);
        let issued = ready.max(if partner.is_some() { self.last } else { self.next });
        let paired = partner.is_some() && issued == self.last;
        let issued = if paired { issued } else { issued.max(self.next) };
        if paired && shape.unit == Unit::Load && partner.is_some_and(|first| first.unit == Unit::Load) {
            self.chances += in_ticks(conflict);
        }
        self.chances += address.map_or(0, |address| unaligned_cost(inst, address));
        self.write_results(inst, &shape, issued, paired);
        self.move_places(inst);
        self.end = issued + shape.occupies - 1;
        self.last = self.end;
        self.next = self.end + 1;
        self.open = (!paired && !shape.alone && shape.occupies == 1).then_some(shape);
        if shape.unit == Unit::Branch && inst.class() != Class::BranchIf {
            self.open = None;
        }
    }

    fn branch_taken(&mut self) {
        self.open = None;
    }

    fn ticks(&self) -> u64 {
        TICKS * (self.end + 1) as u64 + self.chances
    }

    fn mark(&self) -> Vec<i64> {
        let mut mark = vec![self.next - self.last, self.next - self.end, self.open.is_some().into()];
        mark.extend(self.results.on_their_way(self.next));
        mark.extend(self.places.iter().chain(&self.last_load.place).flat_map(|place| self.residue(place)));
        mark
    }

    fn fork(&self) -> Box<dyn Machine> {
        Box::new(self.clone())
    }
}

impl Pipeline {
    fn new() -> Pipeline {
        let places = std::array::from_fn(|reg| Place { base: reg as u32, offset: 0 });
        Pipeline {
            last: -1,
            next: 0,
            end: -1,
            chances: 0,
            open: None,
            results: Results::new(),
            places,
            n_bases: N_CORE as u32,
            last_load: LastLoad::default(),
        }
    }

    /// The first cycle in which every operand arrives in time.
    fn operands_ready(&self, inst: &Inst, shape: &Shape) -> i64 {
        let flags = (inst.cond() != Cond::Al).then_some((FLAGS, 2));
        let reads = reads(inst, shape).map(|(reg, stage)| (reg.index(), stage)).chain(flags);
        reads
            .filter_map(|(at, stage)| Some(arrival(self.results.get(at)?, at, inst, shape, stage)))
            .fold(0, i64::max)
    }

    fn write_results(&mut self, inst: &Inst, shape: &Shape, issued: i64, paired: bool) {
        let early = match shape.early {
            Early::No => false,
            Early::InFirstSlot if paired => false,
            _ => reads(inst, shape).all(|(reg, _)| {
                let settled = |w: &Write| w.issued + if w.by.is_load() { w.ready.max(2) } else { w.ready };
                self.results.get(reg.index()).is_none_or(|write| settled(write) <= issued)
            }),
        };
        let (base, by, effects) = (inst.updated_base(), Producer::of(shape), inst.effects());
        let written = inst.defs().chain(effects.moves_sp.then_some(Reg::SP));
        for reg in written.filter(|&reg| reg != Reg::PC) {
            let moved = base == Some(reg) || (effects.moves_sp && reg == Reg::SP);
            let ready = if moved || early { 1 } else { shape.ready };
            self.results.set(reg.index(), Write { issued, ready, by });
        }
        if effects.sets_flags {
            self.results.set(FLAGS, Write { issued, ready: 2, by });
        }
    }

    /// How often a load and the load before it hit one bank (bit 2 of the address), so that they cannot go together.
    /// Where the addresses are not comparable, every second pair collides.
    fn bank_conflict(&mut self, inst: &Inst, address: Option<&Address>) -> f64 {
        let place = self.place(inst);
        // Several words are loaded in order, so the last of them is the neighbor of what follows.
        let further = 4 * (inst.transferred().count() as i32 - 1);
        let end = place.map(|place| Place { offset: place.offset.wrapping_add(further), ..place });
        let now = LastLoad { place: end, address: address.map(|address| address.plus(further.into())) };
        let last = std::mem::replace(&mut self.last_load, now);
        if self.open.is_none_or(|first| first.unit != Unit::Load) {
            return 0.0; // Nothing that it could collide with.
        }
        if let (Some(last), Some(address)) = (&last.address, address) {
            return last.share_in_one_bank(address);
        }
        match (last.place, place) {
            (Some(last), Some(place)) if last.base == place.base => {
                if (last.offset ^ place.offset) & 4 == 0 {
                    1.0
                } else {
                    0.0
                }
            }
            _ => 0.5,
        }
    }

    /// Where an access goes, if that is a base and a constant.
    fn place(&self, inst: &Inst) -> Option<Place> {
        let base = inst.address().next()?;
        let place = self.places.get(base.index())?;
        let offset = match inst.mem()?.addressing {
            Addressing::Imm | Addressing::Pre => inst.imm(b'i').unwrap_or(0),
            Addressing::Post | Addressing::Multiple | Addressing::MultipleUpdate => 0,
            Addressing::Reg => return None,
        };
        Some(Place { base: place.base, offset: place.offset.wrapping_add(offset) })
    }

    /// A place as far as banks ask: its base as the first register that has it, and its offset modulo the distance at which banks repeat.
    fn residue(&self, place: &Place) -> [i64; 2] {
        let first = self.places.iter().position(|have| have.base == place.base);
        [first.unwrap_or(N_CORE) as i64, place.offset.rem_euclid(8).into()]
    }

    /// Follows the bases through constant steps; anything else makes a new base.
    fn move_places(&mut self, inst: &Inst) {
        let stepped = step(inst).and_then(|(from, by)| {
            let place = self.places.get(from.index())?;
            Some(Place { base: place.base, offset: place.offset.wrapping_add(by) })
        });
        let base = inst.updated_base();
        for reg in inst.defs().filter(|reg| reg.is_core()) {
            let follows = base.is_none_or(|base| base == reg);
            self.places[reg.index()] = stepped.filter(|_| follows).unwrap_or_else(|| {
                self.n_bases += 1;
                Place { base: self.n_bases, offset: 0 }
            });
        }
    }
}

/// The register and the constant whose sum an instruction writes, if it does that.
fn step(inst: &Inst) -> Option<(Reg, i32)> {
    let by = || inst.imm(b'i');
    match inst.form() {
        _ if inst.updated_base().is_some() => Some((inst.updated_base()?, by()?)),
        Form::AddImm | Form::AddsImm | Form::Addw | Form::AddsImm3Narrow | Form::AddsImm8Narrow => {
            Some((inst.reg(b'n')?, by()?))
        }
        Form::SubImm | Form::SubsImm | Form::Subw | Form::SubsImm3Narrow | Form::SubsImm8Narrow => {
            Some((inst.reg(b'n')?, by()?.wrapping_neg()))
        }
        Form::AddFromSpNarrow => Some((Reg::SP, by()?)),
        _ => None,
    }
}

/// The cycle in which the consumer may issue for this operand.
fn arrival(write: &Write, at: usize, inst: &Inst, shape: &Shape, stage: i64) -> i64 {
    let memory = matches!(shape.unit, Unit::Load | Unit::Store);
    let mut ready = write.ready;
    // A loaded word reaches the multiplier and the shifter's companions one stage later than the ALU.
    if write.by == Producer::Word && stage == 2 && (shape.unit == Unit::Mul || shape.shifter) {
        ready = 3;
    }
    if write.by == Producer::Reversal && stage == 1 && memory {
        ready = 2;
    }
    // The halves of a constant go together.
    if shape.form == Form::Movt && write.by == Producer::Movw && inst.defs().any(|def| def.index() == at) {
        ready = 1;
    }
    let least = i64::from(at == FLAGS);
    write.issued + (ready + 1 - stage).max(least)
}

/// Whether `second` may issue beside `first`, which is older.
fn may_pair(first: &Shape, second: &Shape, conflict: f64) -> bool {
    let units = [first.unit, second.unit];
    let both = |unit| units == [unit, unit];
    let rivals = [Unit::Mul, Unit::Store, Unit::Branch, Unit::Dsp, Unit::Div].into_iter().any(both);
    let product_and_store = units.contains(&Unit::Mul) && units.contains(&Unit::Store);
    let one_shifter = second.shifter && (first.shifter || first.early == Early::Always);
    let one_bank = both(Unit::Load) && conflict > OFTEN;
    let alone = first.alone || second.alone || second.unit == Unit::Dsp;
    !(alone || rivals || product_and_store || one_shifter || one_bank)
}

/// Ticks that a load takes longer on the mean because it is not aligned.
fn unaligned_cost(inst: &Inst, address: &Address) -> u64 {
    let bytes = inst.mem().map_or(0, |mem| usize::from(mem.bytes));
    if inst.class() != Class::Load || bytes < 2 || address.is_multiple(bytes) {
        return 0;
    }
    in_ticks(UNALIGNED * (1.0 - address.share_with_rest(0, bytes)))
}

fn in_ticks(cycles: f64) -> u64 {
    (TICKS as f64 * cycles).round() as u64
}

fn is_reversal(form: Form) -> bool {
    form.row().class == Class::Reverse
}

/// The shape of an ordinary ALU instruction.
fn alu(form: Form) -> Shape {
    Shape {
        unit: Unit::Alu,
        alone: false,
        shifter: false,
        early: Early::No,
        occupies: 1,
        needs: 2,
        ready: 2,
        word: false,
        form,
    }
}

fn shape(inst: &Inst) -> Shape {
    let alu = alu(inst.form());
    let dsp = Shape { unit: Unit::Dsp, ..alu };
    let words = || inst.transferred().count() as i64;
    let bytes = inst.mem().map_or(0, |mem| mem.bytes);
    match inst.class() {
        Class::Add | Class::Movw if uses_shifter(inst) => Shape { shifter: true, ..alu },
        Class::Add | Class::Movw => Shape { early: Early::InFirstSlot, ..alu },
        Class::Movt | Class::Logic => Shape { shifter: uses_shifter(inst), ..alu },
        Class::Shift => Shape { early: Early::Always, ..alu },
        Class::Lanes => dsp,
        Class::LanesLate => Shape { ready: 3, ..dsp },
        Class::Pack | Class::Clear => Shape { shifter: true, ..dsp },
        Class::Extract => Shape { shifter: true, needs: 1, ..dsp },
        Class::Saturate => Shape { shifter: true, needs: 1, ready: 3, ..dsp },
        Class::Reverse => Shape { shifter: true, needs: 1, ready: 1, ..dsp },
        Class::Mul | Class::Mac | Class::LongMul | Class::LongMac => {
            Shape { unit: Unit::Mul, ready: 3, ..alu }
        }
        Class::Div => Shape { unit: Unit::Div, alone: true, occupies: DIVISION, ..alu },
        Class::Load => {
            Shape { unit: Unit::Load, word: bytes == 4, ready: if bytes == 4 { 2 } else { 3 }, ..alu }
        }
        Class::Store => Shape { unit: Unit::Store, needs: 4, ..alu },
        Class::LoadMultiple | Class::LoadReturn => {
            Shape { unit: Unit::Load, alone: true, occupies: (words() + 1) / 2, ..alu }
        }
        Class::StoreMultiple => {
            Shape { unit: Unit::Store, alone: true, occupies: (words() + 1) / 2, needs: 4, ..alu }
        }
        Class::Branch | Class::BranchIf | Class::Call | Class::Return => Shape { unit: Unit::Branch, ..alu },
        Class::It | Class::System => alu,
        Class::FloatLoad => Shape { unit: Unit::Load, ..alu },
        Class::FloatStore => Shape { unit: Unit::Store, needs: 4, ..alu },
        Class::FloatLoadMultiple => {
            Shape { unit: Unit::Load, alone: true, occupies: (words() + 1) / 2, ..alu }
        }
        Class::FloatStoreMultiple => {
            Shape { unit: Unit::Store, alone: true, occupies: (words() + 1) / 2, needs: 4, ..alu }
        }
        Class::FloatMove => Shape { unit: Unit::Fpu, ready: 4, ..alu },
        Class::FloatToCore => Shape { unit: Unit::Fpu, ..alu },
    }
}

/// Whether the second operand is shifted, or is a constant that the shifter makes.
pub(super) fn uses_shifter(inst: &Inst) -> bool {
    let mut imms = inst.row().imms.iter().zip(inst.imms());
    imms.any(|(imm, &raw)| match imm.kind {
        ImmKind::Shift => raw & 0xff != 0,
        ImmKind::ModImm => ModImm::is_rotated(raw as u32),
        _ => false,
    })
}

/// The registers read, each with the stage at which it is needed. A branch is predicted and waits for none.
fn reads(inst: &Inst, shape: &Shape) -> impl Iterator<Item = (Reg, i64)> {
    let shifts_operand = shape.shifter && inst.row().imms.iter().any(|imm| imm.kind == ImmKind::Shift);
    let early_last = inst.class() == Class::Pack || shifts_operand;
    let last = inst.regs().len().saturating_sub(1);
    let stage = move |at: usize, reg: Reg, letter: u8| match inst.class() {
        _ if inst.mem().is_some() && matches!(letter, b'n' | b'b' | b'm') => 1,
        Class::LongMac if inst.defs().any(|def| def == reg) => 3,
        Class::Mac if letter == b'a' => 3,
        _ if early_last && at == last => 1,
        _ => shape.needs,
    };
    let waits = shape.unit != Unit::Branch;
    let operands = inst.operands().enumerate().filter(move |(_, (_, o))| waits && o.role != Role::Def);
    let stack = inst.row().effects.moves_sp.then_some((Reg::SP, 1));
    operands.map(move |(at, (reg, o))| (reg, stage(at, reg, o.letter))).chain(stack)
}
