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

/// The most bytes of several tensors in one transfer.
const MAX_SHARED: u64 = 16 << 20;

/// Whether a tensor shares the transfer of those before it, which have `bytes`: then it adds its
/// own, otherwise a transfer starts with them.
fn shares(bytes: &mut u64, next: u64) -> bool {
    let all = bytes.saturating_add(next);
    let shares = all <= MAX_SHARED;
    *bytes = if shares { all } else { next };
    shares
}

fn bytes_of<T: Element>(tensor: &Tensor<T>) -> u64 {
    tensor.len() as u64 * 4
}

impl Gpu {
    /// Starts copying the values of tensors, as they are after the work recorded so far. Small
    /// tensors share a transfer; a large one has at least one transfer per shard.
    pub(in crate::device) fn start_download<T: Element>(
        &mut self,
        tensors: &[Tensor<T>],
    ) -> Vec<Transfer> {
        self.submit();
        let shards = tensors.iter().flat_map(|tensor| self.shards(tensor));
        let shards: Vec<Tensor<T>> = shards.map(|shard| shard.tensor).collect();
        let mut bytes = shards.first().map_or(0, bytes_of);
        let together = shards.chunk_by(|_, next| shares(&mut bytes, bytes_of(next)));
        together.map(|shards| self.start_transfer(shards)).collect()
    }

    /// Starts copying tensors, one after the other, into one staging buffer.
    fn start_transfer<T: Element>(&mut self, tensors: &[Tensor<T>]) -> Transfer {
        let bytes = tensors.iter().map(bytes_of).sum();
        let staging = self.staging_of(bytes);
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor {
                label: Some("download"),
            });
        let mut first = 0;
        for tensor in tensors {
            encoder.copy_buffer_to_buffer(
                self.buffers.buffer(tensor.buffer),
                tensor.offset as u64 * 4,
                &staging,
                first,
                bytes_of(tensor),
            );
            first += bytes_of(tensor);
        }
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

    /// A staging buffer of at least this size: one that was kept, or a new one.
    fn staging_of(&mut self, bytes: u64) -> wgpu::Buffer {
        let is_large_enough = |staging: &wgpu::Buffer| staging.size() >= bytes;
        match self.staging.iter().position(is_large_enough) {
            Some(index) => self.staging.swap_remove(index),
            None => self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("download"),
                size: bytes.next_multiple_of(256).max(256),
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_tensors_share_a_transfer_and_large_ones_do_not() {
        let transfers = |sizes: &[u64]| {
            let mut bytes = sizes[0];
            let sizes = sizes.chunk_by(|_, &next| shares(&mut bytes, next));
            sizes.map(<[u64]>::len).collect::<Vec<_>>()
        };
        let large = MAX_SHARED + 4;
        assert_eq!(transfers(&[large, 4, 8, large, 4]), [1, 2, 1, 1]);
        assert_eq!(transfers(&[4, MAX_SHARED - 4, 4, 4]), [2, 2]);
        assert_eq!(transfers(&[MAX_SHARED, MAX_SHARED]), [1, 1]);
    }
}
