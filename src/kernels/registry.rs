//! The table of kernels: the entry points of each one's shader and its test cases.
//!
//! A new kernel has a shader `shaders/x.wgsl`, a file `src/kernels/x.rs` with a struct that
//! implements [`Kernel`](crate::device::Kernel), test cases in `src/kernels/x/cases.rs`, a row
//! here, and its equations in f64 in `tests/expected.rs`.

use super::cases::Cases;
use super::*;
use crate::device::Shader;

/// A row of the table.
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
            &matmul::LARGE,
            &matmul::LARGE_VECTOR,
            &matmul::SUM_CHUNKS,
        ],
        cases: matmul::cases::all,
    },
    KernelEntry {
        shaders: &[&matmul::matmul_cooperative::SHADER],
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
            &lstm::APPLY_RESETS,
            &lstm::STEP_FORWARD,
            &lstm::STEP_BACKWARD,
            &lstm::CLEAR_RESET_GRADIENTS,
        ],
        cases: lstm::cases::all,
    },
    KernelEntry {
        shaders: &[
            &gru::FORWARD,
            &gru::BACKWARD,
            &gru::APPLY_RESETS,
            &gru::STEP_FORWARD,
            &gru::STEP_BACKWARD,
            &gru::CLEAR_RESET_GRADIENTS,
        ],
        cases: gru::cases::all,
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
        shaders: &[&sum_rows::SHADER],
        cases: sum_rows::cases::all,
    },
    KernelEntry {
        shaders: &[&reduce::PARTIAL, &reduce::TOTAL],
        cases: reduce::cases::all,
    },
    KernelEntry {
        shaders: &[&clip_grad_norm::SHADER],
        cases: clip_grad_norm::cases::all,
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
        shaders: &[&sgd::DENSE, &sgd::SPARSE],
        cases: sgd::cases::all,
    },
    KernelEntry {
        shaders: &[&adagrad::DENSE, &adagrad::SPARSE],
        cases: adagrad::cases::all,
    },
    KernelEntry {
        shaders: &[&adam::DENSE, &adam::SPARSE],
        cases: adam::cases::all,
    },
    KernelEntry {
        shaders: &[&momentum::DENSE, &momentum::SPARSE],
        cases: momentum::cases::all,
    },
    KernelEntry {
        shaders: &[&rmsprop::DENSE, &rmsprop::SPARSE],
        cases: rmsprop::cases::all,
    },
    KernelEntry {
        shaders: &[&average::SHADER],
        cases: average::cases::all,
    },
];
