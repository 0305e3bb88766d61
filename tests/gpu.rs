//! The adapter that GPU tests run on: any adapter, including software ones.

use std::sync::{Mutex, PoisonError};

use elman::device::{Device, Gpu, GpuOptions, adapters};

use super::workgroup_memory::poison_workgroup_memory;

/// Every tested way to open the adapter: with all its features, and like a less capable one, with
/// arguments in a uniform buffer, tables split into shards of a few rows, little work in each
/// submission, and wrong values in workgroup memory. Blocks of logits are small, because a test of
/// several blocks needs a vocabulary in proportion.
pub const VARIANTS: [Variant; 2] = [
    Variant {
        name: "immediates",
        index: 0,
        options: GpuOptions {
            immediates: true,
            max_shard_bytes: usize::MAX,
            max_logits_bytes: 16 << 20,
            max_operations: u64::MAX,
            rewrite: None,
        },
    },
    Variant {
        name: "uniform",
        index: 1,
        options: GpuOptions {
            immediates: false,
            max_shard_bytes: 600,
            max_logits_bytes: 256 << 10,
            max_operations: 1_000_000,
            rewrite: Some(poison_workgroup_memory),
        },
    },
];

/// A way to open the adapter.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    /// The name in trial names.
    pub name: &'static str,
    index: usize,
    options: GpuOptions,
}

/// One device per variant, while no test uses it.
static DEVICES: [Mutex<Option<Device>>; VARIANTS.len()] =
    [const { Mutex::new(None) }; VARIANTS.len()];

/// Calls the test with the adapter, which is opened once per variant and used by one test at a
/// time. What the test allocates is released: every submission would take longer with it. The
/// device is dropped if the test panics: a driver error stays with its device, and would fail every
/// later test.
///
/// # Panics
/// If there is no adapter: a GPU test must not pass without one.
pub fn with_device(variant: Variant, test: impl FnOnce(&mut Device)) {
    let mut slot = DEVICES[variant.index]
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let mut device = slot.take().unwrap_or_else(|| open(variant.options));
    device.release_afterwards(test);
    *slot = Some(device);
}

fn open(options: GpuOptions) -> Device {
    let all = adapters();
    let report = all.first().expect(
        "there is no adapter: install Mesa's software Vulkan (Debian: apt-get install \
         mesa-vulkan-drivers), \
         or set ELMAN_TEST_CPU_ONLY=1 to skip the GPU tests",
    );
    Device::gpu(Gpu::open(report, options).expect("the adapter opens"))
}
