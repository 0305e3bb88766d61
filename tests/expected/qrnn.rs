//! The equations of the quasi-recurrent unit, unit by unit, and of inputs beside those before them.

use elman::kernels::Zoneout;
use elman::kernels::cases::{Direction, INITIAL, Outcome, PreviousInputCase, QrnnCase};

use super::super::compare::Tolerance;
use super::super::reference::masks::multiplier;
use super::units::{self, UnitWindow};
use super::{Expectation, Expected, ROUNDED, floats, tokens};

impl Expectation for QrnnCase {
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

/// A window and what its equations need.
struct Units {
    case: QrnnCase,
    window: UnitWindow,
}

impl Units {
    fn new(case: QrnnCase, run: &Outcome) -> Self {
        Self {
            case,
            window: UnitWindow::new(case.window, run),
        }
    }

    /// The positions of the gates of a unit in a row of the gates.
    fn at(&self, row: usize, unit: usize) -> [usize; 3] {
        [0, 1, 2].map(|gate| (row * 3 + gate) * self.window.size + unit)
    }

    /// m of an element of `[T*B, H]`.
    fn multiplier(&self, index: usize) -> f64 {
        match self.case.zoneout() {
            Zoneout::Factor(factor) => f64::from(factor),
            Zoneout::Mask(mask) => {
                let index = match mask.part {
                    None => index,
                    Some(part) => {
                        let (row, unit) = (index / self.window.size, index % self.window.size);
                        let (step, stream) = (row / part.count, row % part.count);
                        (step * part.of + part.first + stream) * self.window.size + unit
                    }
                };
                let index = u32::try_from(index).expect("a small index");
                let rate = f64::from(mask.rate);
                // What is kept is not scaled.
                multiplier(mask.seed, mask.site, mask.draw, index, rate).min(1.0)
            }
        }
    }

    fn forward(&self, run: &Outcome) -> Expected {
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        let bias = match self.case.has_bias {
            true => floats(run, "bias"),
            false => vec![0.0; 3 * self.window.size],
        };
        let mut gates = floats(run, "gates");
        let mut cells = self.window.start(run);
        let mut output = Vec::new();
        for row in 0..self.window.rows {
            for unit in 0..self.window.size {
                let [p, q, r] = self.at(row, unit);
                let m = self.multiplier(row * self.window.size + unit);
                let z = (gates[p] + bias[unit]).tanh();
                let f = m * sigmoid(gates[q] + bias[self.window.size + unit]);
                let o = sigmoid(gates[r] + bias[2 * self.window.size + unit]);
                let c = f * z + (1.0 - f) * self.window.before(&cells, row, unit);
                output.push(o * c);
                cells[self.window.after(row, unit)] = c;
                [gates[p], gates[q], gates[r]] = [z, f, o];
            }
        }
        let cells = self.window.end(cells);
        vec![("gates", gates), ("cells", cells), ("output", output)]
    }

    fn backward(&self, run: &Outcome) -> Expected {
        let mut gates = floats(run, "gates");
        let cells = floats(run, "cells");
        let gradient = floats(run, "gradient");
        let factor = f64::from(self.case.zoneout().factor());
        let mut to_cells = vec![0.0; self.window.batch * self.window.size];
        let mut to_biases = vec![0.0; 3 * to_cells.len()];
        for row in (0..self.window.rows).rev() {
            let stream = row % self.window.batch;
            for unit in 0..self.window.size {
                let places = self.at(row, unit);
                let [z, f, o] = places.map(|place| gates[place]);
                let before = self.window.before(&cells, row, unit);
                let c = cells[self.window.after(row, unit)];
                let to_h = gradient[row * self.window.size + unit];
                let to_c = to_cells[stream * self.window.size + unit] + to_h * o;
                let sigmoid = f / factor;
                let back = [
                    to_c * f * (1.0 - z * z),
                    to_c * (z - before) * factor * sigmoid * (1.0 - sigmoid),
                    to_h * c * o * (1.0 - o),
                ];
                for (gate, value) in back.into_iter().enumerate() {
                    gates[places[gate]] = value;
                    to_biases[(stream * 3 + gate) * self.window.size + unit] += value;
                }
                to_cells[stream * self.window.size + unit] = match self.window.is_reset(row) {
                    true => 0.0,
                    false => to_c * (1.0 - f),
                };
            }
        }
        vec![
            ("gates", gates),
            ("unit_gradients", [to_cells, to_biases].concat()),
        ]
    }
}

impl Expectation for PreviousInputCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let [time_steps, batch] = self.window;
        let tokens = tokens(run, "tokens");
        let is_reset = |row: usize| self.reset && tokens[row] == Some(0);
        let of_row =
            |values: &[f64], row: usize| values[row * self.columns..][..self.columns].to_vec();
        if self.direction == Direction::Backward {
            let gradient = floats(run, "gradient");
            let output = (0..time_steps * batch).flat_map(|row| {
                let mut sum = of_row(&gradient, 2 * row);
                let next = row + batch;
                if next < time_steps * batch && !is_reset(next) {
                    let more = of_row(&gradient, 2 * next + 1);
                    sum.iter_mut()
                        .zip(more)
                        .for_each(|(sum, more)| *sum += more);
                }
                sum
            });
            return vec![("output", output.collect())];
        }
        let input = floats(run, "input");
        let carried = floats(run, "carried");
        let output = (0..time_steps * batch).flat_map(|row| {
            let before = match row.checked_sub(batch) {
                _ if is_reset(row) => vec![f64::from(INITIAL); self.columns],
                Some(earlier) => of_row(&input, earlier),
                None => of_row(&carried, row),
            };
            [of_row(&input, row), before].concat()
        });
        let output = output.collect();
        let next = match self.advance {
            0 => carried,
            steps => input[(steps - 1) * batch * self.columns..][..carried.len()].to_vec(),
        };
        vec![("output", output), ("carried", next)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        ROUNDED
    }
}
