//! Addition of runs of a table, read as a flat array, to runs of the output: the contribution of
//! hashed n-gram features to the logits of words with adjacent token ids.

pub(super) mod cases;

use rayon::prelude::*;

use super::parallel::vectorized;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, Shard, arguments, to_u32, workgroups,
};
use crate::tensor::{NONE, Tensor};

/// `output[offset + i] += Σ_k table[start_k + i]` for each record and each i below its `length`. A
/// run is truncated at the end of the table.
#[derive(Debug, Clone, Copy)]
pub struct AddRuns {
    /// `[size / 32, 32]`, read as a flat array; may be a sharded table.
    pub table: Tensor,
    /// `[count, 2 + order]`, one record per row: the offset in the output, the length, and the
    /// offsets of the runs in the table, or [`NONE`] for no run. Records are sorted by their output
    /// ranges, which do not overlap.
    pub runs: Tensor<u32>,
    /// Any shape, updated in place.
    pub output: Tensor,
}

arguments! {
    count: u32,
    order: u32,
    first_element: u32,
    end_element: u32,
    runs_offset: u32,
    output_offset: u32,
}

pub(super) static SHADER: Shader = Shader {
    stem: "add_runs",
    source: include_str!("../../shaders/add_runs.wgsl"),
    entry_point: "main",
    bindings: &[
        ("table", Access::Read),
        ("runs", Access::Read),
        ("output", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};

impl Kernel for AddRuns {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let table = cpu.read(&self.table);
        let runs = cpu.read(&self.runs);
        let mut output = cpu.write(&self.output);
        let table = &*table;
        let fields = self.runs.columns();
        let chunk_len = self.runs.rows().div_ceil(cpu.threads()).max(1) * fields;
        let mut rest = &mut *output;
        let mut first = 0;
        let mut chunks = Vec::new();
        for records in runs.chunks(chunk_len) {
            let last = &records[records.len() - fields..];
            let end = (last[0] + last[1]) as usize;
            let (chunk, after) = rest.split_at_mut(end - first);
            chunks.push((records, chunk, first));
            rest = after;
            first = end;
        }
        chunks.into_par_iter().for_each(|(records, chunk, first)| {
            vectorized(
                #[inline(always)]
                || {
                    for record in records.chunks_exact(fields) {
                        let output = &mut chunk[record[0] as usize - first..][..record[1] as usize];
                        for &start in record[2..].iter().filter(|&&start| start != NONE) {
                            output
                                .iter_mut()
                                .zip(&table[start as usize..])
                                .for_each(|(value, addend)| *value += addend);
                        }
                    }
                },
            );
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (runs, runs_offset) = Binding::with_offset(&self.runs);
        let (output, output_offset) = Binding::with_offset(&self.output);
        let count = self.runs.rows();
        let columns = self.table.columns();
        for Shard { rows, tensor } in gpu.shards(&self.table) {
            gpu.launch(
                &SHADER,
                &[],
                &[Binding::whole(&tensor), runs, output],
                &Arguments {
                    count: to_u32(count),
                    order: to_u32(self.runs.columns() - 2),
                    first_element: to_u32(rows.start * columns),
                    end_element: to_u32(rows.end * columns),
                    runs_offset,
                    output_offset,
                },
                workgroups(count, 1),
            );
        }
    }
}
