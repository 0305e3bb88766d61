//! The LSTM on the CPU. Groups of streams are processed in parallel, and in wide layers also chunks
//! of the rows of a step.

use rayon::prelude::*;

use super::{GATES, LstmBackward, LstmForward};
use crate::device::Cpu;
use crate::kernels::math::Math;
use crate::kernels::parallel::{rows_per_chunk, vectorized_math};
use crate::kernels::recurrent::{Reset, StepProduct, WorkSplit};

/// Splits a row of gates into its four gates.
#[inline(always)]
pub(in crate::kernels) fn split_gates(row: &mut [f32], size: usize) -> [&mut [f32]; GATES] {
    let (i, rest) = row.split_at_mut(size);
    let (f, rest) = rest.split_at_mut(size);
    let (g, o) = rest.split_at_mut(size);
    [i, f, g, &mut o[..size]]
}

/// Whether 1 - f takes the place of i; not where one of them is NaN.
#[inline(always)]
pub(in crate::kernels) fn is_capped(capped: bool, i: f32, f: f32) -> bool {
    capped && 1.0 - f < i
}

/// The factor of g in the cell: i, or at most 1 - f. NaN stays NaN.
#[inline(always)]
pub(in crate::kernels) fn write_gate(capped: bool, i: f32, f: f32) -> f32 {
    if is_capped(capped, i, f) { 1.0 - f } else { i }
}

/// Computes a stream's gate activations from their pre-activations, and its next cell and state.
#[inline(always)]
fn forward_row<const CAPPED: bool>(
    math: Math,
    gates: &mut [f32],
    previous_cell: &[f32],
    cell: &mut [f32],
    state: &mut [f32],
) {
    let size = state.len();
    let [i, f, g, o] = split_gates(gates, size);
    let previous_cell = &previous_cell[..size];
    let cell = &mut cell[..size];
    for k in 0..size {
        i[k] = math.sigmoid(i[k]);
        f[k] = math.sigmoid(f[k]);
        g[k] = math.tanh(g[k]);
        o[k] = math.sigmoid(o[k]);
        cell[k] = f[k] * previous_cell[k] + write_gate(CAPPED, i[k], f[k]) * g[k];
        state[k] = o[k] * math.tanh(cell[k]);
    }
}

/// Replaces a stream's gate activations by the gradients of their pre-activations, and `dc`, the
/// gradient of this step's cell, by that of the previous cell.
#[inline(always)]
fn backward_row<const CAPPED: bool>(
    math: Math,
    gates: &mut [f32],
    [previous_cell, cell, gradient, carried]: [&[f32]; 4],
    dc: &mut [f32],
) {
    let size = dc.len();
    let [i, f, g, o] = split_gates(gates, size);
    let [previous_cell, cell, gradient, carried] =
        [previous_cell, cell, gradient, carried].map(|values| &values[..size]);
    for k in 0..size {
        let tanh = math.tanh(cell[k]);
        let dh = gradient[k] + carried[k];
        let total = dc[k] + dh * o[k] * (1.0 - tanh * tanh);
        dc[k] = total * f[k];
        let (to_i, through_f) = match is_capped(CAPPED, i[k], f[k]) {
            true => (0.0, previous_cell[k] - g[k]),
            false => (total * g[k] * (i[k] * (1.0 - i[k])), previous_cell[k]),
        };
        let df = total * through_f * (f[k] * (1.0 - f[k]));
        let dg = total * write_gate(CAPPED, i[k], f[k]) * (1.0 - g[k] * g[k]);
        let d_o = dh * tanh * (o[k] * (1.0 - o[k]));
        i[k] = to_i;
        f[k] = df;
        g[k] = dg;
        o[k] = d_o;
    }
}

/// The resets of a window, with the cell after a reset.
pub(super) struct CellResets<'a> {
    pub(super) reset: &'a Reset,
    pub(super) tokens: &'a [u32],
    pub(super) initial_cell: &'a [f32],
    pub(super) capped: bool,
}

impl<'a> CellResets<'a> {
    /// The previous cell at a position: `cell`, or the initial one if the stream is reset.
    #[inline(always)]
    fn previous_cell(&self, position: usize, cell: &'a [f32]) -> &'a [f32] {
        if self.reset.is_reset(self.tokens, position) {
            self.initial_cell
        } else {
            cell
        }
    }

    /// Calls [`forward_row`] for every row; `first` is the position of the first one.
    #[inline(always)]
    pub(super) fn forward_rows(
        &self,
        math: Math,
        first: usize,
        gates: &mut [f32],
        previous_cells: &'a [f32],
        cells: &mut [f32],
        states: &mut [f32],
    ) {
        let size = self.initial_cell.len();
        let forward_row = match self.capped {
            true => forward_row::<true>,
            false => forward_row::<false>,
        };
        for (row, state) in states.chunks_exact_mut(size).enumerate() {
            let previous_cell = &previous_cells[row * size..][..size];
            forward_row(
                math,
                &mut gates[row * GATES * size..][..GATES * size],
                self.previous_cell(first + row, previous_cell),
                &mut cells[row * size..][..size],
                state,
            );
        }
    }
}

pub(super) fn forward(kernel: &LstmForward, cpu: &Cpu) {
    let reset = &kernel.reset;
    let [batch, size, time_steps] = kernel.sizes();
    kernel.carried.load_on_cpu(cpu, kernel.buffers());
    let work = WorkSplit::new(cpu, batch, size);
    let weight = cpu.read(&kernel.weight);
    let mut packed = cpu.write(&kernel.weight_t);
    let sizes = work.step_sizes([GATES * size, size], time_steps);
    let product = StepProduct::forward(&weight, sizes, &mut packed);
    let tokens = &*cpu.read(&reset.tokens);
    let resets = CellResets {
        reset,
        tokens,
        initial_cell: &vec![reset.initial; size],
        capped: kernel.capped,
    };
    let mut gates = cpu.write(&kernel.gates);
    let mut all_cells = cpu.write(&kernel.cells);
    let mut all_states = cpu.write(&kernel.states);
    let mut previous = cpu.write(&reset.previous);
    let groups = work
        .split(&mut gates, GATES * size)
        .into_par_iter()
        .zip(work.split(&mut all_cells, size))
        .zip(work.split(&mut all_states, size))
        .zip(work.split_previous(reset, &mut previous, size));
    groups.enumerate().for_each(
        |(group, (((gates, mut cells), mut states), mut previous))| {
            for (t, gates) in gates.into_iter().enumerate() {
                let position = t * batch + group * work.streams;
                let (cells, new_cells) = cells.split_at_mut(t + 1);
                let previous_cells = &*cells[t];
                let new_cells = &mut *new_cells[0];
                let (states, new_states) = states.split_at_mut(t + 1);
                let mut input_states = &*states[t];
                let new_states = &mut *new_states[0];
                if reset.enabled {
                    reset.copy_with_resets(input_states, previous[t], tokens, position, size);
                    input_states = previous[t];
                }
                product.run(input_states, gates, true);
                let chunk_rows = rows_per_chunk(work.threads, new_cells.len() / size);
                gates
                    .par_chunks_mut(chunk_rows * GATES * size)
                    .zip(previous_cells.par_chunks(chunk_rows * size))
                    .zip(new_cells.par_chunks_mut(chunk_rows * size))
                    .zip(new_states.par_chunks_mut(chunk_rows * size))
                    .enumerate()
                    .for_each(|(chunk, (((gates, previous_cells), cells), states))| {
                        let first = position + chunk * chunk_rows;
                        vectorized_math(
                            #[inline(always)]
                            |math| {
                                resets.forward_rows(
                                    math,
                                    first,
                                    gates,
                                    previous_cells,
                                    cells,
                                    states,
                                );
                            },
                        );
                    });
            }
        },
    );
    drop((all_states, all_cells));
    kernel.carried.store_on_cpu(cpu, kernel.buffers());
}

/// The tensors that the backward pass reads.
pub(super) struct BackwardInputs<'a> {
    pub(super) resets: CellResets<'a>,
    pub(super) batch: usize,
    pub(super) cells: &'a [f32],
    pub(super) gradient: &'a [f32],
}

impl BackwardInputs<'_> {
    /// Calls [`backward_row`] for every row; `first` is the position of the first one.
    #[inline(always)]
    pub(super) fn backward_rows(
        &self,
        math: Math,
        first: usize,
        gates: &mut [f32],
        carried: &[f32],
        dc: &mut [f32],
    ) {
        let size = self.resets.initial_cell.len();
        let backward_row = match self.resets.capped {
            true => backward_row::<true>,
            false => backward_row::<false>,
        };
        for (row, dc) in dc.chunks_exact_mut(size).enumerate() {
            let position = first + row;
            let [previous_cell, cell] =
                [position, position + self.batch].map(|slot| &self.cells[slot * size..][..size]);
            backward_row(
                math,
                &mut gates[row * GATES * size..][..GATES * size],
                [
                    self.resets.previous_cell(position, previous_cell),
                    cell,
                    &self.gradient[position * size..][..size],
                    &carried[row * size..][..size],
                ],
                dc,
            );
        }
    }
}

pub(super) fn backward(kernel: &LstmBackward, cpu: &Cpu) {
    let reset = &kernel.reset;
    let [batch, size, time_steps] = kernel.sizes();
    let work = WorkSplit::new(cpu, batch, size);
    let weight = cpu.read(&kernel.weight);
    let mut packed = Vec::new();
    let sizes = work.step_sizes([GATES * size, size], time_steps);
    let product = StepProduct::backward(&weight, sizes, &mut packed);
    let tokens = &*cpu.read(&reset.tokens);
    let inputs = BackwardInputs {
        resets: CellResets {
            reset,
            tokens,
            initial_cell: &vec![reset.initial; size],
            capped: kernel.capped,
        },
        batch,
        cells: &cpu.read(&kernel.cells),
        gradient: &cpu.read(&kernel.gradient),
    };
    let mut gates = cpu.write(&kernel.gates);
    let mut initial_gradient = cpu.write(&kernel.initial_gradient);
    initial_gradient.fill(0.0);
    let (state_gradient, cell_gradient) = initial_gradient.split_at_mut(batch * size);
    let groups = work
        .split(&mut gates, GATES * size)
        .into_par_iter()
        .zip(state_gradient.par_chunks_mut(work.streams * size))
        .zip(cell_gradient.par_chunks_mut(work.streams * size));
    groups
        .enumerate()
        .for_each(|(group, ((gates, carried), dc))| {
            for (t, gates) in gates.into_iter().enumerate().rev() {
                let position = t * batch + group * work.streams;
                let chunk_rows = rows_per_chunk(work.threads, dc.len() / size);
                gates
                    .par_chunks_mut(chunk_rows * GATES * size)
                    .zip(carried.par_chunks(chunk_rows * size))
                    .zip(dc.par_chunks_mut(chunk_rows * size))
                    .enumerate()
                    .for_each(|(chunk, ((gates, carried), dc))| {
                        let first = position + chunk * chunk_rows;
                        vectorized_math(
                            #[inline(always)]
                            |math| inputs.backward_rows(math, first, gates, carried, dc),
                        );
                    });
                product.run(gates, carried, false);
                if reset.enabled {
                    reset.clear_gradients(carried, tokens, position, size);
                    reset.clear_gradients(dc, tokens, position, size);
                }
            }
        });
}
