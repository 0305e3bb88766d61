//! Flags of `elman train` that come from files: a configuration, a preset, or the run that made a
//! model.
//!
//! In: the command line as typed. Out: the parsed command line, extended by the flags of files that
//! were not typed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::error::ContextKind;
use clap::parser::ValueSource;
use toml::de::DeTable;
use toml::{Spanned, Value};

use super::merged_flags::MergedFlags;
use super::message::flag_name;
use super::parse::{invalid_value, parse, usage_error};
use super::presets::{PRESETS, Preset};
use super::replay;
use super::table_flags::Flag;
use super::train::TrainFlags;
use super::{Cli, Subcommand};
use crate::checkpoint::is_directory;
use crate::error::{Error, Result};
use crate::prepared::{PreparedText, is_prepared};

/// Flags that files cannot contain.
const COMMAND_LINE_ONLY: [&str; 9] = [
    "config", "resume", "force", "json", "help", "dry-run", "quiet", "verbose", "color",
];

/// A source of flags.
pub(super) struct FlagSource {
    name: String,
    flags: Vec<Flag>,
}

/// Parses a command line and adds the flags of the files that it names. Where the command line is
/// invalid in itself, or asks for help, the process ends here.
///
/// # Errors
/// If a file cannot be read, or contains an invalid flag.
pub(super) fn complete(arguments: Vec<OsString>) -> Result<Cli> {
    complete_with(arguments, None, usage_error)
}

/// Checks a file of flags, or the directory of a run that is to be repeated, as `elman train
/// --config` does. The process does not end where the flags contradict one another.
///
/// # Errors
/// If the file cannot be read, or its flags are not those of a run.
pub fn check_flag_file(path: &Path) -> Result<()> {
    check_source(FlagSource::read(path, false)?)
}

/// Checks a file of tables of flags, as `elman compare --recipe` does.
///
/// # Errors
/// As [`check_flag_file`].
pub fn check_flag_tables(path: &Path) -> Result<()> {
    read_tables(path)?.into_iter().try_for_each(check_source)
}

fn check_source(source: FlagSource) -> Result<()> {
    let name = source.name.clone();
    let arguments = ["elman", "train"].map(OsString::from).to_vec();
    let refused = |_: &[OsString], error: &clap::Error| {
        let hint = "`elman train --help` lists all flags and their values";
        Error::usage("the flags of a file", error.to_string(), hint)
    };
    let in_file = |error: Error| Error::usage(name, error.to_string(), "Correct the file");
    let cli = complete_with(arguments, Some(source), refused).map_err(in_file)?;
    if let Subcommand::Train(flags) = cli.command {
        // What they say together is checked where a run starts.
        let _ = flags.recipe();
    }
    Ok(())
}

/// The flags of `elman train` that a command line and the lines of `file` give. The command line
/// takes precedence. Where it is invalid in itself, the process ends here.
///
/// # Errors
/// As [`complete`].
pub(super) fn train_flags(
    arguments: Vec<OsString>,
    file: Option<FlagSource>,
) -> Result<TrainFlags> {
    match complete_with(arguments, file, usage_error)?.command {
        Subcommand::Train(flags) => Ok(*flags),
        _ => Err(Error::usage(
            "the command line",
            "it is not that of `elman train`",
            "Report this as a fault",
        )),
    }
}

/// `refused` makes the error of a command line that cannot be parsed.
fn complete_with(
    mut arguments: Vec<OsString>,
    file: Option<FlagSource>,
    refused: impl Fn(&[OsString], &clap::Error) -> Error,
) -> Result<Cli> {
    let (cli, matches) = parse(&arguments).map_err(|error| refused(&arguments, &error))?;
    let (Subcommand::Train(flags), Some(matches)) =
        (&cli.command, matches.subcommand_matches("train"))
    else {
        return Ok(cli);
    };
    let (sources, preset) = sources(flags, file)?;
    if sources.is_empty() {
        return Ok(cli);
    }
    let mut merged = MergedFlags::new(given_flags(matches));
    for source in &sources {
        arguments.extend(merged.add(&source.name, &source.flags));
    }
    let is_resumed = flags.resume.is_some();
    let (mut cli, _) = parse(&arguments).map_err(|error| refused(&arguments, &error))?;
    if let (Subcommand::Train(flags), false) = (&mut cli.command, is_resumed) {
        flags.notes = merged.notes;
        flags.origins = merged.origins;
        check_fine_tuning(flags, preset)?;
    }
    Ok(cli)
}

/// Checks that a preset for fine-tuning has a model.
fn check_fine_tuning(flags: &TrainFlags, preset: Option<&Preset>) -> Result<()> {
    match preset {
        Some(preset) if preset.is_fine_tuning() && flags.init.is_none() => Err(Error::usage(
            format!("--preset {}", preset.name),
            "it fine-tunes a model, and there is none",
            "Add --init DIR with the model",
        )),
        _ => Ok(()),
    }
}

/// The names of the flags on the command line.
fn given_flags(matches: &ArgMatches) -> BTreeSet<String> {
    let is_typed =
        |id: &&clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    matches
        .ids()
        .filter(is_typed)
        .map(|id| flag_name(id.as_str()))
        .collect()
}

/// `file`, or the file that flags name, and the preset, which has a lower priority.
fn sources(
    flags: &TrainFlags,
    file: Option<FlagSource>,
) -> Result<(Vec<FlagSource>, Option<&'static Preset>)> {
    let mut sources = Vec::new();
    let mut preset = flags.preset.clone();
    let file = match (file, flags.config.as_ref().or(flags.resume.as_ref())) {
        (None, Some(path)) => Some(FlagSource::read(path, flags.resume.is_some())?),
        (file, _) => file,
    };
    if let Some(source) = file {
        let named = source.flags.iter().find(|(name, _)| name == "preset");
        preset = preset.or_else(|| named.map(|(_, value)| value.to_string_lossy().into_owned()));
        sources.push(source);
    }
    let preset = preset.map(|name| find_preset(&name)).transpose()?;
    if let Some(preset) = preset {
        sources.push(FlagSource::preset(preset)?);
    }
    if let Some(directory) = prepared_text(flags, &sources) {
        sources.push(FlagSource::prepared(&directory)?);
    }
    Ok((sources, preset))
}

/// The prepared text of a new run, whose types are selected already.
fn prepared_text(flags: &TrainFlags, sources: &[FlagSource]) -> Option<PathBuf> {
    if flags.resume.is_some() || flags.init.is_some() {
        return None;
    }
    let in_files = sources.iter().flat_map(|source| &source.flags);
    let mut in_files = in_files.filter(|(name, _)| name == "train");
    let given = flags.train.clone();
    let path = given.or_else(|| in_files.next().map(|(_, path)| path.into()))?;
    is_prepared(&path).then_some(path)
}

fn find_preset(name: &str) -> Result<&'static Preset> {
    PRESETS
        .iter()
        .find(|preset| preset.name == name)
        .ok_or_else(|| {
            let names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
            Error::usage(
                format!("preset = \"{name}\""),
                "there is no such preset",
                format!("It is one of: {}", names.join(", ")),
            )
        })
}

impl FlagSource {
    /// The name of the file, or of a table in it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The flags without dashes, and their values.
    pub(super) fn flags(&self) -> &[Flag] {
        &self.flags
    }

    /// Reads a configuration file, or the flags of the run that made the model in a directory,
    /// which is to be resumed or repeated.
    pub(super) fn read(path: &Path, is_resumed: bool) -> Result<Self> {
        let name = path.display().to_string();
        let flags = match (is_directory(path)?, is_resumed) {
            (true, true) => replay::saved_flags(path)?,
            (true, false) => replay::flags_to_repeat(path)?,
            (false, true) => {
                return Err(Error::invalid(
                    format!("--resume {name}"),
                    match path.exists() {
                        true => "it is not a directory",
                        false => "there is no such file or directory",
                    },
                    "Give the directory of the run, as --out named it",
                ));
            }
            (false, false) if !path.exists() => {
                return Err(Error::invalid(
                    format!("--config {name}"),
                    "there is no such file or directory",
                    "Give a TOML file of flags, or the directory of a model whose run is to be \
                     repeated",
                ));
            }
            (false, false) => {
                let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
                parse_table(&name, &text)?
            }
        };
        Ok(Self { name, flags })
    }

    /// The flags that select the types of a prepared text.
    fn prepared(directory: &Path) -> Result<Self> {
        let (unit, selection) = PreparedText::selection(directory)?;
        Ok(Self {
            name: directory.display().to_string(),
            flags: replay::selection_flags(unit, &selection),
        })
    }

    fn preset(preset: &Preset) -> Result<Self> {
        let name = format!("preset {}", preset.name);
        let flags = parse_table(&name, preset.text)?;
        Ok(Self { name, flags })
    }
}

/// Parses the flags of a configuration, each checked alone.
fn parse_table(file: &str, text: &str) -> Result<Vec<Flag>> {
    let (table, places) = parse_toml(file, text)?;
    flags_of_table(file, text, table, places.get_ref())
}

/// Parses TOML: the values, and where they are in the text.
fn parse_toml<'t>(file: &str, text: &'t str) -> Result<(toml::Table, Spanned<DeTable<'t>>)> {
    let not_toml = |error: toml::de::Error| {
        Error::usage(
            file,
            format!("it is not TOML: {error}"),
            "Write one flag on a line, such as `lr = 0.1`",
        )
    };
    Ok((
        text.parse().map_err(not_toml)?,
        DeTable::parse(text).map_err(not_toml)?,
    ))
}

/// The flags of a table, each checked alone.
fn flags_of_table(
    file: &str,
    text: &str,
    table: toml::Table,
    places: &DeTable<'_>,
) -> Result<Vec<Flag>> {
    table
        .into_iter()
        .map(|(name, value)| {
            let line = line_of(&name, text, places);
            flag(&format!("{file}, line {line}"), name, &value)
        })
        .collect()
}

/// The line of the text, counted from 1, on which a table has a key.
fn line_of(name: &str, text: &str, places: &DeTable<'_>) -> usize {
    let place = places.keys().find(|key| key.get_ref() == name);
    let start = place.map_or(0, |key| key.span().start);
    1 + text[..start].matches('\n').count()
}

/// The tables of a file in their order: the names and the flags of several runs.
///
/// # Errors
/// If the file cannot be read, is not TOML, or has an invalid flag.
pub(super) fn read_tables(path: &Path) -> Result<Vec<FlagSource>> {
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    let file = path.display().to_string();
    let (table, places) = parse_toml(&file, &text)?;
    let mut sources = Vec::new();
    for (name, value) in table {
        let line = line_of(&name, &text, places.get_ref());
        let place = places
            .get_ref()
            .iter()
            .find(|(key, _)| *key.get_ref() == name);
        let (Value::Table(flags), Some(places)) = (
            value,
            place.and_then(|(_, value)| value.get_ref().as_table()),
        ) else {
            return Err(Error::usage(
                format!("{file}, line {line}: {name}"),
                "it is in no table",
                "Write the flags of each model under a line with its name, such as [small]",
            ));
        };
        let flags = flags_of_table(&file, &text, flags, places)?;
        sources.push((line, FlagSource { name, flags }));
    }
    sources.sort_by_key(|(line, _)| *line);
    Ok(sources.into_iter().map(|(_, source)| source).collect())
}

/// The flag of one line of a configuration, which is at `place`.
fn flag(place: &str, name: String, value: &Value) -> Result<Flag> {
    let line = format!("{place}: {name} = {value}");
    if COMMAND_LINE_ONLY.contains(&name.as_str()) {
        return Err(Error::usage(
            line,
            "this flag is allowed on the command line only",
            "Remove the line",
        ));
    }
    let Some(text) = argument_text(value) else {
        return Err(Error::usage(
            line,
            "no flag takes this value",
            "Write a number, a text in quotes, true, false, or sizes as [200, 100]",
        ));
    };
    let argument = format!("--{name}={text}");
    match parse(&["elman", "train", argument.as_str()].map(OsString::from)) {
        Ok(_) => Ok((name, text.into())),
        Err(error) => {
            if let Some(rule) = invalid_value(&error) {
                let hint = "`elman train --help` describes the flag";
                return Err(Error::usage(line, format!("invalid value: {rule}"), hint));
            }
            let suggestion = [ContextKind::SuggestedArg, ContextKind::SuggestedValue]
                .iter()
                .find_map(|kind| error.get(*kind));
            let hint = match suggestion {
                Some(suggestion) => {
                    format!("Did you mean {suggestion}? `elman train --help` lists all flags")
                }
                None => "`elman train --help` lists all flags and their values".to_owned(),
            };
            let message = error.to_string();
            let rule = message.lines().next().unwrap_or_default();
            Err(Error::usage(line, rule.trim_start_matches("error: "), hint))
        }
    }
}

/// A value as it is written on a command line.
fn argument_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(is_on) => Some(is_on.to_string()),
        Value::Array(values) => {
            let texts: Option<Vec<_>> = values.iter().map(argument_text).collect();
            texts.map(|texts| texts.join(","))
        }
        Value::Datetime(_) | Value::Table(_) => None,
    }
}
