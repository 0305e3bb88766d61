//! Activation regularization: the gradient of penalties on the size and the changes of a layer's
//! states.

pub(super) mod cases;

use super::parallel::{for_row_chunks, vectorized};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::{NONE, Tensor};

/// Adds the gradient of `activation/2 Σ d(t)² + temporal/2 Σ e(t)²` (Merity 2017). h(t) are the
/// states of a layer, d(t) is its output after dropout, and e(t) = h(t) - h(t-1):
///
/// ```text
/// gradient(t) += activation d(t) + temporal (e(t) - e(t+1))
/// ```
///
/// The caller multiplies `activation` by the derivative of d with respect to h, which is the same
/// for every d that is not 0. d(t) counts as 0 in rows that predict nothing. So does e(t), and also
/// at the window's first step and where the state is reset.
#[derive(Debug, Clone, Copy)]
pub struct ActivationPenalty {
    /// `[T*B, H]`: the gradient of h, which is added to.
    pub gradient: Tensor,
    /// `[T*B, H]`: h.
    pub states: Tensor,
    /// `[T*B, H]`: d. It may be `states`.
    pub output: Tensor,
    /// T*B tokens; rows whose target is [`NONE`] predict nothing.
    pub targets: Tensor<u32>,
    /// T*B tokens: the inputs.
    pub inputs: Tensor<u32>,
    /// B.
    pub batch: usize,
    /// The number of rows at the start that predict nothing.
    pub first: usize,
    /// Whether the state is reset where the input is the boundary, 0.
    pub resets: bool,
    /// The factor of d.
    pub activation: f32,
    /// The factor of e.
    pub temporal: f32,
}

arguments! {
    count: u32,
    columns: u32,
    batch: u32,
    first: u32,
    gradient_offset: u32,
    states_offset: u32,
    output_offset: u32,
    targets_offset: u32,
    inputs_offset: u32,
    activation: f32,
    temporal: f32,
}

pub(super) static SHADER: Shader = Shader {
    stem: "activation_penalty",
    source: include_str!("../../shaders/activation_penalty.wgsl"),
    entry_point: "main",
    bindings: &[
        ("gradient", Access::Write),
        ("states", Access::Read),
        ("output", Access::Read),
        ("targets", Access::Read),
        ("inputs", Access::Read),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};

impl Kernel for ActivationPenalty {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let columns = self.gradient.columns();
        let [states, output] = [&self.states, &self.output].map(|tensor| cpu.read(tensor));
        let [targets, inputs] = [&self.targets, &self.inputs].map(|tokens| cpu.read(tokens));
        let (states, output) = (rows_of(&states, columns), rows_of(&output, columns));
        let (targets, inputs) = (&*targets, &*inputs);
        let predicts = |row: usize| row >= self.first && targets[row] != NONE;
        let changes =
            |row: usize| row >= self.batch && predicts(row) && !(self.resets && inputs[row] == 0);
        let rows = self.gradient.rows();
        let add = |gradient: &mut [f32], factor: f32, values: &[f32]| {
            vectorized(
                #[inline(always)]
                || {
                    let pairs = gradient.iter_mut().zip(values);
                    pairs.for_each(|(gradient, value)| *gradient += factor * value);
                },
            );
        };
        let add_change = |gradient: &mut [f32], factor: f32, row: usize| {
            let (after, before) = (states(row), states(row - self.batch));
            vectorized(
                #[inline(always)]
                || {
                    let pairs = gradient.iter_mut().zip(after.iter().zip(before));
                    pairs.for_each(|(gradient, (h, previous))| {
                        *gradient += factor * (h - previous);
                    });
                },
            );
        };
        let mut gradient = cpu.write(&self.gradient);
        for_row_chunks(cpu.threads(), &mut gradient, columns, |first, chunk| {
            for (row, gradient) in (first..).zip(chunk.chunks_exact_mut(columns)) {
                if predicts(row) {
                    add(gradient, self.activation, output(row));
                }
                if changes(row) {
                    add_change(gradient, self.temporal, row);
                }
                let next = row + self.batch;
                if next < rows && changes(next) {
                    add_change(gradient, -self.temporal, next);
                }
            }
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let count = self.gradient.len();
        let (gradient, gradient_offset) = Binding::with_offset(&self.gradient);
        let (states, states_offset) = Binding::with_offset(&self.states);
        let (output, output_offset) = Binding::with_offset(&self.output);
        let (targets, targets_offset) = Binding::with_offset(&self.targets);
        let (inputs, inputs_offset) = Binding::with_offset(&self.inputs);
        gpu.launch(
            &SHADER,
            &[("RESETS", f64::from(u8::from(self.resets)))],
            &[gradient, states, output, targets, inputs],
            &Arguments {
                count: to_u32(count),
                columns: to_u32(self.gradient.columns()),
                batch: to_u32(self.batch),
                first: to_u32(self.first),
                gradient_offset,
                states_offset,
                output_offset,
                targets_offset,
                inputs_offset,
                activation: self.activation,
                temporal: self.temporal,
            },
            workgroups(count, 256),
        );
    }
}

/// The rows of a matrix by their index.
fn rows_of<'a>(values: &'a [f32], columns: usize) -> impl Fn(usize) -> &'a [f32] {
    move |row| &values[row * columns..][..columns]
}
