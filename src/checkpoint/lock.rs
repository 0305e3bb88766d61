//! The lock on a checkpoint directory: one process at a time writes into it.
//!
//! The system releases the lock when the process ends, however it ends. Readers need no lock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use same_file::Handle;

use super::transaction::{JOURNAL, open, recover, remove_temporary_files, temporary_path};
use super::{FILES, LOG};
use crate::error::{Error, Result};

/// The file that is locked. It contains the id of the process that holds the lock, and is removed
/// when the lock is released.
const LOCK: &str = ".lock";

/// A directory into which only this process writes checkpoints, until the value is dropped.
#[derive(Debug)]
pub struct LockedDirectory {
    path: PathBuf,
    /// The locked file; `None` if the file system has no locks.
    lock: Option<Handle>,
    /// How many older checkpoints a save leaves.
    keep_last: usize,
}

impl LockedDirectory {
    /// Locks a directory. Completes a save that was interrupted, and removes the temporary files of
    /// one that was interrupted earlier.
    ///
    /// # Errors
    /// If it is not a directory, another process writes into it, or it is not writable.
    pub fn lock(path: &Path) -> Result<Self> {
        Self::lock_by(path, File::try_lock)
    }

    fn lock_by(
        path: &Path,
        try_lock: impl Fn(&File) -> std::result::Result<(), TryLockError>,
    ) -> Result<Self> {
        super::check_is_directory(path)?;
        let locked = Self {
            path: path.to_owned(),
            lock: lock_file(path, try_lock)?,
            keep_last: 0,
        };
        recover(path)?;
        // Without a lock they may be those of a live process.
        if locked.lock.is_some() {
            remove_temporary_files(path, &temporary_names())?;
            locked.remove_incomplete_generations()?;
        }
        Ok(locked)
    }

    /// A directory that another process writes, for one that only reads it.
    pub fn for_reading(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            lock: None,
            keep_last: 0,
        }
    }

    /// From now on, a [`save`](super::save) makes a generation of the checkpoint that it replaces,
    /// and removes all but the newest `generations` and the best.
    pub fn keep_last(&mut self, generations: usize) {
        self.keep_last = generations;
    }

    /// How many older checkpoints a save leaves, beside the best.
    pub(super) fn kept_generations(&self) -> usize {
        self.keep_last
    }

    /// What to tell the user where the file system has no locks.
    pub fn warning(&self) -> Option<String> {
        self.lock.is_none().then(|| {
            format!(
                "the file system of {} has no locks: make sure that no other process writes into \
                 this directory",
                self.path.display()
            )
        })
    }
}

impl Deref for LockedDirectory {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl Drop for LockedDirectory {
    fn drop(&mut self) {
        if self.lock.is_some() {
            // The file is removed before it is unlocked. If it stays, the next process locks it.
            let _ = fs::remove_file(self.path.join(LOCK));
        }
    }
}

/// Whether a run that ends before its first checkpoint may leave a file with this name.
pub fn is_leftover(name: &str) -> bool {
    let is_temporary = |file: &str| temporary_path(Path::new(""), file) == Path::new(name);
    [LOG, LOCK].contains(&name) || temporary_names().into_iter().any(is_temporary)
}

/// The files that are written under a temporary name first.
fn temporary_names() -> Vec<&'static str> {
    FILES.iter().copied().chain([LOG, JOURNAL]).collect()
}

/// Locks the file. `None` if the file system has no locks.
fn lock_file(
    directory: &Path,
    try_lock: impl Fn(&File) -> std::result::Result<(), TryLockError>,
) -> Result<Option<Handle>> {
    let path = directory.join(LOCK);
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io("create", &path))?;
        match try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(directory, file)),
            Err(TryLockError::Error(_)) => {
                // An empty file is of no use to anyone.
                let _ = fs::remove_file(&path);
                return Ok(None);
            }
        }
        let lock = Handle::from_file(file).map_err(Error::io("lock", &path))?;
        // Its previous owner may have removed the file between the two calls.
        if open(&path)?.is_none_or(|current| current != lock) {
            continue;
        }
        let mut file = lock.as_file();
        file.set_len(0)
            .and_then(|()| write!(file, "{}", std::process::id()))
            .map_err(Error::io("write", &path))?;
        return Ok(Some(lock));
    }
}

/// The error for a directory into which the process named in `lock` writes.
fn in_use(directory: &Path, mut lock: File) -> Error {
    let mut id = String::new();
    // Some systems do not read a file that is locked.
    let process = match lock.read_to_string(&mut id) {
        Ok(1..) => format!("process {id}"),
        _ => "another process".to_owned(),
    };
    Error::invalid(
        directory.display().to_string(),
        format!("{process} writes into this directory"),
        "Wait until it has ended, or use another directory",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("a directory");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_directory_has_one_writer_whose_leftovers_are_removed() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        fs::write(path.join(".lock"), "9999999").expect("written");
        for name in temporary_names() {
            assert!(is_leftover(&format!(".{name}.new")));
            fs::write(path.join(format!(".{name}.new")), "half").expect("written");
        }
        fs::write(path.join(".other.new"), "not ours").expect("written");
        let lock = LockedDirectory::lock(path).expect("locked");
        assert_eq!(lock.warning(), None);
        assert_eq!(names(path), [".lock", ".other.new"]);
        let message = LockedDirectory::lock(path).expect_err("in use").to_string();
        if cfg!(unix) {
            let id = format!("process {} ", std::process::id());
            assert!(message.contains(&id), "{message}");
        }
        drop(lock);
        assert_eq!(names(path), [".other.new"]);
        LockedDirectory::lock(path).expect("released");
    }

    #[test]
    fn a_file_system_without_locks_brings_a_warning() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        fs::write(path.join(".config.json.new"), "of a live run").expect("written");
        let unsupported = |_: &File| {
            let error = std::io::Error::from(std::io::ErrorKind::Unsupported);
            Err(TryLockError::Error(error))
        };
        let locked = LockedDirectory::lock_by(path, unsupported).expect("not locked");
        let warning = locked.warning().expect("a warning");
        assert!(warning.contains("no locks"), "{warning}");
        drop(locked);
        assert_eq!(names(path), [".config.json.new"]);
    }
}
