//! Addition of a bias to every row.

pub(super) mod cases;

use super::parallel::{for_row_chunks, vectorized};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `values[row, :] += bias`.
#[derive(Debug, Clone, Copy)]
pub struct AddBias {
    /// `[1, columns]`.
    pub bias: Tensor,
    /// `[rows, columns]`, updated in place.
    pub values: Tensor,
}

arguments! { count: u32, columns: u32, bias_offset: u32, values_offset: u32 }

pub(super) static SHADER: Shader = Shader {
    stem: "add_bias",
    source: include_str!("../../shaders/add_bias.wgsl"),
    entry_point: "main",
    bindings: &[("bias", Access::Read), ("values", Access::Write)],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};

impl Kernel for AddBias {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let columns = self.values.columns();
        let bias = cpu.read(&self.bias);
        let mut values = cpu.write(&self.values);
        let bias = &*bias;
        for_row_chunks(cpu.threads(), &mut values, columns, |_, chunk| {
            vectorized(
                #[inline(always)]
                || {
                    for row in chunk.chunks_exact_mut(columns) {
                        row.iter_mut()
                            .zip(bias)
                            .for_each(|(value, bias)| *value += bias);
                    }
                },
            );
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (bias, bias_offset) = Binding::with_offset(&self.bias);
        let (values, values_offset) = Binding::with_offset(&self.values);
        gpu.launch(
            &SHADER,
            &[],
            &[bias, values],
            &Arguments {
                count: to_u32(self.values.len()),
                columns: to_u32(self.values.columns()),
                bias_offset,
                values_offset,
            },
            workgroups(self.values.len(), 256),
        );
    }
}
