//! The LSTM on the CPU. Groups of streams are processed in parallel, and in wide layers also chunks
//! of the rows of a step.

use rayon::prelude::*;

use super::cell::{LstmCellBackward, LstmCellForward, LstmCellStart};
use super::{GATES, LstmBackward, LstmForward};
use crate::device::Cpu;
use crate::kernels::math::Math;
use crate::kernels::parallel::{MIN_PARALLEL_ELEMENTS, rows_per_chunk, vectorized_math};
use crate::kernels::recurrent::{Reset, StepProduct, WorkSplit};
use crate::tensor::Tensor;

/// Splits a row of gates into its four gates.
#[inline(always)]
fn split_gates(row: &mut [f32], size: usize) -> [&mut [f32]; GATES] {
    let (i, rest) = row.split_at_mut(size);
    let (f, rest) = rest.split_at_mut(size);
    let (g, o) = rest.split_at_mut(size);
    [i, f, g, &mut o[..size]]
}

/// Computes a stream's gate activations from their pre-activations, and its next cell and state.
#[inline(always)]
fn forward_row(
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
        cell[k] = f[k] * previous_cell[k] + i[k] * g[k];
        state[k] = o[k] * math.tanh(cell[k]);
    }
}

/// Replaces a stream's gate activations by the gradients of their pre-activations, and `dc`, the
/// gradient of this step's cell, by that of the previous cell.
#[inline(always)]
fn backward_row(
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
        let di = total * g[k] * (i[k] * (1.0 - i[k]));
        let df = total * previous_cell[k] * (f[k] * (1.0 - f[k]));
        let dg = total * i[k] * (1.0 - g[k] * g[k]);
        let d_o = dh * tanh * (o[k] * (1.0 - o[k]));
        i[k] = di;
        f[k] = df;
        g[k] = dg;
        o[k] = d_o;
    }
}

/// The resets of a window, with the cell after a reset.
struct CellResets<'a> {
    reset: &'a Reset,
    tokens: &'a [u32],
    initial_cell: &'a [f32],
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
    fn forward_rows(
        &self,
        math: Math,
        first: usize,
        gates: &mut [f32],
        previous_cells: &'a [f32],
        cells: &mut [f32],
        states: &mut [f32],
    ) {
        let size = self.initial_cell.len();
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
struct BackwardInputs<'a> {
    resets: CellResets<'a>,
    batch: usize,
    cells: &'a [f32],
    gradient: &'a [f32],
}

impl BackwardInputs<'_> {
    /// Calls [`backward_row`] for every row; `first` is the position of the first one.
    #[inline(always)]
    fn backward_rows(
        &self,
        math: Math,
        first: usize,
        gates: &mut [f32],
        carried: &[f32],
        dc: &mut [f32],
    ) {
        let size = self.resets.initial_cell.len();
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

/// With resets, keeps the states before step `t` of a window, if it has that step.
pub(super) fn keep_state(window: &LstmCellStart, cpu: &Cpu, t: usize) {
    let reset = &window.reset;
    let [batch, size, time_steps] = window.sizes();
    if !reset.enabled || t == time_steps {
        return;
    }
    let rows = t * batch..(t + 1) * batch;
    let tokens = cpu.read(&reset.tokens);
    let states = cpu.read(&window.states.slice_rows(rows.clone()));
    let mut previous = cpu.write(&reset.previous.slice_rows(rows));
    reset.copy_with_resets(&states, &mut previous, &tokens, t * batch, size);
}

/// One step without its products.
pub(super) fn cell_forward(kernel: &LstmCellForward, cpu: &Cpu) {
    let window = &kernel.window;
    let [batch, size, _] = window.sizes();
    let first = kernel.step * batch;
    let resets = CellResets {
        reset: &window.reset,
        tokens: &cpu.read(&window.reset.tokens),
        initial_cell: &vec![window.reset.initial; size],
    };
    let rows = |tensor: Tensor, slot: usize| tensor.slice_rows(slot * batch..(slot + 1) * batch);
    let mut gates = cpu.write(&rows(window.gates, kernel.step));
    let mut cells = cpu.write(&window.cells.slice_rows(first..first + 2 * batch));
    let (previous_cells, cells) = cells.split_at_mut(batch * size);
    let mut states = cpu.write(&rows(window.states, kernel.step + 1));
    let chunk_rows = rows_per_task(cpu, batch, size);
    gates
        .par_chunks_mut(chunk_rows * GATES * size)
        .zip(previous_cells.par_chunks(chunk_rows * size))
        .zip(cells.par_chunks_mut(chunk_rows * size))
        .zip(states.par_chunks_mut(chunk_rows * size))
        .enumerate()
        .for_each(|(chunk, (((gates, previous_cells), cells), states))| {
            let first = first + chunk * chunk_rows;
            vectorized_math(
                #[inline(always)]
                |math| resets.forward_rows(math, first, gates, previous_cells, cells, states),
            );
        });
}

/// One step backwards without its products.
pub(super) fn cell_backward(kernel: &LstmCellBackward, cpu: &Cpu) {
    let reset = &kernel.reset;
    let [batch, size, time_steps] = kernel.sizes();
    let tokens = cpu.read(&reset.tokens);
    let inputs = BackwardInputs {
        resets: CellResets {
            reset,
            tokens: &tokens,
            initial_cell: &vec![reset.initial; size],
        },
        batch,
        cells: &cpu.read(&kernel.cells),
        gradient: &cpu.read(&kernel.gradient),
    };
    let first = kernel.step * batch;
    let mut gates = cpu.write(&kernel.gates.slice_rows(first..first + batch));
    let mut from_next = cpu.write(&kernel.initial_gradient);
    let (state_gradient, dc) = from_next.split_at_mut(batch * size);
    let mut dh = state_gradient.to_vec();
    if kernel.step + 1 == time_steps {
        dh.fill(0.0);
        dc.fill(0.0);
    } else if reset.enabled {
        reset.clear_gradients(&mut dh, &tokens, first + batch, size);
        reset.clear_gradients(dc, &tokens, first + batch, size);
    }
    let chunk_rows = rows_per_task(cpu, batch, size);
    gates
        .par_chunks_mut(chunk_rows * GATES * size)
        .zip(dh.par_chunks(chunk_rows * size))
        .zip(dc.par_chunks_mut(chunk_rows * size))
        .enumerate()
        .for_each(|(chunk, ((gates, dh), dc))| {
            let first = first + chunk * chunk_rows;
            vectorized_math(
                #[inline(always)]
                |math| inputs.backward_rows(math, first, gates, dh, dc),
            );
        });
}

/// The streams of a step that a thread processes: all of them in a small layer.
fn rows_per_task(cpu: &Cpu, batch: usize, size: usize) -> usize {
    let is_small = batch * GATES * size < MIN_PARALLEL_ELEMENTS;
    rows_per_chunk(if is_small { 1 } else { cpu.threads() }, batch)
}
