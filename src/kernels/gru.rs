//! The GRU over a window, and back through it: one product for all three gates of a step, kept
//! apart from the inputs' part.

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

/// For every step of a window and every stream (Cho 2014; PyTorch's order of gates, and its reset
/// gate after the product):
///
/// ```text
/// (ur, uz, un) = W h(t-1) + b             r = sigmoid(zr(t) + ur)      z = sigmoid(zz(t) + uz)
/// n = tanh(zn(t) + r un)                  h(t) = (1 - z) n + z h(t-1)
/// ```
///
/// The inputs' part, zr(t), zz(t) and zn(t), lies in `gates`.
#[derive(Debug, Clone, Copy)]
pub struct GruForward {
    /// `[T*B, 3H]`: the inputs' part, then r, z and n.
    pub gates: Tensor,
    /// `[T*B, 3H]`, overwritten with W h(t-1), and with b added in its last third: un as n was made
    /// of it.
    pub recurrent: Tensor,
    /// `[(T+1)*B, H]`: slot 0 holds h(-1); slot t+1 receives h(t).
    pub states: Tensor,
    /// W, `[3H to, H from]`.
    pub weight: Tensor,
    /// `[H, 3H]`, overwritten with W transposed, where the device reads it better so.
    pub weight_t: Tensor,
    /// b, `[1, 3H]`; none is zero.
    pub bias: Option<Tensor>,
    /// Where a stream begins afresh, if anywhere.
    pub reset: Reset,
    /// How a GPU goes about it.
    pub schedule: RecurrentSchedule,
}

/// The gradient of [`GruForward`], with d for the gradient of the loss with respect to what follows
/// it:
///
/// ```text
/// dzn(t) = dh (1 - z) (1 - n²)
/// dzr(t) = dzn(t) un r (1 - r)
/// dzz(t) = dh (h(t-1) - n) z (1 - z)
/// (dur, duz, dun) = (dzr(t), dzz(t), dzn(t) r)
/// dh(t-1) = from above + dh z + Wᵀ (dur, duz, dun)
/// ```
#[derive(Debug, Clone, Copy)]
pub struct GruBackward {
    /// `[T*B, 3H]`: the gates as the forward kernel left them, then the gradient of the inputs'
    /// part.
    pub gates: Tensor,
    /// `[T*B, 3H]`, as the forward kernel left it, then the gradient of W h(t-1) + b.
    pub recurrent: Tensor,
    /// `[(T+1)*B, H]`, as the forward kernel left it.
    pub states: Tensor,
    /// W, `[3H to, H from]`.
    pub weight: Tensor,
    /// `[T*B, H]`: the gradient of h(t) from above.
    pub gradient: Tensor,
    /// `[B, H]`, overwritten with the gradient of h(-1).
    pub initial_gradient: Tensor,
    /// As in the forward kernel.
    pub reset: Reset,
    /// As in the forward kernel.
    pub schedule: RecurrentSchedule,
}

/// G.
const GATES: usize = 3;

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
    stem: "gru",
    source: include_str!("../../shaders/gru.wgsl"),
    entry_point: "forward",
    bindings: &[
        ("gates", Access::Write),
        ("recurrent", Access::Write),
        ("states", Access::Write),
        ("weight", Access::Read),
        ("given", Access::Read),
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

/// The three thirds of a row of gates.
#[inline(always)]
fn thirds(row: &mut [f32]) -> [&mut [f32]; GATES] {
    let (r, rest) = row.split_at_mut(row.len() / GATES);
    let (z, n) = rest.split_at_mut(r.len());
    [r, z, n]
}

/// A stream's gates, from their sums to what comes out of them, and its new state from the one
/// before.
#[inline(always)]
fn forward_row(
    gates: &mut [f32],
    recurrent: &mut [f32],
    bias: &[f32],
    before: &[f32],
    state: &mut [f32],
) {
    let ([r, z, n], [ur, uz, un]) = (thirds(gates), thirds(recurrent));
    let size = state.len();
    let given = bias[..size]
        .iter()
        .zip(&bias[size..2 * size])
        .zip(&bias[2 * size..])
        .zip(before);
    let sums = ur.iter().zip(uz.iter()).zip(un);
    let rows = r.iter_mut().zip(z).zip(n).zip(sums).zip(state).zip(given);
    for (((((r, z), n), ((ur, uz), un)), state), (((br, bz), bn), before)) in rows {
        *un += bn;
        *r = math::sigmoid(*r + (ur + br));
        *z = math::sigmoid(*z + (uz + bz));
        *n = math::tanh(*n + *r * *un);
        *state = *n + *z * (before - *n);
    }
}

/// A stream's gates and recurrent sums, from what they were to their gradients; `passed` from what
/// the next step passes back to what this one does beside the product.
#[inline(always)]
fn backward_row(
    gates: &mut [f32],
    recurrent: &mut [f32],
    [before, above]: [&[f32]; 2],
    passed: &mut [f32],
) {
    let ([r, z, n], [ur, uz, un]) = (thirds(gates), thirds(recurrent));
    let rows = r
        .iter_mut()
        .zip(z)
        .zip(n)
        .zip(ur.iter_mut().zip(uz).zip(un))
        .zip(passed)
        .zip(before.iter().zip(above));
    for (((((r, z), n), ((ur, uz), un)), passed), (before, above)) in rows {
        let dh = above + *passed;
        let dn = dh * (1.0 - *z) * (1.0 - *n * *n);
        let dz = dh * (before - *n) * (*z * (1.0 - *z));
        let dr = dn * *un * (*r * (1.0 - *r));
        *passed = dh * *z;
        (*ur, *uz, *un) = (dr, dz, dn * *r);
        (*r, *z, *n) = (dr, dz, dn);
    }
}

/// B, H and T.
fn sizes(states: &Tensor, gates: &Tensor) -> [usize; 3] {
    let batch = states.rows() - gates.rows();
    [batch, states.columns(), gates.rows() / batch]
}

/// The arguments of a dispatch for steps `first..end`.
fn arguments_of(reset: &Reset, sizes: [usize; 3], [first, end]: [u32; 2]) -> Arguments {
    let [batch, hidden_size, time_steps] = sizes.map(to_u32);
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

impl Kernel for GruForward {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let [batch, size, time_steps] = sizes(&self.states, &self.gates);
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
        let (mut gates, mut recurrent, mut states) = (
            cpu.write(&self.gates),
            cpu.write(&self.recurrent),
            cpu.write(&self.states),
        );
        let (tokens, mut previous) = (
            cpu.read(&self.reset.tokens),
            cpu.write(&self.reset.previous),
        );
        let bias = self
            .bias
            .map_or_else(|| vec![0.0; GATES * size], |bias| cpu.read(&bias).to_vec());
        let (tokens, bias) = (&*tokens, &bias[..]);
        let (gates, recurrent) = (
            share.split(&mut gates, GATES * size),
            share.split(&mut recurrent, GATES * size),
        );
        let (states, previous) = (
            share.split(&mut states, size),
            share.split_previous(&self.reset, &mut previous, size),
        );
        let parts = gates
            .into_par_iter()
            .zip(recurrent)
            .zip(states)
            .zip(previous);
        parts
            .enumerate()
            .for_each(|(part, (((gates, recurrent), mut states), mut previous))| {
                for (t, (gates, recurrent)) in gates.into_iter().zip(recurrent).enumerate() {
                    let (states, new_states) = states.split_at_mut(t + 1);
                    let (mut used, new_states) = (&*states[t], &mut *new_states[0]);
                    if self.reset.enabled {
                        self.reset.copy_used(
                            used,
                            previous[t],
                            tokens,
                            t * batch + part * share.streams,
                            size,
                        );
                        used = previous[t];
                    }
                    weight.forward(used, recurrent, false, share.threads);
                    let rows = rows_per_part(share.threads, new_states.len() / size);
                    let chunks = gates
                        .par_chunks_mut(rows * GATES * size)
                        .zip(recurrent.par_chunks_mut(rows * GATES * size));
                    chunks
                        .zip(used.par_chunks(rows * size))
                        .zip(new_states.par_chunks_mut(rows * size))
                        .for_each(|(((gates, recurrent), before), states)| {
                            vectorised(
                                #[inline(always)]
                                || {
                                    let rows_of = gates
                                        .chunks_exact_mut(GATES * size)
                                        .zip(recurrent.chunks_exact_mut(GATES * size));
                                    let rows_of = rows_of
                                        .zip(before.chunks_exact(size))
                                        .zip(states.chunks_exact_mut(size));
                                    for (((gates, recurrent), before), state) in rows_of {
                                        forward_row(gates, recurrent, bias, before, state);
                                    }
                                },
                            );
                        });
                }
            });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let sizes @ [batch, size, time_steps] = sizes(&self.states, &self.gates);
        let constants = [
            self.reset.constant(),
            ("BIAS", f64::from(u8::from(self.bias.is_some()))),
        ];
        let weight = if self.schedule == RecurrentSchedule::Fused {
            self.weight_t
        } else {
            self.weight
        };
        let [gates, recurrent, states, weight, bias, previous] = [
            &self.gates,
            &self.recurrent,
            &self.states,
            &weight,
            &self.bias.unwrap_or(weight),
            &self.reset.previous,
        ]
        .map(Binding::whole);
        let bindings = [
            gates,
            recurrent,
            states,
            weight,
            bias,
            self.reset.tokens().0,
            previous,
        ];
        if self.schedule == RecurrentSchedule::Fused {
            Transpose {
                input: self.weight,
                output: self.weight_t,
            }
            .on_gpu(gpu);
            for steps in dispatches(time_steps, turns(size)) {
                gpu.launch(
                    &FORWARD,
                    &constants,
                    &bindings,
                    &arguments_of(&self.reset, sizes, steps),
                    [to_u32(batch), 1, 1],
                );
            }
            return;
        }
        for t in 0..time_steps {
            let arguments = arguments_of(&self.reset, sizes, [to_u32(t), to_u32(t + 1)]);
            let rows = t * batch..(t + 1) * batch;
            let mut used = self.states;
            if self.reset.enabled {
                gpu.launch(
                    &USE_STATES,
                    &constants[..1],
                    &bindings,
                    &arguments,
                    workgroups(batch * size, 256),
                );
                used = self.reset.previous;
            }
            step_product(
                used.slice_rows(rows.clone()),
                self.weight,
                self.recurrent.slice_rows(rows),
                [true, false],
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

impl Kernel for GruBackward {
    fn name(&self) -> &'static str {
        BACKWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let [batch, size, _] = sizes(&self.states, &self.gates);
        let share = WorkSplit::new(cpu, batch, size);
        let (weight, states, gradient, tokens) = (
            cpu.read(&self.weight),
            cpu.read(&self.states),
            cpu.read(&self.gradient),
            cpu.read(&self.reset.tokens),
        );
        let weight = Weight {
            data: &weight,
            rows: GATES * size,
            columns: size,
            transposed: false,
        };
        let (states, gradient, tokens, fresh) = (
            &*states,
            &*gradient,
            &*tokens,
            &vec![self.reset.initial; size][..],
        );
        let (mut gates, mut recurrent) = (cpu.write(&self.gates), cpu.write(&self.recurrent));
        let mut initial_gradient = cpu.write(&self.initial_gradient);
        initial_gradient.fill(0.0);
        let parts = share
            .split(&mut gates, GATES * size)
            .into_par_iter()
            .zip(share.split(&mut recurrent, GATES * size));
        let parts = parts.zip(initial_gradient.par_chunks_mut(share.streams * size));
        parts
            .enumerate()
            .for_each(|(part, ((gates, recurrent), passed))| {
                for (t, (gates, recurrent)) in gates.into_iter().zip(recurrent).enumerate().rev() {
                    let position = t * batch + part * share.streams;
                    let rows = rows_per_part(share.threads, passed.len() / size);
                    let chunks = gates
                        .par_chunks_mut(rows * GATES * size)
                        .zip(recurrent.par_chunks_mut(rows * GATES * size));
                    chunks
                        .zip(passed.par_chunks_mut(rows * size))
                        .enumerate()
                        .for_each(|(chunk, ((gates, recurrent), passed))| {
                            vectorised(
                                #[inline(always)]
                                || {
                                    let rows_of = gates
                                        .chunks_exact_mut(GATES * size)
                                        .zip(recurrent.chunks_exact_mut(GATES * size));
                                    for (row, ((gates, recurrent), passed)) in
                                        rows_of.zip(passed.chunks_exact_mut(size)).enumerate()
                                    {
                                        let position = position + chunk * rows + row;
                                        let [before, above] = [states, gradient]
                                            .map(|data| &data[position * size..][..size]);
                                        let before = if self.reset.at(tokens, position) {
                                            fresh
                                        } else {
                                            before
                                        };
                                        backward_row(gates, recurrent, [before, above], passed);
                                    }
                                },
                            );
                        });
                    weight.backward(recurrent, passed, true, share.threads);
                    if self.reset.enabled {
                        self.reset.cut(passed, tokens, position, size);
                    }
                }
            });
    }

    fn on_gpu(&self, gpu: &mut Gpu) {
        let sizes @ [batch, size, time_steps] = sizes(&self.states, &self.gates);
        let constants = [self.reset.constant()];
        let [gates, recurrent, states, weight, gradient, initial_gradient] = [
            &self.gates,
            &self.recurrent,
            &self.states,
            &self.weight,
            &self.gradient,
            &self.initial_gradient,
        ]
        .map(Binding::whole);
        let bindings = [
            gates,
            recurrent,
            states,
            weight,
            gradient,
            self.reset.tokens().0,
            initial_gradient,
        ];
        if self.schedule == RecurrentSchedule::Fused {
            for steps in dispatches(time_steps, turns(size)).into_iter().rev() {
                gpu.launch(
                    &BACKWARD,
                    &constants,
                    &bindings,
                    &arguments_of(&self.reset, sizes, steps),
                    [to_u32(batch), 1, 1],
                );
            }
            return;
        }
        for t in (0..time_steps).rev() {
            let arguments = arguments_of(&self.reset, sizes, [to_u32(t), to_u32(t + 1)]);
            gpu.launch(
                &STEP_BACKWARD,
                &constants,
                &bindings,
                &arguments,
                workgroups(batch * size, 256),
            );
            let recurrent = self.recurrent.slice_rows(t * batch..(t + 1) * batch);
            step_product(recurrent, self.weight, self.initial_gradient, [false, true]).on_gpu(gpu);
        }
        if self.reset.enabled {
            gpu.launch(
                &FINISH,
                &constants,
                &bindings,
                &arguments_of(&self.reset, sizes, [0, 1]),
                workgroups(batch * size, 256),
            );
        }
    }
}
