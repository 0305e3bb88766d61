//! The input of each step beside that of the step before, and the gradient of the inputs.

pub(super) mod cases;

use bytemuck::Zeroable;

use super::parallel::for_row_chunks;
use super::recurrent::Reset;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// `output[t, b] = (input[t, b], input[t-1, b])`. At step 0, the second part is the carried input
/// of the stream, and where the stream is reset, [`Reset::initial`] in all elements. Afterwards,
/// the carried inputs are those of step `advance` - 1.
#[derive(Debug, Clone, Copy)]
pub struct PreviousInputForward {
    /// `[T*B, D]`.
    pub input: Tensor,
    /// `[B, D]`: the inputs before the window, updated. In a separate buffer.
    pub carried: Tensor,
    /// `[T*B, 2D]`, overwritten.
    pub output: Tensor,
    /// Where streams are reset. The previous states are not kept.
    pub reset: Reset,
    /// The number of steps from the start of this window to that of the next, at most T. With 0,
    /// the carried inputs stay.
    pub advance: usize,
}

/// The gradient of the inputs of a window: the two parts of `gradient` to which
/// [`PreviousInputForward`] copied them. Carried inputs have no gradient.
#[derive(Debug, Clone, Copy)]
pub struct PreviousInputBackward {
    /// `[T*B, 2D]`.
    pub gradient: Tensor,
    /// `[T*B, D]`, overwritten.
    pub output: Tensor,
    /// As in the forward kernel.
    pub reset: Reset,
    /// B.
    pub batch: usize,
}

arguments! {
    count: u32,
    batch: u32,
    columns: u32,
    advance: u32,
    initial: f32,
    input_offset: u32,
    carried_offset: u32,
    output_offset: u32,
    tokens_offset: u32,
}

pub(super) static FORWARD: Shader = Shader {
    stem: "previous_input",
    source: include_str!("../../shaders/previous_input.wgsl"),
    entry_point: "forward",
    bindings: &[
        ("output", Access::Write),
        ("input", Access::Read),
        ("tokens", Access::Read),
        ("carried", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};
pub(super) static BACKWARD: Shader = Shader {
    entry_point: "backward",
    bindings: &[
        ("output", Access::Write),
        ("gradient", Access::Read),
        ("tokens", Access::Read),
    ],
    ..FORWARD
};

impl Kernel for PreviousInputForward {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let [batch, columns] = [self.carried.rows(), self.carried.columns()];
        let slot = batch * columns;
        let input = &*cpu.read(&self.input);
        let tokens = &*cpu.read(&self.reset.tokens);
        let mut carried = cpu.write(&self.carried);
        let before = &*carried;
        let mut output = cpu.write(&self.output);
        for_row_chunks(cpu.threads(), &mut output, 2 * columns, |first, chunk| {
            for (row, output) in (first..).zip(chunk.chunks_exact_mut(2 * columns)) {
                let (current, previous) = output.split_at_mut(columns);
                current.copy_from_slice(&input[row * columns..][..columns]);
                if self.reset.is_reset(tokens, row) {
                    previous.fill(self.reset.initial);
                    continue;
                }
                previous.copy_from_slice(match row.checked_sub(batch) {
                    Some(earlier) => &input[earlier * columns..][..columns],
                    None => &before[row * columns..][..columns],
                });
            }
        });
        if self.advance > 0 {
            carried.copy_from_slice(&input[(self.advance - 1) * slot..][..slot]);
        }
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (input, input_offset) = Binding::with_offset(&self.input);
        let (carried, carried_offset) = Binding::with_offset(&self.carried);
        let (output, output_offset) = Binding::with_offset(&self.output);
        let (tokens, tokens_offset) = self.reset.tokens();
        gpu.launch(
            &FORWARD,
            &[self.reset.constant()],
            &[output, input, tokens, carried],
            &Arguments {
                count: to_u32(self.input.len()),
                batch: to_u32(self.carried.rows()),
                columns: to_u32(self.carried.columns()),
                advance: to_u32(self.advance),
                initial: self.reset.initial,
                input_offset,
                carried_offset,
                output_offset,
                tokens_offset,
            },
            workgroups(self.input.len(), 256),
        );
    }
}

impl Kernel for PreviousInputBackward {
    fn name(&self) -> &'static str {
        BACKWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let columns = self.output.columns();
        let gradient = &*cpu.read(&self.gradient);
        let tokens = &*cpu.read(&self.reset.tokens);
        let mut output = cpu.write(&self.output);
        for_row_chunks(cpu.threads(), &mut output, columns, |first, chunk| {
            for (row, output) in (first..).zip(chunk.chunks_exact_mut(columns)) {
                output.copy_from_slice(&gradient[2 * row * columns..][..columns]);
                let next = row + self.batch;
                let Some(values) = gradient.get((2 * next + 1) * columns..) else {
                    continue;
                };
                if !self.reset.is_reset(tokens, next) {
                    let pairs = output.iter_mut().zip(values);
                    pairs.for_each(|(sum, value)| *sum += value);
                }
            }
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (gradient, input_offset) = Binding::with_offset(&self.gradient);
        let (output, output_offset) = Binding::with_offset(&self.output);
        let (tokens, tokens_offset) = self.reset.tokens();
        gpu.launch(
            &BACKWARD,
            &[self.reset.constant()],
            &[output, gradient, tokens],
            &Arguments {
                count: to_u32(self.output.len()),
                batch: to_u32(self.batch),
                columns: to_u32(self.output.columns()),
                input_offset,
                output_offset,
                tokens_offset,
                ..Zeroable::zeroed()
            },
            workgroups(self.output.len(), 256),
        );
    }
}
