//! Tables of the fields of configurations: names, rules and descriptions, defined once for checks,
//! files, help texts and error messages.
//!
//! In: a configuration whose type implements [`Fields`]. Out: its values as text, values set from
//! text, and an [`Error`] that names the field where a value breaks its rule. A description names
//! other fields in backticks.

mod choice;
mod rule;
mod value;

pub use choice::Choice;
pub(crate) use choice::{choices, named, rows, sentence};
pub use rule::Rule;
pub use value::{FieldValue, NamedRow, ValueKind};
pub(crate) use value::{access, kind_of, set};

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
    /// The placeholder of the value in help texts; empty for the name in capitals.
    pub placeholder: &'static str,
    /// What the field does.
    pub description: &'static str,
    /// The heading in help texts; empty for the table's.
    pub heading: &'static str,
    /// The default in words, where it depends on other fields; empty for the value in
    /// [`Fields::defaults`].
    pub default: &'static str,
    /// The rule that values must satisfy.
    pub rule: Rule,
    /// What to do about an invalid value; empty for a hint derived from the rule.
    pub hint: &'static str,
    /// When the field has an effect; `None` for always.
    pub condition: Option<Condition<T>>,
    /// Fields that make this one void when they are given with higher priority. For example, a
    /// `schedule` on the command line voids the `lr_decay` in a file, which belongs to the schedule
    /// in that file.
    pub voided_by: &'static [&'static str],
    /// Reads and writes the field.
    pub access: Access<T>,
}

/// Reads and writes one field of a configuration as text.
#[derive(Debug, Clone, Copy)]
pub struct Access<T: 'static> {
    /// The kind of the field's values.
    pub kind: fn(&T) -> ValueKind,
    /// The value; `None` where it is unset, or is set through other fields.
    pub get: fn(&T) -> Option<String>,
    /// Sets the value. The error says why the text is not a valid value.
    pub set: fn(&mut T, &str) -> std::result::Result<(), String>,
}

/// When a field has an effect.
#[derive(Debug, Clone, Copy)]
pub struct Condition<T: 'static> {
    /// Whether the field has an effect.
    pub holds: fn(&T) -> bool,
    /// The field that decides.
    pub field: &'static str,
    /// The condition in words, for messages.
    pub rule: &'static str,
    /// What to do if the condition does not hold.
    pub hint: &'static str,
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
    /// If the text is not a valid value; the error says why.
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
    pub fn kind(&self) -> ValueKind {
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
