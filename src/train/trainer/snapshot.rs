//! Snapshots of a run for checkpoints, and resuming from them.

use std::sync::Arc;

use super::Trainer;
use super::kept_weights::KeptWeights;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::model::{Config, ParameterSpec};
use crate::tensor::Tensor;
use crate::train::{CorpusShare, OptimizerState, Progress, Recipe, Snapshot};

impl<'a> Trainer<'a> {
    /// Resumes a run from a snapshot. With the same recipe, device and number of threads, the
    /// result is bit-identical to an uninterrupted run.
    ///
    /// # Errors
    /// As [`Trainer::new`], or if the snapshot does not fit the model.
    pub fn resume(
        device: &mut Device,
        config: Config,
        snapshot: Snapshot,
        progress: Progress,
        recipe: Recipe,
        corpus: impl Into<CorpusShare<'a>>,
    ) -> Result<Self> {
        let parameters = snapshot.last.as_ref().unwrap_or(&snapshot.parameters);
        let mut trainer = Self::new(device, config, parameters, recipe, corpus)?;
        trainer.check_snapshot(&snapshot, &progress)?;
        for (tensor, values) in trainer.workspace.carried().iter().zip(&snapshot.carried) {
            // Of the states of all streams, those of this rank.
            let first = trainer.ranks.index() * tensor.len();
            device.upload(tensor, &values[first..first + tensor.len()]);
        }
        trainer.upload_optimizer_state(device, &snapshot.optimizer)?;
        if let (Some(averager), Some(values)) = (&trainer.averager, &snapshot.average) {
            averager.model.parameters().upload(device, values)?;
        }
        trainer.kept = match (snapshot.best, snapshot.last) {
            (best, Some(_)) => KeptWeights::Apart(best.unwrap_or(snapshot.parameters)),
            (Some(best), None) => KeptWeights::OnDevice(best),
            (None, None) if progress.epochs > 0 => KeptWeights::OnDevice(snapshot.parameters),
            (None, None) => KeptWeights::None,
        };
        let device = trainer.progress.device.take();
        trainer.progress = Progress { device, ..progress };
        trainer.resegment();
        Ok(trainer)
    }

    /// Checks that a snapshot has the tensors of this run.
    fn check_snapshot(&self, snapshot: &Snapshot, progress: &Progress) -> Result<()> {
        let carried = self.workspace.carried();
        let ranks = self.ranks.count();
        let carried_lengths = carried.iter().map(|tensor| ranks * tensor.len());
        let fits = snapshot.carried.iter().map(Vec::len).eq(carried_lengths)
            && snapshot.optimizer.keys().eq(self.optimizer.state.iter())
            && snapshot.average.is_some() == progress.averaged_after.is_some();
        if fits {
            return Ok(());
        }
        Err(Error::invalid(
            "the training state",
            "its tensors do not fit the recipe",
            "Resume with the recipe of the interrupted run, or start a new run",
        ))
    }

    /// The optimizer's tensors with index `index` in [`OptimizerKind::state`], one per parameter.
    ///
    /// [`OptimizerKind::state`]: crate::train::OptimizerKind::state
    fn optimizer_tensors(&self, index: usize) -> Vec<Tensor> {
        let of_parameters = self.optimizer_state.iter();
        of_parameters.map(|tensors| tensors[index]).collect()
    }

    fn upload_optimizer_state(&self, device: &mut Device, state: &OptimizerState) -> Result<()> {
        for (index, name) in self.optimizer.state.iter().enumerate() {
            let tensors = self.optimizer_tensors(index);
            let parameters = self.model.parameters();
            parameters.upload_like(device, &tensors, &state[name])?;
        }
        Ok(())
    }

    fn download_optimizer_state(&self, device: &mut Device) -> Result<OptimizerState> {
        let mut state = OptimizerState::new();
        for (index, name) in self.optimizer.state.iter().enumerate() {
            let tensors = self.optimizer_tensors(index);
            let values = self.model.parameters().download_like(device, &tensors)?;
            state.insert(name, values);
        }
        Ok(state)
    }

    /// The gradients of the last update, before their norm is clipped: for each parameter its name
    /// and the values, of an embedding those of the rows that the update changed. Empty before the
    /// first update.
    ///
    /// # Errors
    /// If the device fails.
    pub fn gradients(&self, device: &mut Device) -> Result<Vec<(&str, Vec<f32>)>> {
        let specs = self.model.parameters().specs().iter();
        specs
            .zip(&self.gradients)
            .map(|(spec, gradient)| Ok((spec.name.as_str(), gradient.download(device)?)))
            .collect()
    }

    /// Copies everything that a checkpoint stores to the host, after the steps that have started.
    /// With several ranks, the others call [`Trainer::join_snapshot`] meanwhile.
    ///
    /// # Errors
    /// As [`Trainer::advance`].
    pub fn snapshot(&mut self, device: &mut Device) -> Result<Snapshot> {
        self.finish_steps(device)?;
        // The scratch memory is not needed between steps, and a snapshot is large.
        device.release_scratch();
        let optimizer = self.download_optimizer_state(device)?;
        let average = self
            .averaging()
            .map(|(averager, _)| averager.model.parameters().download(device))
            .transpose()?;
        let mut snapshot = Snapshot {
            parameters: Arc::default(),
            best: None,
            last: None,
            average,
            optimizer,
            carried: Vec::new(),
        };
        if self.progress.window == 0 {
            self.snapshot_between_epochs(device, &mut snapshot)?;
        } else {
            snapshot.parameters = Arc::new(self.model.parameters().download(device)?);
            snapshot.best = self.kept.values().cloned();
        }
        snapshot.carried = self.gather_carried(device)?;
        Ok(snapshot)
    }

    /// Takes part in the snapshot of another rank.
    ///
    /// # Errors
    /// As [`Trainer::advance`].
    pub fn join_snapshot(&mut self, device: &mut Device) -> Result<()> {
        self.finish_steps(device)?;
        self.gather_carried(device)?;
        Ok(())
    }

    /// Waits for the steps that have started.
    fn finish_steps(&mut self, device: &mut Device) -> Result<()> {
        if let Some(steps) = self.pending.take() {
            self.collect(device, steps)?;
        }
        Ok(())
    }

    /// The carried states of the streams of all ranks.
    fn gather_carried(&self, device: &mut Device) -> Result<Vec<Vec<f32>>> {
        let carried = self.workspace.carried().into_iter();
        carried
            .map(|tensor| Ok(self.ranks.gather(&device.download(&tensor)?).concat()))
            .collect()
    }

    /// Between epochs, a checkpoint's model has the kept weights. The weights from which training
    /// continues are stored too if they differ.
    fn snapshot_between_epochs(&self, device: &mut Device, snapshot: &mut Snapshot) -> Result<()> {
        let parameters = self.model.parameters();
        match &self.kept {
            KeptWeights::None => snapshot.parameters = Arc::new(parameters.download(device)?),
            KeptWeights::OnDevice(kept) => snapshot.parameters = kept.clone(),
            KeptWeights::Apart(kept) => {
                snapshot.parameters = kept.clone();
                snapshot.last = Some(Arc::new(parameters.download(device)?));
            }
            KeptWeights::Restored { kept, last } => {
                snapshot.parameters = kept.clone();
                snapshot.last = Some(last.clone());
            }
        }
        Ok(())
    }

    /// The host memory that a snapshot takes, in bytes: copies of the kept and averaged parameters
    /// and of the optimizer's state, and one tensor in the device's layout. After an epoch whose
    /// weights are not kept, one more copy of the parameters.
    pub fn snapshot_bytes(&self) -> usize {
        let parameters = self.model.parameters();
        let copies = 1 + self.optimizer.state.len() + usize::from(self.averager.is_some());
        let largest = parameters
            .specs()
            .iter()
            .map(ParameterSpec::len)
            .max()
            .unwrap_or(0);
        4 * (copies * parameters.len() + largest)
    }
}
