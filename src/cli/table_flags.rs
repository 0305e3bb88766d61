//! Flags that come from a table of fields: each row is a flag, with its name, value, default,
//! possible values and help text.

use std::ffi::OsString;

use clap::builder::{PossibleValue, PossibleValuesParser, Resettable, Str, ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};

use super::message::{flag_name, with_field_flags};
use crate::error::{Error, Result};
use crate::field::{Field, Fields, Kind, Rule};

/// A flag without its dashes, and its value.
pub(super) type Flag = (String, OsString);

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
        configuration.check_rules()?;
        for (field, _) in &self.0 {
            field.check_effect(&configuration)?;
        }
        Ok(configuration)
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
        Kind::Switch => argument
            .value_name("BOOL")
            .num_args(0..=1)
            .default_missing_value("true")
            .value_parser(value_parser!(bool)),
        Kind::Choice(rows) => {
            let values = rows.into_iter().map(|(name, description)| {
                PossibleValue::new(name).help(with_field_flags(description))
            });
            argument.value_parser(PossibleValuesParser::new(values))
        }
        Kind::List => argument
            .action(ArgAction::Append)
            .value_delimiter(',')
            .value_parser(ValueParser::new(is_value)),
        Kind::Number => argument
            .allow_negative_numbers(true)
            .value_parser(ValueParser::new(is_value)),
        Kind::Integer | Kind::Text => argument.value_parser(ValueParser::new(is_value)),
    }
}

/// The help text of a field: what it does, its default, and the rows of its registry.
fn help<T: Fields>(field: &Field<T>) -> String {
    let default = match field.default {
        // A switch is off by default.
        "" if field.kind() == Kind::Switch => None,
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
