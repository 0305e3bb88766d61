//! `elman corpus`: sentences of the built-in grammar, or examples of a task of memory.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::Serialize;

use super::output::Output;
use crate::corpus::builtin::{self, SampledText};
use crate::corpus::tasks::{TASKS, Task};
use crate::error::{Error, Result};
use crate::evaluate::Evaluation;

#[derive(Debug, Args)]
pub(super) struct CorpusFlags {
    /// Sentences of the grammar to write [default: 20]
    #[arg(long, value_name = "N", conflicts_with = "task")]
    sentences: Option<usize>,
    /// Write examples of a task of memory instead, one a line, for `elman train` to learn as any
    /// text
    #[arg(long, value_parser = task_parser())]
    task: Option<&'static Task>,
    /// Examples of the task to write [default: 20]
    #[arg(long, value_name = "N", requires = "task")]
    examples: Option<usize>,
    /// Blanks of `copy`, or digits of `adding`: how long the network has to remember [default: 20]
    #[arg(long, value_name = "N", requires = "task")]
    delay: Option<usize>,
    /// Bits of each of the two numbers of `binary-addition` [default: 8]
    #[arg(long, value_name = "N", requires = "task")]
    bits: Option<usize>,
    /// The same seed writes the same text; `elman train` uses the default
    #[arg(long, default_value_t = builtin::SEED)]
    seed: u64,
    /// Print each line's exact log10 probability under the process that drew it and a tab before it
    #[arg(long)]
    probabilities: bool,
    /// Print one JSON object instead, with the text and what an ideal model says of it
    #[arg(long)]
    json: bool,
}

/// Sentences or examples where their number is not given.
const LINES: usize = 20;
/// The most sentences of a text, which is made in memory.
const MOST_SENTENCES: usize = 10_000_000;

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
struct Report<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    log10_probs: Option<&'a [f64]>,
    /// What the process says of the text that it drew, under the names of `elman eval`.
    #[serde(flatten)]
    ideal: Evaluation,
    #[serde(flatten)]
    memory: Option<Memory>,
}

/// What is to be remembered in every example.
#[derive(Serialize)]
struct Memory {
    task: &'static str,
    /// Where in an example the recalled words stand, from 0 on.
    recalled: Vec<usize>,
    /// What an example's recalled words cost a model that remembers nothing.
    nats_without_memory: f64,
}

impl Memory {
    /// Of a size that the task can be drawn with.
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
            // Drawing refuses sizes that are too large to compute with.
            let drawn = task.draw(size, flags.examples.unwrap_or(LINES), flags.seed)?;
            (drawn, Some(Memory::new(task, size)))
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
        let sentences = self.sentences.unwrap_or(LINES);
        if (1..=MOST_SENTENCES).contains(&sentences) {
            return Ok(sentences);
        }
        let rule = format!("a text has from 1 to {MOST_SENTENCES} sentences");
        Err(Error::usage(
            format!("--sentences {sentences}"),
            rule,
            "Take a number between them; several seeds give several texts",
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
                        format!("Give --{} instead, or omit the flag", task.size_field),
                    ));
                }
                None => {}
            }
        }
        Ok(size)
    }

    fn print(&self, drawn: &SampledText, memory: Option<Memory>) -> Result<()> {
        let mut output = Output::new();
        for (line, probability) in drawn.text.lines().zip(&drawn.log10_probabilities) {
            if self.probabilities {
                output.line(format_args!("{probability:.6}\t{line}"))?;
            } else {
                output.line(line)?;
            }
        }
        output.flush()?;
        if let Some(memory) = memory {
            let ideal = ideal(drawn)?;
            eprintln!(
                "ideal perplexity {:.4} (per token with </s>)",
                ideal.perplexity
            );
            eprintln!(
                "without memory {:.4} nats an example more, at the recalled words alone",
                memory.nats_without_memory
            );
        }
        Ok(())
    }

    fn print_json(&self, drawn: &SampledText, memory: Option<Memory>) -> Result<()> {
        let log10_probs = self.probabilities.then_some(&*drawn.log10_probabilities);
        let mut output = Output::new();
        output.json(&Report {
            text: &drawn.text,
            log10_probs,
            ideal: ideal(drawn)?,
            memory,
        })?;
        output.flush()
    }
}

/// What the process itself says of the text, every line's end among its tokens.
fn ideal(drawn: &SampledText) -> Result<Evaluation> {
    let nats = -drawn.log10_probabilities.iter().sum::<f64>() * std::f64::consts::LN_10;
    Evaluation::new(nats, drawn.tokens(), 0)
}
