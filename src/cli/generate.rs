//! `elman generate`: text from a model.

use clap::Args;
use serde_json::json;

use super::output::Output;
use super::{Loaded, ModelFlags};
use crate::corpus::{TextWriter, Unit, Vocabulary};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::generate::{Generator, Sampling};
use crate::model::Model;
use crate::score::sentence;
use crate::tensor::NONE;

#[derive(Debug, Args)]
pub(super) struct GenerateFlags {
    #[command(flatten)]
    pub(super) model: ModelFlags,
    /// Text to go on from; it is printed first
    #[arg(long, default_value = "", hide_default_value = true)]
    prompt: String,
    /// Write so many tokens [default: 1000 for characters and bytes]
    #[arg(long, conflicts_with = "sentences", value_name = "N")]
    tokens: Option<usize>,
    /// Write until so many sentences, or lines, have ended [default: 10 for words and subwords]
    #[arg(long, value_name = "N")]
    sentences: Option<usize>,
    /// Below 1 the likely becomes likelier, above 1 less so; 0 takes the likeliest token always
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    temperature: f64,
    /// Draw from the K likeliest tokens only
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Draw from the likeliest tokens that together have probability P only
    #[arg(long, default_value_t = 1.0, value_name = "P")]
    top_p: f64,
    /// The same seed writes the same text
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object with the text and its token ids
    #[arg(long)]
    json: bool,
}

/// When to stop writing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    Tokens(usize),
    Sentences(usize),
}

/// Tokens after which a text that should end with a sentence ends without one.
const LONGEST_SENTENCE: usize = 10_000;

pub(super) fn run(flags: &GenerateFlags) -> Result<()> {
    let Loaded {
        checkpoint,
        mut device,
        model,
    } = flags.model.load()?;
    let (unit, vocabulary) = (checkpoint.description.unit, &checkpoint.vocabulary);
    let sampling = Sampling {
        temperature: flags.temperature,
        top_k: flags.top_k,
        top_p: flags.top_p,
    };
    let prompt = sentence(flags.prompt.as_bytes(), unit, vocabulary)?;
    let unknown = prompt.iter().filter(|&&id| id == NONE).count();
    if unknown > 0 {
        eprintln!(
            "note: {unknown} token(s) of the prompt are not in the vocabulary; the model reads \
             nothing in their place"
        );
    }
    let until = match (flags.tokens, flags.sentences, unit) {
        (Some(tokens), ..) => Until::Tokens(tokens),
        (_, Some(sentences), _) => Until::Sentences(sentences),
        (.., unit) if unit.has_sentences() => Until::Sentences(10),
        _ => Until::Tokens(1000),
    };
    let mut generator = Generator::new(&mut device, &model, sampling, flags.seed)?;
    for &token in &prompt {
        generator.read(&mut device, &model, token)?;
    }
    let mut output = Output::new();
    let mut text = flags.prompt.clone().into_bytes();
    let mut ids = Vec::new();
    // The prompt's last line goes on, unless there is none.
    let mut text_writer = TextWriter::new(
        unit,
        flags.prompt.is_empty() || flags.prompt.ends_with(['\n', ' ']),
    );
    if !flags.json {
        output.bytes(&text)?;
    }
    let mut writer = Writer {
        device: &mut device,
        model: &model,
        generator: &mut generator,
    };
    writer.write(until, &mut |token| {
        let mut piece = Vec::new();
        text_writer.write(vocabulary.token(token), &mut piece);
        ids.push(token);
        if flags.json {
            text.extend(piece);
            return Ok(());
        }
        output.bytes(&piece)?;
        // A person reads along.
        output.flush()
    })?;
    let mut rest = Vec::new();
    text_writer.finish(&mut rest);
    if flags.json {
        text.extend(rest);
        output.json(&json!({ "text": String::from_utf8_lossy(&text), "tokens": ids }))?;
    } else {
        output.bytes(&rest)?;
        if !(text_writer.at_line_start() && unit.has_sentences()) {
            output.line("")?;
        }
    }
    output.flush()
}

/// A generator with what it runs on.
pub(super) struct Writer<'a> {
    pub(super) device: &'a mut Device,
    pub(super) model: &'a Model,
    pub(super) generator: &'a mut Generator,
}

impl Writer<'_> {
    /// Draws tokens and hands each to `take`.
    pub(super) fn write(
        &mut self,
        until: Until,
        take: &mut dyn FnMut(u32) -> Result<()>,
    ) -> Result<()> {
        let most = match until {
            Until::Tokens(tokens) => tokens,
            Until::Sentences(sentences) => sentences.saturating_mul(LONGEST_SENTENCE),
        };
        let mut ended = 0;
        for _ in 0..most {
            if matches!(until, Until::Sentences(sentences) if ended == sentences) {
                break;
            }
            let token = self.generator.next_token(self.device, self.model)?;
            ended += usize::from(token == 0);
            take(token)?;
        }
        Ok(())
    }
}

/// A few sentences, or a stretch of characters, for the end of a training run.
pub(super) fn sample(
    device: &mut Device,
    model: &Model,
    unit: Unit,
    vocabulary: &Vocabulary,
) -> Result<String> {
    let mut generator = Generator::new(device, model, Sampling::default(), 1)?;
    let until = if unit.has_sentences() {
        Until::Sentences(5)
    } else {
        Until::Tokens(300)
    };
    let (mut text, mut text_writer) = (Vec::new(), TextWriter::new(unit, true));
    Writer {
        device,
        model,
        generator: &mut generator,
    }
    .write(until, &mut |token| {
        text_writer.write(vocabulary.token(token), &mut text);
        if text.len() > 100_000 {
            return Err(Error::invalid(
                "the sample",
                "it does not end",
                "Use elman generate --tokens",
            ));
        }
        Ok(())
    })?;
    Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
}
