//! A run: training until the end or an interruption, with its log, its view and its checkpoints.
//!
//! In: a trainer, from `start` or `resume`. Out: the model's directory. `saving` says when it is
//! written, `recovery` what follows a failure.

use super::flags::TrainFlags;
use super::interrupt::Interrupt;
use super::last_checkpoint::LastCheckpoint;
use super::live::LiveScreen;
use super::progress::ProgressReporter;
use super::save_state::Saving;
use super::step_report::StepReport;
use super::tensorboard::EventFile;
use super::{print_sizes, warn_of_warm_up};
use crate::check::check_mixed_products;
use crate::checkpoint::{CorpusRecord, Description, LockedDirectory, TrainingLog};
use crate::cli::message::with_causes;
use crate::cli::quiet::is_quiet;
use crate::cli::{generate, heap, message, quoted};
use crate::corpus::Corpus;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::train::{Event, PrecisionKind, Trainer};

/// The shortest epoch, in seconds, after which the model generates a text for the log: the text
/// takes less than a hundredth of it.
const SAMPLED_EPOCH: f64 = 5.0;
/// The number of tokens of that text.
const SAMPLE_TOKENS: usize = 40;

/// A run that is ready to train.
pub(super) struct TrainingRun<'a> {
    pub(super) trainer: Trainer<'a>,
    pub(super) description: Description,
    pub(super) corpus: &'a Corpus,
    pub(super) record: CorpusRecord,
    pub(super) directory: LockedDirectory,
    pub(super) resumed: bool,
    /// Present with `--tensorboard`.
    pub(super) events: Option<EventFile>,
    /// Whether the terminal shows the run: `--live`.
    pub(super) live: bool,
    pub(super) flags: &'a TrainFlags,
    pub(super) saving: Saving,
    /// Failures of the device since the last checkpoint.
    pub(super) failures: u32,
}

/// How training ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Finished,
    /// A signal has interrupted the run, which is saved.
    Interrupted {
        exit_code: u8,
    },
}

impl<'a> TrainingRun<'a> {
    /// A run of this trainer. A run that is `resumed` has a checkpoint in `directory`.
    pub(super) fn new(
        flags: &'a TrainFlags,
        (trainer, description): (Trainer<'a>, Description),
        corpus: &'a Corpus,
        record: CorpusRecord,
        directory: LockedDirectory,
        resumed: bool,
    ) -> Self {
        let last = LastCheckpoint::new(directory.to_path_buf(), resumed);
        Self {
            saving: Saving::new(trainer.progress().step, last),
            flags,
            failures: 0,
            trainer,
            description,
            corpus,
            record,
            directory,
            resumed,
            events: None,
            live: false,
        }
    }

    /// Checks the device's products and prints the sizes of the corpus and the model.
    pub(super) fn prepare(&self, device: &mut Device) -> Result<()> {
        if self.trainer.recipe().precision == PrecisionKind::Mixed {
            check_mixed_products(device)?;
        }
        print_sizes(&self.trainer, self.corpus, device);
        warn_of_warm_up(&self.trainer);
        heap::trim_heap();
        Ok(())
    }

    /// Trains until the end, until the run has taken `budget` seconds, or until interrupted.
    pub(super) fn train(
        &mut self,
        device: &mut Device,
        interrupt: &Interrupt,
        budget: Option<f64>,
    ) -> Result<Outcome> {
        let log = match (self.trainer.ranks().is_first(), self.resumed) {
            (false, _) => None,
            (true, true) => Some(TrainingLog::resume(
                &self.directory,
                self.trainer.progress(),
            )?),
            (true, false) => Some(TrainingLog::start(&self.directory)?),
        };
        let mut progress = ProgressReporter::new(log, &self.trainer, self.live_screen());
        let outcome = loop {
            match self.next_event(device, &mut progress, interrupt, budget) {
                Ok(None) => {}
                Ok(Some(outcome)) => break outcome,
                Err(error) => {
                    self.recover(device, error)?;
                    progress.restart(&self.directory, &self.trainer);
                }
            }
        };
        progress.finish();
        self.save_at_end(device)?;
        Ok(outcome)
    }

    /// Trains until there is something to report, reports it, and saves. Returns how training
    /// ended, if it did.
    fn next_event(
        &mut self,
        device: &mut Device,
        progress: &mut ProgressReporter,
        interrupt: &Interrupt,
        budget: Option<f64>,
    ) -> Result<Option<Outcome>> {
        self.saving.last.note_event();
        if self.stop_after(budget) {
            self.save(device)?;
        }
        match self.trainer.advance(device)? {
            Event::Steps {
                loss,
                loss_sums,
                gradient_norm,
                tokens_per_second,
            } => {
                let report = StepReport {
                    windows: loss_sums.len(),
                    loss,
                    gradient_norm,
                    tokens_per_second,
                };
                self.write_event(|events, trainer| events.steps(trainer, &report))?;
                progress.windows(&self.trainer, &report);
                if let Some(exit_code) = self.interrupting(interrupt) {
                    self.save(device)?;
                    return Ok(Some(Outcome::Interrupted { exit_code }));
                }
                self.save_if_due(device)?;
            }
            Event::Epoch(mut record) => {
                let is_shown = progress.shows_samples();
                record.sample = self.sample(device, record.seconds, is_shown);
                // The log has every epoch of the checkpoint, even if the process is killed.
                progress.log(&self.trainer);
                self.stop_after(budget);
                self.save(device)?;
                self.write_event(|events, trainer| events.epoch(device, trainer, &record))?;
                progress.epoch(&record);
                progress.divergence(&record, &self.trainer);
                if let (Some(exit_code), false) =
                    (self.interrupting(interrupt), self.trainer.is_finished())
                {
                    return Ok(Some(Outcome::Interrupted { exit_code }));
                }
            }
            Event::Finished => return Ok(Some(Outcome::Finished)),
        }
        Ok(None)
    }

    /// The exit code if a signal has interrupted the run. The first rank decides for all.
    fn interrupting(&self, interrupt: &Interrupt) -> Option<u8> {
        interrupt.exit_code_on(self.trainer.ranks())
    }

    /// Writes to the event file of `--tensorboard`. Where it cannot be written, there is a warning,
    /// and the run continues without it.
    fn write_event(
        &mut self,
        write: impl FnOnce(&mut EventFile, &Trainer) -> Result<()>,
    ) -> Result<()> {
        let Some(events) = &mut self.events else {
            return Ok(());
        };
        match write(events, &self.trainer) {
            Err(error @ Error::Io { .. }) => {
                stderr_line!(
                    "warning: {}. Training continues without --tensorboard",
                    with_causes(&error)
                );
                self.events = None;
                Ok(())
            }
            written => written,
        }
    }

    /// Ends the run if it has taken this many seconds. Returns whether it is over at once, because
    /// an epoch has just ended. The first rank's clock decides for all.
    fn stop_after(&mut self, budget: Option<f64>) -> bool {
        let was_finished = self.trainer.is_finished();
        let is_over = |budget| self.trainer.progress().total_seconds() >= budget;
        let of_first = |is_over| self.trainer.ranks().of_first(u8::from(is_over)) > 0;
        if budget.map(is_over).is_some_and(of_first) {
            self.trainer.stop();
        }
        !was_finished && self.trainer.is_finished()
    }

    /// A text of the model after an epoch of this length, for the log: where it takes little of the
    /// epoch's time, or is shown.
    fn sample(&mut self, device: &mut Device, seconds: f64, is_shown: bool) -> Option<String> {
        if !self.trainer.ranks().is_first() {
            return None;
        }
        if seconds < SAMPLED_EPOCH && self.events.is_none() && !is_shown {
            return None;
        }
        let sample = self.generate(device, SAMPLE_TOKENS)?;
        self.trainer.set_sample(sample.clone());
        Some(sample)
    }

    /// A text of the model, of at most `tokens` tokens. Without memory for it there is a note: the
    /// model is trained and saved all the same.
    pub(super) fn generate(&self, device: &mut Device, tokens: usize) -> Option<String> {
        let model = self.trainer.model();
        let text = (self.description.unit, &self.corpus.vocabulary);
        let sample =
            device.release_afterwards(|device| generate::sample(device, model, text, tokens));
        if let Err(error) = &sample {
            note_line!("note: there is no sample: {}", message(error));
        }
        sample.ok()
    }

    /// The terminal of `--live`, where there is one that can show the run.
    fn live_screen(&self) -> Option<LiveScreen> {
        if !self.live || is_quiet() {
            return None;
        }
        let title = format!(
            "elman train: {} parameters, {}",
            self.trainer.model().parameters().len(),
            quoted(&self.directory)
        );
        let screen = LiveScreen::open(title, &self.trainer);
        if screen.is_none() {
            note_line!(
                "note: --live needs a terminal whose cursor can move, and standard error is none; \
                 lines take its place"
            );
        }
        screen
    }
}
