//! What the environment provides or asks for.
//!
//! - `ELMAN_TEST_CPU_ONLY`: set and not empty, the GPU tests are ignored.
//! - `ELMAN_SHARED`: the folder with corpora and models that are not part of the repository;
//!   `../shared` if not set.
//! - `ELMAN_PYTHON`: the Python interpreter; `python3` if not set.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// Whether the GPU tests are ignored.
pub fn cpu_only() -> bool {
    is_set("ELMAN_TEST_CPU_ONLY")
}

/// A file or folder of the material outside the repository. It may not exist.
pub fn shared(name: &str) -> PathBuf {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared"));
    std::env::var_os("ELMAN_SHARED")
        .map_or_else(default, PathBuf::from)
        .join(name)
}

/// Whether a file or folder of the material outside the repository exists.
pub fn has_shared(name: &str) -> bool {
    shared(name).exists()
}

/// The Python interpreter.
pub fn python() -> String {
    std::env::var("ELMAN_PYTHON").unwrap_or_else(|_| "python3".into())
}

/// Whether Python is installed and can import `packages`, separated by commas.
pub fn has_python(packages: &'static str) -> bool {
    // Importing takes seconds, and several tests need the same packages.
    static KNOWN: Mutex<BTreeMap<&str, bool>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *known.entry(packages).or_insert_with(|| {
        Command::new(python())
            .args(["-c", &format!("import {packages}")])
            .output()
            .is_ok_and(|output| output.status.success())
    })
}
