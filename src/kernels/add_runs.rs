//! Adding runs of a long row of numbers to runs of others: what hashed features say of words that
//! have neighbouring numbers.

use rayon::prelude::*;

use super::parallel::vectorised;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, Shard, arguments, to_u32, workgroups,
};
use crate::tensor::{NONE, Tensor};

/// `output[place + i] += Σ_k table[begin_k + i]` for each record's `length` numbers i; where the
/// table ends, so does the run.
#[derive(Debug, Clone, Copy)]
pub struct AddRuns {
    /// `[size / 32, 32]`, read as one long row; may be a table of several pieces.
    pub table: Tensor,
    /// `[count, 2 + order]`: place, length, and where the runs begin, [`NONE`] for one that there
    /// is not. No two records have a place in common, and places ascend.
    pub runs: Tensor<u32>,
    /// Any shape, changed in place.
    pub output: Tensor,
}

arguments! { count: u32, order: u32, first: u32, end: u32, runs_offset: u32, output_offset: u32 }

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
        let (table, runs, mut output) = (
            cpu.read(&self.table),
            cpu.read(&self.runs),
            cpu.write(&self.output),
        );
        let (table, fields) = (&*table, self.runs.columns());
        let share = self.runs.rows().div_ceil(cpu.threads()).max(1) * fields;
        let (mut rest, mut first, mut parts) = (&mut *output, 0, Vec::new());
        for records in runs.chunks(share) {
            let last = &records[records.len() - fields..];
            let end = (last[0] + last[1]) as usize;
            let (part, behind) = rest.split_at_mut(end - first);
            parts.push((records, part, first));
            (rest, first) = (behind, end);
        }
        parts.into_par_iter().for_each(|(records, part, first)| {
            vectorised(
                #[inline(always)]
                || {
                    for record in records.chunks_exact(fields) {
                        let output = &mut part[record[0] as usize - first..][..record[1] as usize];
                        for &begin in record[2..].iter().filter(|&&begin| begin != NONE) {
                            output
                                .iter_mut()
                                .zip(&table[begin as usize..])
                                .for_each(|(value, more)| *value += more);
                        }
                    }
                },
            );
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let ((runs, runs_offset), (output, output_offset)) = (
            Binding::with_offset(&self.runs),
            Binding::with_offset(&self.output),
        );
        let (count, columns) = (self.runs.rows(), self.table.columns());
        for Shard { rows, tensor } in gpu.shards(&self.table) {
            gpu.launch(
                &SHADER,
                &[],
                &[Binding::whole(&tensor), runs, output],
                &Arguments {
                    count: to_u32(count),
                    order: to_u32(self.runs.columns() - 2),
                    first: to_u32(rows.start * columns),
                    end: to_u32(rows.end * columns),
                    runs_offset,
                    output_offset,
                },
                workgroups(count, 1),
            );
        }
    }
}
