//! Looking up rows of a table: the product with one-hot vectors, never multiplied out.

use super::parallel::for_row_parts;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, Shard, arguments, to_u32, workgroups,
};
use crate::tensor::{NONE, Tensor};

/// `output[row] = table[tokens[row]]`; a row of zeros where the token is [`NONE`].
#[derive(Debug, Clone, Copy)]
pub struct Gather {
    /// `[V, columns]`; may be a table of several pieces.
    pub table: Tensor,
    /// `rows` tokens, each below V or [`NONE`].
    pub tokens: Tensor<u32>,
    /// `[rows, columns]`, overwritten.
    pub output: Tensor,
}

arguments! {
    columns: u32,
    rows: u32,
    table_offset: u32,
    tokens_offset: u32,
    output_offset: u32,
    first: u32,
    end: u32,
}

pub(super) static SHADER: Shader = Shader {
    stem: "gather",
    source: include_str!("../../shaders/gather.wgsl"),
    entry_point: "main",
    bindings: &[
        ("table", Access::Read),
        ("tokens", Access::Read),
        ("output", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};

impl Kernel for Gather {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let columns = self.output.columns();
        let (table, tokens, mut output) = (
            cpu.read(&self.table),
            cpu.read(&self.tokens),
            cpu.write(&self.output),
        );
        let (table, tokens) = (&*table, &*tokens);
        for_row_parts(cpu.threads(), &mut output, columns, |first, part| {
            for (row, &token) in part.chunks_exact_mut(columns).zip(&tokens[first..]) {
                if token == NONE {
                    row.fill(0.0);
                } else {
                    row.copy_from_slice(&table[token as usize * columns..][..columns]);
                }
            }
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let ((tokens, tokens_offset), (output, output_offset)) = (
            Binding::with_offset(&self.tokens),
            Binding::with_offset(&self.output),
        );
        let (rows, columns) = (to_u32(self.output.rows()), to_u32(self.output.columns()));
        for Shard { rows: part, tensor } in gpu.shards(&self.table) {
            let (table, table_offset) = Binding::with_offset(&tensor);
            let (first, end) = (to_u32(part.start), to_u32(part.end));
            gpu.launch(
                &SHADER,
                &[],
                &[table, tokens, output],
                &Arguments {
                    columns,
                    rows,
                    table_offset,
                    tokens_offset,
                    output_offset,
                    first,
                    end,
                },
                workgroups(self.output.rows(), 1),
            );
        }
    }
}
