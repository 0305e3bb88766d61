//! The equations of kernels that read and write rows of tables.

use elman::kernels::cases::{GatherCase, Outcome, ScatterAddCase};

use super::super::compare::Tolerance;
use super::super::reference::kernels as reference;
use super::{EXACT, Expectation, Expected, floats, sum_of, tokens};

/// Positions in `order` of the first occurrence of each token, with the token.
pub fn first_occurrences(run: &Outcome) -> Vec<(usize, usize)> {
    let tokens = tokens(run, "tokens");
    let order = run.indices("order").expect("the case has an order");
    let token = |p: usize| tokens[order[p] as usize];
    (0..order.len())
        .filter(|&p| p == 0 || token(p - 1) != token(p))
        .filter_map(|p| Some((p, token(p)?)))
        .collect()
}

impl Expectation for GatherCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let table = floats(run, "table");
        let output = reference::gather(&table, self.columns, &tokens(run, "tokens"));
        vec![("output", output)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        EXACT
    }
}

impl Expectation for ScatterAddCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let columns = self.columns;
        let tokens = tokens(run, "tokens");
        let gradient = floats(run, "gradient");
        let mut table = vec![0.0; self.vocabulary * columns];
        reference::scatter_add(&mut table, columns, &tokens, &gradient);
        let mut sums = vec![0.0; tokens.len() * columns];
        for (p, token) in first_occurrences(run) {
            let row = &table[token * columns..][..columns];
            sums[p * columns..][..columns].copy_from_slice(row);
        }
        vec![("sums", sums)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        sum_of(self.tokens.count)
    }
}
