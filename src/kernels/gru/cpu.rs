//! The GRU on the CPU. Groups of streams are processed in parallel, and in wide layers also chunks
//! of the rows of a step.

use rayon::prelude::*;

use super::{GATES, GruBackward, GruForward};
use crate::device::Cpu;
use crate::kernels::math::Math;
use crate::kernels::parallel::{rows_per_chunk, vectorized, vectorized_math};
use crate::kernels::recurrent::{Reset, StepProduct, WorkSplit};

/// Splits a row of gates into its three gates.
#[inline(always)]
fn split_gates(row: &mut [f32], size: usize) -> [&mut [f32]; GATES] {
    let (r, rest) = row.split_at_mut(size);
    let (z, n) = rest.split_at_mut(size);
    [r, z, &mut n[..size]]
}

/// Computes a stream's gate activations from their pre-activations, and its next state from the
/// previous one.
#[inline(always)]
fn forward_row(
    math: Math,
    gates: &mut [f32],
    recurrent: &mut [f32],
    bias: &[f32],
    previous_state: &[f32],
    state: &mut [f32],
) {
    let size = state.len();
    let [r, z, n] = split_gates(gates, size);
    let [ur, uz, un] = split_gates(recurrent, size);
    let [br, bz, bn] = [0, 1, 2].map(|gate| &bias[gate * size..][..size]);
    let previous_state = &previous_state[..size];
    for k in 0..size {
        un[k] += bn[k];
        r[k] = math.sigmoid(r[k] + (ur[k] + br[k]));
        z[k] = math.sigmoid(z[k] + (uz[k] + bz[k]));
        n[k] = math.tanh(n[k] + r[k] * un[k]);
        state[k] = n[k] + z[k] * (previous_state[k] - n[k]);
    }
}

/// Calls [`forward_row`] for every row.
#[inline(always)]
fn forward_rows(
    math: Math,
    gates: &mut [f32],
    recurrent: &mut [f32],
    bias: &[f32],
    previous_states: &[f32],
    states: &mut [f32],
) {
    let size = bias.len() / GATES;
    for (row, state) in states.chunks_exact_mut(size).enumerate() {
        forward_row(
            math,
            &mut gates[row * GATES * size..][..GATES * size],
            &mut recurrent[row * GATES * size..][..GATES * size],
            bias,
            &previous_states[row * size..][..size],
            state,
        );
    }
}

pub(super) fn forward(kernel: &GruForward, cpu: &Cpu) {
    let reset = &kernel.reset;
    let [batch, size, time_steps] = kernel.sizes();
    kernel.carried.load_on_cpu(cpu, [kernel.states]);
    let work = WorkSplit::new(cpu, batch, size);
    let weight = cpu.read(&kernel.weight);
    let mut packed = cpu.write(&kernel.weight_t);
    let sizes = work.step_sizes([GATES * size, size], time_steps);
    let product = StepProduct::forward(&weight, sizes, &mut packed);
    let tokens = &*cpu.read(&reset.tokens);
    let bias = kernel
        .bias
        .map_or_else(|| vec![0.0; GATES * size], |bias| cpu.read(&bias).to_vec());
    let bias = &bias[..];
    let mut gates = cpu.write(&kernel.gates);
    let mut recurrent = cpu.write(&kernel.recurrent);
    let mut all_states = cpu.write(&kernel.states);
    let mut previous = cpu.write(&reset.previous);
    let groups = work
        .split(&mut gates, GATES * size)
        .into_par_iter()
        .zip(work.split(&mut recurrent, GATES * size))
        .zip(work.split(&mut all_states, size))
        .zip(work.split_previous(reset, &mut previous, size));
    groups.enumerate().for_each(
        |(group, (((gates, recurrent), mut states), mut previous))| {
            for (t, (gates, recurrent)) in gates.into_iter().zip(recurrent).enumerate() {
                let position = t * batch + group * work.streams;
                let (states, new_states) = states.split_at_mut(t + 1);
                let mut input_states = &*states[t];
                let new_states = &mut *new_states[0];
                if reset.enabled {
                    reset.copy_with_resets(input_states, previous[t], tokens, position, size);
                    input_states = previous[t];
                }
                product.run(input_states, recurrent, false);
                let chunk_rows = rows_per_chunk(work.threads, new_states.len() / size);
                gates
                    .par_chunks_mut(chunk_rows * GATES * size)
                    .zip(recurrent.par_chunks_mut(chunk_rows * GATES * size))
                    .zip(input_states.par_chunks(chunk_rows * size))
                    .zip(new_states.par_chunks_mut(chunk_rows * size))
                    .for_each(|(((gates, recurrent), previous_states), states)| {
                        vectorized_math(
                            #[inline(always)]
                            |math| {
                                forward_rows(math, gates, recurrent, bias, previous_states, states);
                            },
                        );
                    });
            }
        },
    );
    drop(all_states);
    kernel.carried.store_on_cpu(cpu, [kernel.states]);
}

/// Replaces a stream's gate activations and recurrent pre-activations by their gradients. `carried`
/// is the gradient from the next step; it is replaced by the gradient that flows to the previous
/// state directly, without the product with the recurrent weight.
#[inline(always)]
fn backward_row(
    gates: &mut [f32],
    recurrent: &mut [f32],
    previous_state: &[f32],
    gradient: &[f32],
    carried: &mut [f32],
) {
    let size = carried.len();
    let [r, z, n] = split_gates(gates, size);
    let [ur, uz, un] = split_gates(recurrent, size);
    let previous_state = &previous_state[..size];
    let gradient = &gradient[..size];
    for k in 0..size {
        let dh = gradient[k] + carried[k];
        let dn = dh * (1.0 - z[k]) * (1.0 - n[k] * n[k]);
        let dz = dh * (previous_state[k] - n[k]) * (z[k] * (1.0 - z[k]));
        let dr = dn * un[k] * (r[k] * (1.0 - r[k]));
        carried[k] = dh * z[k];
        ur[k] = dr;
        uz[k] = dz;
        un[k] = dn * r[k];
        r[k] = dr;
        z[k] = dz;
        n[k] = dn;
    }
}

/// The tensors that the backward pass reads, and the state after a reset.
struct BackwardInputs<'a> {
    reset: &'a Reset,
    tokens: &'a [u32],
    states: &'a [f32],
    gradient: &'a [f32],
    initial_state: &'a [f32],
}

impl BackwardInputs<'_> {
    /// Calls [`backward_row`] for every row; `first` is the position of the first one.
    #[inline(always)]
    fn backward_rows(
        &self,
        first: usize,
        gates: &mut [f32],
        recurrent: &mut [f32],
        carried: &mut [f32],
    ) {
        let size = self.initial_state.len();
        for (row, carried) in carried.chunks_exact_mut(size).enumerate() {
            let position = first + row;
            let previous_state = if self.reset.is_reset(self.tokens, position) {
                self.initial_state
            } else {
                &self.states[position * size..][..size]
            };
            backward_row(
                &mut gates[row * GATES * size..][..GATES * size],
                &mut recurrent[row * GATES * size..][..GATES * size],
                previous_state,
                &self.gradient[position * size..][..size],
                carried,
            );
        }
    }
}

pub(super) fn backward(kernel: &GruBackward, cpu: &Cpu) {
    let reset = &kernel.reset;
    let [batch, size, time_steps] = kernel.sizes();
    let work = WorkSplit::new(cpu, batch, size);
    let weight = cpu.read(&kernel.weight);
    let mut packed = Vec::new();
    let sizes = work.step_sizes([GATES * size, size], time_steps);
    let product = StepProduct::backward(&weight, sizes, &mut packed);
    let tokens = &*cpu.read(&reset.tokens);
    let inputs = BackwardInputs {
        reset,
        tokens,
        states: &cpu.read(&kernel.states),
        gradient: &cpu.read(&kernel.gradient),
        initial_state: &vec![reset.initial; size],
    };
    let mut gates = cpu.write(&kernel.gates);
    let mut recurrent = cpu.write(&kernel.recurrent);
    let mut initial_gradient = cpu.write(&kernel.initial_gradient);
    initial_gradient.fill(0.0);
    let groups = work
        .split(&mut gates, GATES * size)
        .into_par_iter()
        .zip(work.split(&mut recurrent, GATES * size))
        .zip(initial_gradient.par_chunks_mut(work.streams * size));
    groups
        .enumerate()
        .for_each(|(group, ((gates, recurrent), carried))| {
            for (t, (gates, recurrent)) in gates.into_iter().zip(recurrent).enumerate().rev() {
                let position = t * batch + group * work.streams;
                let chunk_rows = rows_per_chunk(work.threads, carried.len() / size);
                gates
                    .par_chunks_mut(chunk_rows * GATES * size)
                    .zip(recurrent.par_chunks_mut(chunk_rows * GATES * size))
                    .zip(carried.par_chunks_mut(chunk_rows * size))
                    .enumerate()
                    .for_each(|(chunk, ((gates, recurrent), carried))| {
                        let first = position + chunk * chunk_rows;
                        vectorized(
                            #[inline(always)]
                            || inputs.backward_rows(first, gates, recurrent, carried),
                        );
                    });
                product.run(recurrent, carried, true);
                if reset.enabled {
                    reset.clear_gradients(carried, tokens, position, size);
                }
            }
        });
}
