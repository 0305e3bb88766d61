//! The expected outputs of every kernel, computed from its inputs with the reference's equations in
//! f64.

use elman::kernels::cases::{INITIAL, Outcome, RATE, Recurrence, Setup, Step, UpdateCase};
use elman::kernels::{Activation, Exponential, Precision};
use elman::tensor::NONE;

use super::reference::{kernels as reference, optimizers};
use super::{expected_cells, expected_ragged, expected_sampled};

/// Outputs by name.
pub type Expected = Vec<(&'static str, Vec<f64>)>;

/// An input of a run in f64.
pub fn numbers(run: &Outcome, name: &str) -> Vec<f64> {
    let values = run
        .numbers(name)
        .unwrap_or_else(|| panic!("the case has no input {name}"));
    values.iter().copied().map(f64::from).collect()
}

/// Tokens in the reference's form.
pub fn tokens(run: &Outcome, name: &str) -> Vec<Option<usize>> {
    let values = run
        .tokens(name)
        .unwrap_or_else(|| panic!("the case has no tokens {name}"));
    values
        .iter()
        .map(|&token| (token != NONE).then_some(token as usize))
        .collect()
}

/// The reference's function of the same name.
pub fn function(activation: Activation) -> reference::Activation {
    match activation {
        Activation::Sigmoid => reference::Activation::Sigmoid,
        Activation::Tanh => reference::Activation::Tanh,
        Activation::Relu => reference::Activation::Relu,
        Activation::RnnlmSigmoid => reference::Activation::RnnlmSigmoid,
    }
}

/// The expected outputs of a run of the case.
pub fn outputs(setup: &Setup, run: &Outcome) -> Expected {
    match *setup {
        Setup::Matmul {
            m,
            n,
            k,
            transpose_a,
            transpose_b,
            accumulate,
            precision,
        } => {
            let mut c = if accumulate {
                numbers(run, "c")
            } else {
                vec![0.0; m * n]
            };
            let matmul = reference::Matmul {
                m,
                n,
                k,
                transpose_left: transpose_a,
                transpose_right: transpose_b,
            };
            let (mut left, mut right) = (numbers(run, "a"), numbers(run, "b"));
            if let Precision::Mixed { scale } = precision {
                let scale = f64::from(scale);
                left.iter_mut()
                    .for_each(|value| *value = reference::round_to_half(*value * scale) / scale);
                right
                    .iter_mut()
                    .for_each(|value| *value = reference::round_to_half(*value));
            }
            matmul.accumulate(&left, &right, &mut c);
            vec![("c", c)]
        }
        Setup::Transpose { rows, columns } => {
            let input = numbers(run, "input");
            vec![(
                "output",
                (0..columns * rows)
                    .map(|i| input[i % rows * columns + i / rows])
                    .collect(),
            )]
        }
        Setup::AddBias { .. } => {
            let mut values = numbers(run, "values");
            reference::add_bias(&mut values, &numbers(run, "bias"));
            vec![("values", values)]
        }
        Setup::SumRows {
            columns,
            accumulate,
            ..
        } => {
            let mut output = if accumulate {
                numbers(run, "output")
            } else {
                vec![0.0; columns]
            };
            reference::add_bias(
                &mut output,
                &reference::column_sums(&numbers(run, "values"), columns),
            );
            vec![("output", output)]
        }
        Setup::ActivationForward { activation, .. } => {
            vec![(
                "values",
                numbers(run, "values")
                    .iter()
                    .map(|&z| function(activation).value(z))
                    .collect(),
            )]
        }
        Setup::ActivationBackward { activation, .. } => {
            let (outputs, gradient) = (numbers(run, "values"), numbers(run, "gradient"));
            vec![(
                "gradient",
                gradient
                    .iter()
                    .zip(outputs)
                    .map(|(d, y)| d * function(activation).derivative(y))
                    .collect(),
            )]
        }
        Setup::RecurrenceForward(recurrence) => recurrence_forward(recurrence, run),
        Setup::RecurrenceBackward(recurrence) => recurrence_backward(recurrence, run),
        Setup::Lstm(gated) => expected_cells::lstm(gated, run),
        Setup::Gru(gated) => expected_cells::gru(gated, run),
        Setup::Copy { .. } => vec![("output", numbers(run, "input"))],
        Setup::Dropout(dropped) => expected_cells::dropout(dropped, run),
        Setup::Gather { columns, .. } => vec![(
            "output",
            reference::gather(&numbers(run, "table"), columns, &tokens(run, "tokens")),
        )],
        Setup::ScatterAdd {
            vocabulary,
            columns,
            ..
        } => {
            let mut table = vec![0.0; vocabulary * columns];
            let tokens = tokens(run, "tokens");
            reference::scatter_add(&mut table, columns, &tokens, &numbers(run, "gradient"));
            let mut sums = vec![0.0; tokens.len() * columns];
            for (p, token) in first_occurrences(run) {
                sums[p * columns..][..columns]
                    .copy_from_slice(&table[token * columns..][..columns]);
            }
            vec![("sums", sums)]
        }
        Setup::SoftmaxCrossEntropy {
            columns,
            gradient,
            scale,
            exponential,
            ..
        } => {
            let softmax = match exponential {
                Exponential::Exact => reference::softmax_cross_entropy,
                Exponential::Rnnlm => reference::rnnlm_softmax_cross_entropy,
            };
            let logits = numbers(run, "logits");
            let (mut losses, mut gradients) = (Vec::new(), Vec::new());
            for (row, target) in logits.chunks_exact(columns).zip(tokens(run, "targets")) {
                let (loss, gradient) = softmax(row, target, f64::from(scale));
                losses.push(loss);
                gradients.extend(gradient);
            }
            if gradient {
                vec![("logits", gradients), ("losses", losses)]
            } else {
                vec![("losses", losses)]
            }
        }
        Setup::Ragged(ragged) => expected_ragged::outputs(ragged, run),
        Setup::Sampled(sampled) => expected_sampled::outputs(sampled, run),
        Setup::Sum { .. } => vec![("output", vec![reference::sum(&numbers(run, "values"))])],
        Setup::SumOfSquares { .. } => {
            let values = numbers(run, "values");
            vec![("output", vec![reference::sum_of_squares(&values)])]
        }
        Setup::Fill { count, value } => vec![("values", vec![f64::from(value); count])],
        Setup::Add(update) => {
            let mut output = numbers(run, "output");
            let input = dense_gradient(update, run, output.len());
            reference::add_bias(&mut output, &input);
            vec![("output", output)]
        }
        Setup::AddSquares(update) => {
            let mut output = numbers(run, "output");
            let mut squares = dense_gradient(update, run, output.len());
            squares.iter_mut().for_each(|value| *value *= *value);
            reference::add_bias(&mut output, &squares);
            vec![("output", output)]
        }
        Setup::ClipGradNorm { maximum, .. } => {
            let norm = reference::sum(&numbers(run, "squares")).sqrt();
            vec![(
                "scale",
                vec![optimizers::clip_coefficient(norm, f64::from(maximum))],
            )]
        }
        Setup::Scale { factor, .. } => {
            vec![(
                "values",
                numbers(run, "values")
                    .iter()
                    .map(|value| value * f64::from(factor))
                    .collect(),
            )]
        }
        Setup::Sgd(update) => {
            let (mut parameter, gradient) = updated(update, run);
            optimizers::sgd(&mut parameter, &gradient, f64::from(RATE));
            vec![("parameter", parameter)]
        }
        Setup::Adagrad(update) => {
            let (mut parameter, gradient) = updated(update, run);
            let mut squares = numbers(run, "squares");
            optimizers::adagrad(&mut parameter, &gradient, &mut squares, f64::from(RATE));
            vec![("parameter", parameter), ("squares", squares)]
        }
        Setup::Adam(update, Step(step)) => {
            let (mut parameter, gradient) = updated(update, run);
            let (mut first, mut second) = (numbers(run, "first"), numbers(run, "second"));
            let step = i32::try_from(step).expect("a case's step is small");
            optimizers::adam(
                &mut parameter,
                &gradient,
                &mut first,
                &mut second,
                step,
                f64::from(RATE),
            );
            vec![
                ("parameter", parameter),
                ("first", first),
                ("second", second),
            ]
        }
        Setup::Momentum { update, nesterov } => {
            let (mut parameter, gradient) = updated(update, run);
            let mut velocity = numbers(run, "velocity");
            optimizers::momentum(
                &mut parameter,
                &gradient,
                &mut velocity,
                nesterov,
                f64::from(RATE),
            );
            vec![("parameter", parameter), ("velocity", velocity)]
        }
        Setup::Rmsprop(update) => {
            let (mut parameter, gradient) = updated(update, run);
            let mut squares = numbers(run, "squares");
            optimizers::rmsprop(&mut parameter, &gradient, &mut squares, f64::from(RATE));
            vec![("parameter", parameter), ("squares", squares)]
        }
        Setup::Average { weight, .. } => {
            let mut average = numbers(run, "average");
            optimizers::join_average(&mut average, &numbers(run, "values"), f64::from(weight));
            vec![("average", average)]
        }
        Setup::ClipGradValue { maximum, .. } => {
            let mut values = numbers(run, "values");
            optimizers::clamp(&mut values, f64::from(maximum));
            vec![("values", values)]
        }
    }
}

/// Positions in `order` of the first occurrence of each token, with the token.
fn first_occurrences(run: &Outcome) -> Vec<(usize, usize)> {
    let tokens = tokens(run, "tokens");
    let order = run.tokens("order").expect("the case has an order");
    let token = |p: usize| tokens[order[p] as usize];
    (0..order.len())
        .filter(|&p| p == 0 || token(p - 1) != token(p))
        .filter_map(|p| Some((p, token(p)?)))
        .collect()
}

/// A parameter, and its dense gradient times the scale.
fn updated(update: UpdateCase, run: &Outcome) -> (Vec<f64>, Vec<f64>) {
    let parameter = numbers(run, "parameter");
    let scale = numbers(run, "scale")[0];
    let mut gradient = dense_gradient(update, run, parameter.len());
    gradient.iter_mut().for_each(|g| *g *= scale);
    (parameter, gradient)
}

/// The input `gradient` as a dense gradient of `count` elements.
fn dense_gradient(update: UpdateCase, run: &Outcome, count: usize) -> Vec<f64> {
    let values = numbers(run, "gradient");
    if update.tokens.is_none() {
        return values;
    }
    let mut gradient = vec![0.0; count];
    for (p, token) in first_occurrences(run) {
        gradient[token * update.columns..][..update.columns]
            .copy_from_slice(&values[p * update.columns..][..update.columns]);
    }
    gradient
}

/// `s(t) = f(z(t) + W s(t-1))`, unit by unit.
fn recurrence_forward(recurrence: Recurrence, run: &Outcome) -> Expected {
    let Recurrence {
        activation,
        time_steps,
        batch,
        hidden_size: h,
        reset,
        ..
    } = recurrence;
    let (mut states, weight, tokens) = (
        numbers(run, "states"),
        numbers(run, "weight"),
        tokens(run, "tokens"),
    );
    let mut previous = Vec::new();
    for row in 0..time_steps * batch {
        // Row (t, b) of the steps is row (t+1, b) of the slots.
        let (before, after) = states.split_at_mut((batch + row) * h);
        let fresh = reset && tokens[row] == Some(0);
        let used: Vec<f64> = if fresh {
            vec![f64::from(INITIAL); h]
        } else {
            before[row * h..][..h].to_vec()
        };
        for (i, state) in after[..h].iter_mut().enumerate() {
            let product: f64 = weight[i * h..][..h]
                .iter()
                .zip(&used)
                .map(|(w, s)| w * s)
                .sum();
            *state = function(activation).value(*state + product);
        }
        previous.extend(used);
    }
    let mut expected = vec![("states", states)];
    if reset {
        expected.push(("previous", previous));
    }
    expected
}

/// `gradient(t) = (gradient(t) + Wᵀ gradient(t+1)) f'(s(t))`, unit by unit.
fn recurrence_backward(recurrence: Recurrence, run: &Outcome) -> Expected {
    let Recurrence {
        activation,
        time_steps,
        batch,
        hidden_size: h,
        reset,
        ..
    } = recurrence;
    let (states, weight, mut gradient, tokens) = (
        numbers(run, "states"),
        numbers(run, "weight"),
        numbers(run, "gradient"),
        tokens(run, "tokens"),
    );
    let mut initial = vec![0.0; batch * h];
    for row in (0..time_steps * batch).rev() {
        let derivative = |i: usize| function(activation).derivative(states[(batch + row) * h + i]);
        let z_gradient: Vec<f64> = (0..h)
            .map(|i| gradient[row * h + i] * derivative(i))
            .collect();
        gradient[row * h..][..h].copy_from_slice(&z_gradient);
        if reset && tokens[row] == Some(0) {
            continue;
        }
        let before = if row < batch {
            &mut initial[row * h..][..h]
        } else {
            &mut gradient[(row - batch) * h..][..h]
        };
        for (j, value) in before.iter_mut().enumerate() {
            *value += (0..h)
                .map(|i| weight[i * h + j] * z_gradient[i])
                .sum::<f64>();
        }
    }
    vec![("gradient", gradient), ("initial_gradient", initial)]
}
