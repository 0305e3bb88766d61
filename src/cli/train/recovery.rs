//! What a run does when training diverges or the device fails: it continues from the last state
//! that is known to be good.
//!
//! In: the error. Out: the run at its last checkpoint, or at its start if there is none yet.

use std::time::Duration;

use super::safety_flags::{OnDeviceLoss, OnDivergence};
use super::training_run::TrainingRun;
use super::{ranks, start, texts};
use crate::checkpoint::CheckpointFiles;
use crate::cli::message;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::train::{CorpusShare, Trainer};

/// How often a run goes back because training diverges.
const MAX_DIVERGENCES: u32 = 3;
/// How often in a row a run continues after a failure of the device.
const MAX_FAILURES: u32 = 3;
/// The time before a device that failed is opened again, doubled after each failure.
const PAUSE: Duration = Duration::from_secs(1);

impl TrainingRun<'_> {
    /// Continues after an error.
    ///
    /// # Errors
    /// The error itself, if the run cannot continue after it.
    pub(super) fn recover(&mut self, device: &mut Device, error: Error) -> Result<()> {
        match error {
            Error::NotFinite { .. }
                if self.flags.safety.on_divergence == OnDivergence::Rollback =>
            {
                self.roll_back(device, error)
            }
            // All ranks have this error, and one of them writes it.
            Error::NotFinite { .. } => self.trainer.ranks().agree(Err(error)),
            // The other ranks cannot wait: a run on several of them ends.
            Error::Gpu(_) if self.trainer.ranks().is_alone() => self.reopen(device, error),
            error => Err(error),
        }
    }

    /// Goes back to the last checkpoint after training diverged, and halves the learning rate.
    fn roll_back(&mut self, device: &mut Device, error: Error) -> Result<()> {
        let divergences = self.trainer.progress().divergences + 1;
        if divergences > MAX_DIVERGENCES {
            stderr_line!(
                "training went back {MAX_DIVERGENCES} times, each time with half the learning rate"
            );
            return self.trainer.ranks().agree(Err(error));
        }
        let name = device.name().to_owned();
        self.open_and_restore(device, &name)?;
        self.trainer.set_divergences(divergences);
        let reason = match &error {
            Error::NotFinite {
                tensor,
                window,
                epoch,
                ..
            } => format!("{tensor} is not finite in window {window} of epoch {epoch}"),
            other => message(other),
        };
        stderr_line!(
            "warning: training diverged: {reason}. Back to {} with {} of the learning rate \
             ({divergences} of {MAX_DIVERGENCES} times)",
            self.position(),
            ["half", "a quarter", "an eighth"][divergences as usize - 1]
        );
        Ok(())
    }

    /// Opens the device again after it failed, and goes back to the last checkpoint.
    fn reopen(&mut self, device: &mut Device, error: Error) -> Result<()> {
        let name = device.name().to_owned();
        // The memory of the device that failed is released before another one is opened.
        *device = Device::cpu(self.flags.device.threads());
        let mut error = error;
        while self.failures < MAX_FAILURES {
            let pause = PAUSE * 2_u32.pow(self.failures);
            self.failures += 1;
            stderr_line!(
                "warning: {}. Opening it again ({} of {MAX_FAILURES} times)",
                message(&error),
                self.failures
            );
            std::thread::sleep(pause);
            match self.open_and_restore(device, &name) {
                Ok(()) => {
                    note_line!("note: {name} works again. Back to {}", self.position());
                    return Ok(());
                }
                Err(failure @ Error::Gpu(_)) => error = failure,
                Err(failure) => return Err(failure),
            }
        }
        if self.flags.safety.on_device_loss == OnDeviceLoss::Stop {
            return Err(error);
        }
        *device = Device::cpu(self.flags.device.threads());
        self.restore(device)?;
        stderr_line!(
            "warning: {}. As --on-device-loss says, the run continues on the CPU, from {}",
            message(&error),
            self.position()
        );
        Ok(())
    }

    /// Opens the device with this name, and goes back to the last checkpoint on it.
    fn open_and_restore(&mut self, device: &mut Device, name: &str) -> Result<()> {
        let opened = self.flags.device.reopen();
        let opened = opened.map_err(|error| Error::Gpu(message(&error)))?;
        if opened.name() != name {
            // `--device auto` takes what is there.
            return Err(Error::Gpu(format!("{name} is not there any more")));
        }
        *device = opened;
        self.restore(device)
    }

    /// Continues from the last checkpoint, or from the start if there is none, with the learning
    /// rate that the run has now.
    fn restore(&mut self, device: &mut Device) -> Result<()> {
        let divergences = self.trainer.progress().divergences;
        let recipe = self.trainer.recipe().clone();
        let share = CorpusShare {
            corpus: self.corpus,
            ranks: self.trainer.ranks().clone(),
        };
        self.trainer = if self.saving.last.exists() {
            let files = CheckpointFiles::open(&self.directory)?;
            let state = files.training_state(&files.checkpoint()?)?;
            let config = self.description.config.clone();
            let progress = state.record.progress;
            Trainer::resume(device, config, state.snapshot, progress, recipe, share)?
        } else {
            // The same parameters again: those of the seed, or of the model of --init.
            let (text, _) = texts::texts(self.flags)?;
            let init = start::initial_model(self.flags, &text)?;
            start::trainer(device, self.flags, recipe, init, share)?.0
        };
        self.trainer.set_divergences(divergences);
        ranks::check_weights(&self.trainer, device)
    }

    /// Where the run is, for messages.
    fn position(&self) -> String {
        let progress = self.trainer.progress();
        match (progress.epochs, progress.window) {
            (0, 0) => "the start".to_owned(),
            (epochs, 0) => format!("the end of epoch {epochs}"),
            (epochs, window) => format!("window {window} of epoch {}", epochs + 1),
        }
    }
}
