//! The table of the fields of [`ModelOptions`].

use super::cells::CELLS;
use super::config::{Config, MAX_MIXTURE, MAX_ROUNDS};
use super::options::ModelOptions;
use super::outputs::OUTPUTS;
use super::validate::{MIXTURE_HINT, ROUNDS_HINT};
use crate::field::{Condition, Field, FieldValue, Fields, NamedRow, Rule, ValueKind, access};
use crate::kernels::{Activation, MAX_CONTEXT};

type OptionField = Field<ModelOptions>;

/// The names and descriptions of all cells.
fn cells() -> Vec<NamedRow> {
    let rows = CELLS.iter();
    rows.map(|row| (row.name, row.description)).collect()
}

/// The names and descriptions of all output layers.
fn outputs() -> Vec<NamedRow> {
    let rows = OUTPUTS.iter();
    rows.map(|row| (row.name, row.description)).collect()
}

/// The condition of a field that only one output layer uses.
const fn output(
    holds: fn(&ModelOptions) -> bool,
    rule: &'static str,
    hint: &'static str,
) -> Condition<ModelOptions> {
    Condition {
        holds,
        field: "output",
        rule,
        hint,
    }
}

/// The fields that select an output layer. They void the settings of another one.
const OUTPUT_FIELDS: &[&str] = &["output", "mixture"];

const HAS_CLASSES: Condition<ModelOptions> = output(
    |options| options.output_has(|output| output.has_classes),
    "this output layer has no classes",
    "Use `output = class`, or remove `classes` and `class_binning`",
);

const HAS_CLUSTERS: Condition<ModelOptions> = output(
    |options| options.output_has(|output| output.has_clusters),
    "this output layer has no clusters",
    "Use `output = adaptive`, or remove `cutoffs` and `tail_divisor`",
);

const CAN_BE_MIXED: Condition<ModelOptions> = output(
    |options| options.output.is_none() || options.output_has(|output| output.supports_mixture),
    "only the full softmax can be mixed",
    "Use `output = softmax`, or remove `mixture`",
);

const IS_SAMPLED: Condition<ModelOptions> = output(
    |options| options.output_has(|output| output.has_noise),
    "this output layer is trained on the whole vocabulary",
    "Use `output = sampled`, or leave this out",
);

const IS_FEED_FORWARD: Condition<ModelOptions> = Condition {
    holds: |options| options.is_feed_forward(),
    field: "cell",
    rule: "recurrent cells read one word after the other",
    hint: "Use `cell = feedforward`, or leave this out",
};

const HAS_ROUNDS: Condition<ModelOptions> = Condition {
    holds: |options| options.has_rounds(),
    field: "cell",
    rule: "the input and the state of this cell do not gate each other",
    hint: "Use `cell = mogrifier`, or leave this out",
};

const IS_RECURRENT: Condition<ModelOptions> = Condition {
    holds: |options| !options.is_feed_forward(),
    field: "cell",
    rule: "a feed-forward network has one layer of hidden units",
    hint: "Use a recurrent cell, or `skip_connection`",
};

const HAS_CAPPED_GATE: Condition<ModelOptions> = Condition {
    holds: |options| options.cell_has(|cell| cell.has_capped_gate),
    field: "cell",
    rule: "this cell has no input gate beside a forget gate",
    hint: "Use `cell = lstm` or `cell = mogrifier`, or leave this out",
};

const HAS_LAYER_NORM: Condition<ModelOptions> = Condition {
    holds: |options| options.cell_has(|cell| cell.has_layer_norm),
    field: "cell",
    rule: "this cell has no layer normalization",
    hint: "Use `cell = lstm`, or leave this out",
};

/// `rnnlm-sigmoid` is for imported models, so that help texts list no choices.
impl FieldValue for Activation {
    fn kind() -> ValueKind {
        ValueKind::Text
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let row = Self::TABLE.iter().find(|(name, _)| *name == text);
        row.map(|(_, activation)| *activation)
            .ok_or_else(|| "it is none of sigmoid, tanh and relu".into())
    }

    fn to_text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Fields for ModelOptions {
    const TITLE: &'static str = "Model";

    fn defaults() -> Self {
        Self::of(&Config::default())
    }

    const FIELDS: &'static [Field<Self>] = &[
        OptionField::new("cell", "", access!(cell), "The cell of the hidden layers")
            .rule(Rule::Registered(cells), ""),
        OptionField::new(
            "activation",
            "",
            access!(activation),
            "Activation of an Elman network's hidden units: sigmoid, tanh or relu",
        )
        .voided_by(&["cell"])
        .condition(Condition {
            holds: |options| options.has_activation(),
            field: "cell",
            rule: "the activations of this cell are fixed",
            hint: "Remove it, or use `cell = elman`",
        }),
        OptionField::new(
            "hidden",
            "H",
            access!(hidden),
            "H, hidden units of a layer; comma-separated sizes for layers that differ",
        )
        .aliases(&["hidden_size", "hidden_sizes"])
        .rule(Rule::AtLeast(1), ""),
        OptionField::new("layers", "L", access!(layers), "L, recurrent layers")
            .aliases(&["num_layers"])
            .default("the number of sizes in `hidden`")
            .rule(Rule::AtLeast(1), ""),
        OptionField::new(
            "embedding",
            "D",
            access!(embedding),
            "D, size of the embedding; 0 for one-hot input vectors",
        )
        .aliases(&["embedding_size"]),
        OptionField::new(
            "context",
            "N",
            access!(context),
            "N, the last words that `cell = feedforward` reads",
        )
        .default("4")
        .rule(Rule::Between(1, MAX_CONTEXT), "The default is 4")
        .voided_by(&["cell"])
        .condition(IS_FEED_FORWARD),
        OptionField::new(
            "skip_connection",
            "",
            access!(skip_connection),
            "Let the output layer of `cell = feedforward` read the embedded words too, beside the \
             hidden units",
        )
        .default("false")
        .voided_by(&["cell"])
        .condition(Condition {
            holds: |options| options.is_feed_forward() || options.skip_connection == Some(false),
            ..IS_FEED_FORWARD
        }),
        OptionField::new(
            "mogrifier_rounds",
            "K",
            access!(mogrifier_rounds),
            "Rounds of `cell = mogrifier`: before every step, its input and its state gate each \
             other K times in turn, the state first",
        )
        .default("5")
        .rule(Rule::Between(1, MAX_ROUNDS), ROUNDS_HINT)
        .voided_by(&["cell"])
        .condition(HAS_ROUNDS),
        OptionField::new(
            "mogrifier_rank",
            "R",
            access!(mogrifier_rank),
            "Make each matrix of a round the product of two, of R columns and of R rows: fewer \
             parameters and products. R is below the sizes of the input and of the state; 0 for \
             full matrices",
        )
        .default("0")
        .voided_by(&["cell"])
        .condition(HAS_ROUNDS),
        OptionField::new(
            "residual",
            "",
            access!(residual),
            "Add the input of every recurrent layer above the first to what the layer passes on; \
             of the first layer, too, if `embedding` is the size of the layer. The layers must \
             have one size",
        )
        .default("false")
        .voided_by(&["cell"])
        .condition(IS_RECURRENT),
        OptionField::new(
            "cap_input_gate",
            "",
            access!(cap_input_gate),
            "Let the input gate of `cell = lstm` or `cell = mogrifier` be at most 1 minus the \
             forget gate (Melis 2020)",
        )
        .default("false")
        .voided_by(&["cell"])
        .condition(HAS_CAPPED_GATE),
        OptionField::new(
            "layer_norm",
            "",
            access!(layer_norm),
            "Normalize the products of `cell = lstm`, and its memory where the output is computed \
             from it, over the units of a layer (Ba 2016)",
        )
        .default("false")
        .voided_by(&["cell"])
        .condition(HAS_LAYER_NORM),
        OptionField::new(
            "bias",
            "",
            access!(bias),
            "Give the hidden and output layers biases",
        )
        .default("false for elman, true for other cells"),
        OptionField::new(
            "tied",
            "",
            access!(tied),
            "Use the embedding as the output layer's weight",
        ),
        OptionField::new(
            "projection",
            "",
            access!(projection),
            "Project the last layer's output from H to D elements before the output layer",
        )
        .voided_by(&["mixture"]),
        OptionField::new(
            "compression",
            "N",
            access!(compression),
            "Insert a layer of N sigmoid units between the last layer and the output layer; 0 for \
             none",
        )
        .aliases(&["compression_size"])
        .voided_by(&["mixture"]),
        OptionField::new(
            "output",
            "",
            access!(output),
            "How the last layer's output becomes probabilities of words",
        )
        .rule(Rule::Registered(outputs), "")
        .voided_by(&["mixture"]),
        OptionField::new(
            "mixture",
            "K",
            access!(mixture),
            "Mix K softmaxes, each of a state of its own, with weights that the network predicts: \
             a distribution that one softmax of H values cannot represent, for about K times the \
             computation in the output layer. From 2 to 16",
        )
        .default("a single softmax")
        .rule(Rule::Between(2, MAX_MIXTURE), MIXTURE_HINT)
        .voided_by(&["output"])
        .condition(CAN_BE_MIXED),
        OptionField::new(
            "classes",
            "N",
            access!(classes),
            "Number of word classes for `output = class`",
        )
        .default("the square root of the vocabulary's size")
        .voided_by(OUTPUT_FIELDS)
        .condition(HAS_CLASSES),
        OptionField::new(
            "class_binning",
            "",
            access!(class_binning),
            "What is about equal in all classes: the sum of the square roots of word frequencies, \
             or the sum of word frequencies (rnnlm's -old-classes)",
        )
        .aliases(&["binning"])
        .default("sqrt")
        .voided_by(OUTPUT_FIELDS)
        .condition(HAS_CLASSES),
        OptionField::new(
            "direct",
            "SIZE",
            access!(direct),
            "Elements of the table of direct connections: maximum-entropy n-gram features that \
             `output = class` trains together with the network. Use some millions for some \
             millions of words; 0 for none",
        )
        .aliases(&["direct_size"])
        .default("0")
        .voided_by(OUTPUT_FIELDS),
        OptionField::new(
            "direct_order",
            "N",
            access!(direct_order),
            "Words of the longest of these n-grams, including the predicted word",
        )
        .default("3")
        .voided_by(OUTPUT_FIELDS)
        .condition(Condition {
            holds: |options| options.direct.is_some_and(|size| size > 0),
            field: "direct",
            rule: "there are no direct connections",
            hint: "Set `direct = SIZE` too",
        }),
        OptionField::new(
            "cutoffs",
            "N",
            access!(cutoffs),
            "For `output = adaptive`: the word ranks at which the head and each cluster except the \
             last end, comma-separated, such as 2000,10000,50000. Few clusters suit GPUs best",
        )
        .default(
            "2000, or a quarter of a vocabulary below 8000; each further cutoff 1.5 times the one \
             before",
        )
        .voided_by(OUTPUT_FIELDS)
        .condition(HAS_CLUSTERS),
        OptionField::new(
            "tail_divisor",
            "X",
            access!(tail_divisor),
            "Factor by which the projected state shrinks from one cluster to the next: H/4, H/16 \
             and so on with 4",
        )
        .aliases(&["divisor"])
        .default("4 with `cutoffs`, else 1.5")
        .rule(Rule::AtLeast(1), "")
        .voided_by(OUTPUT_FIELDS)
        .condition(HAS_CLUSTERS),
        OptionField::new(
            "samples",
            "K",
            access!(samples),
            "For `output = sampled`: words sampled for each window and shared by its rows; \
             `loss = softmax` drops duplicates",
        )
        .default("1000")
        .rule(Rule::AtLeast(1), "1000 is the default")
        .voided_by(OUTPUT_FIELDS)
        .condition(IS_SAMPLED),
        OptionField::new(
            "noise_power",
            "P",
            access!(noise_power),
            "Sample words in proportion to this power of their frequency: 1 for the text's \
             distribution, 0 for the uniform one",
        )
        .aliases(&["power"])
        .default("0.75")
        .rule(
            Rule::Between(0, 2),
            "0.75 is the default; 1 samples words as often as they occur in the text",
        )
        .voided_by(OUTPUT_FIELDS)
        .condition(IS_SAMPLED),
        OptionField::new(
            "loss",
            "",
            access!(loss),
            "Training objective: sampled softmax, or noise-contrastive estimation (NCE), whose \
             scores are approximately normalized without a sum over the vocabulary",
        )
        .aliases(&["objective"])
        .default("softmax")
        .voided_by(OUTPUT_FIELDS)
        .condition(IS_SAMPLED),
        OptionField::new(
            "nce_lnz",
            "LN_Z",
            access!(nce_lnz),
            "For `loss = nce`: ln Z, which is subtracted from all scores, so that they are \
             normalized to Z; 0 in Mnih and Teh, 9 in CUED-RNNLM",
        )
        .aliases(&["ln_z"])
        .default("ln of the vocabulary's size, to which a new network is approximately normalized")
        .rule(Rule::Finite, "Remove it for the default")
        .voided_by(OUTPUT_FIELDS)
        .condition(IS_SAMPLED),
    ];
}
