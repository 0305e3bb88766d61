//! Column sums: the gradient of a bias.

use rayon::prelude::*;

use super::parallel::{SMALLEST_SPLIT, rows_per_part, vectorised};
use crate::device::{Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32};
use crate::tensor::Tensor;

/// `output[column] = Σ values[row, column]` over the rows, or `+=` where `accumulate`.
#[derive(Debug, Clone, Copy)]
pub struct SumRows {
    /// `[rows, columns]`.
    pub values: Tensor,
    /// `[1, columns]`.
    pub output: Tensor,
    /// Whether the sums are added to the output instead of replacing it.
    pub accumulate: bool,
}

arguments! { rows: u32, columns: u32, values_offset: u32, output_offset: u32 }

pub(super) static SHADER: Shader = Shader {
    stem: "sum_rows",
    source: include_str!("../../shaders/sum_rows.wgsl"),
    entry_point: "main",
    bindings: &[("values", Access::Read), ("output", Access::Write)],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};

impl Kernel for SumRows {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let (values, mut output) = (cpu.read(&self.values), cpu.write(&self.output));
        if !self.accumulate {
            output.fill(0.0);
        }
        let (values, columns) = (&*values, output.len());
        let part = if values.len() < SMALLEST_SPLIT {
            columns
        } else {
            rows_per_part(cpu.threads(), columns)
        };
        output
            .par_chunks_mut(part)
            .enumerate()
            .for_each(|(number, output)| {
                let (first, width) = (number * part, output.len());
                vectorised(
                    #[inline(always)]
                    || {
                        let mut fours = values.chunks_exact(4 * columns);
                        for rows in &mut fours {
                            let [a, b, c, d] =
                                [0, 1, 2, 3].map(|row| &rows[row * columns + first..][..width]);
                            let rows = a.iter().zip(b).zip(c.iter().zip(d));
                            output
                                .iter_mut()
                                .zip(rows)
                                .for_each(|(sum, ((a, b), (c, d)))| *sum += (a + b) + (c + d));
                        }
                        for row in fours.remainder().chunks_exact(columns) {
                            output
                                .iter_mut()
                                .zip(&row[first..][..width])
                                .for_each(|(sum, value)| *sum += value);
                        }
                    },
                );
            });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let ((values, values_offset), (output, output_offset)) = (
            Binding::with_offset(&self.values),
            Binding::with_offset(&self.output),
        );
        let (rows, columns) = (self.values.rows(), self.values.columns());
        gpu.launch(
            &SHADER,
            &[("ACCUMULATE", f64::from(u8::from(self.accumulate)))],
            &[values, output],
            &Arguments {
                rows: to_u32(rows),
                columns: to_u32(columns),
                values_offset,
                output_offset,
            },
            [to_u32(columns.div_ceil(16)), 1, 1],
        );
    }
}
