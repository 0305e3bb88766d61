//! Between epochs: validation, the schedule's decision, and the weights to keep.
//!
//! The learning rate changes here: [`Schedule::after_epoch`](crate::train::Schedule::after_epoch)
//! halves it, for example, when the validation loss stops improving.

use std::sync::Arc;
use std::time::Instant;

use super::Trainer;
use super::kept_weights::KeptWeights;
use crate::device::Device;
use crate::error::Result;
use crate::evaluate::Evaluation;
use crate::train::{EpochRecord, Verdict};

impl Trainer<'_> {
    /// Validates the epoch, lets the schedule decide, keeps or rolls back weights, and starts the
    /// next epoch.
    pub(super) fn end_epoch(&mut self, device: &mut Device) -> Result<EpochRecord> {
        let start = Instant::now();
        let model = self.validated_model();
        let nats = self
            .evaluator
            .sum_of_losses(device, model, &self.corpus.valid)?;
        let nats = self.sum_of_validation(nats);
        if !nats.is_finite() {
            return Err(self.not_finite("the validation loss".to_owned(), self.progress.window));
        }
        let tokens = self.corpus.valid.known();
        let evaluation = Evaluation::new(nats, tokens, self.corpus.valid.len() - tokens)?;
        let valid_loss = evaluation.loss();
        let averaged = self.progress.averaged_after.is_some();
        let lr = self.learning_rate();
        let verdict = self.progress.schedule.after_epoch(
            &self.recipe,
            self.progress.epochs + 1,
            evaluation.log10_prob,
        );
        if self.keep_weights(device, verdict, averaged)? {
            self.progress.best_valid_loss = Some(valid_loss);
        }
        if !averaged && self.triggers_averaging(valid_loss) {
            self.progress.averaged_after = Some(self.progress.step);
        }
        let diverged = valid_loss > self.divergence_loss();
        let progress = &mut self.progress;
        progress.epochs += 1;
        progress.stopped = verdict.stop;
        let record = EpochRecord {
            epoch: progress.epochs,
            train_loss: progress.nats / progress.tokens.max(1) as f64,
            valid_loss,
            valid_perplexity: evaluation.perplexity,
            lr,
            tokens_per_second: progress.tokens as f64 / progress.seconds.max(1e-9),
            seconds: progress.seconds + start.elapsed().as_secs_f64(),
            rolled_back: verdict.roll_back,
            averaged,
            diverged,
            train_tokens: Some(progress.tokens),
            last_update: progress.last_update.take(),
            sample: None,
        };
        progress.history.push(record.clone());
        progress.window = 0;
        progress.nats = 0.0;
        progress.tokens = 0;
        progress.seconds = 0.0;
        self.cut_short_if_stopping();
        self.resegment();
        Ok(record)
    }

    /// The sum of the losses of the whole validation text, from that of this rank: the same on all
    /// ranks, since the schedule decides by it.
    fn sum_of_validation(&self, nats: f64) -> f64 {
        if self.ranks.is_alone() {
            return nats;
        }
        let of_ranks = self.ranks.gather(&[nats]);
        match self.evaluator.is_part() {
            true => of_ranks.iter().map(|nats| nats[0]).sum(),
            false => of_ranks[0][0],
        }
    }

    /// Adds a text that the model generated to the record of the last epoch.
    pub fn set_sample(&mut self, text: String) {
        if let Some(record) = self.progress.history.last_mut() {
            record.sample = Some(text);
        }
    }

    /// Follows the schedule's decision: rolls back to the kept weights, or keeps the epoch's, or
    /// neither. Returns whether the epoch's weights were kept.
    fn keep_weights(
        &mut self,
        device: &mut Device,
        verdict: Verdict,
        averaged: bool,
    ) -> Result<bool> {
        match self.kept.values() {
            Some(kept) if verdict.roll_back => {
                self.model.parameters().upload(device, kept)?;
                self.kept = KeptWeights::new(kept.clone(), !averaged);
                Ok(false)
            }
            Some(kept) if !verdict.keep => {
                self.kept = KeptWeights::Apart(kept.clone());
                Ok(false)
            }
            _ => {
                // The previous weights and the scratch memory are released before the download:
                // together they would be the peak of a run's memory.
                self.kept = KeptWeights::None;
                device.release_scratch();
                let values = self.validated_model().parameters().download(device)?;
                self.kept = KeptWeights::new(Arc::new(values), !averaged);
                Ok(true)
            }
        }
    }

    /// Whether this validation loss starts the averaging of weights.
    fn triggers_averaging(&self, valid_loss: f64) -> bool {
        let history = &self.progress.history;
        let before: Vec<f64> = history.iter().map(|epoch| epoch.valid_loss).collect();
        self.recipe.average.is_triggered(&before, valid_loss)
    }

    /// Puts the kept weights on the device at the end of training.
    pub(super) fn restore_kept_weights(&mut self, device: &mut Device) -> Result<()> {
        if let KeptWeights::Apart(kept) = &self.kept {
            let kept = kept.clone();
            let parameters = self.model.parameters();
            let last = Arc::new(parameters.download(device)?);
            parameters.upload(device, &kept)?;
            self.kept = KeptWeights::Restored { kept, last };
        }
        Ok(())
    }
}
