//! Matrix transpose, for kernels that read a transposed matrix faster.

pub(super) mod cases;

use super::parallel::for_row_chunks;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
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

/// Rows of the input that are read together: the number of values in a cache line of the output.
const BLOCK: usize = 16;

impl Kernel for Transpose {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let rows = self.input.rows();
        let columns = self.input.columns();
        let input = cpu.read(&self.input);
        let mut output = cpu.write(&self.output);
        let input = &*input;
        for_row_chunks(cpu.threads(), &mut output, rows, |first, chunk| {
            for start in (0..rows).step_by(BLOCK) {
                let block = start..(start + BLOCK).min(rows);
                for (column, line) in chunk.chunks_exact_mut(rows).enumerate() {
                    let values = block
                        .clone()
                        .map(|row| input[row * columns + first + column]);
                    line[block.clone()]
                        .iter_mut()
                        .zip(values)
                        .for_each(|(output, value)| *output = value);
                }
            }
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let rows = self.input.rows();
        let columns = self.input.columns();
        gpu.launch(
            &SHADER,
            &[],
            &[Binding::whole(&self.input), Binding::whole(&self.output)],
            &Arguments {
                rows: to_u32(rows),
                columns: to_u32(columns),
            },
            workgroups(columns.div_ceil(16) * rows.div_ceil(16), 1),
        );
    }
}
