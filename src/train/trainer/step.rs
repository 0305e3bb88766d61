//! The training step: forward, backward, clip, update.

use std::collections::BTreeMap;
use std::time::Instant;

use super::Trainer;
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{ClipGradNorm, ClipGradValue, Gradient, Scale};
use crate::model::{ParameterId, Window};
use crate::parallel::Ranks;
use crate::train::choices::LossReduction;
use crate::train::last_update::{Before, LastUpdate, ParameterChange, saturation};
use crate::train::optimizer::ParameterUpdate;
use crate::train::step_metrics::{MAX_STEPS, PendingSteps};

/// The mean of each value over the ranks.
fn mean(ranks: &Ranks, mut values: Vec<f32>) -> Vec<f32> {
    ranks.sum(&mut values);
    let count = ranks.count() as f32;
    values.into_iter().map(|sum| sum / count).collect()
}

impl Trainer<'_> {
    /// Runs the next few steps of the epoch and requests their metrics.
    ///
    /// # Errors
    /// As [`Trainer::advance`].
    pub(super) fn train_steps(&mut self, device: &mut Device) -> Result<PendingSteps> {
        let start = Instant::now();
        let first = self.progress.window;
        if first == 0 {
            self.workspace.reset(device);
            self.collected_at = start;
        }
        // The last of the steps completes an update, so a snapshot never has half an update.
        let accumulate = self.recipe.accumulate;
        let count = self
            .interval
            .next_multiple_of(accumulate)
            .min(MAX_STEPS / accumulate * accumulate)
            .min(self.windows_per_epoch() - first);
        let mut tokens = 0;
        for record in 0..count {
            tokens += self.train_step(device, first + record, record)?;
        }
        self.progress.window += count;
        let seconds = start.elapsed().as_secs_f64();
        Ok(self.metrics.finish(device, first, count, tokens, seconds))
    }

    /// Trains on the window with this index: forward, backward, clip, update.
    ///
    /// With several ranks, the gradients of all are summed before they are clipped, so that every
    /// rank has the same update. Metrics go to `record`. With `accumulate` above 1, only the last
    /// window of each group updates the parameters. Returns the number of tokens predicted.
    fn train_step(&mut self, device: &mut Device, index: usize, record: usize) -> Result<usize> {
        let (window, tokens) = self.load_window(device, index)?;
        let capacity = self.workspace.capacity();
        let first = capacity.part.map_or(0, |part| part.first);
        let own_streams = first..first + capacity.batch;
        let resets = self.recipe.reset_streams(window.draw, own_streams);
        self.workspace.reset_streams(device, &resets);
        let is_last = index + 1 == self.windows_per_epoch();
        let completes_update = (index + 1).is_multiple_of(self.recipe.accumulate) || is_last;

        self.model.forward(device, &self.workspace, &window);
        let saturation = match is_last {
            true => mean(
                &self.ranks,
                saturation(device, &self.workspace.gates(&window))?,
            ),
            false => Vec::new(),
        };
        let scale = self.loss_scale(tokens);
        let mut gradients = self.workspace.gradients(&window);
        // With an accumulator, its sums are those of the update.
        let mut sums = self
            .rank_sums
            .as_mut()
            .filter(|_| self.accumulator.is_none());
        let mut completed = |device: &mut Device, ids: &[ParameterId]| {
            if let Some(sums) = &mut sums {
                sums.start(device, ids.iter().map(|id| &gradients[id.index()]));
            }
        };
        self.model
            .backward_in_stages(device, &self.workspace, &window, scale, &mut completed);

        if let Some(accumulator) = &mut self.accumulator {
            gradients = accumulator.add(device, &gradients, tokens);
            if completes_update {
                accumulator.finish(device, self.recipe.reduction);
            }
        }
        if completes_update {
            if let Some(sums) = &mut self.rank_sums {
                gradients = sums.finish(device, self.model.parameters(), &gradients)?;
            }
            self.clip_values(device, &gradients);
        }
        let losses = self.workspace.losses(&window);
        let clip = self.clip_norm().filter(|_| completes_update);
        self.metrics.write(device, record, losses, &gradients, clip);
        if completes_update {
            let parameters = self.update(device, &window, &gradients, is_last)?;
            self.gradients = gradients;
            self.progress.last_update = is_last.then_some(LastUpdate {
                parameters,
                saturation,
            });
        }
        device.submit();
        Ok(tokens)
    }

    /// The window with this index, and the number of tokens it predicts.
    fn load_window(&mut self, device: &mut Device, index: usize) -> Result<(Window, usize)> {
        // Every window of the run has its own random draws (dropout masks, sampled words).
        let shortest = self.recipe.shortest_window();
        let windows_at_most = self.loader.streams().steps().div_ceil(shortest);
        let draw = (self.progress.epochs * windows_at_most + index) as u32;
        self.loader.window(device, &self.workspace, index, draw)
    }

    /// The factor of the sum of losses whose gradient is taken. The accumulator takes the mean over
    /// several windows itself.
    fn loss_scale(&self, tokens: usize) -> f32 {
        if self.recipe.reduction == LossReduction::Mean && self.accumulator.is_none() {
            1.0 / tokens.max(1) as f32
        } else {
            1.0
        }
    }

    /// Clips each element of the gradients.
    fn clip_values(&self, device: &mut Device, gradients: &[Gradient]) {
        if self.recipe.clip_value > 0.0 {
            for gradient in gradients {
                device.run(&ClipGradValue {
                    values: gradient.values(),
                    maximum: self.recipe.clip_value,
                });
            }
        }
    }

    /// How the norm of all gradients together is clipped, if it is.
    fn clip_norm(&self) -> Option<ClipGradNorm> {
        (self.recipe.clip > 0.0).then_some(ClipGradNorm {
            maximum: self.recipe.clip,
            scale: self.gradient_scale,
        })
    }

    /// Updates every parameter from its gradient: weight decay, then the optimizer. Returns how far
    /// each is moved if that is measured: then one is updated after the other, which does not
    /// change results.
    fn update(
        &mut self,
        device: &mut Device,
        window: &Window,
        gradients: &[Gradient],
        is_measured: bool,
    ) -> Result<BTreeMap<String, ParameterChange>> {
        self.progress.step += 1;
        let base_rate = self.window_learning_rate(window);
        let parameters = self.model.parameters();
        let mut updates = Vec::with_capacity(gradients.len());
        let mut changes = BTreeMap::new();
        for (index, spec) in parameters.specs().iter().enumerate() {
            let parameter = parameters.tensors()[index];
            let rate = base_rate * self.recipe.rate_factor(&spec.name);
            let before = match is_measured {
                true => Some(Before::new(device, parameter)?),
                false => None,
            };
            if self.recipe.l2 > 0.0 {
                device.run(&Scale {
                    values: parameter,
                    factor: 1.0 - rate * self.recipe.l2,
                });
            }
            updates.push(ParameterUpdate {
                parameter,
                gradient: gradients[index],
                state: &self.optimizer_state[index],
                scale: self.gradient_scale,
                rate,
                step: self.progress.step,
            });
            if let Some(before) = before {
                (self.optimizer.update)(device, &updates);
                updates.clear();
                changes.insert(spec.name.clone(), before.change(device)?);
            }
        }
        if !updates.is_empty() {
            (self.optimizer.update)(device, &updates);
        }
        if let Some((averager, before)) = self.averaging() {
            averager.add(device, &self.model, self.progress.step - before);
        }
        Ok(changes)
    }

    /// The learning rate for a window. With windows of random length and the mean of their losses,
    /// it is proportional to the length, so that every token has the same weight (Merity 2017).
    fn window_learning_rate(&self, window: &Window) -> f32 {
        let rate = self.learning_rate();
        if self.recipe.reduction == LossReduction::Mean && self.recipe.bptt_jitter > 0 {
            rate * (window.time_steps as f32 / self.recipe.bptt as f32)
        } else {
            rate
        }
    }
}
