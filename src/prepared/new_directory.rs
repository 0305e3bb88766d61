//! A directory that gets its name when it is complete.
//!
//! Until then it is `.NAME.incomplete` beside it, and locked: the next process that writes the same
//! directory removes what a killed process left.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::checkpoint::sync_directory;
use crate::error::{Error, Result};

/// The locked file.
const LOCK: &str = ".lock";

/// A directory that is being written. Dropped before [`NewDirectory::complete`], it is removed.
#[derive(Debug)]
pub(super) struct NewDirectory {
    target: PathBuf,
    path: PathBuf,
    is_complete: bool,
    /// Held until the value is dropped.
    _lock: File,
}

impl NewDirectory {
    /// Starts to write `target`.
    ///
    /// # Errors
    /// If another process writes it, or it cannot be created.
    pub(super) fn create(target: &Path) -> Result<Self> {
        let Some(name) = target.file_name() else {
            return Err(Error::invalid(
                target.display().to_string(),
                "it is not the name of a directory",
                "Give the name of a new directory",
            ));
        };
        let path = target.with_file_name(format!(".{}.incomplete", name.to_string_lossy()));
        fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
        let lock = lock(&path)?;
        let directory = Self {
            target: target.to_owned(),
            path,
            is_complete: false,
            _lock: lock,
        };
        directory.remove_leftovers()?;
        Ok(directory)
    }

    /// Where the files are written.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn remove_leftovers(&self) -> Result<()> {
        let entries = fs::read_dir(&self.path).map_err(Error::io("read", &self.path))?;
        for entry in entries.flatten().filter(|entry| entry.file_name() != LOCK) {
            fs::remove_file(entry.path()).map_err(Error::io("remove", &entry.path()))?;
        }
        Ok(())
    }

    /// Gives the directory its name. One that has the name is replaced.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub(super) fn complete(mut self) -> Result<()> {
        sync_directory(&self.path);
        let lock = self.path.join(LOCK);
        fs::remove_file(&lock).map_err(Error::io("remove", &lock))?;
        let replaced = self.path.with_extension("replaced");
        let is_replaced = match fs::rename(&self.target, &replaced) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(Error::io("rename", &self.target)(error)),
        };
        fs::rename(&self.path, &self.target).map_err(Error::io("rename", &self.path))?;
        self.is_complete = true;
        if let Some(parent) = self.target.parent() {
            sync_directory(parent);
        }
        if is_replaced {
            fs::remove_dir_all(&replaced).map_err(Error::io("remove", &replaced))?;
        }
        Ok(())
    }
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        if !self.is_complete {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Creates and locks the file. A file system without locks is used without.
fn lock(directory: &Path) -> Result<File> {
    let path = directory.join(LOCK);
    let file = File::create(&path).map_err(Error::io("create", &path))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Error::invalid(
            directory.display().to_string(),
            "another process writes it",
            "Wait for it, or give another directory",
        )),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}
