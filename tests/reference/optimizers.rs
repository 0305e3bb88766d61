//! One update of the parameters, element by element. w: parameter, g: its gradient, lr: learning
//! rate.
//!
//! Order within a step: the gradients are clipped, the parameters decay, the rule updates them.

use std::collections::BTreeMap;

use super::kernels::sum_of_squares;
use super::network::Named;
use crate::harness::{apply, test};

/// ε of [`adagrad`] in PyTorch.
pub const ADAGRAD_EPSILON: f64 = 1e-10;
/// ε of [`adam`] in PyTorch.
pub const ADAM_EPSILON: f64 = 1e-8;
/// β₁ and β₂ of [`adam`].
pub const ADAM_BETAS: (f64, f64) = (0.9, 0.999);
/// μ of [`momentum`].
pub const MOMENTUM: f64 = 0.9;
/// α of [`rmsprop`] in PyTorch.
pub const RMSPROP_ALPHA: f64 = 0.99;
/// ε of [`rmsprop`] in PyTorch.
pub const RMSPROP_EPSILON: f64 = 1e-8;

/// The square root of the sum of the squares of all gradients.
pub fn global_norm(gradients: &Named) -> f64 {
    gradients
        .values()
        .map(|gradient| sum_of_squares(gradient))
        .fold(0.0, |sum, squares| sum + squares)
        .sqrt()
}

/// What every gradient is multiplied by so that their global norm is at most `max_norm` (PyTorch's
/// clip_grad_norm_): `min(1, max_norm / (norm + 1e-6))`.
pub fn clip_coefficient(norm: f64, max_norm: f64) -> f64 {
    (max_norm / (norm + 1e-6)).min(1.0)
}

/// Clamps every value to `[-maximum, maximum]` (PyTorch's clip_grad_value_).
pub fn clamp(gradient: &mut [f64], maximum: f64) {
    for g in gradient {
        *g = if *g > maximum {
            maximum
        } else if *g < -maximum {
            -maximum
        } else {
            *g
        };
    }
}

/// Weight decay, separate from the gradient (Loshchilov and Hutter 2019): `w -= lr l2 w`.
pub fn decay(parameter: &mut [f64], learning_rate: f64, l2: f64) {
    for w in parameter {
        *w -= learning_rate * l2 * *w;
    }
}

/// Stochastic gradient descent: `w -= lr g`.
pub fn sgd(parameter: &mut [f64], gradient: &[f64], learning_rate: f64) {
    for (w, g) in parameter.iter_mut().zip(gradient) {
        *w -= learning_rate * g;
    }
}

/// Adagrad (Duchi 2011, as in PyTorch): `squares += g²`, `w -= lr g / (√squares + ε)`.
pub fn adagrad(parameter: &mut [f64], gradient: &[f64], squares: &mut [f64], learning_rate: f64) {
    for ((w, g), squares) in parameter.iter_mut().zip(gradient).zip(squares) {
        *squares += g * g;
        *w -= learning_rate * g / (squares.sqrt() + ADAGRAD_EPSILON);
    }
}

/// Adam (Kingma and Ba 2015): `m = β₁ m + (1 - β₁) g`, `v = β₂ v + (1 - β₂) g²`,
/// `w -= lr m / (1 - β₁^step) / (√(v / (1 - β₂^step)) + ε)`.
///
/// `step` is 1 at the first update; `first` is m and `second` v.
pub fn adam(
    parameter: &mut [f64],
    gradient: &[f64],
    first: &mut [f64],
    second: &mut [f64],
    step: i32,
    learning_rate: f64,
) {
    let (beta_1, beta_2) = ADAM_BETAS;
    for (i, (w, g)) in parameter.iter_mut().zip(gradient).enumerate() {
        first[i] = beta_1 * first[i] + (1.0 - beta_1) * g;
        second[i] = beta_2 * second[i] + (1.0 - beta_2) * g * g;
        let mean = first[i] / (1.0 - beta_1.powi(step));
        let square = second[i] / (1.0 - beta_2.powi(step));
        *w -= learning_rate * mean / (square.sqrt() + ADAM_EPSILON);
    }
}

/// Momentum (as in PyTorch's SGD, dampening 0): `v = μ v + g`, `w -= lr v`, or as Nesterov has it
/// `w -= lr (g + μ v)`.
pub fn momentum(
    parameter: &mut [f64],
    gradient: &[f64],
    velocity: &mut [f64],
    nesterov: bool,
    learning_rate: f64,
) {
    for ((w, g), v) in parameter.iter_mut().zip(gradient).zip(velocity) {
        *v = MOMENTUM * *v + g;
        let step = if nesterov { g + MOMENTUM * *v } else { *v };
        *w -= learning_rate * step;
    }
}

/// RMSprop (as in PyTorch): `squares = α squares + (1 - α) g²`, `w -= lr g / (√squares + ε)`.
pub fn rmsprop(parameter: &mut [f64], gradient: &[f64], squares: &mut [f64], learning_rate: f64) {
    for ((w, g), squares) in parameter.iter_mut().zip(gradient).zip(squares) {
        *squares = RMSPROP_ALPHA * *squares + (1.0 - RMSPROP_ALPHA) * g * g;
        *w -= learning_rate * g / (squares.sqrt() + RMSPROP_EPSILON);
    }
}

/// The average of weights (Polyak and Juditsky 1992) with `weight` of one more:
/// `average = (1 - weight) average + weight w`.
pub fn join_average(average: &mut [f64], parameter: &[f64], weight: f64) {
    for (average, w) in average.iter_mut().zip(parameter) {
        *average = (1.0 - weight) * *average + weight * w;
    }
}

/// How gradients become updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// [`sgd`].
    Sgd,
    /// [`adagrad`].
    Adagrad,
    /// [`adam`].
    Adam,
    /// [`adam`] after [`decay`] (Loshchilov and Hutter 2019).
    Adamw,
    /// [`momentum`].
    Momentum,
    /// [`momentum`] as Nesterov has it.
    Nesterov,
    /// [`rmsprop`].
    Rmsprop,
}

impl Rule {
    /// Every rule, with its name in files and flags.
    pub const TABLE: [(&'static str, Self); 7] = [
        ("sgd", Self::Sgd),
        ("adagrad", Self::Adagrad),
        ("adam", Self::Adam),
        ("adamw", Self::Adamw),
        ("momentum", Self::Momentum),
        ("nesterov", Self::Nesterov),
        ("rmsprop", Self::Rmsprop),
    ];
}

/// Whole steps over all parameters of a network.
#[derive(Debug, Clone)]
pub struct Optimizer {
    /// How gradients become updates.
    pub rule: Rule,
    /// lr.
    pub learning_rate: f64,
    /// The largest global norm of the gradients, if they are clipped.
    pub max_norm: Option<f64>,
    /// Weight decay; 0 for none.
    pub l2: f64,
    /// Updates so far.
    pub step: i32,
    /// Adagrad's sums of squares, RMSprop's means of them or Adam's second moments.
    pub squares: Named,
    /// Adam's first moments or momentum's velocities.
    pub means: Named,
}

impl Optimizer {
    /// An optimizer before its first update.
    pub fn new(rule: Rule, learning_rate: f64, max_norm: Option<f64>, l2: f64) -> Self {
        Self {
            rule,
            learning_rate,
            max_norm,
            l2,
            step: 0,
            squares: BTreeMap::new(),
            means: BTreeMap::new(),
        }
    }

    /// One update of all parameters. Returns the gradients' global norm before it was clipped.
    ///
    /// # Panics
    /// If a gradient is missing.
    pub fn update(&mut self, parameters: &mut Named, gradients: &Named) -> f64 {
        self.step += 1;
        let norm = global_norm(gradients);
        let coefficient = self
            .max_norm
            .map_or(1.0, |max_norm| clip_coefficient(norm, max_norm));
        for (name, parameter) in parameters {
            let gradient: Vec<f64> = gradients[name].iter().map(|g| coefficient * g).collect();
            decay(parameter, self.learning_rate, self.l2);
            let squares = self
                .squares
                .entry(name.clone())
                .or_insert_with(|| vec![0.0; gradient.len()]);
            let means = self
                .means
                .entry(name.clone())
                .or_insert_with(|| vec![0.0; gradient.len()]);
            match self.rule {
                Rule::Sgd => sgd(parameter, &gradient, self.learning_rate),
                Rule::Adagrad => adagrad(parameter, &gradient, squares, self.learning_rate),
                Rule::Adam | Rule::Adamw => adam(
                    parameter,
                    &gradient,
                    means,
                    squares,
                    self.step,
                    self.learning_rate,
                ),
                Rule::Momentum => momentum(parameter, &gradient, means, false, self.learning_rate),
                Rule::Nesterov => momentum(parameter, &gradient, means, true, self.learning_rate),
                Rule::Rmsprop => rmsprop(parameter, &gradient, squares, self.learning_rate),
            }
        }
        norm
    }
}

/// Demands every value within 1e-13, absolute and relative.
fn check(what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        // Written so that NaN fails.
        assert!(
            (got - want).abs() <= 1e-13 * (1.0 + want.abs()) && want.is_finite(),
            "{what}[{i}] is {got:e} instead of {want:e}"
        );
    }
}

/// PyTorch 2.15's numbers for the rules that its stored ones do not know, the third update being
/// one without a gradient:
///
/// ```python
/// import torch
/// for optimizer, options in [
///     (torch.optim.SGD, dict(lr=0.1, momentum=0.9)),
///     (torch.optim.SGD, dict(lr=0.1, momentum=0.9, nesterov=True)),
///     (torch.optim.RMSprop, dict(lr=0.01)),
///     (torch.optim.AdamW, dict(lr=0.01, weight_decay=0.5)),
/// ]:
///     w = torch.nn.Parameter(torch.tensor([0.5, -1.0, 0.25, 2.0], dtype=torch.float64))
///     optimizer = optimizer([w], **options)
///     gradients = [[0.25, -0.5, 0.0, 1e-9], [0.125, 0.75, -0.5, 0.0]]
///     for g in gradients + [[0.0] * 4, [-1.0, 0.5, 0.0, -2.0]]:
///         w.grad = torch.tensor(g, dtype=torch.float64)
///         optimizer.step()
///     print(w.tolist())
/// ```
#[apply(test)]
fn check_pytorch() {
    let gradients = [
        [0.25, -0.5, 0.0, 1e-9],
        [0.125, 0.75, -0.5, 0.0],
        [0.0; 4],
        [-1.0, 0.5, 0.0, -2.0],
    ];
    let one = |values: [f64; 4]| Named::from([("w".to_string(), values.to_vec())]);
    for (rule, learning_rate, l2, want) in [
        (
            Rule::Momentum,
            0.1,
            0.0,
            [
                0.48014999999999997,
                -1.0813,
                0.38549999999999995,
                2.1999999996560997,
            ],
        ),
        (
            Rule::Nesterov,
            0.1,
            0.0,
            [
                0.5446350000000001,
                -1.1481700000000001,
                0.42194999999999994,
                2.37999999959049,
            ],
        ),
        (
            Rule::Rmsprop,
            0.01,
            0.0,
            [
                0.4515043499788459,
                -1.0322711467366505,
                0.349999980000004,
                2.099009895990099,
            ],
        ),
        (
            Rule::Adamw,
            0.01,
            0.5,
            [
                0.46783593727876127,
                -0.9788487941947508,
                0.26283980495151027,
                1.9644955931232686,
            ],
        ),
    ] {
        let mut parameters = one([0.5, -1.0, 0.25, 2.0]);
        let mut optimizer = Optimizer::new(rule, learning_rate, None, l2);
        for gradient in gradients {
            optimizer.update(&mut parameters, &one(gradient));
        }
        check(&format!("{rule:?}"), &parameters["w"], &want);
    }
}

/// Averages and clamping by hand.
#[apply(test)]
fn check_by_hand() {
    let mut average = [7.0, -7.0];
    for (weight, values) in [
        (1.0, [1.0, 2.0]),
        (1.0 / 2.0, [3.0, 4.0]),
        (1.0 / 3.0, [8.0, -9.0]),
    ] {
        join_average(&mut average, &values, weight);
    }
    check("average", &average, &[4.0, -1.0]);
    let mut gradient = [
        0.5,
        -0.5,
        3.0,
        -3.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ];
    clamp(&mut gradient, 1.0);
    check(
        "clamped",
        &gradient[..6],
        &[0.5, -0.5, 1.0, -1.0, 1.0, -1.0],
    );
    assert!(gradient[6].is_nan(), "NaN became {}", gradient[6]);
}
