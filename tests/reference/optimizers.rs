//! What one update of the parameters is, element by element. w: parameter, g: its gradient, lr: learning rate.
//!
//! Order within a step: the gradients are clipped, the parameters decay, the rule updates them.

use std::collections::BTreeMap;

use super::kernels::sum_of_squares;
use super::network::Named;

/// ε of [`adagrad`] in PyTorch.
pub const ADAGRAD_EPSILON: f64 = 1e-10;
/// ε of [`adam`] in PyTorch.
pub const ADAM_EPSILON: f64 = 1e-8;
/// β₁ and β₂ of [`adam`].
pub const ADAM_BETAS: (f64, f64) = (0.9, 0.999);

/// The root of the sum of the squares of all gradients together.
pub fn global_norm(gradients: &Named) -> f64 {
    gradients.values().map(|gradient| sum_of_squares(gradient)).fold(0.0, |sum, squares| sum + squares).sqrt()
}

/// What every gradient is multiplied by so that their global norm is at most `max_norm` (PyTorch's clip_grad_norm_):
/// `min(1, max_norm / (norm + 1e-6))`.
pub fn clip_coefficient(norm: f64, max_norm: f64) -> f64 {
    (max_norm / (norm + 1e-6)).min(1.0)
}

/// Decay of the weights, apart from the gradient (Loshchilov and Hutter 2019): `w -= lr l2 w`.
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
pub fn adam(parameter: &mut [f64], gradient: &[f64], first: &mut [f64], second: &mut [f64], step: i32, learning_rate: f64) {
    let (beta_1, beta_2) = ADAM_BETAS;
    for (i, (w, g)) in parameter.iter_mut().zip(gradient).enumerate() {
        first[i] = beta_1 * first[i] + (1.0 - beta_1) * g;
        second[i] = beta_2 * second[i] + (1.0 - beta_2) * g * g;
        let mean = first[i] / (1.0 - beta_1.powi(step));
        let square = second[i] / (1.0 - beta_2.powi(step));
        *w -= learning_rate * mean / (square.sqrt() + ADAM_EPSILON);
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
}

impl Rule {
    /// Every rule, with its name in files and flags.
    pub const TABLE: [(&'static str, Self); 3] = [("sgd", Self::Sgd), ("adagrad", Self::Adagrad), ("adam", Self::Adam)];
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
    /// Decay of the weights; 0: none.
    pub l2: f64,
    /// Updates so far.
    pub step: i32,
    /// Adagrad's sums of squares or Adam's second moments.
    pub squares: Named,
    /// Adam's first moments.
    pub means: Named,
}

impl Optimizer {
    /// An optimizer that has seen nothing yet.
    pub fn new(rule: Rule, learning_rate: f64, max_norm: Option<f64>, l2: f64) -> Self {
        Self { rule, learning_rate, max_norm, l2, step: 0, squares: BTreeMap::new(), means: BTreeMap::new() }
    }

    /// One update of all parameters. Returns the gradients' global norm before it was clipped.
    ///
    /// # Panics
    /// If a gradient is missing.
    pub fn update(&mut self, parameters: &mut Named, gradients: &Named) -> f64 {
        self.step += 1;
        let norm = global_norm(gradients);
        let coefficient = self.max_norm.map_or(1.0, |max_norm| clip_coefficient(norm, max_norm));
        for (name, parameter) in parameters {
            let gradient: Vec<f64> = gradients[name].iter().map(|g| coefficient * g).collect();
            decay(parameter, self.learning_rate, self.l2);
            let squares = self.squares.entry(name.clone()).or_insert_with(|| vec![0.0; gradient.len()]);
            let means = self.means.entry(name.clone()).or_insert_with(|| vec![0.0; gradient.len()]);
            match self.rule {
                Rule::Sgd => sgd(parameter, &gradient, self.learning_rate),
                Rule::Adagrad => adagrad(parameter, &gradient, squares, self.learning_rate),
                Rule::Adam => adam(parameter, &gradient, means, squares, self.step, self.learning_rate),
            }
        }
        norm
    }
}
