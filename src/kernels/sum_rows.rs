//! Column sums: the gradient of a bias.

pub(super) mod cases;

use rayon::prelude::*;

use super::parallel::{MIN_PARALLEL_ELEMENTS, rows_per_chunk, vectorized};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, OPERATIONS_PER_ACCESS, Shader, arguments,
    to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `output[column] = Σ values[row, column]` over all rows, or `+=` if `accumulate` is set.
#[derive(Debug, Clone, Copy)]
pub struct SumRows {
    /// `[rows, columns]`.
    pub values: Tensor,
    /// `[1, columns]`.
    pub output: Tensor,
    /// `[1, columns]`, overwritten with the same values as the output.
    pub copy: Option<Tensor>,
    /// Whether to add the sums to the output instead of replacing it.
    pub accumulate: bool,
}

arguments! {
    rows: u32,
    columns: u32,
    values_offset: u32,
    output_offset: u32,
    copy_offset: u32,
}

pub(super) static SHADER: Shader = Shader {
    stem: "sum_rows",
    source: include_str!("../../shaders/sum_rows.wgsl"),
    entry_point: "main",
    bindings: &[
        ("values", Access::Read),
        ("output", Access::Write),
        ("output_copy", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};

impl SumRows {
    fn sums_on_cpu(&self, cpu: &Cpu) {
        let values = cpu.read(&self.values);
        let mut output = cpu.write(&self.output);
        if !self.accumulate {
            output.fill(0.0);
        }
        let columns = output.len();
        if values.len() < MIN_PARALLEL_ELEMENTS {
            return add_rows(&values, &mut output);
        }
        // Chunks of rows, so that every thread reads adjacent memory.
        let chunk_rows = rows_per_chunk(cpu.threads(), values.len() / columns);
        let sums: Vec<_> = values
            .par_chunks(chunk_rows * columns)
            .map(|rows| {
                let mut sum = vec![0.0; columns];
                add_rows(rows, &mut sum);
                sum
            })
            .collect();
        add_rows(&sums.concat(), &mut output);
    }
}

impl Kernel for SumRows {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        self.sums_on_cpu(cpu);
        if let Some(copy) = &self.copy {
            cpu.copy(&self.output, copy);
        }
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (values, values_offset) = Binding::with_offset(&self.values);
        let (output, output_offset) = Binding::with_offset(&self.output);
        // Without a copy, the third binding is not written.
        let (copy, copy_offset) = self
            .copy
            .map_or_else(|| (gpu.scratch(), 0), |copy| Binding::with_offset(&copy));
        let rows = self.values.rows();
        let columns = self.values.columns();
        gpu.launch_work(
            &SHADER,
            &[
                ("ACCUMULATE", f64::from(u8::from(self.accumulate))),
                ("COPY", f64::from(u8::from(self.copy.is_some()))),
            ],
            &[values, output, copy],
            &Arguments {
                rows: to_u32(rows),
                columns: to_u32(columns),
                values_offset,
                output_offset,
                copy_offset,
            },
            workgroups(columns, 16),
            self.values.len() as u64 * OPERATIONS_PER_ACCESS,
        );
    }
}

/// `sums[column] += Σ values[row, column]`.
fn add_rows(values: &[f32], sums: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            let mut row_groups = values.chunks_exact(4 * sums.len());
            for rows in &mut row_groups {
                let [a, b, c, d] = [0, 1, 2, 3].map(|row| &rows[row * sums.len()..][..sums.len()]);
                let rows = a.iter().zip(b).zip(c.iter().zip(d));
                sums.iter_mut()
                    .zip(rows)
                    .for_each(|(sum, ((a, b), (c, d)))| *sum += (a + b) + (c + d));
            }
            for row in row_groups.remainder().chunks_exact(sums.len()) {
                sums.iter_mut()
                    .zip(row)
                    .for_each(|(sum, value)| *sum += value);
            }
        },
    );
}
