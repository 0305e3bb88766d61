//! `elman generate`: generates text.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use clap::Args;
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::json;

use super::output::Output;
use super::waiting::without_line;
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
    /// Read lines from standard input and continue each, after everything before it; an empty line
    /// continues the text as it is, and Ctrl-D ends
    #[arg(long, conflicts_with_all = ["prompt", "json"])]
    interactive: bool,
    /// Number of tokens to write [default: 1000 for characters and bytes]
    #[arg(long, conflicts_with = "sentences", value_name = "N")]
    tokens: Option<usize>,
    /// Number of sentences, or lines, to write [default: 10 for words and subwords; 1 with
    /// --interactive]
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
    let seed = flags.seed()?;
    let generator = Generator::new(&mut device, &model, sampling, seed)?;
    let mut dialogue = Dialogue {
        device: &mut device,
        model: &model,
        generator,
        unit,
        vocabulary,
    };
    let mut output = Output::new();
    let stop = flags.stop(unit);
    if flags.interactive {
        return interact(&mut dialogue, stop, &mut output);
    }
    if flags.json {
        let mut text = Vec::new();
        let tokens = dialogue.continue_text(&flags.prompt, stop, &mut |bytes| {
            text.extend(bytes);
            Ok(())
        })?;
        output.json(&json!({
            "text": String::from_utf8_lossy(&text),
            "tokens": tokens.ids,
            "seed": seed,
        }))?;
        return output.flush();
    }
    dialogue.print_continued(&flags.prompt, stop, &mut output)
}

/// Reads lines from standard input and continues each, after everything before it.
fn interact(dialogue: &mut Dialogue<'_>, stop: StopAfter, output: &mut Output) -> Result<()> {
    let mut lines = io::stdin().lock();
    loop {
        // Only a person needs to see that it is their turn.
        if io::stdin().is_terminal() && io::stderr().is_terminal() {
            without_line(|| io::stderr().write_all(b"> ")).unwrap_or_default();
        }
        let mut line = Vec::new();
        let length = lines
            .read_until(b'\n', &mut line)
            .map_err(Error::io("read", Path::new("standard input")))?;
        if length == 0 {
            return Ok(());
        }
        let line = String::from_utf8(line).map_err(|error| {
            Error::invalid(
                "a line of standard input",
                error.utf8_error().to_string(),
                "Type text in UTF-8",
            )
        })?;
        dialogue.print_continued(line.trim_end_matches(['\n', '\r']), stop, output)?;
    }
}

impl GenerateFlags {
    /// When to stop after a prompt.
    fn stop(&self, unit: Unit) -> StopAfter {
        match (self.tokens, self.sentences) {
            (Some(tokens), _) => StopAfter::Tokens(tokens),
            (_, Some(sentences)) => StopAfter::Sentences(sentences),
            _ if self.interactive => StopAfter::Sentences(1),
            _ if unit.has_sentences() => StopAfter::Sentences(10),
            _ => StopAfter::Tokens(1000),
        }
    }

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
        note_line!("seed: {seed} (--seed {seed} repeats this text)");
        Ok(seed.into())
    }
}

/// A text that a model reads and continues.
struct Dialogue<'a> {
    device: &'a mut Device,
    model: &'a Model,
    generator: Generator,
    unit: Unit,
    vocabulary: &'a Vocabulary,
}

/// What follows a prompt.
struct Continuation {
    /// Its tokens.
    ids: Vec<u32>,
    /// Whether it ended with the end of a line.
    at_line_start: bool,
}

impl Dialogue<'_> {
    /// Continues a prompt and prints both, each token at once, and the end of the line.
    fn print_continued(
        &mut self,
        prompt: &str,
        stop: StopAfter,
        output: &mut Output,
    ) -> Result<()> {
        let continuation = self.continue_text(prompt, stop, &mut |bytes| {
            output.bytes(bytes)?;
            output.flush()
        })?;
        if !(continuation.at_line_start && self.unit.has_sentences()) {
            output.line("")?;
        }
        output.flush()
    }

    /// Reads a prompt and draws what follows. `write` receives the prompt and then the text of each
    /// token.
    fn continue_text(
        &mut self,
        prompt: &str,
        stop: StopAfter,
        write: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<Continuation> {
        for token in self.prompt_tokens(prompt)? {
            self.generator.read(self.device, self.model, token)?;
        }
        write(prompt.as_bytes())?;
        // The text continues the last line of the prompt, if there is one.
        let at_line_start = prompt.is_empty() || prompt.ends_with(['\n', ' ']);
        let mut text_writer = TextWriter::new(self.unit, at_line_start);
        let vocabulary = self.vocabulary;
        let mut ids = Vec::new();
        self.draw(stop, &mut |token| {
            let mut bytes = Vec::new();
            text_writer.write(vocabulary.token(token), &mut bytes);
            ids.push(token);
            write(&bytes)
        })?;
        let mut rest = Vec::new();
        text_writer.finish(&mut rest);
        write(&rest)?;
        Ok(Continuation {
            ids,
            at_line_start: text_writer.at_line_start(),
        })
    }

    /// The tokens of a prompt. Notes say which of them the vocabulary lacks.
    fn prompt_tokens(&self, prompt: &str) -> Result<Vec<u32>> {
        let TokenizedLine { ids, unknown, .. } =
            tokenize_prompt(prompt.as_bytes(), self.unit, self.vocabulary)?;
        if unknown.read_as_unk > 0 {
            note_line!(
                "note: {} token(s) of the prompt are not in the vocabulary and are read as <unk>",
                unknown.read_as_unk
            );
        }
        let unread = ids.iter().filter(|&&id| id == NONE).count();
        if unread > 0 {
            note_line!(
                "note: {unread} token(s) of the prompt are not in the vocabulary; the model reads \
                 a zero vector in place of each"
            );
        }
        Ok(ids)
    }

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

/// A few sentences, or some characters, of at most `tokens` tokens; always with the same random
/// numbers, so that the texts of a growing model compare.
pub(super) fn sample(
    device: &mut Device,
    model: &Model,
    (unit, vocabulary): (Unit, &Vocabulary),
    tokens: usize,
) -> Result<String> {
    let sampling = Sampling {
        excluded: vocabulary.id(UNKNOWN),
        ..Sampling::default()
    };
    let mut generator = Generator::new(device, model, sampling, 1)?;
    let mut text = Vec::new();
    let mut text_writer = TextWriter::new(unit, true);
    let mut sentences = 0;
    for _ in 0..tokens {
        if unit.has_sentences() && sentences == SAMPLE_SENTENCES {
            break;
        }
        let token = generator.next_token(device, model)?;
        sentences += usize::from(token == 0);
        text_writer.write(vocabulary.token(token), &mut text);
    }
    Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
}
