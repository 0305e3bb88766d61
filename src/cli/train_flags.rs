//! The flags of `elman train`, and what they resolve to.

use std::path::PathBuf;

use clap::Args;

use super::DeviceFlags;
use super::model_shape::ModelShape;
use super::presets;
use crate::error::{Error, Result};
use crate::field::Choice;
use crate::model::DropoutRates;
use crate::train::{
    AverageKind, Keep, LossReduction, OPTIMIZERS, PrecisionKind, Recipe, ScheduleKind,
};

/// Flags as they were given, by hand or in files; what is not given is as in [`Recipe::default`]
/// and [`Config::default`].
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
    /// Go on with an interrupted run, to the same bits on the same device. Its model and its recipe
    /// stay; --epochs may be others, and --train and --valid say where the files have moved
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "force", "preset", "config"])]
    pub(super) resume: Option<PathBuf>,
    /// Begin with this model, and go on from it on another text
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub(super) init: Option<PathBuf>,
    /// Give the model of --init the types of the training text that it lacks, as --vocab-size,
    /// --min-count or --vocab choose them; they begin as <unk>
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        requires = "init",
    )]
    pub(super) extend_vocab: Option<bool>,
    /// Take flags from a file of lines such as `lr = 0.1` or `hidden = [200, 100]`, or from the run
    /// that made a model, which is so repeated; flags given by hand win
    #[arg(long, value_name = "FILE|DIR")]
    pub(super) config: Option<PathBuf>,
    #[arg(
        long,
        value_name = "NAME",
        value_parser = presets::names(),
        help = presets::help(),
        hide_possible_values = true,
    )]
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
#[command(next_help_heading = "Recipe")]
pub(super) struct RecipeFlags {
    /// B, parallel streams of text [default: 32]
    #[arg(long, value_name = "B")]
    pub(super) batch: Option<usize>,
    /// T, time steps of a window, through which gradients flow back [default: 16]
    #[arg(long, value_name = "T")]
    pub(super) bptt: Option<usize>,
    /// Update after every K steps, through a history of T of them: windows overlap, and each
    /// predicts its last K steps (rnnlm's -bptt-block) [default: --bptt]
    #[arg(long, value_name = "K")]
    pub(super) bptt_block: Option<usize>,
    /// Draw the length of every window anew: around --bptt, and once in twenty around half of it,
    /// with a standard deviation of N steps, at least 5 and at most --bptt and 2 N; a window of a
    /// mean gradient counts by its length (AWD-LSTM, whose N is 5) [default: 0]
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
    /// Epochs in a row without a better validation loss that plateau puts up with before the rate
    /// falls [default: 0]
    #[arg(long, value_name = "N")]
    pub(super) lr_patience: Option<usize>,
    /// The epoch after which step lowers the rate for the first time [default: 1]
    #[arg(long, value_name = "N")]
    pub(super) lr_decay_after: Option<usize>,
    /// The rate at which cosine and linear end [default: 0]
    #[arg(long, value_name = "RATE")]
    pub(super) lr_end: Option<f32>,
    /// The rate climbs from 0 over the first N updates; not with one-cycle, which climbs by itself
    /// [default: 0]
    #[arg(long, value_name = "N")]
    pub(super) warm_up: Option<u32>,
    /// End training after N epochs in a row without a better validation loss; not with halve, which
    /// ends by its own rule [default: never]
    #[arg(long, value_name = "N")]
    pub(super) patience: Option<usize>,
    /// Which epoch's weights are the model when training ends; not with halve, which puts worse
    /// weights back [default: best]
    #[arg(long)]
    pub(super) keep: Option<Keep>,
    /// An epoch is significant if the validation log-probability improves by this factor [default:
    /// 1.003]
    #[arg(long, value_name = "RATIO")]
    pub(super) min_improvement: Option<f64>,
    /// From when on the mean of the weights after every update is what is validated and kept; not
    /// with halve [default: off]
    #[arg(long)]
    pub(super) average: Option<AverageKind>,
    /// Whether an update's gradient is the mean or the sum over its tokens [default: mean]
    #[arg(long)]
    pub(super) reduction: Option<LossReduction>,
    /// Windows whose gradients an update takes together; above 1 the looked-up table's gradient is
    /// dense [default: 1]
    #[arg(long, value_name = "N")]
    pub(super) accumulate: Option<usize>,
    /// The largest magnitude of a gradient's number, seen to before its norm (rnnlm's cutoff is
    /// 15); 0 is no limit [default: 0]
    #[arg(long, value_name = "X")]
    pub(super) clip_value: Option<f32>,
    /// The largest norm of a gradient; 0 is no limit [default: 0]
    #[arg(long, value_name = "NORM")]
    pub(super) clip: Option<f32>,
    /// L2 regularisation: weights shrink by lr * l2 before every update, for every optimizer apart
    /// from the gradient, as in AdamW. PyTorch's weight_decay is the same for sgd, but goes through
    /// the state of momentum, nesterov, rmsprop and adagrad; for Adam take adamw [default: 0]
    #[arg(long)]
    pub(super) l2: Option<f32>,
    /// Leave numbers out at random in training: of embedded words if there are any, of what each
    /// layer hands on to the next, and of what the output layer reads [default: 0]
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
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        help_heading = "Dropout",
    )]
    pub(super) variational: Option<bool>,
    /// What the biases begin with of the gates that keep: an LSTM's forget gates, a GRU's update
    /// gates [default: 1]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub(super) forget_bias: Option<f32>,
    /// Begin every sentence with the initial state
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(super) independent: Option<bool>,
    /// full: products in f32; mixed: their factors rounded to f16, on GPUs only, and faster where
    /// they have cooperative matrices [default: full]
    #[arg(long)]
    pub(super) precision: Option<PrecisionKind>,
    /// Where the initial weights come from [default: 1]
    #[arg(long)]
    pub(super) seed: Option<u64>,
}

/// What --optimizer says, row by row of the table.
fn optimizer_help() -> String {
    let rows: String = OPTIMIZERS
        .iter()
        .map(|row| format!("\n- {}: {}", row.name, row.description))
        .collect();
    format!(
        "How gradients become updates. Adagrad at 0.1 is the default because it reaches what \
         word-by-word SGD reaches, in fewer epochs, with \
         updates of hundreds of tokens that feed a GPU; plain SGD at 0.1 needs a few streams only; \
         momentum multiplies a rate by up to ten; \
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
        (
            "keep",
            &[Constant, Plateau, Step, Cosine, Linear, OneCycle],
            "every schedule but halve",
        ),
    ]
};

/// Whether a flag says anything under a schedule.
pub(super) fn is_looked_at(flag: &str, schedule: ScheduleKind) -> bool {
    OF_SCHEDULES
        .iter()
        .all(|(name, schedules, _)| *name != flag || schedules.contains(&schedule))
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
        match OF_SCHEDULES
            .iter()
            .zip(given)
            .find(|((_, schedules, _), given)| *given && !schedules.contains(&schedule))
        {
            None => Ok(()),
            Some(((flag, _, users), _)) => Err(Error::usage(
                format!("--{flag} with --schedule {}", schedule.name()),
                format!("it is for {users}"),
                "Leave it out, or take another --schedule",
            )),
        }
    }
}
