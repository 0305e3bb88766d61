//! Transfers from a GPU to the host: a copy submitted after the work recorded so far, and read once
//! it is complete.

use std::sync::mpsc::Receiver;

use super::Gpu;
use crate::error::{Error, Result};
use crate::tensor::{Element, Tensor};

/// A submitted copy to a staging buffer.
#[derive(Debug)]
pub(in crate::device) struct Transfer {
    staging: wgpu::Buffer,
    bytes: u64,
    mapped: Receiver<std::result::Result<(), wgpu::BufferAsyncError>>,
    submission: wgpu::SubmissionIndex,
}

impl Gpu {
    /// Starts copying a tensor's values, as they are after the work recorded so far, with one
    /// transfer per shard.
    pub(in crate::device) fn start_download<T: Element>(
        &mut self,
        tensor: &Tensor<T>,
    ) -> Vec<Transfer> {
        self.submit();
        self.shards(tensor)
            .into_iter()
            .map(|shard| self.start_transfer(&shard.tensor))
            .collect()
    }

    fn start_transfer<T: Element>(&mut self, tensor: &Tensor<T>) -> Transfer {
        let bytes = tensor.len() as u64 * 4;
        let large_enough = self
            .staging
            .iter()
            .position(|staging| staging.size() >= bytes);
        let staging = match large_enough {
            Some(index) => self.staging.swap_remove(index),
            None => self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("download"),
                size: bytes.next_multiple_of(256).max(256),
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
        };
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor {
                label: Some("download"),
            });
        encoder.copy_buffer_to_buffer(
            self.buffers.buffer(tensor.buffer),
            tensor.offset as u64 * 4,
            &staging,
            0,
            bytes,
        );
        let submission = self.queue.submit([encoder.finish()]);
        let (sender, mapped) = std::sync::mpsc::channel();
        staging
            .slice(..bytes)
            .map_async(wgpu::MapMode::Read, move |outcome| {
                // The receiver is gone if the run has ended with an error.
                let _ = sender.send(outcome);
            });
        Transfer {
            staging,
            bytes,
            mapped,
            submission,
        }
    }

    /// Waits for the transfers, but not for work recorded after them, and returns their values in
    /// order.
    ///
    /// # Errors
    /// If the driver failed or the device was lost.
    pub(in crate::device) fn finish_download<T: Element>(
        &mut self,
        transfers: Vec<Transfer>,
    ) -> Result<Vec<T>> {
        let mut values = Vec::new();
        for Transfer {
            staging,
            bytes,
            mapped,
            submission,
        } in transfers
        {
            let wait = wgpu::PollType::Wait {
                submission_index: Some(submission),
                timeout: None,
            };
            self.poll(wait)?;
            self.first_error.check()?;
            match mapped.recv() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(Error::Gpu(error.to_string())),
                Err(_) => return Err(Error::Gpu("a download was dropped".into())),
            }
            let view = staging
                .slice(..bytes)
                .get_mapped_range()
                .map_err(|error| Error::Gpu(error.to_string()))?;
            values.extend_from_slice(bytemuck::cast_slice(&view));
            drop(view);
            staging.unmap();
            self.keep_staging(staging);
        }
        Ok(values)
    }

    /// Keeps the largest staging buffers for later transfers.
    fn keep_staging(&mut self, staging: wgpu::Buffer) {
        // As many as the gradients of an update that are downloaded at once, of most models.
        const MAX_KEPT: usize = 16;
        self.staging.push(staging);
        if self.staging.len() > MAX_KEPT {
            let smallest = (0..self.staging.len()).min_by_key(|&index| self.staging[index].size());
            smallest.map(|index| self.staging.swap_remove(index));
        }
    }
}
