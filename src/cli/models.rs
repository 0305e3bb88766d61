//! Opens models, with a note where damage to their files would not be noticed.

use std::path::Path;

use super::quoted;
use crate::checkpoint::{Checkpoint, CheckpointFiles};
use crate::error::Result;

/// Opens the files of a model.
///
/// # Errors
/// As [`CheckpointFiles::open`].
pub(super) fn open_model(directory: &Path) -> Result<CheckpointFiles> {
    let files = CheckpointFiles::open(directory)?;
    if !files.has_manifest() {
        note_line!(
            "note: {} has no manifest.json, so its files are not checked for damage",
            quoted(directory)
        );
    }
    Ok(files)
}

/// Reads a model.
///
/// # Errors
/// As [`Checkpoint::read`].
pub(super) fn read_model(directory: &Path) -> Result<Checkpoint> {
    open_model(directory)?.checkpoint()
}
