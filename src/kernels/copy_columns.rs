//! Copying of columns from one matrix to another: concatenation of rows, and its gradient.

pub(super) mod cases;

use super::parallel::for_row_chunks;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `output[row, output_column + c] = input[row, input_column + c]` for every row and `columns`
/// values of c. Other columns of the output keep their values.
#[derive(Debug, Clone, Copy)]
pub struct CopyColumns {
    /// `[rows, at least input_column + columns]`.
    pub input: Tensor,
    /// The first column that is read.
    pub input_column: usize,
    /// `[rows, at least output_column + columns]`, in another buffer.
    pub output: Tensor,
    /// The first column that is written.
    pub output_column: usize,
    /// Number of columns.
    pub columns: usize,
}

arguments! {
    rows: u32,
    columns: u32,
    input_columns: u32,
    output_columns: u32,
    input_offset: u32,
    output_offset: u32,
}

pub(super) static SHADER: Shader = Shader {
    stem: "copy_columns",
    source: include_str!("../../shaders/copy_columns.wgsl"),
    entry_point: "main",
    bindings: &[("input", Access::Read), ("output", Access::Write)],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};

impl Kernel for CopyColumns {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let [from, to] = [self.input.columns(), self.output.columns()];
        let input = cpu.read(&self.input);
        let mut output = cpu.write(&self.output);
        let input = &*input;
        for_row_chunks(cpu.threads(), &mut output, to, |first, chunk| {
            for (row, output) in (first..).zip(chunk.chunks_exact_mut(to)) {
                let values = &input[row * from + self.input_column..][..self.columns];
                output[self.output_column..][..self.columns].copy_from_slice(values);
            }
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (input, input_offset) = Binding::with_offset(&self.input);
        let (output, output_offset) = Binding::with_offset(&self.output);
        let rows = self.output.rows();
        gpu.launch(
            &SHADER,
            &[],
            &[input, output],
            &Arguments {
                rows: to_u32(rows),
                columns: to_u32(self.columns),
                input_columns: to_u32(self.input.columns()),
                output_columns: to_u32(self.output.columns()),
                input_offset: input_offset + to_u32(self.input_column),
                output_offset: output_offset + to_u32(self.output_column),
            },
            workgroups(rows * self.columns, 256),
        );
    }
}
