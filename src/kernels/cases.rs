//! Cases: for every kernel the sizes and options on which `elman check` and the tests compare its
//! faces, chosen to hurt.
//!
//! One, primes, one past a tile or a workgroup, more workgroups than one dimension holds, runs of
//! equal tokens, no token at all, numbers far outside an activation's slope. In: a device. Out:
//! what the kernel read and what it wrote, by name, and what it wrote where it should not have. A
//! case says nothing of what is right: that is for whoever compares.

mod bench;
mod gated;
mod list;
mod ragged;
mod run;
mod sampled;
mod tolerance;

use std::fmt;

pub use bench::{Outcome, Values};
pub use gated::{Direction, Dropped, Gated, MASK, Together};
pub use list::all;
pub use ragged::Ragged;
pub use run::{INITIAL, RATE};
pub use sampled::Sampled;
pub use tolerance::Tolerance;

use super::{Activation, Exponential, Precision, RecurrentSchedule};
use crate::device::Device;
use crate::error::Result;
use bench::Bench;

/// One kernel, its sizes and options, and the seed of its inputs.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The stem of the kernel's files.
    pub kernel: &'static str,
    /// What it is run on.
    pub setup: Setup,
    /// Where the inputs' numbers come from, the same on every device.
    pub seed: u64,
}

/// What a kernel is run on. Sizes are called as in the kernels' own documentation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Setup {
    /// [`Matmul`](super::Matmul).
    Matmul {
        /// Rows of the result.
        m: usize,
        /// Columns of the result.
        n: usize,
        /// The size summed over.
        k: usize,
        /// Whether a is stored transposed.
        transpose_a: bool,
        /// Whether b is stored transposed.
        transpose_b: bool,
        /// Whether the product is added.
        accumulate: bool,
        /// How exact the factors are.
        precision: Precision,
    },
    /// [`Transpose`](super::Transpose).
    Transpose {
        /// Rows of the input.
        rows: usize,
        /// Columns of the input.
        columns: usize,
    },
    /// [`AddBias`](super::AddBias).
    AddBias {
        /// Rows of the values.
        rows: usize,
        /// Columns of the values.
        columns: usize,
    },
    /// [`SumRows`](super::SumRows).
    SumRows {
        /// Rows of the values.
        rows: usize,
        /// Columns of the values.
        columns: usize,
        /// Whether the sums are added.
        accumulate: bool,
    },
    /// [`ActivationForward`](super::ActivationForward).
    ActivationForward {
        /// f.
        activation: Activation,
        /// Number of values.
        count: usize,
        /// Largest value, but for a few at the ends of f32's exponentials.
        bound: f32,
    },
    /// [`ActivationBackward`](super::ActivationBackward).
    ActivationBackward {
        /// f.
        activation: Activation,
        /// Number of values.
        count: usize,
    },
    /// [`RecurrenceForward`](super::RecurrenceForward).
    RecurrenceForward(Recurrence),
    /// [`RecurrenceBackward`](super::RecurrenceBackward).
    RecurrenceBackward(Recurrence),
    /// [`LstmForward`](super::LstmForward) or [`LstmBackward`](super::LstmBackward).
    Lstm(Gated),
    /// [`GruForward`](super::GruForward) or [`GruBackward`](super::GruBackward).
    Gru(Gated),
    /// [`CopyValues`](super::CopyValues).
    Copy {
        /// Number of values.
        count: usize,
    },
    /// [`Dropout`](super::Dropout).
    Dropout(Dropped),
    /// [`Gather`](super::Gather).
    Gather {
        /// V.
        vocabulary: usize,
        /// Columns of the table.
        columns: usize,
        /// The tokens.
        tokens: TokenDraw,
    },
    /// [`ScatterAdd`](super::ScatterAdd).
    ScatterAdd {
        /// V.
        vocabulary: usize,
        /// Columns of the gradient.
        columns: usize,
        /// The tokens.
        tokens: TokenDraw,
    },
    /// [`SoftmaxCrossEntropy`](super::SoftmaxCrossEntropy).
    SoftmaxCrossEntropy {
        /// V.
        columns: usize,
        /// A target for each row.
        targets: TokenDraw,
        /// Whether the logits become their gradient.
        gradient: bool,
        /// Factor of the gradient.
        scale: f32,
        /// Largest logit.
        bound: f32,
        /// The function that makes probabilities of logits.
        exponential: Exponential,
    },
    /// A kernel for rows and runs of different lengths.
    Ragged(Ragged),
    /// [`SampledLoss`](super::SampledLoss).
    Sampled(Sampled),
    /// [`Sum`](super::Sum).
    Sum {
        /// Number of values.
        count: usize,
    },
    /// [`SumOfSquares`](super::SumOfSquares).
    SumOfSquares {
        /// Number of values.
        count: usize,
    },
    /// [`Fill`](super::Fill).
    Fill {
        /// Number of values.
        count: usize,
        /// The value.
        value: f32,
    },
    /// [`Add`](super::Add).
    Add(UpdateCase),
    /// [`AddSquares`](super::AddSquares).
    AddSquares(UpdateCase),
    /// [`ClipGradNorm`](super::ClipGradNorm).
    ClipGradNorm {
        /// Number of sums of squares.
        count: usize,
        /// Largest sum of squares.
        bound: f32,
        /// The largest norm that passes.
        maximum: f32,
    },
    /// [`Scale`](super::Scale).
    Scale {
        /// Number of values.
        count: usize,
        /// What they are multiplied by.
        factor: f32,
    },
    /// [`Sgd`](super::Sgd).
    Sgd(UpdateCase),
    /// [`Adagrad`](super::Adagrad).
    Adagrad(UpdateCase),
    /// [`Adam`](super::Adam).
    Adam(UpdateCase, Step),
    /// [`Momentum`](super::Momentum).
    Momentum {
        /// The parameter and its gradient.
        update: UpdateCase,
        /// Whether a step looks ahead.
        nesterov: bool,
    },
    /// [`Rmsprop`](super::Rmsprop).
    Rmsprop(UpdateCase),
    /// [`Average`](super::Average).
    Average {
        /// Number of values.
        count: usize,
        /// How much of them joins the average.
        weight: f32,
    },
    /// [`ClipGradValue`](super::ClipGradValue).
    ClipGradValue {
        /// Number of values.
        count: usize,
        /// Largest value.
        bound: f32,
        /// The largest magnitude that passes.
        maximum: f32,
    },
}

/// Sizes and options of the recurrence kernels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recurrence {
    /// f.
    pub activation: Activation,
    /// T.
    pub time_steps: usize,
    /// B.
    pub batch: usize,
    /// H.
    pub hidden_size: usize,
    /// Whether streams begin afresh at the boundary.
    pub reset: bool,
    /// Largest z going forward, largest gradient from above going back.
    pub bound: f32,
    /// How a GPU goes about it.
    pub schedule: RecurrentSchedule,
}

/// A parameter and the form of its gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UpdateCase {
    /// Rows of the parameter.
    pub rows: usize,
    /// Columns of the parameter.
    pub columns: usize,
    /// Where the gradient is one of looked-up rows, the tokens that were looked up.
    pub tokens: Option<TokenDraw>,
}

/// Number of the update, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step(pub u32);

/// Some tokens below a vocabulary's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenDraw {
    /// Which ones.
    pub pattern: TokenPattern,
    /// How many.
    pub count: usize,
}

/// How tokens are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPattern {
    /// Each by itself; about an eighth are [`NONE`](crate::tensor::NONE), about a quarter the
    /// boundary 0.
    Mixed,
    /// At most three different ones, so that each occurs in a long run once sorted.
    Few,
    /// One again and again: the last of the vocabulary.
    Same,
    /// [`NONE`](crate::tensor::NONE) only.
    Nothing,
}

impl Case {
    /// The label and the kernel's name, for messages.
    pub fn name(&self) -> String {
        format!("{}: {}", self.kernel, self.label())
    }

    /// Sizes, options and seed in one word for each.
    pub fn label(&self) -> String {
        format!("{} seed {}", self.setup, self.seed)
    }

    /// Runs the kernel on inputs of its own, in buffers with guard bands, which are given back
    /// afterwards.
    ///
    /// # Errors
    /// If the device failed or is too small.
    pub fn run(&self, device: &mut Device) -> Result<Outcome> {
        let mut bench = Bench::new(device, self.seed);
        self.setup.run(&mut bench)?;
        bench.finish()
    }

    /// How far the same output of two devices may be apart.
    pub fn tolerance(&self, output: &str) -> Tolerance {
        tolerance::between_devices(&self.setup, output)
    }
}

impl Setup {
    /// The stem of the kernel's files.
    fn kernel(&self) -> &'static str {
        match self {
            Self::Matmul {
                precision: Precision::Full,
                ..
            } => "matmul",
            Self::Matmul { .. } => "matmul_cooperative",
            Self::Transpose { .. } => "transpose",
            Self::AddBias { .. } => "add_bias",
            Self::SumRows { .. } => "sum_rows",
            Self::ActivationForward { .. } | Self::ActivationBackward { .. } => "activation",
            Self::RecurrenceForward(recurrence) | Self::RecurrenceBackward(recurrence) => {
                match recurrence.schedule {
                    RecurrentSchedule::Fused => "recurrence",
                    RecurrentSchedule::PerStep => "recurrence_step",
                }
            }
            Self::Lstm(_) => "lstm",
            Self::Gru(_) => "gru",
            Self::Copy { .. } => "copy",
            Self::Dropout(_) => "dropout",
            Self::Gather { .. } => "gather",
            Self::ScatterAdd { .. } => "scatter_add",
            Self::SoftmaxCrossEntropy { .. } => "softmax_cross_entropy",
            Self::Ragged(ragged) => ragged.kernel(),
            Self::Sampled(_) => "sampled_loss",
            Self::Sum { .. } | Self::SumOfSquares { .. } => "reduce",
            Self::Fill { .. } => "fill",
            Self::Add(_) | Self::AddSquares(_) => "add",
            Self::ClipGradNorm { .. } => "clip_grad_norm",
            Self::Scale { .. } => "scale",
            Self::Sgd(_) => "sgd",
            Self::Adagrad(_) => "adagrad",
            Self::Adam(..) => "adam",
            Self::Momentum { .. } => "momentum",
            Self::Rmsprop(_) => "rmsprop",
            Self::Average { .. } => "average",
            Self::ClipGradValue { .. } => "clip_grad_value",
        }
    }
}

/// `word` where `on`, with a space in front.
fn option(on: bool, word: &str) -> String {
    if on {
        format!(" {word}")
    } else {
        String::new()
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Matmul {
                m,
                n,
                k,
                transpose_a,
                transpose_b,
                accumulate,
                precision,
            } => {
                let transposed = |name, transpose| {
                    if transpose {
                        format!("{name}ᵀ")
                    } else {
                        format!("{name}")
                    }
                };
                let (a, b) = (transposed('a', transpose_a), transposed('b', transpose_b));
                let precision = match precision {
                    Precision::Full => String::new(),
                    Precision::Mixed { scale } => format!(" mixed x {scale}"),
                };
                write!(
                    f,
                    "{a}·{b} [{m}, {k}]·[{k}, {n}]{}{precision}",
                    option(accumulate, "accumulate")
                )
            }
            Self::Transpose { rows, columns } | Self::AddBias { rows, columns } => {
                write!(f, "[{rows}, {columns}]")
            }
            Self::SumRows {
                rows,
                columns,
                accumulate,
            } => write!(f, "[{rows}, {columns}]{}", option(accumulate, "accumulate")),
            Self::ActivationForward {
                activation,
                count,
                bound,
            } => write!(f, "forward {activation} [{count}] below {bound}"),
            Self::ActivationBackward { activation, count } => {
                write!(f, "backward {activation} [{count}]")
            }
            Self::RecurrenceForward(recurrence) => write!(f, "forward {recurrence}"),
            Self::RecurrenceBackward(recurrence) => write!(f, "backward {recurrence}"),
            Self::Lstm(gated) | Self::Gru(gated) => gated.fmt(f),
            Self::Copy { count } => write!(f, "[{count}]"),
            Self::Dropout(dropped) => dropped.fmt(f),
            Self::Gather {
                vocabulary,
                columns,
                tokens,
            }
            | Self::ScatterAdd {
                vocabulary,
                columns,
                tokens,
            } => {
                write!(f, "{tokens} of [{vocabulary}, {columns}]")
            }
            Self::Ragged(ragged) => ragged.fmt(f),
            Self::Sampled(sampled) => sampled.fmt(f),
            Self::SoftmaxCrossEntropy {
                columns,
                targets,
                gradient,
                scale,
                bound,
                exponential,
            } => {
                let gradient = if gradient {
                    format!(" gradient x {scale}")
                } else {
                    String::new()
                };
                let exponential = option(exponential == Exponential::Rnnlm, "rnnlm");
                write!(
                    f,
                    "{targets} of {columns} below {bound}{gradient}{exponential}"
                )
            }
            Self::Sum { count } => write!(f, "Sum [{count}]"),
            Self::SumOfSquares { count } => write!(f, "SumOfSquares [{count}]"),
            Self::Fill { count, value } => write!(f, "[{count}] with {value}"),
            Self::Add(update) => update.fmt(f),
            Self::AddSquares(update) => write!(f, "squares {update}"),
            Self::ClipGradNorm {
                count,
                bound,
                maximum,
            } => write!(f, "[{count}] below {bound} to {maximum}"),
            Self::Scale { count, factor } => write!(f, "[{count}] x {factor}"),
            Self::Sgd(update) | Self::Adagrad(update) | Self::Rmsprop(update) => update.fmt(f),
            Self::Adam(update, Step(step)) => write!(f, "{update} step {step}"),
            Self::Momentum { update, nesterov } => {
                write!(f, "{update}{}", option(nesterov, "nesterov"))
            }
            Self::Average { count, weight } => write!(f, "[{count}] x {weight}"),
            Self::ClipGradValue {
                count,
                bound,
                maximum,
            } => write!(f, "[{count}] below {bound} to {maximum}"),
        }
    }
}

impl fmt::Display for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            activation,
            time_steps,
            batch,
            hidden_size,
            reset,
            bound,
            schedule: _,
        } = self;
        write!(
            f,
            "{activation} [T {time_steps}, B {batch}, H {hidden_size}] below {bound}{}",
            option(*reset, "reset")
        )
    }
}

impl fmt::Display for UpdateCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tokens {
            Some(tokens) => write!(f, "{tokens} of [{}, {}]", self.rows, self.columns),
            None => write!(f, "dense [{}, {}]", self.rows, self.columns),
        }
    }
}

impl fmt::Display for TokenDraw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}",
            self.count,
            format!("{:?}", self.pattern).to_lowercase()
        )
    }
}
