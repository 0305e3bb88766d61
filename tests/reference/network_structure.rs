//! Properties of streams, projections, tied tables and masks in networks of any cell.

use super::cells::Cell;
use super::kernels::{Matmul, add_bias};
use super::masks::Masks;
use super::network::{Architecture, Named, Network, Outcome, Window};
use super::network_properties::{network, part, window, without_projection};
use super::penalties::Penalties;
use super::properties::check;

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

/// Streams are independent except for the sum of their gradients.
pub fn check_streams_are_independent(cell: Cell) {
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
                // Gradients are of the last states: inputs that are carried have none.
                let sizes = network.architecture.state_sizes();
                states
                    .iter()
                    .zip(&sizes[sizes.len() - states.len()..])
                    .map(|(state, &size)| state[b * size..][..size].to_vec())
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

/// A reset within a window equals a new window.
pub fn check_independent_sentences(cell: Cell) {
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
            penalties: Penalties::default(),
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
            // The same words as a separate text, without resets.
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

/// A mask equal at all positions equals a matrix with scaled columns, at every place except where
/// the layer itself reads its state.
pub fn check_masks_equal_scaled_parameters(cell: Cell) {
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
    // A carried input has been multiplied by the masks of the window before.
    let input = input.filter(|_| !network.architecture.reads_previous_input());
    let inputs = [input.as_ref(), outputs[0].as_ref()];
    for (k, mask) in inputs.into_iter().enumerate() {
        let Some(mask) = mask else { continue };
        let mask = Some(mask.clone());
        scale(&format!("rnn.weight_ih_l{k}"), &mask);
        // In every second round the state reads the input.
        for round in (2..=network.architecture.rounds()).step_by(2) {
            scale(&format!("rnn.mogrifier_weight{round}_l{k}"), &mask);
        }
    }
    scale("projection.weight", &outputs[1]);
    for (k, mask) in weights.iter().enumerate() {
        // As long as the whole matrix: one row.
        let part = match cell.has_recurrent_weight() {
            true => "hh",
            false => "ih",
        };
        scale(&format!("rnn.weight_{part}_l{k}"), mask);
    }
    let want = scaled.run(&window, &states, 1.0);
    window.masks = Masks {
        words: None,
        input: everywhere(&input),
        outputs: outputs.iter().map(everywhere).collect(),
        latents: None,
        weights,
        zoneout: Vec::new(),
    };
    check_values("masks", &network.run(&window, &states, 1.0), &want);

    // Without a projection the output layer reads the masked output of the last layer.
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
            penalties: Penalties::default(),
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

/// A dropped word equals a missing word, with an embedding and without.
pub fn check_dropped_words(cell: Cell) {
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

/// A projection followed by an output layer equals one output layer.
pub fn check_projection(cell: Cell) {
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

/// A tied table equals two tables of the same values, and its gradient is the sum of theirs.
pub fn check_tied_tables(cell: Cell) {
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
