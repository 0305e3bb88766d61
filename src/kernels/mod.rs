//! Kernels: the operations that devices execute. Each is a struct of tensor handles that documents
//! its equation, with a CPU and a GPU implementation. Its module and its shader have the same stem.
//!
//! In: tensors. Out: tensors. Kernels depend on [`Device`](crate::device::Device) and on no model.
//! [`cases`] lists for every kernel the shapes on which `elman check` and the tests compare the
//! implementations.
//!
//! A new kernel `x` has:
//!
//! 1. a shader `shaders/x.wgsl`;
//! 2. a file `x.rs` here, with a struct that implements [`Kernel`](crate::device::Kernel);
//! 3. in this file its module, its names, and a row of [`KERNELS`];
//! 4. test cases in `x/cases.rs`, re-exported in `cases.rs`; a recurrence is also listed in
//!    `recurrent/tests.rs`;
//! 5. its equations in f64 in a file of `tests/expected/`, with a row in `tests/expected.rs`.

mod activation;
mod activation_penalty;
mod adagrad;
mod adam;
mod add;
mod add_bias;
mod add_runs;
mod average;
pub mod cases;
mod clip_grad_value;
mod context;
mod copy;
mod copy_columns;
mod dropout;
mod fill;
mod gather;
mod grouped_matmul;
mod gru;
mod layer_norm;
mod lstm;
mod math;
mod matmul;
mod mixture_loss;
mod mogrify;
mod momentum;
mod normalized_lstm;
mod parallel;
mod previous_input;
mod qrnn;
mod ragged_softmax;
mod recurrence;
mod recurrent;
mod reduce;
mod reset_rows;
mod rmsprop;
mod rows;
mod runs_gradient;
mod sampled_loss;
mod scale;
mod scale_rows;
mod scatter_add;
mod sgd;
mod softmax_backward;
mod softmax_cross_entropy;
mod sru;
mod sum_rows;
mod transpose;

pub use activation::{Activation, ActivationBackward, ActivationForward};
pub use activation_penalty::ActivationPenalty;
pub use adagrad::Adagrad;
pub use adam::Adam;
pub use add::{Add, AddSquares};
pub use add_bias::AddBias;
pub use add_runs::AddRuns;
pub use average::Average;
pub use clip_grad_value::ClipGradValue;
pub use context::{ContextBackward, ContextForward, MAX_CARRIED_TYPES, MAX_CONTEXT};
pub use copy::CopyValues;
pub use copy_columns::CopyColumns;
pub use dropout::{Dropout, Mask, MaskPattern, StreamPart};
pub use fill::Fill;
pub use gather::Gather;
pub use grouped_matmul::{GROUP_FIELDS, GroupedMatmul, GroupedProduct, Groups};
pub use gru::{GruBackward, GruForward};
pub use layer_norm::{LayerNormBackward, LayerNormForward};
pub use lstm::{
    LstmBackward, LstmCellBackward, LstmCellEnd, LstmCellForward, LstmCellStart, LstmForward,
};
pub use matmul::{Matmul, Precision, batch_invariant_rows};
pub use mixture_loss::{MixtureLoss, mixture_log_probabilities};
pub use mogrify::{MogrifyBackward, MogrifyForward};
pub use momentum::Momentum;
pub use normalized_lstm::{NormalizedLstmBackward, NormalizedLstmForward, NormalizedStep};
pub use previous_input::{PreviousInputBackward, PreviousInputForward};
pub use qrnn::{QrnnBackward, QrnnForward, Zoneout};
pub use ragged_softmax::{ROW_FIELDS, RaggedSoftmax};
pub use recurrence::{RecurrenceBackward, RecurrenceForward};
pub use recurrent::{Carried, RecurrentSchedule, Reset};
pub use reduce::{ClipGradNorm, PARTIAL_SUMS, Summand, Sums};
pub use reset_rows::ResetRows;
pub use rmsprop::Rmsprop;
pub use rows::{Gradient, SparseRows, Update, UpdateParts, Updates};
pub use runs_gradient::{BLOCK, RunsGradient, SEGMENT_FIELDS};
pub use sampled_loss::{SampledLoss, SampledObjective};
pub use scale::Scale;
pub use scale_rows::ScaleRows;
pub use scatter_add::ScatterAdd;
pub use sgd::Sgd;
pub use softmax_backward::SoftmaxBackward;
pub use softmax_cross_entropy::{Exponential, SoftmaxCrossEntropy, SoftmaxResult, exponential_sum};
pub use sru::{SruBackward, SruForward};
pub use sum_rows::SumRows;
pub use transpose::Transpose;

use crate::device::Shader;
use cases::Cases;

/// Loop iterations of an invocation in one dispatch. Kernels with longer loops continue in another
/// dispatch.
///
/// Mesa's software Vulkan silently leaves every loop after 65 535 iterations of all loops of an
/// invocation together, and drivers terminate dispatches that take too long.
const MAX_LOOP_ITERATIONS: usize = 1 << 15;

/// A row of [`KERNELS`].
#[derive(Debug)]
pub struct KernelEntry {
    /// The entry points of the kernel's shader.
    pub shaders: &'static [&'static Shader],
    /// Makes the kernel's test cases.
    pub cases: fn() -> Cases,
}

impl KernelEntry {
    /// The kernel's name: the stem of its files.
    pub fn name(&self) -> &'static str {
        self.shaders[0].stem
    }
}

/// Every kernel of the crate.
pub static KERNELS: &[KernelEntry] = &[
    KernelEntry {
        shaders: &[
            &matmul::SMALL,
            &matmul::FEW_ROWS,
            &matmul::LARGE,
            &matmul::LARGE_VECTOR,
            &matmul::SUM_CHUNKS,
        ],
        cases: matmul::cases::all,
    },
    KernelEntry {
        shaders: &[
            &matmul::matmul_cooperative::SHADER,
            &matmul::matmul_cooperative::HALF_COPY,
        ],
        cases: matmul::cases::mixed,
    },
    KernelEntry {
        shaders: &[&gather::SHADER],
        cases: gather::cases::all,
    },
    KernelEntry {
        shaders: &[&scatter_add::SHADER],
        cases: scatter_add::cases::all,
    },
    KernelEntry {
        shaders: &[&activation::FORWARD, &activation::BACKWARD],
        cases: activation::cases::all,
    },
    KernelEntry {
        shaders: &[&activation_penalty::SHADER],
        cases: activation_penalty::cases::all,
    },
    KernelEntry {
        shaders: &[&transpose::SHADER],
        cases: transpose::cases::all,
    },
    KernelEntry {
        shaders: &[&recurrence::FORWARD, &recurrence::BACKWARD],
        cases: recurrence::cases::all,
    },
    KernelEntry {
        shaders: &[
            &recurrence::recurrence_step::FORWARD,
            &recurrence::recurrence_step::BACKWARD,
        ],
        cases: || recurrence::cases::with_schedule(RecurrentSchedule::PerStep),
    },
    KernelEntry {
        shaders: &[
            &lstm::FORWARD,
            &lstm::BACKWARD,
            &lstm::STEP_FORWARD,
            &lstm::STEP_BACKWARD,
            &lstm::START,
            &lstm::CELL_FORWARD,
            &lstm::CELL_BACKWARD,
            &lstm::END,
        ],
        cases: lstm::cases::all,
    },
    KernelEntry {
        shaders: &[&mogrify::FORWARD, &mogrify::BACKWARD],
        cases: mogrify::cases::all,
    },
    KernelEntry {
        shaders: &[&layer_norm::FORWARD, &layer_norm::BACKWARD],
        cases: layer_norm::cases::all,
    },
    KernelEntry {
        shaders: &[&normalized_lstm::FORWARD, &normalized_lstm::BACKWARD],
        cases: normalized_lstm::cases::all,
    },
    KernelEntry {
        shaders: &[&reset_rows::SHADER],
        cases: reset_rows::cases::all,
    },
    KernelEntry {
        shaders: &[
            &gru::FORWARD,
            &gru::BACKWARD,
            &gru::STEP_FORWARD,
            &gru::STEP_BACKWARD,
        ],
        cases: gru::cases::all,
    },
    KernelEntry {
        shaders: &[&qrnn::FORWARD, &qrnn::BACKWARD],
        cases: qrnn::cases::all,
    },
    KernelEntry {
        shaders: &[&sru::FORWARD, &sru::BACKWARD],
        cases: sru::cases::all,
    },
    KernelEntry {
        shaders: &[&fill::SHADER],
        cases: fill::cases::all,
    },
    KernelEntry {
        shaders: &[&copy::SHADER],
        cases: copy::cases::all,
    },
    KernelEntry {
        shaders: &[&copy_columns::SHADER],
        cases: copy_columns::cases::all,
    },
    KernelEntry {
        shaders: &[&context::FORWARD, &context::CARRY, &context::BACKWARD],
        cases: context::cases::all,
    },
    KernelEntry {
        shaders: &[&previous_input::FORWARD, &previous_input::BACKWARD],
        cases: previous_input::cases::all,
    },
    KernelEntry {
        shaders: &[&add::DENSE, &add::SPARSE],
        cases: add::cases::all,
    },
    KernelEntry {
        shaders: &[&dropout::COPY, &dropout::IN_PLACE],
        cases: dropout::cases::all,
    },
    KernelEntry {
        shaders: &[&add_bias::SHADER],
        cases: add_bias::cases::all,
    },
    KernelEntry {
        shaders: &[&softmax_cross_entropy::SHADER],
        cases: softmax_cross_entropy::cases::all,
    },
    KernelEntry {
        shaders: &[
            &grouped_matmul::FORWARD,
            &grouped_matmul::INPUT_GRADIENT,
            &grouped_matmul::WEIGHT_GRADIENT,
        ],
        cases: grouped_matmul::cases::all,
    },
    KernelEntry {
        shaders: &[&ragged_softmax::SHADER],
        cases: ragged_softmax::cases::all,
    },
    KernelEntry {
        shaders: &[&add_runs::SHADER],
        cases: add_runs::cases::all,
    },
    KernelEntry {
        shaders: &[&runs_gradient::SHADER],
        cases: runs_gradient::cases::all,
    },
    KernelEntry {
        shaders: &[&sampled_loss::SHADER],
        cases: sampled_loss::cases::all,
    },
    KernelEntry {
        shaders: &[&softmax_backward::SHADER],
        cases: softmax_backward::cases::all,
    },
    KernelEntry {
        shaders: &[&mixture_loss::SHADER],
        cases: mixture_loss::cases::all,
    },
    KernelEntry {
        shaders: &[&sum_rows::SHADER],
        cases: sum_rows::cases::all,
    },
    KernelEntry {
        shaders: &[&reduce::PARTIAL, &reduce::TOTAL],
        cases: reduce::cases::all,
    },
    KernelEntry {
        shaders: &[&clip_grad_value::SHADER],
        cases: clip_grad_value::cases::all,
    },
    KernelEntry {
        shaders: &[&scale::SHADER],
        cases: scale::cases::all,
    },
    KernelEntry {
        shaders: &[&scale_rows::COPY, &scale_rows::IN_PLACE],
        cases: scale_rows::cases::all,
    },
    KernelEntry {
        shaders: &[&sgd::DENSE, &sgd::DENSE_2, &sgd::DENSE_3, &sgd::SPARSE],
        cases: sgd::cases::all,
    },
    KernelEntry {
        shaders: &[&adagrad::DENSE, &adagrad::DENSE_2, &adagrad::SPARSE],
        cases: adagrad::cases::all,
    },
    KernelEntry {
        shaders: &[&adam::DENSE, &adam::SPARSE],
        cases: adam::cases::all,
    },
    KernelEntry {
        shaders: &[&momentum::DENSE, &momentum::DENSE_2, &momentum::SPARSE],
        cases: momentum::cases::all,
    },
    KernelEntry {
        shaders: &[&rmsprop::DENSE, &rmsprop::DENSE_2, &rmsprop::SPARSE],
        cases: rmsprop::cases::all,
    },
    KernelEntry {
        shaders: &[&average::SHADER],
        cases: average::cases::all,
    },
];
