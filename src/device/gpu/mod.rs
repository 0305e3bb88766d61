//! A GPU as a device: wgpu buffers, pipelines and bind groups made once, and a list of dispatches that becomes one compute pass.
//!
//! Kernels call [`Gpu::launch`]; nothing runs before [`Gpu::submit`]. wgpu orders dispatches that touch the same buffers.

mod adapter;
mod pipeline;
mod shader;

use std::collections::{HashMap, VecDeque};

pub use adapter::{AdapterReport, adapters};
pub(crate) use shader::arguments;
pub use shader::{Access, Argument, Arguments, Binding, SHARED, Shader, index};

use crate::error::{Error, Result};
use crate::tensor::{Element, Tensor};
use adapter::Fault;
use pipeline::Pipeline;

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
    /// Arguments travel as immediates where the adapter has them; otherwise always in a uniform buffer.
    pub immediates: bool,
}

impl Default for GpuOptions {
    fn default() -> Self {
        Self { immediates: true }
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
    /// Indexed by a tensor's buffer number, which is never used again.
    buffers: Vec<Option<wgpu::Buffer>>,
    pipelines: Vec<Pipeline>,
    pipeline_numbers: HashMap<pipeline::Key, usize>,
    bind_groups: HashMap<(usize, Vec<Binding>), wgpu::BindGroup>,
    recorded: Vec<Dispatch>,
    argument_bytes: Vec<u8>,
    uniform: Option<wgpu::Buffer>,
    uniform_group: Option<wgpu::BindGroup>,
    staging: Option<wgpu::Buffer>,
    in_flight: VecDeque<wgpu::SubmissionIndex>,
}

impl Gpu {
    /// Opens the adapter.
    ///
    /// # Errors
    /// If the driver refuses.
    pub fn open(report: &AdapterReport, options: GpuOptions) -> Result<Self> {
        let immediates = options.immediates && report.immediates;
        let (device, queue, fault) = adapter::open(report, immediates)?;
        Ok(Self {
            name: report.title(),
            limits: device.limits(),
            device,
            queue,
            fault,
            immediates,
            buffers: Vec::new(),
            pipelines: Vec::new(),
            pipeline_numbers: HashMap::new(),
            bind_groups: HashMap::new(),
            recorded: Vec::new(),
            argument_bytes: Vec::new(),
            uniform: None,
            uniform_group: None,
            staging: None,
            in_flight: VecDeque::new(),
        })
    }

    /// The adapter in words.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of the largest storage binding.
    pub fn largest_binding(&self) -> usize {
        usize::try_from(adapter::largest_binding(&self.limits)).unwrap_or(usize::MAX)
    }

    pub(super) fn allocate(&mut self, what: &str, rows: usize, columns: usize) -> Result<usize> {
        let bytes = (rows * columns).max(1) as u64 * 4;
        for (limit, number) in
            [("max_storage_buffer_binding_size", adapter::largest_binding(&self.limits)), ("max_buffer_size", self.limits.max_buffer_size)]
        {
            if bytes > number {
                return Err(Error::refused(
                    format!("{what} [{rows}, {columns}] of {bytes} bytes"),
                    format!("{} has {limit} = {number} bytes", self.name),
                    format!(
                        "At most {} rows of {columns} fit: take a smaller --vocab-size, --hidden or --batch, or --device cpu",
                        number / 4 / columns.max(1) as u64
                    ),
                ));
            }
        }
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(what),
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.fault.check()?;
        self.buffers.push(Some(buffer));
        Ok(self.buffers.len() - 1)
    }

    pub(super) fn release(&mut self, buffer: usize) {
        self.submit();
        self.bind_groups.retain(|(_, bindings), _| bindings.iter().all(|binding| binding.buffer != buffer));
        self.buffers[buffer] = None;
    }

    fn buffer(&self, number: usize) -> &wgpu::Buffer {
        self.buffers[number].as_ref().expect("the tensor was released")
    }

    pub(super) fn upload<T: Element>(&mut self, tensor: &Tensor<T>, values: &[T]) {
        // Writes of a queue come before the next submission, so what was recorded must go first.
        self.submit();
        self.queue.write_buffer(self.buffer(tensor.buffer), tensor.offset as u64 * 4, bytemuck::cast_slice(values));
    }

    pub(super) fn download<T: Element>(&mut self, tensor: &Tensor<T>) -> Result<Vec<T>> {
        self.submit();
        let bytes = tensor.len() as u64 * 4;
        let staging = match self.staging.take() {
            Some(staging) if staging.size() >= bytes => staging,
            _ => self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("download"),
                size: bytes.next_power_of_two(),
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
        };
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("download") });
        encoder.copy_buffer_to_buffer(self.buffer(tensor.buffer), tensor.offset as u64 * 4, &staging, 0, bytes);
        self.queue.submit([encoder.finish()]);
        let slice = staging.slice(..bytes);
        let (sender, receiver) = std::sync::mpsc::channel();
        slice.map_async(wgpu::MapMode::Read, move |outcome| {
            // The receiver lives until it has got this message.
            let _ = sender.send(outcome);
        });
        self.wait()?;
        match receiver.recv() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(Error::Gpu(error.to_string())),
            Err(_) => return Err(Error::Gpu("a download was dropped".into())),
        }
        let view = slice.get_mapped_range().map_err(|error| Error::Gpu(error.to_string()))?;
        let values = bytemuck::cast_slice(&view).to_vec();
        drop(view);
        staging.unmap();
        self.staging = Some(staging);
        Ok(values)
    }

    /// Waits until everything recorded so far is done.
    pub(super) fn wait(&mut self) -> Result<()> {
        self.submit();
        self.device.poll(wgpu::PollType::wait_indefinitely()).map_err(|error| Error::Gpu(error.to_string()))?;
        self.in_flight.clear();
        self.fault.check()
    }

    /// Records one dispatch of `shader` with its `constants` (WGSL overrides), bindings in the shader's order, and arguments.
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
        assert_eq!(shader.bindings.len(), bindings.len(), "bindings of {}", shader.stem);
        assert_eq!(shader.arguments, A::FIELDS, "arguments of {}", shader.stem);
        if workgroups.contains(&0) {
            return;
        }
        let pipeline = self.pipeline(shader, constants);
        let bind_group = self.bind_group(pipeline, bindings);
        let start = self.argument_bytes.len();
        let bytes = bytemuck::bytes_of(arguments);
        self.argument_bytes.extend_from_slice(bytes);
        self.argument_bytes.resize(self.argument_bytes.len().next_multiple_of(UNIFORM_STRIDE), 0);
        self.recorded.push(Dispatch { pipeline, bind_group, arguments: (start, bytes.len()), workgroups });
        if self.recorded.len() >= LARGEST_SUBMISSION {
            self.submit();
        }
    }

    fn pipeline(&mut self, shader: &'static Shader, constants: &[(&'static str, f64)]) -> usize {
        let key = pipeline::Key::new(shader, constants);
        if let Some(&number) = self.pipeline_numbers.get(&key) {
            return number;
        }
        self.pipelines.push(Pipeline::new(&self.device, shader, constants, self.immediates));
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
            .map(|(binding, number)| wgpu::BindGroupEntry { binding: number, resource: self.buffer(binding.buffer).as_entire_binding() })
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
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("window") });
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("window"), timestamp_writes: None });
            let mut current = usize::MAX;
            for dispatch in &self.recorded {
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
        self.recorded.clear();
        self.argument_bytes.clear();
        self.in_flight.push_back(self.queue.submit([encoder.finish()]));
        if self.in_flight.len() > LARGEST_QUEUE {
            let oldest = self.in_flight.pop_front();
            // A failure here is seen again, with its message, at the next download.
            let _ = self.device.poll(wgpu::PollType::Wait { submission_index: oldest, timeout: None });
        }
    }

    fn write_uniform(&mut self) {
        let bytes = self.argument_bytes.len() as u64;
        if self.uniform.as_ref().is_none_or(|uniform| uniform.size() < bytes) {
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

/// Workgroups for `count` independent pieces, `per_group` to a workgroup, spread over x and y where x alone is too short.
/// A shader finds its number by `flat_workgroup` of the shared prefix.
pub fn workgroups(count: usize, per_group: usize) -> [u32; 3] {
    let groups = count.div_ceil(per_group);
    let y = groups.div_ceil(LARGEST_DIMENSION).max(1);
    [index(groups.div_ceil(y)), index(y), 1]
}
