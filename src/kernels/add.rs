//! Elementwise addition in place: of a tensor, of its squares, or of a sparse gradient.

pub(super) mod cases;

use super::rows::{Gradient, RowwiseUpdate, SparseRows};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `output += input`.
///
/// If `input` is [`Gradient::Sparse`], its rows are added to the corresponding rows of `output`,
/// and the other rows do not change.
#[derive(Debug, Clone, Copy)]
pub struct Add {
    /// The addend: a tensor with the shape and shards of `output`, or some rows of it.
    pub input: Gradient,
    /// Any shape, updated in place. In another buffer; may be a sharded table.
    pub output: Tensor,
}

/// `output += input²`, with the rows of [`Add`].
#[derive(Debug, Clone, Copy)]
pub struct AddSquares {
    /// As for [`Add`].
    pub input: Gradient,
    /// As for [`Add`].
    pub output: Tensor,
}

arguments! {
    count: u32,
    columns: u32,
    input_offset: u32,
    output_offset: u32,
    tokens_offset: u32,
    order_offset: u32,
    first_row: u32,
    end_row: u32,
}

const BINDINGS: &[(&str, Access)] = &[
    ("input", Access::Read),
    ("output", Access::Write),
    ("tokens", Access::Read),
    ("order", Access::Read),
];
pub(super) static DENSE: Shader = Shader {
    stem: "add",
    source: include_str!("../../shaders/add.wgsl"),
    entry_point: "dense",
    bindings: BINDINGS.split_at(2).0,
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};
pub(super) static SPARSE: Shader = Shader {
    entry_point: "sparse",
    bindings: BINDINGS,
    ..DENSE
};

/// Calls `term(output, input)` for all corresponding elements.
#[inline(always)]
fn on_cpu(cpu: &Cpu, input: Gradient, output: Tensor, term: impl Fn(&mut f32, f32) + Sync) {
    RowwiseUpdate {
        gradient: input,
        tensors: [output],
    }
    .on_cpu(
        cpu,
        #[inline(always)]
        |[output], input| {
            for (output, &input) in output.iter_mut().zip(input) {
                term(output, input);
            }
        },
    );
}

fn on_gpu(gpu: &mut Gpu, input: Gradient, output: Tensor, square: bool) {
    let constants = [("SQUARE", f64::from(u8::from(square)))];
    match input {
        Gradient::Dense(input) => {
            let inputs = gpu.shards(&input);
            let outputs = gpu.shards(&output);
            assert_eq!(inputs.len(), outputs.len(), "shards of input and output");
            for (input, output) in inputs.iter().zip(&outputs) {
                let (input, input_offset) = Binding::with_offset(&input.tensor);
                let count = output.tensor.len();
                let (output, output_offset) = Binding::with_offset(&output.tensor);
                let arguments = Arguments {
                    count: to_u32(count),
                    columns: 0,
                    input_offset,
                    output_offset,
                    tokens_offset: 0,
                    order_offset: 0,
                    first_row: 0,
                    end_row: 0,
                };
                gpu.launch(
                    &DENSE,
                    &constants,
                    &[input, output],
                    &arguments,
                    workgroups(count, 256),
                );
            }
        }
        Gradient::Sparse(sums, SparseRows { tokens, order }) => {
            let (input, input_offset) = Binding::with_offset(&sums);
            let (tokens, tokens_offset) = Binding::with_offset(&tokens);
            let (order, order_offset) = Binding::with_offset(&order);
            for shard in gpu.shards(&output) {
                let (output, output_offset) = Binding::with_offset(&shard.tensor);
                let arguments = Arguments {
                    count: to_u32(sums.rows()),
                    columns: to_u32(sums.columns()),
                    input_offset,
                    output_offset,
                    tokens_offset,
                    order_offset,
                    first_row: to_u32(shard.rows.start),
                    end_row: to_u32(shard.rows.end),
                };
                gpu.launch(
                    &SPARSE,
                    &constants,
                    &[input, output, tokens, order],
                    &arguments,
                    workgroups(sums.rows(), 1),
                );
            }
        }
    }
}

impl Kernel for Add {
    fn name(&self) -> &'static str {
        DENSE.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        on_cpu(
            cpu,
            self.input,
            self.output,
            #[inline(always)]
            |output, input| *output += input,
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        on_gpu(gpu, self.input, self.output, false);
    }
}

impl Kernel for AddSquares {
    fn name(&self) -> &'static str {
        DENSE.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        on_cpu(
            cpu,
            self.input,
            self.output,
            #[inline(always)]
            |output, input| *output += input * input,
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        on_gpu(gpu, self.input, self.output, true);
    }
}
