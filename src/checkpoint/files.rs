//! Reading, writing and hashing the text and JSON files of a checkpoint.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::FORMAT;
use crate::error::{Error, Result};
use crate::hash::Hash;

/// The content of a JSON file.
pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("plain structs have a JSON form");
    text.push(b'\n');
    text
}

/// The SHA-256 of a file in hexadecimal digits.
///
/// # Errors
/// If the file cannot be read.
pub(super) fn sha256(path: &Path) -> Result<String> {
    let mut hash = Hash::default();
    let mut file = fs::File::open(path).map_err(Error::io("open", path))?;
    std::io::copy(&mut file, &mut hash).map_err(Error::io("read", path))?;
    Ok(hash.hexadecimal())
}

/// Reads a UTF-8 file.
///
/// # Errors
/// If the file cannot be read or is not UTF-8.
pub(super) fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::io("read", path))
}

/// Reads a JSON file with a `version` field.
///
/// # Errors
/// If the file cannot be read, its version is newer than [`FORMAT`], or it does not have the
/// fields of `T`.
pub(super) fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let name = path.display().to_string();
    let damaged = |error: serde_json::Error| {
        Error::invalid(
            name.clone(),
            format!("it is not a file that Elman wrote ({error})"),
            "Restore it from a copy, or train again",
        )
    };
    let value: serde_json::Value = serde_json::from_str(&read_text(path)?).map_err(damaged)?;
    let version = value
        .get("version")
        .and_then(serde_json::Value::as_u64)
        .unwrap_or(0);
    if version > u64::from(FORMAT) {
        return Err(Error::invalid(
            name.clone(),
            format!("its version is {version}, and this program reads up to {FORMAT}"),
            "Use a newer version of Elman",
        ));
    }
    serde_json::from_value(value).map_err(damaged)
}
