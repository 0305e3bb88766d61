//! `elman score`: prints the log10 probability of each line.

mod printer;
mod work;

use std::f64::consts::LN_10;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::input::{InputLines, check_read_once, named};
use super::mix::{MixFlags, Sources};
use super::ranks::START_AGAIN;
use super::{RankDeviceFlags, ranks, sentence_tags};
use crate::corpus::{SentenceTags, Tokens, UnknownWords, without_byte_order_mark};
use crate::decompress;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::mixture::{self, Weights};
use crate::model::Model;
use crate::parallel::{Ranks, world};
use crate::score::{Score, TokenizedLine, tokenize_line};
use crate::tensor::NONE;
use printer::ScorePrinter;
use work::ScoreWork;

#[derive(Debug, Args)]
pub(super) struct ScoreFlags {
    #[command(flatten)]
    mix: MixFlags,
    #[command(flatten)]
    pub(super) device: RankDeviceFlags,
    /// File of sentences, one per line; - is standard input
    #[arg(default_value = "-", value_name = "FILE")]
    file: PathBuf,
    /// Print the log10 probability of each token after that of the line
    #[arg(long)]
    per_token: bool,
    /// Carry the state from line to line instead of resetting it
    #[arg(long)]
    carry: bool,
    /// What to print [default: lines]
    #[arg(long, conflicts_with_all = ["per_token", "json"])]
    format: Option<ScoreFormat>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What to print of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScoreFormat {
    /// Its log10 probability
    Lines,
    /// The id, the probability and the text of each token, as `rnnlm -debug 2` prints them
    Rnnlm,
}

/// The number of lines that are scored together.
const BATCH: usize = 1024;

pub(super) fn run(flags: &ScoreFlags) -> Result<()> {
    let ranks = world();
    ranks.agree(flags.check(&ranks))?;
    let (sources, mut device) = ranks.agree(flags.open())?;
    let models = ranks.agree(sources.load(&mut device))?;
    ranks::check_models(&ranks, &sources.checkpoints)?;
    let inputs = flags.mix.inputs();
    flags
        .device
        .rank_timeout
        .watch_reading(&ranks, START_AGAIN, inputs)?;
    let options = flags.mix.adaptation.options(!flags.carry)?;
    let mix = &flags.mix.sources;
    let weights = sources.weights_on(&ranks, &mut device, &models, options, mix)?;
    let lines = ranks.is_first().then(|| InputLines::open(&flags.file));
    let lines = ranks.unwatched(|ranks| ranks.agree(lines.transpose()))?;
    let scoring = Scoring {
        flags,
        sources: &sources,
        models: &models,
        weights: &weights,
        device,
    };
    // Models that adapt read one line after the other.
    match lines {
        Some(lines) if flags.mix.adaptation.is_given() => scoring.score_sequentially(lines),
        lines => ScoreWork::new(scoring, lines).run(&ranks),
    }
}

/// The models on a device, and how they are mixed.
struct Scoring<'a> {
    flags: &'a ScoreFlags,
    sources: &'a Sources,
    models: &'a [Model],
    weights: &'a Weights,
    device: Device,
}

impl ScoreFlags {
    /// Checks that standard input is read once, and that ranks can divide the lines.
    fn check(&self, ranks: &Ranks) -> Result<()> {
        check_read_once(named("", [&self.file]).chain(self.mix.inputs()))?;
        let flags = [("--carry", self.carry)];
        let flags = [&flags[..], &self.mix.adaptation.given()].concat();
        ranks::check_independent(ranks, "the lines", &flags)
    }

    /// Reads the sources, and opens the device.
    fn open(&self) -> Result<(Sources, Device)> {
        let mut sources = self.mix.sources.read()?;
        self.mix.adaptation.read(&mut sources)?;
        self.mix.adaptation.options(!self.carry)?;
        // Reject invalid weights before loading the models.
        self.mix.sources.weights()?;
        Ok((sources, self.device.open()?))
    }
}

impl Scoring<'_> {
    /// Scores all lines as one text, and prints the scores of those that precede an error.
    fn score_sequentially(mut self, mut lines: InputLines) -> Result<()> {
        let mut printer = ScorePrinter::new(self.flags, &self.sources.vocabulary);
        let mut tags = SentenceTags::default();
        let SentenceBatch {
            sentences,
            unknown,
            end,
        } = self.read_sentences(&mut lines, usize::MAX, &mut tags);
        let mut scores = Vec::new();
        let scored = match sentences.is_empty() {
            true => Ok(()),
            false => self.append_scores(&sentences, &mut scores),
        };
        for ((score, sentence), unknown) in scores.into_iter().zip(&sentences).zip(unknown) {
            printer.print(score, sentence, unknown)?;
        }
        printer.flush()?;
        scored.and(end)?;
        sentence_tags::note(&decompress::name(&self.flags.file), tags);
        printer.finish()
    }

    /// Appends the scores of all lines as one text, also of those before an error.
    fn append_scores(&mut self, sentences: &[Vec<u32>], scores: &mut Vec<Score>) -> Result<()> {
        let Self { flags, sources, .. } = self;
        let options = flags.mix.adaptation.options(!flags.carry)?;
        let tokens: Tokens = sentences
            .iter()
            .flat_map(|sentence| sentence.iter().copied().chain([0]))
            .collect();
        let device = &mut self.device;
        let mut components =
            sources.components(device, self.models, &tokens, options, &flags.mix.sources)?;
        let mut line = Vec::new();
        let mut lengths = sentences.iter().map(|sentence| sentence.len() + 1);
        let mut length = lengths.next().unwrap_or(0);
        let weights = self.weights;
        mixture::score(device, &mut components, weights, &tokens, &mut |score| {
            line.push((score.token != NONE).then_some(score.log_probability / LN_10));
            if line.len() == length {
                scores.push(Score::new(std::mem::take(&mut line)));
                length = lengths.next().unwrap_or(0);
            }
            Ok(())
        })
    }

    /// Reads at most `limit` lines as token ids, of standard input those that are there already, so
    /// that a program that waits for an answer gets it, and adds their sentence tags to `tags`.
    /// Empty at the end of the file, or where its first line cannot be read.
    fn read_sentences(
        &self,
        lines: &mut InputLines,
        limit: usize,
        tags: &mut SentenceTags,
    ) -> SentenceBatch {
        let mut batch = SentenceBatch {
            sentences: Vec::new(),
            unknown: Vec::new(),
            end: Ok(()),
        };
        let reads_all = limit == usize::MAX;
        while batch.sentences.len() < limit
            && (batch.sentences.is_empty() || reads_all || lines.is_ready())
        {
            match self.read_sentence(lines) {
                Ok(Some(line)) => {
                    *tags += line.tags;
                    batch.sentences.push(line.ids);
                    batch.unknown.push(line.unknown);
                }
                Ok(None) => break,
                Err(error) => {
                    batch.end = Err(error);
                    break;
                }
            }
        }
        batch
    }

    /// Reads a line. `None` at the end of the file.
    fn read_sentence(&self, lines: &mut InputLines) -> Result<Option<TokenizedLine>> {
        let unit = self.sources.checkpoints[0].description.unit;
        let Some(line) = lines.next()? else {
            return Ok(None);
        };
        let text = match lines.count {
            1 => without_byte_order_mark(&line, unit),
            _ => &line,
        };
        let line = tokenize_line(text, unit, &self.sources.vocabulary).map_err(|error| {
            Error::invalid(
                format!("line {} of {}", lines.count, self.flags.file.display()),
                error.to_string(),
                "Correct the line",
            )
        })?;
        Ok(Some(line))
    }
}

/// Lines that are scored together.
struct SentenceBatch {
    sentences: Vec<Vec<u32>>,
    /// The unknown words of each line.
    unknown: Vec<UnknownWords>,
    /// An error in the line after them.
    end: Result<()>,
}
