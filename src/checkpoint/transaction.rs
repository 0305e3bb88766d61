//! Replacing several files of a directory together: after a crash at any moment they are all old or
//! all new.
//!
//! Every file is first written and synced under a temporary name. A journal that lists them makes
//! the change final; then they take their places, and the journal goes. Whoever opens the directory
//! later finishes what a journal says, or removes what none mentions.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

const JOURNAL: &str = ".journal";

/// What stands in the journal before the name of a file that goes.
const REMOVED: char = '-';

/// Files on their way into a directory, and out of it.
#[derive(Debug)]
pub(super) struct Transaction<'a> {
    directory: &'a Path,
    /// The lines of the journal.
    names: Vec<String>,
}

fn temporary(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!(".{name}.new"))
}

fn sync(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(Error::io("sync", path))
}

/// Directories cannot be synced everywhere; where they can, the rename is on disk afterwards.
fn sync_directory(directory: &Path) {
    if let Ok(handle) = File::open(directory) {
        let _ = handle.sync_all();
    }
}

/// Writes one file that stands for itself: under a temporary name beside it, synced, then renamed.
///
/// # Errors
/// If it cannot be written; what was there before is there still.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let new = temporary(
        directory,
        &path.file_name().unwrap_or_default().to_string_lossy(),
    );
    let written = fs::write(&new, bytes)
        .map_err(Error::io("write", path))
        .and_then(|()| sync(&new));
    let placed = written.and_then(|()| fs::rename(&new, path).map_err(Error::io("write", path)));
    if placed.is_err() {
        // The first failure is the one to tell.
        let _ = fs::remove_file(&new);
    }
    sync_directory(directory);
    placed
}

impl<'a> Transaction<'a> {
    pub(super) fn new(directory: &'a Path) -> Self {
        Self {
            directory,
            names: Vec::new(),
        }
    }

    /// Adds a file that `write` makes at the path it is given.
    pub(super) fn add(
        &mut self,
        name: &'static str,
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let path = temporary(self.directory, name);
        write(&path)?;
        sync(&path)?;
        self.names.push(name.to_owned());
        Ok(())
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&mut self, name: &'static str) {
        self.names.push(format!("{REMOVED}{name}"));
    }

    /// Adds a file with the given content.
    pub(super) fn add_bytes(&mut self, name: &'static str, bytes: &[u8]) -> Result<()> {
        self.add(name, |path| {
            fs::write(path, bytes).map_err(Error::io("write", path))
        })
    }

    /// Puts every file in its place.
    pub(super) fn commit(self) -> Result<()> {
        let (journal, new_journal) = (
            self.directory.join(JOURNAL),
            temporary(self.directory, JOURNAL),
        );
        let mut file = File::create(&new_journal).map_err(Error::io("write", &new_journal))?;
        file.write_all(self.names.join("\n").as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(Error::io("write", &new_journal))?;
        fs::rename(&new_journal, &journal).map_err(Error::io("rename", &new_journal))?;
        sync_directory(self.directory);
        recover(self.directory)
    }
}

/// Finishes a change that was interrupted after its journal was written, and does nothing
/// otherwise.
pub(super) fn recover(directory: &Path) -> Result<()> {
    let journal = directory.join(JOURNAL);
    let names = match fs::read_to_string(&journal) {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", &journal)(error)),
    };
    for name in names.lines() {
        let (action, path, done) = match name.strip_prefix(REMOVED) {
            Some(name) => (
                "remove",
                directory.join(name),
                fs::remove_file(directory.join(name)),
            ),
            None => (
                "rename",
                temporary(directory, name),
                fs::rename(temporary(directory, name), directory.join(name)),
            ),
        };
        match done {
            // It was done before the interruption.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            done => done.map_err(Error::io(action, &path))?,
        }
    }
    sync_directory(directory);
    fs::remove_file(&journal).map_err(Error::io("remove", &journal))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(directory: &Path) -> [String; 2] {
        ["a", "b"].map(|name| fs::read_to_string(directory.join(name)).unwrap_or_default())
    }

    #[test]
    fn a_crash_before_the_journal_leaves_the_old_files_and_after_it_the_new() {
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

        // The journal is there, and one of the files has moved already.
        drop(write("new"));
        fs::write(path.join(JOURNAL), "a\nb").expect("written");
        fs::rename(temporary(path, "a"), path.join("a")).expect("renamed");
        assert_eq!(contents(path), ["new", "old"]);
        recover(path).expect("finished");
        assert_eq!(contents(path), ["new", "new"]);
        assert!(!path.join(JOURNAL).exists());
    }

    #[test]
    fn a_file_goes_with_the_others_coming_or_stays() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        fs::write(path.join("a"), "old").expect("written");
        fs::write(path.join("b"), "old").expect("written");
        let begin = || {
            let mut transaction = Transaction::new(path);
            transaction.add_bytes("a", b"new").expect("written");
            transaction.remove("b");
            transaction.remove("c");
            transaction
        };
        drop(begin());
        recover(path).expect("nothing to do");
        assert_eq!(contents(path), ["old", "old"]);
        begin().commit().expect("committed");
        assert_eq!(contents(path), ["new", ""]);
        assert!(!path.join("b").exists() && !path.join(JOURNAL).exists());
    }
}
