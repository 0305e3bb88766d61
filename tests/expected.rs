//! The equations of every kernel: the outputs that its inputs demand, computed in f64 from the
//! reference, and how much f32 may differ from them.

mod cells;
mod contexts;
mod elementwise;
mod losses;
mod normalization;
mod products;
mod qrnn;
mod ragged;
mod recurrence;
mod sru;
mod tables;
mod units;
mod updates;

use std::any::Any;

use elman::kernels::Activation;
use elman::kernels::cases::{
    ActivationBackwardCase, ActivationForwardCase, ActivationPenaltyCase, AdagradCase, AdamCase,
    AddBiasCase, AddCase, AddRunsCase, AverageCase, Case, ClipGradValueCase, ContextBackwardCase,
    ContextForwardCase, CopyCase, CopyColumnsCase, DropoutCase, FillCase, GatherCase,
    GroupedMatmulCase, GruCase, KernelCase, LayerNormCase, LstmCase, LstmCellCase, MatmulCase,
    MixtureLossCase, MogrifyCase, MomentumCase, NormalizedLstmCase, Outcome, PreviousInputCase,
    QrnnCase, RaggedSoftmaxCase, RecurrenceCase, ResetRowsCase, RmspropCase, RunsGradientCase,
    SampledLossCase, ScaleCase, ScaleRowsCase, ScatterAddCase, SgdCase, SoftmaxBackwardCase,
    SoftmaxCrossEntropyCase, SruCase, SumRowsCase, SumsCase, TransposeCase,
};
use elman::tensor::NONE;

use super::compare::Tolerance;
use super::reference::kernels as reference;

/// Outputs by name.
pub type Expected = Vec<(&'static str, Vec<f64>)>;

/// The equations of one kernel, implemented for the type of its cases.
pub trait Expectation {
    /// The outputs that follow from the inputs of a run.
    fn outputs(&self, run: &Outcome) -> Expected;

    /// How much the CPU's result may differ in the output called `output`.
    fn tolerance(&self, output: &str) -> Tolerance;
}

/// The case as an [`Expectation`], if it is of one type.
type Downcast = fn(&dyn Any) -> Option<&dyn Expectation>;

/// A row for every type of case.
const TABLE: &[Downcast] = &[
    downcast::<ActivationBackwardCase>,
    downcast::<ActivationForwardCase>,
    downcast::<ActivationPenaltyCase>,
    downcast::<AdagradCase>,
    downcast::<AdamCase>,
    downcast::<AddBiasCase>,
    downcast::<AddCase>,
    downcast::<AddRunsCase>,
    downcast::<AverageCase>,
    downcast::<ClipGradValueCase>,
    downcast::<ContextBackwardCase>,
    downcast::<ContextForwardCase>,
    downcast::<CopyCase>,
    downcast::<CopyColumnsCase>,
    downcast::<DropoutCase>,
    downcast::<FillCase>,
    downcast::<GatherCase>,
    downcast::<GroupedMatmulCase>,
    downcast::<GruCase>,
    downcast::<LayerNormCase>,
    downcast::<LstmCase>,
    downcast::<LstmCellCase>,
    downcast::<MatmulCase>,
    downcast::<MixtureLossCase>,
    downcast::<MogrifyCase>,
    downcast::<MomentumCase>,
    downcast::<NormalizedLstmCase>,
    downcast::<PreviousInputCase>,
    downcast::<QrnnCase>,
    downcast::<RaggedSoftmaxCase>,
    downcast::<RecurrenceCase>,
    downcast::<ResetRowsCase>,
    downcast::<RmspropCase>,
    downcast::<RunsGradientCase>,
    downcast::<SampledLossCase>,
    downcast::<ScaleCase>,
    downcast::<ScaleRowsCase>,
    downcast::<ScatterAddCase>,
    downcast::<SgdCase>,
    downcast::<SoftmaxBackwardCase>,
    downcast::<SoftmaxCrossEntropyCase>,
    downcast::<SruCase>,
    downcast::<SumRowsCase>,
    downcast::<SumsCase>,
    downcast::<TransposeCase>,
];

fn downcast<T: Expectation + 'static>(case: &dyn Any) -> Option<&dyn Expectation> {
    case.downcast_ref::<T>()
        .map(|case| case as &dyn Expectation)
}

/// The equations of a case's kernel.
///
/// # Panics
/// If [`TABLE`] has no row for the type of the case.
pub fn of(case: &Case) -> &dyn Expectation {
    let setup: &dyn KernelCase = &*case.setup;
    TABLE
        .iter()
        .find_map(|downcast| downcast(setup))
        .unwrap_or_else(|| panic!("{}: tests/expected.rs has no row for it", case.name()))
}

/// The values of an input in f64.
fn floats(run: &Outcome, name: &str) -> Vec<f64> {
    let values = run
        .floats(name)
        .unwrap_or_else(|| panic!("the case has no input {name}"));
    values.iter().copied().map(f64::from).collect()
}

/// The tokens of an input in the form of the reference.
fn tokens(run: &Outcome, name: &str) -> Vec<Option<usize>> {
    let values = run
        .indices(name)
        .unwrap_or_else(|| panic!("the case has no tokens {name}"));
    values
        .iter()
        .map(|&token| (token != NONE).then_some(token as usize))
        .collect()
}

/// The reference's function of the same name.
fn function(activation: Activation) -> reference::Activation {
    match activation {
        Activation::Sigmoid => reference::Activation::Sigmoid,
        Activation::Tanh => reference::Activation::Tanh,
        Activation::Relu => reference::Activation::Relu,
        Activation::RnnlmSigmoid => reference::Activation::RnnlmSigmoid,
    }
}

/// The distance from 1 to the next f32.
const EPSILON: f64 = f32::EPSILON as f64;

/// No difference.
const EXACT: Tolerance = Tolerance {
    absolute: 0.0,
    relative: 0.0,
};

/// One rounding of the result.
const ROUNDED: Tolerance = Tolerance {
    absolute: 0.0,
    relative: EPSILON,
};

/// `count` times the last bit of the value.
fn bits(count: f64) -> Tolerance {
    Tolerance {
        absolute: 0.25 * count * EPSILON,
        relative: count * EPSILON,
    }
}

/// A sum of `terms` products of values below 1: partial sums grow like a random walk, and so do the
/// errors of the additions.
fn sum_of(terms: usize) -> Tolerance {
    Tolerance {
        absolute: EPSILON * (1.0 + 0.75 * terms as f64),
        relative: EPSILON,
    }
}
