//! Reading the files of a checkpoint while another process may replace them.
//!
//! A reader writes nothing. It opens all files before it reads any, and opens them again where a
//! save replaced some of them meanwhile, so that what it reads comes from one save. A file that is
//! open keeps its content when another file takes its name.

use std::collections::BTreeMap;
use std::io::Seek;
use std::path::{Path, PathBuf};
use std::time::Duration;

use same_file::Handle;
use serde::Deserialize;

use super::manifest::{Manifest, RESTORE};
use super::transaction::{Journal, open};
use super::{FILES, FORMAT, MANIFEST, check_is_directory};
use crate::activity::{Activity, CountedReader, read_to_end};
use crate::error::{Error, Result};
use crate::hash::Hash;

/// How often the files are opened before the reader gives up. A save takes much longer than opening
/// the files.
const ATTEMPTS: usize = 1000;

/// The files of a checkpoint, all written by one save.
#[derive(Debug)]
pub struct CheckpointFiles {
    directory: PathBuf,
    /// The files that exist.
    handles: BTreeMap<&'static str, Handle>,
    /// What their content must be; `None` for a model without manifest.
    manifest: Option<Manifest>,
}

impl CheckpointFiles {
    /// Opens the files of the last complete save.
    ///
    /// # Errors
    /// If it is not a directory, or a file cannot be opened.
    pub fn open(directory: &Path) -> Result<Self> {
        check_is_directory(directory)?;
        for _ in 0..ATTEMPTS {
            if let Some(handles) = open_once(directory)? {
                let files = Self {
                    directory: directory.to_owned(),
                    handles,
                    manifest: None,
                };
                return files.with_manifest();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(Error::invalid(
            directory.display().to_string(),
            "its files are replaced faster than they can be opened",
            "Read a copy of the directory",
        ))
    }

    /// Reads the manifest, if there is one.
    fn with_manifest(self) -> Result<Self> {
        if !self.contains(MANIFEST) {
            return Ok(self);
        }
        let manifest: Manifest = self.json(MANIFEST)?;
        for name in self.handles.keys().filter(|name| **name != MANIFEST) {
            manifest.check_lists(name, &self.path(MANIFEST))?;
        }
        Ok(Self {
            manifest: Some(manifest),
            ..self
        })
    }

    /// Whether every file that is read is checked against the manifest. Models of version 0.1.0,
    /// and those whose manifest was removed, have none.
    pub fn has_manifest(&self) -> bool {
        self.manifest.is_some()
    }

    /// Checks that all files of the manifest are there and intact.
    ///
    /// # Errors
    /// If there is no manifest, or a file is not the one that was written.
    pub fn verify(&self) -> Result<()> {
        let Some(manifest) = &self.manifest else {
            return Err(self.missing(MANIFEST));
        };
        let mut names = manifest.names();
        names.try_for_each(|name| self.bytes(name).map(drop))
    }

    /// The path of a file, for messages.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Whether the checkpoint has this file.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.handles.contains_key(name)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it is missing, cannot be read, or is not the one that was written.
    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path(name);
        let content = read_to_end(self.rewind(name)?, &path).map_err(Error::io("read", &path))?;
        match &self.manifest {
            Some(manifest) if name != MANIFEST => manifest.check(name, &content, &path, RESTORE)?,
            _ => {}
        }
        Ok(content)
    }

    /// Reads a UTF-8 file.
    ///
    /// # Errors
    /// If it is missing, cannot be read or is not UTF-8.
    pub(super) fn text(&self, name: &str) -> Result<String> {
        String::from_utf8(self.bytes(name)?).map_err(|error| {
            Error::invalid(
                self.path(name).display().to_string(),
                format!("it is not UTF-8 ({error})"),
                super::RESTORE_ALL,
            )
        })
    }

    /// The SHA-256 of a file in hexadecimal digits.
    ///
    /// # Errors
    /// If it is missing or cannot be read.
    pub(super) fn sha256(&self, name: &str) -> Result<String> {
        let (file, path) = (self.rewind(name)?, self.path(name));
        let activity = Activity::start_with_file("checking", &path, file);
        Hash::of(CountedReader::new(file, activity)).map_err(Error::io("read", &path))
    }

    /// Reads a JSON file with a `version` field.
    ///
    /// # Errors
    /// If the file cannot be read, its version is newer than [`FORMAT`], or it does not have the
    /// fields of `T`.
    pub(super) fn json<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Result<T> {
        let path = self.path(name).display().to_string();
        let damaged = |error: serde_json::Error| {
            Error::invalid(
                path.clone(),
                format!("it is not a file that Elman wrote ({error})"),
                match name {
                    MANIFEST => {
                        "Restore it from a copy, or remove it if the other files are intact"
                    }
                    _ => "Restore it from a copy, or train again",
                },
            )
        };
        let value: serde_json::Value = serde_json::from_str(&self.text(name)?).map_err(damaged)?;
        let version = value
            .get("version")
            .and_then(serde_json::Value::as_u64)
            .unwrap_or(0);
        if version > u64::from(FORMAT) {
            return Err(Error::invalid(
                path.clone(),
                format!("its version is {version}, and this program reads up to {FORMAT}"),
                "Use a newer version of Elman",
            ));
        }
        serde_json::from_value(value).map_err(damaged)
    }

    fn missing(&self, name: &str) -> Error {
        Error::invalid(
            self.path(name).display().to_string(),
            "it is missing",
            "Give a directory that `elman train` wrote, or restore the file from a copy",
        )
    }

    /// A file at its start.
    fn rewind(&self, name: &str) -> Result<&std::fs::File> {
        let path = self.path(name);
        let Some(handle) = self.handles.get(name) else {
            return Err(self.missing(name));
        };
        let mut file = handle.as_file();
        file.rewind().map_err(Error::io("read", &path))?;
        Ok(file)
    }
}

/// Opens the files. `None` if a save may have replaced some of them meanwhile.
fn open_once(directory: &Path) -> Result<Option<BTreeMap<&'static str, Handle>>> {
    let journal = Journal::read(directory)?;
    let mut handles = BTreeMap::new();
    for &name in FILES {
        let handle = match &journal {
            Some(journal) => journal.open_file(directory, name)?,
            None => open(&directory.join(name))?,
        };
        handles.extend(handle.map(|handle| (name, handle)));
    }
    let unchanged = match journal {
        Some(journal) => journal.is_current(directory)?,
        None => Journal::read(directory)?.is_none() && all_current(directory, &handles)?,
    };
    Ok(unchanged.then_some(handles))
}

/// Whether the names of all files are still those of the open ones.
fn all_current(directory: &Path, handles: &BTreeMap<&'static str, Handle>) -> Result<bool> {
    for &name in FILES {
        if open(&directory.join(name))?.as_ref() != handles.get(name) {
            return Ok(false);
        }
    }
    Ok(true)
}
