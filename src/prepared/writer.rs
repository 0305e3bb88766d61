//! Writes the directory of a prepared text.

use std::fs;
use std::path::Path;

use super::new_directory::NewDirectory;
use super::{DESCRIPTION, Description, FORMAT, Selection, TokensRecord};
use crate::checkpoint::{MANIFEST, Manifest, TOKENIZER, VOCABULARY, json, write_types};
use crate::corpus::{Corpus, CorpusTexts, Store, TextSource, Types, Unit, Vocabulary};
use crate::error::{Error, Result};

/// The texts to prepare, and their vocabulary.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The training text.
    pub train: TextSource<'a>,
    /// The validation text; `None` if the last tenth of the training text is held out.
    pub valid: Option<TextSource<'a>>,
    /// The unit of both.
    pub unit: Unit,
    /// The vocabulary; `None` if the limits of `selection` select types of the training text.
    pub vocabulary: Option<Vocabulary>,
    /// How the types were selected, for `elman train`.
    pub selection: Selection,
}

/// Tokenizes texts and writes `directory`, which appears when it is complete. A directory of this
/// name is replaced.
///
/// # Errors
/// If a text cannot be read or has no tokens, or the directory cannot be written.
pub fn prepare(request: Request<'_>, directory: &Path) -> Result<()> {
    let new = NewDirectory::create(directory)?;
    let texts = CorpusTexts {
        train: request.train,
        valid: request.valid,
        unit: request.unit,
    };
    let types = match request.vocabulary {
        Some(vocabulary) => Types::Given(vocabulary),
        None => Types::Selected(request.selection.limits),
    };
    let corpus = texts.read(types, Store::Directory(new.path()))?;
    let description = Description {
        version: FORMAT,
        unit: request.unit,
        selection: request.selection,
        vocab_size: corpus.vocabulary.len(),
        maps_unknown: corpus.vocabulary.unknown().is_some(),
        report: corpus.report.clone(),
        tags: corpus.tags,
        train: TokensRecord::of(&corpus.train),
        valid: TokensRecord::of(&corpus.valid),
        is_held_out: request.valid.is_none(),
        counts: corpus.counts()?.into_owned(),
    };
    write_files(&description, &corpus, new.path())?;
    // Open files would keep some systems from renaming the directory.
    drop(corpus);
    new.complete()
}

/// Writes the files but those of tokens.
fn write_files(description: &Description, corpus: &Corpus, directory: &Path) -> Result<()> {
    let (name, content) = match corpus.vocabulary.subwords() {
        Some(subwords) => (TOKENIZER, subwords.json().as_bytes().to_vec()),
        None => (
            VOCABULARY,
            write_types(corpus.vocabulary.types()).into_bytes(),
        ),
    };
    let mut manifest = Manifest::new();
    for (name, content) in [(name, content), (DESCRIPTION, json(description))] {
        write_synced(&directory.join(name), &content)?;
        manifest.add(name, &directory.join(name))?;
    }
    write_synced(&directory.join(MANIFEST), &json(&manifest))
}

fn write_synced(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content)
        .and_then(|()| fs::File::open(path)?.sync_all())
        .map_err(Error::io("write", path))
}
