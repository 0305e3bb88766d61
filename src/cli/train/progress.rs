//! The progress of `elman train`: a bar on a terminal, plain lines elsewhere, and `log.jsonl`.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::checkpoint::TrainingLog;
use crate::cli::perplexity::perplexity;
use crate::error::Result;
use crate::train::{EpochRecord, Trainer};

/// Time between two records of windows in the log, and between two plain lines.
const RECORD_INTERVAL: Duration = Duration::from_secs(10);

/// A record of windows in `log.jsonl`.
#[derive(Debug, Serialize)]
struct WindowsRecord {
    epoch: usize,
    window: usize,
    loss: f64,
    gradient_norm: f64,
    lr: f32,
    tokens_per_second: f64,
}

/// The bar, the lines and the log of a run.
pub(super) struct ProgressReporter {
    bar: ProgressBar,
    is_terminal: bool,
    log: TrainingLog,
    last_record: Instant,
}

impl ProgressReporter {
    pub(super) fn new(log: TrainingLog, trainer: &Trainer) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(
            Some(trainer.windows_per_epoch() as u64),
            if is_terminal {
                ProgressDrawTarget::stderr()
            } else {
                ProgressDrawTarget::hidden()
            },
        );
        if let Ok(style) =
            ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3} %  {msg}  {eta} left")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        Self {
            bar,
            is_terminal,
            log,
            last_record: Instant::now(),
        }
    }

    /// Reports that windows are done.
    pub(super) fn windows(
        &mut self,
        trainer: &Trainer,
        loss: f64,
        gradient_norm: f64,
        tokens_per_second: f64,
    ) -> Result<()> {
        let (progress, windows) = (trainer.progress(), trainer.windows_per_epoch());
        let epoch = progress.epochs + 1;
        let mean = progress.nats / progress.tokens.max(1) as f64;
        self.bar
            .set_prefix(format!("epoch {epoch}/{}", trainer.recipe().epochs));
        self.bar.set_length(windows as u64);
        self.bar.set_position(progress.window as u64);
        self.bar.set_message(format!(
            "loss {mean:.4}  perplexity {}  {tokens_per_second:.0} tokens/s",
            perplexity(mean.exp(), mean, 1)
        ));
        if self.last_record.elapsed() < RECORD_INTERVAL {
            return Ok(());
        }
        self.last_record = Instant::now();
        let window = progress.window;
        self.log.append(&WindowsRecord {
            epoch,
            window,
            loss,
            gradient_norm,
            lr: trainer.learning_rate(),
            tokens_per_second,
        })?;
        if !self.is_terminal {
            stderr_line!(
                "epoch {epoch}  window {window} of {windows}  loss \
                 {mean:.4}  {tokens_per_second:.0} tokens/s"
            );
        }
        Ok(())
    }

    /// Adds an epoch to the log.
    pub(super) fn log(&mut self, record: &EpochRecord) -> Result<()> {
        self.log.append(record)
    }

    /// Reports that an epoch is done and saved.
    pub(super) fn epoch(&mut self, record: &EpochRecord) {
        let line = format!(
            "epoch {:2}  train loss {:.4}  valid loss {:.4}  valid perplexity {}  lr {}  {:.0} \
             tokens/s  {:.1} s{}{}",
            record.epoch,
            record.train_loss,
            record.valid_loss,
            perplexity(record.valid_perplexity, record.valid_loss, 2),
            record.lr,
            record.tokens_per_second,
            record.seconds,
            if record.averaged {
                "  averaged weights"
            } else {
                ""
            },
            if record.rolled_back {
                "  worse: weights rolled back"
            } else {
                ""
            }
        );
        // A hidden bar prints nothing.
        if self.is_terminal {
            self.bar.println(line);
        } else {
            stderr_line!("{line}");
        }
        self.bar.reset();
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
