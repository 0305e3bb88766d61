//! Kernel times measured with GPU timestamp queries: one pass per dispatch, with a timestamp at its
//! beginning and its end.

use crate::device::Profile;
use crate::error::{Error, Result};

/// Timestamp queries for one submission at a time, and the times measured so far.
#[derive(Debug)]
pub(super) struct DispatchTimer {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
    /// Nanoseconds per tick.
    period: f64,
    pub(super) profile: Profile,
}

impl DispatchTimer {
    /// Creates queries for submissions of up to `dispatches` dispatches.
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue, dispatches: usize) -> Self {
        let count = super::to_u32(2 * dispatches);
        let buffer = |label, usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: u64::from(count) * 8,
                usage,
                mapped_at_creation: false,
            })
        };
        Self {
            queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count,
            }),
            resolved: buffer(
                "timestamps",
                wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            ),
            staging: buffer(
                "timestamps on the host",
                wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            ),
            period: f64::from(queue.get_timestamp_period()),
            profile: Profile::new(),
        }
    }

    /// The timestamp writes for dispatch `index` of a submission.
    pub(super) fn writes(&self, index: usize) -> wgpu::ComputePassTimestampWrites<'_> {
        let begin = super::to_u32(2 * index);
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(begin),
            end_of_pass_write_index: Some(begin + 1),
        }
    }

    /// Records copying the timestamps of `dispatches` dispatches to the staging buffer.
    pub(super) fn resolve(&self, encoder: &mut wgpu::CommandEncoder, dispatches: usize) {
        encoder.resolve_query_set(
            &self.queries,
            0..super::to_u32(2 * dispatches),
            &self.resolved,
            0,
        );
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, dispatches as u64 * 16);
    }

    /// Waits for the submission and adds its times to the profile, by the dispatches' labels.
    pub(super) fn read(&mut self, device: &wgpu::Device, labels: &[&'static str]) -> Result<()> {
        let slice = self.staging.slice(..labels.len() as u64 * 16);
        slice.map_async(wgpu::MapMode::Read, |_| {});
        device
            .poll(wgpu::PollType::wait_indefinitely())
            .map_err(|error| Error::Gpu(error.to_string()))?;
        let view = slice
            .get_mapped_range()
            .map_err(|error| Error::Gpu(error.to_string()))?;
        let ticks: &[u64] = bytemuck::cast_slice(&view);
        for (label, times) in labels.iter().zip(ticks.chunks_exact(2)) {
            let seconds = times[1].saturating_sub(times[0]) as f64 * self.period * 1e-9;
            let (total, runs) = self.profile.entry(label).or_default();
            *total += seconds;
            *runs += 1;
        }
        drop(view);
        self.staging.unmap();
        Ok(())
    }
}
