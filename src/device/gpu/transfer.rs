//! Numbers on their way from a GPU to the host: copied behind the work recorded so far, and read
//! when they are there.

use std::sync::mpsc::Receiver;

use super::Gpu;
use crate::error::{Error, Result};
use crate::tensor::{Element, Tensor};

/// A copy that the GPU was asked for.
#[derive(Debug)]
pub(in crate::device) struct Transfer {
    staging: wgpu::Buffer,
    bytes: u64,
    mapped: Receiver<std::result::Result<(), wgpu::BufferAsyncError>>,
    submission: wgpu::SubmissionIndex,
}

impl Gpu {
    /// Asks for a tensor's numbers as the work recorded so far leaves them, one transfer for each
    /// of its pieces.
    pub(in crate::device) fn begin_download<T: Element>(
        &mut self,
        tensor: &Tensor<T>,
    ) -> Vec<Transfer> {
        self.submit();
        self.pieces(tensor)
            .into_iter()
            .map(|piece| self.begin_transfer(&piece.tensor))
            .collect()
    }

    fn begin_transfer<T: Element>(&mut self, tensor: &Tensor<T>) -> Transfer {
        let bytes = tensor.len() as u64 * 4;
        let fitting = self
            .staging
            .iter()
            .position(|staging| staging.size() >= bytes);
        let staging = match fitting {
            Some(number) => self.staging.swap_remove(number),
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
            self.memory.buffer(tensor.buffer),
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
                // Nobody listens any more where the run has ended with an error.
                let _ = sender.send(outcome);
            });
        Transfer {
            staging,
            bytes,
            mapped,
            submission,
        }
    }

    /// Waits for the copies, and for no work recorded after them, and appends their numbers.
    ///
    /// # Errors
    /// If the driver failed or was lost.
    pub(in crate::device) fn end_download<T: Element>(
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
            self.device
                .poll(wait)
                .map_err(|error| Error::Gpu(error.to_string()))?;
            self.fault.check()?;
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

    /// Keeps a few buffers for later transfers.
    fn keep_staging(&mut self, staging: wgpu::Buffer) {
        const KEPT: usize = 2;
        self.staging.push(staging);
        if self.staging.len() > KEPT {
            let smallest =
                (0..self.staging.len()).min_by_key(|&number| self.staging[number].size());
            smallest.map(|number| self.staging.swap_remove(number));
        }
    }
}
