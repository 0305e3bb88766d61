//! Rules of fields.

use super::value::NamedRow;

/// A rule that the values of a field must satisfy.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// Every value is valid.
    Any,
    /// Finite.
    Finite,
    /// Finite and at least 0.
    NonNegative,
    /// Finite and above 0.
    Positive,
    /// Above 0 and below 1.
    Fraction,
    /// At least 0 and below 1.
    Probability,
    /// At least this.
    AtLeast(usize),
    /// Between these, both included.
    Between(usize, usize),
    /// The name of a row of a registry.
    Registered(fn() -> Vec<NamedRow>),
}

impl Rule {
    /// Whether a value, as text, satisfies the rule. Of a list, every element must.
    pub(super) fn accepts(self, text: &str) -> bool {
        let all = |accepts: &dyn Fn(f64) -> bool| {
            text.split(',')
                .all(|one| one.parse().is_ok_and(|number: f64| accepts(number)))
        };
        match self {
            Self::Any => true,
            Self::Finite => all(&f64::is_finite),
            Self::NonNegative => all(&|number| number.is_finite() && number >= 0.0),
            Self::Positive => all(&|number| number.is_finite() && number > 0.0),
            Self::Fraction => all(&|number| number > 0.0 && number < 1.0),
            Self::Probability => all(&|number| (0.0..1.0).contains(&number)),
            Self::AtLeast(least) => all(&|number| number.is_finite() && number >= least as f64),
            Self::Between(least, most) => {
                all(&|number| (least as f64..=most as f64).contains(&number))
            }
            Self::Registered(rows) => rows().iter().any(|(name, _)| *name == text),
        }
    }

    /// The rule in words, for messages.
    pub(super) fn text(self) -> String {
        match self {
            Self::Any => "any value is valid".into(),
            Self::Finite => "it must be a finite number".into(),
            Self::NonNegative => "it must be a number of at least 0".into(),
            Self::Positive => "it must be a positive number".into(),
            Self::Fraction => "it must be between 0 and 1".into(),
            Self::Probability => "it must be at least 0 and below 1".into(),
            Self::AtLeast(least) => format!("it must be at least {least}"),
            Self::Between(least, most) => format!("it must be from {least} to {most}"),
            Self::Registered(_) => "the name is unknown".into(),
        }
    }

    /// What to do about an invalid value, where the field has no hint.
    pub(super) fn hint(self) -> String {
        match self {
            Self::AtLeast(least) => format!("Use {least} or more"),
            Self::Registered(rows) => {
                let names: Vec<_> = rows().iter().map(|(name, _)| *name).collect();
                format!("It is one of: {}", names.join(", "))
            }
            _ => "Use another value".into(),
        }
    }
}
