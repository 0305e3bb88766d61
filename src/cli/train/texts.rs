//! What a run trains on: the texts, and the vocabulary that turns them into a corpus.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use super::flags::TrainFlags;
use crate::checkpoint::CorpusRecord;
use crate::cli::input::{check_read_once, named};
use crate::cli::sentence_tags;
use crate::corpus::builtin::{self, SampledText};
use crate::corpus::{Corpus, Limits, TextSource, Unit, Vocabulary};
use crate::decompress;
use crate::error::{Error, Result};
use crate::prepared::{PreparedText, Request, Selection, TokenCache, check_no_valid, is_prepared};

/// The training text.
pub(super) enum TrainingText {
    File(PathBuf),
    BuiltIn(SampledText),
}

impl TrainingText {
    pub(super) fn source(&self) -> TextSource<'_> {
        match self {
            Self::File(path) => TextSource::File(path),
            Self::BuiltIn(sampled) => TextSource::Memory(sampled.text.as_bytes()),
        }
    }

    /// The file, unless the text is built in.
    pub(super) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::BuiltIn(_) => None,
        }
    }

    /// The perplexity of the grammar itself on the validation part, where the text is built in and
    /// its tokens are words.
    pub(super) fn grammar_perplexity(&self, corpus: &Corpus, unit: Unit) -> Option<f64> {
        match self {
            Self::BuiltIn(sampled) if unit == Unit::Word => {
                let sentences = corpus.valid.iter().filter(|&id| id == 0).count();
                Some(sampled.perplexity_of_last(sentences))
            }
            _ => None,
        }
    }
}

/// The training text and the validation file.
///
/// # Errors
/// If a validation file is given for the built-in corpus, or standard input for several texts.
pub(super) fn texts(flags: &TrainFlags) -> Result<(TrainingText, Option<PathBuf>)> {
    match (flags.train.clone(), flags.valid.clone()) {
        (Some(path), valid) => {
            if check_standard_input(flags)? && io::stdin().is_terminal() {
                note_line!("reading a text from standard input …");
            }
            Ok((TrainingText::File(path), valid))
        }
        (None, None) => {
            let sampled = builtin::draw(builtin::SENTENCES, builtin::SEED)?;
            Ok((TrainingText::BuiltIn(sampled), None))
        }
        (None, Some(valid)) => Err(Error::usage(
            format!("--valid {}", valid.display()),
            "the built-in corpus has its own validation part",
            "Add --train",
        )),
    }
}

/// Checks that standard input is read once. Returns whether it is read.
///
/// # Errors
/// If several flags name it.
pub(super) fn check_standard_input(flags: &TrainFlags) -> Result<bool> {
    let single = [
        ("--train", &flags.train),
        ("--valid", &flags.valid),
        ("--vectors", &flags.vectors),
    ];
    let single = single
        .into_iter()
        .filter_map(|(flag, path)| Some((flag, path.as_deref()?)));
    check_read_once(single.chain(named("--vocab", &flags.vocabulary.vocab)))
}

/// Reads the corpus with the vocabulary of an existing model, the one that the flags give, or a new
/// one.
///
/// # Errors
/// If a file cannot be read or used.
pub(super) fn read_corpus(
    flags: &TrainFlags,
    text: &TrainingText,
    valid: Option<&PathBuf>,
    unit: Unit,
    existing: Option<Vocabulary>,
) -> Result<Corpus> {
    let limits = flags.vocabulary.limits()?;
    let valid = valid.map(PathBuf::as_path);
    let corpus = match text {
        TrainingText::File(path) if is_prepared(path) => {
            open_prepared(flags, path, valid, unit, existing)?
        }
        _ => read_texts(flags, text, valid, unit, existing)?,
    };
    let files = text.path().into_iter().chain(valid.map(Path::to_owned));
    let names: Vec<String> = files
        .map(|path| decompress::name(&path).to_string())
        .collect();
    sentence_tags::note(&names.join(" and "), corpus.tags);
    note_missing_subwords(&corpus, limits);
    Ok(corpus)
}

/// Opens a prepared text. Its vocabulary must be the one that is asked for.
fn open_prepared(
    flags: &TrainFlags,
    directory: &Path,
    valid: Option<&Path>,
    unit: Unit,
    existing: Option<Vocabulary>,
) -> Result<Corpus> {
    check_no_valid(directory, valid)?;
    if let Some(vocabulary) = existing {
        return Ok(PreparedText::open_with(directory, &vocabulary, unit)?.corpus);
    }
    let text = PreparedText::open(directory)?;
    let asked = &flags.vocabulary;
    let is_same = match &text.selection {
        Selection { model: Some(_), .. } => !asked.selects_types() && asked.tokenizer.is_none(),
        Selection {
            limits,
            tokenizer,
            vocab,
            model: None,
        } => *limits == asked.limits()? && *tokenizer == asked.tokenizer && *vocab == asked.vocab,
    };
    if is_same && text.unit == unit {
        return Ok(text.corpus);
    }
    Err(Error::usage(
        "--unit, --vocab-size, --min-count, --tokenizer or --vocab",
        format!(
            "the types of the prepared text {} were selected otherwise",
            directory.display()
        ),
        "Remove the flag, or give it to `elman prepare`",
    ))
}

/// Reads the texts: into memory or, if the training text is large, into the cache.
fn read_texts(
    flags: &TrainFlags,
    text: &TrainingText,
    valid: Option<&Path>,
    unit: Unit,
    existing: Option<Vocabulary>,
) -> Result<Corpus> {
    let limits = flags.vocabulary.limits()?;
    let vocabulary = match existing {
        Some(vocabulary) => Some(vocabulary),
        None => flags.vocabulary.given(unit)?,
    };
    if let TrainingText::File(path) = text
        && let Some(cache) = flags.cache.cache_for(path)?
    {
        // The name of the cached tokens depends on both texts: on the state of a file, or on the
        // content of a pipe, which is read into memory.
        let once = valid.filter(|path| decompress::is_read_once(path));
        let content = once.map(decompress::read).transpose()?;
        let request = Request {
            train: TextSource::File(path),
            valid: valid.map(|path| match &content {
                Some(content) => TextSource::Content(path, content),
                None => TextSource::File(path),
            }),
            unit,
            vocabulary,
            selection: Selection {
                limits,
                ..Selection::default()
            },
        };
        return read_cached(&cache, request);
    }
    match vocabulary {
        Some(vocabulary) => Corpus::read_with(vocabulary, text.source(), valid, unit),
        None => Corpus::read(text.source(), valid, unit, limits),
    }
}

/// Reads a large text from the cache.
fn read_cached(cache: &TokenCache, request: Request<'_>) -> Result<Corpus> {
    let path = cache.path(&request)?;
    let verb = match is_prepared(&path) {
        true => "are read from",
        false => "are kept in",
    };
    note_line!(
        "note: the training text is large (--cache-above), so its tokens {verb} {}",
        path.display()
    );
    Ok(TokenCache::open_or_prepare(&path, request)?.corpus)
}

/// What a checkpoint says about the corpus of a run.
///
/// # Errors
/// If a flag is out of range.
pub(super) fn corpus_record(
    flags: &TrainFlags,
    train: Option<PathBuf>,
    valid: Option<PathBuf>,
    corpus: &Corpus,
) -> Result<CorpusRecord> {
    Ok(CorpusRecord {
        train,
        valid,
        bytes: corpus.report.bytes,
        sha256: corpus.report.sha256.clone(),
        limits: flags.vocabulary.limits()?,
        tokenizer: flags.vocabulary.tokenizer.clone(),
        vocab: flags.vocabulary.vocab.clone(),
        init: flags.init.clone(),
        vectors: flags.vectors.clone(),
    })
}

/// Prints a note where a text has fewer subwords than requested.
fn note_missing_subwords(corpus: &Corpus, limits: Limits) {
    let found = corpus.vocabulary.len();
    let Some(requested) = limits.vocab_size.filter(|&requested| found < requested) else {
        return;
    };
    if corpus.vocabulary.subwords().is_some() {
        note_line!(
            "note: {found} subwords, not the {requested} of --vocab-size: no other pair of \
             adjacent subwords occurs {} times in the text",
            limits.min_count
        );
    }
}
