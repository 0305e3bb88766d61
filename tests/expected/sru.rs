//! The equations of the simple recurrent unit, unit by unit.

use elman::kernels::cases::{Direction, Outcome, SruCase};

use super::super::compare::Tolerance;
use super::units::{self, UnitWindow};
use super::{Expectation, Expected, floats};

impl Expectation for SruCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let units = Units::new(*self, run);
        match self.window.direction {
            Direction::Forward => units.forward(run),
            Direction::Backward => units.backward(run),
        }
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        units::tolerance(self.window)
    }
}

/// A window and the parameters of units.
struct Units {
    case: SruCase,
    window: UnitWindow,
    /// v_f and v_r.
    weight: Vec<f64>,
    /// x, `[T*B, H]`, if it is not among the gates.
    input: Option<Vec<f64>>,
}

impl Units {
    fn new(case: SruCase, run: &Outcome) -> Self {
        Self {
            case,
            window: UnitWindow::new(case.window, run),
            weight: floats(run, "weight"),
            input: (case.gates == 3).then(|| floats(run, "input")),
        }
    }

    /// The position of a gate of a unit in a row of the gates.
    fn at(&self, row: usize, gate: usize, unit: usize) -> usize {
        (row * self.case.gates + gate) * self.window.size + unit
    }

    /// x of a unit in a row.
    fn x(&self, gates: &[f64], row: usize, unit: usize) -> f64 {
        match &self.input {
            Some(input) => input[row * self.window.size + unit],
            None => gates[self.at(row, 3, unit)],
        }
    }

    fn forward(&self, run: &Outcome) -> Expected {
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        let bias = match self.case.has_bias {
            true => floats(run, "bias"),
            false => vec![0.0; 2 * self.window.size],
        };
        let mut gates = floats(run, "gates");
        let mut cells = self.window.start(run);
        let mut output = Vec::new();
        for row in 0..self.window.rows {
            for unit in 0..self.window.size {
                let c = self.window.before(&cells, row, unit);
                let [f, r] = [0, 1].map(|gate| {
                    let parameter = gate * self.window.size + unit;
                    let z = gates[self.at(row, gate + 1, unit)];
                    sigmoid(z + self.weight[parameter] * c + bias[parameter])
                });
                let new = f * c + (1.0 - f) * gates[self.at(row, 0, unit)];
                output.push(r * new + (1.0 - r) * self.x(&gates, row, unit));
                cells[self.window.after(row, unit)] = new;
                let [forget, reset] = [1, 2].map(|gate| self.at(row, gate, unit));
                (gates[forget], gates[reset]) = (f, r);
            }
        }
        let cells = self.window.end(cells);
        vec![("gates", gates), ("cells", cells), ("output", output)]
    }

    fn backward(&self, run: &Outcome) -> Expected {
        let mut gates = floats(run, "gates");
        let cells = floats(run, "cells");
        let mut gradient = floats(run, "gradient");
        let mut to_cells = vec![0.0; self.window.batch * self.window.size];
        let sums = self.window.batch * 2 * self.window.size;
        let mut to_units = vec![0.0; 2 * sums];
        for row in (0..self.window.rows).rev() {
            let stream = row % self.window.batch;
            for unit in 0..self.window.size {
                let [u, f, r] = [0, 1, 2].map(|gate| gates[self.at(row, gate, unit)]);
                let x = self.x(&gates, row, unit);
                let before = self.window.before(&cells, row, unit);
                let new = cells[self.window.after(row, unit)];
                let to_h = gradient[row * self.window.size + unit];
                let to_c = to_cells[stream * self.window.size + unit] + to_h * r;
                let to_p = to_c * (before - u) * f * (1.0 - f);
                let to_q = to_h * (new - x) * r * (1.0 - r);
                let to_z = [to_c * (1.0 - f), to_p, to_q, to_h * (1.0 - r)];
                for (gate, to_z) in to_z.into_iter().take(self.case.gates).enumerate() {
                    gates[self.at(row, gate, unit)] = to_z;
                }
                gradient[row * self.window.size + unit] = to_z[3];
                for (gate, to_gate) in [to_p, to_q].into_iter().enumerate() {
                    let at = (stream * 2 + gate) * self.window.size + unit;
                    to_units[at] += to_gate * before;
                    to_units[sums + at] += to_gate;
                }
                let [v_f, v_r] = [self.weight[unit], self.weight[self.window.size + unit]];
                to_cells[stream * self.window.size + unit] = match self.window.is_reset(row) {
                    true => 0.0,
                    false => to_c * f + to_p * v_f + to_q * v_r,
                };
            }
        }
        vec![
            ("gates", gates),
            ("gradient", gradient),
            ("unit_gradients", [to_cells, to_units].concat()),
        ]
    }
}
