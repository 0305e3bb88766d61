//! A step of an LSTM with layer normalization on the CPU. Threads share the streams.

use rayon::prelude::*;

use super::{GATES, NormalizedLstmBackward, NormalizedLstmForward};
use crate::device::Cpu;
use crate::kernels::layer_norm::{Statistics, backward_means};
use crate::kernels::lstm::{is_capped, split_gates, write_gate};
use crate::kernels::math::Math;
use crate::kernels::parallel::{MIN_PARALLEL_ELEMENTS, rows_per_chunk, vectorized_math};

/// The values that a cell's normalization has beside the cell.
#[derive(Clone, Copy)]
struct Norm<'a> {
    gain: &'a [f32],
    /// Empty without a bias.
    bias: &'a [f32],
    capped: bool,
}

impl Norm<'_> {
    /// tanh(LN(c)) of a unit, from its normalized cell.
    #[inline(always)]
    fn squashed(&self, math: Math, unit: usize, normalized: f32) -> f32 {
        let bias = self.bias.get(unit).copied().unwrap_or(0.0);
        math.tanh(self.gain[unit] * normalized + bias)
    }
}

/// The rows of a step that a thread computes at once.
fn streams_per_chunk(cpu: &Cpu, batch: usize, size: usize) -> usize {
    let chunks = match batch * size < MIN_PARALLEL_ELEMENTS {
        true => 1,
        false => cpu.threads(),
    };
    rows_per_chunk(chunks, batch)
}

pub(super) fn forward(kernel: &NormalizedLstmForward, cpu: &Cpu) {
    let step = &kernel.step;
    let [batch, size] = step.sizes();
    let first = step.step * batch;
    let slot = |columns: usize| first * columns..(first + batch) * columns;
    let bias = step.bias.map(|bias| cpu.read(&bias));
    let norm = Norm {
        gain: &cpu.read(&step.gain),
        bias: bias.as_deref().unwrap_or_default(),
        capped: step.capped,
    };
    let mut gates = cpu.write(&step.gates);
    let mut cells = cpu.write(&step.cells);
    let mut states = cpu.write(&kernel.states);
    let mut previous_cells = cpu.write(&step.previous_cells);
    let mut previous_states = cpu.write(&kernel.previous_states);
    let streams = streams_per_chunk(cpu, batch, size);
    let (before, after) = previous_cells.split_at_mut((first + batch) * size);
    gates[slot(GATES * size)]
        .par_chunks_mut(streams * GATES * size)
        .zip(before[slot(size)].par_chunks(streams * size))
        .zip(cells[slot(size)].par_chunks_mut(streams * size))
        .zip(states[slot(size)].par_chunks_mut(streams * size))
        .for_each(|(((gates, before), cells), states)| {
            vectorized_math(
                #[inline(always)]
                |math| {
                    let rows = gates
                        .chunks_exact_mut(GATES * size)
                        .zip(before.chunks_exact(size))
                        .zip(cells.chunks_exact_mut(size))
                        .zip(states.chunks_exact_mut(size));
                    for (((gates, before), cell), state) in rows {
                        forward_row(math, norm, gates, before, cell, state);
                    }
                },
            );
        });
    after[..batch * size].copy_from_slice(&cells[slot(size)]);
    previous_states[slot(size).end..][..batch * size].copy_from_slice(&states[slot(size)]);
}

/// Replaces a stream's pre-activations by the gate activations, and computes its cell and state.
#[inline(always)]
fn forward_row(
    math: Math,
    norm: Norm<'_>,
    gates: &mut [f32],
    before: &[f32],
    cell: &mut [f32],
    state: &mut [f32],
) {
    let size = cell.len();
    let [i, f, g, o] = split_gates(gates, size);
    for k in 0..size {
        i[k] = math.sigmoid(i[k]);
        f[k] = math.sigmoid(f[k]);
        g[k] = math.tanh(g[k]);
        o[k] = math.sigmoid(o[k]);
        cell[k] = f[k] * before[k] + write_gate(norm.capped, i[k], f[k]) * g[k];
    }
    let of_row = Statistics::of(cell);
    for k in 0..size {
        state[k] = o[k] * norm.squashed(math, k, of_row.normalized(cell[k]));
    }
}

pub(super) fn backward(kernel: &NormalizedLstmBackward, cpu: &Cpu) {
    let step = &kernel.step;
    let [batch, size] = step.sizes();
    let first = step.step * batch;
    let slot = |columns: usize| first * columns..(first + batch) * columns;
    let bias = step.bias.map(|bias| cpu.read(&bias));
    let norm = Norm {
        gain: &cpu.read(&step.gain),
        bias: bias.as_deref().unwrap_or_default(),
        capped: step.capped,
    };
    let mut gates = cpu.write(&step.gates);
    let mut cells = cpu.write(&step.cells);
    let previous_cells = cpu.read(&step.previous_cells);
    let mut gradient = cpu.write(&kernel.gradient);
    let mut carried_gradient = cpu.write(&kernel.carried_gradient);
    let (dh, dc) = carried_gradient.split_at_mut(batch * size);
    let streams = streams_per_chunk(cpu, batch, size);
    gates[slot(GATES * size)]
        .par_chunks_mut(streams * GATES * size)
        .zip(previous_cells[slot(size)].par_chunks(streams * size))
        .zip(cells[slot(size)].par_chunks_mut(streams * size))
        .zip(gradient[slot(size)].par_chunks_mut(streams * size))
        .zip(dh.par_chunks(streams * size))
        .zip(dc.par_chunks_mut(streams * size))
        .for_each(|(((((gates, before), cells), gradient), dh), dc)| {
            vectorized_math(
                #[inline(always)]
                |math| {
                    let rows = gates
                        .chunks_exact_mut(GATES * size)
                        .zip(before.chunks_exact(size))
                        .zip(cells.chunks_exact_mut(size))
                        .zip(gradient.chunks_exact_mut(size))
                        .zip(dh.chunks_exact(size))
                        .zip(dc.chunks_exact_mut(size));
                    for (((((gates, before), cell), gradient), dh), dc) in rows {
                        let row = BackwardRow {
                            gates,
                            cell,
                            gradient,
                            dc,
                        };
                        row.run(math, norm, before, dh);
                    }
                },
            );
        });
}

/// What the backward pass of a stream overwrites.
struct BackwardRow<'a> {
    gates: &'a mut [f32],
    cell: &'a mut [f32],
    gradient: &'a mut [f32],
    dc: &'a mut [f32],
}

impl BackwardRow<'_> {
    /// `before` is c(t-1), `dh` the gradient of h(t) from the next step.
    #[inline(always)]
    fn run(self, math: Math, norm: Norm<'_>, before: &[f32], dh: &[f32]) {
        let size = self.cell.len();
        let [i, f, g, o] = split_gates(self.gates, size);
        let of_row = Statistics::of(self.cell);
        for k in 0..size {
            let tanh = norm.squashed(math, k, of_row.normalized(self.cell[k]));
            let dh = self.gradient[k] + dh[k];
            self.gradient[k] = dh * o[k] * (1.0 - tanh * tanh);
            o[k] = dh * tanh * (o[k] * (1.0 - o[k]));
        }
        let scaled = norm
            .gain
            .iter()
            .zip(&*self.gradient)
            .map(|(gain, dm)| gain * dm);
        let normalized = self.cell.iter().map(|c| of_row.normalized(*c));
        let [mean, mean_product] = backward_means(scaled.zip(normalized));
        for k in 0..size {
            let normalized = of_row.normalized(self.cell[k]);
            let d = norm.gain[k] * self.gradient[k];
            let dc = self.dc[k] + (d - mean - normalized * mean_product) * of_row.scale;
            self.cell[k] = normalized * self.gradient[k];
            self.dc[k] = dc * f[k];
            let write = write_gate(norm.capped, i[k], f[k]);
            let (to_i, through_f) = match is_capped(norm.capped, i[k], f[k]) {
                true => (0.0, before[k] - g[k]),
                false => (dc * g[k] * (i[k] * (1.0 - i[k])), before[k]),
            };
            i[k] = to_i;
            f[k] = dc * through_f * (f[k] * (1.0 - f[k]));
            g[k] = dc * write * (1.0 - g[k] * g[k]);
        }
    }
}
