//! `elman rescore`: n-best lists in, scores or the best hypotheses out.

use std::f64::consts::LN_10;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::mix::{SourceFlags, Sources};
use super::output::Output;
use super::{DeviceFlags, input};
use crate::corpus::Unit;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::mixture::{ExternalProbs, NetworkOptions, NgramReader, Weights};
use crate::model::{LONGEST_HISTORY, Model};
use crate::rescore::{Context, Hypothesis, Ids, List, ListFormat, ListReader, PrefixScorer};
use crate::score::Scorer;
use crate::tensor::NONE;

#[derive(Debug, Args)]
pub(super) struct RescoreFlags {
    #[command(flatten)]
    sources: SourceFlags,
    #[command(flatten)]
    pub(super) device: DeviceFlags,
    /// The lists; - is standard input
    #[arg(default_value = "-", value_name = "FILE")]
    file: PathBuf,
    /// What a line is: rnnlm, words alone; srilm,
    /// `acoustic-score lm-score number-of-words words …` with log10 scores
    #[arg(long, default_value = "rnnlm", hide_possible_values = true)]
    form: ListFormat,
    /// Where lists are named: first-column, in the first column of every line, before what --form
    /// says; none, nowhere, and an empty line ends a list
    #[arg(long, hide_possible_values = true)]
    ids: Ids,
    /// What is printed
    #[arg(long, default_value = "scores")]
    output: Print,
    /// What the language models' log10 probability is multiplied by before the acoustic score is
    /// added
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    lm_scale: f64,
    /// What every word adds to a hypothesis's score
    #[arg(
        long,
        default_value_t = 0.0,
        value_name = "X",
        allow_negative_numbers = true
    )]
    word_penalty: f64,
    /// The weight of the score that --form srilm's lines have already, beside the one that is made
    /// here; both are log10 probabilities
    #[arg(
        long,
        default_value_t = 0.0,
        value_name = "WEIGHT",
        allow_negative_numbers = true
    )]
    old_lm_weight: f64,
    /// log10 of what a word outside the vocabulary costs: added to P(<unk>) where the model has it,
    /// else in its place [default: 0; -5 as in rnnlm where there is no <unk>]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    unknown_penalty: Option<f64>,
    /// Begin every list with the state that the best hypothesis of the list before left, or its
    /// first one, as rnnlm does
    #[arg(long)]
    carry: Option<Carry>,
    /// Print one JSON object instead: the lists' names, their hypotheses' scores, the best ones
    #[arg(long)]
    json: bool,
}

/// What is printed of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Print {
    /// The log10 probability of each hypothesis by the models, one a line in the order of the lists
    Scores,
    /// The best hypothesis of each list, behind its name
    Best,
    /// All hypotheses, the best first, each behind its list's name and its score
    Ranked,
}

/// Which hypothesis leads on to the next list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Carry {
    Best,
    First,
}

/// Hypotheses that are read before they are scored together.
const HYPOTHESES: usize = 2048;
/// What a word outside the vocabulary costs in rnnlm, log10.
const RNNLM_PENALTY: f64 = -5.0;

pub(super) fn run(flags: &RescoreFlags) -> Result<()> {
    flags.validate()?;
    let sources = flags.sources.read()?;
    let unit = sources.checkpoints[0].description.unit;
    if unit != Unit::Word {
        let what = format!("--model {}", flags.sources.models[0].display());
        return Err(Error::invalid(
            what,
            format!("its tokens are {}", unit.plural()),
            "Lists are of words: give a model of words",
        ));
    }
    let mut device = flags.device.open()?;
    let models = sources.load(&mut device)?;
    let weights = sources.weights(
        &mut device,
        &models,
        NetworkOptions::default(),
        &flags.sources,
    )?;
    let mut reader = ListReader::new(
        input::open(&flags.file)?,
        &flags.file,
        flags.form,
        flags.ids,
    );
    let mut rescorer = Rescorer::new(&mut device, flags, &sources, &models, weights)?;
    let mut printer = Printer {
        flags,
        output: Output::new(),
        report: Vec::new(),
    };
    loop {
        let mut lists = Vec::new();
        let mut waiting = 0;
        while waiting < HYPOTHESES && (lists.is_empty() || flags.carry.is_none()) {
            let Some(list) = reader.next_list()? else {
                break;
            };
            waiting += list.hypotheses.len();
            lists.push(list);
        }
        if lists.is_empty() {
            break;
        }
        let scores = rescorer.score(&mut device, &lists)?;
        let mut scores = scores.into_iter();
        for list in lists {
            let scored = Scored::new(list, scores.by_ref(), flags);
            rescorer.carry(&mut device, &scored)?;
            printer.print(scored)?;
        }
        printer.output.flush()?;
    }
    rescorer.finish()?;
    printer.finish()
}

impl RescoreFlags {
    fn validate(&self) -> Result<()> {
        self.sources.weights()?;
        for (flag, value) in [
            ("--lm-scale", self.lm_scale),
            ("--word-penalty", self.word_penalty),
        ] {
            if !value.is_finite() {
                return Err(Error::usage(
                    format!("{flag} {value}"),
                    "it must be a finite number",
                    "1 and 0 change nothing",
                ));
            }
        }
        if !(0.0..=1.0).contains(&self.old_lm_weight) {
            let rule = "a weight is from 0 to 1";
            return Err(Error::usage(
                format!("--old-lm-weight {}", self.old_lm_weight),
                rule,
                "0 leaves the lists' own scores out",
            ));
        }
        if self.old_lm_weight > 0.0 && self.form != ListFormat::Srilm {
            let rule = "the lists have no scores of their own";
            return Err(Error::usage(
                "--old-lm-weight",
                rule,
                "Give lists in the form srilm, or leave it out",
            ));
        }
        match self.unknown_penalty.filter(|penalty| !penalty.is_finite()) {
            None => Ok(()),
            Some(penalty) => Err(Error::usage(
                format!("--unknown-penalty {penalty}"),
                "it must be a finite number",
                "-5 is rnnlm's",
            )),
        }
    }
}

/// Everything that says something of hypotheses.
struct Rescorer<'a> {
    flags: &'a RescoreFlags,
    sources: &'a Sources,
    models: &'a [Model],
    weights: Weights,
    scorers: Vec<PrefixScorer<'a>>,
    ngram: Option<NgramReader<'a>>,
    listed: Option<ExternalProbs>,
    /// What comes before the next list, for each model.
    contexts: Vec<Context>,
    /// Where states are carried: what walks along the chosen hypotheses.
    walkers: Vec<Scorer>,
    /// Tokens of all hypotheses so far.
    tokens: usize,
}

impl<'a> Rescorer<'a> {
    fn new(
        device: &mut Device,
        flags: &'a RescoreFlags,
        sources: &'a Sources,
        models: &'a [Model],
        weights: Weights,
    ) -> Result<Self> {
        let scorers = models
            .iter()
            .map(|model| PrefixScorer::new(device, model, HYPOTHESES))
            .collect::<Result<_>>()?;
        let walkers = match flags.carry {
            None => Vec::new(),
            Some(_) => models
                .iter()
                .map(|model| Scorer::new(device, model, 1, true))
                .collect::<Result<_>>()?,
        };
        Ok(Self {
            flags,
            sources,
            models,
            weights,
            scorers,
            ngram: sources
                .ngram
                .as_ref()
                .map(|ngram| NgramReader::new(ngram, &sources.vocabulary))
                .transpose()?,
            listed: flags
                .sources
                .lm_prob
                .as_deref()
                .map(ExternalProbs::open)
                .transpose()?,
            contexts: vec![Context::default(); models.len()],
            walkers,
            tokens: 0,
        })
    }

    /// A hypothesis's words as the models know them.
    fn sequence(&self, hypothesis: &Hypothesis) -> Vec<u32> {
        hypothesis
            .words
            .iter()
            .map(|word| self.sources.vocabulary.id(word).unwrap_or(NONE))
            .collect()
    }

    /// The log10 probability of every hypothesis of the lists, one after the other.
    fn score(&mut self, device: &mut Device, lists: &[List]) -> Result<Vec<f64>> {
        let hypotheses: Vec<&Hypothesis> = lists.iter().flat_map(|list| &list.hypotheses).collect();
        let sequences: Vec<Vec<u32>> = hypotheses
            .iter()
            .map(|hypothesis| self.sequence(hypothesis))
            .collect();
        let mut of_models = Vec::new();
        for (scorer, context) in self.scorers.iter_mut().zip(&self.contexts) {
            let mut all = Vec::with_capacity(sequences.len());
            for part in sequences.chunks(scorer.rows()) {
                let part: Vec<&[u32]> = part.iter().map(Vec::as_slice).collect();
                all.extend(scorer.score(device, context, &part)?);
            }
            of_models.push(all);
        }
        let mut scores = Vec::with_capacity(hypotheses.len());
        for (number, (hypothesis, sequence)) in hypotheses.iter().zip(&sequences).enumerate() {
            let parts: Vec<&[f64]> = of_models
                .iter()
                .map(|all: &Vec<Vec<f64>>| all[number].as_slice())
                .collect();
            scores.push(self.mixed(hypothesis, sequence, &parts)? / LN_10);
        }
        Ok(scores)
    }

    /// ln P of one hypothesis by all sources together.
    fn mixed(
        &mut self,
        hypothesis: &Hypothesis,
        sequence: &[u32],
        of_models: &[&[f64]],
    ) -> Result<f64> {
        let vocabulary = &self.sources.vocabulary;
        let unknown = vocabulary.unknown();
        let mut history = self
            .ngram
            .as_ref()
            .map(NgramReader::start)
            .unwrap_or_default();
        let mut sum = 0.0;
        for place in 0..=sequence.len() {
            self.tokens += 1;
            let (token, word) = (
                sequence.get(place).copied().unwrap_or(0),
                hypothesis.words.get(place),
            );
            // A word that is written <unk> is one that the model knows.
            let is_unknown = token == NONE
                || (Some(token) == unknown
                    && word.is_some_and(|word| vocabulary.token(token) != word));
            let penalty = self.flags.unknown_penalty.unwrap_or(if token == NONE {
                RNNLM_PENALTY
            } else {
                0.0
            });
            let penalty = if is_unknown { penalty * LN_10 } else { 0.0 };
            let mut parts: Vec<f64> = of_models
                .iter()
                .map(|losses| {
                    if token == NONE {
                        penalty
                    } else {
                        losses[place] + penalty
                    }
                })
                .collect();
            if let Some(ngram) = &self.ngram {
                let (part, next) = match word {
                    Some(word) => ngram.next_word(&history, ngram.number(word)),
                    None => ngram.next(&history, 0),
                };
                parts.push(part);
                history = next;
            }
            if let Some(listed) = &mut self.listed {
                parts.push(listed.next(self.tokens)?);
            }
            sum += self.weights.mean(&parts);
        }
        Ok(sum)
    }

    /// Goes on from the chosen hypothesis of a list.
    fn carry(&mut self, device: &mut Device, scored: &Scored) -> Result<()> {
        let Some(carry) = self.flags.carry else {
            return Ok(());
        };
        let chosen = if carry == Carry::First {
            0
        } else {
            scored.order[0]
        };
        let sequence = self.sequence(&scored.list.hypotheses[chosen]);
        for ((walker, model), context) in self
            .walkers
            .iter_mut()
            .zip(self.models)
            .zip(&mut self.contexts)
        {
            walker.score(device, model, std::slice::from_ref(&sequence))?;
            context.states = Some(walker.carried(device)?);
            context.tokens.push(0);
            context.tokens.extend(&sequence);
            let surplus = context.tokens.len().saturating_sub(LONGEST_HISTORY);
            context.tokens.drain(..surplus);
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        self.listed
            .map_or(Ok(()), |mut listed| listed.end(self.tokens))
    }
}

/// A list with what its hypotheses are worth.
struct Scored {
    list: List,
    /// log10 P by the models.
    scores: Vec<f64>,
    /// With everything else that counts.
    totals: Vec<f64>,
    /// The hypotheses' numbers, the best first; equals in their order.
    order: Vec<usize>,
}

impl Scored {
    fn new(list: List, scores: impl Iterator<Item = f64>, flags: &RescoreFlags) -> Self {
        let scores: Vec<f64> = scores.take(list.hypotheses.len()).collect();
        let total = |(hypothesis, score): (&Hypothesis, &f64)| {
            let old = hypothesis.language.unwrap_or(0.0);
            // Nothing times minus infinity is nothing here.
            let mixed = if flags.old_lm_weight > 0.0 {
                (1.0 - flags.old_lm_weight) * score + flags.old_lm_weight * old
            } else {
                *score
            };
            hypothesis.acoustic
                + flags.lm_scale * mixed
                + flags.word_penalty * hypothesis.words.len() as f64
        };
        let totals: Vec<f64> = list.hypotheses.iter().zip(&scores).map(total).collect();
        let mut order: Vec<usize> = (0..totals.len()).collect();
        order.sort_by(|&a, &b| totals[b].total_cmp(&totals[a]));
        Self {
            list,
            scores,
            totals,
            order,
        }
    }
}

/// Prints lists, or collects them for the JSON object.
struct Printer<'a> {
    flags: &'a RescoreFlags,
    output: Output,
    report: Vec<serde_json::Value>,
}

impl Printer<'_> {
    fn print(&mut self, scored: Scored) -> Result<()> {
        let Scored {
            list,
            scores,
            totals,
            order,
        } = scored;
        if self.flags.json {
            self.report.push(
                json!({ "id": list.id, "log10_prob": scores, "score": totals, "best": order[0] }),
            );
            return Ok(());
        }
        let id = if self.flags.ids == Ids::FirstColumn {
            format!("{} ", list.id)
        } else {
            String::new()
        };
        match self.flags.output {
            Print::Scores => scores
                .iter()
                .try_for_each(|score| self.output.line(format_args!("{score:.6}"))),
            Print::Best => self.output.line(format_args!(
                "{id}{}",
                list.hypotheses[order[0]].words.join(" ")
            )),
            Print::Ranked => {
                for number in order {
                    let words = list.hypotheses[number].words.join(" ");
                    self.output
                        .line(format_args!("{id}{:.6} {words}", totals[number]))?;
                }
                if id.is_empty() {
                    self.output.line("")
                } else {
                    Ok(())
                }
            }
        }
    }

    fn finish(mut self) -> Result<()> {
        if self.flags.json {
            self.output.json(&json!({ "lists": self.report }))?;
        }
        self.output.flush()
    }
}
