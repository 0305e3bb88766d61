//! The equations of kernels for rows and runs of different lengths.

use elman::kernels::GroupedProduct;
use elman::kernels::cases::{
    AddRunsCase, GroupedMatmulCase, Outcome, RaggedSoftmaxCase, RunsGradientCase,
};
use elman::tensor::NONE;

use super::super::compare::Tolerance;
use super::losses::{softmax, softmax_tolerance};
use super::{Expectation, Expected, floats, sum_of};

/// Records of `fields` integers each.
fn records(run: &Outcome, name: &str, fields: usize) -> Vec<Vec<usize>> {
    let values = run
        .indices(name)
        .unwrap_or_else(|| panic!("the case has no {name}"));
    values
        .chunks_exact(fields)
        .map(|record| record.iter().map(|&field| field as usize).collect())
        .collect()
}

impl Expectation for GroupedMatmulCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        grouped(self.product, self.columns, self.bias, run)
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        match self.product {
            GroupedProduct::Forward => sum_of(self.columns + 1),
            GroupedProduct::InputGradient => sum_of(self.widest),
            GroupedProduct::WeightGradient => sum_of(5),
        }
    }
}

impl Expectation for RaggedSoftmaxCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let mut logits = floats(run, "logits");
        let mut losses = floats(run, "losses");
        for row in records(run, "rows", 4) {
            let [begin, length, target, place] = row[..] else {
                panic!("a row has four fields")
            };
            let logits = &mut logits[begin..][..length];
            let (loss, gradient) = softmax(self.exponential, logits, Some(target), self.scale);
            losses[place] += loss;
            logits.copy_from_slice(&gradient);
        }
        if self.gradient {
            vec![("logits", logits), ("losses", losses)]
        } else {
            vec![("losses", losses)]
        }
    }

    fn tolerance(&self, output: &str) -> Tolerance {
        softmax_tolerance(output, self.exponential, self.bound, self.scale)
    }
}

impl Expectation for AddRunsCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let table = floats(run, "table");
        let mut output = floats(run, "output");
        for record in records(run, "runs", 2 + self.order) {
            for i in 0..record[1] {
                for &begin in record[2..].iter().filter(|&&begin| begin != NONE as usize) {
                    output[record[0] + i] += table.get(begin + i).copied().unwrap_or(0.0);
                }
            }
        }
        vec![("output", output)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        sum_of(self.order + 1)
    }
}

impl Expectation for RunsGradientCase {
    fn outputs(&self, run: &Outcome) -> Expected {
        let gradient = floats(run, "gradient");
        let begins = records(run, "begins", 1);
        let pieces = records(run, "pieces", 3);
        let mut sums = vec![0.0; self.blocks * 32];
        for block in 0..self.blocks {
            for piece in &pieces[begins[block][0]..begins[block + 1][0]] {
                let behind = i64::from(piece[1] as u32 as i32);
                for i in 0..32 {
                    if let Ok(within) = usize::try_from(i - behind)
                        && within < piece[2]
                    {
                        sums[block * 32 + i as usize] += gradient[piece[0] + within];
                    }
                }
            }
        }
        vec![("sums", sums)]
    }

    fn tolerance(&self, _output: &str) -> Tolerance {
        sum_of(self.most)
    }
}

fn grouped(product: GroupedProduct, columns: usize, with_bias: bool, run: &Outcome) -> Expected {
    let groups = records(run, "groups", 5);
    let [.., last] = groups.as_slice() else {
        panic!("no group")
    };
    let mut products = if product == GroupedProduct::Forward {
        vec![0.0; last[3]]
    } else {
        floats(run, "products")
    };
    let mut rows = if product == GroupedProduct::InputGradient {
        vec![0.0; (last[0] + 2) * columns]
    } else {
        floats(run, "rows")
    };
    let is_weight = product == GroupedProduct::WeightGradient;
    let mut table = if is_weight {
        vec![0.0; last[4] * columns]
    } else {
        floats(run, "table")
    };
    let mut bias = match (with_bias, is_weight) {
        (false, _) => Vec::new(),
        (true, true) => vec![0.0; last[4]],
        (true, false) => floats(run, "bias"),
    };
    for pair in groups.windows(2) {
        let (group, width) = (&pair[0], pair[0][2]);
        for row in group[0]..pair[1][0] {
            for j in 0..width {
                let index = group[3] + (row - group[0]) * width + j;
                if product == GroupedProduct::Forward {
                    products[index] = bias.get(group[1] + j).copied().unwrap_or(0.0);
                }
                let entry = if is_weight {
                    group[4] + j
                } else {
                    group[1] + j
                };
                for k in 0..columns {
                    let (own, other) = (row * columns + k, entry * columns + k);
                    match product {
                        GroupedProduct::Forward => products[index] += rows[own] * table[other],
                        GroupedProduct::InputGradient => {
                            rows[own] += products[index] * table[other];
                        }
                        GroupedProduct::WeightGradient => {
                            table[other] += products[index] * rows[own];
                        }
                    }
                }
                if is_weight && with_bias {
                    bias[entry] += products[index];
                }
            }
        }
    }
    match product {
        GroupedProduct::Forward => vec![("products", products)],
        GroupedProduct::InputGradient => vec![("rows", rows)],
        GroupedProduct::WeightGradient if with_bias => vec![("table", table), ("bias", bias)],
        GroupedProduct::WeightGradient => vec![("table", table)],
    }
}
