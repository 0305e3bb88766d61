//! The table of a recipe's fields.

use super::choices::ScheduleKind;
use super::optimizer::OPTIMIZERS;
use super::recipe::Recipe;
use super::step_metrics::MAX_STEPS;
use crate::field::{
    Access, Condition, Field, FieldValue, Fields, NamedRow, Rule, ValueKind, access,
};

type RecipeField = Field<Recipe>;

/// The condition of a field that only some schedules use.
const fn schedules(holds: fn(&Recipe) -> bool, rule: &'static str) -> Condition<Recipe> {
    Condition {
        holds,
        field: "schedule",
        rule,
        hint: "Remove it, or use another `schedule`",
    }
}

/// The names and descriptions of all optimizers.
fn optimizers() -> Vec<NamedRow> {
    let rows = OPTIMIZERS.iter();
    rows.map(|row| (row.name, row.description)).collect()
}

/// Sets the dropout rates of embedded words, layer outputs and the output layer's input.
const ALL_DROPOUT: Access<Recipe> = Access {
    kind: |_| ValueKind::Number,
    get: |_| None,
    set: |recipe, text| {
        let rate = f32::from_text(text)?;
        recipe.dropout.input = rate;
        recipe.dropout.hidden = rate;
        recipe.dropout.output = rate;
        Ok(())
    },
};

impl Fields for Recipe {
    const TITLE: &'static str = "Recipe";

    const FIELDS: &'static [Field<Self>] = &[
        RecipeField::new("batch", "B", access!(batch), "B, parallel streams of text")
            .rule(Rule::AtLeast(1), ""),
        RecipeField::new(
            "bptt",
            "T",
            access!(bptt),
            "T, time steps of a window, through which gradients flow back",
        )
        .rule(Rule::AtLeast(1), ""),
        RecipeField::new(
            "bptt_block",
            "K",
            access!(bptt_block),
            "Update after every K steps, with gradients through a history of T steps: windows \
             overlap, and each predicts its last K steps (rnnlm's -bptt-block)",
        )
        .default("`bptt`"),
        RecipeField::new(
            "bptt_jitter",
            "N",
            access!(bptt_jitter),
            "Draw the length of every window from a normal distribution with a standard deviation \
             of N steps around `bptt`, or in 5 % of the windows around half of it; at least 5 and \
             at most `bptt` + 2 N steps. Mean gradients are weighted by the length of their \
             window (AWD-LSTM, with N = 5)",
        ),
        RecipeField::new("epochs", "N", access!(epochs), "Maximum number of epochs")
            .rule(Rule::AtLeast(1), ""),
        RecipeField::new(
            "optimizer",
            "",
            access!(optimizer),
            "How gradients become updates. The default, Adagrad at 0.1, reaches the perplexity of \
             word-by-word SGD in fewer epochs, with updates of hundreds of tokens, which suit \
             GPUs. SGD at 0.1 needs few streams; momentum multiplies a rate by up to 10; adam, \
             adamw and rmsprop need an `lr` of a few thousandths",
        )
        .rule(Rule::Registered(optimizers), ""),
        RecipeField::new("lr", "", access!(lr), "Initial learning rate")
            .rule(Rule::Positive, "0.1 is the default"),
        RecipeField::new(
            "direct_lr",
            "LR",
            access!(direct_lr),
            "Initial learning rate of direct connections",
        )
        .default("a tenth of `lr`")
        .rule(Rule::Positive, "A tenth of `lr` is the default")
        .voided_by(&["output", "mixture"]),
        RecipeField::new(
            "schedule",
            "",
            access!(schedule),
            "How the learning rate changes",
        ),
        RecipeField::new(
            "lr_decay",
            "FACTOR",
            access!(lr_decay),
            "Factor by which plateau and step multiply the rate",
        )
        .rule(Rule::Fraction, "0.5 is the default")
        .voided_by(&["schedule"])
        .condition(schedules(
            |recipe| matches!(recipe.schedule, ScheduleKind::Plateau | ScheduleKind::Step),
            "it applies to plateau and step",
        )),
        RecipeField::new(
            "lr_patience",
            "N",
            access!(lr_patience),
            "Epochs without improvement before the rate is lowered (plateau)",
        )
        .voided_by(&["schedule"])
        .condition(schedules(
            |recipe| recipe.schedule == ScheduleKind::Plateau,
            "it applies to plateau",
        )),
        RecipeField::new(
            "lr_decay_after",
            "N",
            access!(lr_decay_after),
            "Epoch after which step lowers the rate for the first time",
        )
        .rule(
            Rule::AtLeast(1),
            "Epochs are counted from 1: use 1 or more, or a smaller `lr`",
        )
        .voided_by(&["schedule"])
        .condition(schedules(
            |recipe| recipe.schedule == ScheduleKind::Step,
            "it applies to step",
        )),
        RecipeField::new(
            "lr_end",
            "RATE",
            access!(lr_end),
            "Final learning rate of cosine and linear",
        )
        .rule(Rule::NonNegative, "0 is the default")
        .voided_by(&["schedule"])
        .condition(schedules(
            |recipe| matches!(recipe.schedule, ScheduleKind::Cosine | ScheduleKind::Linear),
            "it applies to cosine and linear",
        )),
        RecipeField::new(
            "warm_up",
            "N",
            access!(warm_up),
            "Increase the rate from 0 over the first N updates; not with one-cycle, which has its \
             own warm-up",
        )
        .voided_by(&["schedule"]),
        RecipeField::new(
            "patience",
            "N",
            access!(patience),
            "Stop after N consecutive epochs without a better validation loss; not with halve, \
             which has its own stopping rule",
        )
        .default("never")
        .rule(Rule::AtLeast(1), "Remove it to train for all `epochs`")
        .voided_by(&["schedule"]),
        RecipeField::new(
            "keep",
            "",
            access!(keep),
            "Which epoch's weights become the model at the end of training; not with halve, which \
             rolls worse weights back",
        )
        .voided_by(&["schedule"])
        .condition(schedules(
            |recipe| recipe.schedule != ScheduleKind::Halve,
            "it applies to every schedule except halve",
        )),
        RecipeField::new(
            "min_improvement",
            "RATIO",
            access!(min_improvement),
            "An epoch is significant if the validation log-probability improves by this factor",
        )
        .rule(Rule::NonNegative, "1.003 is the default, as in rnnlm")
        .voided_by(&["schedule"])
        .condition(schedules(
            |recipe| recipe.schedule == ScheduleKind::Halve,
            "it applies to halve",
        )),
        RecipeField::new(
            "average",
            "",
            access!(average),
            "When to start averaging the weights of all updates; the average is what is validated \
             and kept. Not with halve",
        )
        .voided_by(&["schedule"]),
        RecipeField::new(
            "reduction",
            "",
            access!(reduction),
            "Whether the gradient of an update is the sum or the mean over its tokens",
        ),
        RecipeField::new(
            "accumulate",
            "N",
            access!(accumulate),
            "Windows whose gradients are accumulated into one update; above 1, the gradient of \
             the input table is dense",
        )
        .rule(
            Rule::Between(1, MAX_STEPS),
            "A larger `batch` or `bptt` also makes updates of more tokens",
        ),
        RecipeField::new(
            "clip_value",
            "X",
            access!(clip_value),
            "Clip every element of a gradient to this magnitude, before the norm is clipped \
             (rnnlm's cutoff is 15); 0 for no limit",
        )
        .rule(Rule::NonNegative, "0 turns it off"),
        RecipeField::new(
            "clip",
            "NORM",
            access!(clip),
            "Clip the norm of the gradient; 0 for no limit",
        )
        .rule(Rule::NonNegative, "0 turns it off"),
        RecipeField::new(
            "l2",
            "",
            access!(l2),
            "L2 regularization: multiply weights by 1 - lr * l2 before every update, decoupled \
             from the gradient as in AdamW for every optimizer. For sgd this equals PyTorch's \
             weight_decay, which for momentum, nesterov, rmsprop and adagrad passes through the \
             optimizer's state instead; for Adam, use adamw",
        )
        .rule(Rule::NonNegative, "0 turns it off"),
        RecipeField::new(
            "activation_l2",
            "ALPHA",
            access!(activation_l2),
            "Activation regularization: add ALPHA times the mean square of the last recurrent \
             layer's output, after dropout, to the loss in nats (AWD-LSTM's alpha, 2)",
        )
        .rule(Rule::NonNegative, "0 turns it off"),
        RecipeField::new(
            "temporal_l2",
            "BETA",
            access!(temporal_l2),
            "Temporal activation regularization: add BETA times the mean square of the changes of \
             the last recurrent layer's state from one step of a window to the next, before \
             dropout (AWD-LSTM's beta, 1)",
        )
        .rule(Rule::NonNegative, "0 turns it off"),
        RecipeField::new(
            "past_decode",
            "LAMBDA",
            access!(past_decode),
            "Past decode regularization: from the predicted distribution, a small network predicts \
             the token that was read last; add LAMBDA times its cross-entropy to the loss in nats \
             (Brahma 2018: 0.001). For `output = softmax` with `tied`",
        )
        .rule(Rule::NonNegative, "0 turns it off"),
        RecipeField::new(
            "dropout",
            "P",
            ALL_DROPOUT,
            "Dropout probability of embedded words (where there is an embedding), of each layer's \
             output and of the output layer's input",
        )
        .heading("Dropout")
        .default("0"),
        RecipeField::new(
            "dropout_input",
            "P",
            access!(dropout.input),
            "Dropout probability of embedded words",
        )
        .heading("Dropout")
        .default("`dropout` where there is an embedding")
        .rule(Rule::Probability, DROPOUT_HINT)
        .voided_by(&["dropout"]),
        RecipeField::new(
            "dropout_hidden",
            "P",
            access!(dropout.hidden),
            "Dropout probability of each layer's output to the next layer",
        )
        .heading("Dropout")
        .default("`dropout`")
        .rule(Rule::Probability, DROPOUT_HINT)
        .voided_by(&["dropout"]),
        RecipeField::new(
            "dropout_output",
            "P",
            access!(dropout.output),
            "Dropout probability of the output layer's input",
        )
        .heading("Dropout")
        .default("`dropout`")
        .rule(Rule::Probability, DROPOUT_HINT)
        .voided_by(&["dropout"]),
        RecipeField::new(
            "dropout_latent",
            "P",
            access!(dropout.latent),
            "Dropout probability of the states of a mixture's softmaxes (`mixture`)",
        )
        .heading("Dropout")
        .rule(Rule::Probability, DROPOUT_HINT)
        .voided_by(&["output"]),
        RecipeField::new(
            "dropout_words",
            "P",
            access!(dropout.words),
            "Dropout probability of whole input words",
        )
        .heading("Dropout")
        .rule(Rule::Probability, DROPOUT_HINT),
        RecipeField::new(
            "dropout_weights",
            "P",
            access!(dropout.weights),
            "Dropout probability of recurrent weights, of `cell = qrnn` of all weights of its \
             layers, with one mask for each window (AWD-LSTM's weight drop)",
        )
        .heading("Dropout")
        .rule(Rule::Probability, DROPOUT_HINT),
        RecipeField::new(
            "zoneout",
            "P",
            access!(dropout.zoneout),
            "Probability that a unit of `cell = qrnn` keeps its memory in a step; outside of \
             training, what units add to it is multiplied by 1 - P",
        )
        .heading("Dropout")
        .rule(Rule::Probability, DROPOUT_HINT)
        .voided_by(&["cell"]),
        RecipeField::new(
            "variational",
            "",
            access!(dropout.variational),
            "Use the same masks of embedded words, outputs and latents in all steps of a window; \
             `dropout_words` and `dropout_weights` do so in any case",
        )
        .heading("Dropout")
        .condition(Condition {
            holds: |recipe| !recipe.dropout.variational || recipe.dropout.can_be_variational(),
            field: "dropout",
            rule: "it applies to `dropout_input`, `dropout_hidden`, `dropout_output` and \
                   `dropout_latent`, which are all 0; other dropout is not affected",
            hint: "Set one of them too, or remove it",
        }),
        RecipeField::new(
            "forget_bias",
            "X",
            access!(forget_bias),
            "Initial bias of an LSTM's forget gates and of a GRU's update gates",
        )
        .rule(Rule::Finite, "1 is the default")
        .voided_by(&["cell"]),
        RecipeField::new(
            "independent",
            "",
            access!(independent),
            "Reset the state to the initial state at every sentence",
        ),
        RecipeField::new(
            "reset_states",
            "P",
            access!(reset_states),
            "At the start of every window, reset the states of each stream to the initial state \
             with probability P, so that the model also learns to predict from there (Mogrifier \
             LSTM, 0.01)",
        )
        .rule(Rule::Probability, "0.01 is the published value"),
        RecipeField::new(
            "precision",
            "",
            access!(precision),
            "Precision of the matrix products of training; mixed is for GPUs, and faster where \
             they have cooperative matrices",
        ),
        RecipeField::new(
            "seed",
            "",
            access!(seed),
            "Seed of all random numbers of training, such as the initial weights",
        ),
    ];
}

const DROPOUT_HINT: &str = "0.5 is already a high rate";
