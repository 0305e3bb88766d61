//! The equations of layer normalization and of what an LSTM with it does in a step.

use elman::kernels::cases::{
    Direction, INITIAL, LayerNormCase, NormalizedLstmCase, Outcome, ResetRowsCase,
};

use super::super::compare::Tolerance;
use super::{EPSILON, EXACT, Expectation, Expected, floats, tokens};

/// The mean of a row, and the inverse of its deviation.
fn statistics(row: &[f64]) -> (f64, f64) {
    let count = row.len() as f64;
    let mean = row.iter().sum::<f64>() / count;
    let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    (mean, 1.0 / (variance + 1e-5).sqrt())
}

/// A row less its mean, divided by its deviation.
fn normalized(row: &[f64]) -> Vec<f64> {
    let (mean, scale) = statistics(row);
    row.iter().map(|x| (x - mean) * scale).collect()
}

/// The gradient of a row from that of the normalized row.
fn backward(row: &[f64], gradient: &[f64]) -> Vec<f64> {
    let (_, scale) = statistics(row);
    let normalized = normalized(row);
    let count = row.len() as f64;
    let mean = gradient.iter().sum::<f64>() / count;
    let products = gradient.iter().zip(&normalized).map(|(d, n)| d * n);
    let mean_product = products.sum::<f64>() / count;
    let pairs = gradient.iter().zip(&normalized);
    pairs
        .map(|(d, n)| scale * (d - mean - n * mean_product))
        .collect()
}

impl Expectation for LayerNormCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let input = floats(run, "input");
        let gain = floats(run, "gain");
        let rows = input.chunks_exact(self.columns);
        if self.direction == Direction::Forward {
            let mut output = match self.accumulate {
                true => floats(run, "output"),
                false => vec![0.0; input.len()],
            };
            for (output, row) in output.chunks_exact_mut(self.columns).zip(rows) {
                for (i, n) in normalized(row).into_iter().enumerate() {
                    output[i] += gain[i] * n;
                }
            }
            return vec![("output", output)];
        }
        let dy = floats(run, "output_gradient");
        let mut terms = Vec::new();
        let mut dx = Vec::new();
        for (row, dy) in rows.zip(dy.chunks_exact(self.columns)) {
            let scaled: Vec<f64> = dy.iter().zip(&gain).map(|(d, gain)| d * gain).collect();
            dx.extend(backward(row, &scaled));
            terms.extend(normalized(row).iter().zip(dy).map(|(n, d)| n * d));
        }
        vec![("input", terms), ("input_gradient", dx)]
    }

    /// Values around a shift are rounded in proportion to it.
    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance {
            absolute: EPSILON * (12.0 + 12.0 * f64::from(self.shift)),
            relative: 8.0 * EPSILON,
        }
    }
}

impl Expectation for ResetRowsCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut values = floats(run, "values");
        let rows = values.chunks_exact_mut(self.columns);
        for (row, token) in rows.zip(tokens(run, "tokens")) {
            if token == Some(0) {
                row.fill(f64::from(INITIAL));
            }
        }
        vec![("values", values)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        EXACT
    }
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// A row of a step as the case's kernel reads it.
struct Row {
    /// i, f, g and o, or their pre-activations, gate by gate.
    gates: Vec<f64>,
    before: Vec<f64>,
}

/// What both directions read beside rows.
struct Step {
    size: usize,
    first: usize,
    gain: Vec<f64>,
    bias: Vec<f64>,
    gates: Vec<f64>,
    previous_cells: Vec<f64>,
}

impl Step {
    fn new(case: &NormalizedLstmCase, run: &Outcome) -> Self {
        let size = case.hidden_size;
        Self {
            size,
            first: case.step * case.batch,
            gain: floats(run, "gain"),
            bias: match case.bias {
                true => floats(run, "bias"),
                false => vec![0.0; size],
            },
            gates: floats(run, "gates"),
            previous_cells: floats(run, "previous_cells"),
        }
    }

    fn row(&self, stream: usize) -> Row {
        let (row, size) = (self.first + stream, self.size);
        Row {
            gates: self.gates[row * 4 * size..][..4 * size].to_vec(),
            before: self.previous_cells[row * size..][..size].to_vec(),
        }
    }

    /// tanh of the normalized cells with their gain and bias.
    fn squashed(&self, cells: &[f64]) -> Vec<f64> {
        let pairs = normalized(cells).into_iter().zip(&self.gain);
        let pairs = pairs.zip(&self.bias);
        pairs
            .map(|((n, gain), bias)| (gain * n + bias).tanh())
            .collect()
    }
}

fn forward_outputs(case: &NormalizedLstmCase, run: &Outcome) -> Expected {
    let step = Step::new(case, run);
    let size = step.size;
    let mut gates = step.gates.clone();
    let mut previous_cells = step.previous_cells.clone();
    let [mut cells, mut states, mut previous_states] =
        ["cells", "states", "previous_states"].map(|name| floats(run, name));
    for stream in 0..case.batch {
        let Row { gates: z, before } = step.row(stream);
        let place = (step.first + stream) * size;
        let next = place + case.batch * size;
        for unit in 0..size {
            let [i, f, o] = [0, 1, 3].map(|gate| sigmoid(z[gate * size + unit]));
            let g = z[2 * size + unit].tanh();
            for (gate, value) in [i, f, g, o].into_iter().enumerate() {
                gates[4 * place + gate * size + unit] = value;
            }
            let write = if case.capped { i.min(1.0 - f) } else { i };
            cells[place + unit] = f * before[unit] + write * g;
        }
        let squashed = step.squashed(&cells[place..place + size]);
        for unit in 0..size {
            states[place + unit] = gates[4 * place + 3 * size + unit] * squashed[unit];
        }
        previous_cells[next..next + size].copy_from_slice(&cells[place..place + size]);
        previous_states[next..next + size].copy_from_slice(&states[place..place + size]);
    }
    vec![
        ("gates", gates),
        ("cells", cells),
        ("previous_cells", previous_cells),
        ("states", states),
        ("previous_states", previous_states),
    ]
}

fn backward_outputs(case: &NormalizedLstmCase, run: &Outcome) -> Expected {
    let step = Step::new(case, run);
    let size = step.size;
    let mut gates = step.gates.clone();
    let [mut cells, mut gradient, mut carried] =
        ["cells", "gradient", "carried_gradient"].map(|name| floats(run, name));
    for stream in 0..case.batch {
        let row = step.row(stream);
        let place = (step.first + stream) * size;
        let c = cells[place..place + size].to_vec();
        let squashed = step.squashed(&c);
        let gate = |gate: usize, unit: usize| row.gates[gate * size + unit];
        let dh: Vec<f64> = (0..size)
            .map(|unit| gradient[place + unit] + carried[stream * size + unit])
            .collect();
        let dm: Vec<f64> = (0..size)
            .map(|unit| dh[unit] * gate(3, unit) * (1.0 - squashed[unit] * squashed[unit]))
            .collect();
        let scaled: Vec<f64> = dm
            .iter()
            .zip(&step.gain)
            .map(|(d, gain)| d * gain)
            .collect();
        let through = backward(&c, &scaled);
        let of_row = normalized(&c);
        for unit in 0..size {
            let [i, f, g, o] = [0, 1, 2, 3].map(|index| gate(index, unit));
            let to_c = &mut carried[(case.batch + stream) * size + unit];
            let dc = *to_c + through[unit];
            *to_c = dc * f;
            let (mut to_i, mut to_f, mut write) = (dc * g, dc * row.before[unit], i);
            if case.capped && 1.0 - f < i {
                (to_i, to_f, write) = (0.0, to_f - to_i, 1.0 - f);
            }
            let back = [
                to_i * i * (1.0 - i),
                to_f * f * (1.0 - f),
                dc * write * (1.0 - g * g),
                dh[unit] * squashed[unit] * o * (1.0 - o),
            ];
            for (index, value) in back.into_iter().enumerate() {
                gates[4 * place + index * size + unit] = value;
            }
            cells[place + unit] = of_row[unit] * dm[unit];
            gradient[place + unit] = dm[unit];
        }
    }
    vec![
        ("gates", gates),
        ("cells", cells),
        ("gradient", gradient),
        ("carried_gradient", carried),
    ]
}

impl Expectation for NormalizedLstmCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        match self.direction {
            Direction::Forward => forward_outputs(self, run),
            Direction::Backward => backward_outputs(self, run),
        }
    }

    /// Errors of gates and cells, divided by the cells' deviation.
    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance {
            absolute: 64.0 * EPSILON,
            relative: 16.0 * EPSILON,
        }
    }
}
