//! The adapter that GPU tests run on: any will do, software ones too.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use elman::device::{Device, Gpu, GpuOptions, adapters};

/// How a dispatch's arguments travel; both ways are tested on every adapter that has both.
pub const VARIANTS: [(&str, bool); 2] = [("immediates", true), ("uniform", false)];

/// Whether GPU tests are left out by name, because the environment asks for it.
pub fn left_out() -> bool {
    std::env::var_os("ELMAN_TEST_CPU_ONLY").is_some_and(|value| !value.is_empty())
}

/// The adapter, opened once for each way of passing arguments and used by one test at a time.
///
/// # Panics
/// If there is no adapter: a GPU test must not pass by silence.
pub fn device(immediates: bool) -> MutexGuard<'static, Device> {
    static DEVICES: [OnceLock<Mutex<Device>>; 2] = [OnceLock::new(), OnceLock::new()];
    let open = || {
        let all = adapters();
        let report = all.first().expect(
            "there is no adapter: install Mesa's software Vulkan (Debian: apt-get install mesa-vulkan-drivers), \
             or set ELMAN_TEST_CPU_ONLY=1 to leave the GPU tests out",
        );
        Mutex::new(Device::gpu(Gpu::open(report, GpuOptions { immediates }).expect("the adapter opens")))
    };
    // A test that failed left nothing in the device that another could trip over.
    DEVICES[usize::from(immediates)].get_or_init(open).lock().unwrap_or_else(PoisonError::into_inner)
}
