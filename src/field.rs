//! Fields of configurations: names, rules and descriptions, stated once for checks, files, help
//! texts and error messages.
//!
//! In: a configuration whose type implements [`Fields`]. Out: its values as text, values set from
//! text, and an [`Error`] that names the field where a value breaks its rule. A description names
//! other fields in backticks.

use crate::error::{Error, Result};

/// A configuration with a table of its fields.
pub trait Fields: Default + Clone + 'static {
    /// The heading of the fields in help texts.
    const TITLE: &'static str;

    /// One row for each field, in the order of help texts. A row that sets several fields comes
    /// before the rows of these fields.
    const FIELDS: &'static [Field<Self>];

    /// The values that help texts show as defaults.
    fn defaults() -> Self {
        Self::default()
    }

    /// The row with this name or alias.
    fn field(name: &str) -> Option<&'static Field<Self>> {
        Self::FIELDS
            .iter()
            .find(|row| row.name == name || row.aliases.contains(&name))
    }

    /// Checks the rule of every field.
    ///
    /// # Errors
    /// For the first field, in the order of the table, whose value breaks its rule.
    fn check_rules(&self) -> Result<()> {
        Self::FIELDS.iter().try_for_each(|row| row.check_rule(self))
    }
}

/// A row of a table of fields.
#[derive(Debug)]
pub struct Field<T: 'static> {
    /// The name in files. The flag is the same with dashes.
    pub name: &'static str,
    /// Other names of the field, used in the configuration that is saved and in errors.
    pub aliases: &'static [&'static str],
    /// Stands for the value in help texts; empty for the name in capitals.
    pub placeholder: &'static str,
    /// What the field does.
    pub description: &'static str,
    /// The heading in help texts; empty for the table's.
    pub heading: &'static str,
    /// What the default is, where it depends on other fields; empty for the value in
    /// `T::default()`.
    pub default: &'static str,
    /// What values must satisfy.
    pub rule: Rule,
    /// What to do about a value that breaks the rule.
    pub hint: &'static str,
    /// When the field has an effect; `None` for always.
    pub condition: Option<Condition<T>>,
    /// Fields that make this one void when they come from a source of higher priority: a
    /// `schedule` on the command line voids the `lr_decay` of a file, which was meant for another.
    pub voided_by: &'static [&'static str],
    /// Reads and writes the field.
    pub access: Access<T>,
}

/// Reads and writes one field of a configuration as text.
#[derive(Debug, Clone, Copy)]
pub struct Access<T: 'static> {
    /// The kind of the field's values.
    pub kind: fn(&T) -> Kind,
    /// The value; `None` where it is unset, or is set through other fields.
    pub get: fn(&T) -> Option<String>,
    /// Sets the value, or says why the text is none.
    pub set: fn(&mut T, &str) -> std::result::Result<(), String>,
}

/// When a field has an effect.
#[derive(Debug, Clone, Copy)]
pub struct Condition<T: 'static> {
    /// Whether it has.
    pub holds: fn(&T) -> bool,
    /// The field that decides.
    pub field: &'static str,
    /// The condition in words.
    pub rule: &'static str,
    /// What to do where it does not hold.
    pub hint: &'static str,
}

/// A name and a description.
pub type Row = (&'static str, &'static str);

/// What values a field takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Switch,
    /// An integer of at least 0.
    Integer,
    /// A number.
    Number,
    /// Any text.
    Text,
    /// Integers with commas between them.
    List,
    /// One of these names.
    Choice(Vec<Row>),
}

/// What a field's value must satisfy beyond its kind.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// Nothing.
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
    Registered(fn() -> Vec<Row>),
}

impl Rule {
    /// Whether a value, as text, satisfies the rule. Of a list, every element must.
    fn accepts(self, text: &str) -> bool {
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

    /// The rule in words.
    fn text(self) -> String {
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

    /// What to do, where the field has no hint.
    fn hint(self) -> String {
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

impl<T> Field<T> {
    /// A row without rule, condition or heading.
    pub const fn new(
        name: &'static str,
        placeholder: &'static str,
        access: Access<T>,
        description: &'static str,
    ) -> Self {
        Self {
            name,
            aliases: &[],
            placeholder,
            description,
            heading: "",
            default: "",
            rule: Rule::Any,
            hint: "",
            condition: None,
            voided_by: &[],
            access,
        }
    }

    /// The row with this rule, and what to do about values that break it; an empty hint is derived
    /// from the rule.
    pub const fn rule(mut self, rule: Rule, hint: &'static str) -> Self {
        self.rule = rule;
        self.hint = hint;
        self
    }

    /// The row with these other names.
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// The row with this description of its default.
    pub const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    /// The row under this heading.
    pub const fn heading(mut self, heading: &'static str) -> Self {
        self.heading = heading;
        self
    }

    /// The row with this condition.
    pub const fn condition(mut self, condition: Condition<T>) -> Self {
        self.condition = Some(condition);
        self
    }

    /// The row, made void by these fields.
    pub const fn voided_by(mut self, fields: &'static [&'static str]) -> Self {
        self.voided_by = fields;
        self
    }

    /// The value; `None` where it is unset, or is set through other fields.
    pub fn get(&self, target: &T) -> Option<String> {
        (self.access.get)(target)
    }

    /// Sets the value.
    ///
    /// # Errors
    /// If the text is no value of the field's kind; the error says why.
    pub fn set(&self, target: &mut T, text: &str) -> std::result::Result<(), String> {
        (self.access.set)(target, text)
    }

    /// Whether the field has an effect.
    pub fn has_effect(&self, target: &T) -> bool {
        self.condition
            .as_ref()
            .is_none_or(|condition| (condition.holds)(target))
    }

    /// Checks the field's rule; an unset field satisfies it.
    ///
    /// # Errors
    /// If the value breaks it.
    pub fn check_rule(&self, target: &T) -> Result<()> {
        match self.get(target) {
            Some(value) if !self.rule.accepts(&value) => {
                let hint = match self.hint {
                    "" => self.rule.hint(),
                    hint => hint.to_owned(),
                };
                Err(Error::config(self.name, value, self.rule.text(), hint))
            }
            _ => Ok(()),
        }
    }
}

impl<T: Fields> Field<T> {
    /// The kind of the field's values.
    pub fn kind(&self) -> Kind {
        (self.access.kind)(&T::default())
    }

    /// Checks that the field has an effect.
    ///
    /// # Errors
    /// If its condition does not hold.
    pub fn check_effect(&self, target: &T) -> Result<()> {
        match &self.condition {
            Some(condition) if !(condition.holds)(target) => {
                let value = self.get(target).unwrap_or_default();
                let other = T::field(condition.field)
                    .and_then(|field| field.get(target).or_else(|| field.get(&T::defaults())));
                let value = match other {
                    Some(other) => format!("{value} with `{} = {other}`", condition.field),
                    None => format!("{value} without `{}`", condition.field),
                };
                Err(Error::config(
                    self.name,
                    value.trim_start(),
                    condition.rule,
                    condition.hint,
                ))
            }
            _ => Ok(()),
        }
    }
}

/// A type of values that fields have.
pub trait FieldValue: Sized {
    /// The kind of values.
    fn kind() -> Kind;

    /// Parses a value.
    ///
    /// # Errors
    /// If the text is none; the error says why.
    fn from_text(text: &str) -> std::result::Result<Self, String>;

    /// The value as text; `None` where it is unset.
    fn to_text(&self) -> Option<String>;
}

macro_rules! plain_values {
    ($($type:ty: $kind:ident),*) => {
        $(impl FieldValue for $type {
            fn kind() -> Kind {
                Kind::$kind
            }

            fn from_text(text: &str) -> std::result::Result<Self, String> {
                text.parse().map_err(|error: <Self as std::str::FromStr>::Err| error.to_string())
            }

            fn to_text(&self) -> Option<String> {
                Some(self.to_string())
            }
        })*
    };
}

plain_values!(usize: Integer, u32: Integer, u64: Integer, f32: Number, f64: Number);
plain_values!(bool: Switch, String: Text);

impl<V: FieldValue> FieldValue for Option<V> {
    fn kind() -> Kind {
        V::kind()
    }

    fn from_text(text: &str) -> std::result::Result<Self, String> {
        V::from_text(text).map(Some)
    }

    fn to_text(&self) -> Option<String> {
        self.as_ref().and_then(V::to_text)
    }
}

/// An empty list is unset.
impl FieldValue for Vec<usize> {
    fn kind() -> Kind {
        Kind::List
    }

    fn from_text(text: &str) -> std::result::Result<Self, String> {
        text.split(',').map(usize::from_text).collect()
    }

    fn to_text(&self) -> Option<String> {
        let texts: Vec<_> = self.iter().map(usize::to_string).collect();
        (!texts.is_empty()).then(|| texts.join(","))
    }
}

/// The kind of a value's type.
pub(crate) fn kind_of<V: FieldValue>(_: &V) -> Kind {
    V::kind()
}

/// Sets a field from text.
pub(crate) fn set<V: FieldValue>(field: &mut V, text: &str) -> std::result::Result<(), String> {
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

/// An enumeration whose values have names.
pub trait Choice: Copy + PartialEq + 'static {
    /// Every value.
    const ALL: &'static [Self];

    /// The name in flags and files.
    fn name(self) -> &'static str;

    /// What it is.
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
                fn kind() -> $crate::field::Kind {
                    $crate::field::Kind::Choice($crate::field::rows::<Self>())
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
pub(crate) fn rows<C: Choice>() -> Vec<Row> {
    let row = |&value: &C| (value.name(), value.description());
    C::ALL.iter().map(row).collect()
}

/// The value with this name.
pub(crate) fn named<C: Choice>(name: &str) -> std::result::Result<C, String> {
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
