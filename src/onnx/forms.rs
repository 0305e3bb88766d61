//! The two graphs: a scorer of whole sentences, and one step with its states in and out.

use super::format::{Attribute, Dimension, FLOAT, Graph, INT64};
use super::graph::Builder;
use super::network::Arranged;
use crate::error::{Error, Result};

/// Tokens `x [N, L]` without boundaries and their numbers `x_lens [N]` -> `nll [N]`: minus the sum
/// of ln P of each sentence's tokens and end.
///
/// The boundary is put before and after the tokens here; what stands past a sentence's length
/// counts nothing, whatever it is. Inside, time comes first: T = L + 1 steps.
pub(super) fn sentence(network: &Arranged<'_>) -> Graph {
    let mut graph = Builder::new("sentence");
    let batch = Dimension::named("N");
    let x = graph.input("x", INT64, &[batch.clone(), Dimension::named("L")]);
    let lengths = graph.input("x_lens", INT64, std::slice::from_ref(&batch));
    graph.output("nll", &[batch]);

    let zero = graph.integers("zero", &[], &[0]);
    let one = graph.integers("one", &[], &[1]);
    let axis_0 = graph.integers("axis_0", &[1], &[0]);
    let axis_1 = graph.integers("axis_1", &[1], &[1]);
    let minus_one = graph.integers("minus_one", &[1], &[-1]);
    let column = graph.integers("column", &[2], &[-1, 1]);

    let by_time = graph.node(
        "x_by_time",
        "Transpose",
        &[&x],
        vec![Attribute::integers("perm", &[1, 0])],
    );
    let one_more = graph.integers("one_more", &[4], &[0, 0, 1, 0]);
    let lengthened = graph.node(
        "x_lengthened",
        "Pad",
        &[&by_time, &one_more, &zero],
        Vec::new(),
    );
    let shape = graph.node("shape", "Shape", &[&lengthened], Vec::new());
    let steps = graph.node("steps", "Gather", &[&shape, &zero], Vec::new());
    let numbers = graph.node("step_numbers", "Range", &[&zero, &steps, &one], Vec::new());
    let positions = graph.node("positions", "Unsqueeze", &[&numbers, &axis_1], Vec::new());
    let is_token = graph.node("is_token", "Less", &[&positions, &lengths], Vec::new());
    let is_counted = graph.node(
        "is_counted",
        "LessOrEqual",
        &[&positions, &lengths],
        Vec::new(),
    );
    // The boundary's number is 0: it ends every sentence, and stands before it in the shifted
    // tokens.
    let targets = graph.node(
        "targets",
        "Where",
        &[&is_token, &lengthened, &zero],
        Vec::new(),
    );
    let one_before = graph.integers("one_before", &[4], &[1, 0, 0, 0]);
    let shifted = graph.node(
        "shifted",
        "Pad",
        &[&targets, &one_before, &zero],
        Vec::new(),
    );
    let inputs = graph.node(
        "inputs",
        "Slice",
        &[&shifted, &axis_0, &minus_one, &axis_0],
        Vec::new(),
    );

    let top = layers(&mut graph, network, &inputs, &shape);
    let width = network.layers.last().map_or(1, |layer| layer.hidden);
    let rows = graph.integers("hidden_rows", &[2], &[-1, width as i64]);
    let hidden = graph.node("hidden", "Reshape", &[&top, &rows], Vec::new());
    let all = graph.log_probabilities(network, &hidden, "log_softmax");
    let wanted = graph.node(
        "targets_column",
        "Reshape",
        &[&targets, &column],
        Vec::new(),
    );
    let found = graph.node(
        "of_targets_column",
        "GatherElements",
        &[&all, &wanted],
        vec![Attribute::integer("axis", 1)],
    );
    let found = graph.node("of_targets", "Reshape", &[&found, &shape], Vec::new());
    let nothing = graph.floats("nothing", &[], &[0.0]);
    let counted = graph.node(
        "counted",
        "Where",
        &[&is_counted, &found, &nothing],
        Vec::new(),
    );
    let sum = graph.node(
        "log_probability",
        "ReduceSum",
        &[&counted, &axis_0],
        vec![Attribute::integer("keepdims", 0)],
    );
    graph.node("nll", "Neg", &[&sum], Vec::new());
    graph.finish()
}

/// All recurrent layers over tokens `[T, N]` from the initial state: the top's `[T, N, H]`. `shape`
/// is that of the tokens.
fn layers(graph: &mut Builder, network: &Arranged<'_>, tokens: &str, shape: &str) -> String {
    let one = graph.integers("one_direction", &[1], &[1]);
    let batch = graph.node("batch", "Gather", &[shape, &one], Vec::new());
    let initial = graph.floats("initial_state", &[1], &[network.initial_state]);
    let mut values = graph.look_up(network, tokens);
    for (number, layer) in network.layers.iter().enumerate() {
        let size = graph.integers(&format!("layer{number}.size"), &[1], &[layer.hidden as i64]);
        let shape = graph.node(
            &format!("layer{number}.shape"),
            "Concat",
            &[&one, &batch, &size],
            vec![Attribute::integer("axis", 0)],
        );
        let first = graph.node(
            &format!("layer{number}.initial"),
            "Expand",
            &[&initial, &shape],
            Vec::new(),
        );
        let states = vec![first; network.operator.states];
        values = graph.recurrent(network, number, &values, &states).outputs;
    }
    values
}

/// A token `x [N, 1]` and the states `h0 [L, N, H]`, with `c0` where the cell has one ->
/// `log_softmax [N, V]`, ln P of every next word, and the states after the token, `next_h0` and
/// `next_c0`.
///
/// # Errors
/// If the layers differ in size: their states are one tensor.
pub(super) fn step(network: &Arranged<'_>) -> Result<Graph> {
    let sizes: Vec<usize> = network.layers.iter().map(|layer| layer.hidden).collect();
    if sizes.iter().any(|&size| size != sizes[0]) {
        return Err(Error::invalid(
            format!("layers of {sizes:?} units"),
            "the states of all layers are one tensor of the step form, so they must be of one size",
            "Take --form sentence, or train layers of one size",
        ));
    }
    let mut graph = Builder::new("step");
    let batch = Dimension::named("N");
    let x = graph.input("x", INT64, &[batch.clone(), Dimension::fixed(1)]);
    let states = [
        Dimension::fixed(sizes.len()),
        batch.clone(),
        Dimension::fixed(sizes[0]),
    ];
    let kinds = &["h", "c"][..network.operator.states];
    graph.output(
        "log_softmax",
        &[batch, Dimension::fixed(network.vocabulary())],
    );
    let mut initial = vec![Vec::new(); sizes.len()];
    for kind in kinds {
        let all = graph.input(&format!("{kind}0"), FLOAT, &states);
        graph.output(&format!("next_{kind}0"), &states);
        let parts: Vec<String> = (0..sizes.len())
            .map(|number| format!("layer{number}.{kind}0"))
            .collect();
        let outputs: Vec<&str> = parts.iter().map(String::as_str).collect();
        graph.node_with_outputs(
            &format!("split_{kind}0"),
            "Split",
            &[&all],
            &outputs,
            vec![Attribute::integer("axis", 0)],
        );
        initial
            .iter_mut()
            .zip(parts)
            .for_each(|(layer, part)| layer.push(part));
    }
    let by_time = graph.node(
        "x_by_time",
        "Transpose",
        &[&x],
        vec![Attribute::integers("perm", &[1, 0])],
    );
    let mut values = graph.look_up(network, &by_time);
    let mut last = vec![Vec::new(); kinds.len()];
    for (number, initial) in initial.iter().enumerate() {
        let layer = graph.recurrent(network, number, &values, initial);
        values = layer.outputs;
        last.iter_mut()
            .zip(layer.states)
            .for_each(|(kind, state)| kind.push(state));
    }
    for (kind, states) in kinds.iter().zip(&last) {
        let parts: Vec<&str> = states.iter().map(String::as_str).collect();
        graph.node(
            &format!("next_{kind}0"),
            "Concat",
            &parts,
            vec![Attribute::integer("axis", 0)],
        );
    }
    let time = graph.integers("time", &[1], &[0]);
    let hidden = graph.node("hidden", "Squeeze", &[&values, &time], Vec::new());
    graph.log_probabilities(network, &hidden, "log_softmax");
    Ok(graph.finish())
}
