//! Enumerations whose values have names and descriptions.

use super::value::NamedRow;

/// An enumeration whose values have names.
pub trait Choice: Copy + PartialEq + 'static {
    /// Every value.
    const ALL: &'static [Self];

    /// The name in flags and files.
    fn name(self) -> &'static str;

    /// The description in help texts.
    fn description(self) -> &'static str;
}

/// Defines enumerations with their names; the documentation of a variant, without the last full
/// stop, is its description.
macro_rules! choices {
    ($(
        $(#[$meta:meta])*
        $vis:vis enum $type:ident {
            $(
                $(#[doc = $doc:literal])+
                $(#[default $($default:tt)*])?
                $variant:ident = $name:literal
            ),+ $(,)?
        }
    )+) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            $vis enum $type {
                $(
                    $(#[doc = $doc])+
                    $(#[default $($default)*])?
                    $variant
                ),+
            }

            impl $crate::field::Choice for $type {
                const ALL: &'static [Self] = &[$(Self::$variant),+];

                fn name(self) -> &'static str {
                    match self {
                        $(Self::$variant => $name),+
                    }
                }

                fn description(self) -> &'static str {
                    match self {
                        $(Self::$variant => $crate::field::sentence(concat!($($doc),+))),+
                    }
                }
            }

            impl $crate::field::FieldValue for $type {
                fn kind() -> $crate::field::ValueKind {
                    $crate::field::ValueKind::Choice($crate::field::rows::<Self>())
                }

                fn from_text(text: &str) -> std::result::Result<Self, String> {
                    $crate::field::named(text)
                }

                fn to_text(&self) -> Option<String> {
                    Some($crate::field::Choice::name(*self).to_owned())
                }
            }
        )+
    };
}
pub(crate) use choices;

/// The names and descriptions of a choice's values.
pub(crate) fn rows<C: Choice>() -> Vec<NamedRow> {
    let row = |&value: &C| (value.name(), value.description());
    C::ALL.iter().map(row).collect()
}

/// The value with this name.
pub(crate) fn named<C: Choice>(name: &str) -> Result<C, String> {
    let found = C::ALL.iter().find(|value| value.name() == name);
    found.copied().ok_or_else(|| {
        let names: Vec<_> = C::ALL.iter().map(|value| value.name()).collect();
        format!("it is none of {}", names.join(", "))
    })
}

/// A text without the spaces around it and the full stop behind it.
pub(crate) fn sentence(text: &'static str) -> &'static str {
    let text = text.trim();
    text.strip_suffix('.').unwrap_or(text)
}
