//! Values of fields as text.

use std::ops::RangeInclusive;

/// The name and the description of a value, such as a row of a registry.
pub type NamedRow = (&'static str, &'static str);

/// The kind of values that a field takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueKind {
    /// `true` or `false`.
    Switch,
    /// An integer of at least 0.
    Integer,
    /// A number.
    Number,
    /// Any text.
    Text,
    /// Comma-separated integers.
    List,
    /// One of these names.
    Choice(Vec<NamedRow>),
}

/// A type of field values.
pub trait FieldValue: Sized {
    /// The kind of values.
    fn kind() -> ValueKind;

    /// Parses a value.
    ///
    /// # Errors
    /// If the text is not a valid value; the error says why.
    fn from_text(text: &str) -> Result<Self, String>;

    /// The value as text; `None` where it is unset.
    fn to_text(&self) -> Option<String>;
}

macro_rules! plain_values {
    ($($type:ty: $kind:ident),*) => {
        $(impl FieldValue for $type {
            fn kind() -> ValueKind {
                ValueKind::$kind
            }

            fn from_text(text: &str) -> Result<Self, String> {
                text.parse().map_err(|error: <Self as std::str::FromStr>::Err| error.to_string())
            }

            fn to_text(&self) -> Option<String> {
                Some(self.to_string())
            }
        })*
    };
}

plain_values!(usize: Integer, u32: Integer, u64: Integer);
plain_values!(bool: Switch, String: Text);

macro_rules! number_values {
    ($($type:ty: $bits:literal),*) => {
        $(impl FieldValue for $type {
            fn kind() -> ValueKind {
                ValueKind::Number
            }

            fn from_text(text: &str) -> Result<Self, String> {
                let value: Self = text
                    .parse()
                    .map_err(|error: std::num::ParseFloatError| error.to_string())?;
                check_range(text, value.is_infinite(), value == 0.0, $bits)?;
                Ok(value)
            }

            fn to_text(&self) -> Option<String> {
                Some(self.to_string())
            }
        })*
    };
}

number_values!(f32: 32, f64: 64);

/// Checks that a number does not become infinite or 0 because it is too large or too small for its
/// type.
fn check_range(text: &str, is_infinite: bool, is_zero: bool, bits: u32) -> Result<(), String> {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let has = |digits: RangeInclusive<char>| mantissa.chars().any(|one| digits.contains(&one));
    if is_infinite && has('0'..='9') {
        return Err(format!("it is too large for a number of {bits} bits"));
    }
    if is_zero && has('1'..='9') {
        return Err(format!("it is too close to 0 for a number of {bits} bits"));
    }
    Ok(())
}

impl<V: FieldValue> FieldValue for Option<V> {
    fn kind() -> ValueKind {
        V::kind()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        V::from_text(text).map(Some)
    }

    fn to_text(&self) -> Option<String> {
        self.as_ref().and_then(V::to_text)
    }
}

/// An empty list is unset.
impl FieldValue for Vec<usize> {
    fn kind() -> ValueKind {
        ValueKind::List
    }

    fn from_text(text: &str) -> Result<Self, String> {
        text.split(',').map(usize::from_text).collect()
    }

    fn to_text(&self) -> Option<String> {
        let texts: Vec<_> = self.iter().map(usize::to_string).collect();
        (!texts.is_empty()).then(|| texts.join(","))
    }
}

/// The kind of a value's type.
pub(crate) fn kind_of<V: FieldValue>(_: &V) -> ValueKind {
    V::kind()
}

/// Sets a field from text.
pub(crate) fn set<V: FieldValue>(field: &mut V, text: &str) -> Result<(), String> {
    *field = V::from_text(text)?;
    Ok(())
}

/// The [`Access`] to a field given by its path: `access!(dropout.words)`.
macro_rules! access {
    ($($path:ident).+) => {
        $crate::field::Access {
            kind: |target| $crate::field::kind_of(&target.$($path).+),
            get: |target| $crate::field::FieldValue::to_text(&target.$($path).+),
            set: |target, text| $crate::field::set(&mut target.$($path).+, text),
        }
    };
}
pub(crate) use access;
