//! The expected outputs of the kernels of gated cells and of dropout: PyTorch's equations written
//! out unit by unit in f64.

use elman::kernels::cases::{Direction, Dropped, Gated, INITIAL, MASK, Outcome, Together};

use super::expected::{Expected, numbers, tokens};
use super::reference::masks;

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// The sizes and the weight of a window, and where its streams are reset.
struct WindowCase {
    batch: usize,
    rows: usize,
    size: usize,
    weight: Vec<f64>,
    fresh: Vec<bool>,
}

impl WindowCase {
    fn new(gated: Gated, run: &Outcome) -> Self {
        let fresh = tokens(run, "tokens")
            .into_iter()
            .map(|token| gated.reset && token == Some(0))
            .collect();
        let (batch, size) = (gated.batch, gated.hidden_size);
        Self {
            batch,
            rows: gated.time_steps * batch,
            size,
            weight: numbers(run, "weight"),
            fresh,
        }
    }

    /// The slot that row (t, b) reads: row (t, b) of the steps reads slot row (t, b) and writes
    /// slot row (t+1, b).
    fn used(&self, slots: &[f64], row: usize) -> Vec<f64> {
        if self.fresh[row] {
            vec![f64::from(INITIAL); self.size]
        } else {
            slots[row * self.size..][..self.size].to_vec()
        }
    }

    /// `W state`, G*H elements.
    fn forward(&self, state: &[f64]) -> Vec<f64> {
        self.weight
            .chunks_exact(self.size)
            .map(|row| row.iter().zip(state).map(|(w, s)| w * s).sum())
            .collect()
    }

    /// `Wᵀ gradient`, H elements.
    fn backward(&self, gradient: &[f64]) -> Vec<f64> {
        (0..self.size)
            .map(|j| {
                gradient
                    .iter()
                    .enumerate()
                    .map(|(i, d)| self.weight[i * self.size + j] * d)
                    .sum()
            })
            .collect()
    }

    /// The gradient that reaches row `row` from the next step, from what each row sends back: zero
    /// beyond the window and across a reset.
    fn gradient_from_next_step(&self, sent: &[f64], row: usize, unit: usize) -> f64 {
        let next = row + self.batch;
        if next >= self.rows || self.fresh[next] {
            0.0
        } else {
            sent[next * self.size + unit]
        }
    }

    /// The gradient that the first step sends back to before the window.
    fn gradient_before_window(&self, sent: &[f64]) -> Vec<f64> {
        (0..self.batch * self.size)
            .map(|i| {
                if self.fresh[i / self.size] {
                    0.0
                } else {
                    sent[i]
                }
            })
            .collect()
    }
}

pub fn lstm(gated: Gated, run: &Outcome) -> Expected {
    let walked = WindowCase::new(gated, run);
    let (size, batch) = (walked.size, walked.batch);
    let (mut gates, mut cells) = (numbers(run, "gates"), numbers(run, "cells"));
    if gated.direction == Direction::Forward {
        let mut states = numbers(run, "states");
        let mut previous = Vec::new();
        for row in 0..walked.rows {
            let (h, c) = (walked.used(&states, row), walked.used(&cells, row));
            let product = walked.forward(&h);
            for unit in 0..size {
                let at = |gate: usize| row * 4 * size + gate * size + unit;
                let [i, f, g, o] =
                    std::array::from_fn(|gate| gates[at(gate)] + product[gate * size + unit]);
                let [i, f, g, o] = [sigmoid(i), sigmoid(f), g.tanh(), sigmoid(o)];
                [gates[at(0)], gates[at(1)], gates[at(2)], gates[at(3)]] = [i, f, g, o];
                let new = (row + batch) * size + unit;
                cells[new] = f * c[unit] + i * g;
                states[new] = o * cells[new].tanh();
            }
            previous.extend(h);
        }
        let mut expected = vec![("gates", gates), ("cells", cells), ("states", states)];
        if gated.reset {
            expected.push(("previous", previous));
        }
        return expected;
    }
    let gradient = numbers(run, "gradient");
    let (mut sent, mut sent_cells) = (vec![0.0; walked.rows * size], vec![0.0; walked.rows * size]);
    for row in (0..walked.rows).rev() {
        let c = walked.used(&cells, row);
        for unit in 0..size {
            let at = |gate: usize| row * 4 * size + gate * size + unit;
            let [i, f, g, o] = std::array::from_fn(|gate| gates[at(gate)]);
            let squashed = cells[(row + batch) * size + unit].tanh();
            let dh = gradient[row * size + unit] + walked.gradient_from_next_step(&sent, row, unit);
            let dc = walked.gradient_from_next_step(&sent_cells, row, unit)
                + dh * o * (1.0 - squashed * squashed);
            gates[at(0)] = dc * g * i * (1.0 - i);
            gates[at(1)] = dc * c[unit] * f * (1.0 - f);
            gates[at(2)] = dc * i * (1.0 - g * g);
            gates[at(3)] = dh * squashed * o * (1.0 - o);
            sent_cells[row * size + unit] = dc * f;
        }
        sent[row * size..][..size]
            .copy_from_slice(&walked.backward(&gates[row * 4 * size..][..4 * size]));
    }
    let initial = [
        walked.gradient_before_window(&sent),
        walked.gradient_before_window(&sent_cells),
    ]
    .concat();
    vec![("gates", gates), ("initial_gradient", initial)]
}

pub fn gru(gated: Gated, run: &Outcome) -> Expected {
    let walked = WindowCase::new(gated, run);
    let (size, batch) = (walked.size, walked.batch);
    let (mut gates, mut states) = (numbers(run, "gates"), numbers(run, "states"));
    if gated.direction == Direction::Forward {
        let bias = run.numbers("bias").map_or_else(
            || vec![0.0; 3 * size],
            |values| values.iter().copied().map(f64::from).collect(),
        );
        let (mut recurrent, mut previous) = (Vec::new(), Vec::new());
        for row in 0..walked.rows {
            let h = walked.used(&states, row);
            let mut product = walked.forward(&h);
            for unit in 0..size {
                let at = |gate: usize| row * 3 * size + gate * size + unit;
                let [ur, uz, un] = std::array::from_fn(|gate| {
                    product[gate * size + unit] + bias[gate * size + unit]
                });
                let (r, z) = (sigmoid(gates[at(0)] + ur), sigmoid(gates[at(1)] + uz));
                let n = (gates[at(2)] + r * un).tanh();
                [gates[at(0)], gates[at(1)], gates[at(2)]] = [r, z, n];
                product[2 * size + unit] = un;
                states[(row + batch) * size + unit] = (1.0 - z) * n + z * h[unit];
            }
            recurrent.extend(product);
            previous.extend(h);
        }
        let mut expected = vec![
            ("gates", gates),
            ("recurrent", recurrent),
            ("states", states),
        ];
        if gated.reset {
            expected.push(("previous", previous));
        }
        return expected;
    }
    let (gradient, mut recurrent) = (numbers(run, "gradient"), numbers(run, "recurrent"));
    let mut sent = vec![0.0; walked.rows * size];
    for row in (0..walked.rows).rev() {
        let h = walked.used(&states, row);
        let mut direct = Vec::new();
        for unit in 0..size {
            let at = |gate: usize| row * 3 * size + gate * size + unit;
            let [r, z, n] = std::array::from_fn(|gate| gates[at(gate)]);
            let dh = gradient[row * size + unit] + walked.gradient_from_next_step(&sent, row, unit);
            let dn = dh * (1.0 - z) * (1.0 - n * n);
            let dr = dn * recurrent[at(2)] * r * (1.0 - r);
            let dz = dh * (h[unit] - n) * z * (1.0 - z);
            [gates[at(0)], gates[at(1)], gates[at(2)]] = [dr, dz, dn];
            [recurrent[at(0)], recurrent[at(1)], recurrent[at(2)]] = [dr, dz, dn * r];
            direct.push(dh * z);
        }
        let through = walked.backward(&recurrent[row * 3 * size..][..3 * size]);
        for unit in 0..size {
            sent[row * size + unit] = direct[unit] + through[unit];
        }
    }
    let initial = walked.gradient_before_window(&sent);
    vec![
        ("gates", gates),
        ("recurrent", recurrent),
        ("initial_gradient", initial),
    ]
}

pub fn dropout(dropped: Dropped, run: &Outcome) -> Expected {
    let Dropped {
        columns,
        together,
        rate,
        in_place,
        ..
    } = dropped;
    let mut output = numbers(run, if in_place { "output" } else { "input" });
    let words = if together == Together::Words {
        tokens(run, "tokens")
    } else {
        Vec::new()
    };
    let [seed, site, draw] = MASK;
    for (i, value) in output.iter_mut().enumerate() {
        let index = match together {
            Together::Elements => Some(i),
            Together::Streams(streams) => Some(i % (streams * columns)),
            Together::Words => words[i / columns],
        };
        if let Some(index) = index {
            *value *= masks::multiplier(seed, site, draw, index as u32, f64::from(rate));
        }
    }
    vec![("output", output)]
}
