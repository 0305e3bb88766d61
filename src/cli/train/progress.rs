//! The progress of `elman train`: a bar on a terminal, or lines where it cannot move its cursor; a
//! line for each epoch everywhere; and `log.jsonl`.

use std::time::{Duration, Instant};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::live::LiveScreen;
use super::status_line::{TimeLeft, fit};
use super::step_report::StepReport;
use crate::checkpoint::{LockedDirectory, TrainingLog};
use crate::cli::message::{with_causes, with_flags};
use crate::cli::perplexity::perplexity;
use crate::cli::quiet::is_quiet;
use crate::error::Result;
use crate::train::{EpochRecord, Trainer};

/// Time between two records of windows in the log, and between two lines about windows.
const RECORD_INTERVAL: Duration = Duration::from_secs(10);

/// Width of the bar.
const BAR_COLUMNS: usize = 10;

/// A record of windows in `log.jsonl`.
#[derive(Debug, Serialize)]
struct WindowsRecord {
    epoch: usize,
    window: usize,
    loss: f64,
    gradient_norm: f64,
    lr: f32,
    tokens_per_second: f64,
    /// Since the start of the run.
    tokens: Option<usize>,
    seconds: f64,
}

/// The bar, the lines and the log of a run.
pub(super) struct ProgressReporter {
    /// Hidden where standard error is no terminal, or one that cannot move its cursor
    /// (`TERM=dumb`).
    bar: ProgressBar,
    has_warned: bool,
    has_log_warning: bool,
    /// None on ranks that do not write files.
    log: Option<TrainingLog>,
    last_record: Instant,
    /// Takes the place of the bar.
    live: Option<LiveScreen>,
}

impl ProgressReporter {
    pub(super) fn new(
        log: Option<TrainingLog>,
        trainer: &Trainer,
        live: Option<LiveScreen>,
    ) -> Self {
        let target = if is_quiet() || live.is_some() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(trainer.windows_per_epoch() as u64), target);
        let template = format!("{{prefix}} [{{bar:{BAR_COLUMNS}}}] {{msg}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self {
            bar,
            has_warned: false,
            has_log_warning: false,
            log,
            last_record: Instant::now(),
            live,
        }
    }

    /// Whether the progress is shown with a text of the model.
    pub(super) fn shows_samples(&self) -> bool {
        self.live.is_some()
    }

    /// Reports that windows are done.
    pub(super) fn windows(&mut self, trainer: &Trainer, report: &StepReport) {
        let StepReport {
            loss,
            gradient_norm,
            tokens_per_second,
            ..
        } = *report;
        if let Some(live) = &self.live {
            live.windows(trainer, report);
        }
        let (progress, windows) = (trainer.progress(), trainer.windows_per_epoch());
        let epoch = progress.epochs + 1;
        let mean = progress.nats / progress.tokens.max(1) as f64;
        let left = TimeLeft::of(trainer);
        let prefix = format!("epoch {epoch}/{}", trainer.recipe().epochs);
        let figures = if progress.window == windows {
            vec!["validating".to_owned()]
        } else {
            vec![
                format!("{:>3} %", 100 * progress.window / windows.max(1)),
                left.to_string(),
                format!("loss {mean:.4}"),
                format!("perplexity {}", perplexity(mean.exp(), mean, 1)),
                format!("{tokens_per_second:.0} tokens/s"),
            ]
        };
        let (_, columns) = Term::stderr().size();
        // The last column stays free: some terminals wrap a line that fills it.
        let others = prefix.len() + BAR_COLUMNS + " [] ".len() + 1;
        let message = fit(&figures, usize::from(columns).saturating_sub(others));
        self.bar.set_prefix(prefix);
        self.bar.set_length(windows as u64);
        self.bar.set_message(message);
        self.bar.set_position(progress.window as u64);
        if self.last_record.elapsed() < RECORD_INTERVAL {
            return;
        }
        self.last_record = Instant::now();
        let window = progress.window;
        let record = WindowsRecord {
            epoch,
            window,
            loss,
            gradient_norm,
            lr: trainer.learning_rate(),
            tokens_per_second,
            tokens: progress.total_tokens(),
            seconds: progress.total_seconds(),
        };
        if let Some(log) = &mut self.log {
            let logged = log.interval(&record, progress);
            self.warn_of_log(logged);
        }
        // A file would be full of these lines; the log has the records.
        let has_lines = self.bar.is_hidden() && self.live.is_none();
        if has_lines && Term::stderr().features().is_attended() {
            note_line!(
                "epoch {epoch}  window {window} of {windows}  {left}  loss \
                 {mean:.4}  {tokens_per_second:.0} tokens/s"
            );
        }
    }

    /// Adds the last epoch to the log.
    pub(super) fn log(&mut self, trainer: &Trainer) {
        if let Some(log) = &mut self.log {
            let logged = log.epoch(trainer.progress());
            self.warn_of_log(logged);
        }
    }

    /// Prints a warning where the log cannot be written. It is completed when it can be again.
    fn warn_of_log(&mut self, logged: Result<()>) {
        match logged {
            Ok(()) => self.has_log_warning = false,
            Err(error) if !self.has_log_warning => {
                self.has_log_warning = true;
                self.print(&format!(
                    "warning: {}. Training continues",
                    with_causes(&error)
                ));
            }
            Err(_) => {}
        }
    }

    /// Continues from another state of the run, whose log ends there.
    pub(super) fn restart(&mut self, directory: &LockedDirectory, trainer: &Trainer) {
        if self.log.is_some() {
            let log = TrainingLog::resume(directory, trainer.progress());
            let restarted = log.map(|log| self.log = Some(log));
            self.warn_of_log(restarted);
        }
        self.bar.reset();
    }

    /// Reports that an epoch is done and saved.
    pub(super) fn epoch(&mut self, record: &EpochRecord) {
        if let Some(live) = &self.live {
            live.epoch(record);
        }
        let line = format!(
            "epoch {:2}  train loss {:.4}  valid loss {:.4}  valid perplexity {}  lr {}  {:.0} \
             tokens/s  {:.1} s{}{}{}",
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
            },
            if record.diverged { "  diverged" } else { "" }
        );
        if !is_quiet() {
            self.print(&line);
        }
        self.bar.reset();
    }

    /// Prints a warning, once in a run, if training diverged in this epoch.
    pub(super) fn divergence(&mut self, record: &EpochRecord, trainer: &Trainer) {
        if record.diverged && !self.has_warned {
            self.has_warned = true;
            self.print(&format!(
                "warning: training diverged in epoch {}: the validation loss {:.4} is more than 1 \
                 above ln V = {:.4}, that of a model to which all {} types are equally likely. {}",
                record.epoch,
                record.valid_loss,
                trainer.divergence_loss() - 1.0,
                trainer.model().config().vocab_size,
                with_flags(&trainer.divergence_hint())
            ));
        }
    }

    /// Prints a line above the bar. A hidden bar prints nothing.
    fn print(&self, line: &str) {
        if self.bar.is_hidden() {
            stderr_line!("{line}");
        } else {
            self.bar.println(line);
        }
    }

    /// Removes the bar, or gives the terminal back.
    pub(super) fn finish(&mut self) {
        self.live = None;
        self.bar.finish_and_clear();
    }
}
