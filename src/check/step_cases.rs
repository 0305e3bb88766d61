//! The cases of whole training steps: cells, sizes and options.

use std::fmt;

/// The sizes and options of two training steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct StepCase {
    /// The name of a cell.
    pub(super) cell: &'static str,
    /// L, H, D and V.
    pub(super) sizes: [usize; 4],
    /// B and T.
    pub(super) window: [usize; 2],
    /// K of a mixture of softmaxes; 0 for one softmax.
    pub(super) mixture: usize,
    /// Whether layers have residual connections.
    pub(super) residual: bool,
    /// Whether input gates are capped.
    pub(super) cap_input_gate: bool,
    /// Whether layers have layer normalization.
    pub(super) layer_norm: bool,
    /// Whether the tables are tied, with past decode regularization.
    pub(super) past_decode: bool,
    pub(super) dropout: Dropout,
    /// Whether sentences start from the initial state.
    pub(super) independent: bool,
    /// Whether a software adapter takes many seconds.
    pub(super) is_slow: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropout {
    Off,
    /// New masks in each step, at every place but recurrent weights.
    EachStep,
    /// The same masks in all steps, masks of recurrent weights, and activation regularization.
    Variational,
}

impl StepCase {
    const fn residual(self) -> Self {
        Self {
            residual: true,
            ..self
        }
    }

    const fn cap_input_gate(self) -> Self {
        Self {
            cap_input_gate: true,
            ..self
        }
    }

    const fn layer_norm(self) -> Self {
        Self {
            layer_norm: true,
            ..self
        }
    }

    const fn past_decode(self) -> Self {
        Self {
            past_decode: true,
            ..self
        }
    }
}

const fn case(
    cell: &'static str,
    sizes: [usize; 4],
    window: [usize; 2],
    dropout: Dropout,
    independent: bool,
) -> StepCase {
    StepCase {
        cell,
        sizes,
        window,
        mixture: 0,
        residual: false,
        cap_input_gate: false,
        layer_norm: false,
        past_decode: false,
        dropout,
        independent,
        is_slow: false,
    }
}

const fn mixture(
    mixture: usize,
    cell: &'static str,
    sizes: [usize; 4],
    window: [usize; 2],
    dropout: Dropout,
) -> StepCase {
    StepCase {
        mixture,
        ..case(cell, sizes, window, dropout, false)
    }
}

const fn slow(cell: &'static str, sizes: [usize; 4], window: [usize; 2]) -> StepCase {
    StepCase {
        is_slow: true,
        ..case(cell, sizes, window, Dropout::Off, true)
    }
}

/// What users of other programs found wrong on their GPUs: dropout between layers with carried
/// states, sentences that start anew, layers of 1 to 2048 units, more than 65 536 predictions in a
/// window, more streams than workgroups in a dimension of a dispatch.
pub(super) static CASES: &[StepCase] = &[
    case("elman", [1, 1, 0, 2], [1, 1], Dropout::Off, false),
    case("lstm", [1, 1, 1, 3], [3, 2], Dropout::Off, true),
    case("gru", [2, 1, 1, 3], [2, 3], Dropout::EachStep, true),
    case("elman", [2, 33, 17, 101], [5, 7], Dropout::EachStep, true),
    case("elman", [3, 64, 0, 67], [7, 5], Dropout::Variational, false),
    case("lstm", [3, 33, 17, 101], [5, 7], Dropout::EachStep, true),
    case(
        "lstm",
        [2, 128, 64, 257],
        [3, 5],
        Dropout::Variational,
        true,
    ),
    case("lstm", [2, 64, 64, 67], [4, 5], Dropout::EachStep, false),
    case("gru", [3, 33, 17, 101], [5, 7], Dropout::EachStep, true),
    case("gru", [2, 128, 64, 257], [3, 5], Dropout::Variational, true),
    case("gru", [2, 64, 64, 67], [4, 5], Dropout::EachStep, false),
    // Layers computed step by step.
    case("elman", [1, 1025, 16, 67], [3, 4], Dropout::Off, true),
    case("lstm", [2, 257, 16, 67], [3, 4], Dropout::Variational, true),
    case("gru", [2, 300, 16, 67], [17, 3], Dropout::EachStep, true),
    case("elman", [1, 4, 3, 11], [1025, 65], Dropout::EachStep, true),
    case("mogrifier", [1, 1, 1, 3], [3, 2], Dropout::Off, true),
    case(
        "mogrifier",
        [2, 33, 17, 101],
        [5, 7],
        Dropout::EachStep,
        true,
    ),
    case(
        "mogrifier",
        [3, 64, 33, 67],
        [7, 5],
        Dropout::Variational,
        false,
    ),
    case("qrnn", [1, 1, 1, 3], [3, 2], Dropout::Off, true),
    case("qrnn", [2, 33, 17, 101], [5, 7], Dropout::EachStep, true),
    case("qrnn", [3, 64, 33, 67], [7, 5], Dropout::Variational, false),
    case("sru", [1, 1, 1, 3], [3, 2], Dropout::Off, true),
    case("sru", [2, 33, 33, 101], [5, 7], Dropout::EachStep, true),
    case("sru", [3, 64, 0, 67], [7, 5], Dropout::Variational, false),
    case("feedforward", [1, 1, 1, 3], [2, 3], Dropout::Off, false),
    case(
        "feedforward",
        [1, 33, 17, 101],
        [5, 7],
        Dropout::EachStep,
        true,
    ),
    case("feedforward", [1, 4, 3, 11], [1025, 65], Dropout::Off, true),
    case("gru", [3, 33, 33, 101], [5, 7], Dropout::EachStep, true).residual(),
    case("lstm", [2, 64, 17, 67], [7, 5], Dropout::Variational, true).residual(),
    case("mogrifier", [1, 5, 3, 11], [3, 4], Dropout::Off, true).cap_input_gate(),
    case(
        "mogrifier",
        [2, 33, 17, 67],
        [5, 7],
        Dropout::EachStep,
        true,
    )
    .cap_input_gate(),
    case("lstm", [2, 33, 17, 67], [5, 7], Dropout::EachStep, true).cap_input_gate(),
    case("lstm", [1, 5, 3, 11], [3, 4], Dropout::Off, true).layer_norm(),
    case("lstm", [2, 33, 17, 67], [5, 7], Dropout::EachStep, true).layer_norm(),
    mixture(2, "elman", [1, 1, 1, 2], [1, 1], Dropout::Off),
    mixture(3, "lstm", [2, 33, 17, 101], [5, 7], Dropout::EachStep),
    mixture(16, "gru", [1, 64, 0, 257], [7, 5], Dropout::Variational),
    case("elman", [1, 1, 1, 2], [1, 1], Dropout::Off, true).past_decode(),
    case("lstm", [2, 33, 33, 257], [5, 7], Dropout::Variational, true).past_decode(),
    slow("elman", [2, 2048, 64, 1009], [20, 5]),
    slow("lstm", [2, 1024, 64, 1009], [20, 5]),
    slow("lstm", [1, 2048, 64, 1009], [4, 3]),
    slow("gru", [1, 2048, 64, 1009], [4, 3]),
    slow("lstm", [1, 8, 4, 31], [1025, 65]),
    slow("gru", [1, 8, 4, 31], [1025, 65]),
    slow("elman", [1, 3, 2, 7], [65_537, 2]),
    slow("lstm", [1, 3, 2, 7], [65_537, 2]),
    slow("gru", [1, 3, 2, 7], [65_537, 2]),
    slow("feedforward", [1, 3, 2, 7], [65_537, 2]),
    slow("elman", [1, 64, 32, 100_003], [20, 5]),
];

impl fmt::Display for StepCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [layers, hidden, embedding, vocabulary] = self.sizes;
        let [batch, time_steps] = self.window;
        write!(
            f,
            "{} [L {layers}, H {hidden}, D {embedding}, V {vocabulary}], window [T {time_steps}, \
             B {batch}]",
            self.cell
        )?;
        if self.mixture > 0 {
            write!(f, ", mixture of {}", self.mixture)?;
        }
        for (name, is_on) in [
            (", residual connections", self.residual),
            (", capped input gates", self.cap_input_gate),
            (", layer normalization", self.layer_norm),
            (", past decode regularization", self.past_decode),
        ] {
            f.write_str(if is_on { name } else { "" })?;
        }
        f.write_str(match self.dropout {
            Dropout::Off => "",
            Dropout::EachStep => ", dropout",
            Dropout::Variational => ", variational dropout",
        })?;
        f.write_str(if self.independent {
            ", independent sentences"
        } else {
            ""
        })
    }
}
