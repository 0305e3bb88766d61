//! Writes the token ids of a text: to memory, or to a [token file](super::token_file).

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::id_width::IdWidth;
use super::token_file::{PAGE_BYTES, TokenFile};
use super::tokens::{IdList, Tokens};
use crate::error::{Error, Result};
use crate::tensor::NONE;

/// Where the tokens of texts are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Store<'a> {
    Memory,
    /// In files of this directory.
    Directory(&'a Path),
}

impl Store<'_> {
    /// A writer of tokens. In a directory, the file has the name `name`.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub(super) fn writer(self, name: &str) -> Result<TokenWriter> {
        Ok(match self {
            Self::Memory => TokenWriter::Memory(IdList::default()),
            Self::Directory(directory) => {
                TokenWriter::File(FileWriter::create(directory.join(name), IdWidth::One)?)
            }
        })
    }

    /// Removes the file of tokens that are no longer needed, if there is one.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub(super) fn remove(self, name: &str) -> Result<()> {
        let Self::Directory(directory) = self else {
            return Ok(());
        };
        let path = directory.join(name);
        fs::remove_file(&path).map_err(Error::io("remove", &path))
    }
}

/// Writes tokens one after the other.
#[derive(Debug)]
pub(super) enum TokenWriter {
    Memory(IdList),
    File(FileWriter),
}

impl TokenWriter {
    /// Appends a token.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn push(&mut self, id: u32) -> Result<()> {
        match self {
            Self::Memory(list) => list.push(id),
            Self::File(writer) => writer.push(id)?,
        }
        Ok(())
    }

    /// Appends several tokens.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn extend(&mut self, ids: impl IntoIterator<Item = u32>) -> Result<()> {
        ids.into_iter().try_for_each(|id| self.push(id))
    }

    /// The tokens that were written; a file is complete and on disk.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn finish(self) -> Result<Tokens> {
        match self {
            Self::Memory(list) => Ok(list.into()),
            Self::File(writer) => writer.finish(),
        }
    }
}

/// Writes a token file. While its ids are narrow, so is the file: the first wider id rewrites it.
#[derive(Debug)]
pub(super) struct FileWriter {
    path: PathBuf,
    file: BufWriter<File>,
    width: IdWidth,
    /// The page that is not yet written.
    page: Vec<u8>,
    checksums: Vec<u32>,
    len: usize,
    known: usize,
    /// The largest id so far, plus 1.
    types: usize,
}

impl FileWriter {
    fn create(path: PathBuf, width: IdWidth) -> Result<Self> {
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        Ok(Self {
            path,
            file: BufWriter::new(file),
            width,
            page: Vec::with_capacity(PAGE_BYTES),
            checksums: Vec::new(),
            len: 0,
            known: 0,
            types: 0,
        })
    }

    fn push(&mut self, id: u32) -> Result<()> {
        while !self.width.fits(id) {
            self.widen()?;
        }
        self.width.push(id, &mut self.page);
        self.len += 1;
        if id != NONE {
            self.known += 1;
            self.types = self.types.max(id as usize + 1);
        }
        if self.page.len() == PAGE_BYTES {
            self.write_page().map_err(Error::io("write", &self.path))?;
        }
        Ok(())
    }

    fn write_page(&mut self) -> io::Result<()> {
        self.checksums.push(crc32fast::hash(&self.page));
        self.file.write_all(&self.page)?;
        self.page.clear();
        Ok(())
    }

    /// Rewrites the file with wider ids.
    fn widen(&mut self) -> Result<()> {
        let mut wider = Self::create(self.path.with_extension("wider"), self.width.wider())?;
        let narrow = self.complete()?;
        for id in narrow.iter() {
            wider.push(id)?;
        }
        narrow.check()?;
        drop(narrow);
        fs::rename(&wider.path, &self.path).map_err(Error::io("rename", &wider.path))?;
        wider.path.clone_from(&self.path);
        *self = wider;
        Ok(())
    }

    fn finish(mut self) -> Result<Tokens> {
        let tokens = self.complete()?;
        let file = self.file.get_ref();
        file.sync_all().map_err(Error::io("sync", &self.path))?;
        Ok(tokens)
    }

    /// Writes what is missing of the file, and opens it.
    fn complete(&mut self) -> Result<Tokens> {
        self.write_end().map_err(Error::io("write", &self.path))?;
        let file = TokenFile::open(&self.path, self.len, self.width, self.types)?;
        Ok(Tokens::of_file(file, self.known))
    }

    fn write_end(&mut self) -> io::Result<()> {
        if !self.page.is_empty() {
            self.write_page()?;
        }
        for checksum in &self.checksums {
            self.file.write_all(&checksum.to_le_bytes())?;
        }
        self.file.flush()
    }
}
