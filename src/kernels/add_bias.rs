//! Addition of a bias, or of two, to every row.

pub(super) mod cases;

use super::parallel::{for_row_chunks, vectorized};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `values[row, :] += bias`, then `values[row, :] += second` if there is one.
#[derive(Debug, Clone, Copy)]
pub struct AddBias {
    /// `[1, columns]`.
    pub bias: Tensor,
    /// `[1, columns]`.
    pub second: Option<Tensor>,
    /// `[rows, columns]`, updated in place.
    pub values: Tensor,
}

arguments! {
    count: u32,
    columns: u32,
    bias_offset: u32,
    values_offset: u32,
    second_offset: u32,
}

pub(super) static SHADER: Shader = Shader {
    stem: "add_bias",
    source: include_str!("../../shaders/add_bias.wgsl"),
    entry_point: "main",
    bindings: &[
        ("bias", Access::Read),
        ("values", Access::Write),
        ("second", Access::Read),
    ],
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
        let second = self.second.map(|second| cpu.read(&second));
        let mut values = cpu.write(&self.values);
        let (bias, second) = (&*bias, second.as_deref());
        for_row_chunks(cpu.threads(), &mut values, columns, |_, chunk| {
            vectorized(
                #[inline(always)]
                || {
                    for row in chunk.chunks_exact_mut(columns) {
                        row.iter_mut()
                            .zip(bias)
                            .for_each(|(value, bias)| *value += bias);
                        if let Some(second) = second {
                            row.iter_mut()
                                .zip(second)
                                .for_each(|(value, bias)| *value += bias);
                        }
                    }
                },
            );
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (bias, bias_offset) = Binding::with_offset(&self.bias);
        let (values, values_offset) = Binding::with_offset(&self.values);
        let (second, second_offset) = Binding::with_offset(&self.second.unwrap_or(self.bias));
        gpu.launch(
            &SHADER,
            &[("SECOND", f64::from(u8::from(self.second.is_some())))],
            &[bias, values, second],
            &Arguments {
                count: to_u32(self.values.len()),
                columns: to_u32(self.values.columns()),
                bias_offset,
                values_offset,
                second_offset,
            },
            workgroups(self.values.len(), 256),
        );
    }
}
