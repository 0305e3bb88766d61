//! The adapter that GPU tests run on: any will do, software ones too.

use std::sync::{Mutex, PoisonError};

use elman::device::{Device, Gpu, GpuOptions, adapters};

/// How a dispatch's arguments travel; both ways are tested on every adapter that has both.
pub const VARIANTS: [(&str, bool); 2] = [("immediates", true), ("uniform", false)];

/// Whether GPU tests are left out by name, because the environment asks for it.
pub fn left_out() -> bool {
    std::env::var_os("ELMAN_TEST_CPU_ONLY").is_some_and(|value| !value.is_empty())
}

/// One device for each way of passing arguments, while no test has it.
static DEVICES: [Mutex<Option<Device>>; 2] = [const { Mutex::new(None) }; 2];

/// Calls the test with the adapter, opened once for each way of passing arguments and used by one test at a time. A device that a test
/// panicked with is dropped: a driver's complaint stays with its device, and would fail every test after it.
///
/// # Panics
/// If there is no adapter: a GPU test must not pass by silence.
pub fn with_device(immediates: bool, test: impl FnOnce(&mut Device)) {
    let mut slot = DEVICES[usize::from(immediates)].lock().unwrap_or_else(PoisonError::into_inner);
    let mut device = slot.take().unwrap_or_else(|| open(immediates));
    test(&mut device);
    *slot = Some(device);
}

fn open(immediates: bool) -> Device {
    let all = adapters();
    let report = all.first().expect(
        "there is no adapter: install Mesa's software Vulkan (Debian: apt-get install mesa-vulkan-drivers), \
         or set ELMAN_TEST_CPU_ONLY=1 to leave the GPU tests out",
    );
    Device::gpu(Gpu::open(report, GpuOptions { immediates }).expect("the adapter opens"))
}
