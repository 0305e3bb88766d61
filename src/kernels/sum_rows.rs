//! Column sums: the gradient of a bias.

use super::parallel::vectorised;
use crate::device::{Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, index};
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

arguments! { rows: u32, columns: u32, values_offset: u32 }

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
        vectorised(|| {
            for row in values.chunks_exact(output.len()) {
                output.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (values, values_offset) = Binding::with_offset(&self.values);
        let (rows, columns) = (self.values.rows(), self.values.columns());
        gpu.launch(
            &SHADER,
            &[("ACCUMULATE", f64::from(u8::from(self.accumulate)))],
            &[values, Binding::whole(&self.output)],
            &Arguments { rows: index(rows), columns: index(columns), values_offset },
            [index(columns.div_ceil(16)), 1, 1],
        );
    }
}
