//! Prepared texts that `elman train` makes of large texts by itself.
//!
//! Each is a directory whose name is a hash of what it was made from: the paths, lengths and times
//! of the texts, or the content of a text from a pipe, and how the types are selected.

use std::borrow::Cow;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::{FORMAT, PreparedText, Request, prepare};
use crate::checkpoint::json;
use crate::corpus::TextSource;
use crate::error::{Error, Result};
use crate::hash::Hash;

/// A directory of prepared texts.
#[derive(Debug, Clone)]
pub struct TokenCache {
    directory: PathBuf,
}

impl TokenCache {
    /// The cache in `directory`, which is created when it is first written to.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Where the prepared text of `request` is or will be. Its texts must be single files.
    ///
    /// # Errors
    /// If the state of a file cannot be read.
    pub fn path(&self, request: &Request<'_>) -> Result<PathBuf> {
        let mut hash = Hash::default();
        let mut add = |bytes: &[u8]| {
            // Hashing cannot fail. The lengths keep the parts apart.
            let _ = hash.write_all(&bytes.len().to_le_bytes());
            let _ = hash.write_all(bytes);
        };
        add(&FORMAT.to_le_bytes());
        add(&json(&(request.unit, &request.selection)));
        for source in [Some(request.train), request.valid].into_iter().flatten() {
            add(&identity(source)?);
        }
        if let Some(vocabulary) = &request.vocabulary {
            add(&[vocabulary.unknown().is_some().into()]);
            add(vocabulary.subwords().map_or("", |it| it.json()).as_bytes());
            let types = vocabulary.types().iter();
            types.for_each(|token| add(token.as_bytes()));
        }
        let mut name = hash.hexadecimal();
        name.truncate(32);
        Ok(self.directory.join(name))
    }

    /// Opens the prepared text at `path`, which [`TokenCache::path`] has returned, and makes it
    /// first if it is not there.
    ///
    /// # Errors
    /// If a text cannot be read, or the directory cannot be written or is damaged.
    pub fn open_or_prepare(path: &Path, request: Request<'_>) -> Result<PreparedText> {
        if !super::is_prepared(path) {
            prepare(request, path)?;
        }
        PreparedText::open(path)
    }
}

/// What tells a text from others: the content, or the state of its file.
fn identity(source: TextSource<'_>) -> Result<Cow<'_, [u8]>> {
    match source {
        TextSource::File(path) => file_state(path).map(Cow::Owned),
        TextSource::Content(_, text) | TextSource::Memory(text) => Ok(text.into()),
        TextSource::Files(_) => Err(Error::invalid(
            "the token cache",
            "it has texts of one file each",
            "Use `elman prepare`",
        )),
    }
}

/// The path, the length and the time of the last change of a file.
fn file_state(path: &Path) -> Result<Vec<u8>> {
    let failed = || Error::io("read", path);
    let full = fs::canonicalize(path).map_err(failed())?;
    let metadata = fs::metadata(path).map_err(failed())?;
    let changed = metadata.modified().map_err(failed())?;
    let changed = changed.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut state = full.into_os_string().into_encoded_bytes();
    state.extend(metadata.len().to_le_bytes());
    state.extend(changed.as_nanos().to_le_bytes());
    Ok(state)
}
