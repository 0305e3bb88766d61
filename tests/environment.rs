//! What the environment provides or asks for.
//!
//! - `ELMAN_TEST_CPU_ONLY`: set and not empty, the GPU tests are ignored.
//! - `ELMAN_TEST_ALL`: set and not empty, slow tests run too.
//! - `ELMAN_TEST_SEED`: the seed of tests with random input. By default it differs from run to run;
//!   a failing test prints it.
//! - `ELMAN_SHARED`: the folder with corpora and models that are not part of the repository;
//!   `../shared` if not set.
//! - `ELMAN_PYTHON`: the Python interpreter; `python3` if not set.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

use elman::device::adapters;

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// Whether the GPU tests are ignored.
pub fn cpu_only() -> bool {
    is_set("ELMAN_TEST_CPU_ONLY")
}

/// Whether slow tests run, which take more than about 20 seconds on two cores.
pub fn slow_tests() -> bool {
    is_set("ELMAN_TEST_ALL")
}

/// Whether a GPU runs every combination of cells, layers and cases: among the slow tests, and on
/// hardware. A software GPU would take hours.
pub fn every_combination_on_gpu() -> bool {
    static ON_HARDWARE: LazyLock<bool> = LazyLock::new(|| {
        adapters()
            .first()
            .is_some_and(|adapter| !adapter.is_software())
    });
    slow_tests() && *ON_HARDWARE
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

/// The seed of a test with random input. It prints how to repeat the run if the test panics.
pub struct RandomSeed(pub u64);

impl RandomSeed {
    /// The value of `ELMAN_TEST_SEED`, or the process id, which differs from run to run.
    ///
    /// # Panics
    /// If `ELMAN_TEST_SEED` is not an unsigned integer.
    pub fn new() -> Self {
        let Some(value) = std::env::var_os("ELMAN_TEST_SEED") else {
            return Self(std::process::id().into());
        };
        let seed = value.to_str().and_then(|value| value.parse().ok());
        Self(seed.unwrap_or_else(|| panic!("ELMAN_TEST_SEED={value:?} is not an unsigned integer")))
    }
}

impl Drop for RandomSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("ELMAN_TEST_SEED={} repeats this run", self.0);
        }
    }
}
