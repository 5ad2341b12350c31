//! What the text forms of both levels share: splitting text into tokens, and reading them one by one.

pub mod cases;
pub mod cursor;
pub mod lexer;

pub use cursor::Cursor;
pub use lexer::{Tok, Token, lex};
