//! The LSTM over a window, and back through it: one product for all four gates of a step.

use rayon::prelude::*;

use super::math;
use super::parallel::{rows_per_part, vectorised};
use super::recurrent::{
    RecurrentSchedule, Reset, Weight, WorkSplit, dispatches, step_product, transpose_weight,
};
use super::transpose::Transpose;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// For every step of a window and every stream (Hochreiter and Schmidhuber 1997, Gers 2000;
/// PyTorch's order of gates):
///
/// ```text
/// (i, f, g, o) = z(t) + W h(t-1)          i, f and o through the sigmoid, g through tanh
/// c(t) = f c(t-1) + i g                   h(t) = o tanh(c(t))
/// ```
///
/// z(t), the part of the sums that does not depend on h(t-1), lies in `gates`.
#[derive(Debug, Clone, Copy)]
pub struct LstmForward {
    /// `[T*B, 4H]`: z(t), then i, f, g and o as they come out of their functions.
    pub gates: Tensor,
    /// `[(T+1)*B, H]`: slot 0 holds c(-1); slot t+1 receives c(t).
    pub cells: Tensor,
    /// `[(T+1)*B, H]`: slot 0 holds h(-1); slot t+1 receives h(t).
    pub states: Tensor,
    /// W, `[4H to, H from]`.
    pub weight: Tensor,
    /// `[H, 4H]`, overwritten with W transposed, where the device reads it better so.
    pub weight_t: Tensor,
    /// Where a stream begins afresh, if anywhere: in h and in c.
    pub reset: Reset,
    /// How a GPU goes about it.
    pub schedule: RecurrentSchedule,
}

/// The gradient of [`LstmForward`], with d for the gradient of the loss with respect to what
/// follows it:
///
/// ```text
/// dc(t) += dh(t) o (1 - tanh²(c(t)))
/// dz(t) = (dc g i (1 - i),  dc c(t-1) f (1 - f),  dc i (1 - g²),  dh tanh(c(t)) o (1 - o))
/// dc(t-1) = dc f                          dh(t-1) = from above + Wᵀ dz(t)
/// ```
#[derive(Debug, Clone, Copy)]
pub struct LstmBackward {
    /// `[T*B, 4H]`: the gates as the forward kernel left them, then the gradient of z.
    pub gates: Tensor,
    /// `[(T+1)*B, H]`, as the forward kernel left it.
    pub cells: Tensor,
    /// W, `[4H to, H from]`.
    pub weight: Tensor,
    /// `[T*B, H]`: the gradient of h(t) from above.
    pub gradient: Tensor,
    /// `[2*B, H]`, overwritten with the gradient of h(-1) and, behind it, that of c(-1).
    pub initial_gradient: Tensor,
    /// As in the forward kernel.
    pub reset: Reset,
    /// As in the forward kernel.
    pub schedule: RecurrentSchedule,
}

/// G.
const GATES: usize = 4;

arguments! {
    time_steps: u32,
    first: u32,
    end: u32,
    batch: u32,
    hidden_size: u32,
    tokens_offset: u32,
    initial: f32,
}

pub(super) static FORWARD: Shader = Shader {
    stem: "lstm",
    source: include_str!("../../shaders/lstm.wgsl"),
    entry_point: "forward",
    bindings: &[
        ("gates", Access::Write),
        ("cells", Access::Write),
        ("states", Access::Write),
        ("weight", Access::Read),
        ("tokens", Access::Read),
        ("steps", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};
pub(super) static BACKWARD: Shader = Shader {
    entry_point: "backward",
    ..FORWARD
};
pub(super) static STEP_FORWARD: Shader = Shader {
    entry_point: "step_forward",
    ..FORWARD
};
pub(super) static STEP_BACKWARD: Shader = Shader {
    entry_point: "step_backward",
    ..FORWARD
};
pub(super) static USE_STATES: Shader = Shader {
    entry_point: "use_states",
    ..FORWARD
};
pub(super) static FINISH: Shader = Shader {
    entry_point: "finish",
    ..FORWARD
};

/// A stream's gates, from their sums to what comes out of them, and its new cell and state.
#[inline(always)]
fn forward_row(gates: &mut [f32], before: &[f32], cell: &mut [f32], state: &mut [f32]) {
    let (i, rest) = gates.split_at_mut(state.len());
    let (f, rest) = rest.split_at_mut(state.len());
    let (g, o) = rest.split_at_mut(state.len());
    for ((((((i, f), g), o), before), cell), state) in i
        .iter_mut()
        .zip(f)
        .zip(g)
        .zip(o)
        .zip(before)
        .zip(cell)
        .zip(state)
    {
        (*i, *f, *g, *o) = (
            math::sigmoid(*i),
            math::sigmoid(*f),
            math::tanh(*g),
            math::sigmoid(*o),
        );
        *cell = *f * before + *i * *g;
        *state = *o * math::tanh(*cell);
    }
}

/// A stream's gates, from what came out of them to the gradients of their sums; `dc` from that of
/// this step's cell to that of the one before.
#[inline(always)]
fn backward_row(gates: &mut [f32], [before, cell, above, passed]: [&[f32]; 4], dc: &mut [f32]) {
    let (i, rest) = gates.split_at_mut(dc.len());
    let (f, rest) = rest.split_at_mut(dc.len());
    let (g, o) = rest.split_at_mut(dc.len());
    let given = before.iter().zip(cell).zip(above.iter().zip(passed));
    for (((((i, f), g), o), dc), ((before, cell), (above, passed))) in
        i.iter_mut().zip(f).zip(g).zip(o).zip(dc).zip(given)
    {
        let tanh = math::tanh(*cell);
        let dh = above + passed;
        let total = *dc + dh * *o * (1.0 - tanh * tanh);
        *dc = total * *f;
        let (di, df) = (
            total * *g * (*i * (1.0 - *i)),
            total * before * (*f * (1.0 - *f)),
        );
        let (dg, d_o) = (total * *i * (1.0 - *g * *g), dh * tanh * (*o * (1.0 - *o)));
        (*i, *f, *g, *o) = (di, df, dg, d_o);
    }
}

impl LstmForward {
    /// B, H and T.
    fn sizes(&self) -> [usize; 3] {
        let batch = self.states.rows() - self.gates.rows();
        [batch, self.states.columns(), self.gates.rows() / batch]
    }

    /// What the shader's bindings are, with the weight as it is wanted.
    fn bindings(&self, weight: &Tensor) -> [Binding; 6] {
        let [gates, cells, states, weight, previous] = [
            &self.gates,
            &self.cells,
            &self.states,
            weight,
            &self.reset.previous,
        ]
        .map(Binding::whole);
        [
            gates,
            cells,
            states,
            weight,
            self.reset.tokens().0,
            previous,
        ]
    }
}

/// The arguments of a dispatch for steps `first..end`.
fn arguments_of(
    reset: &Reset,
    [batch, size, time_steps]: [usize; 3],
    [first, end]: [u32; 2],
) -> Arguments {
    let [time_steps, batch, hidden_size] = [time_steps, batch, size].map(to_u32);
    Arguments {
        time_steps,
        first,
        end,
        batch,
        hidden_size,
        tokens_offset: reset.tokens().1,
        initial: reset.initial,
    }
}

/// Turns of loops that an invocation takes in a step: for each of its units the product, and as
/// many as there are gates to read or write.
fn turns(size: usize) -> usize {
    size.div_ceil(256) * (size + 16) + 1
}

impl Kernel for LstmForward {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let [batch, size, time_steps] = self.sizes();
        let share = WorkSplit::new(cpu, batch, size);
        let transposed = transpose_weight(cpu, self.weight, self.weight_t, time_steps);
        let weight = cpu.read(if transposed {
            &self.weight_t
        } else {
            &self.weight
        });
        let weight = Weight {
            data: &weight,
            rows: GATES * size,
            columns: size,
            transposed,
        };
        let (mut gates, mut cells, mut states) = (
            cpu.write(&self.gates),
            cpu.write(&self.cells),
            cpu.write(&self.states),
        );
        let (tokens, mut previous) = (
            cpu.read(&self.reset.tokens),
            cpu.write(&self.reset.previous),
        );
        let (tokens, fresh) = (&*tokens, &vec![self.reset.initial; size][..]);
        let (gates, cells, states) = (
            share.split(&mut gates, GATES * size),
            share.split(&mut cells, size),
            share.split(&mut states, size),
        );
        let previous = share.split_previous(&self.reset, &mut previous, size);
        let parts = gates.into_par_iter().zip(cells).zip(states).zip(previous);
        parts.enumerate().for_each(
            |(part, (((mut gates, mut cells), mut states), mut previous))| {
                for (t, gates) in gates.iter_mut().enumerate() {
                    let position = t * batch + part * share.streams;
                    let ((cells, new_cells), (states, new_states)) =
                        (cells.split_at_mut(t + 1), states.split_at_mut(t + 1));
                    let (cells, new_cells, mut used, new_states) = (
                        &*cells[t],
                        &mut *new_cells[0],
                        &*states[t],
                        &mut *new_states[0],
                    );
                    if self.reset.enabled {
                        self.reset
                            .copy_used(used, previous[t], tokens, position, size);
                        used = previous[t];
                    }
                    weight.forward(used, gates, true, share.threads);
                    let rows = rows_per_part(share.threads, new_cells.len() / size);
                    let chunks = gates
                        .par_chunks_mut(rows * GATES * size)
                        .zip(cells.par_chunks(rows * size));
                    let chunks = chunks
                        .zip(new_cells.par_chunks_mut(rows * size))
                        .zip(new_states.par_chunks_mut(rows * size));
                    chunks
                        .enumerate()
                        .for_each(|(chunk, (((gates, before), cells), states))| {
                            vectorised(
                                #[inline(always)]
                                || {
                                    let rows_of = gates
                                        .chunks_exact_mut(GATES * size)
                                        .zip(before.chunks_exact(size));
                                    let rows_of = rows_of
                                        .zip(cells.chunks_exact_mut(size))
                                        .zip(states.chunks_exact_mut(size));
                                    for (row, (((gates, before), cell), state)) in
                                        rows_of.enumerate()
                                    {
                                        let is_fresh =
                                            self.reset.at(tokens, position + chunk * rows + row);
                                        forward_row(
                                            gates,
                                            if is_fresh { fresh } else { before },
                                            cell,
                                            state,
                                        );
                                    }
                                },
                            );
                        });
                }
            },
        );
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let [batch, size, time_steps] = self.sizes();
        let constants = [self.reset.constant()];
        if self.schedule == RecurrentSchedule::Fused {
            Transpose {
                input: self.weight,
                output: self.weight_t,
            }
            .on_gpu(gpu);
            for steps in dispatches(time_steps, turns(size)) {
                let arguments = arguments_of(&self.reset, [batch, size, time_steps], steps);
                gpu.launch(
                    &FORWARD,
                    &constants,
                    &self.bindings(&self.weight_t),
                    &arguments,
                    [to_u32(batch), 1, 1],
                );
            }
            return;
        }
        let bindings = self.bindings(&self.weight);
        for t in 0..time_steps {
            let arguments = arguments_of(
                &self.reset,
                [batch, size, time_steps],
                [to_u32(t), to_u32(t + 1)],
            );
            let rows = t * batch..(t + 1) * batch;
            let mut used = self.states;
            if self.reset.enabled {
                gpu.launch(
                    &USE_STATES,
                    &constants,
                    &bindings,
                    &arguments,
                    workgroups(batch * size, 256),
                );
                used = self.reset.previous;
            }
            step_product(
                used.slice_rows(rows.clone()),
                self.weight,
                self.gates.slice_rows(rows),
                [true, true],
            )
            .on_gpu(gpu);
            gpu.launch(
                &STEP_FORWARD,
                &constants,
                &bindings,
                &arguments,
                workgroups(batch * size, 256),
            );
        }
    }
}

impl LstmBackward {
    /// B, H and T.
    fn sizes(&self) -> [usize; 3] {
        let batch = self.cells.rows() - self.gates.rows();
        [batch, self.cells.columns(), self.gates.rows() / batch]
    }
}

impl Kernel for LstmBackward {
    fn name(&self) -> &'static str {
        BACKWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let [batch, size, _] = self.sizes();
        let share = WorkSplit::new(cpu, batch, size);
        let (weight, cells, gradient, tokens) = (
            cpu.read(&self.weight),
            cpu.read(&self.cells),
            cpu.read(&self.gradient),
            cpu.read(&self.reset.tokens),
        );
        let weight = Weight {
            data: &weight,
            rows: GATES * size,
            columns: size,
            transposed: false,
        };
        let (cells, gradient, tokens, fresh) = (
            &*cells,
            &*gradient,
            &*tokens,
            &vec![self.reset.initial; size][..],
        );
        let (mut gates, mut initial_gradient) =
            (cpu.write(&self.gates), cpu.write(&self.initial_gradient));
        initial_gradient.fill(0.0);
        let (of_states, of_cells) = initial_gradient.split_at_mut(batch * size);
        let part = share.streams * size;
        let parts = share
            .split(&mut gates, GATES * size)
            .into_par_iter()
            .zip(of_states.par_chunks_mut(part));
        parts
            .zip(of_cells.par_chunks_mut(part))
            .enumerate()
            .for_each(|(part, ((mut gates, passed), dc))| {
                for (t, gates) in gates.iter_mut().enumerate().rev() {
                    let position = t * batch + part * share.streams;
                    let rows = rows_per_part(share.threads, dc.len() / size);
                    let chunks = gates
                        .par_chunks_mut(rows * GATES * size)
                        .zip(dc.par_chunks_mut(rows * size));
                    chunks
                        .zip(passed.par_chunks(rows * size))
                        .enumerate()
                        .for_each(|(chunk, ((gates, dc), passed))| {
                            vectorised(
                                #[inline(always)]
                                || {
                                    let rows_of = gates
                                        .chunks_exact_mut(GATES * size)
                                        .zip(dc.chunks_exact_mut(size))
                                        .zip(passed.chunks_exact(size));
                                    for (row, ((gates, dc), passed)) in rows_of.enumerate() {
                                        let position = position + chunk * rows + row;
                                        let [before, cell] = [position, position + batch]
                                            .map(|slot| &cells[slot * size..][..size]);
                                        let before = if self.reset.at(tokens, position) {
                                            fresh
                                        } else {
                                            before
                                        };
                                        backward_row(
                                            gates,
                                            [
                                                before,
                                                cell,
                                                &gradient[position * size..][..size],
                                                passed,
                                            ],
                                            dc,
                                        );
                                    }
                                },
                            );
                        });
                    weight.backward(gates, passed, false, share.threads);
                    if self.reset.enabled {
                        self.reset.cut(passed, tokens, position, size);
                        self.reset.cut(dc, tokens, position, size);
                    }
                }
            });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let [batch, size, time_steps] = self.sizes();
        let constants = [self.reset.constant()];
        let [gates, cells, gradient, weight, initial_gradient] = [
            &self.gates,
            &self.cells,
            &self.gradient,
            &self.weight,
            &self.initial_gradient,
        ]
        .map(Binding::whole);
        let bindings = [
            gates,
            cells,
            gradient,
            weight,
            self.reset.tokens().0,
            initial_gradient,
        ];
        if self.schedule == RecurrentSchedule::Fused {
            for steps in dispatches(time_steps, turns(size)).into_iter().rev() {
                let arguments = arguments_of(&self.reset, [batch, size, time_steps], steps);
                gpu.launch(
                    &BACKWARD,
                    &constants,
                    &bindings,
                    &arguments,
                    [to_u32(batch), 1, 1],
                );
            }
            return;
        }
        for t in (0..time_steps).rev() {
            let arguments = arguments_of(
                &self.reset,
                [batch, size, time_steps],
                [to_u32(t), to_u32(t + 1)],
            );
            gpu.launch(
                &STEP_BACKWARD,
                &constants,
                &bindings,
                &arguments,
                workgroups(batch * size, 256),
            );
            let gates = self.gates.slice_rows(t * batch..(t + 1) * batch);
            step_product(
                gates,
                self.weight,
                self.initial_gradient.slice_rows(0..batch),
                [false, false],
            )
            .on_gpu(gpu);
        }
        if self.reset.enabled {
            let arguments = arguments_of(&self.reset, [batch, size, time_steps], [0, 1]);
            gpu.launch(
                &FINISH,
                &constants,
                &bindings,
                &arguments,
                workgroups(batch * size, 256),
            );
        }
    }
}
