//! Replaces several files of a directory together: after a crash at any moment, either all of them
//! are old or all are new.
//!
//! Each file is first written and synced under a temporary name. A journal that lists the files
//! commits the change: from then on, the new content of a file is that under its temporary name, if
//! there is one, and else that under its name. Then the files are renamed and the journal is
//! removed. The next process that writes completes a change whose journal is still there, and
//! removes temporary files that no journal lists. Readers do neither: see
//! [`reader`](super::reader).

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use same_file::Handle;

use super::manifest::Manifest;
use super::{FILES, LOG, MANIFEST, json};
use crate::error::{Error, Result};

pub(super) const JOURNAL: &str = ".journal";

/// What a journal may list: a name outside the directory would be that of any file.
fn is_listed(line: &str) -> bool {
    let name = line.strip_prefix(REMOVED).unwrap_or(line);
    FILES.contains(&name) || name == LOG
}

/// Precedes the name of a file to remove in the journal.
const REMOVED: char = '-';

/// A set of files to write into and remove from a directory. Dropping it without
/// [`Transaction::commit`] changes nothing, and removes its temporary files.
#[derive(Debug)]
pub(super) struct Transaction<'a> {
    directory: &'a Path,
    /// The lines of the journal.
    journal: Vec<String>,
    /// The files that were added.
    manifest: Manifest,
    is_committed: bool,
}

/// A change that is committed, but may not be complete.
#[derive(Debug)]
pub(super) struct Journal {
    /// The journal's file. Each change has its own.
    handle: Handle,
    lines: Vec<String>,
}

/// Opens a file. `None` if there is no such file.
pub(super) fn open(path: &Path) -> Result<Option<Handle>> {
    match Handle::from_path(path) {
        Ok(handle) => Ok(Some(handle)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("open", path)(error)),
    }
}

impl Journal {
    /// Reads the journal. `None` if no change is in progress.
    ///
    /// # Errors
    /// If it cannot be read, or lists a file that is not one of a checkpoint.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(JOURNAL);
        let Some(handle) = open(&path)? else {
            return Ok(None);
        };
        let mut text = String::new();
        handle
            .as_file()
            .read_to_string(&mut text)
            .map_err(Error::io("read", &path))?;
        if let Some((index, line)) = text.lines().enumerate().find(|(_, line)| !is_listed(line)) {
            return Err(Error::invalid(
                format!("{}, line {}: {line:?}", path.display(), index + 1),
                "it lists the files that an interrupted save replaces, and this is not a file of \
                 a model",
                "Restore the directory from a copy, or remove this file if the others are intact",
            ));
        }
        Ok(Some(Self {
            handle,
            lines: text.lines().map(str::to_owned).collect(),
        }))
    }

    /// Whether the directory still has this journal.
    pub(super) fn is_current(&self, directory: &Path) -> Result<bool> {
        Ok(open(&directory.join(JOURNAL))?.is_some_and(|current| current == self.handle))
    }

    /// Opens a file as it is after the change, which another process may complete at any time.
    /// `None` if the file does not exist then.
    pub(super) fn open_file(&self, directory: &Path, name: &str) -> Result<Option<Handle>> {
        let removed = |line: &String| line.strip_prefix(REMOVED) == Some(name);
        if self.lines.iter().any(removed) {
            return Ok(None);
        }
        if self.lines.iter().any(|line| line == name)
            && let Some(handle) = open(&temporary_path(directory, name))?
        {
            return Ok(Some(handle));
        }
        open(&directory.join(name))
    }
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
pub(crate) fn sync_directory(directory: &Path) {
    if let Ok(handle) = File::open(directory) {
        let _ = handle.sync_all();
    }
}

/// Writes a single file: under a temporary name in the same directory, synced, then renamed. Only
/// for the process that writes.
///
/// # Errors
/// If it cannot be written; an existing file is unchanged.
pub(super) fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
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
            manifest: Manifest::new(),
            is_committed: false,
        }
    }

    /// Adds a file. `write` writes it to the path that it is given.
    pub(super) fn add(
        &mut self,
        name: &'static str,
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let path = temporary_path(self.directory, name);
        self.journal.push(name.to_owned());
        write(&path)?;
        sync(&path)?;
        self.manifest.add(name, &path)
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

    /// Makes all changes, and writes the manifest of the files that were added.
    pub(super) fn commit(mut self) -> Result<()> {
        let manifest = json(&self.manifest);
        self.add_bytes(MANIFEST, &manifest)?;
        #[cfg(feature = "fault-injection")]
        crate::faults::before_save();
        let journal = self.directory.join(JOURNAL);
        let new_journal = temporary_path(self.directory, JOURNAL);
        let mut file = File::create(&new_journal).map_err(Error::io("write", &new_journal))?;
        file.write_all(self.journal.join("\n").as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(Error::io("write", &new_journal))?;
        fs::rename(&new_journal, &journal).map_err(Error::io("rename", &new_journal))?;
        self.is_committed = true;
        sync_directory(self.directory);
        #[cfg(feature = "fault-injection")]
        crate::faults::in_save();
        recover(self.directory)
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.is_committed {
            return;
        }
        let names = self.journal.iter().map(String::as_str).chain([JOURNAL]);
        for name in names.filter(|name| !name.starts_with(REMOVED)) {
            // What cannot be removed now is removed by the next process that writes.
            let _ = fs::remove_file(temporary_path(self.directory, name));
        }
    }
}

/// Completes a change that was interrupted after its journal was written. Does nothing if there is
/// no journal. Only for the process that writes.
pub(super) fn recover(directory: &Path) -> Result<()> {
    let Some(journal) = Journal::read(directory)? else {
        return Ok(());
    };
    for line in &journal.lines {
        match line.strip_prefix(REMOVED) {
            Some(name) => remove(&directory.join(name))?,
            None => {
                let new = temporary_path(directory, line);
                let renamed = fs::rename(&new, directory.join(line));
                done_or_done_before(renamed).map_err(Error::io("rename", &new))?;
            }
        }
    }
    sync_directory(directory);
    let path = directory.join(JOURNAL);
    fs::remove_file(&path).map_err(Error::io("remove", &path))
}

/// Removes the temporary files of changes that were interrupted before their journals were written.
/// Only for the process that writes, after [`recover`]. `names` are those of all files and of the
/// journal.
pub(super) fn remove_temporary_files(directory: &Path, names: &[&str]) -> Result<()> {
    names
        .iter()
        .try_for_each(|name| remove(&temporary_path(directory, name)))
}

/// Removes a file if it exists.
pub(super) fn remove(path: &Path) -> Result<()> {
    done_or_done_before(fs::remove_file(path)).map_err(Error::io("remove", path))
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
    use super::super::{CONFIG as A, TOKENIZER as C, VOCABULARY as B};
    use super::*;

    fn contents(directory: &Path) -> [String; 2] {
        [A, B].map(|name| fs::read_to_string(directory.join(name)).unwrap_or_default())
    }

    #[test]
    fn a_crash_leaves_all_files_old_before_the_journal_and_new_after_it() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        let write = |text: &str| {
            let mut transaction = Transaction::new(path);
            transaction.add_bytes(A, text.as_bytes()).expect("written");
            transaction.add_bytes(B, text.as_bytes()).expect("written");
            transaction
        };
        write("old").commit().expect("committed");
        std::mem::forget(write("new"));
        recover(path).expect("nothing to do");
        assert_eq!(contents(path), ["old", "old"]);

        // The journal exists, and one of the files was renamed before the crash.
        std::mem::forget(write("new"));
        fs::write(path.join(JOURNAL), format!("{A}\n{B}")).expect("written");
        fs::rename(temporary_path(path, A), path.join(A)).expect("renamed");
        assert_eq!(contents(path), ["new", "old"]);
        recover(path).expect("finished");
        assert_eq!(contents(path), ["new", "new"]);
        assert!(!path.join(JOURNAL).exists());
    }

    #[test]
    fn a_journal_lists_files_of_a_model_only() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (path, outside) = (directory.path().join("model"), directory.path().join("x"));
        fs::create_dir(&path).expect("created");
        fs::write(&outside, "kept").expect("written");
        for line in ["-../x", "../x", "-", "", "notes.txt", "-checkpoints"] {
            fs::write(path.join(JOURNAL), format!("{A}\n{line}\n")).expect("written");
            let message = recover(&path).expect_err("no file of a model").to_string();
            assert!(message.contains("model/.journal, line 2"), "{message}");
        }
        assert_eq!(fs::read(&outside).expect("still there"), b"kept");
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        fs::write(path.join(A), "old").expect("written");
        let mut transaction = Transaction::new(path);
        transaction.add_bytes(A, b"new").expect("written");
        let failed = transaction.add(B, |path| {
            fs::write(path, "half").expect("written");
            Err(Error::invalid("the disk", "it is full", "Make room"))
        });
        failed.expect_err("it fails");
        drop(transaction);
        assert_eq!(contents(path), ["old", ""]);
        assert_eq!(fs::read_dir(path).expect("a directory").count(), 1);
    }

    #[test]
    fn files_are_removed_together_with_the_replacement_of_others() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        fs::write(path.join(A), "old").expect("written");
        fs::write(path.join(B), "old").expect("written");
        let start = || {
            let mut transaction = Transaction::new(path);
            transaction.add_bytes(A, b"new").expect("written");
            transaction.remove(B);
            transaction.remove(C);
            transaction
        };
        drop(start());
        recover(path).expect("nothing to do");
        assert_eq!(contents(path), ["old", "old"]);
        start().commit().expect("committed");
        assert_eq!(contents(path), ["new", ""]);
        assert!(!path.join(B).exists() && !path.join(JOURNAL).exists());
    }
}
