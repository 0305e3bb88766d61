//! Test cases of the kernels: for every kernel the sizes and options on which `elman check` and the
//! tests compare its faces, chosen to be difficult.
//!
//! Sizes are 1, primes, one more than a tile or a workgroup, and more workgroups than one dimension
//! of a dispatch holds; tokens come in long runs or are all [`NONE`](crate::tensor::NONE); values
//! lie far outside the slope of an activation. The cases of a kernel are in a file next to it,
//! `x/cases.rs` for `x.rs`, and the [registry](super::KERNELS) lists them. In: a device. Out: what
//! the kernel read, what it wrote, by name, and where it wrote outside its outputs. A case does not
//! know the right results: whoever compares does.

mod case;
pub(super) mod gated;
mod harness;
mod tokens;
mod tolerance;
pub(super) mod update;

pub use case::{Case, Cases, INITIAL, KernelCase};
pub(super) use case::{MANY, irregular, list, option};
pub use gated::{Direction, GatedCase};
pub(super) use harness::Place;
pub use harness::{Harness, Outcome, Values};
pub use tokens::{TokenDraw, TokenPattern};
pub use tolerance::Tolerance;
pub(super) use tolerance::{EPSILON, TRANSCENDENTAL};
pub use update::{
    FIRST_MOMENTS, GRADIENTS, PARAMETERS, RATE, SECOND_MOMENTS, SQUARES, UpdateCase, VELOCITIES,
};

pub use super::activation::cases::{ActivationBackwardCase, ActivationForwardCase};
pub use super::activation_penalty::cases::ActivationPenaltyCase;
pub use super::adagrad::cases::AdagradCase;
pub use super::adam::cases::AdamCase;
pub use super::add::cases::AddCase;
pub use super::add_bias::cases::AddBiasCase;
pub use super::add_runs::cases::AddRunsCase;
pub use super::average::cases::AverageCase;
pub use super::clip_grad_value::cases::ClipGradValueCase;
pub use super::context::cases::{ContextBackwardCase, ContextForwardCase};
pub use super::copy::cases::CopyCase;
pub use super::copy_columns::cases::CopyColumnsCase;
pub use super::dropout::cases::{DropoutCase, DropoutPattern, MASK};
pub use super::fill::cases::FillCase;
pub use super::gather::cases::GatherCase;
pub use super::grouped_matmul::cases::GroupedMatmulCase;
pub use super::gru::cases::GruCase;
pub use super::layer_norm::cases::LayerNormCase;
pub use super::lstm::cases::LstmCase;
pub use super::lstm::cell_cases::LstmCellCase;
pub use super::matmul::cases::MatmulCase;
pub use super::mixture_loss::cases::MixtureLossCase;
pub use super::mogrify::cases::MogrifyCase;
pub use super::momentum::cases::MomentumCase;
pub use super::normalized_lstm::cases::NormalizedLstmCase;
pub use super::previous_input::cases::PreviousInputCase;
pub use super::qrnn::cases::QrnnCase;
pub use super::ragged_softmax::cases::RaggedSoftmaxCase;
pub use super::recurrence::cases::RecurrenceCase;
pub use super::reduce::cases::{SUMMANDS, SumsCase};
pub use super::reset_rows::cases::ResetRowsCase;
pub use super::rmsprop::cases::RmspropCase;
pub use super::runs_gradient::cases::RunsGradientCase;
pub use super::sampled_loss::cases::SampledLossCase;
pub use super::scale::cases::ScaleCase;
pub use super::scale_rows::cases::ScaleRowsCase;
pub use super::scatter_add::cases::ScatterAddCase;
pub use super::sgd::cases::SgdCase;
pub use super::softmax_backward::cases::SoftmaxBackwardCase;
pub use super::softmax_cross_entropy::cases::SoftmaxCrossEntropyCase;
pub use super::sru::cases::SruCase;
pub use super::sum_rows::cases::SumRowsCase;
pub use super::transpose::cases::TransposeCase;

use super::KERNELS;

/// Every case of every kernel, kernel by kernel; seeds count from 1 within a kernel.
pub fn all() -> Vec<Case> {
    let mut all = Vec::new();
    for kernel in KERNELS {
        for (setup, seed) in (kernel.cases)().into_iter().zip(1..) {
            all.push(Case {
                kernel: kernel.name(),
                setup,
                seed,
            });
        }
    }
    all
}
