//! The equations of kernels that compute each element on its own, and of sums of all elements.

use elman::kernels::Activation;
use elman::kernels::cases::{
    ActivationBackwardCase, ActivationForwardCase, ActivationPenaltyCase, AddBiasCase, AverageCase,
    ClipGradValueCase, CopyCase, Direction, DropoutCase, DropoutPattern, FillCase, MASK,
    MogrifyCase, Outcome, SUMMANDS, ScaleCase, ScaleRowsCase, SumsCase,
};

use super::super::compare::Tolerance;
use super::super::reference::{kernels as reference, masks, optimizers};
use super::{EPSILON, EXACT, Expectation, Expected, ROUNDED, bits, floats, function, tokens};

impl Expectation for ScaleRowsCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut values = floats(run, if self.in_place { "output" } else { "input" });
        let factors = floats(run, "factors");
        for (row, factor) in values.chunks_exact_mut(self.columns).zip(factors) {
            row.iter_mut().for_each(|value| *value *= factor);
        }
        vec![("output", values)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        ROUNDED
    }
}

impl Expectation for MogrifyCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut gates = floats(run, "gates");
        let input = floats(run, "input");
        if self.direction == Direction::Forward {
            if self.bias {
                reference::add_bias(&mut gates, &floats(run, "bias"));
            }
            for gate in &mut gates {
                *gate = 2.0 * reference::Activation::Sigmoid.value(*gate);
            }
            let output = gates.iter().zip(&input).map(|(gate, value)| gate * value);
            let output = output.collect();
            return vec![("gates", gates), ("output", output)];
        }
        let mut gradient = floats(run, "gradient");
        for ((gate, above), value) in gates.iter_mut().zip(&mut gradient).zip(&input) {
            let sigmoid = *gate / 2.0;
            let to_gate = *above * value;
            *above *= *gate;
            *gate = to_gate * 2.0 * sigmoid * (1.0 - sigmoid);
        }
        vec![("gates", gates), ("gradient", gradient)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        // Those of a sigmoid of a sum that is rounded.
        Tolerance {
            absolute: 4.0 * EPSILON,
            relative: 4e-7 + EPSILON * f64::from(self.bound),
        }
    }
}

impl Expectation for ActivationForwardCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut values = floats(run, "values");
        for z in &mut values {
            *z = function(self.activation).value(*z);
        }
        vec![("values", values)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        Tolerance {
            absolute: 1e-37,
            relative: match self.activation {
                Activation::RnnlmSigmoid => 160.0 * EPSILON,
                _ => 4e-7,
            },
        }
    }
}

impl Expectation for ActivationBackwardCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let outputs = floats(run, "values");
        let mut gradient = floats(run, "gradient");
        for (d, y) in gradient.iter_mut().zip(outputs) {
            *d *= function(self.activation).derivative(y);
        }
        vec![("gradient", gradient)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        bits(2.0)
    }
}

impl Expectation for ActivationPenaltyCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut gradient = floats(run, "gradient");
        let (states, output) = (floats(run, "states"), floats(run, "output"));
        let (targets, inputs) = (tokens(run, "targets"), tokens(run, "inputs"));
        let [activation, temporal] = self.factors.map(f64::from);
        let stride = self.batch * self.columns;
        for i in 0..gradient.len() {
            let row = i / self.columns;
            if row / self.batch < self.history || targets[row].is_none() {
                continue;
            }
            gradient[i] += activation * output[i];
            if i >= stride && !(self.resets && inputs[row] == Some(0)) {
                let change = temporal * (states[i] - states[i - stride]);
                gradient[i] += change;
                gradient[i - stride] -= change;
            }
        }
        vec![("gradient", gradient)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        bits(4.0)
    }
}

impl Expectation for AddBiasCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut values = floats(run, "values");
        reference::add_bias(&mut values, &floats(run, "bias"));
        if self.second {
            reference::add_bias(&mut values, &floats(run, "second"));
        }
        vec![("values", values)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        // Two roundings, the first of a sum below 2.
        if self.second { bits(4.0) } else { ROUNDED }
    }
}

impl Expectation for FillCase {
    fn outputs(&self, _run: &Outcome) -> Expected {
        vec![("values", vec![f64::from(self.value); self.count])]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        EXACT
    }
}

impl Expectation for CopyCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        vec![("output", floats(run, "input"))]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        EXACT
    }
}

impl Expectation for ScaleCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut values = floats(run, "values");
        for value in &mut values {
            *value *= f64::from(self.factor);
        }
        vec![("values", values)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        ROUNDED
    }
}

impl Expectation for AverageCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut average = floats(run, "average");
        let values = floats(run, "values");
        optimizers::join_average(&mut average, &values, f64::from(self.weight));
        vec![("average", average)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        bits(2.0)
    }
}

impl Expectation for ClipGradValueCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut values = floats(run, "values");
        optimizers::clamp(&mut values, f64::from(self.maximum));
        vec![("values", values)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        EXACT
    }
}

/// How much a sum of all elements may differ.
const SUM: Tolerance = Tolerance {
    absolute: 16.0 * EPSILON,
    relative: 2.0 * EPSILON,
};

impl Expectation for SumsCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let sums = SUMMANDS.iter().zip(&self.summands);
        let sums = sums.map(|(name, &(_, is_squared))| {
            let values = floats(run, name);
            if is_squared {
                reference::sum_of_squares(&values)
            } else {
                reference::sum(&values)
            }
        });
        let sums: Vec<f64> = sums.collect();
        let mut outputs = vec![("output", sums.clone())];
        if let Some(maximum) = self.clip {
            let squares = sums.iter().zip(&self.summands);
            let squares = squares.filter(|(_, (_, is_squared))| *is_squared);
            let squares: Vec<f64> = squares.map(|(&sum, _)| sum).collect();
            let norm = reference::sum(&squares).sqrt();
            let scale = optimizers::clip_coefficient(norm, f64::from(maximum));
            outputs.push(("scale", vec![scale]));
        }
        outputs
    }

    fn tolerance(&self, output: &str) -> Tolerance {
        if output == "scale" { bits(2.0) } else { SUM }
    }
}

impl Expectation for DropoutCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut output = floats(run, if self.in_place { "output" } else { "input" });
        let words = if self.pattern == DropoutPattern::Words {
            tokens(run, "tokens")
        } else {
            Vec::new()
        };
        let [seed, site, draw] = MASK;
        for (i, value) in output.iter_mut().enumerate() {
            let (row, column) = (i / self.columns, i % self.columns);
            let [steps, stream] = match self.part {
                None => [0, row],
                Some(part) => [row / part.count * part.of, row % part.count + part.first],
            };
            let index = match (self.pattern, self.part) {
                (DropoutPattern::Elements, _) => Some((steps + stream) * self.columns + column),
                (DropoutPattern::Streams(_), Some(_)) => Some(stream * self.columns + column),
                (DropoutPattern::Streams(streams), None) => Some(i % (streams * self.columns)),
                (DropoutPattern::Words, _) => words[i / self.columns],
            };
            if let Some(index) = index {
                let rate = f64::from(self.rate);
                *value *= masks::multiplier(seed, site, draw, index as u32, rate);
            }
        }
        vec![("output", output)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        ROUNDED
    }
}
