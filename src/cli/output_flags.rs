//! Flags of the output layers for large vocabularies, and their conversion to configurations.

use clap::Args;

use crate::error::{Error, Result};
use crate::model::{Clusters, Noise, SampledObjective, find_output};

/// The flags as given.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct OutputFlags {
    /// For --output adaptive: ids at which the head and each cluster except the last end, separated
    /// by commas, such as 2000,10000,50000; GPUs prefer few clusters [default: 2000, or a quarter
    /// of a vocabulary below 8000, then increments of a quarter]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    cutoffs: Vec<usize>,
    /// Ratio of the state sizes of consecutive clusters: with 4 the sizes are H/4, H/16 and so on
    /// [default: 4 with --cutoffs, else 1.5]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    tail_divisor: Option<f64>,
    /// For --output sampled: number of words drawn for each window and shared by its tokens; with
    /// --loss softmax, repeated draws are dropped [default: 1000]
    #[arg(long, value_name = "K")]
    samples: Option<usize>,
    /// Words are drawn with probability proportional to their frequency to this power: 1 is the
    /// frequency in the text, 0 the uniform distribution [default: 0.75]
    #[arg(long, value_name = "P")]
    noise_power: Option<f64>,
    /// Training objective: softmax (sampled softmax: which word is the target) or nce
    /// (noise-contrastive estimation: whether each word is the target or noise, which makes the
    /// scores approximately normalized without a sum) [default: softmax]
    #[arg(long)]
    loss: Option<SampledObjective>,
    /// For --loss nce: ln Z, the logarithm of the normalizer, subtracted from all scores; Mnih and
    /// Teh use 0, CUED-RNNLM 9 [default: ln of the vocabulary size, which is near ln Z of a new
    /// network]
    #[arg(long, value_name = "LN_Z", allow_negative_numbers = true)]
    nce_lnz: Option<f32>,
}

impl OutputFlags {
    /// Whether any flag is given.
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

    /// The clusters of an output layer; `None` unless it is the adaptive softmax.
    ///
    /// # Errors
    /// If a flag is given that the output layer does not have.
    pub(super) fn clusters(&self, output: &str, vocab_size: usize) -> Result<Option<Clusters>> {
        let given = [
            ("--cutoffs", !self.cutoffs.is_empty()),
            ("--tail-divisor", self.tail_divisor.is_some()),
        ];
        let has_clusters = find_output(output).is_some_and(|row| row.has_clusters);
        match (has_clusters, given.iter().find(|(_, is_given)| *is_given)) {
            (true, _) => {
                let usual = match self.cutoffs.as_slice() {
                    [] => Clusters::default_for(vocab_size),
                    cutoffs => Clusters {
                        cutoffs: cutoffs.to_vec(),
                        divisor: Clusters::DEFAULT_DIVISOR,
                    },
                };
                Ok(Some(Clusters {
                    divisor: self.tail_divisor.unwrap_or(usual.divisor),
                    ..usual
                }))
            }
            (false, None) => Ok(None),
            (false, Some((flag, _))) => {
                let rule = format!("--output {output} has no clusters");
                Err(Error::usage(
                    *flag,
                    rule,
                    "Use --output adaptive, or omit --cutoffs and --tail-divisor",
                ))
            }
        }
    }

    /// The noise distribution of an output layer; `None` unless it is sampled.
    ///
    /// # Errors
    /// If a flag is given that the output layer does not have.
    pub(super) fn noise(&self, output: &str, vocab_size: usize) -> Result<Option<Noise>> {
        let given = [
            ("--samples", self.samples.is_some()),
            ("--noise-power", self.noise_power.is_some()),
            ("--loss", self.loss.is_some()),
            ("--nce-lnz", self.nce_lnz.is_some()),
        ];
        let has_noise = find_output(output).is_some_and(|row| row.has_noise);
        match (has_noise, given.iter().find(|(_, is_given)| *is_given)) {
            (true, _) => {
                let objective = self.loss.unwrap_or_default();
                let usual = if objective == SampledObjective::Nce {
                    (vocab_size as f32).ln()
                } else {
                    0.0
                };
                Ok(Some(Noise {
                    samples: self.samples.unwrap_or(Noise::DEFAULT_SAMPLES),
                    power: self.noise_power.unwrap_or(Noise::DEFAULT_POWER),
                    objective,
                    ln_z: self.nce_lnz.unwrap_or(usual),
                }))
            }
            (false, None) => Ok(None),
            (false, Some((flag, _))) => {
                let rule = format!("--output {output} uses the whole vocabulary");
                Err(Error::usage(
                    *flag,
                    rule,
                    "Use --output sampled, or omit the flag",
                ))
            }
        }
    }
}
