//! Attributes: the part of an operator that stands in braces, `{stride = [1, 1], clamp = [-128, 127]}`.
//!
//! An operator is a plain struct; [`attributes!`](crate::attributes) derives its text from its fields.

use std::fmt;

use crate::diag::{Diagnostic, Place};

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attr {
    /// A whole number.
    Int(i64),
    /// A number in single precision.
    Float(f32),
    /// `true` or `false`.
    Bool(bool),
    /// Values between brackets.
    List(Vec<Attr>),
}

impl fmt::Display for Attr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attr::Int(n) => write!(f, "{n}"),
            Attr::Float(x) => write!(f, "{x:?}"), // The shortest text that reads back as the same number.
            Attr::Bool(b) => write!(f, "{b}"),
            Attr::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
        }
    }
}

/// A field type of operators that has a text form.
pub trait AttrValue: Sized {
    /// The value as text has it.
    fn to_attr(&self) -> Attr;
    /// The value that `attr` stands for, if it fits.
    fn from_attr(attr: &Attr) -> Option<Self>;
    /// What [`AttrValue::from_attr`] accepts, for messages.
    fn wanted() -> String;
}

macro_rules! whole_numbers {
    ($($ty:ty),*) => {$(
        impl AttrValue for $ty {
            fn to_attr(&self) -> Attr {
                Attr::Int(*self as i64)
            }
            fn from_attr(attr: &Attr) -> Option<Self> {
                match attr {
                    Attr::Int(n) => Self::try_from(*n).ok(),
                    _ => None,
                }
            }
            fn wanted() -> String {
                match Self::MIN {
                    0 => "a whole number from 0".into(),
                    min => format!("a whole number from {min} to {}", Self::MAX),
                }
            }
        }
    )*};
}
whole_numbers!(usize, i8, i32);

impl AttrValue for f32 {
    fn to_attr(&self) -> Attr {
        Attr::Float(*self)
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        match attr {
            Attr::Float(x) => Some(*x),
            Attr::Int(n) => Some(*n as f32),
            _ => None,
        }
    }
    fn wanted() -> String {
        "a number".into()
    }
}

impl AttrValue for bool {
    fn to_attr(&self) -> Attr {
        Attr::Bool(*self)
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        match attr {
            Attr::Bool(b) => Some(*b),
            _ => None,
        }
    }
    fn wanted() -> String {
        "`true` or `false`".into()
    }
}

impl<T: AttrValue> AttrValue for Vec<T> {
    fn to_attr(&self) -> Attr {
        Attr::List(self.iter().map(T::to_attr).collect())
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        match attr {
            Attr::List(items) => items.iter().map(T::from_attr).collect(),
            _ => None,
        }
    }
    fn wanted() -> String {
        format!("a list, each item {}", T::wanted())
    }
}

impl<T: AttrValue, const N: usize> AttrValue for [T; N] {
    fn to_attr(&self) -> Attr {
        Attr::List(self.iter().map(T::to_attr).collect())
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        Vec::from_attr(attr)?.try_into().ok()
    }
    fn wanted() -> String {
        format!("a list of {N}, each item {}", T::wanted())
    }
}

/// Attributes as read from text, taken one by one by the operator that they belong to.
pub struct AttrReader {
    op: &'static str,
    place: Place,
    items: Vec<(String, Place, Attr)>,
}

impl AttrReader {
    /// The attributes `items` of operator `op`, whose name stands at `place`.
    pub fn new(op: &'static str, place: Place, items: Vec<(String, Place, Attr)>) -> Self {
        Self { op, place, items }
    }

    /// Takes the attribute `name`.
    pub fn take<T: AttrValue>(&mut self, name: &str) -> Result<T, Diagnostic> {
        let Some(idx) = self.items.iter().position(|item| item.0 == name) else {
            return Err(Diagnostic::new(format!("`{}` has no attribute `{name}`", self.op))
                .at(self.place)
                .help(format!("`{name}` is {}", T::wanted())));
        };
        let (_, place, attr) = self.items.remove(idx);
        T::from_attr(&attr)
            .ok_or_else(|| Diagnostic::new(format!("`{name}` is {attr}, expected {}", T::wanted())).at(place))
    }

    /// The error that an attribute is left over, unknown or given twice.
    pub fn finish(self) -> Result<(), Diagnostic> {
        match self.items.first() {
            None => Ok(()),
            Some((name, place, _)) => Err(Diagnostic::new(format!(
                "`{name}` is not an attribute of `{}`, or stands twice",
                self.op
            ))
            .at(*place)),
        }
    }
}

/// What [`attributes!`](crate::attributes) derives.
pub trait Attributes: Sized {
    /// Name and value of each attribute, in the order of the fields.
    fn attrs(&self) -> Vec<(&'static str, Attr)>;
    /// The operator with the attributes read.
    fn from_attrs(reader: &mut AttrReader) -> Result<Self, Diagnostic>;
}

/// Derives [`Attributes`] for an operator from the list of its fields; a field left out does not compile.
#[macro_export]
macro_rules! attributes {
    ($Op:ident { $($field:ident),* $(,)? }) => {
        impl $crate::graph::attr::Attributes for $Op {
            fn attrs(&self) -> Vec<(&'static str, $crate::graph::attr::Attr)> {
                let Self { $($field),* } = self;
                vec![$((stringify!($field), $crate::graph::attr::AttrValue::to_attr($field))),*]
            }
            fn from_attrs(
                reader: &mut $crate::graph::attr::AttrReader,
            ) -> Result<Self, $crate::diag::Diagnostic> {
                let _ = &reader; // An operator without attributes reads none.
                Ok(Self { $($field: reader.take(stringify!($field))?),* })
            }
        }
    };
}
