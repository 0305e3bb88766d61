//! Allocation and release of GPU buffers within the adapter's limits, and uploads to them.

use super::buffers::Shard;
use super::{Gpu, adapter};
use crate::error::{Error, Result};
use crate::tensor::{Element, Tensor};

impl Gpu {
    /// The adapter's limits on the size of a buffer: name and bytes.
    fn buffer_limits(&self) -> [(&'static str, u64); 2] {
        [
            (
                "max_storage_buffer_binding_size",
                adapter::max_binding_bytes(&self.limits),
            ),
            ("max_buffer_size", self.limits.max_buffer_size),
        ]
    }

    /// Allocates one buffer for the whole matrix.
    pub(in crate::device) fn allocate(
        &mut self,
        what: &str,
        rows: usize,
        columns: usize,
    ) -> Result<usize> {
        let bytes = (rows * columns).max(1) as u64 * 4;
        let exceeded = self
            .buffer_limits()
            .into_iter()
            .find(|&(_, limit)| bytes > limit);
        if let Some((name, limit)) = exceeded {
            return Err(Error::invalid(
                format!("{what} [{rows}, {columns}] of {bytes} bytes"),
                format!("{} has {name} = {limit} bytes", self.name),
                format!(
                    "At most {} rows of {columns} fit: use a smaller `vocab_size`, `hidden_size` \
                     or `batch`, or `device = cpu`",
                    limit / 4 / columns.max(1) as u64
                ),
            ));
        }
        let buffer = self.create_buffer(what, bytes)?;
        Ok(self.buffers.add(buffer))
    }

    /// Allocates one buffer, or several shards of whole rows if the adapter's limits require it.
    pub(in crate::device) fn allocate_table(
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
        let shard_rows = (limit.min(self.max_shard_bytes) / 4 / columns.max(1)).max(1);
        if shard_rows >= rows || columns * 4 > limit {
            return self.allocate(what, rows, columns);
        }
        let mut buffers = Vec::new();
        for first in (0..rows).step_by(shard_rows) {
            let bytes = shard_rows.min(rows - first) * columns * 4;
            buffers.push(self.create_buffer(what, bytes as u64)?);
        }
        Ok(self.buffers.add_table(buffers, shard_rows, columns))
    }

    fn create_buffer(&mut self, what: &str, bytes: u64) -> Result<wgpu::Buffer> {
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(what),
            // Shaders that read `vec4<f32>` read up to the next multiple of 16 bytes.
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
                "Use a smaller `vocab_size`, `hidden_size`, `batch` or `bptt`, an optimizer with \
                 less state, or `device = cpu`; a large vocabulary needs less memory and time with \
                 `output = class`",
            ));
        }
        self.first_error.check()?;
        Ok(buffer)
    }

    pub(in crate::device) fn release(&mut self, buffer: usize) {
        self.submit();
        let released = self.buffers.release(buffer);
        for copy in self.half_copies.remove(&released) {
            self.release(copy);
        }
        self.bind_groups.retain(|(_, bindings), _| {
            bindings
                .iter()
                .all(|binding| !released.contains(&binding.buffer))
        });
    }

    /// The tensor's rows, shard by shard: one shard, unless the tensor is a table that exceeds the
    /// adapter's limits.
    pub fn shards<T: Element>(&self, tensor: &Tensor<T>) -> Vec<Shard<T>> {
        self.buffers.shards(tensor)
    }

    pub(in crate::device) fn upload<T: Element>(&mut self, tensor: &Tensor<T>, values: &[T]) {
        // The queue executes writes before the next submission: submit the recorded work first.
        self.submit();
        for shard in self.shards(tensor) {
            self.buffers.record_write(shard.tensor.buffer);
            let first = shard.rows.start * tensor.columns();
            let end = shard.rows.end * tensor.columns();
            self.queue.write_buffer(
                self.buffers.buffer(shard.tensor.buffer),
                shard.tensor.offset as u64 * 4,
                bytemuck::cast_slice(&values[first..end]),
            );
        }
    }
}
