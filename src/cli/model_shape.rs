//! The flags of `elman train` that say what the model is, and the configuration that they resolve
//! to.

use std::path::PathBuf;

use clap::Args;

use super::message::help_with_flags;
use super::output_flags::OutputFlags;
use crate::corpus::{DEFAULT_SUBWORDS, Limits, MIN_SUBWORDS, Unit};
use crate::error::{Error, Result};
use crate::field::Choice;
use crate::kernels::Activation;
use crate::model::{Binning, Classes, Config, OUTPUTS, find_cell, find_output};

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Model")]
pub(super) struct ModelShape {
    /// What a token is [default: word]
    #[arg(long)]
    pub(super) unit: Option<Unit>,
    /// Keep at most N types; the others become <unk>. With --unit bpe, learn subwords until there
    /// are N, at least 257 [default: all types; 4096 subwords]
    #[arg(long, value_name = "N")]
    pub(super) vocab_size: Option<usize>,
    /// Keep types that occur at least N times; the others become <unk>. With --unit bpe, make a
    /// subword of two that stand side by side at least N times [default: 0; 2 for subwords]
    #[arg(long, value_name = "N")]
    pub(super) min_count: Option<u64>,
    /// The subwords of --unit bpe, if they are not to be learnt from the training text: a
    /// byte-level BPE in Hugging Face's format, such as GPT-2's tokenizer.json
    #[arg(long, value_name = "FILE")]
    pub(super) tokenizer: Option<PathBuf>,
    /// The words of these texts are the vocabulary, whatever the training text has; commas between
    /// files
    #[arg(
        long,
        value_name = "FILE,FILE",
        value_delimiter = ',',
        conflicts_with_all = ["vocab_size", "min_count", "tokenizer"],
    )]
    pub(super) vocab: Vec<PathBuf>,
    /// The recurrent cell: elman, gru or lstm [default: elman]
    #[arg(long)]
    pub(super) cell: Option<String>,
    /// The function of an Elman network's hidden units: sigmoid, tanh or relu [default: sigmoid]
    #[arg(long)]
    pub(super) activation: Option<Activation>,
    /// H, hidden units of a layer; sizes with commas between them for layers that differ [default:
    /// 100]
    #[arg(long, value_name = "H", value_delimiter = ',')]
    pub(super) hidden: Vec<usize>,
    /// L, recurrent layers [default: as many as --hidden has sizes]
    #[arg(long, value_name = "L")]
    pub(super) layers: Option<usize>,
    /// D, size of an embedding; 0 feeds one-hot vectors [default: 0]
    #[arg(long, value_name = "D")]
    pub(super) embedding: Option<usize>,
    /// Begin the embedding with these word vectors, in word2vec's text format, plain or gzip; words
    /// without one begin as always
    #[arg(long, value_name = "FILE")]
    pub(super) vectors: Option<PathBuf>,
    /// Give the recurrent and output layers biases [default: false for elman, true for gru and
    /// lstm]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(super) bias: Option<bool>,
    /// Let the output layer's weight be the embedding
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(super) tied: Option<bool>,
    /// Let a matrix turn the last layer's H numbers into D before the output layer
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(super) projection: Option<bool>,
    /// A layer of N sigmoid units between the last layer and the output layer; 0 for none [default:
    /// 0]
    #[arg(long, value_name = "N")]
    pub(super) compression: Option<usize>,
    #[arg(long, help = output_help())]
    pub(super) output: Option<String>,
    /// Put the vocabulary into N classes for --output class [default: the root of the vocabulary's
    /// size]
    #[arg(long, value_name = "N")]
    pub(super) classes: Option<usize>,
    /// What classes have in equal parts: the square roots of their words' frequencies, or the
    /// frequencies (rnnlm's -old-classes) [default: sqrt]
    #[arg(long)]
    pub(super) class_binning: Option<Binning>,
    /// Numbers of the table of direct connections, maximum-entropy features of n-grams that
    /// --output class learns beside the network, some millions for some millions of words; 0 for
    /// none [default: 0]
    #[arg(long, value_name = "SIZE")]
    pub(super) direct: Option<usize>,
    /// Words of the longest of these n-grams, the predicted one among them [default: 3]
    #[arg(long, value_name = "N")]
    pub(super) direct_order: Option<usize>,
    #[command(flatten)]
    pub(super) large: OutputFlags,
}

impl ModelShape {
    /// The flags that say something of the model itself.
    pub(super) fn given(&self) -> Vec<&'static str> {
        let flags = [
            ("unit", self.unit.is_some()),
            ("tokenizer", self.tokenizer.is_some()),
            ("cell", self.cell.is_some()),
            ("activation", self.activation.is_some()),
            ("hidden", !self.hidden.is_empty()),
            ("layers", self.layers.is_some()),
            ("embedding", self.embedding.is_some()),
            ("vectors", self.vectors.is_some()),
            ("bias", self.bias.is_some()),
            ("tied", self.tied.is_some()),
            ("projection", self.projection.is_some()),
            ("compression", self.compression.is_some()),
            ("output", self.output.is_some()),
            ("classes", self.classes.is_some()),
            ("class-binning", self.class_binning.is_some()),
            ("direct", self.direct.is_some()),
            ("direct-order", self.direct_order.is_some()),
            (
                "cutoffs, --tail-divisor, --samples, --noise-power, --loss or --nce-lnz",
                self.large.are_given(),
            ),
        ];
        flags
            .into_iter()
            .filter(|(_, is_given)| *is_given)
            .map(|(name, _)| name)
            .collect()
    }

    pub(super) fn unit(&self) -> Unit {
        self.unit.unwrap_or(Unit::Word)
    }

    pub(super) fn limits(&self) -> Result<Limits> {
        if let Some(path) = &self.tokenizer {
            self.check_tokenizer(&path.display().to_string())?;
            return Ok(Limits::default());
        }
        if self.unit() == Unit::Bpe {
            if !self.vocab.is_empty() {
                let rule = "it lists whole words, and the unit is subwords";
                return Err(Error::usage(
                    "--vocab with --unit bpe",
                    rule,
                    "Give --tokenizer FILE, or leave it out",
                ));
            }
            return self.limits_of_subwords();
        }
        if let Some(size) = self.vocab_size.filter(|&size| size < 2) {
            return Err(Error::usage(
                format!("--vocab-size {size}"),
                "it must be at least 2: the boundary and a type",
                "Take 2 or more",
            ));
        }
        Ok(Limits {
            vocab_size: self.vocab_size,
            min_count: self.min_count.unwrap_or(0),
        })
    }

    fn limits_of_subwords(&self) -> Result<Limits> {
        let size = self.vocab_size.unwrap_or(DEFAULT_SUBWORDS);
        if size < MIN_SUBWORDS {
            return Err(Error::usage(
                format!("--vocab-size {size} with --unit bpe"),
                format!(
                    "it must be at least {MIN_SUBWORDS}: the boundary and a subword for every \
                     byte"
                ),
                format!("Take {MIN_SUBWORDS} or more; {DEFAULT_SUBWORDS} is the default"),
            ));
        }
        Ok(Limits {
            vocab_size: Some(size),
            min_count: self.min_count.unwrap_or(2),
        })
    }

    /// What a tokenizer that is given does not go with.
    fn check_tokenizer(&self, file: &str) -> Result<()> {
        let flag = format!("--tokenizer {file}");
        if self.unit() != Unit::Bpe {
            let rule = format!("it makes subwords, and the unit is {}", self.unit().name());
            return Err(Error::usage(
                flag,
                rule,
                "Give --unit bpe too, or leave it out",
            ));
        }
        for (other, given) in [
            ("--vocab-size", self.vocab_size.is_some()),
            ("--min-count", self.min_count.is_some()),
        ] {
            if given {
                return Err(Error::usage(
                    format!("{other} with {flag}"),
                    "it is for subwords that are learnt from the training text, and a tokenizer \
                     that is given has its own",
                    "Leave one of the two out",
                ));
            }
        }
        Ok(())
    }

    /// The model for a vocabulary of `vocab_size` types, which `classes` puts into so many classes
    /// where they are asked for.
    pub(super) fn resolve(
        &self,
        vocab_size: usize,
        classes: impl FnOnce(usize, Binning) -> Result<Classes>,
    ) -> Result<Config> {
        let base = Config::default();
        let cell = self.cell.clone().unwrap_or(base.cell);
        let kind = find_cell(&cell);
        let (bias, initial_state) = kind.map_or((base.bias, base.initial_state), |row| {
            (row.bias, row.initial_state)
        });
        let bias = self.bias.unwrap_or(bias);
        if let (Some(activation), true) =
            (self.activation, kind.is_some_and(|row| !row.has_activation))
        {
            return Err(Error::usage(
                format!("--activation {activation}"),
                format!("the functions of --cell {cell} are fixed"),
                "Leave it out, or take --cell elman",
            ));
        }
        let (hidden_size, hidden_sizes) = match self.hidden.as_slice() {
            [] => (base.hidden_size, Vec::new()),
            [size] => (*size, Vec::new()),
            sizes => (sizes[0], sizes.to_vec()),
        };
        let output = self.output.clone().unwrap_or(base.output);
        if let (Some(order), 0) = (self.direct_order, self.direct.unwrap_or(0)) {
            return Err(Error::usage(
                format!("--direct-order {order}"),
                "there are no direct connections",
                "Give --direct SIZE too",
            ));
        }
        let binning = self.class_binning.unwrap_or_default();
        let has_classes = find_output(&output).is_some_and(|row| row.has_classes);
        let classes = match (has_classes, self.classes, self.class_binning) {
            (true, asked, _) => Some(classes(
                asked.unwrap_or_else(|| Classes::default_count(vocab_size)),
                binning,
            )?),
            (false, None, None) => None,
            _ => {
                let rule = format!("--output {output} has no classes");
                return Err(Error::usage(
                    "--classes",
                    rule,
                    "Take --output class, or leave --classes and --class-binning out",
                ));
            }
        };
        let direct_size = self.direct.unwrap_or(base.direct_size);
        let (clusters, noise) = (
            self.large.clusters(&output, vocab_size)?,
            self.large.noise(&output, vocab_size)?,
        );
        let config = Config {
            cell,
            activation: self.activation.unwrap_or(base.activation),
            vocab_size,
            embedding_size: self.embedding.unwrap_or(base.embedding_size),
            hidden_size,
            num_layers: self.layers.unwrap_or(hidden_sizes.len().max(1)),
            hidden_sizes,
            bias,
            decoder_bias: bias,
            tied: self.tied.unwrap_or(base.tied),
            projection: self.projection.unwrap_or(base.projection),
            compression_size: self.compression.unwrap_or(base.compression_size),
            output,
            classes,
            clusters,
            noise,
            direct_size,
            direct_order: if direct_size > 0 {
                self.direct_order.unwrap_or(3)
            } else {
                0
            },
            initial_state,
            independent: false,
        };
        config.validate()?;
        Ok(config)
    }
}

/// What --output says, row by row of the table.
fn output_help() -> String {
    let rows: String = OUTPUTS
        .iter()
        .map(|row| format!("\n- {}: {}", row.name, help_with_flags(row.description)))
        .collect();
    format!("How the last layer becomes the probabilities of words [default: softmax]{rows}")
}
