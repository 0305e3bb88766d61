//! The GRU over a window, forward and backward. One matrix product per step computes all three
//! gates; its result is kept separate from the input projection.

use rayon::prelude::*;

use super::math;
use super::parallel::{rows_per_chunk, vectorized};
use super::recurrent::{
    RecurrentSchedule, RecurrentWeight, Reset, WorkSplit, step_backward_product,
    step_forward_product, step_ranges, transpose_weight,
};
use super::transpose::Transpose;
use crate::device::{
    Access, Arguments as _, Binding, Cpu, Gpu, Kernel, Shader, arguments, to_u32, workgroups,
};
use crate::tensor::Tensor;

/// For every step of a window and every stream (Cho 2014; PyTorch's order of gates, with the reset
/// gate applied after the product):
///
/// ```text
/// (ur, uz, un) = W h(t-1) + b             r = sigmoid(zr(t) + ur)      z = sigmoid(zz(t) + uz)
/// n = tanh(zn(t) + r un)                  h(t) = (1 - z) n + z h(t-1)
/// ```
///
/// The input projection, zr(t), zz(t) and zn(t), is stored in `gates`.
#[derive(Debug, Clone, Copy)]
pub struct GruForward {
    /// `[T*B, 3H]`: the input projection, overwritten with r, z and n.
    pub gates: Tensor,
    /// `[T*B, 3H]`, overwritten with W h(t-1). The last third includes b: it is un.
    pub recurrent: Tensor,
    /// `[(T+1)*B, H]`: slot 0 holds h(-1); slot t+1 receives h(t).
    pub states: Tensor,
    /// W, `[3H to, H from]`.
    pub weight: Tensor,
    /// `[H, 3H]`, scratch space for W transposed, which is input_states where the device reads it
    /// faster.
    pub weight_t: Tensor,
    /// b, `[1, 3H]`, or `None` for zeros.
    pub bias: Option<Tensor>,
    /// Where streams are reset.
    pub reset: Reset,
    /// How a GPU processes the window.
    pub schedule: RecurrentSchedule,
}

/// The gradient of [`GruForward`], where dx is the gradient of the loss with respect to x:
///
/// ```text
/// dzn(t) = dh (1 - z) (1 - n²)
/// dzr(t) = dzn(t) un r (1 - r)
/// dzz(t) = dh (h(t-1) - n) z (1 - z)
/// (dur, duz, dun) = (dzr(t), dzz(t), dzn(t) r)
/// dh(t-1) = gradient(t-1) + dh z + Wᵀ (dur, duz, dun)
/// ```
#[derive(Debug, Clone, Copy)]
pub struct GruBackward {
    /// `[T*B, 3H]`: the gate activations from the forward kernel, overwritten with the gradient of
    /// the input projection.
    pub gates: Tensor,
    /// `[T*B, 3H]`: the result of the forward kernel, overwritten with the gradient of W h(t-1) +
    /// b.
    pub recurrent: Tensor,
    /// `[(T+1)*B, H]`: the result of the forward kernel.
    pub states: Tensor,
    /// W, `[3H to, H from]`.
    pub weight: Tensor,
    /// `[T*B, H]`: the gradient of h(t) from the layer above.
    pub gradient: Tensor,
    /// `[B, H]`, overwritten with the gradient of h(-1).
    pub initial_gradient: Tensor,
    /// As in the forward kernel.
    pub reset: Reset,
    /// As in the forward kernel.
    pub schedule: RecurrentSchedule,
}

/// Number of gates.
const GATES: usize = 3;

arguments! {
    time_steps: u32,
    first_step: u32,
    end_step: u32,
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
        ("bias", Access::Read),
        ("tokens", Access::Read),
        ("previous_states", Access::Write),
    ],
    arguments: Arguments::FIELDS,
    enables: "",
    trusted: true,
};
pub(super) static BACKWARD: Shader = Shader {
    entry_point: "backward",
    bindings: &[
        ("gates", Access::Write),
        ("recurrent", Access::Write),
        ("states", Access::Write),
        ("weight", Access::Read),
        ("gradient", Access::Read),
        ("tokens", Access::Read),
        ("initial_gradient", Access::Write),
    ],
    ..FORWARD
};
pub(super) static STEP_FORWARD: Shader = Shader {
    entry_point: "step_forward",
    ..FORWARD
};
pub(super) static STEP_BACKWARD: Shader = Shader {
    entry_point: "step_backward",
    ..BACKWARD
};
pub(super) static APPLY_RESETS: Shader = Shader {
    entry_point: "apply_resets",
    ..FORWARD
};
pub(super) static CLEAR_RESET_GRADIENTS: Shader = Shader {
    entry_point: "clear_reset_gradients",
    ..BACKWARD
};

/// The three thirds of a row of gates.
#[inline(always)]
fn thirds(row: &mut [f32]) -> [&mut [f32]; GATES] {
    let (r, rest) = row.split_at_mut(row.len() / GATES);
    let (z, n) = rest.split_at_mut(r.len());
    [r, z, n]
}

/// Computes a stream's gate activations from their pre-activations, and its next state from the
/// previous one.
#[inline(always)]
fn forward_row(
    gates: &mut [f32],
    recurrent: &mut [f32],
    bias: &[f32],
    previous_state: &[f32],
    state: &mut [f32],
) {
    let [r, z, n] = thirds(gates);
    let [ur, uz, un] = thirds(recurrent);
    let size = state.len();
    let inputs = bias[..size]
        .iter()
        .zip(&bias[size..2 * size])
        .zip(&bias[2 * size..])
        .zip(previous_state);
    let products = ur.iter().zip(uz.iter()).zip(un);
    let rows = r
        .iter_mut()
        .zip(z)
        .zip(n)
        .zip(products)
        .zip(state)
        .zip(inputs);
    for (((((r, z), n), ((ur, uz), un)), state), (((br, bz), bn), previous_state)) in rows {
        *un += bn;
        *r = math::sigmoid(*r + (ur + br));
        *z = math::sigmoid(*z + (uz + bz));
        *n = math::tanh(*n + *r * *un);
        *state = *n + *z * (previous_state - *n);
    }
}

/// Replaces a stream's gate activations and recurrent pre-activations by their gradients. `carried`
/// is the gradient from the next step; it is replaced by the gradient that flows to the previous
/// state directly, without the product with the recurrent weight.
#[inline(always)]
fn backward_row(
    gates: &mut [f32],
    recurrent: &mut [f32],
    [previous_state, gradient]: [&[f32]; 2],
    carried: &mut [f32],
) {
    let [r, z, n] = thirds(gates);
    let [ur, uz, un] = thirds(recurrent);
    let rows = r
        .iter_mut()
        .zip(z)
        .zip(n)
        .zip(ur.iter_mut().zip(uz).zip(un))
        .zip(carried)
        .zip(previous_state.iter().zip(gradient));
    for (((((r, z), n), ((ur, uz), un)), carried), (previous_state, gradient)) in rows {
        let dh = gradient + *carried;
        let dn = dh * (1.0 - *z) * (1.0 - *n * *n);
        let dz = dh * (previous_state - *n) * (*z * (1.0 - *z));
        let dr = dn * *un * (*r * (1.0 - *r));
        *carried = dh * *z;
        *ur = dr;
        *uz = dz;
        *un = dn * *r;
        *r = dr;
        *z = dz;
        *n = dn;
    }
}

/// B, H and T.
fn sizes(states: &Tensor, gates: &Tensor) -> [usize; 3] {
    let batch = states.rows() - gates.rows();
    [batch, states.columns(), gates.rows() / batch]
}

/// The arguments of a dispatch for the steps `first_step..end_step`.
fn arguments_of(reset: &Reset, sizes: [usize; 3], [first_step, end_step]: [u32; 2]) -> Arguments {
    let [batch, hidden_size, time_steps] = sizes.map(to_u32);
    Arguments {
        time_steps,
        first_step,
        end_step,
        batch,
        hidden_size,
        tokens_offset: reset.tokens().1,
        initial: reset.initial,
    }
}

/// Loop iterations of an invocation per step: those of the product for each of its units, and those
/// that read or write gates.
fn loop_iterations(size: usize) -> usize {
    size.div_ceil(256) * (size + 16) + 1
}

impl Kernel for GruForward {
    fn name(&self) -> &'static str {
        FORWARD.stem
    }

    fn on_cpu(&self, cpu: &Cpu) {
        let [batch, size, time_steps] = sizes(&self.states, &self.gates);
        let work = WorkSplit::new(cpu, batch, size);
        let transposed = transpose_weight(cpu, self.weight, self.weight_t, time_steps);
        let weight = cpu.read(if transposed {
            &self.weight_t
        } else {
            &self.weight
        });
        let weight = RecurrentWeight {
            data: &weight,
            rows: GATES * size,
            columns: size,
            transposed,
        };
        let mut gates = cpu.write(&self.gates);
        let mut recurrent = cpu.write(&self.recurrent);
        let mut states = cpu.write(&self.states);
        let tokens = cpu.read(&self.reset.tokens);
        let mut previous = cpu.write(&self.reset.previous);
        let bias = self
            .bias
            .map_or_else(|| vec![0.0; GATES * size], |bias| cpu.read(&bias).to_vec());
        let tokens = &*tokens;
        let bias = &bias[..];
        let gates = work.split(&mut gates, GATES * size);
        let recurrent = work.split(&mut recurrent, GATES * size);
        let states = work.split(&mut states, size);
        let previous = work.split_previous(&self.reset, &mut previous, size);
        let groups = gates
            .into_par_iter()
            .zip(recurrent)
            .zip(states)
            .zip(previous);
        groups.enumerate().for_each(
            |(group, (((gates, recurrent), mut states), mut previous))| {
                for (t, (gates, recurrent)) in gates.into_iter().zip(recurrent).enumerate() {
                    let (states, new_states) = states.split_at_mut(t + 1);
                    let mut input_states = &*states[t];
                    let new_states = &mut *new_states[0];
                    if self.reset.enabled {
                        self.reset.copy_with_resets(
                            input_states,
                            previous[t],
                            tokens,
                            t * batch + group * work.streams,
                            size,
                        );
                        input_states = previous[t];
                    }
                    weight.forward(input_states, recurrent, false, work.threads);
                    let chunk_rows = rows_per_chunk(work.threads, new_states.len() / size);
                    let chunks = gates
                        .par_chunks_mut(chunk_rows * GATES * size)
                        .zip(recurrent.par_chunks_mut(chunk_rows * GATES * size));
                    chunks
                        .zip(input_states.par_chunks(chunk_rows * size))
                        .zip(new_states.par_chunks_mut(chunk_rows * size))
                        .for_each(|(((gates, recurrent), previous_states), states)| {
                            vectorized(
                                #[inline(always)]
                                || {
                                    let rows = gates
                                        .chunks_exact_mut(GATES * size)
                                        .zip(recurrent.chunks_exact_mut(GATES * size));
                                    let rows = rows
                                        .zip(previous_states.chunks_exact(size))
                                        .zip(states.chunks_exact_mut(size));
                                    for (((gates, recurrent), previous_state), state) in rows {
                                        forward_row(gates, recurrent, bias, previous_state, state);
                                    }
                                },
                            );
                        });
                }
            },
        );
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
            for range in step_ranges(time_steps, loop_iterations(size)) {
                gpu.launch(
                    &FORWARD,
                    &constants,
                    &bindings,
                    &arguments_of(&self.reset, sizes, range),
                    [to_u32(batch), 1, 1],
                );
            }
            return;
        }
        for t in 0..time_steps {
            let arguments = arguments_of(&self.reset, sizes, [to_u32(t), to_u32(t + 1)]);
            let rows = t * batch..(t + 1) * batch;
            let mut input_states = self.states;
            if self.reset.enabled {
                gpu.launch(
                    &APPLY_RESETS,
                    &constants[..1],
                    &bindings,
                    &arguments,
                    workgroups(batch * size, 256),
                );
                input_states = self.reset.previous;
            }
            step_forward_product(
                input_states.slice_rows(rows.clone()),
                self.weight,
                self.recurrent.slice_rows(rows),
                false,
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
        let work = WorkSplit::new(cpu, batch, size);
        let weight = cpu.read(&self.weight);
        let states = cpu.read(&self.states);
        let gradient = cpu.read(&self.gradient);
        let tokens = cpu.read(&self.reset.tokens);
        let weight = RecurrentWeight {
            data: &weight,
            rows: GATES * size,
            columns: size,
            transposed: false,
        };
        let states = &*states;
        let gradient = &*gradient;
        let tokens = &*tokens;
        let initial_state = &vec![self.reset.initial; size][..];
        let mut gates = cpu.write(&self.gates);
        let mut recurrent = cpu.write(&self.recurrent);
        let mut initial_gradient = cpu.write(&self.initial_gradient);
        initial_gradient.fill(0.0);
        let groups = work
            .split(&mut gates, GATES * size)
            .into_par_iter()
            .zip(work.split(&mut recurrent, GATES * size));
        let groups = groups.zip(initial_gradient.par_chunks_mut(work.streams * size));
        groups
            .enumerate()
            .for_each(|(group, ((gates, recurrent), carried))| {
                for (t, (gates, recurrent)) in gates.into_iter().zip(recurrent).enumerate().rev() {
                    let position = t * batch + group * work.streams;
                    let chunk_rows = rows_per_chunk(work.threads, carried.len() / size);
                    let chunks = gates
                        .par_chunks_mut(chunk_rows * GATES * size)
                        .zip(recurrent.par_chunks_mut(chunk_rows * GATES * size));
                    chunks
                        .zip(carried.par_chunks_mut(chunk_rows * size))
                        .enumerate()
                        .for_each(|(chunk, ((gates, recurrent), carried))| {
                            vectorized(
                                #[inline(always)]
                                || {
                                    let rows = gates
                                        .chunks_exact_mut(GATES * size)
                                        .zip(recurrent.chunks_exact_mut(GATES * size));
                                    for (row, ((gates, recurrent), carried)) in
                                        rows.zip(carried.chunks_exact_mut(size)).enumerate()
                                    {
                                        let position = position + chunk * chunk_rows + row;
                                        let [state, gradient] = [states, gradient]
                                            .map(|data| &data[position * size..][..size]);
                                        let previous_state =
                                            if self.reset.is_reset(tokens, position) {
                                                initial_state
                                            } else {
                                                state
                                            };
                                        backward_row(
                                            gates,
                                            recurrent,
                                            [previous_state, gradient],
                                            carried,
                                        );
                                    }
                                },
                            );
                        });
                    weight.backward(recurrent, carried, true, work.threads);
                    if self.reset.enabled {
                        self.reset.clear_gradients(carried, tokens, position, size);
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
            for range in step_ranges(time_steps, loop_iterations(size))
                .into_iter()
                .rev()
            {
                gpu.launch(
                    &BACKWARD,
                    &constants,
                    &bindings,
                    &arguments_of(&self.reset, sizes, range),
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
            step_backward_product(recurrent, self.weight, self.initial_gradient, true).on_gpu(gpu);
        }
        if self.reset.enabled {
            gpu.launch(
                &CLEAR_RESET_GRADIENTS,
                &constants,
                &bindings,
                &arguments_of(&self.reset, sizes, [0, 1]),
                workgroups(batch * size, 256),
            );
        }
    }
}
