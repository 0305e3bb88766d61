//! Adapters: which there are, what they can do, and opening one.

use std::sync::{Arc, Mutex};

use crate::error::{Error, Result};

/// An adapter as `elman devices` describes it.
#[derive(Debug, Clone)]
pub struct AdapterReport {
    /// The adapter's own name.
    pub name: String,
    /// "Vulkan", "Metal" or "Dx12".
    pub backend: String,
    /// "discrete", "integrated", "virtual", "software" or "other".
    pub kind: &'static str,
    /// Driver and version, as far as it says.
    pub driver: String,
    /// Largest storage binding in bytes.
    pub largest_binding: u64,
    /// Largest buffer in bytes.
    pub largest_buffer: u64,
    /// Workgroup memory in bytes.
    pub workgroup_memory: u32,
    /// Whether shaders may use f16.
    pub f16: bool,
    /// Whether it multiplies 16 x 16 matrices of f16 with sums in f32, by subgroups of 32
    /// invocations.
    pub cooperative: bool,
    /// Whether a dispatch's arguments can travel as immediates.
    pub immediates: bool,
    /// Whether passes can be timed.
    pub timestamps: bool,
    rank: u8,
    pub(super) adapter: wgpu::Adapter,
}

impl AdapterReport {
    fn new(adapter: wgpu::Adapter) -> Self {
        let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
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
            largest_binding: largest_binding(&limits),
            largest_buffer: limits.max_buffer_size,
            workgroup_memory: limits.max_compute_workgroup_storage_size,
            f16: features.contains(wgpu::Features::SHADER_F16),
            cooperative: features.contains(
                wgpu::Features::SHADER_F16 | wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX,
            ) && (info.subgroup_min_size, info.subgroup_max_size) == (32, 32)
                && adapter
                    .cooperative_matrix_properties()
                    .iter()
                    .any(is_usable),
            immediates: features.contains(wgpu::Features::IMMEDIATES),
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            rank,
            adapter,
        }
    }

    /// Whether this is a program that plays a GPU on the CPU, such as llvmpipe.
    pub fn is_software(&self) -> bool {
        self.kind == "software"
    }

    /// The first word of its name, enough for `--device`.
    pub fn short_name(&self) -> &str {
        self.name.split_whitespace().next().unwrap_or(&self.name)
    }

    /// Name and backend in one phrase.
    pub fn title(&self) -> String {
        format!("{} ({}, {})", self.name, self.backend, self.kind)
    }
}

/// Whether these are the cooperative matrices that the kernel is written for.
fn is_usable(properties: &wgpu::CooperativeMatrixProperties) -> bool {
    let wgpu::CooperativeMatrixProperties {
        m_size,
        n_size,
        k_size,
        ab_type,
        cr_type,
        ..
    } = *properties;
    (m_size, n_size, k_size) == (16, 16, 16)
        && (ab_type, cr_type)
            == (
                wgpu::CooperativeScalarType::F16,
                wgpu::CooperativeScalarType::F32,
            )
}

/// The largest binding in bytes. wgpu binds less than 2 GiB whatever the adapter says
/// (gfx-rs/wgpu#8105).
pub(super) fn largest_binding(limits: &wgpu::Limits) -> u64 {
    limits.max_storage_buffer_binding_size.min(i32::MAX as u64) & !255
}

/// Every adapter that can run compute shaders, the best first: discrete, integrated, virtual,
/// other, software.
pub fn adapters() -> Vec<AdapterReport> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::PRIMARY;
    let instance = wgpu::Instance::new(descriptor);
    let mut reports: Vec<_> =
        pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY))
            .into_iter()
            .map(AdapterReport::new)
            .collect();
    reports.sort_by_key(|report| report.rank);
    reports
}

/// The first thing that went wrong on a device since it was opened; drivers report failures when
/// they please.
#[derive(Debug, Clone, Default)]
pub(super) struct Fault(Arc<Mutex<Option<String>>>);

impl Fault {
    fn set(&self, message: String) {
        // A poisoned lock still holds the first message, which is the one that matters.
        let mut slot = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        slot.get_or_insert(message);
    }

    pub(super) fn check(&self) -> Result<()> {
        let slot = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        slot.as_ref()
            .map_or(Ok(()), |message| Err(Error::Gpu(message.clone())))
    }
}

/// Opens a device with the adapter's own limits; the defaults of WebGPU would cut bindings to 128
/// MiB.
pub(super) fn open(
    report: &AdapterReport,
    immediates: bool,
) -> Result<(wgpu::Device, wgpu::Queue, Fault)> {
    let mut wanted = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SHADER_F16;
    wanted.set(wgpu::Features::IMMEDIATES, immediates);
    wanted.set(
        wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX,
        report.cooperative,
    );
    let mut experimental_features = wgpu::ExperimentalFeatures::disabled();
    if report.cooperative {
        #[expect(unsafe_code, reason = "cooperative matrices are experimental in wgpu")]
        // SAFETY: one kernel uses them, and a run that wants it checks its results on this driver
        // first.
        unsafe {
            experimental_features = wgpu::ExperimentalFeatures::enabled();
        }
    }
    let mut limits = report.adapter.limits();
    if !immediates {
        limits.max_immediate_size = 0;
    }
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("elman"),
        required_features: report.adapter.features() & wanted,
        required_limits: limits,
        experimental_features,
        memory_hints: wgpu::MemoryHints::Performance,
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(report.adapter.request_device(&descriptor))
        .map_err(|error| Error::Gpu(format!("{} cannot be opened: {error}", report.title())))?;
    let fault = Fault::default();
    let uncaptured = fault.clone();
    device.on_uncaptured_error(Arc::new(move |error| uncaptured.set(error.to_string())));
    let lost = fault.clone();
    device.set_device_lost_callback(move |reason, message| {
        if reason != wgpu::DeviceLostReason::Destroyed {
            lost.set(format!("the device was lost: {message}"));
        }
    });
    Ok((device, queue, fault))
}
