//! Test cases of the kernels: for every kernel the sizes and options on which `elman check` and the
//! tests compare its faces, chosen to be difficult.
//!
//! Sizes are 1, primes, one more than a tile or a workgroup, and more workgroups than one dimension
//! of a dispatch holds; tokens come in long runs or are all [`NONE`](crate::tensor::NONE); values
//! lie far outside the slope of an activation. The cases of a kernel are in a file next to it,
//! `x/cases.rs` for `x.rs`, and the [registry](super::KERNELS) lists them. In: a device. Out: what
//! the kernel read, what it wrote, by name, and where it wrote outside its outputs. A case does not
//! know the right results: whoever compares does.

pub(super) mod gated;
mod harness;
mod tokens;
mod tolerance;
pub(super) mod update;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

pub use gated::{Direction, GatedCase};
pub(super) use harness::Place;
pub use harness::{Harness, Outcome, Values};
pub use tokens::{TokenDraw, TokenPattern};
pub use tolerance::Tolerance;
pub(super) use tolerance::{EPSILON, TRANSCENDENTAL};
pub use update::{RATE, UpdateCase};

pub use super::activation::cases::{ActivationBackwardCase, ActivationForwardCase};
pub use super::adagrad::cases::AdagradCase;
pub use super::adam::cases::AdamCase;
pub use super::add::cases::AddCase;
pub use super::add_bias::cases::AddBiasCase;
pub use super::add_runs::cases::AddRunsCase;
pub use super::average::cases::AverageCase;
pub use super::clip_grad_norm::cases::ClipGradNormCase;
pub use super::clip_grad_value::cases::ClipGradValueCase;
pub use super::copy::cases::CopyCase;
pub use super::dropout::cases::{DropoutCase, DropoutPattern, MASK};
pub use super::fill::cases::FillCase;
pub use super::gather::cases::GatherCase;
pub use super::grouped_matmul::cases::GroupedMatmulCase;
pub use super::gru::cases::GruCase;
pub use super::lstm::cases::LstmCase;
pub use super::matmul::cases::MatmulCase;
pub use super::momentum::cases::MomentumCase;
pub use super::ragged_softmax::cases::RaggedSoftmaxCase;
pub use super::recurrence::cases::RecurrenceCase;
pub use super::reduce::cases::{SumCase, SumOfSquaresCase};
pub use super::rmsprop::cases::RmspropCase;
pub use super::runs_gradient::cases::RunsGradientCase;
pub use super::sampled_loss::cases::SampledLossCase;
pub use super::scale::cases::ScaleCase;
pub use super::scatter_add::cases::ScatterAddCase;
pub use super::sgd::cases::SgdCase;
pub use super::softmax_cross_entropy::cases::SoftmaxCrossEntropyCase;
pub use super::sum_rows::cases::SumRowsCase;
pub use super::transpose::cases::TransposeCase;

use super::registry::KERNELS;
use crate::device::Device;
use crate::error::Result;

/// The sizes and options of one run of a kernel. Its [`Display`](fmt::Display) is a label that no
/// other case of the kernel has, except for the seed. The tests downcast it to find the kernel's
/// equations.
pub trait KernelCase: Any + fmt::Debug + fmt::Display + Send + Sync {
    /// Allocates the kernel's tensors and runs it.
    ///
    /// # Errors
    /// If the device failed or is too small.
    fn run(&self, harness: &mut Harness<'_>) -> Result<()>;

    /// How much the results of two devices may differ in the output called `output`. By default not
    /// at all: for kernels that move values, or compute each with one rounded operation.
    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance::EXACT
    }
}

/// The cases of one kernel.
pub type Cases = Vec<Arc<dyn KernelCase>>;

/// The cases as [`Cases`].
pub(super) fn list<C: KernelCase>(cases: impl IntoIterator<Item = C>) -> Cases {
    let cases = cases.into_iter();
    cases
        .map(|case| Arc::new(case) as Arc<dyn KernelCase>)
        .collect()
}

/// A kernel, its sizes and options, and the seed of its inputs.
#[derive(Debug, Clone)]
pub struct Case {
    /// The kernel's name: the stem of its files.
    pub kernel: &'static str,
    /// Sizes and options.
    pub setup: Arc<dyn KernelCase>,
    /// The seed of the inputs, which are the same on every device.
    pub seed: u64,
}

impl Case {
    /// The kernel's name and the label, for messages.
    pub fn name(&self) -> String {
        format!("{}: {}", self.kernel, self.label())
    }

    /// Sizes, options and seed.
    pub fn label(&self) -> String {
        format!("{} seed {}", self.setup, self.seed)
    }

    /// Runs the kernel on inputs made from the seed, in buffers with guard bands, which are
    /// released afterwards.
    ///
    /// # Errors
    /// If the device failed or is too small.
    pub fn run(&self, device: &mut Device) -> Result<Outcome> {
        let mut harness = Harness::new(device, self.seed);
        self.setup.run(&mut harness)?;
        harness.finish()
    }

    /// How much the results of two devices may differ in the output called `output`.
    pub fn tolerance(&self, output: &str) -> Tolerance {
        self.setup.tolerance(output)
    }
}

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

/// More rows than a dispatch has workgroups in one dimension.
pub(super) const MANY: usize = 65_537;

/// The initial state of streams that are reset.
pub const INITIAL: f32 = 0.1;

/// A part of a label: `word` with a space in front if `on`.
pub(super) fn option(on: bool, word: &str) -> String {
    if on {
        format!(" {word}")
    } else {
        String::new()
    }
}

/// A number from 1 to `max` that varies irregularly with `index`.
pub(super) fn irregular(index: usize, factor: usize, max: usize) -> usize {
    (index * factor + index / 3) % max + 1
}
