//! The adapter that GPU tests run on: any adapter, including software ones.

use std::sync::{Mutex, PoisonError};

use elman::device::{Device, Gpu, GpuOptions, adapters};

/// Every tested way to open the adapter: with all its features, and like a less capable one, with
/// arguments in a uniform buffer and tables split into shards of a few rows.
pub const VARIANTS: [Variant; 2] = [
    Variant {
        name: "immediates",
        number: 0,
        options: GpuOptions {
            immediates: true,
            max_shard_bytes: usize::MAX,
        },
    },
    Variant {
        name: "uniform",
        number: 1,
        options: GpuOptions {
            immediates: false,
            max_shard_bytes: 600,
        },
    },
];

/// A way to open the adapter.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    /// The name in trial names.
    pub name: &'static str,
    number: usize,
    options: GpuOptions,
}

/// One device per variant, while no test uses it.
static DEVICES: [Mutex<Option<Device>>; VARIANTS.len()] =
    [const { Mutex::new(None) }; VARIANTS.len()];

/// Calls the test with the adapter, opened once for each variant and used by one test at a time. A
/// device that a test panicked with is
/// dropped: a driver's complaint stays with its device, and would fail every test after it.
///
/// # Panics
/// If there is no adapter: a GPU test must not pass by silence.
pub fn with_device(variant: Variant, test: impl FnOnce(&mut Device)) {
    let mut slot = DEVICES[variant.number]
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let mut device = slot.take().unwrap_or_else(|| open(variant.options));
    test(&mut device);
    *slot = Some(device);
}

fn open(options: GpuOptions) -> Device {
    let all = adapters();
    let report = all.first().expect(
        "there is no adapter: install Mesa's software Vulkan (Debian: apt-get install \
         mesa-vulkan-drivers), \
         or set ELMAN_TEST_CPU_ONLY=1 to leave the GPU tests out",
    );
    Device::gpu(Gpu::open(report, options).expect("the adapter opens"))
}
