//! Flags of the output layers for large vocabularies, and what they resolve to.

use clap::Args;

use crate::error::{Error, Result};
use crate::model::{Clusters, Noise, SampledObjective};

/// Flags as they were given.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct OutputFlags {
    /// For --output adaptive: numbers of frequent words at which the head ends and each cluster but
    /// the last, with commas between them, such as 2000,10000,50000; a few are best for GPUs
    /// [default: 2000, or a quarter of a vocabulary below 8000, and on in steps of a quarter more]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    cutoffs: Vec<usize>,
    /// By how much a cluster's state is smaller than that of the words before: H/4, H/16 and so on
    /// with 4 [default: 4 with --cutoffs, else 1.5]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    tail_divisor: Option<f64>,
    /// For --output sampled: words that are drawn for each window, whose rows share them; --loss
    /// softmax leaves out those drawn again [default: 1000]
    #[arg(long, value_name = "K")]
    samples: Option<usize>,
    /// Draw them in proportion to their frequency to this power: 1 as often as the text has them, 0
    /// all equally often [default: 0.75]
    #[arg(long, value_name = "P")]
    noise_power: Option<f64>,
    /// What is learnt of a target among them. softmax: which it is; nce: of each, whether it is the
    /// text's or noise, which leaves scores about normalised without their sum [default: softmax]
    #[arg(long)]
    loss: Option<SampledObjective>,
    /// For --loss nce: ln of what scores are to be normalised to, subtracted from all of them; 0 is
    /// Mnih and Teh's, 9 was CUED-RNNLM's [default: ln of the vocabulary's size, to which a new
    /// network's are about normalised]
    #[arg(long, value_name = "LN_Z", allow_negative_numbers = true)]
    nce_lnz: Option<f32>,
}

impl OutputFlags {
    /// Whether any of them is.
    pub(super) fn are_given(&self) -> bool {
        let Self {
            cutoffs,
            tail_divisor,
            samples,
            noise_power,
            loss,
            nce_lnz,
        } = self;
        !cutoffs.is_empty()
            || tail_divisor.is_some()
            || samples.is_some()
            || noise_power.is_some()
            || loss.is_some()
            || nce_lnz.is_some()
    }

    /// The clusters of an output layer for so many types, where it has some.
    pub(super) fn clusters(&self, output: &str, vocab_size: usize) -> Result<Option<Clusters>> {
        let is_given = [
            ("--cutoffs", !self.cutoffs.is_empty()),
            ("--tail-divisor", self.tail_divisor.is_some()),
        ];
        match (output, is_given.iter().find(|(_, given)| *given)) {
            ("adaptive", _) => {
                let usual = match self.cutoffs.as_slice() {
                    [] => Clusters::usual(vocab_size),
                    cutoffs => Clusters {
                        cutoffs: cutoffs.to_vec(),
                        divisor: Clusters::USUAL_DIVISOR,
                    },
                };
                Ok(Some(Clusters {
                    divisor: self.tail_divisor.unwrap_or(usual.divisor),
                    ..usual
                }))
            }
            (_, None) => Ok(None),
            (_, Some((flag, _))) => {
                let rule = format!("--output {output} has no clusters");
                Err(Error::usage(
                    *flag,
                    rule,
                    "Take --output adaptive, or leave --cutoffs and --tail-divisor out",
                ))
            }
        }
    }

    /// How an output layer samples from so many types, where it does.
    pub(super) fn noise(&self, output: &str, vocab_size: usize) -> Result<Option<Noise>> {
        let is_given = [
            ("--samples", self.samples.is_some()),
            ("--noise-power", self.noise_power.is_some()),
            ("--loss", self.loss.is_some()),
            ("--nce-lnz", self.nce_lnz.is_some()),
        ];
        match (output, is_given.iter().find(|(_, given)| *given)) {
            ("sampled", _) => {
                let objective = self.loss.unwrap_or_default();
                let usual = if objective == SampledObjective::Nce {
                    (vocab_size as f32).ln()
                } else {
                    0.0
                };
                Ok(Some(Noise {
                    samples: self.samples.unwrap_or(Noise::USUAL_SAMPLES),
                    power: self.noise_power.unwrap_or(Noise::USUAL_POWER),
                    objective,
                    ln_z: self.nce_lnz.unwrap_or(usual),
                }))
            }
            (_, None) => Ok(None),
            (_, Some((flag, _))) => {
                let rule = format!("--output {output} looks at the whole vocabulary");
                Err(Error::usage(
                    *flag,
                    rule,
                    "Take --output sampled, or leave the flag out",
                ))
            }
        }
    }
}
