//! Making trials of functions, on every device where they take one; and where material lies that is
//! no part of the repository.

use std::path::PathBuf;

use elman::device::Device;
use libtest_mimic::Trial;

use super::gpu;

/// A trial of a function that panics where the test fails.
pub fn trial(name: impl Into<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}

/// A trial on a GPU for each way to open it.
pub fn gpu_trials(name: &str, test: impl Fn(&mut Device) + Clone + Send + 'static) -> Vec<Trial> {
    let trials = gpu::VARIANTS.iter().map(|&variant| {
        let test = test.clone();
        trial(format!("{name}::gpu_{}", variant.name), move || {
            gpu::with_device(variant, test)
        })
        .with_ignored_flag(gpu::left_out())
    });
    trials.collect()
}

/// The same, and on the CPU with one thread and with two.
pub fn on_every_device(
    name: &str,
    test: impl Fn(&mut Device) + Clone + Send + 'static,
) -> Vec<Trial> {
    let mut trials = gpu_trials(name, test.clone());
    for threads in [1, 2] {
        let test = test.clone();
        trials.push(trial(format!("{name}::cpu_{threads}"), move || {
            test(&mut Device::cpu(threads))
        }));
    }
    trials
}

/// A file or folder of the material beside the repository, or in the folder that `ELMAN_SHARED`
/// names; it may not be there.
pub fn shared(name: &str) -> PathBuf {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared"));
    std::env::var_os("ELMAN_SHARED")
        .map_or_else(beside, PathBuf::from)
        .join(name)
}
