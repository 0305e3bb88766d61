//! Kernels. Each is a struct of tensor handles that documents its equation, with a CPU and a GPU
//! implementation. Its module and its shader have the same stem.
//!
//! In: tensors. Out: tensors. Kernels depend on [`Device`](crate::device::Device) and on no model.
//! [`cases`] lists for every kernel the shapes on which `elman check` and the tests compare the
//! implementations.

mod activation;
mod adagrad;
mod adam;
mod add;
mod add_bias;
mod add_runs;
mod average;
pub mod cases;
mod clip_grad_norm;
mod clip_grad_value;
mod copy;
mod dropout;
mod fill;
mod gather;
mod grouped_matmul;
mod gru;
mod lstm;
mod math;
mod matmul;
mod momentum;
mod parallel;
mod ragged_softmax;
mod recurrence;
mod recurrent;
mod reduce;
mod registry;
mod rmsprop;
mod rows;
mod runs_gradient;
mod sampled_loss;
mod scale;
mod scatter_add;
mod sgd;
mod softmax_cross_entropy;
mod sum_rows;
mod transpose;

pub use activation::{Activation, ActivationBackward, ActivationForward};
pub use adagrad::Adagrad;
pub use adam::Adam;
pub use add::{Add, AddSquares};
pub use add_bias::AddBias;
pub use add_runs::AddRuns;
pub use average::Average;
pub use clip_grad_norm::ClipGradNorm;
pub use clip_grad_value::ClipGradValue;
pub use copy::CopyValues;
pub use dropout::{Dropout, Mask, MaskPattern};
pub use fill::Fill;
pub use gather::Gather;
pub use grouped_matmul::{GROUP_FIELDS, GroupedMatmul, GroupedProduct, Groups};
pub use gru::{GruBackward, GruForward};
pub use lstm::{LstmBackward, LstmForward};
pub use matmul::{Matmul, Precision, batch_invariant_rows};
pub use momentum::Momentum;
pub use ragged_softmax::{ROW_FIELDS, RaggedSoftmax};
pub use recurrence::{RecurrenceBackward, RecurrenceForward};
pub use recurrent::{RecurrentSchedule, Reset};
pub use reduce::{PARTIAL_SUMS, Sum, SumOfSquares};
pub use registry::{KERNELS, KernelEntry};
pub use rmsprop::Rmsprop;
pub use rows::{Gradient, SparseRows};
pub use runs_gradient::{BLOCK, RunsGradient, SEGMENT_FIELDS};
pub use sampled_loss::{SampledLoss, SampledObjective};
pub use scale::Scale;
pub use scatter_add::ScatterAdd;
pub use sgd::Sgd;
pub use softmax_cross_entropy::{Exponential, SoftmaxCrossEntropy};
pub use sum_rows::SumRows;
pub use transpose::Transpose;

/// Loop iterations of an invocation in one dispatch. Kernels with longer loops continue in another
/// dispatch.
///
/// Mesa's software Vulkan silently leaves every loop after 65 535 iterations of all loops of an
/// invocation together, and drivers terminate dispatches that take too long.
const MAX_LOOP_ITERATIONS: usize = 1 << 15;
