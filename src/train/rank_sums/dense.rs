//! Sums of dense gradients over ranks.
//!
//! On the CPU, large gradients are summed where they are. On a GPU they are copied to the host, the
//! first ones while the GPU computes the others, and the sums are copied back. Small gradients are
//! copied and summed together, in one message.

use crate::device::{Device, Download};
use crate::error::Result;
use crate::parallel::Ranks;
use crate::tensor::Tensor;

/// Values of a gradient for which one more message costs little: 256 KiB.
const LARGE: usize = 1 << 16;

/// Large gradients on their way from a GPU to the host.
#[derive(Debug, Default)]
pub(super) struct DenseSums(Vec<(Tensor, Download<f32>)>);

impl DenseSums {
    /// Starts copying a complete gradient from a GPU to the host.
    pub(super) fn start(&mut self, device: &mut Device, gradient: Tensor) {
        if device.is_gpu() && gradient.len() >= LARGE {
            self.0.push((gradient, device.start_download(&[gradient])));
        }
    }

    /// Replaces gradients, among them those that were started, by their sums over ranks.
    ///
    /// # Errors
    /// If the device fails.
    pub(super) fn finish(
        &mut self,
        device: &mut Device,
        ranks: &Ranks,
        gradients: &[Tensor],
    ) -> Result<()> {
        let (large, small): (Vec<_>, Vec<_>) = gradients
            .iter()
            .copied()
            .partition(|gradient| gradient.len() >= LARGE);
        for gradient in large {
            if let Some(mut values) = device.host_values(&gradient) {
                ranks.sum(&mut values);
            } else if self.0.iter().all(|(started, _)| *started != gradient) {
                self.start(device, gradient);
            }
        }
        let download = device.start_download(&small);
        for (gradient, download) in std::mem::take(&mut self.0) {
            let mut values = device.finish_download(download)?;
            ranks.sum(&mut values);
            device.upload(&gradient, &values);
        }
        let mut values = device.finish_download(download)?;
        ranks.sum(&mut values);
        let mut rest = &values[..];
        for gradient in small {
            let (of_gradient, after) = rest.split_at(gradient.len());
            device.upload(&gradient, of_gradient);
            rest = after;
        }
        Ok(())
    }
}
