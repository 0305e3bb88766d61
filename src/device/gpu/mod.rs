//! A GPU as a device: wgpu buffers, pipelines and bind groups made once, and a list of dispatches
//! that becomes one compute pass.
//!
//! Kernels call [`Gpu::launch`]; nothing runs before [`Gpu::submit`]. wgpu orders dispatches that
//! touch the same buffers.

mod adapter;
mod memory;
mod pipeline;
mod shader;
mod timer;
mod transfer;

use std::collections::{HashMap, VecDeque};

pub use adapter::{AdapterReport, adapters};
pub use memory::Piece;
pub(crate) use shader::arguments;
pub use shader::{Access, Argument, Arguments, Binding, SHARED, Shader, index};

use crate::error::{Error, Result};
use crate::tensor::{Element, Tensor};
use adapter::Fault;
use memory::Memory;
use pipeline::Pipeline;
use timer::Timer;
pub(super) use transfer::Transfer;

/// Dispatches recorded before a submission is made of them without being asked for.
const LARGEST_SUBMISSION: usize = 1024;
/// Submissions that may wait on the GPU before the host waits too; more would only hold memory.
const LARGEST_QUEUE: usize = 4;
/// Every adapter accepts uniform offsets that are multiples of this.
const UNIFORM_STRIDE: usize = 256;
/// Workgroups in one dimension of a dispatch: the limit of every adapter (WebGPU's default).
const LARGEST_DIMENSION: usize = 65_535;

/// Switches for tests; the default is what users get.
#[derive(Debug, Clone, Copy)]
pub struct GpuOptions {
    /// Arguments travel as immediates where the adapter has them; otherwise always in a uniform
    /// buffer.
    pub immediates: bool,
    /// Bytes of the buffers that tables are cut into, where that is less than the adapter's largest
    /// binding.
    pub largest_part: usize,
}

impl Default for GpuOptions {
    fn default() -> Self {
        Self {
            immediates: true,
            largest_part: usize::MAX,
        }
    }
}

#[derive(Debug)]
struct Dispatch {
    pipeline: usize,
    bind_group: wgpu::BindGroup,
    /// Where its arguments begin in `argument_bytes`, and how many bytes they are.
    arguments: (usize, usize),
    workgroups: [u32; 3],
}

/// An open GPU.
#[derive(Debug)]
pub struct Gpu {
    name: String,
    device: wgpu::Device,
    queue: wgpu::Queue,
    fault: Fault,
    immediates: bool,
    limits: wgpu::Limits,
    largest_part: usize,
    memory: Memory,
    pipelines: Vec<Pipeline>,
    pipeline_numbers: HashMap<pipeline::Key, usize>,
    bind_groups: HashMap<(usize, Vec<Binding>), wgpu::BindGroup>,
    recorded: Vec<Dispatch>,
    argument_bytes: Vec<u8>,
    uniform: Option<wgpu::Buffer>,
    uniform_group: Option<wgpu::BindGroup>,
    /// Buffers that downloads went through and the next ones may go through.
    staging: Vec<wgpu::Buffer>,
    in_flight: VecDeque<wgpu::SubmissionIndex>,
    timer: Option<Timer>,
    scratch: usize,
}

impl Gpu {
    /// Opens the adapter.
    ///
    /// # Errors
    /// If the driver refuses.
    pub fn open(report: &AdapterReport, options: GpuOptions) -> Result<Self> {
        let immediates = options.immediates && report.immediates;
        let (device, queue, fault) = adapter::open(report, immediates)?;
        let mut gpu = Self {
            name: report.title(),
            limits: device.limits(),
            device,
            queue,
            fault,
            immediates,
            largest_part: options.largest_part,
            memory: Memory::default(),
            pipelines: Vec::new(),
            pipeline_numbers: HashMap::new(),
            bind_groups: HashMap::new(),
            recorded: Vec::new(),
            argument_bytes: Vec::new(),
            uniform: None,
            uniform_group: None,
            staging: Vec::new(),
            in_flight: VecDeque::new(),
            timer: None,
            scratch: 0,
        };
        gpu.scratch = gpu.allocate("scratch", 1, Self::SCRATCH)?;
        Ok(gpu)
    }

    /// Numbers that the scratch memory holds.
    pub const SCRATCH: usize = 4 << 20;

    /// Memory for a kernel that launches several dispatches: what one leaves there, the next may
    /// read. The next kernel overwrites it.
    pub fn scratch(&self) -> Binding {
        Binding {
            buffer: self.scratch,
        }
    }

    /// The adapter in words.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether shaders may use f16.
    pub fn has_f16(&self) -> bool {
        self.device.features().contains(wgpu::Features::SHADER_F16)
    }

    /// Whether kernels may use cooperative matrices of 16 x 16.
    pub fn multiplies_cooperatively(&self) -> bool {
        self.device
            .features()
            .contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
    }

    /// Bytes of the largest storage binding.
    pub fn largest_binding(&self) -> usize {
        usize::try_from(adapter::largest_binding(&self.limits)).unwrap_or(usize::MAX)
    }

    /// The limits that a buffer must keep, by name, in bytes.
    fn buffer_limits(&self) -> [(&'static str, u64); 2] {
        [
            (
                "max_storage_buffer_binding_size",
                adapter::largest_binding(&self.limits),
            ),
            ("max_buffer_size", self.limits.max_buffer_size),
        ]
    }

    /// One buffer for the whole matrix.
    pub(super) fn allocate(&mut self, what: &str, rows: usize, columns: usize) -> Result<usize> {
        let bytes = (rows * columns).max(1) as u64 * 4;
        if let Some((limit, number)) = self
            .buffer_limits()
            .into_iter()
            .find(|&(_, number)| bytes > number)
        {
            return Err(Error::invalid(
                format!("{what} [{rows}, {columns}] of {bytes} bytes"),
                format!("{} has {limit} = {number} bytes", self.name),
                format!(
                    "At most {} rows of {columns} fit: take a smaller --vocab-size, --hidden or \
                     --batch, or --device cpu",
                    number / 4 / columns.max(1) as u64
                ),
            ));
        }
        let buffer = self.create(what, bytes)?;
        Ok(self.memory.keep(buffer))
    }

    /// One buffer, or as many as the adapter's limits ask for, cut between rows.
    pub(super) fn allocate_table(
        &mut self,
        what: &str,
        rows: usize,
        columns: usize,
    ) -> Result<usize> {
        let limit = self
            .buffer_limits()
            .map(|(_, bytes)| usize::try_from(bytes).unwrap_or(usize::MAX))
            .into_iter()
            .min();
        let limit = limit.unwrap_or(usize::MAX);
        let part = (limit.min(self.largest_part) / 4 / columns.max(1)).max(1);
        if part >= rows || columns * 4 > limit {
            return self.allocate(what, rows, columns);
        }
        let mut buffers = Vec::new();
        for first in (0..rows).step_by(part) {
            buffers.push(self.create(what, (part.min(rows - first) * columns * 4) as u64)?);
        }
        Ok(self.memory.keep_table(buffers, part, columns))
    }

    fn create(&mut self, what: &str, bytes: u64) -> Result<wgpu::Buffer> {
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(what),
            // Shaders that read four numbers at a time see the last ones too.
            size: bytes.next_multiple_of(16),
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        if let Some(error) = pollster::block_on(scope.pop()) {
            return Err(Error::invalid(
                format!("{what} of {} MiB", bytes >> 20),
                format!("{} has no memory left for it ({error})", self.name),
                "Take a smaller --vocab-size, --hidden, --batch or --bptt, an optimizer that keeps \
                 less, or --device cpu",
            ));
        }
        self.fault.check()?;
        Ok(buffer)
    }

    pub(super) fn release(&mut self, buffer: usize) {
        self.submit();
        let released = self.memory.release(buffer);
        self.bind_groups.retain(|(_, bindings), _| {
            bindings
                .iter()
                .all(|binding| !released.contains(&binding.buffer))
        });
    }

    /// The tensor's rows, buffer by buffer: one piece, unless the tensor is a table larger than a
    /// binding.
    pub fn pieces<T: Element>(&self, tensor: &Tensor<T>) -> Vec<Piece<T>> {
        self.memory.pieces(tensor)
    }

    pub(super) fn upload<T: Element>(&mut self, tensor: &Tensor<T>, values: &[T]) {
        // Writes of a queue come before the next submission, so what was recorded must go first.
        self.submit();
        for Piece {
            rows,
            tensor: piece,
        } in self.pieces(tensor)
        {
            let values = &values[rows.start * tensor.columns()..rows.end * tensor.columns()];
            self.queue.write_buffer(
                self.memory.buffer(piece.buffer),
                piece.offset as u64 * 4,
                bytemuck::cast_slice(values),
            );
        }
    }

    /// Measures every dispatch by the GPU's clock from now on, or no longer; what was measured so
    /// far, by label. Whether it can.
    pub(super) fn time(&mut self, on: bool) -> Result<Option<timer::Seconds>> {
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
            .map(|timer| timer.seconds)
            .unwrap_or_default();
        self.timer = on.then(|| Timer::new(&self.device, &self.queue, LARGEST_SUBMISSION));
        Ok(Some(measured))
    }

    /// Waits until everything recorded so far is done.
    pub(super) fn wait(&mut self) -> Result<()> {
        self.submit();
        self.device
            .poll(wgpu::PollType::wait_indefinitely())
            .map_err(|error| Error::Gpu(error.to_string()))?;
        self.in_flight.clear();
        self.fault.check()
    }

    /// Records one dispatch of `shader` with its `constants` (WGSL overrides), bindings in the
    /// shader's order, and arguments.
    ///
    /// # Panics
    /// If the bindings are not as many as the shader declares.
    pub fn launch<A: Arguments>(
        &mut self,
        shader: &'static Shader,
        constants: &[(&'static str, f64)],
        bindings: &[Binding],
        arguments: &A,
        workgroups: [u32; 3],
    ) {
        assert_eq!(
            shader.bindings.len(),
            bindings.len(),
            "bindings of {}",
            shader.stem
        );
        assert_eq!(shader.arguments, A::FIELDS, "arguments of {}", shader.stem);
        if workgroups.contains(&0) {
            return;
        }
        let pipeline = self.pipeline(shader, constants);
        let bind_group = self.bind_group(pipeline, bindings);
        let start = self.argument_bytes.len();
        let bytes = bytemuck::bytes_of(arguments);
        self.argument_bytes.extend_from_slice(bytes);
        self.argument_bytes.resize(
            self.argument_bytes.len().next_multiple_of(UNIFORM_STRIDE),
            0,
        );
        self.recorded.push(Dispatch {
            pipeline,
            bind_group,
            arguments: (start, bytes.len()),
            workgroups,
        });
        if self.recorded.len() >= LARGEST_SUBMISSION {
            self.submit();
        }
    }

    fn pipeline(&mut self, shader: &'static Shader, constants: &[(&'static str, f64)]) -> usize {
        let key = pipeline::Key::new(shader, constants);
        if let Some(&number) = self.pipeline_numbers.get(&key) {
            return number;
        }
        self.pipelines.push(Pipeline::new(
            &self.device,
            shader,
            constants,
            self.immediates,
        ));
        self.pipeline_numbers.insert(key, self.pipelines.len() - 1);
        self.pipelines.len() - 1
    }

    fn bind_group(&mut self, pipeline: usize, bindings: &[Binding]) -> wgpu::BindGroup {
        let key = (pipeline, bindings.to_vec());
        if let Some(group) = self.bind_groups.get(&key) {
            return group.clone();
        }
        let entries: Vec<_> = bindings
            .iter()
            .zip(0..)
            .map(|(binding, number)| wgpu::BindGroupEntry {
                binding: number,
                resource: self.memory.buffer(binding.buffer).as_entire_binding(),
            })
            .collect();
        let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(self.pipelines[pipeline].label),
            layout: &self.pipelines[pipeline].storage_layout,
            entries: &entries,
        });
        self.bind_groups.insert(key, group.clone());
        group
    }

    /// Makes one compute pass of everything recorded and hands it to the queue.
    pub(super) fn submit(&mut self) {
        if self.recorded.is_empty() {
            return;
        }
        if !self.immediates {
            self.write_uniform();
        }
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor {
                label: Some("window"),
            });
        match &self.timer {
            None => self.encode(&mut encoder, &self.recorded, None),
            // A pass for each dispatch: timestamps stand at the ends of passes.
            Some(timer) => {
                for (number, dispatch) in self.recorded.iter().enumerate() {
                    self.encode(
                        &mut encoder,
                        std::slice::from_ref(dispatch),
                        Some(timer.writes(number)),
                    );
                }
                timer.resolve(&mut encoder, self.recorded.len());
            }
        }
        let submission = self.queue.submit([encoder.finish()]);
        if let Some(timer) = &mut self.timer {
            let labels: Vec<_> = self
                .recorded
                .iter()
                .map(|dispatch| self.pipelines[dispatch.pipeline].label)
                .collect();
            // A failure here is seen again, with its message, at the next download.
            let _ = timer.read(&self.device, &labels);
        }
        self.recorded.clear();
        self.argument_bytes.clear();
        self.in_flight.push_back(submission);
        if self.in_flight.len() > LARGEST_QUEUE {
            let oldest = self.in_flight.pop_front();
            // As above.
            let _ = self.device.poll(wgpu::PollType::Wait {
                submission_index: oldest,
                timeout: None,
            });
        }
    }

    /// One compute pass of some dispatches.
    fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        dispatches: &[Dispatch],
        timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
    ) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("window"),
            timestamp_writes,
        });
        let mut current = usize::MAX;
        for dispatch in dispatches {
            if dispatch.pipeline != current {
                pass.set_pipeline(&self.pipelines[dispatch.pipeline].pipeline);
                current = dispatch.pipeline;
            }
            pass.set_bind_group(0, &dispatch.bind_group, &[]);
            let (start, length) = dispatch.arguments;
            if self.immediates {
                pass.set_immediates(0, &self.argument_bytes[start..start + length]);
            } else {
                pass.set_bind_group(1, self.uniform_group.as_ref(), &[index(start)]);
            }
            let [x, y, z] = dispatch.workgroups;
            pass.dispatch_workgroups(x, y, z);
        }
    }

    fn write_uniform(&mut self) {
        let bytes = self.argument_bytes.len() as u64;
        if self
            .uniform
            .as_ref()
            .is_none_or(|uniform| uniform.size() < bytes)
        {
            let uniform = self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("arguments"),
                size: bytes.next_power_of_two(),
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            self.uniform_group = Some(self.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("arguments"),
                layout: &pipeline::uniform_layout(&self.device),
                entries: &[wgpu::BindGroupEntry {
                    binding: 0,
                    resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                        buffer: &uniform,
                        offset: 0,
                        size: wgpu::BufferSize::new(UNIFORM_STRIDE as u64),
                    }),
                }],
            }));
            self.uniform = Some(uniform);
        }
        if let Some(uniform) = &self.uniform {
            self.queue.write_buffer(uniform, 0, &self.argument_bytes);
        }
    }
}

/// Workgroups for `count` independent pieces, `per_group` to a workgroup, spread over x and y where
/// x alone is too short. A shader finds its number by `flat_workgroup` of the shared prefix.
pub fn workgroups(count: usize, per_group: usize) -> [u32; 3] {
    let groups = count.div_ceil(per_group);
    let y = groups.div_ceil(LARGEST_DIMENSION).max(1);
    [index(groups.div_ceil(y)), index(y), 1]
}
