//! What a checkpoint keeps of a run, and going on from it.

use std::sync::Arc;

use super::Trainer;
use crate::corpus::Corpus;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::model::{Config, ParameterSpec};
use crate::train::{Progress, Recipe, Snapshot};

impl<'a> Trainer<'a> {
    /// Goes on where a snapshot was taken.
    ///
    /// # Errors
    /// As [`Trainer::new`], or if the snapshot does not fit the model.
    pub fn resume(
        device: &mut Device,
        config: Config,
        snapshot: Snapshot,
        progress: Progress,
        recipe: Recipe,
        corpus: &'a Corpus,
    ) -> Result<Self> {
        let parameters = snapshot.last.as_ref().unwrap_or(&snapshot.parameters);
        let mut trainer = Self::new(device, config, parameters, recipe, corpus)?;
        let carried = trainer.workspace.carried();
        let lengths_fit = snapshot.carried.len() == carried.len()
            && snapshot
                .carried
                .iter()
                .zip(&carried)
                .all(|(values, tensor)| values.len() == tensor.len())
            && snapshot.optimizer.len() == trainer.optimizer.state.len()
            && snapshot.average.is_some() == progress.averaged_after.is_some();
        if !lengths_fit {
            return Err(Error::invalid(
                "the training state",
                "its tensors do not fit the recipe",
                "Resume with the recipe it was made with, or start anew",
            ));
        }
        for (tensor, values) in carried.iter().zip(&snapshot.carried) {
            device.upload(tensor, values);
        }
        for (number, values) in snapshot.optimizer.iter().enumerate() {
            let tensors: Vec<_> = trainer
                .optimizer_state
                .iter()
                .map(|state| state[number])
                .collect();
            trainer
                .model
                .parameters()
                .upload_like(device, &tensors, values)?;
        }
        if let (Some(averager), Some(values)) = (&trainer.averager, &snapshot.average) {
            averager.model.parameters().upload(device, values)?;
        }
        trainer.past_best = snapshot.last.is_some();
        trainer.best = match snapshot.best {
            None if progress.epochs > 0 => Some(snapshot.parameters),
            best => best,
        };
        trainer.progress = progress;
        trainer.resegment();
        Ok(trainer)
    }

    /// Everything that a checkpoint keeps, after every window that was begun.
    ///
    /// # Errors
    /// As [`Trainer::advance`].
    pub fn snapshot(&mut self, device: &mut Device) -> Result<Snapshot> {
        if let Some(run) = self.pending.take() {
            self.collect(device, run)?;
        }
        // Logits are of no use between two windows, and a snapshot is large.
        device.release_scratch();
        let parameters = self.model.parameters();
        let mut optimizer = Vec::new();
        for number in 0..self.optimizer.state.len() {
            let tensors: Vec<_> = self
                .optimizer_state
                .iter()
                .map(|state| state[number])
                .collect();
            optimizer.push(parameters.download_like(device, &tensors)?);
        }
        let average = self
            .averaging()
            .map(|(averager, _)| averager.model.parameters().download(device))
            .transpose()?;
        // Between epochs the kept weights are the model.
        let (now, best, last) = match &self.best {
            Some(best) if self.progress.window == 0 => {
                let last = match &self.last {
                    None if self.past_best => Some(Arc::new(parameters.download(device)?)),
                    last => last.clone(),
                };
                (best.clone(), None, last)
            }
            best => (Arc::new(parameters.download(device)?), best.clone(), None),
        };
        Ok(Snapshot {
            parameters: now,
            best,
            last,
            average,
            optimizer,
            carried: self
                .workspace
                .carried()
                .iter()
                .map(|tensor| device.download(tensor))
                .collect::<Result<_>>()?,
        })
    }

    /// Bytes of the host's memory that taking a snapshot needs at most: copies of the parameters as
    /// they are, as they were best, averaged where they are, and of the optimiser's state; and one
    /// tensor more in the device's layout.
    pub fn snapshot_bytes(&self) -> usize {
        let parameters = self.model.parameters();
        let copies = 2 + self.optimizer.state.len() + usize::from(self.averager.is_some());
        let largest = parameters
            .parameter_specs()
            .iter()
            .map(ParameterSpec::len)
            .max()
            .unwrap_or(0);
        4 * (copies * parameters.len() + largest)
    }
}
