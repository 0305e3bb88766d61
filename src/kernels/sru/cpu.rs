//! The simple recurrent unit on the CPU. Threads share the streams, or their units, and each walks
//! through all steps.

use rayon::prelude::*;

use super::{SruBackward, SruForward, sizes};
use crate::device::Cpu;
use crate::kernels::math::Math;
use crate::kernels::parallel::vectorized_math;
use crate::kernels::recurrent::{Reset, UnitSplit, UnitTask};

/// What all tasks of a kernel read.
struct Inputs<'a> {
    /// B and H.
    batch: usize,
    size: usize,
    /// G.
    gates: usize,
    reset: &'a Reset,
    tokens: &'a [u32],
    /// `[T*B, H]`, if G is 3.
    input: Option<&'a [f32]>,
    /// v_f and v_r, `[2, H]`.
    weight: &'a [f32],
    /// A cell after a reset, H values.
    initial: &'a [f32],
}

impl Inputs<'_> {
    /// The two parts of v or b of a task.
    fn pair<'a>(&self, values: &'a [f32], task: &UnitTask) -> [&'a [f32]; 2] {
        let (forget, reset) = values.split_at(self.size);
        [forget, reset].map(|row| task.of(row))
    }

    /// x of a row of `[T*B, H]` that is not among the gates.
    #[inline(always)]
    fn input<'a>(&'a self, row: usize, task: &UnitTask) -> Option<&'a [f32]> {
        let input = self.input?;
        Some(task.of(&input[row * self.size..][..self.size]))
    }
}

/// One step of some units: p and q become f and r.
#[inline(always)]
fn forward_units(
    math: Math,
    [u, x, before]: [&[f32]; 3],
    [f, r]: [&mut [f32]; 2],
    [forget_weight, reset_weight]: [&[f32]; 2],
    [forget_bias, reset_bias]: [&[f32]; 2],
    [cell, output]: [&mut [f32]; 2],
) {
    let count = output.len();
    let [u, x, before] = [u, x, before].map(|values| &values[..count]);
    let [v_f, v_r] = [forget_weight, reset_weight].map(|values| &values[..count]);
    let [b_f, b_r] = [forget_bias, reset_bias].map(|values| &values[..count]);
    let (f, r, cell) = (&mut f[..count], &mut r[..count], &mut cell[..count]);
    for k in 0..count {
        f[k] = math.sigmoid(f[k] + v_f[k] * before[k] + b_f[k]);
        r[k] = math.sigmoid(r[k] + v_r[k] * before[k] + b_r[k]);
        cell[k] = f[k] * before[k] + (1.0 - f[k]) * u[k];
        output[k] = r[k] * cell[k] + (1.0 - r[k]) * x[k];
    }
}

pub(super) fn forward(kernel: &SruForward, cpu: &Cpu) {
    let [batch, size, time_steps, gate_count] = sizes(&kernel.gates, &kernel.cells);
    kernel.carried.load_on_cpu(cpu, [kernel.cells]);
    let input = kernel.input.map(|input| cpu.read(&input));
    let bias = kernel.bias.map(|bias| cpu.read(&bias));
    let zeros = vec![0.0; 2 * size];
    let bias = bias.as_deref().unwrap_or(&zeros);
    let inputs = Inputs {
        batch,
        size,
        gates: gate_count,
        reset: &kernel.reset,
        tokens: &cpu.read(&kernel.reset.tokens),
        input: input.as_deref(),
        weight: &cpu.read(&kernel.weight),
        initial: &vec![kernel.reset.initial; size],
    };
    let split = UnitSplit::new(cpu, [batch, size, time_steps]);
    let mut gates = cpu.write(&kernel.gates);
    let mut cells = cpu.write(&kernel.cells);
    let mut output = cpu.write(&kernel.output);
    let tasks = split
        .split(&mut gates, gate_count)
        .into_par_iter()
        .zip(split.split(&mut cells, 1))
        .zip(split.split(&mut output, 1));
    tasks
        .enumerate()
        .for_each(|(index, ((mut gates, mut cells), output))| {
            let task = split.task(index);
            vectorized_math(
                #[inline(always)]
                |math| forward_task(math, &inputs, &task, bias, &mut gates, &mut cells, output),
            );
        });
    drop(cells);
    kernel.carried.store_on_cpu(cpu, [kernel.cells]);
}

#[inline(always)]
fn forward_task(
    math: Math,
    inputs: &Inputs<'_>,
    task: &UnitTask,
    bias: &[f32],
    gates: &mut [&mut [f32]],
    cells: &mut [&mut [f32]],
    output: Vec<&mut [f32]>,
) {
    let weight = inputs.pair(inputs.weight, task);
    let bias = inputs.pair(bias, task);
    for (index, output) in output.into_iter().enumerate() {
        let row = task.row(index, inputs.batch);
        let (cells, new_cells) = cells.split_at_mut(index + task.streams);
        let is_reset = inputs.reset.is_reset(inputs.tokens, row);
        let before = match is_reset {
            true => task.of(inputs.initial),
            false => &*cells[index],
        };
        let gates = &mut gates[index * inputs.gates..][..inputs.gates];
        let [u, f, r, rest @ ..] = gates else {
            unreachable!("a unit has at least three gates")
        };
        let x = inputs.input(row, task).unwrap_or_else(|| &*rest[0]);
        forward_units(
            math,
            [&**u, x, before],
            [&mut **f, &mut **r],
            weight,
            bias,
            [&mut *new_cells[0], output],
        );
    }
}

/// One step back of some units: u, f and r become the gradients of u, p and q, and `to_output` the
/// gradient of x.
#[inline(always)]
fn backward_units(
    [u, f, r]: [&mut [f32]; 3],
    [x, before, cell]: [&[f32]; 3],
    [forget_weight, reset_weight]: [&[f32]; 2],
    [to_output, to_cell]: [&mut [f32]; 2],
    [to_v_f, to_v_r, to_b_f, to_b_r]: [&mut [f32]; 4],
) {
    let count = to_cell.len();
    let [x, before, cell] = [x, before, cell].map(|values| &values[..count]);
    let [v_f, v_r] = [forget_weight, reset_weight].map(|values| &values[..count]);
    let (u, f, r) = (&mut u[..count], &mut f[..count], &mut r[..count]);
    let to_output = &mut to_output[..count];
    let (to_v_f, to_v_r) = (&mut to_v_f[..count], &mut to_v_r[..count]);
    let (to_b_f, to_b_r) = (&mut to_b_f[..count], &mut to_b_r[..count]);
    for k in 0..count {
        let total = to_cell[k] + to_output[k] * r[k];
        let to_p = total * (before[k] - u[k]) * (f[k] * (1.0 - f[k]));
        let to_q = to_output[k] * (cell[k] - x[k]) * (r[k] * (1.0 - r[k]));
        to_cell[k] = total * f[k] + to_p * v_f[k] + to_q * v_r[k];
        to_output[k] *= 1.0 - r[k];
        u[k] = total * (1.0 - f[k]);
        f[k] = to_p;
        r[k] = to_q;
        to_v_f[k] += to_p * before[k];
        to_v_r[k] += to_q * before[k];
        to_b_f[k] += to_p;
        to_b_r[k] += to_q;
    }
}

pub(super) fn backward(kernel: &SruBackward, cpu: &Cpu) {
    let [batch, size, time_steps, gate_count] = sizes(&kernel.gates, &kernel.cells);
    let input = kernel.input.map(|input| cpu.read(&input));
    let inputs = Inputs {
        batch,
        size,
        gates: gate_count,
        reset: &kernel.reset,
        tokens: &cpu.read(&kernel.reset.tokens),
        input: input.as_deref(),
        weight: &cpu.read(&kernel.weight),
        initial: &vec![kernel.reset.initial; size],
    };
    let cells = &*cpu.read(&kernel.cells);
    let split = UnitSplit::new(cpu, [batch, size, time_steps]);
    let mut gates = cpu.write(&kernel.gates);
    let mut gradient = cpu.write(&kernel.gradient);
    let mut unit_gradients = cpu.write(&kernel.unit_gradients);
    unit_gradients.fill(0.0);
    let (initial_gradient, unit_gradients) = unit_gradients.split_at_mut(batch * size);
    let tasks = split
        .split(&mut gates, gate_count)
        .into_par_iter()
        .zip(split.split(&mut gradient, 1))
        .zip(split.split(initial_gradient, 1))
        .zip(split.split(unit_gradients, 2));
    tasks.enumerate().for_each(
        |(index, (((mut gates, mut gradient), mut to_cells), mut to_units))| {
            let task = split.task(index);
            vectorized_math(
                #[inline(always)]
                |_| {
                    backward_task(
                        &inputs,
                        &task,
                        cells,
                        [&mut gates, &mut gradient, &mut to_cells, &mut to_units],
                    );
                },
            );
        },
    );
}

#[inline(always)]
fn backward_task(
    inputs: &Inputs<'_>,
    task: &UnitTask,
    cells: &[f32],
    [gates, gradient, to_cells, to_units]: [&mut Vec<&mut [f32]>; 4],
) {
    let weight = inputs.pair(inputs.weight, task);
    let cell_of = |slot: usize| task.of(&cells[slot * inputs.size..][..inputs.size]);
    for (index, to_output) in gradient.iter_mut().enumerate().rev() {
        let stream = index % task.streams;
        let row = task.row(index, inputs.batch);
        let is_reset = inputs.reset.is_reset(inputs.tokens, row);
        let before = match is_reset {
            true => task.of(inputs.initial),
            false => cell_of(row),
        };
        let gates = &mut gates[index * inputs.gates..][..inputs.gates];
        let [u, f, r, rest @ ..] = gates else {
            unreachable!("a unit has at least three gates")
        };
        let x = inputs.input(row, task).unwrap_or_else(|| &*rest[0]);
        let (weights, biases) = to_units.split_at_mut(2 * task.streams);
        let [weights, biases] = [weights, biases].map(|sums| &mut sums[2 * stream..2 * stream + 2]);
        let ([to_v_f, to_v_r], [to_b_f, to_b_r]) = (weights, biases) else {
            unreachable!("there are two gates with parameters of units")
        };
        let to_cell = &mut *to_cells[stream];
        backward_units(
            [&mut **u, &mut **f, &mut **r],
            [x, before, cell_of(row + inputs.batch)],
            weight,
            [&mut **to_output, &mut *to_cell],
            [&mut **to_v_f, &mut **to_v_r, &mut **to_b_f, &mut **to_b_r],
        );
        if is_reset {
            to_cell.fill(0.0);
        }
        // The gradient of an x that is among the gates.
        if let [to_input] = rest {
            to_input.copy_from_slice(to_output);
        }
    }
}
