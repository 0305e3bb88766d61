//! The quasi-recurrent unit on the CPU. Threads share the streams, or their units, and each walks
//! through all steps.

use rayon::prelude::*;

use super::{GATES, QrnnBackward, QrnnForward, Zoneout, sizes};
use crate::device::{Cpu, to_u32};
use crate::kernels::math::Math;
use crate::kernels::parallel::vectorized_math;
use crate::kernels::recurrent::{Reset, UnitSplit, UnitTask};

/// What all tasks of a kernel read.
struct Inputs<'a> {
    /// B and H.
    batch: usize,
    size: usize,
    reset: &'a Reset,
    tokens: &'a [u32],
    /// A cell after a reset, H values.
    initial: &'a [f32],
}

/// One step of some units: p, q and r become z, f and o.
#[inline(always)]
fn forward_units(
    math: Math,
    [z, f, o]: [&mut [f32]; GATES],
    [b_z, b_f, b_o]: [&[f32]; GATES],
    [multiplier, before]: [&[f32]; 2],
    [cell, output]: [&mut [f32]; 2],
) {
    let count = output.len();
    let [b_z, b_f, b_o] = [b_z, b_f, b_o].map(|values| &values[..count]);
    let [multiplier, before] = [multiplier, before].map(|values| &values[..count]);
    let (z, f, o) = (&mut z[..count], &mut f[..count], &mut o[..count]);
    let cell = &mut cell[..count];
    for k in 0..count {
        z[k] = math.tanh(z[k] + b_z[k]);
        f[k] = multiplier[k] * math.sigmoid(f[k] + b_f[k]);
        o[k] = math.sigmoid(o[k] + b_o[k]);
        cell[k] = f[k] * z[k] + (1.0 - f[k]) * before[k];
        output[k] = o[k] * cell[k];
    }
}

pub(super) fn forward(kernel: &QrnnForward, cpu: &Cpu) {
    let sizes @ [batch, size, _] = sizes(&kernel.gates, &kernel.cells);
    kernel.carried.load_on_cpu(cpu, [kernel.cells]);
    let bias = kernel.bias.map(|bias| cpu.read(&bias));
    let zeros = vec![0.0; GATES * size];
    let bias = bias.as_deref().unwrap_or(&zeros);
    let inputs = Inputs {
        batch,
        size,
        reset: &kernel.reset,
        tokens: &cpu.read(&kernel.reset.tokens),
        initial: &vec![kernel.reset.initial; size],
    };
    let split = UnitSplit::new(cpu, sizes);
    let mut gates = cpu.write(&kernel.gates);
    let mut cells = cpu.write(&kernel.cells);
    let mut output = cpu.write(&kernel.output);
    let tasks = split
        .split(&mut gates, GATES)
        .into_par_iter()
        .zip(split.split(&mut cells, 1))
        .zip(split.split(&mut output, 1));
    tasks
        .enumerate()
        .for_each(|(index, ((mut gates, mut cells), output))| {
            let task = split.task(index);
            let zoneout = &kernel.zoneout;
            vectorized_math(
                #[inline(always)]
                |math| {
                    let lists = [&mut gates, &mut cells];
                    forward_task(math, &inputs, &task, bias, zoneout, lists, output);
                },
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
    zoneout: &Zoneout,
    [gates, cells]: [&mut Vec<&mut [f32]>; 2],
    output: Vec<&mut [f32]>,
) {
    let bias = [0, 1, 2].map(|gate| task.of(&bias[gate * inputs.size..]));
    let mut multiplier = vec![zoneout.factor(); task.units];
    for (index, output) in output.into_iter().enumerate() {
        let row = task.row(index, inputs.batch);
        let (cells, new_cells) = cells.split_at_mut(index + task.streams);
        let before = match inputs.reset.is_reset(inputs.tokens, row) {
            true => task.of(inputs.initial),
            false => &*cells[index],
        };
        if let Zoneout::Mask(mask) = zoneout {
            let threshold = mask.threshold();
            let first = to_u32(mask.row_of_all(row) * inputs.size + task.unit);
            for (value, index) in multiplier.iter_mut().zip(first..) {
                *value = mask.multiplier(threshold, 1.0, index);
            }
        }
        let [z, f, o] = &mut gates[index * GATES..][..GATES] else {
            unreachable!("a unit has three gates")
        };
        forward_units(
            math,
            [&mut **z, &mut **f, &mut **o],
            bias,
            [&multiplier, before],
            [&mut *new_cells[0], output],
        );
    }
}

/// One step back of some units: z, f and o become the gradients of p, q and r.
#[inline(always)]
fn backward_units(
    factor: f32,
    [z, f, o]: [&mut [f32]; GATES],
    [to_output, before, cell]: [&[f32]; 3],
    to_cell: &mut [f32],
    [to_b_z, to_b_f, to_b_o]: [&mut [f32]; GATES],
) {
    let count = to_cell.len();
    let [to_output, before, cell] = [to_output, before, cell].map(|values| &values[..count]);
    let (z, f, o) = (&mut z[..count], &mut f[..count], &mut o[..count]);
    let (to_b_z, to_b_f) = (&mut to_b_z[..count], &mut to_b_f[..count]);
    let to_b_o = &mut to_b_o[..count];
    for k in 0..count {
        let total = to_cell[k] + to_output[k] * o[k];
        let to_p = total * f[k] * (1.0 - z[k] * z[k]);
        let to_q = total * (z[k] - before[k]) * (f[k] * (1.0 - f[k] / factor));
        let to_r = to_output[k] * cell[k] * (o[k] * (1.0 - o[k]));
        to_cell[k] = total * (1.0 - f[k]);
        z[k] = to_p;
        f[k] = to_q;
        o[k] = to_r;
        to_b_z[k] += to_p;
        to_b_f[k] += to_q;
        to_b_o[k] += to_r;
    }
}

pub(super) fn backward(kernel: &QrnnBackward, cpu: &Cpu) {
    let sizes @ [batch, size, _] = sizes(&kernel.gates, &kernel.cells);
    let inputs = Inputs {
        batch,
        size,
        reset: &kernel.reset,
        tokens: &cpu.read(&kernel.reset.tokens),
        initial: &vec![kernel.reset.initial; size],
    };
    let cells = &*cpu.read(&kernel.cells);
    let gradient = &*cpu.read(&kernel.gradient);
    let split = UnitSplit::new(cpu, sizes);
    let mut gates = cpu.write(&kernel.gates);
    let mut unit_gradients = cpu.write(&kernel.unit_gradients);
    unit_gradients.fill(0.0);
    let (initial_gradient, to_biases) = unit_gradients.split_at_mut(batch * size);
    let tasks = split
        .split(&mut gates, GATES)
        .into_par_iter()
        .zip(split.split(initial_gradient, 1))
        .zip(split.split(to_biases, GATES));
    tasks
        .enumerate()
        .for_each(|(index, ((mut gates, mut to_cells), mut to_biases))| {
            let task = split.task(index);
            vectorized_math(
                #[inline(always)]
                |_| {
                    backward_task(
                        &inputs,
                        &task,
                        kernel.factor,
                        [cells, gradient],
                        [&mut gates, &mut to_cells, &mut to_biases],
                    );
                },
            );
        });
}

#[inline(always)]
fn backward_task(
    inputs: &Inputs<'_>,
    task: &UnitTask,
    factor: f32,
    [cells, gradient]: [&[f32]; 2],
    [gates, to_cells, to_biases]: [&mut Vec<&mut [f32]>; 3],
) {
    let size = inputs.size;
    for (index, gates) in gates.chunks_exact_mut(GATES).enumerate().rev() {
        let stream = index % task.streams;
        let row = task.row(index, inputs.batch);
        let is_reset = inputs.reset.is_reset(inputs.tokens, row);
        let before = match is_reset {
            true => task.of(inputs.initial),
            false => task.of(&cells[row * size..]),
        };
        let ([z, f, o], [to_b_z, to_b_f, to_b_o]) =
            (gates, &mut to_biases[GATES * stream..][..GATES])
        else {
            unreachable!("a unit has three gates and biases")
        };
        let to_cell = &mut *to_cells[stream];
        backward_units(
            factor,
            [&mut **z, &mut **f, &mut **o],
            [
                task.of(&gradient[row * size..]),
                before,
                task.of(&cells[(row + inputs.batch) * size..]),
            ],
            &mut *to_cell,
            [&mut **to_b_z, &mut **to_b_f, &mut **to_b_o],
        );
        if is_reset {
            to_cell.fill(0.0);
        }
    }
}
