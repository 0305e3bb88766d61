//! Runs with a budget of time: how long an epoch takes, and the end of a run before its last epoch.

use std::time::{Duration, Instant};

use super::Trainer;
use crate::device::Device;
use crate::error::Result;
use crate::parallel::Ranks;

/// The cost of a validation token relative to a training token: of the forward pass, the backward
/// pass and the update, each about as long, validation has the first.
const VALIDATION_COST: f64 = 1.0 / 3.0;

impl Trainer<'_> {
    /// Ends the run early: what has been trained of the current epoch is validated as an epoch is,
    /// the schedule decides whether its weights are kept, and no other epoch follows.
    pub fn stop(&mut self) {
        self.stopping = true;
        if self.progress.window == 0 {
            self.cut_short_if_stopping();
        }
    }

    /// Marks the run as ended by [`Trainer::stop`].
    pub(super) fn cut_short_if_stopping(&mut self) {
        if self.stopping && !self.is_finished() {
            self.progress.stopped = true;
            self.progress.cut_short = true;
        }
    }

    /// Whether the steps that have started are the last of their epoch.
    pub(super) fn ends_epoch(&self) -> bool {
        let window = self.progress.window;
        window == self.windows_per_epoch() || (self.stopping && window > 0)
    }

    /// Measures how long an epoch with its validation takes, in seconds, by training for about
    /// `duration`, at most one epoch. The time of validation is estimated.
    ///
    /// # Errors
    /// As [`Trainer::advance`].
    pub fn measure_epoch(&mut self, device: &mut Device, duration: Duration) -> Result<f64> {
        let start = Instant::now();
        // The first steps compile and allocate; they count only where there are no others.
        self.advance(device)?;
        let (first_tokens, first_seconds) = (self.progress.tokens, self.progress.seconds);
        // The first rank's clock decides, so that all ranks train as many windows.
        let is_time = |ranks: &Ranks| ranks.of_first(u8::from(start.elapsed() < duration)) > 0;
        while self.progress.window < self.windows_per_epoch() && is_time(&self.ranks) {
            self.advance(device)?;
        }
        let (mut tokens, mut seconds) = (self.progress.tokens, self.progress.seconds);
        if tokens > first_tokens {
            tokens -= first_tokens;
            seconds -= first_seconds;
        }
        let corpus = self.corpus;
        let of_epoch = corpus.train.known() as f64 + VALIDATION_COST * corpus.valid.known() as f64;
        Ok(seconds * of_epoch / tokens.max(1) as f64)
    }
}
