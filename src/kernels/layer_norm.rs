//! Layer normalization of rows with a gain.

pub(super) mod cases;

use rayon::prelude::*;

use super::parallel::{MIN_PARALLEL_ELEMENTS, rows_per_chunk, vectorized};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, OPERATIONS_PER_ACCESS, Shader, arguments,
    to_u32, workgroups,
};
use crate::tensor::Tensor;

/// What is added to a variance before its square root is taken: that of PyTorch.
const VARIANCE_OFFSET: f32 = 1e-5;

/// For every row x (Ba 2016), ε being 1e-5:
///
/// ```text
/// x̂ = (x - mean(x)) / √(var(x) + ε)          output = gain x̂
/// ```
///
/// or `output += gain x̂` if `accumulate` is set.
#[derive(Debug, Clone, Copy)]
pub struct LayerNormForward {
    /// x, `[rows, columns]`.
    pub input: Tensor,
    /// `[1, columns]`.
    pub gain: Tensor,
    /// `[rows, columns]`, in another buffer.
    pub output: Tensor,
    /// Whether to add to the output instead of replacing it.
    pub accumulate: bool,
}

/// The gradient of [`LayerNormForward`], where dy is that of its output:
///
/// ```text
/// d = gain dy                              dx = (d - mean(d) - x̂ mean(d x̂)) / √(var(x) + ε)
/// ```
///
/// The gain's gradient is the sum of x̂ dy over the rows.
#[derive(Debug, Clone, Copy)]
pub struct LayerNormBackward {
    /// x, `[rows, columns]`, overwritten with x̂ dy.
    pub input: Tensor,
    /// `[1, columns]`.
    pub gain: Tensor,
    /// dy, `[rows, columns]`.
    pub output_gradient: Tensor,
    /// `[rows, columns]`, overwritten with dx. In another buffer than the others.
    pub input_gradient: Tensor,
}

arguments! {
    rows: u32,
    columns: u32,
    input_offset: u32,
    gain_offset: u32,
    output_offset: u32,
    gradient_offset: u32,
}

pub(super) static FORWARD: Shader = Shader {
    stem: "layer_norm",
    source: concat!(
        include_str!("../../shaders/layer_norm.wgsl"),
        include_str!("../../shaders/online_softmax.wgsl"),
        include_str!("../../shaders/workgroup_reduction.wgsl")
    ),
    entry_point: "forward",
    bindings: &[
        ("input", Access::Write),
        ("gain", Access::Read),
        ("output", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};
pub(super) static BACKWARD: Shader = Shader {
    entry_point: "backward",
    bindings: &[
        ("input", Access::Write),
        ("gain", Access::Read),
        ("output_gradient", Access::Read),
        ("input_gradient", Access::Write),
    ],
    ..FORWARD
};

/// Passes over the elements of a row, for the estimate of a dispatch's time.
const PASSES: u64 = 4;

/// The mean of a row, and the inverse of its standard deviation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statistics {
    mean: f32,
    pub(super) scale: f32,
}

impl Statistics {
    #[inline(always)]
    pub(super) fn of(row: &[f32]) -> Self {
        let count = row.len() as f32;
        let mean = sum(row.iter().copied()) / count;
        let squares = row.iter().map(|x| (x - mean) * (x - mean));
        let variance = sum(squares) / count;
        Self {
            mean,
            scale: 1.0 / (variance + VARIANCE_OFFSET).sqrt(),
        }
    }

    /// x̂ of an element.
    #[inline(always)]
    pub(super) fn normalized(self, x: f32) -> f32 {
        (x - self.mean) * self.scale
    }
}

/// The means of d and of d x̂ over a row, which its backward pass subtracts.
#[inline(always)]
pub(super) fn backward_means(pairs: impl Iterator<Item = (f32, f32)> + Clone) -> [f32; 2] {
    let count = pairs.clone().count() as f32;
    let products = pairs.clone().map(|(d, normalized)| d * normalized);
    [sum(pairs.map(|(d, _)| d)), sum(products)].map(|sum| sum / count)
}

/// A sum, in f64: the rows are long, and their differences from the mean may be small.
#[inline(always)]
fn sum(values: impl Iterator<Item = f32>) -> f32 {
    values.map(f64::from).sum::<f64>() as f32
}

/// The rows of each of the chunks that threads share.
fn chunk_rows(cpu: &Cpu, rows: usize, elements: usize) -> usize {
    let chunks = match elements < MIN_PARALLEL_ELEMENTS {
        true => 1,
        false => cpu.threads(),
    };
    rows_per_chunk(chunks, rows)
}

impl Kernel for LayerNormForward {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let columns = self.output.columns();
        let chunk = chunk_rows(cpu, self.output.rows(), self.output.len()) * columns;
        let input = cpu.read(&self.input);
        let gain = &*cpu.read(&self.gain);
        let mut output = cpu.write(&self.output);
        let accumulate = self.accumulate;
        let chunks = output.par_chunks_mut(chunk).zip(input.par_chunks(chunk));
        chunks.for_each(|(output, input)| {
            vectorized(
                #[inline(always)]
                || {
                    let rows = output.chunks_exact_mut(columns);
                    for (output, row) in rows.zip(input.chunks_exact(columns)) {
                        let of_row = Statistics::of(row);
                        for (output, (x, gain)) in output.iter_mut().zip(row.iter().zip(gain)) {
                            let before = if accumulate { *output } else { 0.0 };
                            *output = before + gain * of_row.normalized(*x);
                        }
                    }
                },
            );
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (input, input_offset) = Binding::with_offset(&self.input);
        let (gain, gain_offset) = Binding::with_offset(&self.gain);
        let (output, output_offset) = Binding::with_offset(&self.output);
        gpu.launch_work(
            &FORWARD,
            &[("ACCUMULATE", f64::from(u8::from(self.accumulate)))],
            &[input, gain, output],
            &Arguments {
                rows: to_u32(self.input.rows()),
                columns: to_u32(self.input.columns()),
                input_offset,
                gain_offset,
                output_offset,
                gradient_offset: 0,
            },
            workgroups(self.input.rows(), 1),
            PASSES * self.input.len() as u64 * OPERATIONS_PER_ACCESS,
        );
    }
}

impl Kernel for LayerNormBackward {
    fn name(&self) -> &'static str {
        BACKWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let columns = self.input.columns();
        let chunk = chunk_rows(cpu, self.input.rows(), self.input.len()) * columns;
        let gain = &*cpu.read(&self.gain);
        let output_gradient = cpu.read(&self.output_gradient);
        let mut input = cpu.write(&self.input);
        let mut input_gradient = cpu.write(&self.input_gradient);
        let chunks = input
            .par_chunks_mut(chunk)
            .zip(input_gradient.par_chunks_mut(chunk))
            .zip(output_gradient.par_chunks(chunk));
        chunks.for_each(|((input, input_gradient), output_gradient)| {
            vectorized(
                #[inline(always)]
                || {
                    let rows = input
                        .chunks_exact_mut(columns)
                        .zip(input_gradient.chunks_exact_mut(columns))
                        .zip(output_gradient.chunks_exact(columns));
                    for ((row, dx), dy) in rows {
                        backward_row(row, gain, dy, dx);
                    }
                },
            );
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (input, input_offset) = Binding::with_offset(&self.input);
        let (gain, gain_offset) = Binding::with_offset(&self.gain);
        let (output_gradient, output_offset) = Binding::with_offset(&self.output_gradient);
        let (input_gradient, gradient_offset) = Binding::with_offset(&self.input_gradient);
        gpu.launch_work(
            &BACKWARD,
            &[],
            &[input, gain, output_gradient, input_gradient],
            &Arguments {
                rows: to_u32(self.input.rows()),
                columns: to_u32(self.input.columns()),
                input_offset,
                gain_offset,
                output_offset,
                gradient_offset,
            },
            workgroups(self.input.rows(), 1),
            2 * PASSES * self.input.len() as u64 * OPERATIONS_PER_ACCESS,
        );
    }
}

/// Writes dx, and replaces x by x̂ dy.
#[inline(always)]
fn backward_row(row: &mut [f32], gain: &[f32], dy: &[f32], dx: &mut [f32]) {
    let of_row = Statistics::of(row);
    let scaled = gain.iter().zip(dy).map(|(gain, dy)| gain * dy);
    let normalized = row.iter().map(|x| of_row.normalized(*x));
    let [mean, mean_product] = backward_means(scaled.clone().zip(normalized));
    let gradients = dx.iter_mut().zip(dy).zip(scaled);
    for (x, ((dx, dy), d)) in row.iter_mut().zip(gradients) {
        let normalized = of_row.normalized(*x);
        *dx = (d - mean - normalized * mean_product) * of_row.scale;
        *x = normalized * dy;
    }
}
