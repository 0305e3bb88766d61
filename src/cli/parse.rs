//! Parses command lines, and says in this program's words what is wrong with one.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, ArgMatches, CommandFactory, FromArgMatches};

use super::messages::color_choice;
use super::{Cli, output};
use crate::error::Error;

/// Messages of the standard library about a text that is not a number of the flag's type, and
/// rules in their place.
const RULES: &[(&str, &str)] = &[
    (
        "number would be zero for non-zero type",
        "it must be at least 1",
    ),
    (
        "invalid digit found in string",
        "it must be a whole number without a sign",
    ),
    ("cannot parse integer from empty string", "it is empty"),
    ("number too large to fit in target type", "it is too large"),
    ("number too small to fit in target type", "it is too small"),
    ("invalid float literal", "it must be a number, such as 0.1"),
    ("cannot parse float from empty string", "it is empty"),
];

/// Flags that collect their values. Lists of one flag, such as the sizes of `--hidden`, do not.
const COLLECTING: [&str; 2] = ["model", "text"];

/// Short forms of flags that several commands have.
const SHORT: [(&str, char); 2] = [("model", 'm'), ("out", 'o')];

/// The command line, with every subcommand and flag. Of a flag that is repeated, the last counts,
/// unless it collects its values.
pub(super) fn command() -> clap::Command {
    Cli::command().mut_subcommands(|subcommand| {
        subcommand.args_override_self(true).mut_args(|argument| {
            // `--lr -1` is a wrong value and not another flag.
            let takes_values = argument.get_action().takes_values();
            let argument = argument.allow_negative_numbers(takes_values);
            let collects = argument
                .get_long()
                .is_some_and(|flag| COLLECTING.contains(&flag));
            let short = SHORT
                .iter()
                .find(|(flag, _)| argument.get_long() == Some(flag));
            let argument = match short {
                Some((_, letter)) => argument.short(*letter),
                None => argument,
            };
            match argument.get_action() {
                ArgAction::Append if !collects => argument.action(ArgAction::Set),
                _ => argument,
            }
        })
    })
}

/// Parses a command line.
pub(super) fn parse(arguments: &[OsString]) -> Result<(Cli, ArgMatches), clap::Error> {
    let command = command().color(color_choice(arguments));
    let matches = command.try_get_matches_from(arguments)?;
    let cli = Cli::from_arg_matches(&matches)?;
    Ok((cli, matches))
}

/// The error of a command line that [`parse`] refuses. Where `clap` says best what is wrong, or
/// the user asked for help, it is printed and the process ends here.
pub(super) fn usage_error(arguments: &[OsString], error: &clap::Error) -> Error {
    match explain(arguments, error, subcommand_of(arguments)) {
        Some(explained) => explained,
        None => output::print_and_exit(error),
    }
}

/// The subcommand that a command line names.
fn subcommand_of(arguments: &[OsString]) -> Option<clap::Command> {
    let name = arguments.get(1)?;
    command().find_subcommand(name).cloned()
}

fn explain(
    arguments: &[OsString],
    error: &clap::Error,
    subcommand: Option<clap::Command>,
) -> Option<Error> {
    match error.kind() {
        ErrorKind::ValueValidation => {
            let what = format!(
                "{} {}",
                invalid_flag(error)?,
                text(error, ContextKind::InvalidValue)?
            );
            let hint = "`--help` describes the flag";
            Some(Error::usage(what.trim_end(), invalid_value(error)?, hint))
        }
        ErrorKind::InvalidValue if text(error, ContextKind::InvalidValue)?.is_empty() => {
            let hint = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(values)) if !values.is_empty() => {
                    format!("It is one of: {}", values.join(", "))
                }
                _ => "Give one after the flag; `--help` describes it".to_owned(),
            };
            Some(Error::usage(invalid_flag(error)?, "it needs a value", hint))
        }
        ErrorKind::MissingRequiredArgument => missing(arguments, error, &subcommand?),
        _ => None,
    }
}

/// The rule that a value breaks, where the standard library or a field refused it.
pub(super) fn invalid_value(error: &clap::Error) -> Option<String> {
    let cause = error.source()?.to_string();
    // The fields of configurations state their own rules.
    if cause.starts_with("it is too ") {
        return Some(cause);
    }
    let row = RULES.iter().find(|(message, _)| *message == cause)?;
    Some(row.1.to_owned())
}

/// The error about the first flag that is missing.
fn missing(given: &[OsString], error: &clap::Error, subcommand: &clap::Command) -> Option<Error> {
    let arguments = missing_flags(error)?;
    let flag = arguments.first()?.split(' ').next()?;
    let name = flag.strip_prefix("--")?;
    let mut all = subcommand.get_arguments();
    let argument = all.find(|argument| argument.get_long() == Some(name))?;
    let help = argument.get_help()?.to_string();
    if let Some(other) = requiring(given, &arguments[0]) {
        let names = arguments
            .iter()
            .map(|flag| flag.split(' ').next().unwrap_or_default());
        let needed = names.collect::<Vec<_>>().join(" and ");
        return Some(Error::usage(
            format!("{other} without {needed}"),
            format!("it has an effect only with {needed}"),
            format!("Add {needed}, or remove {other}. {flag} gives this: {help}"),
        ));
    }
    let others = match arguments.len() {
        1 => String::new(),
        _ => format!(" (as are {})", arguments[1..].join(", ")),
    };
    Some(Error::usage(
        flag,
        format!("it is missing{others}"),
        format!("It gives this: {help}"),
    ))
}

/// The flags that are missing, with their values.
fn missing_flags(error: &clap::Error) -> Option<&[String]> {
    match error.get(ContextKind::InvalidArg)? {
        ContextValue::Strings(flags) => Some(flags),
        _ => None,
    }
}

/// The given flag without which `missing` would not be missing.
fn requiring(given: &[OsString], missing: &String) -> Option<String> {
    let is_flag = |index: usize| given[index].to_string_lossy().starts_with("--");
    let flags = (2..given.len()).filter(|&index| is_flag(index));
    flags.into_iter().find_map(|index| {
        let next = (index + 1..given.len()).find(|&next| is_flag(next));
        let others = [&given[..index], &given[next.unwrap_or(given.len())..]].concat();
        let is_missing = parse(&others)
            .is_err_and(|error| missing_flags(&error).is_some_and(|flags| flags.contains(missing)));
        let flag = given[index].to_string_lossy();
        let name = flag.split('=').next().unwrap_or_default().to_owned();
        (!is_missing).then_some(name)
    })
}

/// The flag that an error is about, without its values.
fn invalid_flag(error: &clap::Error) -> Option<String> {
    let argument = text(error, ContextKind::InvalidArg)?;
    argument.split(' ').next().map(str::to_owned)
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}
