//! The equations of kernels for the words before a prediction, and of copies of columns.

use elman::kernels::cases::{ContextBackwardCase, ContextForwardCase, CopyColumnsCase, Outcome};
use elman::tensor::NONE;

use super::super::compare::Tolerance;
use super::super::reference::contexts::Contexts;
use super::{EXACT, Expectation, Expected, floats, sum_of, tokens};

/// A token as a number, or `nothing`.
fn number(token: Option<usize>, nothing: f64) -> f64 {
    token.map_or(nothing, |token| token as f64)
}

impl Expectation for ContextForwardCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let [_, batch] = self.window;
        let inputs = tokens(run, "tokens");
        let contexts = Contexts {
            words: self.words,
            batch,
            inputs: &inputs,
            carried: &floats(run, "carried"),
            independent: self.independent,
        };
        let rows = (0..inputs.len()).flat_map(|row| contexts.at(row));
        // NONE as a number in f32.
        let values = rows.map(|word| number(word.token, f64::from(NONE as f32)));
        vec![
            ("contexts", values.collect()),
            ("carried", contexts.carried_to(self.advance)),
        ]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        EXACT
    }
}

impl Expectation for ContextBackwardCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let [_, batch] = self.window;
        let inputs = tokens(run, "tokens");
        let gradient = floats(run, "gradient");
        let contexts = Contexts {
            words: self.words,
            batch,
            inputs: &inputs,
            carried: &vec![0.0; batch * (self.words - 1)],
            independent: self.independent,
        };
        let mut output = vec![0.0; inputs.len() * self.columns];
        let words = (0..inputs.len()).flat_map(|row| contexts.at(row));
        for (word, values) in words.zip(gradient.chunks_exact(self.columns)) {
            let Some(position) = word.position else {
                continue;
            };
            let sum = &mut output[position * self.columns..][..self.columns];
            sum.iter_mut()
                .zip(values)
                .for_each(|(sum, value)| *sum += value);
        }
        vec![("output", output)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        sum_of(self.words * self.words)
    }
}

impl Expectation for CopyColumnsCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let [from, first] = self.input;
        let [to, start] = self.output;
        let input = floats(run, "input");
        let mut output = floats(run, "output");
        for row in 0..self.rows {
            for column in 0..self.columns {
                output[row * to + start + column] = input[row * from + first + column];
            }
        }
        vec![("output", output)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        EXACT
    }
}
