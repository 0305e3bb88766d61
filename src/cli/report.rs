//! `elman report`: writes a page about runs and what their models do with a text.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::models::{open_model, read_model};
use super::ngram::kneser_ney;
use super::output::{Output, check_overwrite, check_overwrite_by};
use super::table_flags::flag_line;
use super::vocabulary_warning::vocabulary_warning;
use super::{DeviceFlags, replay, sentence_tags};
use crate::checkpoint::Checkpoint;
use crate::corpus::{Tokens, Unit, Vocabulary};
use crate::decompress;
use crate::error::{Error, Result};
use crate::ngram::NgramModel;
use crate::output_file::write_file;
use crate::prepared::read_corpus_with;
use crate::report::{Floor, NgramReading, Report, RunReport, Text, TextReport, Words, page};

/// Order of the n-gram model of --kneser-ney.
const ORDER: usize = 5;

#[derive(Debug, Args)]
pub(super) struct ReportFlags {
    /// Directories that `elman train` wrote. The curves of several runs are drawn over one another
    #[arg(value_name = "DIR", required = true)]
    runs: Vec<PathBuf>,
    /// A text for the models to read, plain, gzip or zstd; - is standard input. Without it, the
    /// report has the curves of the runs and the word vectors
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// Tokens at the start of the text that are shown one by one, at most 2000. Figures are about
    /// the whole text
    #[arg(long, value_name = "N", default_value_t = 400)]
    excerpt: usize,
    /// Compare the first model's surprisals with those of an n-gram model: an ARPA file, plain,
    /// gzip or zstd
    #[arg(long, value_name = "FILE", requires = "text")]
    arpa: Option<PathBuf>,
    /// Draw the loss of an n-gram model of order 5 of each run's training text beside its curves;
    /// for models of words, whose texts must still be there
    #[arg(long)]
    kneser_ney: bool,
    /// The page: one HTML file, which needs no other
    #[arg(short, long, value_name = "FILE", required_unless_present = "json")]
    out: Option<PathBuf>,
    /// Write the data of the report as one JSON object; - is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Replace files that exist
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    pub(super) device: DeviceFlags,
}

pub(super) fn run(flags: &ReportFlags) -> Result<()> {
    flags.check_files()?;
    let mut report = Report::default();
    let mut checkpoints = Vec::new();
    for directory in &flags.runs {
        let mut run = RunReport::read(directory, flags.text.is_none())?;
        run.command = command(directory);
        let checkpoint = read_model(directory)?;
        if flags.kneser_ney && run.floor.is_none() {
            run.floor = kneser_ney_floor(directory, &checkpoint)?;
        }
        report.words.push(Words::of(&run.name, &checkpoint));
        checkpoints.push((run.name.clone(), checkpoint));
        report.runs.push(run);
    }
    if let Some(text) = &flags.text {
        report.text = Some(flags.measure(text, &checkpoints)?);
    }
    if let Some(path) = &flags.out {
        let page = page(&report);
        write_file(path, |mut file| file.write_all(page.as_bytes()))?;
        note_line!("written: {}", super::quoted(path));
    }
    flags.write_json(&report)
}

impl ReportFlags {
    /// Checks that nothing is overwritten by mistake, before anything is computed.
    fn check_files(&self) -> Result<()> {
        if let Some(out) = &self.out {
            check_overwrite(out, self.force)?;
        }
        if let Some(json) = self.json_file() {
            check_overwrite_by("--json", json, self.force)?;
        }
        if self.out.is_some() && self.out == self.json {
            return Err(Error::usage(
                "--out and --json",
                "both name the same file",
                "Give them different names",
            ));
        }
        Ok(())
    }

    /// Reads the text with all models.
    fn measure(&self, text: &Path, models: &[(String, Checkpoint)]) -> Result<TextReport> {
        let first = &models[0].1;
        let unit = first.description.unit;
        let (tokens, report) = sentence_tags::read_text(text, unit, &first.vocabulary)?;
        // Reject a model that does not fit before reading the text with the networks.
        let arpa = self.arpa.as_deref();
        let ngram = arpa.map(|path| self.measure_ngram(path, &first.vocabulary, &tokens));
        let ngram = ngram.transpose()?;
        let text = Text {
            name: decompress::name(text),
            tokens: &tokens,
            unknown: report.unknown,
            excerpt: self.excerpt,
        };
        let measured = TextReport::measure(&mut self.device.open()?, models, &text)?;
        Ok(TextReport { ngram, ..measured })
    }

    /// Reads the text with an n-gram model.
    fn measure_ngram(
        &self,
        path: &Path,
        vocabulary: &Vocabulary,
        tokens: &Tokens,
    ) -> Result<NgramReading> {
        let model = NgramModel::read(path)?;
        if let Some(warning) = vocabulary_warning(path, &model, &self.runs[0], vocabulary) {
            stderr_line!("{warning}");
        }
        let name = path.display().to_string();
        NgramReading::measure(&name, &model, vocabulary, tokens, self.excerpt)
    }

    /// The file of the data, if it is a file.
    fn json_file(&self) -> Option<&Path> {
        let json = self.json.as_deref()?;
        (!decompress::is_standard_input(json)).then_some(json)
    }

    fn write_json(&self, report: &Report) -> Result<()> {
        if let Some(path) = self.json_file() {
            let text = serde_json::to_string(report).expect("plain structs have a JSON form");
            return write_file(path, |mut file| writeln!(file, "{text}"));
        }
        let mut output = Output::new();
        if self.json.is_some() {
            output.json(report)?;
        }
        output.flush()
    }
}

/// The command that repeats a run; none for a model without a training state.
fn command(directory: &Path) -> Option<String> {
    let flags = replay::saved_flags(directory).ok()?;
    let lines = flags.iter().map(flag_line);
    let words = std::iter::once("elman train".to_owned()).chain(lines);
    Some(words.collect::<Vec<_>>().join(" "))
}

/// The loss of an n-gram model of a run's training text on its validation text. None, with a note,
/// for a run that is not known, and for tokens that are not words.
fn kneser_ney_floor(directory: &Path, checkpoint: &Checkpoint) -> Result<Option<Floor>> {
    let files = open_model(directory)?;
    let unit = checkpoint.description.unit;
    if unit != Unit::Word || !files.has_training() {
        note_line!(
            "note: {} has no n-gram model: it needs a run on words",
            directory.display()
        );
        return Ok(None);
    }
    let record = files.training_record()?.corpus;
    let valid = record.valid.as_deref();
    let is_input = decompress::is_standard_input;
    let file = record.train.as_ref();
    let Some(train) = file.filter(|path| !is_input(path) && !valid.is_some_and(is_input)) else {
        note_line!(
            "note: {} has no n-gram model: its training text or its validation text is not a file",
            directory.display()
        );
        return Ok(None);
    };
    let vocabulary = checkpoint.vocabulary.clone();
    let corpus = read_corpus_with(vocabulary, train, valid, unit)?;
    let estimate = kneser_ney(&corpus.train, &corpus.vocabulary, ORDER)?;
    Floor::of_ngram("Kneser-Ney 5", &estimate.model, &corpus).map(Some)
}
