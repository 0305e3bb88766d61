//! The results of a run: figures, a sample, and commands to try next.

use serde_json::json;

use super::skipped;
use super::training_run::{Outcome, TrainingRun};
use crate::cli::output::Output;
use crate::cli::perplexity::perplexity;
use crate::cli::quiet::is_quiet;
use crate::cli::{message, quoted};
use crate::device::Device;
use crate::error::Result;

/// Maximum number of tokens in the text at the end. The sentences of some texts never end.
const LAST_SAMPLE: usize = 200;

/// What a run achieved, beside its history.
pub(super) struct Results {
    pub(super) outcome: Outcome,
    /// The perplexity of the built-in corpus's own grammar.
    pub(super) grammar_perplexity: Option<f64>,
    pub(super) seconds: f64,
}

impl TrainingRun<'_> {
    /// Prints the results.
    ///
    /// # Errors
    /// If the device or standard output fails.
    pub(super) fn report(&self, device: &mut Device, json: bool, results: &Results) -> Result<()> {
        let mut output = Output::new();
        match results.outcome {
            Outcome::Finished => self.print_results(&mut output, device, results)?,
            Outcome::Interrupted { .. } => {
                let directory = quoted(&self.directory);
                stderr_line!("saved in {directory}; elman train --resume {directory} continues");
            }
        }
        if self.is_diverged() {
            let hint = message::with_flags(&self.trainer.divergence_hint());
            stderr_line!(
                "warning: training diverged: the model is worse than one to which all tokens are \
                 equally likely. {hint}"
            );
        }
        if json {
            output.json(&self.results_json(device, results))?;
        }
        output.flush()
    }

    fn print_results(
        &self,
        output: &mut Output,
        device: &mut Device,
        results: &Results,
    ) -> Result<()> {
        let progress = self.trainer.progress();
        let Some(loss) = progress.best_valid_loss else {
            return Ok(());
        };
        output.line(format_args!(
            "validation perplexity {} after {} epoch{}{}, {:.1} s",
            perplexity(loss.exp(), loss, 3),
            progress.epochs,
            if progress.epochs == 1 { "" } else { "s" },
            self.kept_epoch(),
            results.seconds
        ))?;
        if let Some(grammar) = results.grammar_perplexity {
            let excess = (loss.exp() / grammar - 1.0) * 100.0;
            output.line(format_args!(
                "the grammar itself    {grammar:.3}: the lower bound for any model; this model is \
                 {excess:.1} % above it"
            ))?;
        }
        if let Some(sample) = self.generate(device, LAST_SAMPLE) {
            output.line(format_args!("\nsample:\n{sample}\n"))?;
        }
        if is_quiet() {
            return Ok(());
        }
        let directory = quoted(&self.directory);
        output.line("try next:")?;
        output.line(format_args!("  elman generate --model {directory}"))?;
        output.line(format_args!(
            "  echo 'a sentence of yours' | elman score --model {directory} --per-token"
        ))?;
        output.line(format_args!("  elman eval --model {directory} --text FILE"))
    }

    fn results_json(&self, device: &Device, results: &Results) -> serde_json::Value {
        let progress = self.trainer.progress();
        let last = progress.history.last();
        let mut value = json!({
            "epochs": progress.epochs,
            "train_tokens": self.corpus.train.known(),
            "train_oov": skipped(&self.corpus.train),
            "valid_tokens": self.corpus.valid.known(),
            "valid_oov": skipped(&self.corpus.valid),
            "diverged": self.is_diverged(),
            "finished": results.outcome == Outcome::Finished,
            "valid_loss": progress.best_valid_loss,
            "valid_perplexity": progress.best_valid_loss.map(f64::exp),
            "tokens_per_second": last.map(|epoch| epoch.tokens_per_second),
            "seconds": results.seconds,
            "device": device.name(),
        });
        if let Some(perplexity) = results.grammar_perplexity {
            value["grammar_perplexity"] = json!(perplexity);
        }
        value
    }

    /// Whether the kept weights are those of a diverged epoch.
    fn is_diverged(&self) -> bool {
        let loss = self.trainer.progress().best_valid_loss;
        loss.is_some_and(|loss| loss > self.trainer.divergence_loss())
    }

    /// A note on the epoch whose weights are the model, where it is not the last one.
    fn kept_epoch(&self) -> String {
        let progress = self.trainer.progress();
        let kept = progress
            .history
            .iter()
            .rev()
            .find(|epoch| Some(epoch.valid_loss) == progress.best_valid_loss);
        match kept {
            Some(kept) if kept.epoch != progress.epochs => format!(" (kept: epoch {})", kept.epoch),
            _ => String::new(),
        }
    }
}
