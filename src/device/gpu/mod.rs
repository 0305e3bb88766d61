//! A GPU as a device: wgpu buffers, cached pipelines and bind groups, and a list of recorded
//! dispatches that is submitted as one compute pass.
//!
//! Kernels call [`Gpu::launch`]; nothing runs before [`Gpu::submit`]. wgpu synchronizes dispatches
//! that access the same buffers.

mod adapter;
mod allocation;
mod buffers;
mod half_copies;
mod pipeline;
mod shader;
mod submission;
mod timer;
mod transfer;
mod work;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

pub use adapter::{AdapterInfo, adapters};
pub use buffers::Shard;
pub use half_copies::HalfSource;
pub(crate) use shader::arguments;
pub use shader::{Access, Argument, Arguments, Binding, SHADER_PRELUDE, Shader, Target, to_u32};

use super::Profile;
use crate::error::{Error, Result};
use adapter::DeviceError;
use buffers::BufferRegistry;
use half_copies::HalfCopies;
use pipeline::{Pipeline, PipelineKey};
use submission::Dispatch;
use timer::DispatchTimer;
pub(super) use transfer::Transfer;
pub use work::OPERATIONS_PER_ACCESS;
use work::WorkLimit;

/// Recorded dispatches after which the GPU device submits them by itself.
const MAX_RECORDED_DISPATCHES: usize = 1024;
/// Workgroups in one dimension of a dispatch: WebGPU's default limit, which every adapter supports.
const MAX_WORKGROUPS_PER_DIMENSION: usize = 65_535;

/// Options for tests. Users always get the default.
#[derive(Debug, Clone, Copy)]
pub struct GpuOptions {
    /// Whether to pass arguments as immediates if the adapter supports them. Otherwise they are
    /// passed in a uniform buffer.
    pub immediates: bool,
    /// Size limit of a table's shards in bytes, in addition to the adapter's limits.
    pub max_shard_bytes: usize,
    /// Size limit of a block of logits in bytes, in addition to what is recommended.
    pub max_logits_bytes: usize,
    /// Limit on the estimated operations of a submission, in addition to the adapter's.
    pub max_operations: u64,
    /// Changes the WGSL module of a shader before it is compiled.
    pub rewrite: Option<fn(&Shader, String) -> String>,
}

impl Default for GpuOptions {
    fn default() -> Self {
        Self {
            immediates: true,
            max_shard_bytes: usize::MAX,
            max_logits_bytes: usize::MAX,
            max_operations: u64::MAX,
            rewrite: None,
        }
    }
}

/// An open GPU.
#[derive(Debug)]
pub struct Gpu {
    name: String,
    device: wgpu::Device,
    queue: wgpu::Queue,
    first_error: DeviceError,
    immediates: bool,
    rewrite: Option<fn(&Shader, String) -> String>,
    limits: wgpu::Limits,
    kept_values: usize,
    full_workgroups: usize,
    logits_block_bytes: usize,
    matrix: Option<usize>,
    max_shard_bytes: usize,
    buffers: BufferRegistry,
    half_copies: HalfCopies,
    pipelines: Vec<Pipeline>,
    pipeline_indices: HashMap<PipelineKey, usize>,
    bind_groups: HashMap<(usize, Vec<Binding>), wgpu::BindGroup>,
    recorded: Vec<Dispatch>,
    recorded_work: WorkLimit,
    argument_bytes: Vec<u8>,
    uniform: Option<wgpu::Buffer>,
    uniform_group: Option<wgpu::BindGroup>,
    /// Staging buffers of finished downloads, for reuse.
    staging: Vec<wgpu::Buffer>,
    in_flight: VecDeque<wgpu::SubmissionIndex>,
    timer: Option<DispatchTimer>,
    scratch: usize,
    work: SubmittedWork,
}

/// What a GPU was given to do so far, and how long the host waited for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SubmittedWork {
    /// Number of dispatches that were recorded.
    pub dispatches: u64,
    /// Time that the host waited for the GPU.
    pub waited: Duration,
}

impl Gpu {
    /// Opens the adapter.
    ///
    /// # Errors
    /// If the driver cannot open it.
    pub fn open(info: &AdapterInfo, options: GpuOptions) -> Result<Self> {
        let immediates = options.immediates && info.immediates;
        let (device, queue, first_error) = adapter::open(info, immediates)?;
        let mut gpu = Self {
            name: info.description(),
            limits: device.limits(),
            kept_values: info.kept_values(),
            full_workgroups: info.full_workgroups(),
            logits_block_bytes: info.logits_block_bytes().min(options.max_logits_bytes),
            matrix: info.matrix,
            device,
            queue,
            first_error,
            immediates,
            rewrite: options.rewrite,
            max_shard_bytes: options.max_shard_bytes,
            buffers: BufferRegistry::default(),
            half_copies: HalfCopies::default(),
            pipelines: Vec::new(),
            pipeline_indices: HashMap::new(),
            bind_groups: HashMap::new(),
            recorded: Vec::new(),
            recorded_work: WorkLimit::new(
                info.operations_per_submission().min(options.max_operations),
            ),
            argument_bytes: Vec::new(),
            uniform: None,
            uniform_group: None,
            staging: Vec::new(),
            in_flight: VecDeque::new(),
            timer: None,
            scratch: 0,
            work: SubmittedWork::default(),
        };
        gpu.scratch = gpu.allocate("scratch", 1, Self::SCRATCH_ELEMENTS)?;
        Ok(gpu)
    }

    /// Number of elements of the scratch buffer.
    pub const SCRATCH_ELEMENTS: usize = 16 << 20;

    /// A scratch buffer for kernels of several dispatches: a dispatch may read what earlier
    /// dispatches of the same kernel wrote. Other kernels overwrite it.
    pub fn scratch(&self) -> Binding {
        Binding {
            buffer: self.scratch,
        }
    }

    /// The adapter's description, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether shaders may use f16.
    pub fn has_f16(&self) -> bool {
        self.device.features().contains(wgpu::Features::SHADER_F16)
    }

    /// Whether shaders may sum over subgroups.
    fn has_subgroups(&self) -> bool {
        self.device.features().contains(wgpu::Features::SUBGROUP)
    }

    /// What the adapter's results, and the sizes of its buffers, depend on.
    pub(super) fn capabilities(&self) -> Vec<(&'static str, String)> {
        let limits = &self.limits;
        let workgroup_memory = limits.max_compute_workgroup_storage_size;
        vec![
            ("support of f16", self.has_f16().to_string()),
            ("support of subgroups", self.has_subgroups().to_string()),
            (
                "size of cooperative matrices",
                format!("{:?}", self.matrix.unwrap_or(0)),
            ),
            ("values in registers", self.kept_values.to_string()),
            ("full workgroups", self.full_workgroups.to_string()),
            ("largest binding", self.max_binding_bytes().to_string()),
            ("largest buffer", limits.max_buffer_size.to_string()),
            ("workgroup memory", workgroup_memory.to_string()),
        ]
    }

    /// The rows and columns of cooperative matrices, if the adapter has any that kernels can use.
    pub fn matrix(&self) -> Option<usize> {
        self.matrix
    }

    /// What modules are written for.
    fn target(&self) -> Target {
        Target {
            immediates: self.immediates,
            subgroups: self.has_subgroups(),
            matrix: self.matrix.unwrap_or(16),
        }
    }

    /// About the number of workgroups of 256 invocations that occupy the GPU fully.
    pub fn full_workgroups(&self) -> usize {
        self.full_workgroups
    }

    /// Recommended size in bytes of a block of logits.
    pub fn logits_block_bytes(&self) -> usize {
        self.max_binding_bytes().min(self.logits_block_bytes)
    }

    /// The values that each of a workgroup's 256 invocations can keep in registers for many loop
    /// iterations.
    pub fn kept_values(&self) -> usize {
        self.kept_values
    }

    /// The largest number of estimated operations of a submission. Kernels divide larger dispatches
    /// where that does not change their results.
    pub fn max_operations(&self) -> u64 {
        self.recorded_work.limit()
    }

    /// The largest storage binding in bytes.
    pub fn max_binding_bytes(&self) -> usize {
        usize::try_from(adapter::max_binding_bytes(&self.limits)).unwrap_or(usize::MAX)
    }

    /// Turns the timing of dispatches on or off and returns the times measured so far, by label.
    /// Returns `None` if the adapter has no timestamp queries.
    pub(super) fn set_timing(&mut self, on: bool) -> Result<Option<Profile>> {
        self.wait()?;
        if !self
            .device
            .features()
            .contains(wgpu::Features::TIMESTAMP_QUERY)
        {
            return Ok(None);
        }
        let measured = self
            .timer
            .take()
            .map(|timer| timer.profile)
            .unwrap_or_default();
        self.timer =
            on.then(|| DispatchTimer::new(&self.device, &self.queue, MAX_RECORDED_DISPATCHES));
        Ok(Some(measured))
    }

    /// The work so far.
    pub(super) fn work(&self) -> SubmittedWork {
        self.work
    }

    /// Waits for submissions.
    fn poll(&mut self, wait: wgpu::PollType) -> Result<()> {
        let start = Instant::now();
        let polled = self.device.poll(wait);
        self.work.waited += start.elapsed();
        polled
            .map(drop)
            .map_err(|error| Error::Gpu(error.to_string()))
    }

    /// Waits until all work recorded so far is done.
    pub(super) fn wait(&mut self) -> Result<()> {
        self.submit();
        self.poll(wgpu::PollType::wait_indefinitely())?;
        self.in_flight.clear();
        self.first_error.check()
    }
}

/// The workgroups for `count` independent items, `per_group` per workgroup, spread over x and y if
/// they exceed the limit of one dimension. Shaders compute a workgroup's index with
/// `flat_workgroup` of the shared prelude.
pub fn workgroups(count: usize, per_group: usize) -> [u32; 3] {
    let groups = count.div_ceil(per_group);
    let y = groups.div_ceil(MAX_WORKGROUPS_PER_DIMENSION).max(1);
    [to_u32(groups.div_ceil(y)), to_u32(y), 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workgroups_cover_all_items_within_the_limits() {
        let limit = MAX_WORKGROUPS_PER_DIMENSION;
        // The elements of the largest binding.
        let largest = i32::MAX as usize / 4;
        for count in [0, 1, 255, 256, 257, limit, limit + 1, 1 << 20, largest] {
            for per_group in [1, 16, 64, 256] {
                let [x, y, z] = workgroups(count, per_group).map(|size| size as usize);
                assert!(
                    x <= limit && y <= limit && z == 1,
                    "{count} by {per_group}: {x} x {y}"
                );
                let groups = count.div_ceil(per_group);
                // At most one unused workgroup in each column.
                assert!(
                    (groups..groups + y.max(1)).contains(&(x * y)),
                    "{count} by {per_group}: {x} x {y}"
                );
            }
        }
    }
}
