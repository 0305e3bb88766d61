//! Products and sums of rows for the passes over a network.

use super::kernels::{Matmul, add_bias};
use super::network::{Named, Window};

/// `input Wᵀ`, plus a bias where there is one: PyTorch's nn.Linear. input is `[rows, inputs]`,
/// the weight `[outputs, inputs]`.
pub fn linear(input: &[f64], inputs: usize, weight: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
    let product = Matmul {
        m: input.len() / inputs,
        n: weight.len() / inputs,
        k: inputs,
        transpose_left: false,
        transpose_right: true,
    };
    let mut output = product.product(input, weight);
    if let Some(bias) = bias {
        add_bias(&mut output, bias);
    }
    output
}

/// Gradients of what [`linear`] multiplies.
pub struct LinearGradients {
    /// `[rows, inputs]`.
    pub input: Vec<f64>,
    /// `[outputs, inputs]`.
    pub weight: Vec<f64>,
}

/// Back through [`linear`] from the gradient of its output.
pub fn linear_backward(
    gradient: &[f64],
    input: &[f64],
    inputs: usize,
    weight: &[f64],
) -> LinearGradients {
    let (rows, outputs) = (input.len() / inputs, weight.len() / inputs);
    LinearGradients {
        input: Matmul {
            m: rows,
            n: inputs,
            k: outputs,
            transpose_left: false,
            transpose_right: false,
        }
        .product(gradient, weight),
        weight: Matmul {
            m: outputs,
            n: inputs,
            k: rows,
            transpose_left: true,
            transpose_right: false,
        }
        .product(gradient, input),
    }
}

/// `values += more`.
pub fn add(values: &mut [f64], more: &[f64]) {
    assert_eq!(values.len(), more.len(), "as many numbers");
    for (value, more) in values.iter_mut().zip(more) {
        *value += more;
    }
}

/// Adds to the gradient of the parameter called `name`.
pub fn add_to(gradients: &mut Named, name: &str, more: &[f64]) {
    add(
        gradients
            .get_mut(name)
            .expect("a gradient for every parameter"),
        more,
    );
}

/// `values *= mask`, where there is one.
pub fn multiply(values: &mut [f64], mask: Option<&[f64]>) {
    let Some(mask) = mask else { return };
    assert_eq!(values.len(), mask.len(), "as many numbers");
    for (value, multiplier) in values.iter_mut().zip(mask) {
        *value *= multiplier;
    }
}

/// Multiplies the rows of step t by their part of a mask of the whole window.
pub fn multiply_step(values: &mut [f64], mask: Option<&[f64]>, t: usize) {
    multiply(
        values,
        mask.map(|mask| &mask[t * values.len()..][..values.len()]),
    );
}

/// Multiplies the words' rows of step t, or their gradient, by the masks of whole words and of
/// their elements.
pub fn mask_words(rows: &mut [f64], window: &Window, t: usize) {
    multiply_step(rows, window.masks.input.as_deref(), t);
    if let Some(words) = &window.masks.words {
        let columns = rows.len() / window.batch;
        for (b, row) in rows.chunks_exact_mut(columns).enumerate() {
            row.iter_mut()
                .for_each(|value| *value *= words[t * window.batch + b]);
        }
    }
}

/// Two matrices of `rows` rows, side by side.
pub fn side_by_side(left: &[f64], right: &[f64], rows: usize) -> Vec<f64> {
    let parts = left
        .chunks_exact(left.len() / rows)
        .zip(right.chunks_exact(right.len() / rows));
    parts
        .flat_map(|(left, right)| [left, right].concat())
        .collect()
}

/// The first columns of a matrix of `rows` rows, and the others.
pub fn apart(matrix: &[f64], columns: usize, rows: usize) -> (Vec<f64>, Vec<f64>) {
    let rows = matrix.chunks_exact(matrix.len() / rows);
    let parts = rows.map(|row| row.split_at(columns));
    let (left, right): (Vec<_>, Vec<_>) = parts.unzip();
    (left.concat(), right.concat())
}
