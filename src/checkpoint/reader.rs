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

use super::transaction::{Journal, open};
use super::{FILES, FORMAT, check_is_directory};
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
                return Ok(Self {
                    directory: directory.to_owned(),
                    handles,
                });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(Error::invalid(
            directory.display().to_string(),
            "its files are replaced faster than they can be opened",
            "Read a copy of the directory",
        ))
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
    /// If it is missing or cannot be read.
    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path(name);
        read_to_end(self.rewind(name)?, &path).map_err(Error::io("read", &path))
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
                "Restore it from a copy, or train again",
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

    /// A file at its start.
    fn rewind(&self, name: &str) -> Result<&std::fs::File> {
        let path = self.path(name);
        let Some(handle) = self.handles.get(name) else {
            return Err(Error::invalid(
                path.display().to_string(),
                "it is missing",
                "Give a directory that `elman train` wrote, or restore the file from a copy",
            ));
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
