//! Properties of the reference's networks with any cell that neither finite differences nor
//! PyTorch's values can check.

use std::ops::Range;

use libtest_mimic::Trial;

use super::cells::Cell;
use super::masks::Masks;
use super::network::{Architecture, Network, Outcome, Window};
use super::network_structure::{
    check_dropped_words, check_independent_sentences, check_masks_equal_scaled_parameters,
    check_projection, check_streams_are_independent, check_tied_tables,
};
use super::penalties::Penalties;
use super::properties::check;
use crate::harness::{apply, test, trial, trials};

/// A test's name and the test, for any cell.
type OfEveryCell = (&'static str, fn(Cell));

#[apply(trials)]
fn every_cell() -> Vec<Trial> {
    let of_every_cell: [OfEveryCell; 7] = [
        ("one_window_equals_two", check_one_window_equals_two),
        ("streams_are_independent", check_streams_are_independent),
        ("independent_sentences", check_independent_sentences),
        (
            "masks_equal_scaled_parameters",
            check_masks_equal_scaled_parameters,
        ),
        ("dropped_words", check_dropped_words),
        ("projection", check_projection),
        ("tied_tables", check_tied_tables),
    ];
    let mut trials = Vec::new();
    for (cell_name, cell) in Cell::TABLE {
        for (name, test) in of_every_cell {
            let name = format!("reference::network_properties::{cell_name}_{name}");
            trials.push(trial(name, move || test(cell)));
        }
    }
    trials
}

/// A network of one unit and two words with these parameters, after one step: word 1, target word
/// 0.
fn one_step(cell: Cell, parameters: &[(&str, &[f64])], states: &[Vec<f64>]) -> Outcome {
    let architecture = Architecture {
        cell,
        bias: cell != Cell::Elman,
        ..Architecture::default()
    };
    let parameters = parameters
        .iter()
        .map(|&(name, values)| (name.to_string(), values.to_vec()))
        .collect();
    let inputs = vec![Some(1)];
    let window = Window {
        time_steps: 1,
        batch: 1,
        inputs,
        targets: vec![Some(0)],
        independent: None,
        masks: Masks::default(),
        penalties: Penalties::default(),
    };
    Network {
        architecture,
        parameters,
    }
    .run(&window, states, 1.0)
}

/// The probability of word 0 and dloss/dh for the state h and an output layer with the weights 1
/// and -3.
pub fn output(h: f64) -> (f64, f64) {
    let p = h.exp() / (h.exp() + (-3.0 * h).exp());
    (p, (p - 1.0) - 3.0 * (1.0 - p))
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// Every value and gradient of the smallest network, with the equations of Mikolov 2010 written
/// out.
#[apply(test)]
fn elman_step_by_hand() {
    let parameters: [(&str, &[f64]); 3] = [
        ("rnn.weight_ih_l0", &[9.0, 0.5]),
        ("rnn.weight_hh_l0", &[-2.0]),
        ("decoder.weight", &[1.0, -3.0]),
    ];
    let outcome = one_step(Cell::Elman, &parameters, &[vec![0.1]]);
    let s = sigmoid(0.5 + -2.0 * 0.1);
    let (p, s_gradient) = output(s);
    check("state", &outcome.final_states[0], &[s]);
    check("loss", &[outcome.loss], &[-p.ln()]);
    check(
        "output gradient",
        &outcome.gradients["decoder.weight"],
        &[(p - 1.0) * s, (1.0 - p) * s],
    );
    let z_gradient = s_gradient * s * (1.0 - s);
    check(
        "input gradient",
        &outcome.gradients["rnn.weight_ih_l0"],
        &[0.0, z_gradient],
    );
    check(
        "recurrent gradient",
        &outcome.gradients["rnn.weight_hh_l0"],
        &[0.1 * z_gradient],
    );
    check(
        "state gradient",
        &outcome.initial_state_gradients[0],
        &[-2.0 * z_gradient],
    );
}

/// One step of a GRU of one unit, with the documented equations of PyTorch written out gate by
/// gate.
#[apply(test)]
fn gru_step_by_hand() {
    let parameters: [(&str, &[f64]); 5] = [
        ("rnn.weight_ih_l0", &[9.0, 0.5, 8.0, -0.4, 7.0, 0.3]),
        ("rnn.weight_hh_l0", &[-2.0, 1.5, 0.7]),
        ("rnn.bias_ih_l0", &[0.1, -0.2, 0.3]),
        ("rnn.bias_hh_l0", &[-0.6, 0.5, 0.9]),
        ("decoder.weight", &[1.0, -3.0]),
    ];
    let before = 0.25;
    let outcome = one_step(Cell::Gru, &parameters, &[vec![before]]);
    let reset = sigmoid(0.5 + 0.1 - 2.0 * before - 0.6);
    let update = sigmoid(-0.4 - 0.2 + 1.5 * before + 0.5);
    let recurrent = 0.7 * before + 0.9;
    let new = (0.3 + 0.3 + reset * recurrent).tanh();
    let h = (1.0 - update) * new + update * before;
    let (p, to_h) = output(h);
    check("state", &outcome.final_states[0], &[h]);
    check("loss", &[outcome.loss], &[-p.ln()]);
    let to_new = to_h * (1.0 - update) * (1.0 - new * new);
    let to_reset = to_new * recurrent * reset * (1.0 - reset);
    let to_update = to_h * (before - new) * update * (1.0 - update);
    check(
        "input bias",
        &outcome.gradients["rnn.bias_ih_l0"],
        &[to_reset, to_update, to_new],
    );
    check(
        "recurrent bias",
        &outcome.gradients["rnn.bias_hh_l0"],
        &[to_reset, to_update, to_new * reset],
    );
    check(
        "input gradient",
        &outcome.gradients["rnn.weight_ih_l0"],
        &[0.0, to_reset, 0.0, to_update, 0.0, to_new],
    );
    check(
        "recurrent gradient",
        &outcome.gradients["rnn.weight_hh_l0"],
        &[to_reset, to_update, to_new * reset].map(|g| g * before),
    );
    let to_before = -2.0 * to_reset + 1.5 * to_update + 0.7 * to_new * reset + to_h * update;
    check(
        "state gradient",
        &outcome.initial_state_gradients[0],
        &[to_before],
    );
}

/// One step of an LSTM of one unit, with the documented equations of PyTorch written out gate by
/// gate.
#[apply(test)]
fn lstm_step_by_hand() {
    let parameters: [(&str, &[f64]); 5] = [
        (
            "rnn.weight_ih_l0",
            &[9.0, 0.5, 8.0, -0.4, 7.0, 0.3, 6.0, -0.8],
        ),
        ("rnn.weight_hh_l0", &[-2.0, 1.5, 0.7, 1.1]),
        ("rnn.bias_ih_l0", &[0.1, -0.2, 0.3, 0.4]),
        ("rnn.bias_hh_l0", &[-0.6, 0.5, 0.9, -0.7]),
        ("decoder.weight", &[1.0, -3.0]),
    ];
    let (before, cell_before) = (0.25, -0.75);
    let outcome = one_step(Cell::Lstm, &parameters, &[vec![before], vec![cell_before]]);
    let input = sigmoid(0.5 + 0.1 - 2.0 * before - 0.6);
    let forget = sigmoid(-0.4 - 0.2 + 1.5 * before + 0.5);
    let candidate = (0.3 + 0.3 + 0.7 * before + 0.9_f64).tanh();
    let gate = sigmoid(-0.8 + 0.4 + 1.1 * before - 0.7);
    let cell = forget * cell_before + input * candidate;
    let h = gate * cell.tanh();
    let (p, to_h) = output(h);
    check("state", &outcome.final_states[0], &[h]);
    check("cell state", &outcome.final_states[1], &[cell]);
    check("loss", &[outcome.loss], &[-p.ln()]);
    let to_cell = to_h * gate * (1.0 - cell.tanh() * cell.tanh());
    let arguments = [
        to_cell * candidate * input * (1.0 - input),
        to_cell * cell_before * forget * (1.0 - forget),
        to_cell * input * (1.0 - candidate * candidate),
        to_h * cell.tanh() * gate * (1.0 - gate),
    ];
    check(
        "input bias",
        &outcome.gradients["rnn.bias_ih_l0"],
        &arguments,
    );
    check(
        "recurrent bias",
        &outcome.gradients["rnn.bias_hh_l0"],
        &arguments,
    );
    check(
        "input gradient",
        &outcome.gradients["rnn.weight_ih_l0"],
        &arguments.map(|g| [0.0, g]).concat(),
    );
    check(
        "recurrent gradient",
        &outcome.gradients["rnn.weight_hh_l0"],
        &arguments.map(|g| g * before),
    );
    let to_before =
        -2.0 * arguments[0] + 1.5 * arguments[1] + 0.7 * arguments[2] + 1.1 * arguments[3];
    check(
        "state gradient",
        &outcome.initial_state_gradients[0],
        &[to_before],
    );
    check(
        "cell state gradient",
        &outcome.initial_state_gradients[1],
        &[to_cell * forget],
    );
}

/// A network with all options, for the tests below, with layers of 5 and 4 units.
pub fn network(cell: Cell) -> Network {
    Network::new(
        Architecture {
            projection: true,
            ..without_projection(cell)
        },
        3,
        1.0,
    )
}

/// The same sizes, with the output layer after the last hidden layer.
pub fn without_projection(cell: Cell) -> Architecture {
    let (vocab_size, embedding_size, hidden_sizes) = (7, 3, vec![5, 4]);
    Architecture {
        cell,
        vocab_size,
        embedding_size,
        hidden_sizes,
        bias: true,
        decoder_bias: true,
        ..Architecture::default()
    }
}

/// A window for such a network, with masks at all places or without any.
pub fn window(
    network: &Network,
    seed: u64,
    (time_steps, batch): (usize, usize),
    independent: Option<f64>,
    masked: bool,
) -> Window {
    let mut window = Window::random(
        seed,
        time_steps,
        batch,
        network.architecture.vocab_size,
        independent,
    );
    if masked {
        window.masks = Masks::random(&network.architecture, time_steps, batch, seed);
    }
    window
}

/// Steps `steps` of one stream, or of all if `stream` is None.
pub fn part(window: &Window, steps: Range<usize>, stream: Option<usize>) -> Window {
    let streams = stream.map_or(0..window.batch, |b| b..b + 1);
    let tokens = |tokens: &[Option<usize>]| cut(tokens, window.batch, &steps, &streams);
    let mask = |mask: &Option<Vec<f64>>| {
        mask.as_ref().map(|mask| {
            cut(
                mask,
                window.batch * mask.len() / window.inputs.len(),
                &steps,
                &columns(mask, window, &streams),
            )
        })
    };
    let masks = Masks {
        words: mask(&window.masks.words),
        input: mask(&window.masks.input),
        outputs: window.masks.outputs.iter().map(mask).collect(),
        latents: mask(&window.masks.latents),
        weights: window.masks.weights.clone(),
        zoneout: window.masks.zoneout.iter().map(mask).collect(),
    };
    let (inputs, targets) = (tokens(&window.inputs), tokens(&window.targets));
    Window {
        time_steps: steps.len(),
        batch: streams.len(),
        inputs,
        targets,
        independent: window.independent,
        masks,
        penalties: window.penalties,
    }
}

/// The columns of the streams within a step of a mask.
pub fn columns(mask: &[f64], window: &Window, streams: &Range<usize>) -> Range<usize> {
    let size = mask.len() / window.inputs.len();
    streams.start * size..streams.end * size
}

/// Some columns of some rows.
fn cut<T: Clone>(
    values: &[T],
    row_size: usize,
    rows: &Range<usize>,
    columns: &Range<usize>,
) -> Vec<T> {
    values
        .chunks_exact(row_size)
        .skip(rows.start)
        .take(rows.len())
        .flat_map(|row| row[columns.clone()].to_vec())
        .collect()
}

/// With carried states, the values do not depend on the segmentation into windows.
fn check_one_window_equals_two(cell: Cell) {
    let network = network(cell);
    for (independent, masked) in [
        (None, false),
        (Some(0.1), false),
        (None, true),
        (Some(0.1), true),
    ] {
        let window = window(&network, 5, (7, 3), independent, masked);
        let states = network.random_states(6, 3, 1.0);
        let whole = network.run(&window, &states, 1.0);
        let first = network.run(&part(&window, 0..4, None), &states, 1.0);
        let second = network.run(&part(&window, 4..7, None), &first.final_states, 1.0);
        check(
            "log-probabilities",
            &[first.log_probabilities, second.log_probabilities].concat(),
            &whole.log_probabilities,
        );
        check(
            "final states",
            &second.final_states.concat(),
            &whole.final_states.concat(),
        );
    }
}
