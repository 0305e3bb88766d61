//! What single kernels compute, one plain function each. Matrices are row-major slices.

/// The function f of a hidden unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `f(z) = 1 / (1 + e^-z)`, Mikolov 2010.
    Sigmoid,
    /// `f(z) = (e^z - e^-z) / (e^z + e^-z)`.
    Tanh,
    /// `f(z) = max(z, 0)`.
    Relu,
    /// The sigmoid with [`rnnlm_exp`]; not in the table, because its derivative is not that of the
    /// function.
    RnnlmSigmoid,
}

impl Activation {
    /// Every activation, with its name in files and flags.
    pub const TABLE: [(&'static str, Self); 3] = [
        ("sigmoid", Self::Sigmoid),
        ("tanh", Self::Tanh),
        ("relu", Self::Relu),
    ];

    /// f(z).
    pub fn value(self, z: f64) -> f64 {
        match self {
            Self::Sigmoid => 1.0 / (1.0 + (-z).exp()),
            Self::Tanh => z.tanh(),
            Self::Relu => z.max(0.0),
            Self::RnnlmSigmoid => 1.0 / (1.0 + rnnlm_exp(-z.clamp(-50.0, 50.0))),
        }
    }

    /// f'(z) in terms of the output y = f(z). ReLU's derivative where y = 0 is 0, as in PyTorch.
    pub fn derivative(self, y: f64) -> f64 {
        match self {
            Self::Sigmoid | Self::RnnlmSigmoid => y * (1.0 - y),
            Self::Tanh => 1.0 - y * y,
            Self::Relu => {
                if y > 0.0 {
                    1.0
                } else {
                    0.0
                }
            }
        }
    }
}

/// A product of two matrices, `op(left) [m, k]` times `op(right) [k, n]`; op turns a matrix over
/// where its `transpose_*` says so.
#[derive(Debug, Clone, Copy)]
pub struct Matmul {
    /// Rows of the result.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// The size summed over.
    pub k: usize,
    /// Whether left is stored as `[k, m]`.
    pub transpose_left: bool,
    /// Whether right is stored as `[n, k]`.
    pub transpose_right: bool,
}

impl Matmul {
    /// `op(left) op(right)`, `[m, n]`.
    pub fn product(&self, left: &[f64], right: &[f64]) -> Vec<f64> {
        let mut output = vec![0.0; self.m * self.n];
        self.accumulate(left, right, &mut output);
        output
    }

    /// `output += op(left) op(right)`.
    ///
    /// # Panics
    /// If a slice has not as many elements as its shape.
    pub fn accumulate(&self, left: &[f64], right: &[f64], output: &mut [f64]) {
        let &Self {
            m,
            n,
            k,
            transpose_left,
            transpose_right,
        } = self;
        assert_eq!(
            (left.len(), right.len(), output.len()),
            (m * k, k * n, m * n),
            "elements of left, right and output of {self:?}"
        );
        for i in 0..m {
            for j in 0..n {
                let mut sum = 0.0;
                for p in 0..k {
                    let a = if transpose_left {
                        left[p * m + i]
                    } else {
                        left[i * k + p]
                    };
                    let b = if transpose_right {
                        right[j * k + p]
                    } else {
                        right[p * n + j]
                    };
                    sum += a * b;
                }
                output[i * n + j] += sum;
            }
        }
    }
}

/// `values[row, :] += bias` for every row; values is `[rows, columns]`, bias `[columns]`.
pub fn add_bias(values: &mut [f64], bias: &[f64]) {
    for row in values.chunks_exact_mut(bias.len()) {
        for (value, bias) in row.iter_mut().zip(bias) {
            *value += bias;
        }
    }
}

/// `output[column] = Σ_row values[row, column]`; values is `[rows, columns]`.
pub fn column_sums(values: &[f64], columns: usize) -> Vec<f64> {
    let mut output = vec![0.0; columns];
    for row in values.chunks_exact(columns) {
        for (sum, value) in output.iter_mut().zip(row) {
            *sum += value;
        }
    }
    output
}

/// Σ values.
pub fn sum(values: &[f64]) -> f64 {
    let mut sum = 0.0;
    for value in values {
        sum += value;
    }
    sum
}

/// Σ values².
pub fn sum_of_squares(values: &[f64]) -> f64 {
    let mut sum = 0.0;
    for value in values {
        sum += value * value;
    }
    sum
}

/// `output[row] = table[tokens[row]]`, zeros where there is no token; table is `[V, columns]`,
/// output `[tokens, columns]`.
pub fn gather(table: &[f64], columns: usize, tokens: &[Option<usize>]) -> Vec<f64> {
    let mut output = vec![0.0; tokens.len() * columns];
    for (row, token) in tokens.iter().enumerate() {
        if let Some(token) = token {
            for column in 0..columns {
                output[row * columns + column] = table[token * columns + column];
            }
        }
    }
    output
}

/// `table[tokens[row]] += values[row]`, nothing where there is no token: the gradient of
/// [`gather`].
pub fn scatter_add(table: &mut [f64], columns: usize, tokens: &[Option<usize>], values: &[f64]) {
    assert_eq!(
        values.len(),
        tokens.len() * columns,
        "one row of values a token"
    );
    for (row, token) in tokens.iter().enumerate() {
        if let Some(token) = token {
            for column in 0..columns {
                table[token * columns + column] += values[row * columns + column];
            }
        }
    }
}

/// One-hot rows `[tokens, V]`: w(t) of Mikolov 2010; a row of zeros where there is no token.
pub fn one_hot(tokens: &[Option<usize>], vocabulary: usize) -> Vec<f64> {
    let mut output = vec![0.0; tokens.len() * vocabulary];
    for (row, token) in tokens.iter().enumerate() {
        if let Some(token) = *token {
            assert!(token < vocabulary, "token {token} of {vocabulary}");
            output[row * vocabulary + token] = 1.0;
        }
    }
    output
}

/// `g(z)_k = e^(z_k) / Σ_j e^(z_j)` of one row of logits. The largest logit is subtracted first: g
/// stays the same and e^z cannot overflow.
pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|z| (z - largest).exp()).collect();
    let total = sum(&powers);
    powers.iter().map(|power| power / total).collect()
}

/// Cross-entropy of one row of logits z: the loss `-ln g(z)_target` in nats, and `scale` times its
/// gradient, `scale (g(z) - onehot(target))`.
///
/// Without a target both are zero.
pub fn softmax_cross_entropy(logits: &[f64], target: Option<usize>, scale: f64) -> (f64, Vec<f64>) {
    let Some(target) = target else {
        return (0.0, vec![0.0; logits.len()]);
    };
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut total = 0.0;
    for z in logits {
        total += (z - largest).exp();
    }
    // Not the logarithm of the softmax, which is -∞ where the target's share underflows.
    let loss = total.ln() - (logits[target] - largest);
    let mut gradient = softmax(logits);
    gradient[target] -= 1.0;
    for value in &mut gradient {
        *value *= scale;
    }
    (loss, gradient)
}

/// The number of IEEE 754's binary16 that is nearest, ties to even: eleven digits, and none finer
/// than 2^-24. For numbers in its range.
pub fn round_to_half(value: f64) -> f64 {
    let exponent = value.abs().log2().floor().max(-14.0);
    let finest = (exponent - 10.0).exp2();
    if value == 0.0 {
        value
    } else {
        (value / finest).round_ties_even() * finest
    }
}

/// e^x as rnnlm has it: with n the whole part of x / ln 2 + 126.942695 and m the rest,
/// `2^(n-127) (1 + m)`.
pub fn rnnlm_exp(x: f64) -> f64 {
    let power = (x / std::f64::consts::LN_2).max(-126.0) + 126.942_695_04;
    let whole = power.floor();
    (whole - 127.0).exp2() * (1.0 + power - whole)
}

/// [`softmax_cross_entropy`] with [`rnnlm_exp`] in the exponential's place; the gradient is what it
/// is with the exponential.
pub fn rnnlm_softmax_cross_entropy(
    logits: &[f64],
    target: Option<usize>,
    scale: f64,
) -> (f64, Vec<f64>) {
    let Some(target) = target else {
        return (0.0, vec![0.0; logits.len()]);
    };
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| rnnlm_exp(logit - top)).collect();
    let sum = sum(&powers);
    let gradient = powers
        .iter()
        .enumerate()
        .map(|(i, power)| scale * (power / sum - if i == target { 1.0 } else { 0.0 }))
        .collect();
    (-(powers[target] / sum).ln(), gradient)
}
