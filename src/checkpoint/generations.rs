//! Older checkpoints of a run: `checkpoints/N` in its directory, each a whole model.
//!
//! N is the number of updates. Before a save replaces the files of the directory, they become such
//! a generation, as hard links where the file system has them. A generation appears and disappears
//! by renaming a directory, so it is never half of one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::transaction::{Transaction, remove, sync_directory};
use super::{CheckpointFiles, FILES, LockedDirectory, MANIFEST, MODEL};
use crate::error::{Error, Result};

/// The directory of the generations.
pub const GENERATIONS: &str = "checkpoints";

/// The ends of the names of generations that are not complete yet, and not complete any more.
const INCOMPLETE: &str = ".incomplete";
const REMOVED: &str = ".removed";

/// An older checkpoint of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// The updates of the run before it.
    pub updates: u32,
    /// Its directory.
    pub path: PathBuf,
}

/// The generations in the directory of a run, oldest first.
///
/// # Errors
/// If the directory cannot be read.
pub fn generations(directory: &Path) -> Result<Vec<Generation>> {
    let path = directory.join(GENERATIONS);
    let mut found: Vec<_> = names(&path)?
        .iter()
        .filter_map(|name| {
            let updates = name.parse().ok()?;
            let path = path.join(name);
            Some(Generation { updates, path })
        })
        .collect();
    found.sort_by_key(|generation| generation.updates);
    Ok(found)
}

/// The names in a directory; none if it does not exist.
fn names(directory: &Path) -> Result<Vec<String>> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("read", directory)(error)),
    }
}

/// What a directory was restored from.
#[derive(Debug)]
pub struct Restored {
    /// What was wrong with the checkpoint.
    pub damage: Error,
    /// Where its files are now.
    pub damaged_files: PathBuf,
    /// The generation whose files the directory has now.
    pub generation: Generation,
}

/// Checks that all files of a checkpoint are there and intact. Without a manifest, damage is found
/// where a file is read.
fn check_complete(directory: &Path) -> Result<()> {
    let files = CheckpointFiles::open(directory)?;
    if files.has_manifest() || !files.contains(MODEL) {
        return files.verify();
    }
    Ok(())
}

impl LockedDirectory {
    /// Replaces a checkpoint of which a file is damaged or missing with the newest complete
    /// generation. Does nothing if the checkpoint is complete.
    ///
    /// # Errors
    /// What is wrong with the checkpoint, if there is no complete generation; or if the directory
    /// cannot be written.
    pub fn restore_if_damaged(&self) -> Result<Option<Restored>> {
        let Err(damage) = check_complete(self) else {
            return Ok(None);
        };
        let is_complete = |found: &Generation| check_complete(&found.path).is_ok();
        let Some(generation) = generations(self)?.into_iter().rev().find(is_complete) else {
            return Err(damage);
        };
        let damaged_files = self.set_damaged_files_aside()?;
        let mut transaction = Transaction::new(self);
        for name in FILES.iter().copied().filter(|name| *name != MANIFEST) {
            let from = generation.path.join(name);
            if from.exists() {
                transaction.add(name, |path| {
                    let copied = fs::copy(&from, path).map(drop);
                    copied.map_err(Error::io("copy", &from))
                })?;
            } else {
                transaction.remove(name);
            }
        }
        transaction.commit()?;
        Ok(Some(Restored {
            damage,
            damaged_files,
            generation,
        }))
    }

    /// Makes a generation of the present checkpoint, which stays where it is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn keep_generation(&self, updates: u32) -> Result<()> {
        self.copy_as(&updates.to_string())
    }

    /// Puts a copy of the present files, which are damaged, beside the generations. It is never
    /// removed. Returns its path.
    ///
    /// # Errors
    /// If it cannot be written.
    fn set_damaged_files_aside(&self) -> Result<PathBuf> {
        let directory = self.join(GENERATIONS);
        let taken = names(&directory)?;
        let name = (1..)
            .map(|number| format!("damaged-{number}"))
            .find(|name| !taken.contains(name))
            .expect("there are more numbers than files");
        self.copy_as(&name)?;
        Ok(directory.join(name))
    }

    /// Copies the present files into a directory beside the generations.
    fn copy_as(&self, name: &str) -> Result<()> {
        let directory = self.join(GENERATIONS);
        let (path, incomplete) = (directory.join(name), marked(&directory, name, INCOMPLETE));
        remove_directory(&incomplete)?;
        fs::create_dir_all(&incomplete).map_err(Error::io("create", &incomplete))?;
        for file in FILES {
            let (from, to) = (self.join(file), incomplete.join(file));
            match link_or_copy(&from, &to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                linked => linked.map_err(Error::io("write", &to))?,
            }
        }
        sync_directory(&incomplete);
        remove_generation(&path)?;
        fs::rename(&incomplete, &path).map_err(Error::io("rename", &incomplete))?;
        sync_directory(&directory);
        Ok(())
    }

    /// Removes all generations except the newest, as many as the directory keeps, and, where none
    /// of them nor the present checkpoint is from the end of an epoch, the newest that is: it has
    /// the best weights. `has_best`: whether the present checkpoint is.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub(super) fn prune_generations(&self, has_best: bool) -> Result<()> {
        let mut all = generations(self)?;
        let kept = all.split_off(all.len().saturating_sub(self.kept_generations()));
        let mut has_best = has_best || kept.iter().any(Generation::is_between_epochs);
        for generation in all.iter().rev() {
            if !has_best && generation.is_between_epochs() {
                has_best = true;
                continue;
            }
            remove_generation(&generation.path)?;
        }
        Ok(())
    }

    /// Removes all generations: the model in the directory is replaced by another one.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub fn remove_generations(&self) -> Result<()> {
        for generation in generations(self)? {
            remove_generation(&generation.path)?;
        }
        // Other files in it are not Elman's.
        let _ = fs::remove_dir(self.join(GENERATIONS));
        Ok(())
    }

    /// Removes what an interruption left half made or half removed.
    pub(super) fn remove_incomplete_generations(&self) -> Result<()> {
        let directory = self.join(GENERATIONS);
        for name in names(&directory)? {
            let is_marked = [INCOMPLETE, REMOVED]
                .iter()
                .any(|mark| name.ends_with(mark));
            if name.starts_with('.') && is_marked {
                remove_directory(&directory.join(name))?;
            }
        }
        Ok(())
    }
}

impl Generation {
    /// Whether it is from the end of an epoch. One that cannot be read is not.
    fn is_between_epochs(&self) -> bool {
        let record = CheckpointFiles::open(&self.path).and_then(|files| files.training_record());
        record.is_ok_and(|record| record.progress.window == 0)
    }
}

fn marked(directory: &Path, name: &str, mark: &str) -> PathBuf {
    directory.join(format!(".{name}{mark}"))
}

/// Gives a file another name. A save replaces files and never changes them.
fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            fs::copy(from, to)?;
            fs::File::open(to)?.sync_all()
        }
        linked => linked,
    }
}

/// Removes a generation, if it exists.
fn remove_generation(path: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let parent = path.parent().unwrap_or(Path::new("."));
    let removed = marked(parent, &name, REMOVED);
    match fs::rename(path, &removed) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => {
            renamed.map_err(Error::io("rename", path))?;
            remove_directory(&removed)
        }
    }
}

/// Removes a directory with the files of a checkpoint, if it exists. Other files in it, and so the
/// directory, stay.
fn remove_directory(path: &Path) -> Result<()> {
    for file in FILES {
        remove(&path.join(file))?;
    }
    match fs::remove_dir(path) {
        Err(error)
            if [io::ErrorKind::NotFound, io::ErrorKind::DirectoryNotEmpty]
                .contains(&error.kind()) =>
        {
            Ok(())
        }
        removed => removed.map_err(Error::io("remove", path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> (tempfile::TempDir, LockedDirectory) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(directory.path().join("config.json"), "one").expect("written");
        let locked = LockedDirectory::lock(directory.path()).expect("locked");
        (directory, locked)
    }

    fn updates(directory: &Path) -> Vec<u32> {
        let found = generations(directory).expect("read");
        found.iter().map(|generation| generation.updates).collect()
    }

    #[test]
    fn the_newest_generations_are_kept_with_their_content() {
        let (directory, mut locked) = workspace();
        for number in [9, 10, 11, 100] {
            let path = directory.path().join(".config.json.new");
            fs::write(&path, number.to_string()).expect("written");
            fs::rename(&path, directory.path().join("config.json")).expect("renamed");
            locked.keep_generation(number).expect("kept");
        }
        assert_eq!(updates(directory.path()), [9, 10, 11, 100]);
        locked.keep_last(2);
        locked.prune_generations(true).expect("removed");
        assert_eq!(updates(directory.path()), [11, 100]);
        let content = |number: u32| {
            let path = format!("checkpoints/{number}/config.json");
            fs::read_to_string(directory.path().join(path)).expect("read")
        };
        assert_eq!([content(11), content(100)], ["11", "100"]);
        locked.remove_generations().expect("removed");
        assert!(!directory.path().join(GENERATIONS).exists());
    }

    #[test]
    fn what_an_interruption_left_is_removed_and_other_files_are_not() {
        let (directory, locked) = workspace();
        let path = |name: &str| directory.path().join(GENERATIONS).join(name);
        fs::create_dir_all(path(".7.incomplete")).expect("created");
        fs::write(path(".7.incomplete/config.json"), "half").expect("written");
        fs::create_dir_all(path("notes")).expect("created");
        locked.keep_generation(8).expect("kept");
        fs::write(path("8/mine.txt"), "mine").expect("written");
        locked.remove_incomplete_generations().expect("removed");
        assert!(!path(".7.incomplete").exists());
        locked.prune_generations(true).expect("removed");
        assert_eq!(updates(directory.path()), [] as [u32; 0]);
        assert!(path("notes").exists() && path(".8.removed/mine.txt").exists());
    }

    #[test]
    fn damaged_files_are_set_aside_under_new_names() {
        let (directory, locked) = workspace();
        for number in 1..3 {
            let path = locked.set_damaged_files_aside().expect("copied");
            assert!(path.ends_with(format!("damaged-{number}")));
            assert!(path.join("config.json").exists());
        }
        assert_eq!(updates(directory.path()), [] as [u32; 0]);
    }
}
