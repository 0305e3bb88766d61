//! The feed-forward network: whole steps against the reference, `elman score` against the equations
//! and against PyTorch, contexts across windows, interrupted runs, wrong settings.

use elman::device::Device;
use elman::model::{Config, DEFAULT_CONTEXT};
use libtest_mimic::Trial;

use super::cell_architectures::feed_forward_architectures;
use super::cell_sizes::past_a_tile_with;
use super::cells::{check_dropout, check_history, check_shapes};
use super::compare::assert_close;
use super::pytorch_step::check_step;
use super::reference::cells::Cell;
use super::reference::network::{Architecture, FeedForward, Network, Window};
use super::reference::outputs::Output;
use super::runs::check_resuming;
use super::scored_lines::check_lines;
use super::step_subject::STEP;
use crate::command::{Workbench, small_text};
use crate::environment::has_python;
use crate::harness::{apply, device_test, device_trials, test, trials};

const TRAIN: &str = "train --train train.txt --device cpu --cell feedforward";

/// Losses, distributions, gradients and carried words, on every device.
#[apply(trials)]
fn steps() -> Vec<Trial> {
    let shapes = |device: &mut Device| check_shapes(device, feed_forward_architectures());
    let mut trials = device_trials("feed_forward::shapes", shapes);
    trials.extend(device_trials("feed_forward::history", |device| {
        check_history(device, feed_forward_architectures());
    }));
    trials.extend(device_trials("feed_forward::dropout", |device| {
        // The words of a sample are those of a run without dropout.
        let is_sampled = |one: &Architecture| matches!(one.output, Output::Sampled(_));
        let mut architectures = feed_forward_architectures();
        architectures.retain(|one| !is_sampled(one));
        check_dropout(device, architectures);
    }));
    trials.extend(device_trials("feed_forward::past_a_tile", |device| {
        let feed_forward = Some(FeedForward {
            context: 5,
            skip: true,
        });
        past_a_tile_with(device, feed_forward, Cell::Elman, 33, vec![67]);
    }));
    trials
}

/// `elman score` reads lines in windows of 4 or 64 steps, many or one at a time; `elman eval` in
/// windows of 512, or fewer in several streams.
#[apply(test)]
fn contexts_are_exact_in_every_window() {
    let flags = "--cell feedforward --embedding 5 --hidden 7";
    for (context, more) in [(2, ""), (7, "--skip-connection"), (4, "--independent")] {
        check_lines(
            &format!("{flags} --context {context} {more}"),
            !more.contains("independent"),
            |config| Architecture {
                feed_forward: Some(FeedForward {
                    context: config.context,
                    skip: config.skip_connection,
                }),
                ..Architecture::default()
            },
        );
    }
}

/// Streams of an evaluation read a whole context before their part of the text.
#[apply(test)]
fn streams_start_with_a_whole_context() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text().repeat(3));
    let flags = "--embedding 5 --hidden 7 --batch 4 --bptt 6 --epochs 1 --lr 0.5 --context 255";
    workbench
        .run(&format!("{TRAIN} {flags} --out model"))
        .succeeds();
    let perplexity = |streams: usize| {
        let eval = "eval --text train.txt --model model --device cpu --json --streams";
        let run = workbench.run(&format!("{eval} {streams}")).succeeds();
        [run.number("perplexity")]
    };
    assert_close("3 streams", &perplexity(3), &perplexity(1), STEP);
}

/// PyTorch's scores, and its parameters after one update on a window that is the whole text.
#[apply(test)]
#[ignore_unless(has_python("torch, safetensors"))]
fn pytorch_agrees_with_a_step() {
    let variants = [
        "--embedding 5 --context 3",
        "--embedding 5 --context 6 --skip-connection --bias false",
        "--embedding 7 --context 2 --tied",
        "--embedding 4 --context 3 --skip-connection --projection --tied",
    ];
    check_step("feed_forward.py", "feedforward", &variants);
}

#[apply(device_test)]
fn resumed_runs_are_bit_identical(device: &mut Device) {
    check_resuming(device, |config| Config {
        cell: "feedforward".into(),
        context: DEFAULT_CONTEXT,
        skip_connection: true,
        ..config
    });
}

#[apply(test)]
fn wrong_settings_are_explained() {
    let workbench = Workbench::new();
    workbench.write("train.txt", small_text());
    let feed_forward = "--cell feedforward --embedding 4 --hidden 5";
    for (flags, parts) in [
        (
            "--cell feedforward",
            &["--cell feedforward", "no embedding", "--embedding"][..],
        ),
        (
            &format!("{feed_forward} --context 0"),
            &["--context 0", "from 1 to 255", "default is 4"],
        ),
        (
            &format!("{feed_forward} --context 256"),
            &["--context 256", "from 1 to 255"],
        ),
        ("--context 4", &["--context 4", "--cell feedforward"]),
        (
            "--cell gru --context 4",
            &["--context 4 with --cell gru", "--cell feedforward"],
        ),
        (
            "--cell gru --skip-connection",
            &["--skip-connection", "--cell feedforward"],
        ),
        (
            &format!("{feed_forward} --layers 2"),
            &["--layers 2", "one layer"],
        ),
        (
            "--cell feedforward --embedding 4 --hidden 5,6",
            &["--hidden 5,6", "one layer"],
        ),
        (
            &format!("{feed_forward} --activation relu"),
            &["--activation relu", "fixed"],
        ),
        (
            &format!("{feed_forward} --dropout-weights 0.5"),
            &["--dropout-weights 0.5", "no recurrent weights"],
        ),
        (
            &format!("{feed_forward} --temporal-l2 1"),
            &["--temporal-l2 1", "no states"],
        ),
        (
            &format!("{feed_forward} --forget-bias 1"),
            &["--forget-bias 1", "no forget gate"],
        ),
        (
            &format!("{feed_forward} --tied --skip-connection"),
            &["--tied", "21 values", "--projection", "--skip-connection"],
        ),
    ] {
        workbench
            .run(&format!("train --train train.txt --device cpu {flags}"))
            .fails(2, parts);
    }
}

/// A state file in which a carried word is outside the vocabulary is no reason to read elsewhere.
#[apply(device_test)]
fn carried_words_outside_the_vocabulary_are_no_words(device: &mut Device) {
    use super::step_subject::{SCALE, Subject, compare_outcomes};
    use elman::model::Capacity;
    let architecture = feed_forward_architectures().swap_remove(3);
    let network = Network::new(architecture, 1, 0.75);
    let window = Window::random(1, 2, 3, 7, None);
    let subject = Subject::new(
        device,
        &network,
        Capacity {
            batch: 3,
            time_steps: 2,
            training: true,
            ..Capacity::default()
        },
    );
    let states = |word| vec![vec![word; 9]];
    let want = network.run(&window, &states(-1.0), SCALE);
    for word in [7.0, 4e9, -3.0, 1e30] {
        subject.carry(device, &states(word));
        let got = subject.step(device, &window, SCALE);
        compare_outcomes(&format!("word {word}"), &got, &want, STEP);
    }
}
