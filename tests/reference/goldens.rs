//! PyTorch's values: small networks of every cell, one window each, and three updates with some or
//! all optimizers.
//!
//! They are stored in `tests/pytorch/goldens.json`, which `tests/pytorch/make_goldens.py` writes
//! and explains. This module reads them for all comparisons, and compares the reference with them.
//! It needs serde_json.

use std::path::Path;

use serde_json::Value;

use super::cells::Cell;
use super::kernels::Activation;
use super::masks::Masks;
use super::network::{Architecture, Named, Network, Outcome, Window};
use super::optimizers::{Optimizer, Rule};
use super::penalties::Penalties;
use crate::harness::{apply, test};

/// Largest error relative to PyTorch's value: both sides compute in f64, in different orders.
pub const RELATIVE: f64 = 1e-10;
/// Largest error of values near zero, which are sums of values around 1 that cancel.
pub const ABSOLUTE: f64 = 1e-14;

/// A network, a window, and what PyTorch makes of them. Shapes as in [`Network::run`].
#[derive(Debug, Clone)]
pub struct Golden {
    /// The name says how the case differs from the others.
    pub name: String,
    /// The network with the parameters it starts from; f32 holds each of them exactly.
    pub network: Network,
    /// The window.
    pub window: Window,
    /// The states before the window; f32 holds each of them exactly.
    pub initial_states: Vec<Vec<f64>>,
    /// Factor of the loss: 1 / predicted tokens.
    pub scale: f64,
    /// The outcome of the window.
    pub outcome: Outcome,
    /// The outcome of training on the window, for every optimizer or for some.
    pub training: Vec<Training>,
}

/// Some updates on the same window and from the same initial states, without decay of the weights.
#[derive(Debug, Clone)]
pub struct Training {
    /// The optimizer.
    pub rule: Rule,
    /// Its learning rate.
    pub learning_rate: f64,
    /// The gradients' global norm is clipped at this.
    pub max_norm: f64,
    /// The loss before each update.
    pub losses: Vec<f64>,
    /// The gradients' global norm before each update and before it was clipped.
    pub norms: Vec<f64>,
    /// Every parameter after the last update.
    pub parameters: Named,
}

/// All of them.
///
/// # Panics
/// If the file is missing or not what [`Golden`] says.
pub fn load() -> Vec<Golden> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch/goldens.json");
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    array(&file["cases"]).iter().map(golden).collect()
}

/// Every value and gradient of the reference against PyTorch's.
///
/// # Panics
/// If one differs.
#[apply(test)]
pub fn check_windows() {
    for golden in load() {
        let got = golden
            .network
            .run(&golden.window, &golden.initial_states, golden.scale);
        let want = &golden.outcome;
        let name = &golden.name;
        check(&format!("{name}: loss"), &[got.loss], &[want.loss]);
        check(
            &format!("{name}: log-probabilities"),
            &got.log_probabilities,
            &want.log_probabilities,
        );
        check_named(
            &format!("{name}: gradient"),
            &got.gradients,
            &want.gradients,
        );
        for number in 0..golden.initial_states.len() {
            check(
                &format!("{name}: final state {number}"),
                &got.final_states[number],
                &want.final_states[number],
            );
            let (got, want) = (
                &got.initial_state_gradients[number],
                &want.initial_state_gradients[number],
            );
            check(
                &format!("{name}: initial state gradient {number}"),
                got,
                want,
            );
        }
    }
}

/// The reference's optimizers against PyTorch's.
///
/// # Panics
/// If a loss, a norm or a parameter differs.
#[apply(test)]
pub fn check_training() {
    for golden in load() {
        for training in &golden.training {
            let name = format!("{}: {:?}", golden.name, training.rule);
            let mut network = golden.network.clone();
            let mut optimizer = Optimizer::new(
                training.rule,
                training.learning_rate,
                Some(training.max_norm),
                0.0,
            );
            let (mut losses, mut norms) = (Vec::new(), Vec::new());
            for _ in &training.losses {
                let outcome = network.run(&golden.window, &golden.initial_states, golden.scale);
                losses.push(outcome.loss);
                norms.push(optimizer.update(&mut network.parameters, &outcome.gradients));
            }
            check(&format!("{name}: losses"), &losses, &training.losses);
            check(&format!("{name}: norms"), &norms, &training.norms);
            check_named(
                &format!("{name}: parameter"),
                &network.parameters,
                &training.parameters,
            );
        }
    }
}

/// What the file must hold for the other tests to mean something.
///
/// # Panics
/// If it does not.
#[apply(test)]
pub fn check_cases() {
    let goldens = load();
    let any = |holds: &dyn Fn(&Architecture) -> bool| {
        goldens
            .iter()
            .any(|golden| holds(&golden.network.architecture))
    };
    for (name, activation) in Activation::TABLE {
        assert!(
            any(&|a| a.cell == Cell::Elman && a.activation == activation),
            "no case of {name}"
        );
    }
    assert!(
        any(&|a| a.embedding_size == 0 && !a.bias),
        "no case of one-hot input without biases"
    );
    // PyTorch has no mogrifier, no quasi-recurrent and no simple recurrent unit.
    let known = |row: &(&str, Cell)| row.1.has_recurrent_weight() && row.1 != Cell::Mogrifier;
    for (name, cell) in Cell::TABLE.into_iter().filter(known) {
        for layers in [1, 2] {
            assert!(
                any(&|a| a.cell == cell && a.num_layers() == layers && a.bias),
                "no case of {name} with {layers} layers and biases"
            );
        }
        let adam = |golden: &Golden| {
            golden
                .training
                .iter()
                .any(|training| training.rule == Rule::Adam)
        };
        assert!(
            goldens
                .iter()
                .any(|golden| golden.network.architecture.cell == cell && adam(golden)),
            "no case of {name} with Adam"
        );
    }
    assert!(
        any(&|a| a.tied && a.projection),
        "no case of tied tables with a projection"
    );
    for Golden {
        name,
        network,
        window,
        initial_states,
        scale,
        training,
        ..
    } in &goldens
    {
        assert!(
            (scale * window.predicted() as f64 - 1.0).abs() < 1e-15,
            "{name}: scale"
        );
        for (parameter, shape) in network.architecture.shapes() {
            assert_eq!(
                network.parameters[&parameter].len(),
                shape.iter().product::<usize>(),
                "{name}: {parameter}"
            );
        }
        assert!(
            initial_states
                .iter()
                .all(|state| state.iter().all(|&number| number != 0.0)),
            "{name}: states of zero"
        );
        let start = network.parameters.values().chain(initial_states).flatten();
        assert!(
            start
                .copied()
                .all(|number| f64::from(number as f32) == number),
            "{name}: f32 does not hold what is started from"
        );
        let rules: Vec<Rule> = training.iter().map(|training| training.rule).collect();
        // Optimizers do not depend on the cell: one cell with all of them is enough.
        let all = [Rule::Sgd, Rule::Adagrad, Rule::Adam];
        assert!(
            rules == all || network.architecture.cell != Cell::Elman && rules.contains(&Rule::Sgd),
            "{name}: optimizers {rules:?}"
        );
        assert!(
            training
                .iter()
                .all(|training| training.norms[0] > training.max_norm),
            "{name}: clipping is not exercised"
        );
        assert!(
            training
                .iter()
                .all(|training| training.parameters != network.parameters),
            "{name}: nothing was learnt"
        );
    }
}

/// Demands the same names and compares the values of each.
fn check_named(what: &str, got: &Named, want: &Named) {
    assert!(
        got.keys().eq(want.keys()),
        "{what}: names {:?}, in PyTorch {:?}",
        got.keys(),
        want.keys()
    );
    for (name, want) in want {
        check(&format!("{what} {name}"), &got[name], want);
    }
}

/// Demands the same length, and every number within the tolerance.
fn check(what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (got - want).abs();
        let allowed = ABSOLUTE + RELATIVE * want.abs();
        if !(want.is_finite() && error <= allowed) {
            panic!(
                "{what}[{i}] is {got:e}, in PyTorch {want:e}; error {error:e}, allowed {allowed:e}"
            );
        }
    }
}

/// One case of the file.
fn golden(case: &Value) -> Golden {
    let flag = |key: &str| {
        case[key]
            .as_bool()
            .unwrap_or_else(|| panic!("{key} is neither true nor false"))
    };
    let architecture = Architecture {
        cell: named(&Cell::TABLE, text(&case["cell"])),
        activation: named(&Activation::TABLE, text(&case["activation"])),
        vocab_size: size(&case["vocab_size"]),
        embedding_size: size(&case["embedding_size"]),
        hidden_sizes: array(&case["hidden_sizes"]).iter().map(size).collect(),
        bias: flag("bias"),
        decoder_bias: flag("decoder_bias"),
        tied: flag("tied"),
        projection: flag("projection"),
        ..Architecture::default()
    };
    Golden {
        name: text(&case["name"]).to_string(),
        network: Network {
            architecture,
            parameters: tensors(&case["parameters"]),
        },
        window: Window {
            time_steps: size(&case["time_steps"]),
            batch: size(&case["batch"]),
            inputs: tokens(&case["inputs"]),
            targets: tokens(&case["targets"]),
            independent: None,
            masks: Masks::default(),
            penalties: Penalties::default(),
        },
        initial_states: states(&case["initial_states"]),
        scale: number(&case["scale"]),
        outcome: Outcome {
            log_probabilities: numbers(&case["log_probabilities"]),
            loss: number(&case["loss"]),
            final_states: states(&case["final_states"]),
            gradients: tensors(&case["gradients"]),
            initial_state_gradients: states(&case["initial_state_gradients"]),
            smallest_deviation: f64::INFINITY,
        },
        training: array(&case["training"]).iter().map(training).collect(),
    }
}

/// One run of an optimizer.
fn training(record: &Value) -> Training {
    Training {
        rule: named(&Rule::TABLE, text(&record["optimizer"])),
        learning_rate: number(&record["learning_rate"]),
        max_norm: number(&record["max_norm"]),
        losses: numbers(&record["losses"]),
        norms: numbers(&record["norms"]),
        parameters: tensors(&record["parameters"]),
    }
}

/// The row of a table that has this name.
fn named<T: Copy>(table: &[(&str, T)], name: &str) -> T {
    table
        .iter()
        .find(|row| row.0 == name)
        .unwrap_or_else(|| panic!("{name} is not in the table"))
        .1
}

/// A JSON array.
fn array(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("not an array: {value}"))
}

/// A JSON string.
fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a string: {value}"))
}

/// A JSON number.
fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("not a number: {value}"))
}

/// A JSON number that counts something.
fn size(value: &Value) -> usize {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("not a size: {value}")) as usize
}

/// A flat tensor.
fn numbers(value: &Value) -> Vec<f64> {
    array(value).iter().map(number).collect()
}

/// A flat tensor for every carried state.
fn states(value: &Value) -> Vec<Vec<f64>> {
    array(value).iter().map(numbers).collect()
}

/// Tokens; null is None.
fn tokens(value: &Value) -> Vec<Option<usize>> {
    array(value)
        .iter()
        .map(|token| (!token.is_null()).then(|| size(token)))
        .collect()
}

/// Flat tensors by name.
fn tensors(value: &Value) -> Named {
    let tensors = value
        .as_object()
        .unwrap_or_else(|| panic!("not an object: {value}"));
    tensors
        .iter()
        .map(|(name, values)| (name.clone(), numbers(values)))
        .collect()
}
