//! Reads expressions, accesses and indices.

use super::super::{Access, BufferId, Expr, Index, Prim, VarId};
use super::parse::{Name, Parser};
use crate::diag::{Diagnostic, Place};
use crate::text::{Cursor, Tok};
use crate::ty::Ty;

/// Greatest factor or summand of an index: products with extents and strides stay far from the end of 64 bits.
const LARGEST: u64 = 1 << 27;

impl Parser<'_, '_> {
    /// Reads what stands behind `=`: an operation without parentheses, or an operand.
    pub fn value(&mut self) -> Result<Expr, Diagnostic> {
        let Tok::Ident(name) = *self.cursor.peek() else { return self.operand() };
        let call = matches!(self.cursor.peek_at(1), Tok::Punct("("));
        match Prim::parse(name) {
            Some(prim) if !call => {
                self.cursor.bump();
                let args = self.operands(prim)?;
                self.operation(prim, args)
            }
            None if name == "lookup" && !call => {
                self.cursor.bump();
                self.lookup()
            }
            _ => self.operand(),
        }
    }

    /// Reads `[i, j] as i8x4 else -128` behind the name of a buffer.
    pub fn access(&mut self, buffer: BufferId) -> Result<Access, Diagnostic> {
        if !self.cursor.at("[") {
            return Err(self.cursor.wanted("`[` behind the name of a buffer"));
        }
        let index = self.indices()?;
        let elem = self.nest.buffers[buffer.idx()].elem;
        let ty = if self.cursor.eat_word("as") { self.ty()? } else { elem };
        let border = if self.cursor.eat_word("else") { Some(self.cursor.int()?) } else { None };
        Ok(Access { buffer, index, ty, border })
    }

    fn operand(&mut self) -> Result<Expr, Diagnostic> {
        self.deeper(|parser| {
            if matches!(parser.cursor.peek(), Tok::Int(_) | Tok::Punct("-")) {
                return parser.literal();
            }
            let place = parser.cursor.place();
            let name = parser.cursor.ident("a value")?;
            match (name, Prim::parse(name)) {
                ("index", _) => parser.index_in_parentheses().map(Expr::Index),
                ("lookup", _) => {
                    parser.cursor.expect("(")?;
                    let lookup = parser.lookup()?;
                    parser.cursor.expect(")")?;
                    Ok(lookup)
                }
                (_, Some(prim)) => parser.nested(prim),
                (_, None) => parser.named(name, place),
            }
        })
    }

    /// Reads `7` or `7: i64`.
    fn literal(&mut self) -> Result<Expr, Diagnostic> {
        let place = self.cursor.place();
        let value = self.cursor.int()?;
        let ty = if self.cursor.eat(":") { self.ty()? } else { Ty::I32 };
        match ty.range() {
            Some((low, high)) if (low..=high).contains(&value) => Ok(Expr::Int(value, ty)),
            _ => Err(Diagnostic::new(format!("{value} does not fit in `{ty}`")).at(place)),
        }
    }

    /// Reads the operands and attributes of an operation inside another.
    fn nested(&mut self, prim: Prim) -> Result<Expr, Diagnostic> {
        if self.cursor.eat("(") {
            let args = self.operands(prim)?;
            let operation = self.operation(prim, args)?;
            self.cursor.expect(")")?;
            return Ok(operation);
        }
        let row = prim.row();
        if row.operands.len() != 1 {
            return Err(self.cursor.wanted(format!("`(` behind `{}`, which has several operands", row.name)));
        }
        let arg = self.operand()?;
        self.operation(prim, vec![arg])
    }

    fn operands(&mut self, prim: Prim) -> Result<Vec<Expr>, Diagnostic> {
        let mut args = Vec::new();
        for idx in 0..prim.row().operands.len() {
            if idx > 0 {
                self.cursor.expect(",")?;
            }
            args.push(self.operand()?);
        }
        Ok(args)
    }

    /// Reads the attributes, which stand in the order of the table.
    fn operation(&mut self, prim: Prim, args: Vec<Expr>) -> Result<Expr, Diagnostic> {
        let attributes = prim.row().attributes;
        let mut imm = Vec::new();
        for (idx, (name, _)) in attributes.iter().enumerate() {
            self.cursor.expect(if idx == 0 { "{" } else { "," })?;
            self.cursor.expect_word(name)?;
            self.cursor.expect("=")?;
            imm.push(self.cursor.int()?);
        }
        if !attributes.is_empty() {
            self.cursor.expect("}")?;
        }
        Ok(Expr::Op { prim, args, imm })
    }

    fn lookup(&mut self) -> Result<Expr, Diagnostic> {
        let place = self.cursor.place();
        let name = self.cursor.ident("the name of a buffer")?;
        let Name::Buffer(table) = self.find(name, place)? else {
            return Err(Diagnostic::new(format!("`{name}` is not a buffer")).at(place));
        };
        self.cursor.expect(",")?;
        Ok(Expr::Lookup(table, Box::new(self.operand()?)))
    }

    fn named(&mut self, name: &str, place: Place) -> Result<Expr, Diagnostic> {
        match self.find(name, place)? {
            Name::Buffer(buffer) => self.access(buffer).map(Expr::Load),
            Name::Local(local) => {
                let at = if self.cursor.at("[") { self.indices()? } else { Vec::new() };
                Ok(Expr::Local(local, at))
            }
            Name::Var(_) => {
                let message = format!("the loop variable `{name}` is no value by itself");
                Err(Diagnostic::new(message).at(place).help(format!("write `index({name})`")))
            }
        }
    }
}

/// Reads an index; `var` knows the loop variables, `depth` is how many parentheses may still open.
pub(super) fn index(
    cursor: &mut Cursor,
    var: &dyn Fn(&str) -> Option<VarId>,
    depth: u32,
) -> Result<Index, Diagnostic> {
    let mut sum = Index::constant(0);
    let mut negative = cursor.eat("-");
    loop {
        let place = cursor.place();
        let term = term(cursor, var, depth)?;
        sum = checked(sum.add(&term.scale(if negative { -1 } else { 1 })), place)?;
        negative = cursor.at("-");
        if !cursor.eat("+") && !cursor.eat("-") {
            return Ok(sum);
        }
    }
}

fn term(cursor: &mut Cursor, var: &dyn Fn(&str) -> Option<VarId>, depth: u32) -> Result<Index, Diagnostic> {
    let place = cursor.place();
    let mut product = factor(cursor, var, depth)?;
    loop {
        product = if cursor.eat("*") {
            let other = factor(cursor, var, depth)?;
            match (product.as_constant(), other.as_constant()) {
                (Some(n), _) => other.scale(n),
                (_, Some(n)) => product.scale(n),
                _ => return Err(Diagnostic::new("one factor must be a constant").at(place)),
            }
        } else if cursor.eat_word("div") {
            product.div(divisor(cursor)?)
        } else if cursor.eat_word("mod") {
            product.modulo(divisor(cursor)?)
        } else {
            return Ok(product);
        };
        product = checked(product, place)?;
    }
}

fn factor(cursor: &mut Cursor, var: &dyn Fn(&str) -> Option<VarId>, depth: u32) -> Result<Index, Diagnostic> {
    let place = cursor.place();
    if let Tok::Int(_) = cursor.peek() {
        return Ok(Index::constant(i64::from(cursor.int::<i32>()?)));
    }
    if cursor.at("(") && depth == 0 {
        return Err(Diagnostic::new("too many parentheses inside one another").at(place));
    }
    if cursor.eat("(") {
        let inner = index(cursor, var, depth - 1)?;
        cursor.expect(")")?;
        return Ok(inner);
    }
    let name = cursor.ident("an index")?;
    let unknown = || Diagnostic::new(format!("`{name}` is no loop variable that is visible here")).at(place);
    var(name).map(Index::var).ok_or_else(unknown)
}

fn divisor(cursor: &mut Cursor) -> Result<u32, Diagnostic> {
    match *cursor.peek() {
        Tok::Int(1..=0x7fff_ffff) => cursor.int(),
        _ => Err(cursor.wanted("a divisor from 1 to 2147483647")),
    }
}

/// Refuses numbers so large that sums and products of them could overflow.
fn checked(index: Index, place: Place) -> Result<Index, Diagnostic> {
    let small = |n: i64| n.unsigned_abs() <= LARGEST;
    if small(index.constant) && index.terms.iter().all(|(coefficient, _)| small(*coefficient)) {
        return Ok(index);
    }
    Err(Diagnostic::new(format!("a number of the index is greater than {LARGEST}")).at(place))
}
