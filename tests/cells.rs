//! Every cell in networks of every shape, against the reference: losses, distributions, all
//! gradients, carried states and their gradients; with dropout at every place, and with overlapping
//! windows. On a software GPU each network runs some of the cases in turn: what a GPU does
//! differently is in the kernels, which have cases of their own.

use elman::device::Device;
use elman::model::{CELLS, Capacity, CellKind, DropoutRates, OUTPUTS, Window};
use libtest_mimic::Trial;

use super::cell_architectures::{
    adaptive_architectures, architectures, class_architectures, mixture_architectures,
    sampled_architectures,
};
use super::cell_sizes::{past_a_tile, wide};
use super::compare::assert_close;
use super::harness::{apply, device_trials_if, in_turn, test, trials};
use super::reference::cells::Cell;
use super::reference::masks::{Draw, Masks, sites};
use super::reference::network::{Architecture, Network, Window as ReferenceWindow};
use super::reference::outputs::Output;
use super::reference::penalties::Penalties;
use super::step_subject::{
    INITIAL, SCALE, STEP, Subject, WINDOWS, check_windows, compare_outcomes, upload,
};

/// A check of networks.
type Check = fn(&mut Device, Vec<Architecture>);

/// What is checked of a variant of cells or layers, in networks with every output layer.
pub const VARIANT_CHECKS: [(&str, Check); 4] = [
    ("windows", check_shapes),
    ("dropout", |device, architectures| {
        check_dropout(device, without_samples(architectures));
    }),
    ("penalties", check_penalties),
    ("history", check_history),
];

/// Networks of a cell with a number of layers.
type Networks = fn(Cell, usize) -> Vec<Architecture>;

/// One trial per row of the tables, on every device.
#[apply(trials)]
fn every_cell() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, cell) in Cell::TABLE {
        // On a software GPU, deep stacks and large networks are those of some cells only: each
        // cell's kernels have cases of such sizes. A step of a mogrifier is some twenty dispatches.
        let deepest_on_gpu = match cell {
            Cell::Lstm => 3,
            Cell::Mogrifier => 1,
            _ => 2,
        };
        let large_on_gpu = [Cell::Elman, Cell::Lstm].contains(&cell);
        for num_layers in 1..=3 {
            let mut add = |what: &str, check: Check, networks: Networks| {
                let name = format!("cells::{name}_layers_{num_layers}{what}");
                let trial = move |device: &mut Device| check(device, networks(cell, num_layers));
                trials.extend(device_trials_if(num_layers <= deepest_on_gpu, &name, trial));
            };
            add("", check_shapes, architectures);
            add("_classes", check_shapes, class_architectures);
            add("_adaptive", check_shapes, adaptive_architectures);
            add("_sampled", check_shapes, sampled_architectures);
            add("_mixture", check_shapes, mixture_architectures);
            add("_mixture_dropout", check_dropout, mixture_architectures);
            add("_dropout", check_dropout, architectures);
            add("_penalties", check_penalties, with_every_output);
            add("_history", check_history, with_every_output);
        }
        trials.extend(device_trials_if(
            large_on_gpu,
            &format!("cells::{name}_past_a_tile"),
            move |device| past_a_tile(device, cell),
        ));
        trials.extend(device_trials_if(
            large_on_gpu,
            &format!("cells::{name}_wide"),
            move |device| wide(device, cell),
        ));
    }
    trials
}

/// A cell or an output layer without a reference is not tested here.
#[apply(test)]
fn reference_has_every_cell_and_output() {
    let (feed_forward, recurrent): (Vec<_>, Vec<_>) =
        CELLS.iter().partition(|row| row.is_feed_forward());
    let names = |rows: &[&CellKind]| rows.iter().map(|row| row.name).collect::<Vec<_>>();
    assert_eq!(names(&feed_forward), ["feedforward"]);
    assert_eq!(names(&recurrent), Cell::TABLE.map(|row| row.0));
    assert_eq!(
        recurrent.iter().map(|row| row.gates).collect::<Vec<_>>(),
        Cell::TABLE.map(|row| row.1.gates())
    );
    assert_eq!(
        OUTPUTS.iter().map(|row| row.name).collect::<Vec<_>>(),
        ["softmax", "class", "adaptive", "sampled"]
    );
}

/// Windows of several sizes, with and without independent sentences.
pub fn check_shapes(device: &mut Device, architectures: Vec<Architecture>) {
    for (index, architecture) in architectures.into_iter().enumerate() {
        for (seed, pair) in (1..).zip(WINDOWS) {
            for independent in in_turn(
                device,
                index + seed as usize,
                [None, Some(f64::from(INITIAL))],
            ) {
                let network = Network::new(architecture.clone(), seed, 0.75);
                let windows = pair.map(|(time_steps, batch)| {
                    ReferenceWindow::random(seed, time_steps, batch, 7, independent)
                });
                check_windows(
                    device,
                    &format!("{architecture:?}, {pair:?}, independent {independent:?}"),
                    &network,
                    &windows,
                );
            }
        }
    }
}

/// The dropout masks of a window at these rates, from the reference.
pub fn masks(
    architecture: &Architecture,
    states: &[Vec<f64>],
    rates: DropoutRates,
    seed: u32,
    draw: u32,
    window: &ReferenceWindow,
) -> Masks {
    let at = |site: u32, rate: f32| {
        (rate > 0.0).then(|| Draw {
            seed,
            site,
            draw,
            rate: f64::from(rate),
        })
    };
    let (time_steps, batch) = (window.time_steps, window.batch);
    let activations = |draw: Draw, columns: usize| match rates.variational {
        true => draw.streams(time_steps, batch, columns),
        false => draw.elements(time_steps * batch * columns),
    };
    let layers = 0..architecture.num_layers();
    let has_embedding = architecture.embedding_size > 0;
    Masks {
        words: at(sites::WORDS, rates.words)
            .map(|draw| draw.words(&architecture.embedded_words(states, window))),
        input: at(sites::INPUT, rates.input)
            .filter(|_| has_embedding)
            .map(|draw| activations(draw, architecture.embedded_size())),
        outputs: layers
            .clone()
            .map(|k| {
                let rate = if k + 1 == architecture.num_layers() {
                    rates.output
                } else {
                    rates.hidden
                };
                let size = architecture.layer_output_size(k);
                at(sites::output(k), rate).map(|draw| activations(draw, size))
            })
            .collect(),
        latents: at(sites::LATENTS, rates.latent)
            .filter(|_| architecture.latent_size() > 0)
            .map(|draw| activations(draw, architecture.latent_size())),
        weights: layers
            .clone()
            .filter_map(|k| Some((k, architecture.masked_weight_size(k)?)))
            .map(|(k, size)| at(sites::weight(k), rates.weights).map(|draw| draw.elements(size)))
            .collect(),
        zoneout: layers
            .filter(|_| architecture.has_zoneout())
            .map(|k| {
                let count = time_steps * batch * architecture.layer_size(k);
                // What is kept is not scaled.
                let unscaled = |value: f64| value.min(1.0);
                at(sites::zoneout(k), rates.zoneout)
                    .map(|draw| draw.elements(count).into_iter().map(unscaled).collect())
            })
            .collect(),
    }
}

/// Dropout at every place separately and at all places together, with masks per element and per
/// window.
pub fn check_dropout(device: &mut Device, architectures: Vec<Architecture>) {
    const SEED: u32 = 0x9e37_79b9;
    let none = DropoutRates::default();
    let all = DropoutRates {
        words: 0.25,
        input: 0.3,
        hidden: 0.4,
        output: 0.5,
        latent: 0.2,
        weights: 0.35,
        zoneout: 0.2,
        variational: false,
    };
    let rates = [
        DropoutRates { words: 0.5, ..none },
        DropoutRates { input: 0.5, ..none },
        DropoutRates {
            hidden: 0.5,
            output: 0.25,
            ..none
        },
        DropoutRates {
            weights: 0.5,
            ..none
        },
        DropoutRates {
            zoneout: 0.5,
            ..none
        },
        DropoutRates {
            latent: 0.5,
            ..none
        },
        all,
        DropoutRates {
            variational: true,
            ..all
        },
    ];
    for (index, architecture) in architectures.into_iter().enumerate() {
        for dropout in in_turn(device, index + architecture.num_layers(), rates) {
            // Dropout scales what remains, and residual connections add it up from layer to layer.
            let bound = if architecture.residual { 0.5 } else { 0.75 };
            let network = Network::new(architecture.clone(), 3, bound);
            let mut states = network.random_states(7, 3, 0.5);
            let capacity = Capacity {
                batch: 3,
                time_steps: 5,
                training: true,
                dropout,
                seed: SEED,
                ..Capacity::default()
            };
            let subject = Subject::new(device, &network, capacity);
            subject.carry(device, &states);
            for (time_steps, draw) in [(5, 1), (2, 70_000)] {
                let mut reference = ReferenceWindow::random(9, time_steps, 3, 7, None);
                reference.masks = masks(&architecture, &states, dropout, SEED, draw, &reference);
                let window = Window {
                    draw,
                    ..upload(device, &reference)
                };
                let got = subject.step_uploaded(device, window, &reference, SCALE);
                let want = network.run(&reference, &states, SCALE);
                compare_outcomes(
                    &format!(
                        "{architecture:?}, {dropout:?}, draw {draw} on {}",
                        device.name()
                    ),
                    &got,
                    &want,
                    STEP,
                );
                states = want.final_states;
            }
        }
    }
}

/// Penalties of the last layer's states, each alone and both, with and without dropout of its
/// output, resets and steps that predict nothing; with those of predictions in networks that have
/// them.
fn check_penalties(device: &mut Device, architectures: Vec<Architecture>) {
    // The seed of the sampled words of the reference.
    const SEED: u32 = 0;
    let dropout = DropoutRates {
        output: 0.5,
        latent: 0.25,
        variational: true,
        ..DropoutRates::default()
    };
    let both = Penalties {
        activation: 0.5,
        temporal: 0.25,
        past: 0.75,
    };
    let cases = [
        (both, DropoutRates::default(), 0),
        (both, dropout, 2),
        (
            Penalties {
                activation: 0.0,
                ..both
            },
            dropout,
            0,
        ),
        (
            Penalties {
                temporal: 0.0,
                ..both
            },
            dropout,
            1,
        ),
    ];
    for (index, architecture) in architectures.into_iter().enumerate() {
        let turn = index + architecture.num_layers();
        for (penalties, dropout, history) in in_turn(device, turn, cases) {
            let steps = PenalizedSteps {
                penalties,
                dropout,
                seed: SEED,
                history,
                // A window of one step has no changes.
                lengths: [6, 1],
            };
            check_penalized_steps(device, &architecture, &steps);
        }
    }
}

/// Steps with penalties.
pub struct PenalizedSteps {
    pub penalties: Penalties,
    pub dropout: DropoutRates,
    pub seed: u32,
    /// The steps of a window that predict nothing, fewer than it has. If there are some, the
    /// stream's states are reset between sentences.
    pub history: usize,
    /// Of the windows, the longest first.
    pub lengths: [usize; 2],
}

/// Compares windows in a row with the reference.
pub fn check_penalized_steps(
    device: &mut Device,
    architecture: &Architecture,
    steps: &PenalizedSteps,
) {
    let batch = 3;
    let PenalizedSteps {
        penalties,
        dropout,
        seed,
        ..
    } = *steps;
    let independent = (steps.history > 0).then_some(f64::from(INITIAL));
    let network = Network::new(architecture.clone(), 4, 0.5);
    let mut states = network.random_states(7, batch, 0.5);
    let capacity = Capacity {
        batch,
        time_steps: steps.lengths[0],
        training: true,
        independent: independent.is_some(),
        dropout,
        activation_l2: penalties.activation as f32,
        temporal_l2: penalties.temporal as f32,
        past_decode: penalties.past as f32,
        seed,
        ..Capacity::default()
    };
    let subject = Subject::new(device, &network, capacity);
    subject.carry(device, &states);
    for time_steps in steps.lengths {
        let mut reference = ReferenceWindow::random(9, time_steps, batch, 7, independent);
        let history = steps.history.min(time_steps - 1);
        reference.targets[..history * batch].fill(None);
        reference.masks = masks(architecture, &states, dropout, seed, 0, &reference);
        reference.penalties = penalties;
        let window = Window {
            history,
            ..upload(device, &reference)
        };
        let mut got = subject.step_uploaded(device, window, &reference, SCALE);
        let mut log_probabilities = vec![0.0; history * batch];
        log_probabilities.append(&mut got.log_probabilities);
        got.log_probabilities = log_probabilities;
        let want = network.run(&reference, &states, SCALE);
        let what = format!(
            "{architecture:?}, {penalties:?}, {dropout:?}, history {history} on {}",
            device.name()
        );
        compare_outcomes(&what, &got, &want, STEP);
        states = want.final_states;
    }
}

/// Networks of one cell with every output layer.
pub fn with_every_output(cell: Cell, num_layers: usize) -> Vec<Architecture> {
    [
        architectures,
        class_architectures,
        adaptive_architectures,
        sampled_architectures,
        mixture_architectures,
    ]
    .into_iter()
    .flat_map(|networks| networks(cell, num_layers))
    .collect()
}

/// Those networks that are not trained on samples, which would be drawn with the seed of the masks.
fn without_samples(mut architectures: Vec<Architecture>) -> Vec<Architecture> {
    architectures.retain(|one| !matches!(one.output, Output::Sampled(_)));
    architectures
}

/// Windows whose first steps have no targets: gradients flow back through these steps, and the next
/// window starts from the given step.
pub fn check_history(device: &mut Device, architectures: Vec<Architecture>) {
    let time_steps = 6;
    let batch = 3;
    for (index, architecture) in architectures.into_iter().enumerate() {
        for independent in in_turn(device, index, [None, Some(f64::from(INITIAL))]) {
            let network = Network::new(architecture.clone(), 5, 0.75);
            let states = network.random_states(7, batch, 0.5);
            let capacity = Capacity {
                batch,
                time_steps,
                training: true,
                independent: independent.is_some(),
                ..Capacity::default()
            };
            let subject = Subject::new(device, &network, capacity);
            for (history, advance) in [(4, 2), (0, 6), (3, 0), (1, 5)] {
                let mut reference = ReferenceWindow::random(11, time_steps, batch, 7, independent);
                reference.targets[..history * batch].fill(None);
                let window = Window {
                    history,
                    advance,
                    ..upload(device, &reference)
                };
                subject.carry(device, &states);
                let mut got = subject.step_uploaded(device, window, &reference, SCALE);
                let want = network.run(&reference, &states, SCALE);
                let what = format!(
                    "{architecture:?}, independent {independent:?}, history {history} on {}",
                    device.name()
                );
                // The carried state is the one after some of the steps.
                let carried = std::mem::replace(&mut got.final_states, want.final_states.clone());
                let mut beginning = ReferenceWindow {
                    time_steps: advance,
                    ..reference.clone()
                };
                beginning.inputs.truncate(advance * batch);
                beginning.targets.truncate(advance * batch);
                let after = network.run(&beginning, &states, SCALE).final_states;
                assert_eq!(carried.len(), after.len(), "{what}: carried states");
                for (carried, after) in carried.iter().zip(&after) {
                    assert_close(&format!("{what}: carried states"), carried, after, STEP);
                }
                let silent = got.log_probabilities.clone();
                got.log_probabilities = vec![0.0; history * batch];
                got.log_probabilities.extend(silent);
                compare_outcomes(&what, &got, &want, STEP);
            }
        }
    }
}
