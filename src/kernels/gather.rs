//! Embedding lookup: the rows of a table for given tokens, equal to a product with one-hot vectors.

pub(super) mod cases;

use super::parallel::for_row_chunks;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::{NONE, Tensor};

/// `output[row] = table[tokens[row]]`, or zeros if the token is [`NONE`].
#[derive(Debug, Clone, Copy)]
pub struct Gather {
    /// `[V, columns]`; may be a sharded table.
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
    first_row: u32,
    end_row: u32,
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
        let table = cpu.read(&self.table);
        let tokens = cpu.read(&self.tokens);
        let mut output = cpu.write(&self.output);
        let table = &*table;
        let tokens = &*tokens;
        for_row_chunks(cpu.threads(), &mut output, columns, |first, chunk| {
            for (row, &token) in chunk.chunks_exact_mut(columns).zip(&tokens[first..]) {
                if token == NONE {
                    row.fill(0.0);
                } else {
                    row.copy_from_slice(&table[token as usize * columns..][..columns]);
                }
            }
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (tokens, tokens_offset) = Binding::with_offset(&self.tokens);
        let (output, output_offset) = Binding::with_offset(&self.output);
        for shard in gpu.shards(&self.table) {
            let (table, table_offset) = Binding::with_offset(&shard.tensor);
            gpu.launch(
                &SHADER,
                &[],
                &[table, tokens, output],
                &Arguments {
                    columns: to_u32(self.output.columns()),
                    rows: to_u32(self.output.rows()),
                    table_offset,
                    tokens_offset,
                    output_offset,
                    first_row: to_u32(shard.rows.start),
                    end_row: to_u32(shard.rows.end),
                },
                workgroups(self.output.rows(), 1),
            );
        }
    }
}
