//! The equations of the case cells: PyTorch's, unit by unit.

use elman::kernels::cases::{
    Direction, GatedCase, GruCase, INITIAL, LstmCase, LstmCellCase, Outcome,
};

use super::super::compare::Tolerance;
use super::{EPSILON, Expectation, Expected, floats, tokens};

impl Expectation for LstmCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        match self.window.direction {
            Direction::Forward => lstm_forward(*self, run),
            Direction::Backward => lstm_backward(*self, run),
        }
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        tolerance(self.window)
    }
}

impl Expectation for LstmCellCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let &Self { window, capped } = self;
        match window.direction {
            Direction::Forward => lstm_forward(LstmCase { window, capped }, run),
            Direction::Backward => lstm_cell_backward(*self, run),
        }
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        tolerance(self.window)
    }
}

impl Expectation for GruCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        match self.0.direction {
            Direction::Forward => gru_forward(self.0, run),
            Direction::Backward => gru_backward(self.0, run),
        }
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        tolerance(self.0)
    }
}

/// The error of a gate reaches the state, and the next gates, undiminished.
fn tolerance(case: GatedCase) -> Tolerance {
    let terms = EPSILON * (4.0 + 3.0 * (case.hidden_size as f64).sqrt());
    Tolerance {
        absolute: terms * f64::from(case.bound.max(1.0)),
        relative: 4.0 * EPSILON,
    }
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// A window's sizes, its weight, and the rows at which streams are reset.
struct WindowCase {
    batch: usize,
    rows: usize,
    size: usize,
    weight: Vec<f64>,
    is_reset: Vec<bool>,
}

impl WindowCase {
    fn new(case: GatedCase, run: &Outcome) -> Self {
        let is_reset = tokens(run, "tokens")
            .into_iter()
            .map(|token| case.reset && token == Some(0))
            .collect();
        let (batch, size) = (case.batch, case.hidden_size);
        Self {
            batch,
            rows: case.time_steps * batch,
            size,
            weight: run
                .floats("weight")
                .map_or_else(Vec::new, |_| floats(run, "weight")),
            is_reset,
        }
    }

    /// The state that row (t, b) of the steps uses: row (t, b) of `states`. It writes row (t+1, b).
    fn used(&self, states: &[f64], row: usize) -> Vec<f64> {
        if self.is_reset[row] {
            vec![f64::from(INITIAL); self.size]
        } else {
            states[row * self.size..][..self.size].to_vec()
        }
    }

    /// `[(T+2)*B, H]`: states, of which slot 0 holds those that are carried in the last slot.
    fn slots(&self, run: &Outcome, name: &str) -> Vec<f64> {
        let mut states = floats(run, name);
        let last = states.len() - self.batch * self.size;
        states.copy_within(last.., 0);
        states
    }

    /// Copies the states at which the next window starts to the last slot.
    fn carry(&self, case: GatedCase, states: &mut [f64]) {
        let slot = self.batch * self.size;
        let next = case.advance() * slot;
        states.copy_within(next..next + slot, states.len() - slot);
    }

    /// `W state`, G*H values; nothing without a weight.
    fn forward(&self, state: &[f64]) -> Vec<f64> {
        self.weight
            .chunks_exact(self.size)
            .map(|row| row.iter().zip(state).map(|(w, s)| w * s).sum())
            .collect()
    }

    /// `Wᵀ gradient`, H values.
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

    /// The gradient that reaches row `row` from the next step, given what each row sends back: 0
    /// from after the window and from a row that is reset.
    fn gradient_from_next_step(&self, sent: &[f64], row: usize, unit: usize) -> f64 {
        let next = row + self.batch;
        if next >= self.rows || self.is_reset[next] {
            0.0
        } else {
            sent[next * self.size + unit]
        }
    }

    /// The gradient of the states before the window.
    fn gradient_before_window(&self, sent: &[f64]) -> Vec<f64> {
        (0..self.batch * self.size)
            .map(|i| {
                if self.is_reset[i / self.size] {
                    0.0
                } else {
                    sent[i]
                }
            })
            .collect()
    }
}

fn lstm_forward(case: LstmCase, run: &Outcome) -> Expected {
    let LstmCase {
        window: case,
        capped,
    } = case;
    let window = WindowCase::new(case, run);
    let (size, batch) = (window.size, window.batch);
    let mut gates = floats(run, "gates");
    let mut cells = window.slots(run, "cells");
    let mut states = window.slots(run, "states");
    let mut previous = Vec::new();
    for row in 0..window.rows {
        let (h, c) = (window.used(&states, row), window.used(&cells, row));
        let product = window.forward(&h);
        for (unit, before) in c.iter().enumerate() {
            let at = |gate: usize| row * 4 * size + gate * size + unit;
            let [i, f, g, o] = std::array::from_fn(|gate| {
                gates[at(gate)] + product.get(gate * size + unit).unwrap_or(&0.0)
            });
            let [i, f, g, o] = [sigmoid(i), sigmoid(f), g.tanh(), sigmoid(o)];
            [gates[at(0)], gates[at(1)], gates[at(2)], gates[at(3)]] = [i, f, g, o];
            let new = (row + batch) * size + unit;
            let write = if capped { i.min(1.0 - f) } else { i };
            cells[new] = f * before + write * g;
            states[new] = o * cells[new].tanh();
        }
        previous.extend(h);
    }
    window.carry(case, &mut cells);
    window.carry(case, &mut states);
    let mut expected = vec![("gates", gates), ("cells", cells), ("states", states)];
    if case.reset {
        expected.push(("previous", previous));
    }
    expected
}

fn lstm_backward(case: LstmCase, run: &Outcome) -> Expected {
    let window = WindowCase::new(case.window, run);
    let size = window.size;
    let mut gates = floats(run, "gates");
    let cells = floats(run, "cells");
    let gradient = floats(run, "gradient");
    let mut sent = [vec![0.0; window.rows * size], vec![0.0; window.rows * size]];
    for row in (0..window.rows).rev() {
        for unit in 0..size {
            let from_next = [0, 1].map(|i| window.gradient_from_next_step(&sent[i], row, unit));
            let to_h = gradient[row * size + unit] + from_next[0];
            let to_both = [to_h, from_next[1]];
            let values = (&mut gates[..], &cells[..]);
            sent[1][row * size + unit] =
                lstm_unit_backward(&window, case.capped, values, [row, unit], to_both);
        }
        sent[0][row * size..][..size]
            .copy_from_slice(&window.backward(&gates[row * 4 * size..][..4 * size]));
    }
    let initial = sent.map(|sent| window.gradient_before_window(&sent));
    vec![("gates", gates), ("initial_gradient", initial.concat())]
}

/// Where nothing multiplies between the steps, the same gradient of the state reaches all of them
/// but the last one.
fn lstm_cell_backward(case: LstmCellCase, run: &Outcome) -> Expected {
    let window = WindowCase::new(case.window, run);
    let size = window.size;
    let mut gates = floats(run, "gates");
    let cells = floats(run, "cells");
    let gradient = floats(run, "gradient");
    let before = floats(run, "initial_gradient");
    let constant: Vec<f64> = before[..window.batch * size].repeat(case.window.time_steps);
    let mut sent = vec![0.0; window.rows * size];
    for row in (0..window.rows).rev() {
        for unit in 0..size {
            let from_next =
                [&constant, &sent].map(|sent| window.gradient_from_next_step(sent, row, unit));
            let to_h = gradient[row * size + unit] + from_next[0];
            let to_both = [to_h, from_next[1]];
            let values = (&mut gates[..], &cells[..]);
            sent[row * size + unit] =
                lstm_unit_backward(&window, case.capped, values, [row, unit], to_both);
        }
    }
    let initial = [constant, sent].map(|sent| window.gradient_before_window(&sent));
    vec![("gates", gates), ("initial_gradient", initial.concat())]
}

/// Replaces a unit's gates by the gradients of their arguments, given those of h(t) and, from the
/// next step, c(t). Returns that of c(t-1).
fn lstm_unit_backward(
    window: &WindowCase,
    capped: bool,
    (gates, cells): (&mut [f64], &[f64]),
    [row, unit]: [usize; 2],
    [dh, dc]: [f64; 2],
) -> f64 {
    let size = window.size;
    let c = window.used(cells, row)[unit];
    let at = |gate: usize| row * 4 * size + gate * size + unit;
    let [i, f, g, o] = std::array::from_fn(|gate| gates[at(gate)]);
    let squashed = cells[(row + window.batch) * size + unit].tanh();
    let dc = dc + dh * o * (1.0 - squashed * squashed);
    // The smaller of i and 1 - f is written, i where they are equal.
    let (mut to_i, mut to_f, mut write) = (dc * g, dc * c, i);
    if capped && 1.0 - f < i {
        (to_i, to_f, write) = (0.0, to_f - to_i, 1.0 - f);
    }
    gates[at(0)] = to_i * i * (1.0 - i);
    gates[at(1)] = to_f * f * (1.0 - f);
    gates[at(2)] = dc * write * (1.0 - g * g);
    gates[at(3)] = dh * squashed * o * (1.0 - o);
    dc * f
}

fn gru_forward(case: GatedCase, run: &Outcome) -> Expected {
    let window = WindowCase::new(case, run);
    let (size, batch) = (window.size, window.batch);
    let mut gates = floats(run, "gates");
    let mut states = window.slots(run, "states");
    let bias = run.floats("bias").map_or_else(
        || vec![0.0; 3 * size],
        |values| values.iter().copied().map(f64::from).collect(),
    );
    let mut recurrent = Vec::new();
    let mut previous = Vec::new();
    for row in 0..window.rows {
        let h = window.used(&states, row);
        let mut product = window.forward(&h);
        for unit in 0..size {
            let at = |gate: usize| row * 3 * size + gate * size + unit;
            let [ur, uz, un] =
                std::array::from_fn(|gate| product[gate * size + unit] + bias[gate * size + unit]);
            let (r, z) = (sigmoid(gates[at(0)] + ur), sigmoid(gates[at(1)] + uz));
            let n = (gates[at(2)] + r * un).tanh();
            [gates[at(0)], gates[at(1)], gates[at(2)]] = [r, z, n];
            product[2 * size + unit] = un;
            states[(row + batch) * size + unit] = (1.0 - z) * n + z * h[unit];
        }
        recurrent.extend(product);
        previous.extend(h);
    }
    window.carry(case, &mut states);
    let mut expected = vec![
        ("gates", gates),
        ("recurrent", recurrent),
        ("states", states),
    ];
    if case.reset {
        expected.push(("previous", previous));
    }
    expected
}

fn gru_backward(case: GatedCase, run: &Outcome) -> Expected {
    let window = WindowCase::new(case, run);
    let size = window.size;
    let mut gates = floats(run, "gates");
    let states = floats(run, "states");
    let gradient = floats(run, "gradient");
    let mut recurrent = floats(run, "recurrent");
    let mut sent = vec![0.0; window.rows * size];
    for row in (0..window.rows).rev() {
        let h = window.used(&states, row);
        let mut direct = Vec::new();
        for unit in 0..size {
            let at = |gate: usize| row * 3 * size + gate * size + unit;
            let [r, z, n] = std::array::from_fn(|gate| gates[at(gate)]);
            let dh = gradient[row * size + unit] + window.gradient_from_next_step(&sent, row, unit);
            let dn = dh * (1.0 - z) * (1.0 - n * n);
            let dr = dn * recurrent[at(2)] * r * (1.0 - r);
            let dz = dh * (h[unit] - n) * z * (1.0 - z);
            [gates[at(0)], gates[at(1)], gates[at(2)]] = [dr, dz, dn];
            [recurrent[at(0)], recurrent[at(1)], recurrent[at(2)]] = [dr, dz, dn * r];
            direct.push(dh * z);
        }
        let through = window.backward(&recurrent[row * 3 * size..][..3 * size]);
        for unit in 0..size {
            sent[row * size + unit] = direct[unit] + through[unit];
        }
    }
    let initial = window.gradient_before_window(&sent);
    vec![
        ("gates", gates),
        ("recurrent", recurrent),
        ("initial_gradient", initial),
    ]
}
