//! Recording of dispatches, and their submission as one compute pass.

use super::pipeline::{self, Pipeline, PipelineKey};
use super::shader::{Access, Arguments, Binding, Shader, to_u32};
use super::{Gpu, MAX_RECORDED_DISPATCHES, work};

/// Submissions in flight before the host waits for the oldest. More would only use memory.
const MAX_SUBMISSIONS_IN_FLIGHT: usize = 4;
/// Every adapter accepts uniform buffer offsets that are multiples of this.
const UNIFORM_STRIDE: usize = 256;

/// A recorded dispatch.
#[derive(Debug)]
pub(super) struct Dispatch {
    pipeline: usize,
    bind_group: wgpu::BindGroup,
    /// The offset and the length of its arguments in `Gpu::argument_bytes`.
    arguments: (usize, usize),
    workgroups: [u32; 3],
}

impl Gpu {
    /// Records a dispatch of `shader` with the given `constants` (WGSL overrides), bindings in the
    /// shader's order, and arguments. Does nothing if there are no workgroups.
    ///
    /// # Panics
    /// If the number of bindings or the type of the arguments differs from the shader's
    /// declaration.
    pub fn launch<A: Arguments>(
        &mut self,
        shader: &'static Shader,
        constants: &[(&'static str, f64)],
        bindings: &[Binding],
        arguments: &A,
        workgroups: [u32; 3],
    ) {
        let operations = work::simple_operations(workgroups);
        self.launch_work(
            shader, constants, bindings, arguments, workgroups, operations,
        );
    }

    /// As [`Self::launch`], for kernels with long loops: with an estimate of the dispatch's
    /// operations, [`OPERATIONS_PER_ACCESS`](super::OPERATIONS_PER_ACCESS) for each access to
    /// memory. It decides only into which submissions the dispatches are divided.
    ///
    /// # Panics
    /// As [`Self::launch`].
    pub fn launch_work<A: Arguments>(
        &mut self,
        shader: &'static Shader,
        constants: &[(&'static str, f64)],
        bindings: &[Binding],
        arguments: &A,
        workgroups: [u32; 3],
        operations: u64,
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
        for (binding, &(_, access)) in bindings.iter().zip(shader.bindings) {
            if access == Access::Write {
                self.buffers.record_write(binding.buffer);
            }
        }
        if self.recorded_work.is_exceeded_by(operations) {
            self.submit();
        }
        self.recorded_work.record(operations);
        let pipeline = self.pipeline(shader, constants);
        let bind_group = self.bind_group(pipeline, bindings);
        let start = self.argument_bytes.len();
        let bytes = bytemuck::bytes_of(arguments);
        self.argument_bytes.extend_from_slice(bytes);
        self.argument_bytes.resize(
            self.argument_bytes.len().next_multiple_of(UNIFORM_STRIDE),
            0,
        );
        self.work.dispatches += 1;
        self.recorded.push(Dispatch {
            pipeline,
            bind_group,
            arguments: (start, bytes.len()),
            workgroups,
        });
        if self.recorded.len() >= MAX_RECORDED_DISPATCHES {
            self.submit();
        }
    }

    fn pipeline(&mut self, shader: &'static Shader, constants: &[(&'static str, f64)]) -> usize {
        let key = PipelineKey::new(shader, constants);
        if let Some(&index) = self.pipeline_indices.get(&key) {
            return index;
        }
        let mut module = shader.module(self.target());
        if let Some(rewrite) = self.rewrite {
            module = rewrite(shader, module);
        }
        log::debug!(
            target: "elman::pipeline",
            "{} {} {constants:?}",
            shader.stem,
            shader.entry_point
        );
        self.pipelines.push(Pipeline::new(
            &self.device,
            shader,
            module,
            constants,
            self.immediates,
        ));
        self.pipeline_indices.insert(key, self.pipelines.len() - 1);
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
            .map(|(tensor, binding)| wgpu::BindGroupEntry {
                binding,
                resource: self.buffers.buffer(tensor.buffer).as_entire_binding(),
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

    /// Encodes the recorded dispatches as one compute pass and submits it to the queue.
    pub(in crate::device) fn submit(&mut self) {
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
            // One pass per dispatch: timestamps are written at the boundaries of passes.
            Some(timer) => {
                for (index, dispatch) in self.recorded.iter().enumerate() {
                    self.encode(
                        &mut encoder,
                        std::slice::from_ref(dispatch),
                        Some(timer.writes(index)),
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
            // The next download reports a failure again, with its message.
            let _ = timer.read(&self.device, &labels);
        }
        self.recorded.clear();
        self.recorded_work.reset();
        self.argument_bytes.clear();
        self.in_flight.push_back(submission);
        if self.in_flight.len() > MAX_SUBMISSIONS_IN_FLIGHT {
            let oldest = self.in_flight.pop_front();
            // The next download reports a failure here too.
            let _ = self.poll(wgpu::PollType::Wait {
                submission_index: oldest,
                timeout: None,
            });
        }
    }

    /// Encodes a compute pass of the given dispatches.
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
                pass.set_bind_group(1, self.uniform_group.as_ref(), &[to_u32(start)]);
            }
            let [x, y, z] = dispatch.workgroups;
            pass.dispatch_workgroups(x, y, z);
        }
    }

    /// Uploads the arguments of the recorded dispatches to the uniform buffer.
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
