//! Splits text into tokens. What they mean is the parsers' business.
//!
//! ```text
//! identifier  conv2d  o.i  i8x4        letter or `_`, then letters, digits, `_`; parts joined by single dots
//! value       %3  %w                   symbol  @kws
//! number      12  0x1f  0.5  1e-9      without sign: `-` is punctuation
//! string      "a \"b\" \\ \n \t"       bytes   hex"00ff 80"   (blanks between bytes are skipped)
//! comment     // to the end of the line
//! ```

use crate::diag::{Diagnostic, Place};

/// Punctuation, longer before shorter where one begins another.
const PUNCTUATION: [&str; 34] = [
    "..", "->", "=>", "==", "!=", "<=", ">=", "<<", ">>", "+=", "(", ")", "{", "}", "[", "]", ",", ":", ";",
    "=", "+", "-", "*", "/", "%", "<", ">", "!", "&", "|", "^", "~", "?", ".",
];

/// One token; text is borrowed from the source.
#[derive(Clone, Debug, PartialEq)]
pub enum Tok<'a> {
    /// A name or keyword, such as `conv2d` or `o.i`.
    Ident(&'a str),
    /// What follows `%`: `3` in `%3`.
    Value(&'a str),
    /// What follows `@`: `f` in `@f`.
    Symbol(&'a str),
    /// A whole number without its sign.
    Int(u64),
    /// A number with a point or an exponent, without its sign, unparsed: its reader knows the precision.
    Float(&'a str),
    /// A string, unescaped.
    Str(String),
    /// The digits between the quotes of `hex"…"`, with their blanks.
    Hex(&'a str),
    /// Punctuation.
    Punct(&'static str),
    /// The end of the text.
    End,
}

impl Tok<'_> {
    /// How a message names the token.
    pub fn describe(&self) -> String {
        match self {
            Tok::Ident(name) => format!("`{name}`"),
            Tok::Value(name) => format!("`%{name}`"),
            Tok::Symbol(name) => format!("`@{name}`"),
            Tok::Int(n) => format!("`{n}`"),
            Tok::Float(text) => format!("`{text}`"),
            Tok::Str(_) => "a string".into(),
            Tok::Hex(_) => "bytes".into(),
            Tok::Punct(p) => format!("`{p}`"),
            Tok::End => "the end of the text".into(),
        }
    }
}

/// A token and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Token<'a> {
    /// The token.
    pub tok: Tok<'a>,
    /// Its first character.
    pub place: Place,
}

/// All tokens of `text`; the last one is [`Tok::End`].
pub fn lex(text: &str) -> Result<Vec<Token<'_>>, Diagnostic> {
    let mut lexer = Lexer { rest: text, place: Place { line: 1, column: 1 } };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks();
        let place = lexer.place;
        let tok = lexer.token()?;
        let end = tok == Tok::End;
        tokens.push(Token { tok, place });
        if end {
            return Ok(tokens);
        }
    }
}

/// The bytes that the digits of a [`Tok::Hex`] stand for; `None` for a half byte.
pub fn hex_bytes(digits: &str) -> Option<Vec<u8>> {
    let nibbles: Vec<u8> = digits.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    let bytes = nibbles.chunks(2).map(|pair| Some(pair[0] << 4 | pair.get(1)?));
    bytes.collect()
}

struct Lexer<'a> {
    rest: &'a str,
    place: Place,
}

impl<'a> Lexer<'a> {
    fn token(&mut self) -> Result<Tok<'a>, Diagnostic> {
        let Some(first) = self.rest.chars().next() else { return Ok(Tok::End) };
        if self.rest.starts_with("hex\"") {
            return self.hex();
        }
        if starts_name(first) {
            let len = dotted_len(self.rest);
            return Ok(Tok::Ident(self.take(len)));
        }
        if first.is_ascii_digit() {
            return self.number();
        }
        match first {
            '"' => self.string(),
            '%' | '@' if name_len(&self.rest[1..]) > 0 => {
                self.take(1);
                let len = dotted_len(self.rest);
                let name = self.take(len);
                Ok(if first == '%' { Tok::Value(name) } else { Tok::Symbol(name) })
            }
            _ => self.punctuation(first),
        }
    }

    fn punctuation(&mut self, first: char) -> Result<Tok<'a>, Diagnostic> {
        match PUNCTUATION.iter().find(|p| self.rest.starts_with(**p)) {
            Some(p) => {
                self.take(p.len());
                Ok(Tok::Punct(p))
            }
            None => Err(self.error(format!("`{first}` begins no token"))),
        }
    }

    fn number(&mut self) -> Result<Tok<'a>, Diagnostic> {
        let place = self.place;
        if let Some(digits) = self.rest.strip_prefix("0x") {
            let text = self.take(2 + name_len(digits));
            let value = u64::from_str_radix(&text[2..], 16);
            return value.map(Tok::Int).map_err(|_| bad_number(text).at(place));
        }
        let len = number_len(self.rest);
        let text = self.take(len + name_len(&self.rest[len..]));
        if text.len() > len {
            return Err(bad_number(text).at(place));
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            let out_of_range =
                |_| Diagnostic::new(format!("`{text}` is greater than {}", u64::MAX)).at(place);
            return text.parse().map(Tok::Int).map_err(out_of_range);
        }
        Ok(Tok::Float(text))
    }

    fn string(&mut self) -> Result<Tok<'a>, Diagnostic> {
        let start = self.place;
        self.take(1);
        let mut value = String::new();
        loop {
            let Some(c) = self.rest.chars().next().filter(|c| *c != '\n') else {
                return Err(Diagnostic::new("the string has no closing `\"` on its line").at(start));
            };
            let place = self.place;
            self.take(c.len_utf8());
            match c {
                '"' => return Ok(Tok::Str(value)),
                '\\' => value.push(self.escape(place)?),
                c => value.push(c),
            }
        }
    }

    /// The character that the escape behind a backslash at `place` stands for.
    fn escape(&mut self, place: Place) -> Result<char, Diagnostic> {
        let wrong = || {
            Diagnostic::new("the escape is not known")
                .at(place)
                .help(r#"known escapes are `\"`, `\\`, `\n`, `\r`, `\t` and `\u{…}`"#)
        };
        let c = self.rest.chars().next().ok_or_else(wrong)?;
        self.take(c.len_utf8());
        Ok(match c {
            '"' | '\\' | '\'' => c,
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '0' => '\0',
            'u' => {
                let digits =
                    self.rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).ok_or_else(wrong)?.0;
                self.take(digits.len() + 2);
                u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).ok_or_else(wrong)?
            }
            _ => return Err(wrong()),
        })
    }

    fn hex(&mut self) -> Result<Tok<'a>, Diagnostic> {
        let start = self.place;
        self.take("hex\"".len());
        let is_part = |c: char| c.is_ascii_hexdigit() || c.is_ascii_whitespace();
        let len = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let digits = self.take(len);
        if self.rest.starts_with('"') {
            self.take(1);
            return Ok(Tok::Hex(digits));
        }
        match self.rest.chars().next() {
            Some(c) => Err(self.error(format!("`{c}` is not a hexadecimal digit"))),
            None => Err(Diagnostic::new("the bytes have no closing `\"`").at(start)),
        }
    }

    fn skip_blanks(&mut self) {
        loop {
            let blanks = self.rest.len() - self.rest.trim_start().len();
            self.take(blanks);
            if !self.rest.starts_with("//") {
                return;
            }
            let comment = self.rest.find('\n').unwrap_or(self.rest.len());
            self.take(comment);
        }
    }

    /// Takes the next `len` bytes, which end at a character boundary.
    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        match taken.rfind('\n') {
            Some(last) => {
                self.place.line += taken.matches('\n').count() as u32;
                self.place.column = taken[last..].chars().count() as u32;
            }
            None => self.place.column += taken.chars().count() as u32,
        }
        taken
    }

    fn error(&self, message: String) -> Diagnostic {
        Diagnostic::new(message).at(self.place)
    }
}

fn bad_number(text: &str) -> Diagnostic {
    Diagnostic::new(format!("`{text}` is not a number"))
}

fn starts_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

/// Bytes of the letters, digits and underscores at the start of `text`.
fn name_len(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len())
}

/// Bytes of the name at the start of `text`, further parts after single dots included.
fn dotted_len(text: &str) -> usize {
    let mut len = name_len(text);
    while let Some(part) = text[len..].strip_prefix('.') {
        match name_len(part) {
            0 => break,
            part_len => len += 1 + part_len,
        }
    }
    len
}

/// Bytes of the number at the start of `text`; the dots of a range `0..8` are no part of it.
fn number_len(text: &str) -> usize {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut len = digits(text);
    if let Some(fraction) = text[len..].strip_prefix('.') {
        match digits(fraction) {
            0 => {}
            fraction_len => len += 1 + fraction_len,
        }
    }
    if let Some(exponent) = text[len..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        match digits(&exponent[sign..]) {
            0 => {}
            exponent_len => len += 1 + sign + exponent_len,
        }
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toks(text: &str) -> Vec<Tok<'_>> {
        lex(text).unwrap().into_iter().map(|token| token.tok).collect()
    }

    #[test]
    fn names_keep_their_dots_and_ranges_keep_theirs() {
        assert_eq!(
            toks("for o.i in 0..32"),
            [
                Tok::Ident("for"),
                Tok::Ident("o.i"),
                Tok::Ident("in"),
                Tok::Int(0),
                Tok::Punct(".."),
                Tok::Int(32),
                Tok::End
            ]
        );
        assert_eq!(toks("a..b"), [Tok::Ident("a"), Tok::Punct(".."), Tok::Ident("b"), Tok::End]);
    }

    #[test]
    fn values_symbols_and_remainders() {
        assert_eq!(
            toks("%3 @f i % 3"),
            [Tok::Value("3"), Tok::Symbol("f"), Tok::Ident("i"), Tok::Punct("%"), Tok::Int(3), Tok::End]
        );
    }

    #[test]
    fn numbers() {
        assert_eq!(
            toks("0x1F 1.5e-9 2e3 -7"),
            [Tok::Int(31), Tok::Float("1.5e-9"), Tok::Float("2e3"), Tok::Punct("-"), Tok::Int(7), Tok::End]
        );
        for bad in ["12ab", "0x", "0xg", "18446744073709551616"] {
            assert!(lex(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn strings_and_bytes() {
        assert_eq!(toks(r#""a \"\\\n\u{e9}""#), [Tok::Str("a \"\\\né".into()), Tok::End]);
        assert_eq!(toks("hex\"00ff\n 80\""), [Tok::Hex("00ff\n 80"), Tok::End]);
        assert_eq!(hex_bytes("00ff\n 80"), Some(vec![0, 255, 128]));
        assert_eq!(hex_bytes("00f"), None);
        for bad in ["\"open", "\"\\q\"", "\"\\u{d800}\"", "hex\"0", "hex\"0g\""] {
            assert!(lex(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn places_count_characters_across_lines_and_comments() {
        let error = lex("é x // rest\n  $").unwrap_err();
        assert_eq!(error.to_string(), "error: `$` begins no token\n --> 2:3");
        let places: Vec<_> =
            lex("é x // c\n\n  y").unwrap().iter().map(|t| (t.place.line, t.place.column)).collect();
        assert_eq!(places, [(1, 1), (1, 3), (3, 3), (3, 4)]);
    }
}
