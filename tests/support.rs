//! What the modules of the tests share: trials, devices, and files that not everybody has.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use elman::device::{Device, Gpu, GpuOptions, adapters};
use libtest_mimic::Trial;

/// Names that list the GPU's tests as ignored instead of failing them where there is no adapter.
const CPU_ONLY: &str = "ELMAN_TEST_CPU_ONLY";
/// Where corpora and other models' files lie.
const SHARED: &str = "ELMAN_SHARED";

/// The two ways in which a dispatch's arguments travel.
pub const ARGUMENTS: [(&str, GpuOptions); 2] =
    [("immediates", GpuOptions { immediates: true }), ("uniform", GpuOptions { immediates: false })];

/// A trial of a function that panics where the test fails.
pub fn trial(name: impl Into<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}

/// A trial on a GPU with each way of arguments. Without an adapter it fails, unless the environment asks for the CPU by name.
pub fn gpu_trials(name: &str, test: impl Fn(&mut Device) + Clone + Send + 'static) -> Vec<Trial> {
    let ignored = std::env::var_os(CPU_ONLY).is_some_and(|value| value == "1");
    let trials = ARGUMENTS.iter().enumerate().map(|(number, (arguments, _))| {
        let test = test.clone();
        trial(format!("{name}::gpu_{arguments}"), move || with_gpu(number, test)).with_ignored_flag(ignored)
    });
    trials.collect()
}

/// One device for each way of arguments, while no test has it.
static GPUS: [Mutex<Option<Device>>; 2] = [const { Mutex::new(None) }; 2];

/// Calls the test with a device that other tests use before and after it. One that a test panicked with is never used again, and a lock
/// that it held is no worse for it.
fn with_gpu(number: usize, test: impl FnOnce(&mut Device)) {
    let mut slot = GPUS[number].lock().unwrap_or_else(PoisonError::into_inner);
    let mut device = slot.take().unwrap_or_else(|| open_gpu(ARGUMENTS[number].1));
    test(&mut device);
    *slot = Some(device);
}

/// Opens the best adapter; one that is a program will do.
///
/// # Panics
/// If there is none.
pub fn open_gpu(options: GpuOptions) -> Device {
    let reports = adapters();
    let Some(report) = reports.first() else {
        panic!(
            "there is no adapter for compute shaders here. Install Mesa's software Vulkan (Debian and Ubuntu: apt-get install \
             mesa-vulkan-drivers), or set {CPU_ONLY}=1 to have the GPU's tests listed as ignored"
        );
    };
    Device::gpu(Gpu::open(report, options).unwrap_or_else(|error| panic!("{error}")))
}

/// A file or folder of the shared folder, where that is present: that of the environment's ELMAN_SHARED, or `../shared`.
pub fn shared(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(SHARED).map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    Some(folder.join(path)).filter(|path| path.exists())
}

/// A trial that needs something of the shared folder; ignored by name where that is absent.
pub fn shared_trial(name: &str, path: &str, test: impl FnOnce(PathBuf) + Send + 'static) -> Trial {
    let found = shared(path);
    let ignored = found.is_none();
    let path = path.to_owned();
    trial(name, move || match found {
        Some(found) => test(found),
        None => panic!("there is no {path} in the shared folder: set {SHARED} to where it is"),
    })
    .with_ignored_flag(ignored)
}
