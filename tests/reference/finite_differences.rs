//! Finite differences: every gradient of the reference network against differences of its loss,
//! which do not use back-propagation.
//!
//! The error of the five-point central difference
//! `(8 (loss(w+h) - loss(w-h)) - (loss(w+2h) - loss(w-2h))) / 12h` is h⁴/30 of the fifth
//! derivative and about 1e-16 loss / h of rounding; [`STEP`] makes both small. A vector of small
//! deviation that is normalized has large derivatives of high order, so networks with layer
//! normalization have the nine-point difference, whose error is in proportion to h⁸.
//!
//! ReLU has a kink where its argument is zero, and a difference across a kink is not a derivative.
//! So the active units are compared at all five points; if one switches, the whole network is
//! replaced by that of another seed, and nothing is skipped within a network. A network with a
//! layer whose units are all active or all inactive is replaced too, since it would show little.
//! The minimum of capped gates has such kinks too. Networks that normalize vectors of a deviation
//! below [`LEAST_DEVIATION`] are replaced in the same way.

use libtest_mimic::Trial;

use super::cells::Cell;
use super::kernels::Activation;
use super::layer_norm::LEAST_DEVIATION;
use super::masks::Masks;
use super::network::{Architecture, FeedForward, Network, Window};
use super::outputs::{Direct, Output};
use super::penalties::Penalties;
use super::sampled::{Objective, Sampled};
use crate::harness::{apply, trial, trials};

/// h.
const STEP: f64 = 3e-4;
/// The factors of the differences over h, 2h and so on, and their divisor: of five and of nine
/// points.
const FIVE_POINTS: (&[f64], f64) = (&[8.0, -1.0], 12.0);
const NINE_POINTS: (&[f64], f64) = (&[672.0, -168.0, 32.0, -3.0], 840.0);
/// Largest error relative to the gradient.
const RELATIVE: f64 = 1e-8;
/// Largest error of gradients near zero: the rounding error of losses of up to about 50 nats.
const ABSOLUTE: f64 = 1e-10;
/// T and B of the windows: one, primes, one stream, one step.
const WINDOWS: [(usize, usize); 5] = [(5, 3), (1, 1), (7, 1), (1, 5), (2, 2)];
/// V, D (where it is not 0) and H.
const SIZES: (usize, usize, usize) = (7, 3, 5);
/// Whether the layers have biases, and whether the output layer has one.
const BIASES: [(bool, bool); 4] = [(false, false), (true, true), (true, false), (false, true)];
/// Networks tried until one is far enough from ReLU's kinks.
const SEEDS: u64 = 200;
/// Parameters are drawn from ± this: far from zero, so that no gradient vanishes, and from
/// saturation.
const PARAMETER_SCALE: f64 = 0.75;
/// Factor of the loss; anything but 1.
const LOSS_SCALE: f64 = 0.7;

/// The parts around the cells: a name, D, whether the tables are tied, and whether there is a
/// projection.
const LAYOUTS: [(&str, usize, bool, bool); 5] = [
    ("one_hot", 0, false, false),
    ("embedding", 3, false, false),
    ("tied", 3, true, false),
    ("projection", 2, false, true),
    ("tied_projection", 2, true, true),
];
/// V of the layouts, and H of their layers from the last one back: equal to D or, with a
/// projection, not.
const LAYOUT_SIZES: (usize, [usize; 3]) = (5, [3, 2, 4]);
/// T and B of their windows.
const LAYOUT_WINDOWS: [(usize, usize); 3] = [(3, 2), (1, 1), (4, 1)];

/// Output layers beside the softmax, each with a name and the units of a compression layer. Few
/// numbers of a table of direct connections are shared by many features, and runs end where it
/// does.
fn outputs() -> Vec<(&'static str, Output, usize)> {
    let class = |sizes: &[usize], direct| Output::Class {
        sizes: sizes.to_vec(),
        direct,
    };
    let adaptive = |cutoffs: &[usize], divisor| Output::Adaptive {
        cutoffs: cutoffs.to_vec(),
        divisor,
    };
    // Words drawn twice, and one that is neither drawn nor in the window.
    let sampled = |objective| {
        let words = if objective == Objective::Softmax {
            vec![0, 1, 3, 4]
        } else {
            vec![0, 3, 3, 1, 0, 4]
        };
        Output::Sampled(Sampled {
            objective,
            counts: vec![7, 1, 0, 3, 2],
            power: 0.75,
            draws: 6,
            words,
        })
    };
    vec![
        ("compression", Output::Softmax, 2),
        ("class", class(&[1, 3, 1], None), 0),
        ("class_compression", class(&[2, 3], None), 4),
        (
            "class_direct",
            class(&[2, 3], Some(Direct { size: 40, order: 3 })),
            0,
        ),
        ("mixture", Output::Mixture(3), 0),
        ("adaptive", adaptive(&[2], 2.0), 0),
        ("adaptive_clusters", adaptive(&[1, 2, 4], 1.5), 0),
        ("adaptive_compression", adaptive(&[1, 3], 4.0), 6),
        ("sampled_softmax", sampled(Objective::Softmax), 0),
        (
            "sampled_softmax_compression",
            sampled(Objective::Softmax),
            3,
        ),
        ("nce", sampled(Objective::Nce(1.5)), 0),
        (
            "one_class_direct",
            class(&[5], Some(Direct { size: 12, order: 2 })),
            0,
        ),
    ]
}

/// One test for every activation, number of layers and kind of input, and one for every cell,
/// number of layers and layout. Each covers the biases, the windows and streams with resets; those
/// of the layouts also masks.
#[apply(trials)]
fn every_architecture() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, activation) in Activation::TABLE {
        for num_layers in 1..=3 {
            for embedding_size in [0, SIZES.1] {
                let sizes = format!("layers_{num_layers}_embedding_{embedding_size}");
                let name = format!("reference::finite_differences::{name}_{sizes}");
                trials.push(trial(name, move || {
                    check_family(activation, num_layers, embedding_size);
                }));
            }
        }
    }
    for (name, output, compression_size) in outputs() {
        let architecture = Architecture {
            vocab_size: 5,
            hidden_sizes: vec![4, 3],
            output,
            compression_size,
            ..Architecture::default()
        };
        let name = format!("reference::finite_differences::output_{name}");
        trials.push(trial(name, move || check_layout(&architecture)));
    }
    for (name, output, compression_size) in outputs() {
        let can_be_tied = matches!(output, Output::Sampled(_) | Output::Mixture(_));
        if can_be_tied && compression_size == 0 {
            let hidden_size = match output {
                Output::Mixture(_) => 4,
                _ => 3,
            };
            let architecture = Architecture {
                vocab_size: 5,
                embedding_size: 3,
                hidden_sizes: vec![4, hidden_size],
                tied: true,
                output,
                ..Architecture::default()
            };
            let name = format!("reference::finite_differences::tied_{name}");
            trials.push(trial(name, move || check_layout(&architecture)));
        }
    }
    trials.extend(feed_forward_trials());
    trials.extend(mogrifier_trials());
    trials.extend(past_trials());
    for (cell_name, cell) in Cell::TABLE {
        for num_layers in 1..=3 {
            for (layout, embedding_size, tied, projection) in LAYOUTS {
                let (vocab_size, sizes) = LAYOUT_SIZES;
                let hidden_sizes = sizes[..num_layers].iter().rev().copied().collect();
                let architecture = Architecture {
                    cell,
                    vocab_size,
                    embedding_size,
                    hidden_sizes,
                    tied,
                    projection,
                    ..Architecture::default()
                };
                let name = format!(
                    "reference::finite_differences::{cell_name}_layers_{num_layers}_{layout}"
                );
                trials.push(trial(name, move || check_layout(&architecture)));
            }
        }
    }
    trials
}

/// Mogrifiers of one round and of many, with full matrices and with products of two.
fn mogrifier_trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (rounds, rank) in [(1, 0), (1, 1), (2, 2), (5, 0), (5, 1), (6, 2)] {
        let architecture = Architecture {
            cell: Cell::Mogrifier,
            vocab_size: 5,
            embedding_size: 3,
            hidden_sizes: vec![4, 3],
            mogrifier_rounds: rounds,
            mogrifier_rank: rank,
            ..Architecture::default()
        };
        let name =
            format!("reference::finite_differences::mogrifier_{rounds}_rounds_of_rank_{rank}");
        trials.push(trial(name, move || check_layout(&architecture)));
    }
    trials
}

/// Past decode regularization of a recurrent and of a feed-forward network with tied tables.
fn past_trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    let contexts = FeedForward {
        context: 2,
        skip: true,
    };
    for (kind, cell, feed_forward) in [
        ("lstm", Cell::Lstm, None),
        ("feedforward", Cell::Elman, Some(contexts)),
    ] {
        for (layout, embedding_size, tied, projection) in LAYOUTS {
            if !tied || feed_forward.is_some() && !projection {
                continue;
            }
            let architecture = Architecture {
                cell,
                feed_forward,
                vocab_size: LAYOUT_SIZES.0,
                embedding_size,
                hidden_sizes: vec![3],
                tied,
                projection,
                past_decode: true,
                ..Architecture::default()
            };
            let name = format!("reference::finite_differences::past_decode_{kind}_{layout}");
            trials.push(trial(name, move || check_layout(&architecture)));
        }
    }
    trials
}

/// Feed-forward networks: every layout that has an embedding, and every output layer.
fn feed_forward_trials() -> Vec<Trial> {
    let (vocab_size, sizes) = LAYOUT_SIZES;
    let mut trials = Vec::new();
    let mut add = |name: String, architecture: Architecture| {
        let name = format!("reference::finite_differences::feedforward_{name}");
        trials.push(trial(name, move || check_layout(&architecture)));
    };
    for (context, skip) in [(1, false), (1, true), (2, false), (5, true)] {
        let feed_forward = Some(FeedForward { context, skip });
        for (layout, embedding_size, tied, projection) in LAYOUTS {
            if embedding_size == 0 || skip && tied && !projection {
                continue;
            }
            let architecture = Architecture {
                feed_forward,
                vocab_size,
                embedding_size,
                hidden_sizes: sizes[..1].to_vec(),
                tied,
                projection,
                ..Architecture::default()
            };
            add(format!("{context}_{skip}_{layout}"), architecture);
        }
    }
    for (name, output, compression_size) in outputs() {
        let architecture = Architecture {
            feed_forward: Some(FeedForward {
                context: 3,
                skip: true,
            }),
            vocab_size: 5,
            embedding_size: 2,
            hidden_sizes: vec![3],
            output,
            compression_size,
            ..Architecture::default()
        };
        add(format!("output_{name}"), architecture);
    }
    trials
}

/// Checks every combination of biases, independence and window for one kind of network.
///
/// # Panics
/// If a gradient differs.
pub fn check_family(activation: Activation, num_layers: usize, embedding_size: usize) {
    let (vocab_size, _, hidden_size) = SIZES;
    check_with_kinks(&Architecture {
        activation,
        vocab_size,
        embedding_size,
        hidden_sizes: vec![hidden_size; num_layers],
        ..Architecture::default()
    });
}

/// Checks every combination of biases, independence and window for a network whose units may have
/// kinks.
///
/// # Panics
/// If a gradient differs.
pub fn check_with_kinks(base: &Architecture) {
    let vocab_size = base.vocab_size;
    for (bias, decoder_bias) in BIASES {
        for independent in [None, Some(0.3)] {
            for (time_steps, batch) in WINDOWS {
                let architecture = Architecture {
                    bias,
                    decoder_bias,
                    ..base.clone()
                };
                let found = (0..SEEDS).find(|&seed| {
                    let network = Network::new(architecture.clone(), seed, PARAMETER_SCALE);
                    let window = Window::random(seed, time_steps, batch, vocab_size, independent);
                    let what = format!(
                        "{architecture:?}, T {time_steps}, B {batch}, independent \
                        {independent:?}, seed {seed}"
                    );
                    check(&what, &network, &window)
                });
                assert!(
                    found.is_some(),
                    "{architecture:?}: no network of {SEEDS} without a unit near its kink"
                );
            }
        }
    }
}

/// Checks every combination of biases, independence, masks and window for one layout.
///
/// # Panics
/// If a gradient differs.
pub fn check_layout(architecture: &Architecture) {
    for (bias, decoder_bias) in BIASES {
        let network = Network::new(
            Architecture {
                bias,
                decoder_bias,
                ..architecture.clone()
            },
            1,
            PARAMETER_SCALE,
        );
        for independent in [None, Some(0.3)] {
            for (seed, (time_steps, batch)) in (1..).zip(LAYOUT_WINDOWS) {
                let mut window = Window::random(
                    seed,
                    time_steps,
                    batch,
                    architecture.vocab_size,
                    independent,
                );
                let what = format!(
                    "{:?}, T {time_steps}, B {batch}, independent {independent:?}",
                    network.architecture
                );
                assert!(
                    check(&what, &network, &window),
                    "{what}: rejected, though no unit has a kink"
                );
                window.masks = Masks::random(&network.architecture, time_steps, batch, seed);
                assert!(
                    check(&format!("{what}, masks"), &network, &window),
                    "{what}: rejected, though no unit has a kink"
                );
                window.penalties = Penalties {
                    activation: 1.5,
                    temporal: 2.5,
                    past: 0.8,
                };
                assert!(
                    check(&format!("{what}, masks and penalties"), &network, &window),
                    "{what}: rejected, though no unit has a kink"
                );
            }
        }
    }
}

/// Checks all gradients of one network on one window. False, and nothing checked, where ReLU or a
/// small deviation forbids it.
///
/// # Panics
/// If a gradient differs.
#[expect(
    clippy::neg_cmp_op_on_partial_ord,
    reason = "`error > allowed` would let NaN pass"
)]
pub fn check(what: &str, network: &Network, window: &Window) -> bool {
    let mut states = network.random_states(window.inputs.len() as u64, window.batch, 0.5);
    if network.architecture.feed_forward.is_some() {
        // Words before the window have no gradient, so there are none.
        states.iter_mut().flatten().for_each(|word| *word = -1.0);
    }
    let outcome = network.run(window, &states, LOSS_SCALE);
    if outcome.smallest_deviation < LEAST_DEVIATION {
        return false;
    }
    let pattern = active_units(network, window, &states).1;
    if pattern
        .iter()
        .any(|layer| layer.iter().all(|&on| on) || !layer.iter().any(|&on| on))
    {
        return false;
    }
    let points = match network.architecture.layer_norm {
        true => NINE_POINTS,
        false => FIVE_POINTS,
    };
    // First all differences, then the comparison: a network near a kink is rejected as a whole.
    let mut pairs: Vec<(String, f64, f64)> = Vec::new();

    for (name, gradient) in &outcome.gradients {
        for (i, &claimed) in gradient.iter().enumerate() {
            let loss = |shift: f64| {
                let mut moved = network.clone();
                moved
                    .parameters
                    .get_mut(name)
                    .expect("a parameter for every gradient")[i] += shift;
                active_units(&moved, window, &states)
            };
            let Some(difference) = derivative(loss, &pattern, points) else {
                return false;
            };
            pairs.push((format!("{name}[{i}]"), claimed, difference));
        }
    }
    // Inputs that are carried have no gradient, and are the first states.
    let first = states.len() - outcome.initial_state_gradients.len();
    for (number, gradient) in (first..).zip(&outcome.initial_state_gradients) {
        for (i, &claimed) in gradient.iter().enumerate() {
            let loss = |shift: f64| {
                let mut moved = states.clone();
                moved[number][i] += shift;
                active_units(network, window, &moved)
            };
            let Some(difference) = derivative(loss, &pattern, points) else {
                return false;
            };
            pairs.push((format!("initial state {number}[{i}]"), claimed, difference));
        }
    }

    for (name, claimed, difference) in pairs {
        let error = (claimed - difference).abs();
        let allowed = RELATIVE * claimed.abs().max(difference.abs()) + ABSOLUTE;
        if !(error <= allowed) {
            panic!(
                "{what}: gradient of {name} is {claimed:e}, by differences {difference:e}; error \
                 {error:e}, allowed {allowed:e}"
            );
        }
    }
    true
}

/// The derivative of `loss` at 0, or None if the pattern of active units changes between the
/// points.
fn derivative(
    loss: impl Fn(f64) -> (f64, Vec<Vec<bool>>),
    pattern: &[Vec<bool>],
    (factors, divisor): (&[f64], f64),
) -> Option<f64> {
    let at = |shift: f64| {
        let (loss, here) = loss(shift);
        (here == pattern).then_some(loss)
    };
    let mut sum = 0.0;
    for (factor, distance) in factors.iter().zip(1..) {
        let shift = f64::from(distance) * STEP;
        sum += factor * (at(shift)? - at(-shift)?);
    }
    Some(sum / (divisor * STEP))
}

/// The loss with the penalty and, for units with kinks, on which side of its kink each is,
/// `[T, B, H]` a layer.
fn active_units(network: &Network, window: &Window, states: &[Vec<f64>]) -> (f64, Vec<Vec<bool>>) {
    let forward = network.forward(window, states, LOSS_SCALE);
    let a = &network.architecture;
    let on = |k: usize| -> Option<Vec<bool>> {
        let steps = forward.steps.iter().map(|step| &step.layers[k]);
        let sides = steps.map(|step| a.layer(k).sides_of_kinks(&step.arguments));
        Some(sides.collect::<Option<Vec<_>>>()?.concat())
    };
    let layers = (0..a.num_layers()).filter_map(on);
    (forward.loss + forward.penalty, layers.collect())
}
