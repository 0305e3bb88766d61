//! Whole steps of the model against the reference network: losses, distributions, every gradient,
//! the carried states and their gradients.

use elman::device::Device;
use elman::model::Capacity;
use libtest_mimic::Trial;

use super::environment::slow_tests;
use super::harness::{
    apply, cpu_trials, device_test, device_trials, gpu_trials, ignore_unless, trials,
};
use super::reference::kernels::Activation as ReferenceActivation;
use super::reference::network::{Architecture, Network, Window as ReferenceWindow};
use super::reference::outputs::Output;
use super::step_subject::{
    INITIAL, LONG_SUMS, SCALE, STEP, Subject, WINDOWS, check_windows, compare_outcomes,
};

/// One trial per row of the tables, on every device.
#[apply(trials)]
fn every_family() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, activation) in ReferenceActivation::TABLE {
        for num_layers in 1..=3 {
            for embedding_size in [0, 3] {
                let family =
                    format!("steps::{name}_layers_{num_layers}_embedding_{embedding_size}");
                trials.extend(device_trials(&family, move |device| {
                    check_family(device, activation, num_layers, embedding_size);
                }));
            }
        }
    }
    trials
}

/// On software Vulkan, each GPU trial takes 20 seconds and more.
#[apply(trials)]
fn logits_in_blocks() -> Vec<Trial> {
    let name = "steps::several_blocks_of_logits";
    let mut trials = ignore_unless(slow_tests(), gpu_trials(name, several_blocks_of_logits));
    trials.extend(cpu_trials(name, several_blocks_of_logits));
    trials
}

/// Every combination of biases, independence and windows for one kind of network.
fn check_family(
    device: &mut Device,
    activation: ReferenceActivation,
    num_layers: usize,
    embedding_size: usize,
) {
    for (bias, decoder_bias) in [(false, false), (true, true), (true, false), (false, true)] {
        for independent in [None, Some(f64::from(INITIAL))] {
            for (seed, pair) in (1..).zip(WINDOWS) {
                let hidden_sizes = vec![5; num_layers];
                let architecture = Architecture {
                    activation,
                    vocab_size: 7,
                    embedding_size,
                    hidden_sizes,
                    bias,
                    decoder_bias,
                    ..Architecture::default()
                };
                let network = Network::new(architecture, seed, 0.75);
                let windows = pair.map(|(time_steps, batch)| {
                    ReferenceWindow::random(seed, time_steps, batch, 7, independent)
                });
                let what = format!(
                    "{:?}, {pair:?}, independent {independent:?}",
                    network.architecture
                );
                check_windows(device, &what, &network, &windows);
            }
        }
    }
}

/// Sizes larger than tiles and workgroups, with enough rows for every thread.
#[apply(device_test)]
fn sizes_beyond_one_tile(device: &mut Device) {
    for (embedding_size, hidden_size, num_layers) in [(0, 67, 1), (65, 33, 2)] {
        let architecture = Architecture {
            activation: ReferenceActivation::Tanh,
            vocab_size: 301,
            embedding_size,
            hidden_sizes: vec![hidden_size; num_layers],
            bias: true,
            decoder_bias: true,
            ..Architecture::default()
        };
        let network = Network::new(architecture, 5, 0.2);
        let windows =
            [11, 4].map(|time_steps| ReferenceWindow::random(3, time_steps, 7, 301, None));
        check_windows(
            device,
            &format!("{:?}", network.architecture),
            &network,
            &windows,
        );
    }
}

/// A window without any target: no loss, and gradients that are exactly zero.
#[apply(device_test)]
fn window_without_targets(device: &mut Device) {
    let architecture = Architecture {
        vocab_size: 7,
        embedding_size: 3,
        hidden_sizes: vec![5; 2],
        bias: true,
        decoder_bias: true,
        ..Architecture::default()
    };
    let network = Network::new(architecture, 1, 0.75);
    let mut window = ReferenceWindow::random(1, 3, 2, 7, None);
    window.inputs.fill(None);
    window.targets.fill(None);
    let subject = Subject::new(
        device,
        &network,
        Capacity {
            batch: 2,
            time_steps: 3,
            training: true,
            ..Capacity::default()
        },
    );
    let states = network.random_states(2, 2, 0.5);
    subject.carry(device, &states);
    let got = subject.step(device, &window, SCALE);
    compare_outcomes(
        "nothing to predict",
        &got,
        &network.run(&window, &states, SCALE),
        STEP,
    );
    assert!(
        got.gradients.values().flatten().all(|&value| value == 0.0),
        "a gradient of nothing"
    );
}

/// A vocabulary so large that the logits of a window are computed in several blocks, for a softmax,
/// also with past decode regularization, for a mixture and for a cluster of an adaptive softmax.
fn several_blocks_of_logits(device: &mut Device) {
    // 17 rows, of which at most 16 fit: the second block has one row.
    let vocab_size = device.logits_block_bytes(0) / 4 / 17;
    let cluster = Output::Adaptive {
        cutoffs: vec![3],
        divisor: 2.0,
    };
    // Of a mixture there are three rows for each step.
    for (output, past_decode, vocab_size, time_steps) in [
        (Output::Softmax, false, vocab_size, 17),
        (Output::Softmax, true, vocab_size, 17),
        (Output::Mixture(3), false, vocab_size, 6),
        (cluster, false, vocab_size + 3, 17),
    ] {
        let architecture = Architecture {
            activation: ReferenceActivation::Tanh,
            vocab_size,
            embedding_size: 2,
            hidden_sizes: vec![3],
            decoder_bias: true,
            tied: past_decode,
            projection: past_decode,
            past_decode,
            output,
            ..Architecture::default()
        };
        let network = Network::new(architecture, 9, 0.75);
        let mut window = ReferenceWindow::random(4, time_steps, 1, vocab_size, None);
        // No boundary and no missing target: all rows are in the cluster.
        window
            .targets
            .iter_mut()
            .zip(3..)
            .for_each(|(target, word)| {
                *target = target.filter(|&target| target > 2).or(Some(word));
            });
        window.penalties.past = if past_decode { 0.5 } else { 0.0 };
        let states = network.random_states(7, 1, 0.5);
        let subject = Subject::new(
            device,
            &network,
            Capacity {
                batch: 1,
                time_steps,
                training: true,
                past_decode: window.penalties.past as f32,
                ..Capacity::default()
            },
        );
        subject.carry(device, &states);
        let got = subject.step(device, &window, SCALE);
        let what = format!(
            "blocks of logits of {:?}, past decode regularization {past_decode}, on {}",
            network.architecture.output,
            device.name()
        );
        compare_outcomes(
            &what,
            &got,
            &network.run(&window, &states, SCALE),
            LONG_SUMS,
        );
    }
}
