//! `elman ngram`: builds a Kneser-Ney model of a text, or of text that a network generates, and
//! writes it as an ARPA file.

mod generated;

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::eval::print_unknown;
use super::given_vocabulary::given_vocabulary;
use super::input::{check_read_once, named};
use super::output::{Output, check_overwrite};
use super::perplexity::perplexity;
use super::{RankDeviceFlags, ranks, sentence_tags};
use crate::activity::Activity;
use crate::corpus::{
    TextSource, Tokens, UNKNOWN, Unit, UnknownWords, Vocabulary, read_tokens, read_with_types,
};
use crate::decompress;
use crate::error::{Error, Result};
use crate::evaluate::Evaluation;
use crate::mixture::NgramReader;
use crate::ngram::{
    DiscountOrigin, Estimate, KneserNey, KneserNeyOptions, NgramModel, SENTENCE_START,
};
use crate::parallel::{Ranks, world};
use crate::tensor::NONE;

#[derive(Debug, Args)]
pub(super) struct NgramFlags {
    /// Text to count
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    text: Option<PathBuf>,
    /// Count text that this network generates instead: the n-gram model approximates the network,
    /// for decoders that support only n-gram models
    #[arg(long, value_name = "DIR", conflicts_with = "arpa")]
    model: Option<PathBuf>,
    /// Tokens that the network generates; a good approximation needs hundreds of times the
    /// network's training text [default: 10000000]
    #[arg(
        long,
        value_name = "N",
        requires = "model",
        conflicts_with_all = ["text", "arpa"],
    )]
    tokens: Option<usize>,
    /// Seed of the random numbers of --model [default: 1]
    #[arg(long, requires = "model", conflicts_with_all = ["text", "arpa"])]
    seed: Option<u64>,
    /// Existing n-gram model to evaluate
    #[arg(long, value_name = "FILE", conflicts_with_all = ["text", "out"])]
    arpa: Option<PathBuf>,
    /// Length of the longest n-grams in words
    #[arg(long, value_name = "N", default_value_t = 5, conflicts_with = "arpa")]
    order: usize,
    /// Texts whose words are the vocabulary, separated by commas, or the vocab.txt of a model, for
    /// an n-gram model to mix it with; other words become <unk> if it is in the vocabulary
    /// [default: the words of the text, or the network's vocabulary]
    #[arg(
        long,
        value_name = "FILE,FILE",
        value_delimiter = ',',
        conflicts_with_all = ["model", "arpa"],
    )]
    vocab: Vec<PathBuf>,
    /// Minimum counts of the n-grams of order 3, 4, … that are kept, separated by commas; the
    /// last applies to all higher orders [default: 1]
    #[arg(
        long,
        value_name = "N,N",
        value_delimiter = ',',
        conflicts_with = "arpa"
    )]
    min_counts: Vec<u32>,
    /// Memory for counting, in MiB; a text that needs more is an error
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = DEFAULT_MEMORY,
        conflicts_with = "arpa"
    )]
    memory: usize,
    /// ARPA file to write, compressed if its name ends in .gz
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file of --out if it exists
    #[arg(long, requires = "out", conflicts_with = "arpa")]
    force: bool,
    /// Text to evaluate the n-gram model on; each line is a separate sentence
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    #[command(flatten)]
    pub(super) device: RankDeviceFlags,
    /// Print one JSON object as the last line
    #[arg(long)]
    json: bool,
}

/// Memory for counting by default, in MiB.
const DEFAULT_MEMORY: usize = 8192;

pub(super) fn run(flags: &NgramFlags) -> Result<()> {
    let ranks = world();
    ranks.agree(flags.check(&ranks))?;
    let counted = flags.count(&ranks)?;
    // Of several ranks, the first one has counted.
    ranks::on_first(&ranks, || flags.finish(counted))
}

/// Prints a note for each order whose discounts are not those of modified Kneser-Ney smoothing.
fn print_unusual_discounts(estimate: &Estimate) {
    for (order, discounts) in (1..).zip(&estimate.discounts) {
        if discounts.origin != DiscountOrigin::Modified {
            note_line!(
                "note: order {order} has too few n-grams for Kneser-Ney's three discounts; all its \
                 counts are discounted by {:.3}",
                discounts.values[0]
            );
        }
    }
}

/// The evaluation of an n-gram model on a text, with the keys of `elman eval`.
#[derive(Serialize)]
struct NgramEvaluation {
    #[serde(flatten)]
    by_token: Evaluation,
    #[serde(flatten)]
    unknown: UnknownWords,
}

fn print_evaluation(output: &mut Output, evaluation: &NgramEvaluation) -> Result<()> {
    let NgramEvaluation {
        by_token: evaluation,
        unknown,
    } = evaluation;
    output.line(format_args!(
        "perplexity         {}",
        perplexity(evaluation.perplexity, evaluation.loss(), 4)
    ))?;
    output.line(format_args!(
        "log10 probability  {:.4}",
        evaluation.log10_prob
    ))?;
    output.line(format_args!("tokens             {}", evaluation.tokens))?;
    print_unknown(output, unknown)
}

/// The words of an n-gram model that a text can have; the first is the end of a sentence. The
/// unknown word has its usual name, in whatever letter case the model has it.
fn vocabulary_of(model: &NgramModel) -> Result<Vocabulary> {
    let end = Unit::Word.boundary();
    let words = (0..model.vocab_size() as u32)
        .map(|id| match model.unknown() {
            Some(unknown) if unknown == id => UNKNOWN,
            _ => model.token(id),
        })
        .filter(|&token| token != end && token != SENTENCE_START);
    Vocabulary::new(
        std::iter::once(end)
            .chain(words)
            .map(str::to_owned)
            .collect(),
    )
}

/// Evaluates an n-gram model on a text.
fn evaluate(model: &NgramModel, vocabulary: &Vocabulary, text: &Path) -> Result<NgramEvaluation> {
    let reader = NgramReader::new(model, vocabulary)?;
    let (tokens, report) = sentence_tags::read_text(text, Unit::Word, vocabulary)?;
    let activity = Activity::start("evaluating", Some(tokens.len() as u64));
    let mut history = reader.start();
    let mut nats = 0.0;
    for token in tokens.iter() {
        activity.advance(1);
        let (log_probability, next) = reader.next(&history, token);
        if token != NONE {
            nats -= log_probability;
        }
        history = next;
    }
    Ok(NgramEvaluation {
        by_token: Evaluation::new(nats, tokens.known(), tokens.len() - tokens.known())?,
        unknown: report.unknown,
    })
}

impl NgramFlags {
    /// Checks that the flags give a model and say what to do with it, and that no file is
    /// overwritten by mistake.
    fn check(&self, ranks: &Ranks) -> Result<()> {
        if self.model.is_none() && !ranks.is_alone() {
            return Err(Error::usage(
                format!("elman ngram without --model on {} ranks", ranks.count()),
                "ranks divide only the text that a network generates",
                "Start it without mpirun",
            ));
        }
        if self.text.is_none() && self.model.is_none() && self.arpa.is_none() {
            let what = match (&self.test, &self.out) {
                (Some(test), _) => format!("--test {}", test.display()),
                (None, Some(out)) => format!("--out {}", out.display()),
                (None, None) => "elman ngram".to_owned(),
            };
            return Err(Error::usage(
                what,
                "there is no n-gram model",
                "Add --arpa FILE to read one, --text FILE to estimate one from a text, or --model \
                 DIR to estimate one from text that a network generates",
            ));
        }
        let device = self.device.one.device.as_str();
        if self.model.is_none() && !["auto", "cpu"].contains(&device) {
            return Err(Error::usage(
                format!("--device {device} without --model"),
                "the device is for the network of --model",
                "Remove it",
            ));
        }
        let is_estimated = self.arpa.is_none();
        if is_estimated && self.out.is_none() && self.test.is_none() {
            return Err(Error::usage(
                "elman ngram",
                "there is nothing to do with the n-gram model",
                "Add --out FILE to write it, or --test FILE to evaluate it",
            ));
        }
        let texts = named("--text", &self.text).chain(named("--vocab", &self.vocab));
        let texts = texts.chain(named("--arpa", &self.arpa));
        check_read_once(texts.chain(named("--test", &self.test)))?;
        match &self.out {
            // The first rank writes it, where the others may not be able to.
            Some(out) if ranks.is_first() => check_overwrite(out, self.force),
            _ => Ok(()),
        }
    }

    /// Counts the text, or text of the network. With --arpa, there is nothing to count.
    ///
    /// # Errors
    /// On all ranks, if one fails.
    fn count(&self, ranks: &Ranks) -> Result<Option<(KneserNey, Vocabulary)>> {
        if self.arpa.is_some() {
            return Ok(None);
        }
        let options = KneserNeyOptions {
            order: self.order,
            min_counts: self.min_counts.clone(),
            memory: self.memory.saturating_mul(1 << 20),
        };
        let mut counting = ranks.agree(KneserNey::new(options))?;
        let vocabulary = match &self.model {
            Some(directory) => generated::count(self, directory, &mut counting, ranks)?,
            None => {
                let text = self.text.as_deref().unwrap_or(Path::new("-"));
                let (vocabulary, tokens, report) = if self.vocab.is_empty() {
                    read_with_types(TextSource::File(text), Unit::Word)?
                } else {
                    let vocabulary = given_vocabulary(&self.vocab, Unit::Word)?;
                    let (tokens, report) = read_tokens(text, Unit::Word, &vocabulary)?;
                    (vocabulary, tokens, report)
                };
                sentence_tags::note(&decompress::name(text), report.tags);
                count(&tokens, &vocabulary, &mut counting)?;
                vocabulary
            }
        };
        Ok(Some((counting, vocabulary)))
    }

    /// Estimates the n-gram model of what was counted, or reads that of --arpa.
    fn ngram_model(
        &self,
        counted: Option<(KneserNey, Vocabulary)>,
    ) -> Result<(NgramModel, Vocabulary)> {
        let (model, vocabulary) = match (&self.arpa, counted) {
            (None, Some((counting, vocabulary))) => {
                let estimate = counting.estimate(vocabulary.types())?;
                print_unusual_discounts(&estimate);
                (estimate.model, Some(vocabulary))
            }
            (path, _) => (
                NgramModel::read(path.as_deref().unwrap_or(Path::new("-")))?,
                None,
            ),
        };
        // A test text is read as `--arpa` reads it, unless a network says how.
        let vocabulary = match vocabulary.filter(|_| self.model.is_some()) {
            Some(vocabulary) => vocabulary,
            None => vocabulary_of(&model)?,
        };
        Ok((model, vocabulary))
    }

    /// Makes the n-gram model, writes it and evaluates it.
    fn finish(&self, counted: Option<(KneserNey, Vocabulary)>) -> Result<()> {
        let (model, vocabulary) = self.ngram_model(counted)?;
        let counts: Vec<_> = model.counts().iter().map(usize::to_string).collect();
        note_line!(
            "n-grams of order 1 to {}: {}; {} MiB",
            model.order(),
            counts.join(", "),
            model.bytes().div_ceil(1 << 20)
        );
        if let Some(out) = &self.out {
            model.write(out)?;
            note_line!("written: {}", out.display());
        }
        let evaluation = match &self.test {
            Some(path) => Some(evaluate(&model, &vocabulary, path)?),
            None => None,
        };
        let mut output = Output::new();
        if self.json {
            let mut report = match evaluation {
                Some(evaluation) => json!(evaluation),
                None => json!({}),
            };
            report["order"] = json!(model.order());
            report["ngrams"] = json!(model.counts());
            output.json(&report)?;
        } else if let Some(evaluation) = evaluation {
            print_evaluation(&mut output, &evaluation)?;
        }
        output.flush()
    }
}

/// A Kneser-Ney model of the sentences of a text.
///
/// # Errors
/// If the order is out of range, or the text needs more memory than `elman ngram` takes by default.
pub(super) fn kneser_ney(
    tokens: &Tokens,
    vocabulary: &Vocabulary,
    order: usize,
) -> Result<Estimate> {
    let mut counting = KneserNey::new(KneserNeyOptions {
        order,
        min_counts: Vec::new(),
        memory: DEFAULT_MEMORY << 20,
    })?;
    count(tokens, vocabulary, &mut counting)?;
    let estimate = counting.estimate(vocabulary.types())?;
    print_unusual_discounts(&estimate);
    Ok(estimate)
}

/// Counts the sentences of a text. Words outside the vocabulary are skipped.
fn count(tokens: &Tokens, vocabulary: &Vocabulary, counting: &mut KneserNey) -> Result<()> {
    let mut sentence = Vec::new();
    let mut unknown = 0;
    for token in tokens.iter() {
        match token {
            0 => {
                counting.add_sentence(&sentence)?;
                sentence.clear();
            }
            NONE => unknown += 1,
            token => sentence.push(token),
        }
    }
    if unknown > 0 {
        note_line!(
            "note: {unknown} word(s) of the text are not in the vocabulary of {} types and were \
             skipped",
            vocabulary.len()
        );
    }
    Ok(())
}
