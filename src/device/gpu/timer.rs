//! Seconds by kernel, from the GPU's own clock: a pass for each dispatch, with a timestamp before
//! and after it.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// Seconds and runs by label.
pub(super) type Seconds = BTreeMap<&'static str, (f64, u64)>;

/// Timestamps of one submission at a time.
#[derive(Debug)]
pub(super) struct Timer {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
    /// Nanoseconds of a tick.
    period: f64,
    pub(super) seconds: Seconds,
}

impl Timer {
    /// Room for the timestamps of a submission of `dispatches`.
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue, dispatches: usize) -> Self {
        let count = super::index(2 * dispatches);
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
            seconds: Seconds::new(),
        }
    }

    /// The timestamps around dispatch `number` of a submission.
    pub(super) fn writes(&self, number: usize) -> wgpu::ComputePassTimestampWrites<'_> {
        let begin = super::index(2 * number);
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(begin),
            end_of_pass_write_index: Some(begin + 1),
        }
    }

    /// Records the copying of the timestamps behind `dispatches` dispatches.
    pub(super) fn resolve(&self, encoder: &mut wgpu::CommandEncoder, dispatches: usize) {
        encoder.resolve_query_set(
            &self.queries,
            0..super::index(2 * dispatches),
            &self.resolved,
            0,
        );
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, dispatches as u64 * 16);
    }

    /// Waits for the submission and adds its times up by the dispatches' labels.
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
            let entry = self.seconds.entry(label).or_default();
            *entry = (
                entry.0 + times[1].saturating_sub(times[0]) as f64 * self.period * 1e-9,
                entry.1 + 1,
            );
        }
        drop(view);
        self.staging.unmap();
        Ok(())
    }
}
