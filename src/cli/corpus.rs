//! `elman corpus`: sentences of the built-in grammar, or examples of a memory task.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::Serialize;

use super::output::Output;
use super::perplexity::perplexity;
use crate::corpus::builtin::{self, SampledText};
use crate::corpus::tasks::{TASKS, Task};
use crate::error::{Error, Result};
use crate::evaluate::Evaluation;

#[derive(Debug, Args)]
pub(super) struct CorpusFlags {
    /// Number of sentences of the grammar to write [default: 20]
    #[arg(long, value_name = "N", conflicts_with = "task")]
    sentences: Option<usize>,
    /// Write examples of a memory task instead, one per line, as a training text for `elman train`
    #[arg(long, value_parser = task_parser())]
    task: Option<&'static Task>,
    /// Number of examples of the task to write [default: 20]
    #[arg(
        long,
        value_name = "N",
        requires = "task",
        conflicts_with = "sentences"
    )]
    examples: Option<usize>,
    /// Blanks of `copy` or digits of `adding`: the time that the network must remember [default:
    /// 20]
    #[arg(
        long,
        value_name = "N",
        requires = "task",
        conflicts_with = "sentences"
    )]
    delay: Option<usize>,
    /// Bits of each of the two numbers of `binary-addition` [default: 8]
    #[arg(
        long,
        value_name = "N",
        requires = "task",
        conflicts_with = "sentences"
    )]
    bits: Option<usize>,
    /// Seed of the random numbers; `elman train` uses the default
    #[arg(long, default_value_t = builtin::SEED)]
    seed: u64,
    /// Print the exact log10 probability of each line under the generating process, and a tab,
    /// before the line
    #[arg(long)]
    probabilities: bool,
    /// Print one JSON object instead, with the text and the evaluation of an ideal model
    #[arg(long)]
    json: bool,
}

/// Default number of sentences or examples.
const DEFAULT_LINES: usize = 20;
/// Maximum number of sentences. The text is generated in memory.
const MAX_SENTENCES: usize = 10_000_000;

fn task_parser() -> impl TypedValueParser<Value = &'static Task> {
    PossibleValuesParser::new(
        TASKS
            .iter()
            .map(|task| PossibleValue::new(task.name).help(task.description)),
    )
    .map(|name| {
        TASKS
            .iter()
            .find(|task| task.name == name)
            .expect("a name of the table")
    })
}

/// What `--json` prints.
#[derive(Serialize)]
struct CorpusReport<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    log10_probs: Option<&'a [f64]>,
    /// The evaluation of the text under the generating process, with the keys of `elman eval`.
    #[serde(flatten)]
    ideal: Evaluation,
    #[serde(flatten)]
    memory: Option<RecallTask>,
}

/// What an example of a memory task requires the network to recall.
#[derive(Serialize)]
struct RecallTask {
    task: &'static str,
    /// Positions of the recalled words in an example, counted from 0.
    recalled: Vec<usize>,
    /// The loss of a model without memory on the recalled words of an example.
    nats_without_memory: f64,
}

impl RecallTask {
    /// `size` must be valid for the task.
    fn new(task: &Task, size: usize) -> Self {
        Self {
            task: task.name,
            recalled: (task.recalled)(size),
            nats_without_memory: (task.nats_without_memory)(size),
        }
    }
}

pub(super) fn run(flags: &CorpusFlags) -> Result<()> {
    let (drawn, memory) = match flags.task {
        Some(task) => {
            let size = flags.size(task)?;
            // `draw` rejects invalid sizes.
            let drawn = task.draw(size, flags.examples.unwrap_or(DEFAULT_LINES), flags.seed)?;
            (drawn, Some(RecallTask::new(task, size)))
        }
        None => (builtin::draw(flags.sentences()?, flags.seed)?, None),
    };
    if flags.json {
        flags.print_json(&drawn, memory)
    } else {
        flags.print(&drawn, memory)
    }
}

impl CorpusFlags {
    fn sentences(&self) -> Result<usize> {
        let sentences = self.sentences.unwrap_or(DEFAULT_LINES);
        if (1..=MAX_SENTENCES).contains(&sentences) {
            return Ok(sentences);
        }
        let rule = format!("it must be from 1 to {MAX_SENTENCES}");
        Err(Error::usage(
            format!("--sentences {sentences}"),
            rule,
            "Use a value in this range; for more text, combine texts of several seeds",
        ))
    }

    fn size(&self, task: &Task) -> Result<usize> {
        let mut size = task.default_size;
        for (field, value) in [("delay", self.delay), ("bits", self.bits)] {
            match value {
                Some(value) if field == task.size_field => size = value,
                Some(value) => {
                    return Err(Error::usage(
                        format!("--{field} {value} with --task {}", task.name),
                        format!("the task's only size is --{}", task.size_field),
                        format!("Use --{} instead, or omit the flag", task.size_field),
                    ));
                }
                None => {}
            }
        }
        Ok(size)
    }

    fn print(&self, text: &SampledText, memory: Option<RecallTask>) -> Result<()> {
        let mut output = Output::new();
        for (line, probability) in text.text.lines().zip(&text.log10_probabilities) {
            if self.probabilities {
                output.line(format_args!("{probability:.6}\t{line}"))?;
            } else {
                output.line(line)?;
            }
        }
        output.flush()?;
        if let Some(memory) = memory {
            let ideal = ideal(text)?;
            note_line!(
                "ideal perplexity {} (per token with </s>)",
                perplexity(ideal.perplexity, ideal.loss(), 4)
            );
            note_line!(
                "without memory {:.4} nats more per example, on the recalled words alone",
                memory.nats_without_memory
            );
        }
        Ok(())
    }

    fn print_json(&self, text: &SampledText, memory: Option<RecallTask>) -> Result<()> {
        let log10_probs = self.probabilities.then_some(&*text.log10_probabilities);
        let mut output = Output::new();
        output.json(&CorpusReport {
            text: &text.text,
            log10_probs,
            ideal: ideal(text)?,
            memory,
        })?;
        output.flush()
    }
}

/// The evaluation of the text under the generating process; its tokens include the line endings.
fn ideal(text: &SampledText) -> Result<Evaluation> {
    let nats = -text.log10_probabilities.iter().sum::<f64>() * std::f64::consts::LN_10;
    Evaluation::new(nats, text.tokens(), 0)
}
