//! Fields of a recipe that have an effect only on some models.

use super::flags::TrainFlags;
use crate::cli::table_flags::Flag;
use crate::error::{Error, Result};
use crate::model::{Config, cell_kind};

/// A field of a recipe, and the models on which it has an effect.
struct ModelCondition {
    field: &'static str,
    holds: fn(&Config) -> bool,
    /// Why it has no effect on other models.
    rule: &'static str,
    hint: &'static str,
}

const CONDITIONS: [ModelCondition; 11] = [
    ModelCondition {
        field: "dropout_input",
        holds: |config| config.embedding_size > 0,
        rule: "there is no embedding",
        hint: "Add --embedding D, or use --dropout-words",
    },
    ModelCondition {
        field: "dropout_hidden",
        holds: |config| config.num_layers > 1,
        rule: "it applies between layers, and there is one layer",
        hint: "Use --dropout-output, or several --layers of a recurrent cell",
    },
    ModelCondition {
        field: "dropout_latent",
        holds: |config| config.mixture > 0,
        rule: "there is no mixture of softmaxes",
        hint: "Add --mixture K, or use --dropout-output",
    },
    ModelCondition {
        field: "dropout_weights",
        holds: |config| {
            let kind = cell_kind(config);
            kind.has_recurrent_weight || kind.drops_input_weight
        },
        rule: "this network has no recurrent weights",
        hint: "Use --dropout-input or --dropout-output",
    },
    ModelCondition {
        field: "zoneout",
        holds: |config| cell_kind(config).has_zoneout,
        rule: "the units of this cell have no zoneout",
        hint: "Use --cell qrnn, or --dropout-output",
    },
    ModelCondition {
        field: "activation_l2",
        holds: |config| !cell_kind(config).is_feed_forward(),
        rule: "a feed-forward network has no states",
        hint: "Use --dropout-output or --l2",
    },
    ModelCondition {
        field: "temporal_l2",
        holds: |config| !cell_kind(config).is_feed_forward(),
        rule: "a feed-forward network has no states",
        hint: "Use --dropout-output or --l2",
    },
    ModelCondition {
        field: "past_decode",
        holds: Config::supports_past_decode,
        rule: "it decodes the distribution of one full softmax by the tied embedding",
        hint: "Add --tied and --embedding D, with --output softmax and without --mixture",
    },
    ModelCondition {
        field: "reset_states",
        holds: |config| !cell_kind(config).is_feed_forward() || config.context > 1,
        rule: "a network that reads one word has no states",
        hint: "Use a --context of 2 or more, or remove it",
    },
    ModelCondition {
        field: "direct_lr",
        holds: |config| config.direct_size > 0,
        rule: "there are no direct connections",
        hint: "Add --direct SIZE, or remove it",
    },
    ModelCondition {
        field: "forget_bias",
        holds: |config| cell_kind(config).forget_gate.is_some(),
        rule: "this cell has no forget gate with a chosen bias",
        hint: "Add --cell lstm or gru, or remove it",
    },
];

/// Checks that every given field of the recipe has an effect on a model.
///
/// # Errors
/// If a field has none. A rate of 0 turns off what the model lacks anyway, and is accepted; an
/// initial bias of 0 is a value like others.
pub(super) fn check(flags: &TrainFlags, config: &Config) -> Result<()> {
    for condition in &CONDITIONS {
        let value = flags.recipe.value(condition.field);
        let value =
            value.filter(|value| value.parse() != Ok(0.0) || condition.field == "forget_bias");
        if let (Some(value), false) = (value, (condition.holds)(config)) {
            return Err(Error::usage(
                format!("--{} {value}", condition.field.replace('_', "-")),
                condition.rule,
                condition.hint,
            ));
        }
    }
    Ok(())
}

/// Removes the flags that have no effect on a model.
pub(in crate::cli) fn retain_effective(flags: &mut Vec<Flag>, config: &Config) {
    flags.retain(|(name, _)| {
        let condition = CONDITIONS
            .iter()
            .find(|condition| condition.field.replace('_', "-") == *name);
        condition.is_none_or(|condition| (condition.holds)(config))
    });
}
