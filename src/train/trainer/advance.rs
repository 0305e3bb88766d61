//! The course of training: groups of steps, whose metrics are collected, and the ends of epochs.

use std::time::Instant;

use super::Trainer;
use crate::device::Device;
use crate::error::Result;
use crate::train::step_metrics::{CollectedMetrics, PendingSteps};
use crate::train::{EpochRecord, Event};

/// The time between two collections of the metrics that the interval is adjusted to.
const SECONDS_BETWEEN_COLLECTIONS: f64 = 0.5;

impl Trainer<'_> {
    /// Trains to the end and calls `on_epoch` after every epoch.
    ///
    /// # Errors
    /// As [`Trainer::advance`].
    pub fn train(
        &mut self,
        device: &mut Device,
        mut on_epoch: impl FnMut(&EpochRecord),
    ) -> Result<()> {
        loop {
            match self.advance(device)? {
                Event::Steps { .. } => {}
                Event::Epoch(record) => on_epoch(&record),
                Event::Finished => return Ok(()),
            }
        }
    }

    /// Trains until there is something to report.
    ///
    /// # Errors
    /// If the device fails, or if a loss or gradient is not finite; the weights are unusable then.
    pub fn advance(&mut self, device: &mut Device) -> Result<Event> {
        device.install(|device| self.advance_installed(device))
    }

    fn advance_installed(&mut self, device: &mut Device) -> Result<Event> {
        #[cfg(feature = "fault-injection")]
        self.inject_faults(device)?;
        loop {
            if self.ends_epoch() {
                return match self.pending.take() {
                    Some(steps) => self.collect(device, steps),
                    None => self.end_epoch(device).map(Event::Epoch),
                };
            }
            if self.is_finished() {
                self.restore_kept_weights(device)?;
                return Ok(Event::Finished);
            }
            let steps = self.train_steps(device)?;
            if steps.is_ready() {
                return self.collect(device, steps);
            }
            // A GPU is given the next steps before the host waits for these.
            if let Some(previous) = self.pending.replace(steps) {
                return self.collect(device, previous);
            }
        }
    }

    /// Waits for some steps and adds their metrics to the progress.
    pub(super) fn collect(&mut self, device: &mut Device, steps: PendingSteps) -> Result<Event> {
        let first = steps.first;
        let count = steps.count;
        let tokens = steps.tokens;
        let CollectedMetrics {
            loss_sums,
            gradient_norm,
            not_finite,
            seconds,
        } = steps.collect(device, &self.ranks, self.collected_at)?;
        if let Some((step, parameter)) = not_finite {
            let tensor = match parameter {
                None => "the loss".to_owned(),
                Some(index) => {
                    let spec = &self.model.parameters().specs()[index];
                    format!("the gradient of {}", spec.name)
                }
            };
            return Err(self.not_finite(tensor, first + step + 1));
        }
        self.collected_at = Instant::now();
        let nats: f64 = loss_sums.iter().map(|&sum| f64::from(sum)).sum();
        self.progress.nats += nats;
        self.progress.tokens += tokens;
        self.progress.seconds += seconds;
        // The interval does not affect results.
        let interval = count as f64 * SECONDS_BETWEEN_COLLECTIONS / seconds.max(1e-6);
        self.interval = (interval as usize).clamp(1, self.max_interval);
        Ok(Event::Steps {
            loss: nats / tokens.max(1) as f64,
            loss_sums,
            gradient_norm,
            tokens_per_second: tokens as f64 / seconds.max(1e-9),
        })
    }
}
