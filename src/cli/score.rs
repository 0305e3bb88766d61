//! `elman score`: one log10 probability a line.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::output::Output;
use super::{Loaded, ModelFlags};
use crate::error::{Error, Result};
use crate::score::{Score, Scorer, sentence};

#[derive(Debug, Args)]
pub(super) struct ScoreFlags {
    #[command(flatten)]
    pub(super) model: ModelFlags,
    /// The sentences, one a line; - is standard input
    #[arg(default_value = "-", value_name = "FILE")]
    file: PathBuf,
    /// Print the log10 probability of every token after the line's
    #[arg(long)]
    per_token: bool,
    /// Carry the state from line to line instead of scoring each for itself
    #[arg(long)]
    carry: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Lines that are read before they are scored together.
const LINES: usize = 1024;

pub(super) fn run(flags: &ScoreFlags) -> Result<()> {
    let Loaded { checkpoint, mut device, model } = flags.model.load()?;
    let mut lines = Lines::open(&flags.file)?;
    let mut output = Output::new();
    let mut report = Report::default();
    let mut scorer = None;
    loop {
        let mut sentences = Vec::new();
        while sentences.len() < LINES {
            let Some(line) = lines.next()? else { break };
            let ids = sentence(&line, checkpoint.description.unit, &checkpoint.vocabulary);
            sentences.push(ids.map_err(|error| {
                Error::refused(format!("line {} of {}", lines.number, flags.file.display()), error.to_string(), "Correct the line")
            })?);
        }
        if sentences.is_empty() {
            break;
        }
        let scorer = match &mut scorer {
            Some(scorer) => scorer,
            None => scorer.insert(Scorer::new(&mut device, &model, sentences.len(), flags.carry)?),
        };
        for score in scorer.score(&mut device, &model, &sentences)? {
            if flags.json {
                report.add(score, flags.per_token);
            } else {
                output.line(text(&score, flags.per_token))?;
            }
        }
        output.flush()?;
    }
    if flags.json {
        output.json(&report.json(flags.per_token))?;
    }
    output.flush()
}

/// A line's score for people and shells: tabs between the numbers, `OOV` for an unknown word.
fn text(score: &Score, per_token: bool) -> String {
    let mut text = format!("{:.6}", score.log10_prob);
    if per_token {
        for probability in &score.token_log10_probs {
            text.push('\t');
            text.push_str(&probability.map_or_else(|| "OOV".to_owned(), |probability| format!("{probability:.6}")));
        }
    }
    text
}

/// The JSON object: an array over the lines for each number.
#[derive(Default)]
struct Report {
    log10_prob: Vec<f64>,
    tokens: Vec<usize>,
    oov: Vec<usize>,
    token_log10_probs: Vec<Vec<Option<f64>>>,
}

impl Report {
    fn add(&mut self, score: Score, per_token: bool) {
        self.log10_prob.push(score.log10_prob);
        self.tokens.push(score.tokens);
        self.oov.push(score.oov);
        if per_token {
            self.token_log10_probs.push(score.token_log10_probs);
        }
    }

    fn json(self, per_token: bool) -> Value {
        let mut value = json!({ "log10_prob": self.log10_prob, "tokens": self.tokens, "oov": self.oov });
        if per_token {
            value["token_log10_probs"] = json!(self.token_log10_probs);
        }
        value
    }
}

/// The lines of a file or of standard input, without their ends.
struct Lines {
    reader: Box<dyn BufRead>,
    path: PathBuf,
    number: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Self> {
        let reader: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(BufReader::new(io::stdin()))
        } else if path.is_dir() {
            return Err(Error::refused(path.display().to_string(), "it is a directory", "Give a text file, or - for standard input"));
        } else {
            Box::new(BufReader::new(File::open(path).map_err(Error::io("open", path))?))
        };
        Ok(Self { reader, path: path.to_owned(), number: 0 })
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        if self.reader.read_until(b'\n', &mut line).map_err(Error::io("read", &self.path))? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }
}
