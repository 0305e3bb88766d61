//! Errors in the words of the command line: fields of configurations become flags.
//!
//! In: an [`Error`] of the library, whose texts name fields in backticks. Out: the message and the
//! exit code.

use std::io::ErrorKind;

use crate::error::Error;
use crate::field::Fields;
use crate::model::ModelOptions;
use crate::train::Recipe;

/// The exit code of a failed command: 2 where the command line is wrong, else 1.
pub fn exit_code(error: &Error) -> u8 {
    match error.is_usage() {
        true => 2,
        false => 1,
    }
}

/// The message of an error, with flags in place of fields.
pub fn message(error: &Error) -> String {
    match error {
        Error::InvalidConfig {
            field,
            value,
            rule,
            hint,
        } => {
            let flag = flag_of(field).unwrap_or_else(|| field.clone());
            let what = [flag.as_str(), value.as_str()].join(" ");
            with_flags(&format!("{}: {rule}. {hint}", what.trim_end()))
        }
        error => with_flags(&error.to_string()),
    }
}

/// What to do where the operating system failed to read or write a file.
pub(super) fn hint(error: &Error) -> Option<&'static str> {
    let Error::Io { action, source, .. } = error else {
        return None;
    };
    let is_read = matches!(*action, "read" | "open");
    Some(match source.kind() {
        ErrorKind::PermissionDenied => {
            "change the permissions of the file or of the directories that it is in, or give \
             another path"
        }
        ErrorKind::ReadOnlyFilesystem => "give a path on a disk that can be written",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room, or give a path on another disk"
        }
        ErrorKind::NotFound if is_read => "correct the path",
        ErrorKind::NotFound => "correct the path, or create its directory",
        ErrorKind::AlreadyExists => "give another path: there is a file of this name",
        ErrorKind::NotADirectory => "correct the path: a part of it is a file, not a directory",
        ErrorKind::IsADirectory => "give the name of a file",
        _ => return None,
    })
}

/// The message of an error with its causes, on one line.
pub(super) fn with_causes(error: &Error) -> String {
    let mut text = message(error);
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The name of a field's flag, without dashes.
pub(super) fn flag_name(field: &str) -> String {
    field.replace('_', "-")
}

/// The flag of a field of the tables.
fn field_flag(name: &str) -> Option<String> {
    let model = ModelOptions::field(name).map(|field| field.name);
    let field = model.or_else(|| Recipe::field(name).map(|field| field.name))?;
    Some(format!("--{}", flag_name(field)))
}

/// The flag of a name: that of a field of the tables, or one of any subcommand.
fn flag_of(name: &str) -> Option<String> {
    let subcommand_flag = || {
        let flag = flag_name(name);
        let command = super::command();
        let mut arguments = command
            .get_subcommands()
            .flat_map(clap::Command::get_arguments);
        let is_known = arguments.any(|argument| argument.get_long() == Some(&flag));
        is_known.then(|| format!("--{flag}"))
    };
    field_flag(name).or_else(subcommand_flag)
}

/// Replaces each `` `name` `` by its flag, and each `` `name = value` `` by its flag and value,
/// where there is one.
pub(super) fn with_flags(text: &str) -> String {
    replace_quoted(text, flag_of)
}

/// The same for the fields of the tables alone. Help texts need it, since they are a part of the
/// subcommands that [`with_flags`] searches.
pub(super) fn with_field_flags(text: &str) -> String {
    replace_quoted(text, field_flag)
}

fn replace_quoted(text: &str, flag_of: impl Fn(&str) -> Option<String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, quoted, after)) = next_quoted(rest) {
        result.push_str(before);
        let (field, value) = quoted.split_once(" = ").unwrap_or((quoted, ""));
        match flag_of(field) {
            Some(flag) => result.push_str(format!("{flag} {value}").trim_end()),
            None => {
                result.push('`');
                result.push_str(quoted);
                result.push('`');
            }
        }
        rest = after;
    }
    result.push_str(rest);
    result
}

/// The text before the first pair of backticks, between them, and after them.
fn next_quoted(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('`')?;
    let (quoted, after) = rest.split_once('`')?;
    Some((before, quoted, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_become_flags() {
        let error = Error::config("bptt_block", 9, "at most `bptt`", "Try `output = sampled`");
        assert_eq!(
            message(&error),
            "--bptt-block 9: at most --bptt. Try --output sampled"
        );
        assert_eq!(exit_code(&error), 2);
    }

    #[test]
    fn other_quotes_stay() {
        let error = Error::invalid(
            "a file",
            "it has `x",
            "See `elman devices` and `hidden_size`",
        );
        let want = "a file: it has `x. See `elman devices` and `hidden_size`";
        assert_eq!(message(&error), want, "the quotes do not pair up");
        let error = Error::invalid("a file", "no", "See `elman devices` and `hidden_size = 5`");
        let want = "a file: no. See `elman devices` and --hidden 5";
        assert_eq!(message(&error), want);
        assert_eq!(exit_code(&error), 1);
    }
}
