//! The text of an instruction, as GNU objdump prints it with `-M reg-names-std`.

use std::fmt;

use super::imm::{Cond, Notation};
use super::inst::Inst;

/// An instruction as text, with the name of its target if it branches.
pub struct Display<'a> {
    inst: &'a Inst,
    target: Option<&'a dyn fmt::Display>,
}

impl Inst {
    /// The text with `target` in the place of a branch's offset.
    pub fn display_with<'a>(&'a self, target: &'a dyn fmt::Display) -> Display<'a> {
        Display { inst: self, target: Some(target) }
    }
}

impl fmt::Display for Inst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Display { inst: self, target: None })
    }
}

impl fmt::Display for Display<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.inst.row().text;
        let mnemonic_end = text.find(['.', ' ', '{']).unwrap_or(text.len());
        let (mnemonic, mut rest) = text.split_at(mnemonic_end);
        match self.inst.cond() {
            Cond::Al => f.write_str(mnemonic)?,
            cond => write!(f, "{}{}", self.plain(mnemonic), cond.suffix())?,
        }
        while let Some((before, after)) = rest.split_once('{') {
            f.write_str(before)?;
            let (field, after) = after.split_once('}').expect("the braces of a row's text pair up");
            self.write_field(field, f)?;
            rest = after;
        }
        f.write_str(rest)
    }
}

impl Display<'_> {
    /// In an IT block the 16-bit forms do not set the flags, and their name says so.
    fn plain<'m>(&self, mnemonic: &'m str) -> &'m str {
        let inst = self.inst;
        let kept = inst.effects().sets_flags == inst.row().effects.sets_flags;
        if kept { mnemonic } else { mnemonic.trim_end_matches('s') }
    }

    /// Writes `d`, an operand or immediate, or `, #i`, which vanishes with a zero.
    fn write_field(&self, field: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, letter) = field.split_at(field.len() - 1);
        let letter = letter.as_bytes()[0];
        let Some(raw) = self.inst.imm(letter) else { return self.write_register(letter, f) };
        if !prefix.is_empty() && raw == 0 {
            return Ok(());
        }
        f.write_str(prefix)?;
        let imm = self.inst.row().imms.iter().find(|i| i.letter == letter);
        let kind = imm.expect("the letter is in the row").kind;
        match self.target {
            Some(target) if kind.is_branch() => write!(f, "{target}"),
            _ => write!(f, "{}", Notation { kind, raw }),
        }
    }

    fn write_register(&self, letter: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut regs = self.inst.operands().filter(|(_, o)| o.letter == letter).peekable();
        let Some((first, operand)) = regs.peek().copied() else { return Ok(()) };
        if !operand.class.is_list() {
            return write!(f, "{first}");
        }
        if operand.class.is_fpu() {
            let last = regs.last().map_or(first, |(reg, _)| reg);
            return if last == first { write!(f, "{{{first}}}") } else { write!(f, "{{{first}-{last}}}") };
        }
        write!(f, "{{{first}")?;
        regs.skip(1).try_for_each(|(reg, _)| write!(f, ", {reg}"))?;
        f.write_str("}")
    }
}
