//! Setting of the rows of streams that are reset.

pub(super) mod cases;

use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `values[row, :] = value` where `tokens[row]` is the boundary token 0.
#[derive(Debug, Clone, Copy)]
pub struct ResetRows {
    /// `[rows, columns]`, updated in place.
    pub values: Tensor,
    /// `rows` tokens.
    pub tokens: Tensor<u32>,
    /// The value of every element of a row that is reset.
    pub value: f32,
}

arguments! {
    count: u32,
    columns: u32,
    values_offset: u32,
    tokens_offset: u32,
    value: f32,
}

pub(super) static SHADER: Shader = Shader {
    stem: "reset_rows",
    source: include_str!("../../shaders/reset_rows.wgsl"),
    entry_point: "main",
    bindings: &[("values", Access::Write), ("tokens", Access::Read)],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};

impl Kernel for ResetRows {
    fn name(&self) -> &'static str {
        SHADER.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let tokens = cpu.read(&self.tokens);
        let mut values = cpu.write(&self.values);
        let rows = values.chunks_exact_mut(self.values.columns());
        for (row, _) in rows.zip(&*tokens).filter(|(_, token)| **token == 0) {
            row.fill(self.value);
        }
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (values, values_offset) = Binding::with_offset(&self.values);
        let (tokens, tokens_offset) = Binding::with_offset(&self.tokens);
        gpu.launch(
            &SHADER,
            &[],
            &[values, tokens],
            &Arguments {
                count: to_u32(self.values.len()),
                columns: to_u32(self.values.columns()),
                values_offset,
                tokens_offset,
                value: self.value,
            },
            workgroups(self.values.len(), 256),
        );
    }
}
