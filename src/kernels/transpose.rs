//! Turning a matrix over, where a kernel reads it better that way.

use crate::device::{Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, index};
use crate::tensor::Tensor;

/// `output[j, i] = input[i, j]`.
#[derive(Debug, Clone, Copy)]
pub struct Transpose {
    /// `[rows, columns]`.
    pub input: Tensor,
    /// `[columns, rows]`, overwritten.
    pub output: Tensor,
}

arguments! { rows: u32, columns: u32 }

pub(super) static SHADER: Shader = Shader {
    stem: "transpose",
    source: include_str!("../../shaders/transpose.wgsl"),
    entry_point: "main",
    bindings: &[("input", Access::Read), ("output", Access::Write)],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};

impl Kernel for Transpose {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let (rows, columns) = (self.input.rows(), self.input.columns());
        let (input, mut output) = (cpu.read(&self.input), cpu.write(&self.output));
        for (i, row) in input.chunks_exact(columns).enumerate() {
            for (j, &value) in row.iter().enumerate() {
                output[j * rows + i] = value;
            }
        }
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (rows, columns) = (self.input.rows(), self.input.columns());
        gpu.launch(
            &SHADER,
            &[],
            &[Binding::whole(&self.input), Binding::whole(&self.output)],
            &Arguments { rows: index(rows), columns: index(columns) },
            [index(columns.div_ceil(16)), index(rows.div_ceil(16)), 1],
        );
    }
}
