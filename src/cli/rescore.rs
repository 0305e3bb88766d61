//! `elman rescore`: reads n-best lists and prints scores or the best hypotheses.

mod printer;
mod rescorer;
mod work;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::input::{check_read_once, named};
use super::mix::{SourceFlags, Sources};
use super::ranks::START_AGAIN;
use super::{RankDeviceFlags, ranks};
use crate::corpus::Unit;
use crate::decompress;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::mixture::NetworkOptions;
use crate::parallel::{Ranks, world};
use crate::rescore::{ListIds, NbestFormat, NbestList, NbestReader};
use work::RescoreWork;

#[derive(Debug, Args)]
pub(super) struct RescoreFlags {
    #[command(flatten)]
    sources: SourceFlags,
    #[command(flatten)]
    pub(super) device: RankDeviceFlags,
    /// File of n-best lists; - is standard input
    #[arg(default_value = "-", value_name = "FILE")]
    file: PathBuf,
    /// Format of a line: rnnlm, only words; srilm,
    /// `acoustic-score lm-score number-of-words words …` with log10 scores
    #[arg(long, default_value = "rnnlm", hide_possible_values = true)]
    form: NbestFormat,
    /// Names of the lists: first-column, in the first column of every line, before the format of
    /// --form; none, lists have no names and are separated by empty lines
    #[arg(long, hide_possible_values = true)]
    ids: ListIds,
    /// What to print
    #[arg(long, default_value = "scores", conflicts_with = "json")]
    output: RescoreOutput,
    /// Factor of the language models' log10 probability before the acoustic score is added
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    lm_scale: f64,
    /// Number that each word adds to the score of a hypothesis
    #[arg(
        long,
        default_value_t = 0.0,
        value_name = "X",
        allow_negative_numbers = true
    )]
    word_penalty: f64,
    /// Weight of the language model score in the lines of --form srilm, interpolated with the new
    /// score; both are log10 probabilities
    #[arg(
        long,
        default_value_t = 0.0,
        value_name = "WEIGHT",
        allow_negative_numbers = true
    )]
    old_lm_weight: f64,
    /// log10 penalty of a word outside the vocabulary: added to P(<unk>) if the model has <unk>,
    /// otherwise used instead [default: 0; -5 as in rnnlm if there is no <unk>]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    unknown_penalty: Option<f64>,
    /// Start each list from the state after the best hypothesis of the previous list, or after its
    /// first one, as rnnlm does
    #[arg(long)]
    carry: Option<CarriedHypothesis>,
    /// Print one JSON object instead: names of the lists, scores of their hypotheses, the best ones
    #[arg(long)]
    json: bool,
}

/// What to print of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RescoreOutput {
    /// The log10 probability of each hypothesis, one per line in the order of the lists
    Scores,
    /// The best hypothesis of each list, after the name of the list
    Best,
    /// All hypotheses, the best first, each after the name of its list and its score
    Ranked,
}

/// The hypothesis whose final state is carried to the next list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CarriedHypothesis {
    Best,
    First,
}

/// The number of hypotheses that are scored together.
const BATCH: usize = 2048;

pub(super) fn run(flags: &RescoreFlags) -> Result<()> {
    let ranks = world();
    ranks.agree(flags.validate(&ranks))?;
    let (sources, mut device) = ranks.agree(flags.open())?;
    let models = ranks.agree(sources.load(&mut device))?;
    ranks::check_models(&ranks, &sources.checkpoints)?;
    let inputs = flags.sources.inputs();
    flags
        .device
        .rank_timeout
        .watch_reading(&ranks, START_AGAIN, inputs)?;
    let options = NetworkOptions::default();
    let weights = sources.weights_on(&ranks, &mut device, &models, options, &flags.sources)?;
    let work = RescoreWork::new(device, flags, &sources, &models, weights);
    ranks.unwatched(|ranks| ranks.agree(work))?.run(&ranks)
}

impl RescoreFlags {
    /// Reads the sources, and opens the device.
    fn open(&self) -> Result<(Sources, Device)> {
        let sources = self.sources.read()?;
        let unit = sources.checkpoints[0].description.unit;
        if unit != Unit::Word {
            return Err(Error::invalid(
                format!("--model {}", self.sources.models[0].display()),
                format!("its tokens are {}", unit.plural()),
                "Lists consist of words: use a model of words",
            ));
        }
        Ok((sources, self.device.open()?))
    }

    fn validate(&self, ranks: &Ranks) -> Result<()> {
        check_read_once(named("", [&self.file]).chain(self.sources.inputs()))?;
        self.sources.weights()?;
        ranks::check_independent(ranks, "the lists", &[("--carry", self.carry.is_some())])?;
        for (flag, value) in [
            ("--lm-scale", self.lm_scale),
            ("--word-penalty", self.word_penalty),
        ] {
            if !value.is_finite() {
                return Err(Error::usage(
                    format!("{flag} {value}"),
                    "it must be a finite number",
                    "Omit it for no effect",
                ));
            }
        }
        if !(0.0..=1.0).contains(&self.old_lm_weight) {
            return Err(Error::usage(
                format!("--old-lm-weight {}", self.old_lm_weight),
                "a weight is from 0 to 1",
                "Use 0 to ignore the scores in the lists",
            ));
        }
        if self.old_lm_weight > 0.0 && self.form != NbestFormat::Srilm {
            return Err(Error::usage(
                "--old-lm-weight",
                "the lists contain no scores",
                "Use lists of --form srilm, or omit it",
            ));
        }
        self.check_total_is_used()?;
        match self.unknown_penalty.filter(|penalty| !penalty.is_finite()) {
            None => Ok(()),
            Some(penalty) => Err(Error::usage(
                format!("--unknown-penalty {penalty}"),
                "it must be a finite number",
                "Use a value such as -5, the penalty of rnnlm",
            )),
        }
    }

    /// Checks that the flags of the total score are not given where only the log10 probabilities of
    /// the language models are printed.
    fn check_total_is_used(&self) -> Result<()> {
        let prints_total = self.json || self.output != RescoreOutput::Scores;
        if prints_total || self.carry == Some(CarriedHypothesis::Best) {
            return Ok(());
        }
        for (flag, value, default) in [
            ("--lm-scale", self.lm_scale, 1.0),
            ("--word-penalty", self.word_penalty, 0.0),
            ("--old-lm-weight", self.old_lm_weight, 0.0),
        ] {
            if value != default {
                return Err(Error::usage(
                    format!("{flag} {value} with --output scores"),
                    "the scores are log10 probabilities of the language models, without scale, \
                     penalty and other scores",
                    "Use --output best, --output ranked or --json, or remove it",
                ));
            }
        }
        Ok(())
    }

    /// Reads lists with about [`BATCH`] hypotheses in total, of standard input those that are there
    /// already, or only one list if states are carried. If it `waits`, it waits for the first one.
    /// Empty at the end of the file. With an error if there is one after these lists.
    fn read_batch(&self, reader: &mut NbestReader, waits: bool) -> (Vec<NbestList>, Result<()>) {
        let mut lists = Vec::new();
        let mut hypotheses = 0;
        while hypotheses < BATCH && (lists.is_empty() || self.carry.is_none()) {
            let waits = (waits && lists.is_empty()) || !decompress::is_standard_input(&self.file);
            let next = if waits {
                reader.next_list()
            } else {
                reader.next_ready_list()
            };
            match next {
                Ok(Some(list)) => {
                    hypotheses += list.hypotheses.len();
                    lists.push(list);
                }
                Ok(None) => break,
                Err(error) => {
                    // Scores do not depend on the rest of a list.
                    let prints_lines = self.output == RescoreOutput::Scores && !self.json;
                    lists.extend(reader.incomplete_list().filter(|_| prints_lines));
                    return (lists, Err(error));
                }
            }
        }
        (lists, Ok(()))
    }
}
