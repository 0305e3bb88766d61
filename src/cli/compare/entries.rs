//! What is compared: presets, files of flags, tables of flags, and models.
//!
//! In: `--models` and `--recipe`. Out: an [`Entry`] for each row of the table.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{CompareFlags, NGRAM_FILE, NGRAM_ROW, table};
use crate::checkpoint::{CheckpointFiles, is_directory};
use crate::cli::flag_files::{self, FlagSource};
use crate::cli::presets::PRESETS;
use crate::cli::ranks;
use crate::cli::train::{SharedCorpus, TrainFlags, VocabularyFlags};
use crate::error::{Error, Result};
use crate::field::Choice;
use crate::parallel::Ranks;

/// Flags that a recipe of a comparison cannot have, and why.
const FORBIDDEN: [(&str, &str); 9] = [
    ("train", "TEXT is the training text of all models"),
    ("valid", "--valid is the validation text of all models"),
    ("out", "--out has a directory for each model"),
    ("device", "--device is the device of all models"),
    ("threads", "--threads are those of all models"),
    ("share-adapter", "--share-adapter is for all models"),
    ("rank-timeout", "--rank-timeout is that of all models"),
    (
        "init",
        "the models of a comparison start from random parameters",
    ),
    ("extend-vocab", "all models have one vocabulary"),
];

/// What a row of the table is about.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// Where a model comes from.
pub(super) enum Kind {
    /// It is trained with these flags.
    Recipe(Box<TrainFlags>),
    /// It is in this directory.
    Model(PathBuf),
}

impl Kind {
    pub(super) fn is_trained(&self) -> bool {
        matches!(self, Self::Recipe(_))
    }

    pub(super) fn of_row(&self) -> table::Kind {
        match self {
            Self::Recipe(_) => table::Kind::Trained,
            Self::Model(_) => table::Kind::Model,
        }
    }
}

/// All models, in the order of the command line.
///
/// # Errors
/// If there is none, two have one name, or a flag is invalid.
pub(super) fn read(flags: &CompareFlags) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for name in &flags.models {
        entries.push(entry(flags, name)?);
    }
    if let Some(path) = &flags.recipe {
        for source in flag_files::read_tables(path)? {
            let name = source.name().to_owned();
            let place = format!("{}: [{name}]", path.display());
            entries.push(recipe(flags, name, source, &place)?);
        }
    }
    if entries.is_empty() {
        let what = match &flags.recipe {
            Some(path) => format!("--recipe {}", path.display()),
            None => "elman compare".to_owned(),
        };
        return Err(Error::usage(
            what,
            "there is no model to compare",
            "Name presets, files of flags or models with --models, or give --recipe a file with a \
             table for each model",
        ));
    }
    check_names(&entries)?;
    Ok(entries)
}

/// The model that `--models` names.
fn entry(flags: &CompareFlags, name: &str) -> Result<Entry> {
    let path = Path::new(name);
    if PRESETS.iter().any(|preset| preset.name == name) {
        let arguments = [OsString::from(format!("--preset={name}"))];
        let flags = train_flags(flags, name, &arguments, None)?;
        let kind = Kind::Recipe(Box::new(flags));
        return Ok(Entry {
            name: name.to_owned(),
            kind,
        });
    }
    let stem = |path: &Path| {
        path.file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
    };
    if path
        .extension()
        .is_some_and(|extension| extension == "toml")
    {
        let source = FlagSource::read(path, false)?;
        return recipe(flags, stem(path).unwrap_or_default(), source, name);
    }
    if !is_directory(path)? {
        let presets: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
        return Err(Error::usage(
            format!("--models {name}"),
            "it is neither a preset, nor a file NAME.toml, nor a directory",
            format!("The presets are: {}", presets.join(", ")),
        ));
    }
    // A directory that is no model is found out before others are trained.
    CheckpointFiles::open(path)?.description()?;
    let last = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    Ok(Entry {
        name: last.unwrap_or_else(|| name.to_owned()),
        kind: Kind::Model(path.to_owned()),
    })
}

/// A model that is trained with the flags of a file, or of a table in it, at `place`.
fn recipe(flags: &CompareFlags, name: String, source: FlagSource, place: &str) -> Result<Entry> {
    for (flag, _) in source.flags() {
        if let Some((_, rule)) = FORBIDDEN.iter().find(|(name, _)| name == flag) {
            return Err(Error::usage(
                format!("{place}: {flag}"),
                *rule,
                "Remove the line",
            ));
        }
    }
    let flags = train_flags(flags, &name, &[], Some(source))?;
    Ok(Entry {
        name,
        kind: Kind::Recipe(Box::new(flags)),
    })
}

/// The flags of `elman train` for one model.
fn train_flags(
    flags: &CompareFlags,
    name: &str,
    others: &[OsString],
    source: Option<FlagSource>,
) -> Result<TrainFlags> {
    let mut arguments = vec![OsString::from("elman"), OsString::from("train")];
    let mut add = |flag: &str, value: OsString| {
        let mut argument = OsString::from(format!("--{flag}="));
        argument.push(value);
        arguments.push(argument);
    };
    add("train", flags.text.clone().into());
    add("out", flags.out.join(name).into());
    add("device", flags.device.one.device.clone().into());
    for (flag, value) in [
        (
            "threads",
            flags.device.one.threads.map(|threads| threads.to_string()),
        ),
        ("unit", flags.unit.map(|unit| unit.name().to_owned())),
        ("vocab-size", flags.vocab_size.map(|size| size.to_string())),
        ("min-count", flags.min_count.map(|count| count.to_string())),
    ] {
        if let Some(value) = value {
            add(flag, value.into());
        }
    }
    if flags.device.share_adapter {
        add("share-adapter", "true".into());
    }
    if let Some(valid) = &flags.valid {
        add("valid", valid.clone().into());
    }
    arguments.extend_from_slice(others);
    flag_files::train_flags(arguments, source)
}

/// Checks that each name is that of a directory, and of one model.
fn check_names(entries: &[Entry]) -> Result<()> {
    for (index, entry) in entries.iter().enumerate() {
        let name = &entry.name;
        let parts: Vec<_> = Path::new(name).components().collect();
        let is_directory = matches!(parts.as_slice(), [std::path::Component::Normal(_)]);
        if entry.kind.is_trained() && (!is_directory || name == NGRAM_FILE) {
            return Err(Error::usage(
                format!("the model {name:?}"),
                "its name must be that of a new directory",
                "Give it another name, such as [small]",
            ));
        }
        let is_taken = entries[..index].iter().any(|other| other.name == *name);
        if is_taken || name == NGRAM_ROW {
            return Err(Error::usage(
                format!("the model {name:?}"),
                "two rows of the table have this name",
                "Rename one of them, or leave one out",
            ));
        }
    }
    Ok(())
}

/// Reads the corpus and gives all models that are trained one vocabulary, that of the first of
/// them. Without any, it is the vocabulary of the first model.
///
/// # Errors
/// If a text cannot be read, or a flag is invalid.
pub(super) fn shared_corpus(flags: &CompareFlags, entries: &mut [Entry]) -> Result<SharedCorpus> {
    let mut first: Option<(String, VocabularyFlags)> = None;
    for entry in &mut *entries {
        let Kind::Recipe(recipe) = &mut entry.kind else {
            continue;
        };
        match &first {
            None => first = Some((entry.name.clone(), recipe.vocabulary.clone())),
            Some((name, vocabulary)) => share(vocabulary, name, recipe, &entry.name)?,
        }
    }
    let recipes = entries.iter().filter_map(|entry| match &entry.kind {
        Kind::Recipe(flags) => Some((&entry.name, flags)),
        Kind::Model(_) => None,
    });
    let recipes: Vec<_> = recipes.collect();
    let [(_, first), ..] = recipes.as_slice() else {
        let Some(Kind::Model(directory)) = entries.first().map(|entry| &entry.kind) else {
            unreachable!("a comparison has a model")
        };
        let files = CheckpointFiles::open(directory)?;
        let description = files.description()?;
        let vocabulary = files.vocabulary(&description)?;
        let (text, valid) = (flags.text.clone(), flags.valid.clone());
        return SharedCorpus::read_with(text, valid, vocabulary, description.unit);
    };
    let corpus = SharedCorpus::read(first)?;
    for (name, flags) in recipes {
        corpus.check(flags).map_err(|error| of_model(name, error))?;
    }
    Ok(corpus)
}

/// Checks that all ranks train the same models on the same texts.
///
/// # Errors
/// On the first rank that differs from rank 0; the others know of it.
pub(super) fn check_equal(
    ranks: &Ranks,
    flags: &CompareFlags,
    entries: &[Entry],
    corpus: &SharedCorpus,
) -> Result<()> {
    if ranks.is_alone() {
        return Ok(());
    }
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let mut properties = vec![
        ("list of models".to_owned(), format!("{names:?}")),
        ("--minutes".to_owned(), flags.minutes.to_string()),
    ];
    let mut described = Ok(());
    for entry in entries {
        if let Kind::Recipe(recipe) = &entry.kind {
            match recipe.run_description() {
                Ok(text) => properties.push((format!("recipe of {}", entry.name), text)),
                Err(error) => described = Err(error),
            }
        }
    }
    ranks.agree(described)?;
    properties.extend(corpus.properties());
    ranks::check_equal(ranks, &properties)
}

/// Gives a model the vocabulary of the first one.
fn share(
    vocabulary: &VocabularyFlags,
    first: &str,
    flags: &mut TrainFlags,
    name: &str,
) -> Result<()> {
    let own = &flags.vocabulary;
    if own.unit() != vocabulary.unit() {
        return Err(Error::usage(
            format!("{name}: its tokens are {}", own.unit().plural()),
            format!(
                "those of {first} are {}, and all models that are trained have one vocabulary",
                vocabulary.unit().plural()
            ),
            format!("Use --unit {} or another unit for all", own.unit().name()),
        ));
    }
    let shared = VocabularyFlags {
        unit: Some(own.unit()),
        ..vocabulary.clone()
    };
    let given = [
        (
            "vocab-size",
            own.vocab_size != shared.vocab_size && own.vocab_size.is_some(),
        ),
        (
            "min-count",
            own.min_count != shared.min_count && own.min_count.is_some(),
        ),
        (
            "tokenizer",
            own.tokenizer != shared.tokenizer && own.tokenizer.is_some(),
        ),
        ("vocab", own.vocab != shared.vocab && !own.vocab.is_empty()),
    ];
    for (flag, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
        note_line!("note: {name}: without --{flag}, as all models have the vocabulary of {first}");
    }
    flags.vocabulary = shared;
    Ok(())
}

/// An error in the flags of a model, with its name.
fn of_model(name: &str, error: Error) -> Error {
    match error {
        Error::Usage { what, rule, hint } => Error::Usage {
            what: format!("{name}: {what}"),
            rule,
            hint,
        },
        Error::InvalidConfig {
            field,
            value,
            rule,
            hint,
        } => Error::Usage {
            what: format!("{name}: `{field} = {value}`"),
            rule,
            hint,
        },
        error => error,
    }
}
