//! The flags of `elman train`, and what they resolve to.

use std::path::PathBuf;

use clap::Args;

use super::DeviceFlags;
use super::output_flags::OutputFlags;
use super::presets;
use crate::corpus::{DEFAULT_SUBWORDS, FEWEST_SUBWORDS, Limits, Unit};
use crate::error::{Error, Result};
use crate::kernels::Activation;
use crate::model::{Binning, CELLS, Classes, Config, DropoutRates, OUTPUTS};
use crate::train::{AverageKind, Keep, OPTIMIZERS, PrecisionKind, Recipe, Reduction, ScheduleKind};

/// Flags as they were given, by hand or in files; what is not given is as in [`Recipe::default`] and [`Config::default`].
#[derive(Debug, Clone, Args)]
pub(super) struct TrainFlags {
    /// The training text; without it, the built-in corpus
    #[arg(long, value_name = "FILE")]
    pub(super) train: Option<PathBuf>,
    /// The validation text; without it, the last tenth of the training text is held out
    #[arg(long, value_name = "FILE")]
    pub(super) valid: Option<PathBuf>,
    /// Where the model goes
    #[arg(long, value_name = "DIR", default_value = "model")]
    pub(super) out: PathBuf,
    /// Replace the model that is there
    #[arg(long)]
    pub(super) force: bool,
    /// Go on with an interrupted run, to the same bits on the same device. Its model and its recipe stay; --epochs may be others, and --train and
    /// --valid say where the files have moved
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "force", "preset", "config"])]
    pub(super) resume: Option<PathBuf>,
    /// Begin with this model, and go on from it on another text
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub(super) init: Option<PathBuf>,
    /// Give the model of --init the types of the training text that it lacks, as --vocab-size, --min-count or --vocab choose them; they begin as
    /// <unk>
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", requires = "init")]
    pub(super) extend_vocab: Option<bool>,
    /// Take flags from a file of lines such as `lr = 0.1` or `hidden = [200, 100]`, or from the run that made a model, which is so repeated; flags
    /// given by hand win
    #[arg(long, value_name = "FILE|DIR")]
    pub(super) config: Option<PathBuf>,
    #[arg(long, value_name = "NAME", value_parser = presets::names(), help = presets::help(), hide_possible_values = true)]
    pub(super) preset: Option<String>,
    /// What is to be told of flags that come from files.
    #[arg(skip)]
    pub(super) notes: Vec<String>,
    #[command(flatten)]
    pub(super) device: DeviceFlags,
    /// Print one JSON object as the last line
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) model: ModelShape,
    #[command(flatten)]
    pub(super) recipe: RecipeFlags,
}

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Model")]
pub(super) struct ModelShape {
    /// What a token is [default: word]
    #[arg(long)]
    pub(super) unit: Option<Unit>,
    /// Keep at most N types; the others become <unk>. With --unit bpe, learn subwords until there are N, at least 257
    /// [default: all types; 4096 subwords]
    #[arg(long, value_name = "N")]
    pub(super) vocab_size: Option<usize>,
    /// Keep types that occur at least N times; the others become <unk>. With --unit bpe, make a subword of two that stand side by side at least N
    /// times [default: 0; 2 for subwords]
    #[arg(long, value_name = "N")]
    pub(super) min_count: Option<u64>,
    /// The subwords of --unit bpe, if they are not to be learnt from the training text: a byte-level BPE in Hugging Face's format, such as
    /// GPT-2's tokenizer.json
    #[arg(long, value_name = "FILE")]
    pub(super) tokenizer: Option<PathBuf>,
    /// The words of these texts are the vocabulary, whatever the training text has; commas between files
    #[arg(long, value_name = "FILE,FILE", value_delimiter = ',', conflicts_with_all = ["vocab_size", "min_count", "tokenizer"])]
    pub(super) vocab: Vec<PathBuf>,
    /// The recurrent cell: elman, gru or lstm [default: elman]
    #[arg(long)]
    pub(super) cell: Option<String>,
    /// The function of an Elman network's hidden units: sigmoid, tanh or relu [default: sigmoid]
    #[arg(long)]
    pub(super) activation: Option<Activation>,
    /// H, hidden units of a layer; sizes with commas between them for layers that differ [default: 100]
    #[arg(long, value_name = "H", value_delimiter = ',')]
    pub(super) hidden: Vec<usize>,
    /// L, recurrent layers [default: as many as --hidden has sizes]
    #[arg(long, value_name = "L")]
    pub(super) layers: Option<usize>,
    /// D, size of an embedding; 0 feeds one-hot vectors [default: 0]
    #[arg(long, value_name = "D")]
    pub(super) embedding: Option<usize>,
    /// Begin the embedding with these word vectors, in word2vec's text format, plain or gzip; words without one begin as always
    #[arg(long, value_name = "FILE")]
    pub(super) vectors: Option<PathBuf>,
    /// Give the recurrent and output layers biases [default: false for elman, true for gru and lstm]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(super) bias: Option<bool>,
    /// Let the output layer's weight be the embedding
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(super) tied: Option<bool>,
    /// Let a matrix turn the last layer's H numbers into D before the output layer
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(super) projection: Option<bool>,
    /// A layer of N sigmoid units between the last layer and the output layer; 0 for none [default: 0]
    #[arg(long, value_name = "N")]
    pub(super) compression: Option<usize>,
    #[arg(long, help = output_help())]
    pub(super) output: Option<String>,
    /// Put the vocabulary into N classes for --output class [default: the root of the vocabulary's size]
    #[arg(long, value_name = "N")]
    pub(super) classes: Option<usize>,
    /// What classes have in equal parts: the square roots of their words' frequencies, or the frequencies (rnnlm's -old-classes) [default: sqrt]
    #[arg(long)]
    pub(super) class_binning: Option<Binning>,
    /// Numbers of the table of direct connections, maximum-entropy features of n-grams that --output class learns beside the network, some
    /// millions for some millions of words; 0 for none [default: 0]
    #[arg(long, value_name = "SIZE")]
    pub(super) direct: Option<usize>,
    /// Words of the longest of these n-grams, the predicted one among them [default: 3]
    #[arg(long, value_name = "N")]
    pub(super) direct_order: Option<usize>,
    #[command(flatten)]
    pub(super) large: OutputFlags,
}

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Recipe")]
pub(super) struct RecipeFlags {
    /// B, parallel streams of text [default: 32]
    #[arg(long, value_name = "B")]
    pub(super) batch: Option<usize>,
    /// T, time steps of a window, through which gradients flow back [default: 16]
    #[arg(long, value_name = "T")]
    pub(super) bptt: Option<usize>,
    /// Update after every K steps, through a history of T of them: windows overlap, and each predicts its last K steps (rnnlm's -bptt-block)
    /// [default: --bptt]
    #[arg(long, value_name = "K")]
    pub(super) bptt_block: Option<usize>,
    /// Draw the length of every window anew: around --bptt, and once in twenty around half of it, with a standard deviation of N steps, at least 5
    /// and at most --bptt and 2 N; a window of a mean gradient counts by its length (AWD-LSTM, whose N is 5) [default: 0]
    #[arg(long, value_name = "N")]
    pub(super) bptt_jitter: Option<usize>,
    /// The most epochs [default: 20]
    #[arg(long, value_name = "N")]
    pub(super) epochs: Option<usize>,
    #[arg(long, help = optimizer_help())]
    pub(super) optimizer: Option<String>,
    /// The learning rate at the start [default: 0.1]
    #[arg(long)]
    pub(super) lr: Option<f32>,
    /// The learning rate of direct connections at the start [default: a tenth of --lr]
    #[arg(long, value_name = "LR")]
    pub(super) direct_lr: Option<f32>,
    /// How the learning rate changes [default: halve]
    #[arg(long)]
    pub(super) schedule: Option<ScheduleKind>,
    /// What plateau and step multiply the rate by [default: 0.5]
    #[arg(long, value_name = "FACTOR")]
    pub(super) lr_decay: Option<f64>,
    /// Epochs in a row without a better validation loss that plateau puts up with before the rate falls [default: 0]
    #[arg(long, value_name = "N")]
    pub(super) lr_patience: Option<usize>,
    /// The epoch after which step lowers the rate for the first time [default: 1]
    #[arg(long, value_name = "N")]
    pub(super) lr_decay_after: Option<usize>,
    /// The rate at which cosine and linear end [default: 0]
    #[arg(long, value_name = "RATE")]
    pub(super) lr_end: Option<f32>,
    /// The rate climbs from 0 over the first N updates; not with one-cycle, which climbs by itself [default: 0]
    #[arg(long, value_name = "N")]
    pub(super) warm_up: Option<u32>,
    /// End training after N epochs in a row without a better validation loss; not with halve, which ends by its own rule [default: never]
    #[arg(long, value_name = "N")]
    pub(super) patience: Option<usize>,
    /// Which epoch's weights are the model when training ends; not with halve, which puts worse weights back [default: best]
    #[arg(long)]
    pub(super) keep: Option<Keep>,
    /// An epoch is significant if the validation log-probability improves by this factor [default: 1.003]
    #[arg(long, value_name = "RATIO")]
    pub(super) min_improvement: Option<f64>,
    /// From when on the mean of the weights after every update is what is validated and kept; not with halve [default: off]
    #[arg(long)]
    pub(super) average: Option<AverageKind>,
    /// Whether an update's gradient is the mean or the sum over its tokens [default: mean]
    #[arg(long)]
    pub(super) reduction: Option<Reduction>,
    /// Windows whose gradients an update takes together; above 1 the looked-up table's gradient is dense [default: 1]
    #[arg(long, value_name = "N")]
    pub(super) accumulate: Option<usize>,
    /// The largest magnitude of a gradient's number, seen to before its norm (rnnlm's cutoff is 15); 0 is no limit [default: 0]
    #[arg(long, value_name = "X")]
    pub(super) clip_value: Option<f32>,
    /// The largest norm of a gradient; 0 is no limit [default: 0]
    #[arg(long, value_name = "NORM")]
    pub(super) clip: Option<f32>,
    /// L2 regularisation: weights shrink by lr * l2 before every update, for every optimizer apart from the gradient, as in AdamW. PyTorch's
    /// weight_decay is the same for sgd, but goes through the state of momentum, nesterov, rmsprop and adagrad; for Adam take adamw
    /// [default: 0]
    #[arg(long)]
    pub(super) l2: Option<f32>,
    /// Leave numbers out at random in training: of embedded words if there are any, of what each layer hands on to the next, and of what the
    /// output layer reads [default: 0]
    #[arg(long, value_name = "P", help_heading = "Dropout")]
    pub(super) dropout: Option<f32>,
    /// Of embedded words alone [default: --dropout where there is an embedding]
    #[arg(long, value_name = "P", help_heading = "Dropout")]
    pub(super) dropout_input: Option<f32>,
    /// Of what a layer hands on to the next alone [default: --dropout]
    #[arg(long, value_name = "P", help_heading = "Dropout")]
    pub(super) dropout_hidden: Option<f32>,
    /// Of what the output layer reads alone [default: --dropout]
    #[arg(long, value_name = "P", help_heading = "Dropout")]
    pub(super) dropout_output: Option<f32>,
    /// Whole words of a window's input [default: 0]
    #[arg(long, value_name = "P", help_heading = "Dropout")]
    pub(super) dropout_words: Option<f32>,
    /// Recurrent weights, for a window at a time (AWD-LSTM's weight drop) [default: 0]
    #[arg(long, value_name = "P", help_heading = "Dropout")]
    pub(super) dropout_weights: Option<f32>,
    /// Leave out the same numbers in all steps of a window
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = "Dropout")]
    pub(super) variational: Option<bool>,
    /// What the biases begin with of the gates that keep: an LSTM's forget gates, a GRU's update gates [default: 1]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub(super) forget_bias: Option<f32>,
    /// Begin every sentence with the initial state
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(super) independent: Option<bool>,
    /// full: products in f32; mixed: their factors rounded to f16, on GPUs only, and faster where they have cooperative matrices
    /// [default: full]
    #[arg(long)]
    pub(super) precision: Option<PrecisionKind>,
    /// Where the initial weights come from [default: 1]
    #[arg(long)]
    pub(super) seed: Option<u64>,
}

/// What --output says, row by row of the table.
fn output_help() -> String {
    let rows: String = OUTPUTS.iter().map(|row| format!("\n- {}: {}", row.name, row.description)).collect();
    format!("How the last layer becomes the probabilities of words [default: softmax]{rows}")
}

/// What --optimizer says, row by row of the table.
fn optimizer_help() -> String {
    let rows: String = OPTIMIZERS.iter().map(|row| format!("\n- {}: {}", row.name, row.description)).collect();
    format!(
        "How gradients become updates. Adagrad at 0.1 is the default because it reaches what word-by-word SGD reaches, in fewer epochs, with \
         updates of hundreds of tokens that feed a GPU; plain SGD at 0.1 needs a few streams only; momentum multiplies a rate by up to ten; \
         adam, adamw and rmsprop want an --lr of some thousandths [default: adagrad]{rows}"
    )
}

/// Flags that only some schedules look at.
const OF_SCHEDULES: [(&str, &[ScheduleKind], &str); 5] = {
    use ScheduleKind::{Constant, Cosine, Linear, OneCycle, Plateau, Step};
    [
        ("lr-decay", &[Plateau, Step], "plateau and step"),
        ("lr-patience", &[Plateau], "plateau"),
        ("lr-decay-after", &[Step], "step"),
        ("lr-end", &[Cosine, Linear], "cosine and linear"),
        ("keep", &[Constant, Plateau, Step, Cosine, Linear, OneCycle], "every schedule but halve"),
    ]
};

/// Whether a flag says anything under a schedule.
pub(super) fn is_looked_at(flag: &str, schedule: ScheduleKind) -> bool {
    OF_SCHEDULES.iter().all(|(name, schedules, _)| *name != flag || schedules.contains(&schedule))
}

impl RecipeFlags {
    /// Elman's own recipe with what was given.
    pub(super) fn resolve(&self) -> Result<Recipe> {
        let base = Recipe::default();
        let recipe = Recipe {
            batch: self.batch.unwrap_or(base.batch),
            bptt: self.bptt.unwrap_or(base.bptt),
            bptt_block: self.bptt_block.or(base.bptt_block),
            bptt_jitter: self.bptt_jitter.unwrap_or(base.bptt_jitter),
            epochs: self.epochs.unwrap_or(base.epochs),
            optimizer: self.optimizer.clone().unwrap_or(base.optimizer),
            lr: self.lr.unwrap_or(base.lr),
            direct_lr: self.direct_lr.or(base.direct_lr),
            schedule: self.schedule.unwrap_or(base.schedule),
            lr_decay: self.lr_decay.unwrap_or(base.lr_decay),
            lr_patience: self.lr_patience.unwrap_or(base.lr_patience),
            lr_decay_after: self.lr_decay_after.unwrap_or(base.lr_decay_after),
            lr_end: self.lr_end.unwrap_or(base.lr_end),
            warm_up: self.warm_up.unwrap_or(base.warm_up),
            patience: self.patience.or(base.patience),
            keep: self.keep.unwrap_or(base.keep),
            average: self.average.unwrap_or(base.average),
            min_improvement: self.min_improvement.unwrap_or(base.min_improvement),
            reduction: self.reduction.unwrap_or(base.reduction),
            accumulate: self.accumulate.unwrap_or(base.accumulate),
            clip_value: self.clip_value.unwrap_or(base.clip_value),
            clip: self.clip.unwrap_or(base.clip),
            l2: self.l2.unwrap_or(base.l2),
            independent: self.independent.unwrap_or(base.independent),
            dropout: self.dropout_rates(),
            forget_bias: self.forget_bias.unwrap_or(base.forget_bias),
            precision: self.precision.unwrap_or(base.precision),
            seed: self.seed.unwrap_or(base.seed),
        };
        recipe.validate()?;
        self.check_schedule(recipe.schedule)?;
        Ok(recipe)
    }

    /// What was given for a place, else what was given for all three.
    fn dropout_rates(&self) -> DropoutRates {
        let all = self.dropout.unwrap_or(0.0);
        DropoutRates {
            words: self.dropout_words.unwrap_or(0.0),
            input: self.dropout_input.unwrap_or(all),
            hidden: self.dropout_hidden.unwrap_or(all),
            output: self.dropout_output.unwrap_or(all),
            weights: self.dropout_weights.unwrap_or(0.0),
            variational: self.variational.unwrap_or(false),
        }
    }

    /// A flag that the schedule does not look at is an error, not ignored.
    fn check_schedule(&self, schedule: ScheduleKind) -> Result<()> {
        let given = [
            self.lr_decay.is_some(),
            self.lr_patience.is_some(),
            self.lr_decay_after.is_some(),
            self.lr_end.is_some(),
            self.keep.is_some(),
        ];
        match OF_SCHEDULES.iter().zip(given).find(|((_, schedules, _), given)| *given && !schedules.contains(&schedule)) {
            None => Ok(()),
            Some(((flag, _, users), _)) => Err(Error::usage(
                format!("--{flag} with --schedule {}", schedule.name()),
                format!("it is for {users}"),
                "Leave it out, or take another --schedule",
            )),
        }
    }
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
        ];
        flags.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name).collect()
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
                return Err(Error::usage("--vocab with --unit bpe", rule, "Give --tokenizer FILE, or leave it out"));
            }
            return self.limits_of_subwords();
        }
        if let Some(size) = self.vocab_size.filter(|&size| size < 2) {
            return Err(Error::usage(format!("--vocab-size {size}"), "it must be at least 2: the boundary and a type", "Take 2 or more"));
        }
        Ok(Limits { vocab_size: self.vocab_size, min_count: self.min_count.unwrap_or(0) })
    }

    fn limits_of_subwords(&self) -> Result<Limits> {
        let size = self.vocab_size.unwrap_or(DEFAULT_SUBWORDS);
        if size < FEWEST_SUBWORDS {
            return Err(Error::usage(
                format!("--vocab-size {size} with --unit bpe"),
                format!("it must be at least {FEWEST_SUBWORDS}: the boundary and a subword for every byte"),
                format!("Take {FEWEST_SUBWORDS} or more; {DEFAULT_SUBWORDS} is the default"),
            ));
        }
        Ok(Limits { vocab_size: Some(size), min_count: self.min_count.unwrap_or(2) })
    }

    /// What a tokenizer that is given does not go with.
    fn check_tokenizer(&self, file: &str) -> Result<()> {
        let flag = format!("--tokenizer {file}");
        if self.unit() != Unit::Bpe {
            let rule = format!("it makes subwords, and the unit is {}", self.unit().name());
            return Err(Error::usage(flag, rule, "Give --unit bpe too, or leave it out"));
        }
        for (other, given) in [("--vocab-size", self.vocab_size.is_some()), ("--min-count", self.min_count.is_some())] {
            if given {
                return Err(Error::usage(
                    format!("{other} with {flag}"),
                    "it is for subwords that are learnt from the training text, and a tokenizer that is given has its own",
                    "Leave one of the two out",
                ));
            }
        }
        Ok(())
    }

    /// The model for a vocabulary of `vocab_size` types, which `classes` puts into so many classes where they are asked for.
    pub(super) fn resolve(&self, vocab_size: usize, classes: impl FnOnce(usize, Binning) -> Result<Classes>) -> Result<Config> {
        let base = Config::default();
        let cell = self.cell.clone().unwrap_or(base.cell);
        let kind = CELLS.iter().find(|row| row.name == cell);
        let (bias, initial_state) = kind.map_or((base.bias, base.initial_state), |row| (row.bias, row.initial_state));
        let bias = self.bias.unwrap_or(bias);
        if let (Some(activation), true) = (self.activation, kind.is_some_and(|row| row.gates > 1)) {
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
            return Err(Error::usage(format!("--direct-order {order}"), "there are no direct connections", "Give --direct SIZE too"));
        }
        let binning = self.class_binning.unwrap_or_default();
        let classes = match (output.as_str(), self.classes, self.class_binning) {
            ("class", asked, _) => Some(classes(asked.unwrap_or_else(|| Classes::usual(vocab_size)), binning)?),
            (_, None, None) => None,
            _ => {
                let rule = format!("--output {output} has no classes");
                return Err(Error::usage("--classes", rule, "Take --output class, or leave --classes and --class-binning out"));
            }
        };
        let direct_size = self.direct.unwrap_or(base.direct_size);
        let (clusters, noise) = (self.large.clusters(&output, vocab_size)?, self.large.noise(&output, vocab_size)?);
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
            direct_order: if direct_size > 0 { self.direct_order.unwrap_or(3) } else { 0 },
            initial_state,
            independent: false,
        };
        config.validate()?;
        Ok(config)
    }
}
