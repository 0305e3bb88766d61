//! Flags that stand in files: a configuration's, a preset's, those of the run that made a model.
//!
//! In: the command line as it was typed. Out: the same with the flags of files behind it, wherever
//! they were not typed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use clap::error::ContextKind;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser};
use toml::Value;

use super::presets::PRESETS;
use super::replay;
use super::{Cli, Command};
use crate::error::{Error, Result};

/// Flags of `train` that say nothing of a model or its recipe, and are given by hand alone.
const BY_HAND: [&str; 5] = ["config", "resume", "force", "json", "help"];

/// A flag given by hand, and the flags of files that go with it: they were meant for what it takes
/// the place of.
const DISPLACED: [(&str, &[&str]); 7] = [
    (
        "dropout",
        &["dropout-input", "dropout-hidden", "dropout-output"],
    ),
    (
        "schedule",
        &[
            "lr-decay",
            "lr-patience",
            "lr-decay-after",
            "lr-end",
            "warm-up",
            "patience",
            "keep",
            "average",
        ],
    ),
    ("cell", &["activation", "forget-bias"]),
    ("tokenizer", &["vocab-size", "min-count"]),
    ("vocab-size", &["tokenizer"]),
    ("min-count", &["tokenizer"]),
    ("unit", &["tokenizer"]),
];

/// A flag without its dashes, and what stands behind it.
pub(super) type Flag = (String, OsString);

/// Where flags come from.
struct FlagSource {
    name: String,
    flags: Vec<Flag>,
}

/// The command of a command line, with the flags of the files that it names. Where the command line
/// is wrong in itself, or asks for help, the process ends here.
///
/// # Errors
/// If a file cannot be read, or a flag in it is none.
pub(super) fn complete(mut arguments: Vec<OsString>) -> Result<Cli> {
    let matches = Cli::command().get_matches_from(&arguments);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let (Command::Train(flags), Some(matches)) =
        (&cli.command, matches.subcommand_matches("train"))
    else {
        return Ok(cli);
    };
    let by_hand =
        |id: &&clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    let mut given: BTreeSet<String> = matches
        .ids()
        .filter(by_hand)
        .map(|id| id.as_str().replace('_', "-"))
        .collect();
    let mut sources = Vec::new();
    let mut preset = flags.preset.clone();
    if let Some(path) = flags.config.as_ref().or(flags.resume.as_ref()) {
        let source = FlagSource::read(path, flags.resume.is_some())?;
        let named = source.flags.iter().find(|(name, _)| name == "preset");
        preset = preset.or_else(|| named.map(|(_, value)| value.to_string_lossy().into_owned()));
        sources.push(source);
    }
    if let Some(name) = preset {
        sources.push(FlagSource::of_preset(&name)?);
    }
    if sources.is_empty() {
        return Ok(cli);
    }
    let resumes = flags.resume.is_some();
    let mut notes = Vec::new();
    for source in sources {
        arguments.extend(source.add_to(&mut given, if resumes { None } else { Some(&mut notes) }));
    }
    let mut cli = Cli::try_parse_from(&arguments).unwrap_or_else(|error| error.exit());
    if let Command::Train(flags) = &mut cli.command {
        flags.notes = notes;
    }
    Ok(cli)
}

impl FlagSource {
    /// A configuration file, or the run whose model lies in a directory, and which is gone on with
    /// or repeated.
    fn read(path: &Path, resumes: bool) -> Result<Self> {
        let name = path.display().to_string();
        let flags = match (path.is_dir(), resumes) {
            (true, true) => replay::flags_of_run(path)?,
            (true, false) => replay::flags_to_repeat(path)?,
            (false, _) => parse(
                &name,
                &fs::read_to_string(path).map_err(Error::io("read", path))?,
            )?,
        };
        Ok(Self { name, flags })
    }

    fn of_preset(name: &str) -> Result<Self> {
        let Some(preset) = PRESETS.iter().find(|preset| preset.name == name) else {
            let names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
            return Err(Error::usage(
                format!("preset = \"{name}\""),
                "there is no such preset",
                format!("It is one of: {}", names.join(", ")),
            ));
        };
        let name = format!("preset {name}");
        let flags = parse(&name, preset.text)?;
        Ok(Self { name, flags })
    }

    /// The source's flags as arguments, save those that are given already or displaced by one that
    /// is; from then on they are given too.
    fn add_to(
        self,
        given: &mut BTreeSet<String>,
        notes: Option<&mut Vec<String>>,
    ) -> Vec<OsString> {
        let displaces = |name: &str| {
            let row = DISPLACED
                .iter()
                .find(|(flag, displaced)| given.contains(*flag) && displaced.contains(&name));
            row.map(|(flag, _)| *flag)
        };
        let (mut arguments, mut told, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        for (name, value) in &self.flags {
            if given.contains(name) || name == "preset" {
                continue;
            }
            if let Some(by) = displaces(name) {
                left_out.push(format!("--{name}, as --{by} is given"));
                continue;
            }
            let mut argument = OsString::from(format!("--{name}="));
            argument.push(value);
            told.push(argument.to_string_lossy().into_owned());
            arguments.push(argument);
        }
        if let Some(notes) = notes {
            notes.push(format!("{}: {}", self.name, told.join(" ")));
            if !left_out.is_empty() {
                notes.push(format!("{}: without {}", self.name, left_out.join(", ")));
            }
        }
        given.extend(self.flags.into_iter().map(|(name, _)| name));
        arguments
    }
}

/// The flags of a configuration, each tried by itself.
fn parse(file: &str, text: &str) -> Result<Vec<Flag>> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        Error::usage(
            file,
            format!("it is not TOML: {error}"),
            "Write a line like `lr = 0.1` for a flag",
        )
    })?;
    table
        .into_iter()
        .map(|(name, value)| flag(file, name, &value))
        .collect()
}

/// A line of a configuration.
fn flag(file: &str, name: String, value: &Value) -> Result<Flag> {
    let line = format!("{file}: {name} = {value}");
    if BY_HAND.contains(&name.as_str()) {
        return Err(Error::usage(
            line,
            "this flag can be given on the command line alone",
            "Take the line out",
        ));
    }
    let Some(text) = text(value) else {
        return Err(Error::usage(
            line,
            "no flag takes this",
            "Write a number, a text in quotes, true, false, or sizes as [200, 100]",
        ));
    };
    let argument = format!("--{name}={text}");
    match Cli::try_parse_from(["elman", "train", &argument]) {
        Ok(_) => Ok((name, text.into())),
        Err(error) => {
            let near = [ContextKind::SuggestedArg, ContextKind::SuggestedValue]
                .iter()
                .find_map(|kind| error.get(*kind));
            let hint = match near {
                Some(near) => format!("Is {near} meant? `elman train --help` lists all flags"),
                None => "`elman train --help` lists all flags and what they take".to_owned(),
            };
            let message = error.to_string();
            let rule = message
                .lines()
                .next()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            Err(Error::usage(line, rule, hint))
        }
    }
}

/// A value as it would be typed.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(is_on) => Some(is_on.to_string()),
        Value::Array(values) => values
            .iter()
            .map(text)
            .collect::<Option<Vec<_>>>()
            .map(|texts| texts.join(",")),
        Value::Datetime(_) | Value::Table(_) => None,
    }
}
