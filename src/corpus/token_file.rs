//! A file of token ids that is read by position, a page at a time, so that a text may be larger
//! than memory.
//!
//! The file has the ids, each of one, two or four bytes, little-endian, and nothing else before
//! them. After them it has a CRC-32 of each page of [`PAGE_BYTES`] bytes, in four bytes each. The
//! number of ids and their width are not in the file: see [`prepared`](super::prepared). It is not
//! mapped into memory: a process that reads a mapped file ends when the file is truncated.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::id_width::IdWidth;
use crate::error::{Error, Result};
use crate::tensor::NONE;

/// Bytes of a page: a multiple of every width.
pub(super) const PAGE_BYTES: usize = 1 << 14;
/// Pages that are kept in memory, 32 MiB: a training run reads as many places as it has streams.
const KEPT_PAGES: NonZero<usize> = NonZero::new(2048).expect("not zero");

/// A file of token ids.
#[derive(Debug)]
pub(super) struct TokenFile {
    path: PathBuf,
    len: usize,
    width: IdWidth,
    /// All ids are less, or [`NONE`].
    types: usize,
    /// The CRC-32 of each page.
    checksums: Vec<u32>,
    state: Mutex<State>,
}

/// What reading changes.
#[derive(Debug)]
struct State {
    file: File,
    pages: LruCache<usize, Arc<[u8]>>,
    /// Why a page could not be read.
    failure: Option<String>,
}

impl TokenFile {
    /// Opens a file with `len` ids below `types`.
    ///
    /// # Errors
    /// If it cannot be read, or has another length.
    pub(super) fn open(path: &Path, len: usize, width: IdWidth, types: usize) -> Result<Self> {
        let failed = || Error::io("read", path);
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        // A size that no file has saturates and differs from the file's.
        let bytes = (len as u64).saturating_mul(width.bytes() as u64);
        let pages = bytes.div_ceil(PAGE_BYTES as u64);
        let expected = bytes.saturating_add(4 * pages);
        let found = file.metadata().map_err(failed())?.len();
        if found != expected {
            let rule = format!("it has {found} bytes, and {len} tokens need {expected}");
            return Err(damaged(path, rule));
        }
        file.seek(SeekFrom::Start(bytes)).map_err(failed())?;
        let mut checksums = Vec::new();
        file.read_to_end(&mut checksums).map_err(failed())?;
        let checksums: Vec<u32> = checksums
            .as_chunks()
            .0
            .iter()
            .map(|&four| u32::from_le_bytes(four))
            .collect();
        if checksums.len() as u64 != pages {
            return Err(damaged(path, "it changed while it was opened"));
        }
        Ok(Self {
            path: path.to_owned(),
            len,
            width,
            types,
            checksums,
            state: Mutex::new(State {
                file,
                pages: LruCache::new(KEPT_PAGES),
                failure: None,
            }),
        })
    }

    /// Number of tokens.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn width(&self) -> IdWidth {
        self.width
    }

    /// Copies the tokens from position `start` on, which must be in range; [`NONE`] for those that
    /// cannot be read.
    pub(super) fn copy(&self, mut start: usize, mut ids: &mut [u32]) {
        let per_page = PAGE_BYTES / self.width.bytes();
        let mut state = self.lock();
        while !ids.is_empty() {
            let first = start % per_page;
            let count = ids.len().min(per_page - first);
            let (now, later) = ids.split_at_mut(count);
            match self.page(&mut state, start / per_page) {
                Ok(page) => self.width.copy(&page, first, now),
                Err(failure) => {
                    now.fill(NONE);
                    state.failure.get_or_insert(failure);
                }
            }
            start += count;
            ids = later;
        }
    }

    /// Checks that all pages so far could be read.
    ///
    /// # Errors
    /// If one could not.
    pub(super) fn check(&self) -> Result<()> {
        match &self.lock().failure {
            None => Ok(()),
            Some(failure) => Err(damaged(&self.path, failure.clone())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page, from memory or from the file; or why it cannot be read.
    fn page(&self, state: &mut State, index: usize) -> std::result::Result<Arc<[u8]>, String> {
        if let Some(page) = state.pages.get(&index) {
            return Ok(page.clone());
        }
        let start = index * PAGE_BYTES;
        let end = (start + PAGE_BYTES).min(self.len * self.width.bytes());
        let mut page = vec![0; end - start];
        read_at(&mut state.file, start as u64, &mut page)
            .map_err(|error| format!("bytes {start} to {end} cannot be read: {error}"))?;
        if crc32fast::hash(&page) != self.checksums[index] {
            return Err(format!(
                "bytes {start} to {end} were changed or damaged: their CRC-32 is not that at the \
                 end of the file"
            ));
        }
        self.check_ids(&page)?;
        let page: Arc<[u8]> = page.into();
        state.pages.put(index, page.clone());
        Ok(page)
    }

    fn check_ids(&self, page: &[u8]) -> std::result::Result<(), String> {
        let mut ids = vec![NONE; page.len() / self.width.bytes()];
        self.width.copy(page, 0, &mut ids);
        let is_type = |&id: &u32| id == NONE || (id as usize) < self.types;
        match ids.iter().find(|id| !is_type(id)) {
            None => Ok(()),
            Some(id) => Err(format!(
                "it has the token id {id}, and the vocabulary has {} types",
                self.types
            )),
        }
    }
}

fn read_at(file: &mut File, start: u64, bytes: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(bytes)
}

fn damaged(path: &Path, rule: impl Into<String>) -> Error {
    Error::invalid(
        path.display().to_string(),
        rule,
        "Make the directory again with `elman prepare`, or restore it from a copy",
    )
}
