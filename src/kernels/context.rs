//! The last words before every prediction of a feed-forward network, and the gradient of their
//! embeddings.
//!
//! A window has T steps of B streams. The words before it are carried, N-1 for each stream, as
//! numbers, so that they are saved, copied and restored as the states of recurrent cells are.

pub(super) mod cases;

use bytemuck::Zeroable;

use super::MAX_LOOP_ITERATIONS;
use super::parallel::{for_row_chunks, vectorized};
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, OPERATIONS_PER_ACCESS, Shader, arguments,
    to_u32, workgroups,
};
use crate::tensor::{NONE, Tensor};

/// Words in the longest context: the loops of an invocation of [`ContextBackward`] have at most
/// N (N + 1) / 2 iterations.
pub const MAX_CONTEXT: usize = 255;
const _: () = assert!(MAX_CONTEXT * (MAX_CONTEXT + 1) / 2 < MAX_LOOP_ITERATIONS);

/// Types in the largest vocabulary whose ids are exact as f32.
pub const MAX_CARRIED_TYPES: usize = 1 << 24;

/// `contexts[t, b, j]` is the token of step t - j of stream b. Before step 0, it is
/// `carried[b, j - t - 1]`. Afterwards, the carried tokens are those before step `advance`.
#[derive(Debug, Clone, Copy)]
pub struct ContextForward {
    /// `[T, B]`, each below V or [`NONE`].
    pub tokens: Tensor<u32>,
    /// `[B, N-1]`: the tokens before the window, the last one first, updated. A number outside the
    /// vocabulary is no word.
    pub carried: Tensor,
    /// `[T*B, N]`, overwritten.
    pub contexts: Tensor<u32>,
    /// V, at most [`MAX_CARRIED_TYPES`].
    pub vocabulary: usize,
    /// Whether all words before a boundary, token 0, are that boundary.
    pub independent: bool,
    /// The number of steps from the start of this window to that of the next, at most T.
    pub advance: usize,
}

/// `output[s, b]` is the sum of the rows `gradient[t, b, j]` whose context has the token of step s
/// of stream b. Carried tokens have no gradient.
#[derive(Debug, Clone, Copy)]
pub struct ContextBackward {
    /// `[T*B, N*columns]`.
    pub gradient: Tensor,
    /// `[T, B]`: the tokens of [`ContextForward`].
    pub tokens: Tensor<u32>,
    /// `[T*B, columns]`, overwritten.
    pub output: Tensor,
    /// Whether all words before a boundary are that boundary.
    pub independent: bool,
    /// B.
    pub batch: usize,
}

arguments! {
    rows: u32,
    batch: u32,
    words: u32,
    columns: u32,
    vocabulary: u32,
    advance: u32,
    contexts_offset: u32,
    carried_offset: u32,
    tokens_offset: u32,
    gradient_offset: u32,
    output_offset: u32,
}

const BINDINGS: &[(&str, Access)] = &[
    ("contexts", Access::Write),
    ("carried", Access::Write),
    ("tokens", Access::Read),
];
pub(super) static FORWARD: Shader = Shader {
    stem: "context",
    source: include_str!("../../shaders/context.wgsl"),
    entry_point: "forward",
    bindings: BINDINGS,
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: false,
};
pub(super) static CARRY: Shader = Shader {
    entry_point: "carry",
    bindings: BINDINGS.split_at(2).0,
    ..FORWARD
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

impl ContextForward {
    fn token(&self, number: f32) -> u32 {
        if (0.0..self.vocabulary as f32).contains(&number) {
            number as u32
        } else {
            NONE
        }
    }
}

impl Kernel for ContextForward {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let [batch, words] = [self.carried.rows(), self.contexts.columns()];
        let tokens = cpu.read(&self.tokens);
        let mut carried = cpu.write(&self.carried);
        let mut contexts = cpu.write(&self.contexts);
        for (row, context) in contexts.chunks_exact_mut(words).enumerate() {
            let before = &carried[row % batch * (words - 1)..][..words - 1];
            let earlier = (0..=row / batch).map(|back| tokens[row - back * batch]);
            let earlier = earlier.chain(before.iter().map(|&number| self.token(number)));
            let mut is_over = false;
            for (place, token) in context.iter_mut().zip(earlier) {
                *place = if is_over { 0 } else { token };
                is_over |= self.independent && token == 0;
            }
        }
        if self.advance > 0 {
            let last = (self.advance - 1) * batch * words;
            let contexts = contexts[last..].chunks_exact(words);
            for (carried, context) in carried.chunks_exact_mut(words - 1).zip(contexts) {
                for (number, &token) in carried.iter_mut().zip(context) {
                    *number = if token == NONE { -1.0 } else { token as f32 };
                }
            }
        }
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (contexts, contexts_offset) = Binding::with_offset(&self.contexts);
        let (carried, carried_offset) = Binding::with_offset(&self.carried);
        let (tokens, tokens_offset) = Binding::with_offset(&self.tokens);
        let arguments = Arguments {
            rows: to_u32(self.contexts.rows()),
            batch: to_u32(self.carried.rows()),
            words: to_u32(self.contexts.columns()),
            vocabulary: to_u32(self.vocabulary),
            advance: to_u32(self.advance),
            contexts_offset,
            carried_offset,
            tokens_offset,
            ..Zeroable::zeroed()
        };
        let reset = [("RESET", f64::from(u8::from(self.independent)))];
        gpu.launch(
            &FORWARD,
            &reset,
            &[contexts, carried, tokens],
            &arguments,
            workgroups(self.contexts.rows(), 256),
        );
        if self.advance > 0 {
            gpu.launch(
                &CARRY,
                &[],
                &[contexts, carried],
                &arguments,
                workgroups(self.carried.len(), 256),
            );
        }
    }
}

impl ContextBackward {
    /// N.
    fn words(&self) -> usize {
        self.gradient.columns() / self.output.columns()
    }
}

impl Kernel for ContextBackward {
    fn name(&self) -> &'static str {
        BACKWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let [batch, words, columns] = [self.batch, self.words(), self.output.columns()];
        let gradient = cpu.read(&self.gradient);
        let tokens = cpu.read(&self.tokens);
        let mut output = cpu.write(&self.output);
        let (gradient, tokens) = (&*gradient, &*tokens);
        let is_boundary = |row: usize| self.independent && tokens[row] == 0;
        for_row_chunks(cpu.threads(), &mut output, columns, |first, chunk| {
            for (row, sum) in (first..).zip(chunk.chunks_exact_mut(columns)) {
                sum.fill(0.0);
                let readers = (row..tokens.len()).step_by(batch).enumerate().take(words);
                for (j, reader) in readers {
                    if j > 0 && is_boundary(reader) {
                        break;
                    }
                    let end = if is_boundary(row) { words } else { j + 1 };
                    for slot in j..end {
                        let values = &gradient[(reader * words + slot) * columns..][..columns];
                        vectorized(
                            #[inline(always)]
                            || {
                                sum.iter_mut()
                                    .zip(values)
                                    .for_each(|(sum, value)| *sum += value);
                            },
                        );
                    }
                }
            }
        });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let (output, output_offset) = Binding::with_offset(&self.output);
        let (gradient, gradient_offset) = Binding::with_offset(&self.gradient);
        let (tokens, tokens_offset) = Binding::with_offset(&self.tokens);
        gpu.launch_work(
            &BACKWARD,
            &[("RESET", f64::from(u8::from(self.independent)))],
            &[output, gradient, tokens],
            &Arguments {
                rows: to_u32(self.output.rows()),
                batch: to_u32(self.batch),
                words: to_u32(self.words()),
                columns: to_u32(self.output.columns()),
                tokens_offset,
                gradient_offset,
                output_offset,
                ..Zeroable::zeroed()
            },
            workgroups(self.output.len(), 256),
            2 * self.gradient.len() as u64 * OPERATIONS_PER_ACCESS,
        );
    }
}
