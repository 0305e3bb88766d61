//! Errors in the words of the command line: fields of configurations become flags.
//!
//! In: an [`Error`] of the library, whose texts name fields in backticks. Out: the message and the
//! exit code.

use clap::CommandFactory;

use super::Cli;
use crate::error::Error;

/// Fields whose flags have other names.
const RENAMED: [(&str, &str); 7] = [
    ("hidden_size", "hidden"),
    ("hidden_sizes", "hidden"),
    ("num_layers", "layers"),
    ("embedding_size", "embedding"),
    ("compression_size", "compression"),
    ("direct_size", "direct"),
    ("ln_z", "nce-lnz"),
];

/// The exit code of a failed command: 2 where the command line is wrong, else 1.
pub fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Usage { .. } | Error::InvalidConfig { .. } => 2,
        _ => 1,
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

/// The name that a field's flag has, if there is one.
fn flag_name(field: &str) -> String {
    let renamed = RENAMED.iter().find(|(name, _)| *name == field);
    renamed.map_or_else(|| field.replace('_', "-"), |(_, flag)| (*flag).to_owned())
}

/// The flag of a field, if it has one.
fn flag_of(field: &str) -> Option<String> {
    let name = flag_name(field);
    let command = Cli::command();
    let is_known = command
        .get_subcommands()
        .flat_map(clap::Command::get_arguments)
        .any(|argument| argument.get_long() == Some(&name));
    is_known.then(|| format!("--{name}"))
}

/// Replaces each `` `field` `` by its flag, and each `` `field = value` `` by its flag and value.
pub fn with_flags(text: &str) -> String {
    replace_fields(text, flag_of)
}

/// The same for help texts, which are part of the flags' definitions: all quoted names must be
/// fields that have flags.
pub(super) fn help_with_flags(text: &str) -> String {
    replace_fields(text, |field| Some(format!("--{}", flag_name(field))))
}

fn replace_fields(text: &str, flag_of: impl Fn(&str) -> Option<String>) -> String {
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
