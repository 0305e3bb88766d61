//! Flags that come from a table of fields: each row is a flag, with its name, value, default,
//! possible values and help text.

use std::ffi::OsString;

use clap::builder::{PossibleValue, PossibleValuesParser, Resettable, Str, ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};

use super::message::{flag_name, with_field_flags};
use super::quoted;
use crate::error::{Error, Result};
use crate::field::{Field, Fields, Rule, ValueKind};

/// A flag without its dashes, and its value.
pub(super) type Flag = (String, OsString);

/// A flag as a user writes it in a shell.
pub(super) fn flag_line((name, value): &Flag) -> String {
    format!("--{name} {}", quoted(value.as_ref()))
}

/// The flags that set a configuration: those of all fields that are set and have an effect.
pub(super) fn flags_of<T: Fields>(configuration: &T) -> impl Iterator<Item = Flag> {
    T::FIELDS.iter().filter_map(|field| {
        let value = field
            .get(configuration)
            .filter(|_| field.has_effect(configuration))?;
        Some((flag_name(field.name), value.into()))
    })
}

/// The fields of a table that are given on the command line, in the order of the table.
#[derive(Debug, Clone)]
pub(super) struct GivenFields<T: Fields>(Vec<(&'static Field<T>, String)>);

impl<T: Fields> GivenFields<T> {
    /// The names of the fields.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(field, _)| field.name)
    }

    /// The value of a field, as given.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let given = self.0.iter().find(|(field, _)| field.name == name);
        given.map(|(_, value)| value.as_str())
    }

    /// The default configuration with the given values.
    ///
    /// # Errors
    /// If a value is invalid, or has no effect.
    pub(super) fn resolve(&self) -> Result<T> {
        let mut configuration = T::default();
        for (field, value) in &self.0 {
            field
                .set(&mut configuration, value)
                .map_err(|rule| Error::config(field.name, value, rule, "Use another value"))?;
        }
        configuration
            .check_rules()
            .map_err(|error| self.as_given(error))?;
        for (field, _) in &self.0 {
            field.check_effect(&configuration)?;
        }
        Ok(configuration)
    }

    /// An error about a value, with the value as it was given where rounding has changed it.
    fn as_given(&self, error: Error) -> Error {
        match error {
            Error::InvalidConfig {
                field,
                value,
                rule,
                hint,
            } => {
                // NaN is no rounded number.
                let number = |text: &str| text.parse().ok().filter(|one: &f64| !one.is_nan());
                let given = self.value(&field);
                let value = match given.filter(|given| number(given) != number(&value)) {
                    Some(given) => format!("{given}, rounded to {value}"),
                    None => value,
                };
                Error::InvalidConfig {
                    field,
                    value,
                    rule,
                    hint,
                }
            }
            error => error,
        }
    }
}

impl<T: Fields> Args for GivenFields<T> {
    fn augment_args(command: Command) -> Command {
        let heading = command
            .get_next_help_heading()
            .map(|heading| Str::from(heading.to_owned()));
        command
            .next_help_heading(T::TITLE)
            .args(T::FIELDS.iter().map(argument))
            .next_help_heading(Resettable::from(heading))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: Fields> FromArgMatches for GivenFields<T> {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let given = T::FIELDS.iter().filter_map(|field| {
            let values = matches.get_raw(field.name)?;
            let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
            Some((field, values.join(",")))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(
        &mut self,
        matches: &ArgMatches,
    ) -> std::result::Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flag of a field.
fn argument<T: Fields>(field: &'static Field<T>) -> Arg {
    let placeholder = match field.placeholder {
        "" => field.name.to_uppercase(),
        placeholder => placeholder.to_owned(),
    };
    let mut argument = Arg::new(field.name)
        .long(flag_name(field.name))
        .value_name(placeholder)
        .help(help(field));
    if !field.heading.is_empty() {
        argument = argument.help_heading(field.heading);
    }
    let is_value = move |text: &str| field.set(&mut T::default(), text).map(|()| text.to_owned());
    match field.kind() {
        ValueKind::Switch => argument
            .value_name("BOOL")
            .num_args(0..=1)
            .default_missing_value("true")
            .value_parser(value_parser!(bool)),
        ValueKind::Choice(rows) => {
            let values = rows.into_iter().map(|(name, description)| {
                PossibleValue::new(name).help(with_field_flags(description))
            });
            argument.value_parser(PossibleValuesParser::new(values))
        }
        ValueKind::List => argument
            .action(ArgAction::Append)
            .value_delimiter(',')
            .value_parser(ValueParser::new(is_value)),
        ValueKind::Number => argument
            .allow_negative_numbers(true)
            .value_parser(ValueParser::new(is_value)),
        ValueKind::Integer | ValueKind::Text => argument.value_parser(ValueParser::new(is_value)),
    }
}

/// The help text of a field: what it does, its default, and the rows of its registry.
fn help<T: Fields>(field: &Field<T>) -> String {
    let default = match field.default {
        // A switch is off by default.
        "" if field.kind() == ValueKind::Switch => None,
        "" => field.get(&T::defaults()),
        default => Some(default.to_owned()),
    };
    let default = default.map_or_else(String::new, |text| format!(" [default: {text}]"));
    let rows = match field.rule {
        Rule::Registered(rows) => rows(),
        _ => Vec::new(),
    };
    let rows = rows
        .iter()
        .map(|(name, text)| format!("\n- {name}: {text}"));
    let text = format!("{}{default}{}", field.description, rows.collect::<String>());
    with_field_flags(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command;
    use crate::cli::message::message;
    use crate::field::FieldValue;
    use crate::model::ModelOptions;
    use crate::train::Recipe;

    /// A value that breaks a rule, where there is one.
    fn invalid_value(rule: Rule) -> Option<&'static str> {
        match rule {
            Rule::Any => None,
            Rule::Finite => Some("inf"),
            Rule::NonNegative => Some("-1"),
            Rule::Positive | Rule::Fraction | Rule::AtLeast(_) => Some("0"),
            Rule::Probability => Some("1"),
            Rule::Between(_, _) => Some("1000"),
            Rule::Registered(_) => Some("unregistered"),
        }
    }

    fn check_table<T: Fields>() {
        let command = command();
        let train = command.find_subcommand("train").expect("a subcommand");
        for field in T::FIELDS {
            let flag = flag_name(field.name);
            let argument = train
                .get_arguments()
                .find(|argument| argument.get_long() == Some(&flag))
                .unwrap_or_else(|| panic!("train has no --{flag}"));
            let help = argument.get_help().expect("a help text").to_string();
            assert!(!field.description.is_empty(), "{flag}");
            assert!(!help.contains('`'), "--{flag} names no flag: {help}");
            if let Some(default) = field.get(&T::defaults())
                && field.default.is_empty()
                && field.kind() != ValueKind::Switch
            {
                assert!(help.contains(&format!("[default: {default}]")), "{help}");
            }
            for other in field.voided_by {
                let is_flag = |one: &Arg| one.get_long() == Some(&flag_name(other));
                assert!(train.get_arguments().any(is_flag), "{flag}: no --{other}");
            }
            let Some(value) = invalid_value(field.rule) else {
                continue;
            };
            let mut configuration = T::default();
            field.set(&mut configuration, value).expect("a value");
            // A field that sets others is checked through them.
            if field.get(&configuration).is_some() {
                let error = configuration.check_rules().expect_err("out of range");
                let text = message(&error);
                assert!(text.starts_with(&format!("--{flag} {value}: ")), "{text}");
                assert!(!text.contains('`'), "{text}");
            }
        }
    }

    #[test]
    fn every_field_is_a_flag_and_has_a_rule_that_names_it() {
        check_table::<Recipe>();
        check_table::<ModelOptions>();
    }

    #[test]
    fn conditions_name_fields() {
        fn check<T: Fields>() {
            for field in T::FIELDS {
                if let Some(condition) = &field.condition {
                    assert!(T::field(condition.field).is_some(), "{}", field.name);
                }
                assert!(T::field(field.name).is_some_and(|one| one.name == field.name));
            }
        }
        check::<Recipe>();
        check::<ModelOptions>();
    }

    #[test]
    fn values_are_read_as_they_are_written() {
        assert_eq!(Vec::from_text("3,5"), Ok(vec![3_usize, 5]));
        assert_eq!(
            f32::from_text("0.1").map(|x| x.to_text()),
            Ok(Some("0.1".into()))
        );
        assert!(usize::from_text("-1").is_err() && bool::from_text("yes").is_err());
    }
}
