//! The gate of a round of a mogrifier, forward and backward.

pub(super) mod cases;

use rayon::prelude::*;

use super::math::Math;
use super::parallel::{MIN_PARALLEL_ELEMENTS, rows_per_chunk, vectorized_math};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `gates = 2σ(gates + bias)`, then `output = gates * input` (Melis 2020).
#[derive(Debug, Clone, Copy)]
pub struct MogrifyForward {
    /// `[rows, columns]`, updated in place.
    pub gates: Tensor,
    /// `[1, columns]`.
    pub bias: Option<Tensor>,
    /// `[rows, columns]`, in another buffer than the others.
    pub input: Tensor,
    /// `[rows, columns]`, overwritten.
    pub output: Tensor,
}

/// The gradient of [`MogrifyForward`]; g are the gates:
///
/// ```text
/// gates    = gradient * input * g (1 - g / 2)      the gradient of what was in gates before
/// gradient = gradient * g                          from that of the output to that of the input
/// ```
#[derive(Debug, Clone, Copy)]
pub struct MogrifyBackward {
    /// `[rows, columns]`, updated in place.
    pub gates: Tensor,
    /// `[rows, columns]`: the input of the forward kernel, in another buffer than the others.
    pub input: Tensor,
    /// `[rows, columns]`, updated in place.
    pub gradient: Tensor,
}

arguments! {
    count: u32,
    columns: u32,
    gates_offset: u32,
    input_offset: u32,
    output_offset: u32,
    bias_offset: u32,
}

pub(super) static FORWARD: Shader = Shader {
    stem: "mogrify",
    source: include_str!("../../shaders/mogrify.wgsl"),
    entry_point: "forward",
    bindings: &[
        ("gates", Access::Write),
        ("output", Access::Write),
        ("input", Access::Read),
        ("bias", Access::Read),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};
pub(super) static BACKWARD: Shader = Shader {
    entry_point: "backward",
    bindings: &[
        ("gates", Access::Write),
        ("gradient", Access::Write),
        ("input", Access::Read),
    ],
    ..FORWARD
};

/// Calls `work` on the same rows of `gates`, `output` and `input`, in parallel unless they are few.
fn for_rows(
    cpu: &Cpu,
    columns: usize,
    [gates, output]: [&mut [f32]; 2],
    input: &[f32],
    work: impl Fn(Math, [&mut [f32]; 2], &[f32]) + Sync,
) {
    let threads = match gates.len() < MIN_PARALLEL_ELEMENTS {
        true => 1,
        false => cpu.threads(),
    };
    let chunk = rows_per_chunk(threads, gates.len() / columns) * columns;
    gates
        .par_chunks_mut(chunk)
        .zip(output.par_chunks_mut(chunk))
        .zip(input.par_chunks(chunk))
        .for_each(|((gates, output), input)| {
            vectorized_math(
                #[inline(always)]
                |math| work(math, [gates, output], input),
            );
        });
}

impl Kernel for MogrifyForward {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let columns = self.gates.columns();
        let bias = self.bias.map(|bias| cpu.read(&bias));
        let bias = bias.as_deref();
        let input = cpu.read(&self.input);
        let mut gates = cpu.write(&self.gates);
        let mut output = cpu.write(&self.output);
        for_rows(
            cpu,
            columns,
            [&mut gates, &mut output],
            &input,
            #[inline(always)]
            |math, [gates, output], input| {
                if let Some(bias) = bias {
                    for row in gates.chunks_exact_mut(columns) {
                        row.iter_mut().zip(bias).for_each(|(z, bias)| *z += bias);
                    }
                }
                for ((gate, output), input) in gates.iter_mut().zip(output).zip(input) {
                    *gate = 2.0 * math.sigmoid(*gate);
                    *output = *gate * input;
                }
            },
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (gates, gates_offset) = Binding::with_offset(&self.gates);
        let (input, input_offset) = Binding::with_offset(&self.input);
        let (output, output_offset) = Binding::with_offset(&self.output);
        let (bias, bias_offset) = Binding::with_offset(&self.bias.unwrap_or(self.input));
        gpu.launch(
            &FORWARD,
            &[("HAS_BIAS", f64::from(u8::from(self.bias.is_some())))],
            &[gates, output, input, bias],
            &Arguments {
                count: to_u32(self.gates.len()),
                columns: to_u32(self.gates.columns()),
                gates_offset,
                input_offset,
                output_offset,
                bias_offset,
            },
            workgroups(self.gates.len(), 256),
        );
    }
}

impl Kernel for MogrifyBackward {
    fn name(&self) -> &'static str {
        BACKWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let input = cpu.read(&self.input);
        let mut gates = cpu.write(&self.gates);
        let mut gradient = cpu.write(&self.gradient);
        for_rows(
            cpu,
            self.gates.columns(),
            [&mut gates, &mut gradient],
            &input,
            #[inline(always)]
            |_, [gates, gradient], input| {
                for ((gate, gradient), input) in gates.iter_mut().zip(gradient).zip(input) {
                    let value = *gate;
                    *gate = *gradient * input * (value * (1.0 - 0.5 * value));
                    *gradient *= value;
                }
            },
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (gates, gates_offset) = Binding::with_offset(&self.gates);
        let (input, input_offset) = Binding::with_offset(&self.input);
        let (gradient, output_offset) = Binding::with_offset(&self.gradient);
        gpu.launch(
            &BACKWARD,
            &[],
            &[gates, gradient, input],
            &Arguments {
                count: to_u32(self.gates.len()),
                columns: to_u32(self.gates.columns()),
                gates_offset,
                input_offset,
                output_offset,
                bias_offset: 0,
            },
            workgroups(self.gates.len(), 256),
        );
    }
}
