//! Properties of the reference's networks with any cell that neither finite differences nor
//! PyTorch's values can check.

use std::ops::Range;

use libtest_mimic::Trial;

use super::cells::Cell;
use super::kernels::{Matmul, add_bias};
use super::masks::Masks;
use super::network::{Architecture, Named, Network, Outcome, Window};
use super::properties::check;
use crate::harness::{apply, test, trial, trials};

/// A test's name and the test, for any cell.
type OfEveryCell = (&'static str, fn(Cell));

#[apply(trials)]
fn every_cell() -> Vec<Trial> {
    let of_every_cell: [OfEveryCell; 7] = [
        ("two_windows_are_one", check_two_windows_are_one),
        ("streams_are_alone", check_streams_are_alone),
        ("independent_sentences", check_independent_sentences),
        (
            "masks_are_scaled_parameters",
            check_masks_are_scaled_parameters,
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
    };
    Network {
        architecture,
        parameters,
    }
    .run(&window, states, 1.0)
}

/// What the output layer with the weights 1 and -3 makes of a state h: the probability of word 0
/// and dloss/dh.
fn output(h: f64) -> (f64, f64) {
    let p = h.exp() / (h.exp() + (-3.0 * h).exp());
    (p, (p - 1.0) - 3.0 * (1.0 - p))
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// Every value and gradient of the smallest network: the equations of Mikolov 2010 written out.
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

/// One step of a GRU of one unit, the documented equations of PyTorch written out gate by gate.
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

/// One step of an LSTM of one unit, the documented equations of PyTorch written out gate by gate.
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

/// A network with everything, for the tests below; layers of 5 and 4 units.
fn network(cell: Cell) -> Network {
    Network::new(
        Architecture {
            projection: true,
            ..without_projection(cell)
        },
        3,
        1.0,
    )
}

/// The same sizes, the output layer upon the last hidden layer.
fn without_projection(cell: Cell) -> Architecture {
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

/// A window for such a network, with masks everywhere or without any.
fn window(
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

/// Steps `steps` of one stream, or of all where `stream` is None.
fn part(window: &Window, steps: Range<usize>, stream: Option<usize>) -> Window {
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
        weights: window.masks.weights.clone(),
    };
    let (inputs, targets) = (tokens(&window.inputs), tokens(&window.targets));
    Window {
        time_steps: steps.len(),
        batch: streams.len(),
        inputs,
        targets,
        independent: window.independent,
        masks,
    }
}

/// Where the streams' numbers stand within a step of a mask.
fn columns(mask: &[f64], window: &Window, streams: &Range<usize>) -> Range<usize> {
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

/// Demands the same gradients of all parameters.
fn check_gradients(what: &str, got: &Named, want: &Named) {
    assert!(
        got.keys().eq(want.keys()),
        "{what}: {:?} instead of {:?}",
        got.keys(),
        want.keys()
    );
    for (name, want) in want {
        check(&format!("{what} of {name}"), &got[name], want);
    }
}

/// Demands the same values, and the same gradients of the states.
fn check_values(what: &str, got: &Outcome, want: &Outcome) {
    check(
        &format!("{what}: log-probabilities"),
        &got.log_probabilities,
        &want.log_probabilities,
    );
    check(
        &format!("{what}: final states"),
        &got.final_states.concat(),
        &want.final_states.concat(),
    );
    let (got, want) = (&got.initial_state_gradients, &want.initial_state_gradients);
    check(
        &format!("{what}: gradients of the states"),
        &got.concat(),
        &want.concat(),
    );
}

/// Adds the gradients of another window.
fn add(sum: &mut Option<Named>, more: Named) {
    match sum {
        None => *sum = Some(more),
        Some(sum) => sum
            .iter_mut()
            .for_each(|(name, sum)| add_bias(sum, &more[name])),
    }
}

/// Carrying the states makes the cut between windows invisible to the values.
fn check_two_windows_are_one(cell: Cell) {
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

/// Streams share nothing but the sum of their gradients.
fn check_streams_are_alone(cell: Cell) {
    let network = network(cell);
    for (independent, masked) in [
        (None, false),
        (Some(0.1), false),
        (None, true),
        (Some(0.1), true),
    ] {
        let window = window(&network, 8, (5, 3), independent, masked);
        let states = network.random_states(9, 3, 1.0);
        let whole = network.run(&window, &states, 0.5);
        let mut summed = None;
        for b in 0..3 {
            let own = |states: &[Vec<f64>]| -> Vec<Vec<f64>> {
                let sizes = network.architecture.state_sizes();
                states
                    .iter()
                    .zip(sizes)
                    .map(|(state, size)| state[b * size..][..size].to_vec())
                    .collect()
            };
            let alone = network.run(&part(&window, 0..5, Some(b)), &own(&states), 0.5);
            check(
                "final states",
                &alone.final_states.concat(),
                &own(&whole.final_states).concat(),
            );
            check(
                "state gradients",
                &alone.initial_state_gradients.concat(),
                &own(&whole.initial_state_gradients).concat(),
            );
            add(&mut summed, alone.gradients);
        }
        check_gradients(
            "summed gradient",
            &summed.expect("three streams"),
            &whole.gradients,
        );
    }
}

/// Beginning afresh within a window is the same as windows of their own.
fn check_independent_sentences(cell: Cell) {
    let network = network(cell);
    let inputs = vec![Some(3), Some(1), Some(0), Some(2), None, Some(0), Some(0)];
    let targets = vec![Some(1), None, Some(2), Some(6), Some(0), Some(0), Some(4)];
    for masks in [
        Masks::default(),
        Masks::random(&network.architecture, 7, 1, 12),
    ] {
        let (inputs, targets) = (inputs.clone(), targets.clone());
        let window = Window {
            time_steps: 7,
            batch: 1,
            inputs,
            targets,
            independent: Some(0.1),
            masks,
        };
        let states = network.random_states(10, 1, 1.0);
        let whole = network.run(&window, &states, 1.0);
        let fresh: Vec<Vec<f64>> = network
            .architecture
            .state_sizes()
            .into_iter()
            .map(|size| vec![0.1; size])
            .collect();
        let (mut log_probabilities, mut summed) = (Vec::new(), None);
        for (steps, states) in [
            (0..2, &states),
            (2..5, &fresh),
            (5..6, &fresh),
            (6..7, &fresh),
        ] {
            // The same words as a text of their own: nothing begins afresh within it.
            let sentence = Window {
                independent: None,
                ..part(&window, steps.clone(), None)
            };
            let outcome = network.run(&sentence, states, 1.0);
            log_probabilities.extend(outcome.log_probabilities);
            if steps.start == 0 {
                let (got, want) = (
                    &whole.initial_state_gradients,
                    &outcome.initial_state_gradients,
                );
                check(
                    "gradient of the states before the window",
                    &got.concat(),
                    &want.concat(),
                );
            }
            if steps.end == 7 {
                check(
                    "final states",
                    &whole.final_states.concat(),
                    &outcome.final_states.concat(),
                );
            }
            add(&mut summed, outcome.gradients);
        }
        check(
            "log-probabilities",
            &whole.log_probabilities,
            &log_probabilities,
        );
        check_gradients(
            "summed gradient",
            &summed.expect("four sentences"),
            &whole.gradients,
        );
    }
}

/// Multiplies column c of a row-major matrix by `multipliers[c]`.
fn scale_columns(matrix: &mut [f64], multipliers: &[f64]) {
    for row in matrix.chunks_exact_mut(multipliers.len()) {
        row.iter_mut()
            .zip(multipliers)
            .for_each(|(value, multiplier)| *value *= multiplier);
    }
}

/// A mask that is the same at all positions is a matrix whose columns are scaled: each at its
/// place, and none where the layer itself reads its state.
fn check_masks_are_scaled_parameters(cell: Cell) {
    let network = network(cell);
    let mut window = window(&network, 14, (4, 2), None, false);
    let states = network.random_states(15, 2, 1.0);
    // One position's masks, and those of the weights.
    let Masks {
        input,
        outputs,
        weights,
        ..
    } = Masks::random(&network.architecture, 1, 1, 16);
    let everywhere = |mask: &Option<Vec<f64>>| mask.as_ref().map(|mask| mask.repeat(8));
    let mut scaled = network.clone();
    let mut scale = |name: &str, mask: &Option<Vec<f64>>| {
        scale_columns(
            scaled.parameters.get_mut(name).expect("a parameter"),
            mask.as_ref().expect("a mask"),
        );
    };
    scale("rnn.weight_ih_l0", &input);
    scale("rnn.weight_ih_l1", &outputs[0]);
    scale("projection.weight", &outputs[1]);
    for (k, mask) in weights.iter().enumerate() {
        // As long as the whole matrix: one row.
        scale(&format!("rnn.weight_hh_l{k}"), mask);
    }
    let want = scaled.run(&window, &states, 1.0);
    window.masks = Masks {
        words: None,
        input: everywhere(&input),
        outputs: outputs.iter().map(everywhere).collect(),
        weights,
    };
    check_values("masks", &network.run(&window, &states, 1.0), &want);

    // Without a projection the output layer reads what is handed on.
    let network = Network::new(without_projection(cell), 3, 1.0);
    let mut scaled = network.clone();
    scale_columns(
        scaled
            .parameters
            .get_mut("decoder.weight")
            .expect("a parameter"),
        outputs[1].as_ref().expect("a mask"),
    );
    let want = scaled.run(
        &Window {
            masks: Masks::default(),
            ..window.clone()
        },
        &states,
        1.0,
    );
    window.masks = Masks {
        outputs: vec![None, everywhere(&outputs[1])],
        ..Masks::default()
    };
    check_values(
        "a mask before the output layer",
        &network.run(&window, &states, 1.0),
        &want,
    );
}

/// A word that is dropped is no word, with an embedding and without.
fn check_dropped_words(cell: Cell) {
    for embedding_size in [0, 3] {
        let network = Network::new(
            Architecture {
                embedding_size,
                ..without_projection(cell)
            },
            17,
            1.0,
        );
        let mut window = window(&network, 18, (4, 2), None, false);
        let states = network.random_states(19, 2, 1.0);
        let mut without = window.clone();
        window.masks.words = Some(vec![1.0; 8]);
        let words: Vec<usize> = (0..8)
            .filter(|&position| window.inputs[position].is_some())
            .collect();
        assert!(words.len() >= 4, "words to drop and to keep");
        for &position in words.iter().step_by(2) {
            window.masks.words.as_mut().expect("a mask")[position] = 0.0;
            without.inputs[position] = None;
        }
        let (got, want) = (
            network.run(&window, &states, 1.0),
            network.run(&without, &states, 1.0),
        );
        check_values("dropped words", &got, &want);
        check_gradients("gradient", &got.gradients, &want.gradients);
    }
}

/// A projection and an output layer after it are one output layer.
fn check_projection(cell: Cell) {
    let network = network(cell);
    let (v, d, h) = (7, 3, 4);
    let mut plain = Network {
        architecture: without_projection(cell),
        ..network.clone()
    };
    let projection = plain
        .parameters
        .remove("projection.weight")
        .expect("a projection");
    let product = Matmul {
        m: v,
        n: h,
        k: d,
        transpose_left: false,
        transpose_right: false,
    };
    let decoder = product.product(&network.parameters["decoder.weight"], &projection);
    plain
        .parameters
        .insert("decoder.weight".to_string(), decoder);
    let window = window(&network, 20, (4, 2), None, false);
    let states = network.random_states(21, 2, 1.0);
    check_values(
        "projection",
        &network.run(&window, &states, 1.0),
        &plain.run(&window, &states, 1.0),
    );
}

/// A tied table is two tables of the same numbers, and its gradient the sum of theirs.
fn check_tied_tables(cell: Cell) {
    for (hidden_sizes, projection) in [(vec![5, 3], false), (vec![5, 4], true)] {
        let architecture = Architecture {
            hidden_sizes,
            projection,
            ..without_projection(cell)
        };
        let tied = Network::new(
            Architecture {
                tied: true,
                ..architecture.clone()
            },
            22,
            1.0,
        );
        assert!(!tied.parameters.contains_key("decoder.weight"), "one table");
        let mut apart = Network {
            architecture,
            parameters: tied.parameters.clone(),
        };
        apart.parameters.insert(
            "decoder.weight".to_string(),
            tied.parameters["embedding.weight"].clone(),
        );
        let window = window(&tied, 23, (4, 2), None, true);
        let states = tied.random_states(24, 2, 1.0);
        let (got, mut want) = (
            tied.run(&window, &states, 1.0),
            apart.run(&window, &states, 1.0),
        );
        check_values("tied tables", &got, &want);
        let decoder = want.gradients.remove("decoder.weight").expect("a gradient");
        add_bias(
            want.gradients
                .get_mut("embedding.weight")
                .expect("a gradient"),
            &decoder,
        );
        check_gradients("gradient", &got.gradients, &want.gradients);
    }
}
