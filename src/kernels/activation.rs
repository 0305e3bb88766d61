//! Activation functions and their derivatives.

pub(super) mod cases;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::math::rnnlm_sigmoid;
use super::parallel::{for_row_chunks, vectorized, vectorized_math};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::error::Error;
use crate::tensor::Tensor;

/// The activation function of hidden units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// `1 / (1 + e^-z)`, Mikolov 2010.
    Sigmoid,
    /// The hyperbolic tangent, Elman 1990 in PyTorch's form.
    Tanh,
    /// `max(z, 0)`.
    Relu,
    /// The sigmoid with rnnlm's approximate exponential, for rnnlm models. Its derivative is that
    /// of the exact sigmoid, as in rnnlm.
    #[serde(rename = "rnnlm-sigmoid")]
    RnnlmSigmoid,
}

impl Activation {
    /// Every activation with its name in flags and files.
    pub const TABLE: &[(&str, Self)] = &[
        ("sigmoid", Self::Sigmoid),
        ("tanh", Self::Tanh),
        ("relu", Self::Relu),
        ("rnnlm-sigmoid", Self::RnnlmSigmoid),
    ];

    /// The value of the shaders' constant `ACTIVATION`.
    pub(super) fn constant(self) -> f64 {
        match self {
            Self::Sigmoid => 0.0,
            Self::Tanh => 1.0,
            Self::Relu => 2.0,
            Self::RnnlmSigmoid => 3.0,
        }
    }

    /// `values = f(values)`. NaN stays NaN.
    pub(super) fn apply(self, values: &mut [f32]) {
        vectorized_math(
            #[inline(always)]
            |math| match self {
                Self::Sigmoid => values.iter_mut().for_each(|z| *z = math.sigmoid(*z)),
                Self::Tanh => values.iter_mut().for_each(|z| *z = math.tanh(*z)),
                // Not `max`, which would turn NaN into 0.
                Self::Relu => values
                    .iter_mut()
                    .for_each(|z| *z = if *z <= 0.0 { 0.0 } else { *z }),
                Self::RnnlmSigmoid => values.iter_mut().for_each(|z| *z = rnnlm_sigmoid(*z)),
            },
        );
    }

    /// `gradient *= f'(z)`, computed from the outputs `y = f(z)`.
    pub(super) fn apply_derivative(self, gradient: &mut [f32], outputs: &[f32]) {
        vectorized(
            #[inline(always)]
            || {
                let pairs = gradient.iter_mut().zip(outputs);
                match self {
                    Self::Sigmoid | Self::RnnlmSigmoid => {
                        pairs.for_each(|(d, y)| *d *= y * (1.0 - y));
                    }
                    Self::Tanh => pairs.for_each(|(d, y)| *d *= 1.0 - y * y),
                    Self::Relu => pairs.for_each(|(d, y)| *d *= if *y > 0.0 { 1.0 } else { 0.0 }),
                }
            },
        );
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::TABLE
            .iter()
            .find(|row| row.1 == *self)
            .map_or("", |row| row.0);
        f.write_str(name)
    }
}

impl FromStr for Activation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::TABLE
            .iter()
            .find(|row| row.0 == text)
            .map(|row| row.1)
            .ok_or_else(|| {
                let names: Vec<_> = Self::TABLE.iter().map(|row| row.0).collect();
                Error::config(
                    "activation",
                    text,
                    "unknown activation",
                    format!("Use one of {}", names.join(", ")),
                )
            })
    }
}

/// `values = f(values)`, element by element.
#[derive(Debug, Clone, Copy)]
pub struct ActivationForward {
    /// f.
    pub activation: Activation,
    /// `[rows, columns]`, updated in place.
    pub values: Tensor,
}

/// `gradient *= f'(z)`, element by element, computed from the outputs `f(z)`.
#[derive(Debug, Clone, Copy)]
pub struct ActivationBackward {
    /// f.
    pub activation: Activation,
    /// `[rows, columns]`: f(z).
    pub values: Tensor,
    /// `[rows, columns]`, updated in place.
    pub gradient: Tensor,
}

arguments! { count: u32, values_offset: u32, gradient_offset: u32 }

const BINDINGS: &[(&str, Access)] = &[("values", Access::Write), ("gradient", Access::Write)];
pub(super) static FORWARD: Shader = Shader {
    stem: "activation",
    source: include_str!("../../shaders/activation.wgsl"),
    entry_point: "forward",
    bindings: BINDINGS.split_at(1).0,
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};
pub(super) static BACKWARD: Shader = Shader {
    entry_point: "backward",
    bindings: BINDINGS,
    ..FORWARD
};

impl Kernel for ActivationForward {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        for_row_chunks(
            cpu.threads(),
            &mut cpu.write(&self.values),
            1,
            |_, chunk| {
                self.activation.apply(chunk);
            },
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (values, values_offset) = Binding::with_offset(&self.values);
        gpu.launch(
            &FORWARD,
            &[("ACTIVATION", self.activation.constant())],
            &[values],
            &Arguments {
                count: to_u32(self.values.len()),
                values_offset,
                gradient_offset: 0,
            },
            workgroups(self.values.len(), 256),
        );
    }
}

impl Kernel for ActivationBackward {
    fn name(&self) -> &'static str {
        BACKWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let values = cpu.read(&self.values);
        let mut gradient = cpu.write(&self.gradient);
        let values = &*values;
        for_row_chunks(cpu.threads(), &mut gradient, 1, |first, chunk| {
            self.activation
                .apply_derivative(chunk, &values[first..][..chunk.len()]);
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (values, values_offset) = Binding::with_offset(&self.values);
        let (gradient, gradient_offset) = Binding::with_offset(&self.gradient);
        gpu.launch(
            &BACKWARD,
            &[("ACTIVATION", self.activation.constant())],
            &[values, gradient],
            &Arguments {
                count: to_u32(self.gradient.len()),
                values_offset,
                gradient_offset,
            },
            workgroups(self.gradient.len(), 256),
        );
    }
}
