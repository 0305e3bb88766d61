//! Multiplication of each row by its factor.

pub(super) mod cases;

use super::parallel::{for_row_chunks, vectorized};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `output[row, :] = factors[row] * input[row, :]`.
#[derive(Debug, Clone, Copy)]
pub struct ScaleRows {
    /// `[rows, columns]`.
    pub input: Tensor,
    /// `rows` factors.
    pub factors: Tensor,
    /// `[rows, columns]`, overwritten. Either `input` itself or a tensor in another buffer.
    pub output: Tensor,
}

arguments! {
    count: u32,
    columns: u32,
    input_offset: u32,
    output_offset: u32,
    factors_offset: u32,
}

pub(super) static COPY: Shader = Shader {
    stem: "scale_rows",
    source: include_str!("../../shaders/scale_rows.wgsl"),
    entry_point: "copy",
    bindings: &[
        ("output", Access::Write),
        ("factors", Access::Read),
        ("input", Access::Read),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};
pub(super) static IN_PLACE: Shader = Shader {
    entry_point: "in_place",
    bindings: COPY.bindings.split_at(2).0,
    ..COPY
};

impl Kernel for ScaleRows {
    fn name(&self) -> &'static str {
        COPY.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        if self.input != self.output {
            cpu.copy(&self.input, &self.output);
        }
        let columns = self.output.columns();
        let factors = cpu.read(&self.factors);
        let factors = &*factors;
        let mut output = cpu.write(&self.output);
        for_row_chunks(cpu.threads(), &mut output, columns, |first, chunk| {
            vectorized(
                #[inline(always)]
                || {
                    for (row, factor) in chunk.chunks_exact_mut(columns).zip(&factors[first..]) {
                        row.iter_mut().for_each(|value| *value *= factor);
                    }
                },
            );
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (input, input_offset) = Binding::with_offset(&self.input);
        let (output, output_offset) = Binding::with_offset(&self.output);
        let (factors, factors_offset) = Binding::with_offset(&self.factors);
        let arguments = Arguments {
            count: to_u32(self.output.len()),
            columns: to_u32(self.output.columns()),
            input_offset,
            output_offset,
            factors_offset,
        };
        let (shader, bindings) = if input == output {
            (&IN_PLACE, &[output, factors][..])
        } else {
            (&COPY, &[output, factors, input][..])
        };
        gpu.launch(
            shader,
            &[],
            bindings,
            &arguments,
            workgroups(self.output.len(), 256),
        );
    }
}
