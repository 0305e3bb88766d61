//! `elman generate`: generates text.

use clap::Args;
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::json;

use super::output::Output;
use super::{LoadedModel, ModelFlags};
use crate::activity::Activity;
use crate::corpus::{TextWriter, UNKNOWN, Unit, Vocabulary};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::generate::{Generator, Sampling};
use crate::model::Model;
use crate::score::{TokenizedLine, tokenize_prompt};
use crate::tensor::NONE;

#[derive(Debug, Args)]
pub(super) struct GenerateFlags {
    #[command(flatten)]
    pub(super) model: ModelFlags,
    /// Text to continue; it is printed first
    #[arg(long, default_value = "", hide_default_value = true)]
    prompt: String,
    /// Number of tokens to write [default: 1000 for characters and bytes]
    #[arg(long, conflicts_with = "sentences", value_name = "N")]
    tokens: Option<usize>,
    /// Number of sentences, or lines, to write [default: 10 for words and subwords]
    #[arg(long, value_name = "N")]
    sentences: Option<usize>,
    /// Divisor of the logits: below 1, likely tokens become more likely; above 1, less likely; 0
    /// always takes the most likely token
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    temperature: f64,
    /// Draw only from the K most likely tokens
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Draw only from the most likely tokens whose probabilities add up to at least P
    #[arg(long, default_value_t = 1.0, value_name = "P")]
    top_p: f64,
    /// Seed of the random numbers, which repeats a text [default: a new one, printed on standard
    /// error]
    #[arg(long)]
    seed: Option<u64>,
    /// Never write the unknown token, <unk> [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    no_unk: Option<bool>,
    /// Print one JSON object with the text, its token ids and the seed
    #[arg(long)]
    json: bool,
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
enum StopAfter {
    Tokens(usize),
    Sentences(usize),
}

/// The mean number of tokens per sentence after which a text of sentences is cut off.
const MAX_SENTENCE_LENGTH: usize = 10_000;
/// Maximum number of tokens in a sample of a trained model. The sentences of some texts never end.
const SAMPLE_TOKENS: usize = 200;
/// Maximum number of sentences in a sample.
const SAMPLE_SENTENCES: usize = 5;

pub(super) fn run(flags: &GenerateFlags) -> Result<()> {
    let LoadedModel {
        checkpoint,
        mut device,
        model,
    } = flags.model.load()?;
    let unit = checkpoint.description.unit;
    let vocabulary = &checkpoint.vocabulary;
    let sampling = Sampling {
        temperature: flags.temperature,
        top_k: flags.top_k,
        top_p: flags.top_p,
        excluded: vocabulary
            .id(UNKNOWN)
            .filter(|_| flags.no_unk.unwrap_or(true)),
    };
    sampling.validate()?;
    let TokenizedLine {
        ids: prompt,
        unknown: prompt_words,
        ..
    } = tokenize_prompt(flags.prompt.as_bytes(), unit, vocabulary)?;
    if prompt_words.read_as_unk > 0 {
        stderr_line!(
            "note: {} token(s) of the prompt are not in the vocabulary and are read as <unk>",
            prompt_words.read_as_unk
        );
    }
    let unknown = prompt.iter().filter(|&&id| id == NONE).count();
    if unknown > 0 {
        stderr_line!(
            "note: {unknown} token(s) of the prompt are not in the vocabulary; the model reads a \
             zero vector in place of each"
        );
    }
    let seed = flags.seed()?;
    let stop = match (flags.tokens, flags.sentences, unit) {
        (Some(tokens), ..) => StopAfter::Tokens(tokens),
        (_, Some(sentences), _) => StopAfter::Sentences(sentences),
        (.., unit) if unit.has_sentences() => StopAfter::Sentences(10),
        _ => StopAfter::Tokens(1000),
    };
    let mut generator = Generator::new(&mut device, &model, sampling, seed)?;
    for &token in &prompt {
        generator.read(&mut device, &model, token)?;
    }
    let mut output = Output::new();
    let mut text = flags.prompt.clone().into_bytes();
    let mut ids = Vec::new();
    // The text continues the last line of the prompt, if there is one.
    let at_line_start = flags.prompt.is_empty() || flags.prompt.ends_with(['\n', ' ']);
    let mut text_writer = TextWriter::new(unit, at_line_start);
    if !flags.json {
        output.bytes(&text)?;
    }
    let mut token_source = TokenSource {
        device: &mut device,
        model: &model,
        generator: &mut generator,
    };
    token_source.draw(stop, &mut |token| {
        let mut bytes = Vec::new();
        text_writer.write(vocabulary.token(token), &mut bytes);
        ids.push(token);
        if flags.json {
            text.extend(bytes);
            return Ok(());
        }
        output.bytes(&bytes)?;
        // Show each token at once.
        output.flush()
    })?;
    let mut rest = Vec::new();
    text_writer.finish(&mut rest);
    if flags.json {
        text.extend(rest);
        output.json(&json!({
            "text": String::from_utf8_lossy(&text),
            "tokens": ids,
            "seed": seed,
        }))?;
    } else {
        output.bytes(&rest)?;
        if !(text_writer.at_line_start() && unit.has_sentences()) {
            output.line("")?;
        }
    }
    output.flush()
}

impl GenerateFlags {
    /// The seed that is given, or a new one, which is printed.
    fn seed(&self) -> Result<u64> {
        if let Some(seed) = self.seed {
            return Ok(seed);
        }
        // 32 bits are short enough to type again.
        let seed = SysRng.try_next_u32().map_err(|error| {
            Error::invalid(
                "the system's random numbers",
                error.to_string(),
                "Give --seed N",
            )
        })?;
        stderr_line!("seed: {seed} (--seed {seed} repeats this text)");
        Ok(seed.into())
    }
}

/// A generator with its device and model.
struct TokenSource<'a> {
    device: &'a mut Device,
    model: &'a Model,
    generator: &'a mut Generator,
}

impl TokenSource<'_> {
    /// Draws tokens and passes each to `take`.
    fn draw(&mut self, stop: StopAfter, take: &mut dyn FnMut(u32) -> Result<()>) -> Result<()> {
        let limit = match stop {
            StopAfter::Tokens(tokens) => tokens,
            StopAfter::Sentences(sentences) => sentences.saturating_mul(MAX_SENTENCE_LENGTH),
        };
        let (StopAfter::Tokens(total) | StopAfter::Sentences(total)) = stop;
        let activity = Activity::start("generating", Some(total as u64));
        let mut ended = 0;
        for _ in 0..limit {
            if matches!(stop, StopAfter::Sentences(sentences) if ended == sentences) {
                break;
            }
            let token = self.generator.next_token(self.device, self.model)?;
            ended += usize::from(token == 0);
            if token == 0 || matches!(stop, StopAfter::Tokens(_)) {
                activity.advance(1);
            }
            take(token)?;
        }
        Ok(())
    }
}

/// A few sentences, or some characters, for the end of a training run.
pub(super) fn sample(
    device: &mut Device,
    model: &Model,
    unit: Unit,
    vocabulary: &Vocabulary,
) -> Result<String> {
    let sampling = Sampling {
        excluded: vocabulary.id(UNKNOWN),
        ..Sampling::default()
    };
    let mut generator = Generator::new(device, model, sampling, 1)?;
    let mut text = Vec::new();
    let mut text_writer = TextWriter::new(unit, true);
    let mut sentences = 0;
    for _ in 0..SAMPLE_TOKENS {
        if unit.has_sentences() && sentences == SAMPLE_SENTENCES {
            break;
        }
        let token = generator.next_token(device, model)?;
        sentences += usize::from(token == 0);
        text_writer.write(vocabulary.token(token), &mut text);
    }
    Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
}
