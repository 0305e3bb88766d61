//! Adapters: listing them with their capabilities, and opening one.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};

/// An adapter and its capabilities, as listed by `elman devices`.
#[derive(Debug, Clone)]
pub struct AdapterInfo {
    /// The adapter's name.
    pub name: String,
    /// "Vulkan", "Metal" or "Dx12".
    pub backend: String,
    /// "discrete", "integrated", "virtual", "software" or "other".
    pub kind: &'static str,
    /// Driver name and version, as far as known.
    pub driver: String,
    /// Largest storage binding in bytes.
    pub max_binding_bytes: u64,
    /// Largest buffer in bytes.
    pub max_buffer_bytes: u64,
    /// Workgroup memory in bytes.
    pub workgroup_memory_bytes: u32,
    /// Whether shaders may use f16.
    pub f16: bool,
    /// The rows and columns of the matrices of f16 that subgroups multiply with f32 accumulation:
    /// 16, 8, or none.
    pub matrix: Option<usize>,
    /// Whether a dispatch's arguments can be passed as immediates.
    pub immediates: bool,
    /// Whether passes can be timed with timestamp queries.
    pub timestamps: bool,
    rank: u8,
    pub(super) adapter: wgpu::Adapter,
}

impl AdapterInfo {
    fn new(adapter: wgpu::Adapter) -> Self {
        let info = adapter.get_info();
        let limits = adapter.limits();
        let features = adapter.features();
        let (kind, rank) = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => ("discrete", 0),
            wgpu::DeviceType::IntegratedGpu => ("integrated", 1),
            wgpu::DeviceType::VirtualGpu => ("virtual", 2),
            wgpu::DeviceType::Other => ("other", 3),
            wgpu::DeviceType::Cpu => ("software", 4),
        };
        Self {
            name: info.name,
            backend: format!("{:?}", info.backend),
            kind,
            driver: format!("{} {}", info.driver, info.driver_info)
                .trim()
                .to_owned(),
            max_binding_bytes: max_binding_bytes(&limits),
            max_buffer_bytes: limits.max_buffer_size,
            workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
            f16: features.contains(wgpu::Features::SHADER_F16),
            matrix: usable_matrix(&adapter),
            immediates: features.contains(wgpu::Features::IMMEDIATES),
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            rank,
            adapter,
        }
    }

    /// Whether this is a software implementation on the CPU, such as llvmpipe.
    pub fn is_software(&self) -> bool {
        self.kind == "software"
    }

    /// The operations of a submission that take a few tenths of a second on the slowest adapters of
    /// this kind: discrete ones reach at least 300 GFLOP/s in Elman's products, others 50.
    pub(super) fn operations_per_submission(&self) -> u64 {
        if self.kind == "discrete" {
            200_000_000_000
        } else {
            20_000_000_000
        }
    }

    /// The workgroups of 256 invocations that occupy a GPU of this kind fully; adapters do not tell
    /// their size. Software adapters are to run the same code as discrete GPUs.
    pub(super) fn full_workgroups(&self) -> usize {
        match self.kind {
            "integrated" | "other" => 64,
            _ => 256,
        }
    }

    /// The bytes of logits that are computed at a time. Few large blocks make large products, and a
    /// window's bytes fit discrete GPUs beside everything else; others share the memory of the CPU.
    pub(super) fn logits_block_bytes(&self) -> usize {
        match self.kind {
            "integrated" | "other" => 64 << 20,
            _ => 256 << 20,
        }
    }

    /// The values that an invocation of 256 can keep in registers beside 32 others, in shaders with
    /// few workgroups. NVIDIA's and AMD's GPUs have 255 registers for each; of others little is
    /// known. Software adapters keep values in memory anyway, and are to run the same code as GPUs.
    pub(super) fn kept_values(&self) -> usize {
        const NVIDIA: u32 = 0x10de;
        const AMD: u32 = 0x1002;
        match self.adapter.get_info().vendor {
            NVIDIA | AMD => 192,
            _ if self.is_software() => 192,
            _ => 32,
        }
    }

    /// The first word of the name, sufficient to select the adapter.
    pub fn short_name(&self) -> &str {
        self.name.split_whitespace().next().unwrap_or(&self.name)
    }

    /// Driver, capabilities, features and limits, for reports about a driver.
    pub fn details(&self) -> String {
        format!(
            "driver: {}\nf16: {}\ncooperative matrices: {:?}\nimmediates: {}\ntimestamps: {}\n\
             features: {}\n{:#?}",
            self.driver,
            self.f16,
            self.matrix,
            self.immediates,
            self.timestamps,
            self.adapter.features(),
            self.adapter.limits(),
        )
    }

    /// Name, backend and kind, for people.
    pub fn description(&self) -> String {
        format!("{} ({}, {})", self.name, self.backend, self.kind)
    }
}

/// Bytes of workgroup memory that products of matrices of 16 × 16 need. Those of 8 × 8 need less
/// than every adapter has.
const MATRIX_16_WORKGROUP_MEMORY: u32 = 28_688;

/// The rows and columns of cooperative matrices that the kernel can use, with factors in f16 and
/// sums in f32.
fn usable_matrix(adapter: &wgpu::Adapter) -> Option<usize> {
    let info = adapter.get_info();
    let required = wgpu::Features::SHADER_F16
        | wgpu::Features::SUBGROUP
        | wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
    if !adapter.features().contains(required) {
        return None;
    }
    let properties = adapter.cooperative_matrix_properties();
    let has = |size: u32| {
        properties.iter().any(|matrix| {
            [matrix.m_size, matrix.n_size, matrix.k_size] == [size; 3]
                && matrix.ab_type == wgpu::CooperativeScalarType::F16
                && matrix.cr_type == wgpu::CooperativeScalarType::F32
        })
    };
    let memory = adapter.limits().max_compute_workgroup_storage_size;
    // The kernel has at most eight subgroups in a workgroup.
    if has(16) && memory >= MATRIX_16_WORKGROUP_MEMORY && info.subgroup_min_size >= 32 {
        return Some(16);
    }
    // Metal's matrices of 8 × 8 are left out: the shader was never compiled for it.
    let is_vulkan = info.backend == wgpu::Backend::Vulkan;
    (has(8) && is_vulkan && info.subgroup_min_size >= 8).then_some(8)
}

/// The largest storage binding in bytes. wgpu binds less than 2 GiB whatever the adapter's limit
/// (gfx-rs/wgpu#8105).
pub(super) fn max_binding_bytes(limits: &wgpu::Limits) -> u64 {
    limits.max_storage_buffer_binding_size.min(i32::MAX as u64) & !255
}

/// All adapters that can run compute shaders, best first: discrete, integrated, virtual, other,
/// software. wgpu's environment variables `WGPU_DEBUG` and `WGPU_VALIDATION` apply.
pub fn adapters() -> Vec<AdapterInfo> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::PRIMARY;
    // The same in all builds: wgpu's debug builds would load Vulkan's validation layer, whose
    // messages nobody reads.
    descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    let instance = wgpu::Instance::new(descriptor);
    let mut infos: Vec<_> =
        pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY))
            .into_iter()
            .map(AdapterInfo::new)
            .collect();
    infos.sort_by_key(|info| info.rank);
    infos
}

/// The first error on a device since it was opened. Drivers report errors asynchronously.
#[derive(Debug, Clone, Default)]
pub(super) struct DeviceError(Arc<Mutex<Option<String>>>);

impl DeviceError {
    fn set(&self, message: String) {
        // A poisoned lock still holds the first message, which is the relevant one.
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(message);
    }

    pub(super) fn check(&self) -> Result<()> {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first
            .as_ref()
            .map_or(Ok(()), |message| Err(Error::Gpu(message.clone())))
    }
}

/// Opens a device with the adapter's limits. WebGPU's default limits would restrict bindings to
/// 128 MiB.
pub(super) fn open(
    info: &AdapterInfo,
    immediates: bool,
) -> Result<(wgpu::Device, wgpu::Queue, DeviceError)> {
    let mut features =
        wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP;
    features.set(wgpu::Features::IMMEDIATES, immediates);
    features.set(
        wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX,
        info.matrix.is_some(),
    );
    let mut experimental_features = wgpu::ExperimentalFeatures::disabled();
    if info.matrix.is_some() {
        #[expect(unsafe_code, reason = "cooperative matrices are experimental in wgpu")]
        // SAFETY: only one kernel uses cooperative matrices, and a run that selects it first checks
        // its results on this driver.
        unsafe {
            experimental_features = wgpu::ExperimentalFeatures::enabled();
        }
    }
    let mut limits = info.adapter.limits();
    if !immediates {
        limits.max_immediate_size = 0;
    }
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("elman"),
        required_features: info.adapter.features() & features,
        required_limits: limits,
        experimental_features,
        memory_hints: wgpu::MemoryHints::Performance,
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(info.adapter.request_device(&descriptor))
        .map_err(|error| Error::Gpu(format!("{} cannot be opened: {error}", info.description())))?;
    let first_error = DeviceError::default();
    let uncaptured = first_error.clone();
    device.on_uncaptured_error(Arc::new(move |error| uncaptured.set(error.to_string())));
    let lost = first_error.clone();
    device.set_device_lost_callback(move |reason, message| {
        if reason != wgpu::DeviceLostReason::Destroyed {
            lost.set(format!("the device was lost: {message}"));
        }
    });
    Ok((device, queue, first_error))
}
