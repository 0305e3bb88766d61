//! `manifest.json`: the length and the SHA-256 of every file of a checkpoint.
//!
//! Written with the files, in the same transaction. A reader checks each file that it reads, so a
//! damaged byte is an error instead of another answer. Models of version 0.1.0 have no manifest.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{FORMAT, MANIFEST};
use crate::error::{Error, Result};
use crate::hash::Hash;

/// How to get a file of a checkpoint back.
pub(super) const RESTORE: &str =
    "Restore it from a copy or use an older checkpoint (`checkpoints/`)";

/// The content of `manifest.json`. It lists every file of the checkpoint except itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// The [`FORMAT`] of the program that wrote the file.
    version: u32,
    files: BTreeMap<String, FileRecord>,
}

/// What the manifest says of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRecord {
    /// Its length.
    bytes: u64,
    /// Its SHA-256 in hexadecimal digits.
    sha256: String,
}

impl Manifest {
    /// A manifest without files.
    pub(crate) fn new() -> Self {
        Self {
            version: FORMAT,
            files: BTreeMap::new(),
        }
    }

    /// Adds the file at `path`, whose name will be `name`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn add(&mut self, name: &str, path: &Path) -> Result<()> {
        let file = File::open(path).map_err(Error::io("read", path))?;
        let bytes = file.metadata().map_err(Error::io("read", path))?.len();
        let sha256 = Hash::of(file).map_err(Error::io("read", path))?;
        let record = FileRecord { bytes, sha256 };
        self.files.insert(name.to_owned(), record);
        Ok(())
    }

    /// The names of the files that it lists.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Checks that the manifest, at `path`, lists a file. One that it lists may be missing: a model
    /// can be used without its training state.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) fn check_lists(&self, name: &str, path: &Path) -> Result<()> {
        if self.files.contains_key(name) {
            return Ok(());
        }
        let path = path.with_file_name(name);
        Err(damaged(&path, "manifest.json does not list it", RESTORE))
    }

    /// Checks the content of the file `name`. `restore` says how to get the file back.
    ///
    /// # Errors
    /// If its length or its SHA-256 is another one.
    pub(crate) fn check(
        &self,
        name: &str,
        content: &[u8],
        path: &Path,
        restore: &str,
    ) -> Result<()> {
        let Some(record) = self.files.get(name) else {
            return Err(damaged(path, "manifest.json does not list it", restore));
        };
        if content.len() as u64 != record.bytes {
            let rule = format!(
                "it has {} bytes, and {} when it was written",
                content.len(),
                record.bytes
            );
            return Err(damaged(path, rule, restore));
        }
        let sha256 = Hash::of(content).map_err(Error::io("read", path))?;
        if sha256 != record.sha256 {
            let rule = "it was changed or damaged after it was written: its SHA-256 is not that of \
                        manifest.json";
            return Err(damaged(path, rule, restore));
        }
        Ok(())
    }
}

/// The error for a file that is not the one that was written.
fn damaged(path: &Path, rule: impl Into<String>, restore: &str) -> Error {
    Error::invalid(
        path.display().to_string(),
        rule,
        format!(
            "{restore}; if you changed it on purpose, remove {}",
            path.with_file_name(MANIFEST).display()
        ),
    )
}
