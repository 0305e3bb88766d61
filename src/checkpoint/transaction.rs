//! Replaces several files of a directory together: after a crash at any moment, either all of them
//! are old or all are new.
//!
//! Each file is first written and synced under a temporary name. A journal that lists the files
//! commits the change. Then the files are renamed and the journal is removed. Opening the directory
//! later completes the change if there is a journal; temporary files without a journal are
//! ignored.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

const JOURNAL: &str = ".journal";

/// Precedes the name of a file to remove in the journal.
const REMOVED: char = '-';

/// A set of files to write into and remove from a directory. Dropping it without
/// [`Transaction::commit`] changes nothing.
#[derive(Debug)]
pub(super) struct Transaction<'a> {
    directory: &'a Path,
    /// The lines of the journal.
    journal: Vec<String>,
}

/// The path at which a file is written before it is renamed.
pub(super) fn temporary_path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!(".{name}.new"))
}

fn sync(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(Error::io("sync", path))
}

/// Syncs a directory, so that renames in it are on disk. Some systems cannot sync directories;
/// there this does nothing.
fn sync_directory(directory: &Path) {
    if let Ok(handle) = File::open(directory) {
        let _ = handle.sync_all();
    }
}

/// Writes a single file: under a temporary name in the same directory, synced, then renamed.
///
/// # Errors
/// If it cannot be written; an existing file is unchanged.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = temporary_path(directory, &name);
    let result = fs::write(&new, bytes)
        .map_err(Error::io("write", path))
        .and_then(|()| sync(&new))
        .and_then(|()| fs::rename(&new, path).map_err(Error::io("write", path)));
    if result.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&new);
    }
    sync_directory(directory);
    result
}

impl<'a> Transaction<'a> {
    pub(super) fn new(directory: &'a Path) -> Self {
        Self {
            directory,
            journal: Vec::new(),
        }
    }

    /// Adds a file. `write` writes it to the path that it is given.
    pub(super) fn add(
        &mut self,
        name: &'static str,
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let path = temporary_path(self.directory, name);
        write(&path)?;
        sync(&path)?;
        self.journal.push(name.to_owned());
        Ok(())
    }

    /// Removes a file if it exists.
    pub(super) fn remove(&mut self, name: &'static str) {
        self.journal.push(format!("{REMOVED}{name}"));
    }

    /// Adds a file with the given content.
    pub(super) fn add_bytes(&mut self, name: &'static str, bytes: &[u8]) -> Result<()> {
        self.add(name, |path| {
            fs::write(path, bytes).map_err(Error::io("write", path))
        })
    }

    /// Makes all changes.
    pub(super) fn commit(self) -> Result<()> {
        let journal = self.directory.join(JOURNAL);
        let new_journal = temporary_path(self.directory, JOURNAL);
        let mut file = File::create(&new_journal).map_err(Error::io("write", &new_journal))?;
        file.write_all(self.journal.join("\n").as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(Error::io("write", &new_journal))?;
        fs::rename(&new_journal, &journal).map_err(Error::io("rename", &new_journal))?;
        sync_directory(self.directory);
        recover(self.directory)
    }
}

/// Completes a change that was interrupted after its journal was written. Does nothing if there is
/// no journal.
pub(super) fn recover(directory: &Path) -> Result<()> {
    let journal = directory.join(JOURNAL);
    let lines = match fs::read_to_string(&journal) {
        Ok(lines) => lines,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", &journal)(error)),
    };
    for line in lines.lines() {
        match line.strip_prefix(REMOVED) {
            Some(name) => {
                let path = directory.join(name);
                done_or_done_before(fs::remove_file(&path)).map_err(Error::io("remove", &path))?;
            }
            None => {
                let new = temporary_path(directory, line);
                let renamed = fs::rename(&new, directory.join(line));
                done_or_done_before(renamed).map_err(Error::io("rename", &new))?;
            }
        }
    }
    sync_directory(directory);
    fs::remove_file(&journal).map_err(Error::io("remove", &journal))
}

/// Accepts a missing file: the change to it was made before the interruption.
fn done_or_done_before(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(directory: &Path) -> [String; 2] {
        ["a", "b"].map(|name| fs::read_to_string(directory.join(name)).unwrap_or_default())
    }

    #[test]
    fn a_crash_leaves_all_files_old_before_the_journal_and_new_after_it() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        let write = |text: &str| {
            let mut transaction = Transaction::new(path);
            transaction
                .add_bytes("a", text.as_bytes())
                .expect("written");
            transaction
                .add_bytes("b", text.as_bytes())
                .expect("written");
            transaction
        };
        write("old").commit().expect("committed");
        drop(write("new"));
        recover(path).expect("nothing to do");
        assert_eq!(contents(path), ["old", "old"]);

        // The journal exists, and one of the files was renamed before the crash.
        drop(write("new"));
        fs::write(path.join(JOURNAL), "a\nb").expect("written");
        fs::rename(temporary_path(path, "a"), path.join("a")).expect("renamed");
        assert_eq!(contents(path), ["new", "old"]);
        recover(path).expect("finished");
        assert_eq!(contents(path), ["new", "new"]);
        assert!(!path.join(JOURNAL).exists());
    }

    #[test]
    fn files_are_removed_together_with_the_replacement_of_others() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        fs::write(path.join("a"), "old").expect("written");
        fs::write(path.join("b"), "old").expect("written");
        let start = || {
            let mut transaction = Transaction::new(path);
            transaction.add_bytes("a", b"new").expect("written");
            transaction.remove("b");
            transaction.remove("c");
            transaction
        };
        drop(start());
        recover(path).expect("nothing to do");
        assert_eq!(contents(path), ["old", "old"]);
        start().commit().expect("committed");
        assert_eq!(contents(path), ["new", ""]);
        assert!(!path.join("b").exists() && !path.join(JOURNAL).exists());
    }
}
