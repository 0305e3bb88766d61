//! The expected outputs of the kernels for rows and runs of different lengths, element by element
//! in f64.

use elman::kernels::cases::{Outcome, Ragged};
use elman::kernels::{Exponential, GroupedProduct};
use elman::tensor::NONE;

use super::compare::Tolerance;
use super::expected::{Expected, numbers};
use super::reference::kernels as reference;

/// Records of `fields` integers each.
fn records(run: &Outcome, name: &str, fields: usize) -> Vec<Vec<usize>> {
    let values = run
        .tokens(name)
        .unwrap_or_else(|| panic!("the case has no {name}"));
    values
        .chunks_exact(fields)
        .map(|record| record.iter().map(|&number| number as usize).collect())
        .collect()
}

/// The expected outputs of a run of the case.
pub fn outputs(ragged: Ragged, run: &Outcome) -> Expected {
    match ragged {
        Ragged::Product {
            product,
            columns,
            bias,
            ..
        } => grouped(product, columns, bias, run),
        Ragged::Softmax {
            gradient,
            scale,
            exponential,
            ..
        } => {
            let (mut logits, mut losses) = (numbers(run, "logits"), numbers(run, "losses"));
            for row in records(run, "rows", 4) {
                let (begin, length, target, place) = (row[0], row[1], row[2], row[3]);
                let softmax = match exponential {
                    Exponential::Exact => reference::softmax_cross_entropy,
                    Exponential::Rnnlm => reference::rnnlm_softmax_cross_entropy,
                };
                let (loss, gradient) = softmax(
                    &logits[begin..begin + length],
                    Some(target),
                    f64::from(scale),
                );
                losses[place] += loss;
                logits[begin..begin + length].copy_from_slice(&gradient);
            }
            if gradient {
                vec![("logits", logits), ("losses", losses)]
            } else {
                vec![("losses", losses)]
            }
        }
        Ragged::AddRuns { order, .. } => {
            let (table, mut output) = (numbers(run, "table"), numbers(run, "output"));
            for record in records(run, "runs", 2 + order) {
                for i in 0..record[1] {
                    for &begin in record[2..].iter().filter(|&&begin| begin != NONE as usize) {
                        output[record[0] + i] += table.get(begin + i).copied().unwrap_or(0.0);
                    }
                }
            }
            vec![("output", output)]
        }
        Ragged::RunsGradient { blocks, .. } => {
            let (gradient, begins, pieces) = (
                numbers(run, "gradient"),
                records(run, "begins", 1),
                records(run, "pieces", 3),
            );
            let mut sums = vec![0.0; blocks * 32];
            for block in 0..blocks {
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
        numbers(run, "products")
    };
    let mut rows = if product == GroupedProduct::InputGradient {
        vec![0.0; (last[0] + 2) * columns]
    } else {
        numbers(run, "rows")
    };
    let is_weight = product == GroupedProduct::WeightGradient;
    let mut table = if is_weight {
        vec![0.0; last[4] * columns]
    } else {
        numbers(run, "table")
    };
    let mut bias = match (with_bias, is_weight) {
        (false, _) => Vec::new(),
        (true, true) => vec![0.0; last[4]],
        (true, false) => numbers(run, "bias"),
    };
    for pair in groups.windows(2) {
        let (group, width) = (&pair[0], pair[0][2]);
        for row in group[0]..pair[1][0] {
            for j in 0..width {
                let number = group[3] + (row - group[0]) * width + j;
                if product == GroupedProduct::Forward {
                    products[number] = bias.get(group[1] + j).copied().unwrap_or(0.0);
                }
                let entry = if is_weight {
                    group[4] + j
                } else {
                    group[1] + j
                };
                for k in 0..columns {
                    let (own, other) = (row * columns + k, entry * columns + k);
                    match product {
                        GroupedProduct::Forward => products[number] += rows[own] * table[other],
                        GroupedProduct::InputGradient => {
                            rows[own] += products[number] * table[other];
                        }
                        GroupedProduct::WeightGradient => {
                            table[other] += products[number] * rows[own];
                        }
                    }
                }
                if is_weight && with_bias {
                    bias[entry] += products[number];
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

/// The accepted error of the CPU.
pub fn tolerance(ragged: Ragged, output: &str) -> Tolerance {
    let epsilon = f64::from(f32::EPSILON);
    let sum_of = |terms: usize| Tolerance {
        absolute: epsilon * (1.0 + 0.75 * terms as f64),
        relative: epsilon,
    };
    match ragged {
        Ragged::Product {
            product: GroupedProduct::Forward,
            columns,
            ..
        } => sum_of(columns + 1),
        Ragged::Product {
            product: GroupedProduct::InputGradient,
            widest,
            ..
        } => sum_of(widest),
        Ragged::Product {
            product: GroupedProduct::WeightGradient,
            ..
        } => sum_of(5),
        Ragged::Softmax {
            bound,
            scale,
            exponential,
            ..
        } => {
            let rounding = if exponential == Exponential::Rnnlm {
                160.0
            } else {
                2.0
            };
            let exponent = epsilon * (rounding + f64::from(bound));
            match output {
                "losses" => Tolerance {
                    absolute: exponent,
                    relative: epsilon,
                },
                _ => Tolerance {
                    absolute: exponent * f64::from(scale),
                    relative: exponent,
                },
            }
        }
        Ragged::AddRuns { order, .. } => sum_of(order + 1),
        Ragged::RunsGradient { most, .. } => sum_of(most),
    }
}
