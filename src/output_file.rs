//! Writes a file for another program: a new file takes its name when it is complete.
//!
//! In: a path and what to write. Out: the new file or, after a failure, the old one. Until it is
//! complete, the new file has a unique name, so two processes that write to the same path do not
//! interfere. It is locked while it is written: the next process that writes to the path removes
//! the files of killed processes, whose locks the system has released.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use same_file::Handle;
use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// The end of a temporary file's name.
const SUFFIX: &str = ".new";

/// Writes a file under a temporary name in the same directory, syncs it, and renames it. A symbolic
/// link stays and its file is replaced. What is no regular file, such as a pipe, is written to.
///
/// # Errors
/// If it cannot be written; an existing file is unchanged.
pub fn write_file(path: &Path, write: impl FnOnce(&File) -> io::Result<()>) -> Result<()> {
    let target = Target::of(path)?;
    let written = match &target.directory {
        None => File::options()
            .write(true)
            .open(&target.path)
            .and_then(|file| write(&file)),
        Some(directory) => replace(directory, &target.path, &target.name, write),
    };
    written.map_err(Error::io("write", path))
}

/// Checks that [`write_file`] can create its file, before what is to be written is computed.
///
/// # Errors
/// If it cannot.
#[cfg(feature = "cli")]
pub fn check_writable(path: &Path) -> Result<()> {
    let target = Target::of(path)?;
    match target.directory {
        // A pipe is opened once.
        None => Ok(()),
        Some(directory) => temporary_file(&directory, &target.name)
            .map(drop)
            .map_err(Error::io("write", path)),
    }
}

/// Where a file is written.
struct Target {
    path: PathBuf,
    name: String,
    /// The directory of the file; `None` for what is no regular file, such as a pipe.
    directory: Option<PathBuf>,
}

impl Target {
    /// # Errors
    /// If the path does not end in a name.
    fn of(path: &Path) -> Result<Self> {
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let is_directory = path.to_string_lossy().ends_with(std::path::is_separator);
        let Some(name) = target.file_name().filter(|_| !is_directory) else {
            return Err(Error::invalid(
                path.display().to_string(),
                "it is not a file name",
                "Give the name of a file to write",
            ));
        };
        let is_file = fs::metadata(&target).map_or(true, |metadata| metadata.is_file());
        let directory = target
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            directory: is_file.then(|| directory.to_owned()),
            path: target,
        })
    }
}

fn replace(
    directory: &Path,
    path: &Path,
    name: &str,
    write: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let new = temporary_file(directory, name)?;
    write(new.as_file())?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|error| error.error)?;
    // Persists the rename. Not all systems can sync directories.
    if let Ok(handle) = File::open(directory) {
        let _ = handle.sync_all();
    }
    Ok(())
}

/// A new file that is removed when it is dropped before it takes its name.
fn temporary_file(directory: &Path, name: &str) -> io::Result<NamedTempFile> {
    let prefix = format!(".{name}.");
    remove_abandoned(directory, &prefix);
    tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(SUFFIX)
        .make_in(directory, create_locked)
}

/// Creates a file and locks it, where the file system has locks.
fn create_locked(path: &Path) -> io::Result<File> {
    let file = File::options().write(true).create_new(true).open(path)?;
    let is_locked = match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::Error(_)) => return Ok(file),
        Err(TryLockError::WouldBlock) => false,
    };
    // Before it was locked, another process may have taken it for an abandoned one.
    if is_locked && is_at(&file, path) {
        Ok(file)
    } else {
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// Whether the file still has this path.
fn is_at(file: &File, path: &Path) -> bool {
    let handle = file.try_clone().and_then(Handle::from_file);
    handle.is_ok_and(|handle| Handle::from_path(path).is_ok_and(|other| other == handle))
}

/// Removes the temporary files that no process writes. What cannot be removed stays.
fn remove_abandoned(directory: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if is_temporary(&entry.file_name().to_string_lossy(), prefix)
            && let Ok(file) = File::options().write(true).open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether [`replace`] may have given a file this name.
fn is_temporary(name: &str, prefix: &str) -> bool {
    let random = name
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_suffix(SUFFIX));
    random.is_some_and(|random| {
        random.len() == 6 && random.chars().all(|letter| letter.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("a directory").flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn writers_of_one_file_do_not_mix() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("out");
        write_file(&path, |mut file| {
            file.write_all(b"first ")?;
            // A second writer starts and ends meanwhile.
            write_file(&path, |mut file| file.write_all(b"second")).expect("written");
            assert_eq!(fs::read(&path)?, b"second");
            assert_eq!(names(directory.path()).len(), 2, "the first is not removed");
            file.write_all(b"writer")
        })
        .expect("written");
        assert_eq!(fs::read(&path).expect("read"), b"first writer");
        assert_eq!(names(directory.path()), ["out"]);
    }

    #[test]
    fn nothing_stays_after_a_failure_or_a_killed_process() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("out");
        fs::write(&path, "old").expect("written");
        // Of a killed process, and of the user.
        for name in [".out.abcDEF.new", ".out.old.new", ".other.abcDEF.new"] {
            fs::write(directory.path().join(name), "half").expect("written");
        }
        write_file(&path, |mut file| {
            file.write_all(b"half")?;
            Err(io::Error::other("full"))
        })
        .expect_err("it fails");
        assert_eq!(fs::read(&path).expect("read"), b"old");
        let others = [".other.abcDEF.new", ".out.old.new", "out"];
        assert_eq!(names(directory.path()), others);
        write_file(&path, |mut file| file.write_all(b"new")).expect("written");
        assert_eq!(fs::read(&path).expect("read"), b"new");
        assert_eq!(names(directory.path()), others);
    }
}
