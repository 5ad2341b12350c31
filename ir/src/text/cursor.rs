//! Reads tokens one by one: what both parsers do before they know what they read.

use std::fmt::Display;

use super::lexer::{Tok, Token, hex_bytes, lex};
use crate::diag::{Diagnostic, Place};

/// A position among the tokens of a text.
///
/// Methods that take a token and find another say what they wanted, and where.
pub struct Cursor<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The first token of `text`.
    pub fn new(text: &'a str) -> Result<Self, Diagnostic> {
        Ok(Self { tokens: lex(text)?, at: 0 })
    }

    /// The next token.
    pub fn peek(&self) -> &Tok<'a> {
        &self.tokens[self.at].tok
    }

    /// The token `ahead` places after the next one.
    pub fn peek_at(&self, ahead: usize) -> &Tok<'a> {
        &self.tokens[(self.at + ahead).min(self.tokens.len() - 1)].tok
    }

    /// Where the next token begins.
    pub fn place(&self) -> Place {
        self.tokens[self.at].place
    }

    /// Takes the next token; the end of the text can be taken any number of times.
    pub fn bump(&mut self) -> Tok<'a> {
        let tok = self.tokens[self.at].tok.clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        tok
    }

    /// Whether the next token is the punctuation `p`.
    pub fn at(&self, p: &str) -> bool {
        matches!(self.peek(), Tok::Punct(found) if *found == p)
    }

    /// Takes the punctuation `p` if it comes next.
    pub fn eat(&mut self, p: &str) -> bool {
        let found = self.at(p);
        if found {
            self.bump();
        }
        found
    }

    /// Takes the punctuation `p`.
    pub fn expect(&mut self, p: &str) -> Result<(), Diagnostic> {
        if self.eat(p) { Ok(()) } else { Err(self.wanted(format!("`{p}`"))) }
    }

    /// Whether the next token is the word `word`.
    pub fn at_word(&self, word: &str) -> bool {
        matches!(self.peek(), Tok::Ident(found) if *found == word)
    }

    /// Takes the word `word` if it comes next.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.bump();
        }
        found
    }

    /// Takes the word `word`.
    pub fn expect_word(&mut self, word: &str) -> Result<(), Diagnostic> {
        if self.eat_word(word) { Ok(()) } else { Err(self.wanted(format!("`{word}`"))) }
    }

    /// Takes an identifier; `what` names it in the message.
    pub fn ident(&mut self, what: &str) -> Result<&'a str, Diagnostic> {
        match *self.peek() {
            Tok::Ident(name) => {
                self.bump();
                Ok(name)
            }
            _ => Err(self.wanted(what)),
        }
    }

    /// Takes a value `%name` and gives its name.
    pub fn value(&mut self) -> Result<&'a str, Diagnostic> {
        match *self.peek() {
            Tok::Value(name) => {
                self.bump();
                Ok(name)
            }
            _ => Err(self.wanted("a value such as `%0`")),
        }
    }

    /// Takes a symbol `@name` and gives its name.
    pub fn symbol(&mut self) -> Result<&'a str, Diagnostic> {
        match *self.peek() {
            Tok::Symbol(name) => {
                self.bump();
                Ok(name)
            }
            _ => Err(self.wanted("a name such as `@f`")),
        }
    }

    /// Takes a whole number with an optional minus, if it fits `T`.
    pub fn int<T: TryFrom<i128>>(&mut self) -> Result<T, Diagnostic> {
        let place = self.place();
        let negative = self.eat("-");
        let Tok::Int(magnitude) = *self.peek() else { return Err(self.wanted("a whole number")) };
        self.bump();
        let value = if negative { -i128::from(magnitude) } else { i128::from(magnitude) };
        T::try_from(value).map_err(|_| Diagnostic::new(format!("{value} is out of range here")).at(place))
    }

    /// Takes a number with an optional minus in single precision; a whole number is one too.
    pub fn f32(&mut self) -> Result<f32, Diagnostic> {
        self.float().map(|(negative, value): (bool, f32)| if negative { -value } else { value })
    }

    /// Takes a number with an optional minus in double precision; a whole number is one too.
    pub fn f64(&mut self) -> Result<f64, Diagnostic> {
        self.float().map(|(negative, value): (bool, f64)| if negative { -value } else { value })
    }

    /// Takes a string.
    pub fn string(&mut self) -> Result<String, Diagnostic> {
        match self.peek() {
            Tok::Str(_) => match self.bump() {
                Tok::Str(text) => Ok(text),
                _ => unreachable!("the token was just looked at"),
            },
            _ => Err(self.wanted("a string")),
        }
    }

    /// Takes `hex"…"` and gives its bytes.
    pub fn hex(&mut self) -> Result<Vec<u8>, Diagnostic> {
        let Tok::Hex(digits) = *self.peek() else { return Err(self.wanted("bytes such as `hex\"00ff\"`")) };
        let place = self.place();
        self.bump();
        hex_bytes(digits)
            .ok_or_else(|| Diagnostic::new("the last byte has one digit, expected two").at(place))
    }

    /// Takes `item`s between `open` and `close`, separated by commas; one may stand behind the last.
    pub fn list<T>(
        &mut self,
        open: &str,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Result<T, Diagnostic>,
    ) -> Result<Vec<T>, Diagnostic> {
        self.expect(open)?;
        let mut items = Vec::new();
        while !self.eat(close) {
            items.push(item(self)?);
            if !self.at(close) && !self.eat(",") {
                return Err(self.wanted(format!("`,` or `{close}`")));
            }
        }
        Ok(items)
    }

    /// The error that something else than the next token was wanted.
    pub fn wanted(&self, what: impl Display) -> Diagnostic {
        Diagnostic::new(format!("expected {what}, found {}", self.peek().describe())).at(self.place())
    }

    fn float<T: std::str::FromStr>(&mut self) -> Result<(bool, T), Diagnostic> {
        let negative = self.eat("-");
        let text = match *self.peek() {
            Tok::Float(text) => text.to_string(),
            Tok::Int(n) => n.to_string(),
            Tok::Ident(name @ ("inf" | "nan")) => name.to_string(),
            _ => return Err(self.wanted("a number")),
        };
        let value = text.parse().map_err(|_| self.wanted("a number"))?;
        self.bump();
        Ok((negative, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_checked_against_the_type_wanted() {
        let mut cursor = Cursor::new("-128 -129 -9223372036854775808").unwrap();
        assert_eq!(cursor.int::<i8>().unwrap(), -128);
        assert_eq!(cursor.int::<i8>().unwrap_err().to_string(), "error: -129 is out of range here\n --> 1:6");
        assert_eq!(cursor.int::<i64>().unwrap(), i64::MIN);
    }

    #[test]
    fn lists_end_with_or_without_a_comma() {
        let read = |text| Cursor::new(text).unwrap().list("[", "]", |c| c.int::<u8>());
        assert_eq!(read("[1, 2]").unwrap(), [1, 2]);
        assert_eq!(read("[1, 2,]").unwrap(), [1, 2]);
        assert_eq!(read("[]").unwrap(), []);
        assert_eq!(read("[1 2]").unwrap_err().to_string(), "error: expected `,` or `]`, found `2`\n --> 1:4");
        assert!(read("[1").is_err());
    }

    #[test]
    fn floats_are_read_in_the_precision_asked_for() {
        let mut cursor = Cursor::new("-0.58470289 3").unwrap();
        assert_eq!(cursor.f32().unwrap(), -0.584_702_9);
        assert_eq!(cursor.f64().unwrap(), 3.0);
    }
}
