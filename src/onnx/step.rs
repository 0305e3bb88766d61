//! The graph that computes one step, with the states as inputs and outputs.

use super::graph_builder::GraphBuilder;
use super::network::{HiddenLayers, InitialStates, PreparedNetwork, RecurrentLayers, STATE_NAMES};
use super::proto::{AttributeProto, DimensionProto, FLOAT, GraphProto, INT64};
use crate::error::{Error, Result};

/// A token `x [N, 1]` and the states `h0` and `c0`, `[L, N, H]` -> `log_softmax [N, V]`, ln P of
/// every next token, and the states after the token, `next_h0` and `next_c0`.
///
/// The inputs and outputs are the states minus those before the first token, so a text starts from
/// zeros. Cells without c return `c0` as it is.
///
/// # Errors
/// If the layers have different sizes: their states are one tensor.
pub(super) fn graph(network: &PreparedNetwork<'_>) -> Result<GraphProto> {
    let (layers, size) = match &network.hidden {
        HiddenLayers::Recurrent(recurrent) => (recurrent.layers.len(), layer_size(recurrent)?),
        HiddenLayers::FeedForward(layer) => (1, layer.state_size()),
    };
    let mut graph = GraphBuilder::new("step");
    let batch = DimensionProto::named("N");
    let x = graph.input("x", INT64, &[batch.clone(), DimensionProto::fixed(1)]);
    graph.output(
        "log_softmax",
        &[batch.clone(), DimensionProto::fixed(network.vocab_size())],
    );
    let shape = [
        DimensionProto::fixed(layers),
        batch,
        DimensionProto::fixed(size),
    ];
    for name in STATE_NAMES {
        graph.input(&format!("{name}0"), FLOAT, &shape);
        graph.output(&format!("next_{name}0"), &shape);
    }

    let hidden = match &network.hidden {
        HiddenLayers::Recurrent(recurrent) => recurrent_step(&mut graph, network, recurrent, &x),
        HiddenLayers::FeedForward(layer) => {
            let contexts = layer.contexts_of_step(&mut graph, &x);
            pass_on(&mut graph, 1);
            layer.hidden_units(&mut graph, network, &contexts)
        }
    };
    graph.log_probabilities(network, &hidden, "log_softmax");
    Ok(graph.finish())
}

/// Returns the states from a number on as they are.
fn pass_on(graph: &mut GraphBuilder, first: usize) {
    for name in &STATE_NAMES[first..] {
        let unchanged = format!("{name}0");
        graph.node(
            &format!("next_{name}0"),
            "Identity",
            &[&unchanged],
            Vec::new(),
        );
    }
}

/// Adds a step of all recurrent layers, which read a token `x [N, 1]`, and returns the output of
/// the last one, `[N, H]`.
fn recurrent_step(
    graph: &mut GraphBuilder,
    network: &PreparedNetwork<'_>,
    recurrent: &RecurrentLayers<'_>,
    x: &str,
) -> String {
    let layers = recurrent.layers.len();
    let states: Vec<State> = (0..recurrent.operator.states)
        .map(|index| State::new(graph, recurrent, index))
        .collect();
    // One list for each state, with a name for each layer.
    let before: Vec<Vec<String>> = states
        .iter()
        .map(|state| state.split(graph, layers))
        .collect();
    let mut after = vec![Vec::new(); states.len()];
    let by_time = graph.transpose(x);
    let mut values = graph.embed(network, &by_time);
    for layer in 0..layers {
        let initial: Vec<String> = before.iter().map(|names| names[layer].clone()).collect();
        let outputs = graph.recurrent(recurrent, layer, &values, &initial);
        values = outputs.hidden;
        for (names, name) in after.iter_mut().zip(outputs.states) {
            names.push(name);
        }
    }
    for (state, names) in states.iter().zip(&after) {
        state.join(graph, names);
    }
    pass_on(graph, states.len());
    let time = graph.integers("time", &[1], &[0]);
    graph.node("hidden", "Squeeze", &[&values, &time], Vec::new())
}

/// H of all layers.
fn layer_size(network: &RecurrentLayers<'_>) -> Result<usize> {
    let sizes: Vec<usize> = network.layers.iter().map(|layer| layer.hidden).collect();
    common_size(&sizes)
}

/// The size of layers.
///
/// # Errors
/// If they have several.
pub(super) fn common_size(sizes: &[usize]) -> Result<usize> {
    if sizes.iter().all(|&size| size == sizes[0]) {
        return Ok(sizes[0]);
    }
    Err(Error::invalid(
        format!("layers of {sizes:?} units"),
        "the step form has one tensor for the states of all layers, so the layers must have the \
         same size",
        "Use `form = sentence`, or train layers of one size",
    ))
}

/// h or c of all layers.
struct State {
    name: &'static str,
    /// The constant with the values before the first token; `None` if all are zero.
    initial: Option<String>,
}

impl State {
    fn new(graph: &mut GraphBuilder, network: &RecurrentLayers<'_>, index: usize) -> Self {
        let name = STATE_NAMES[index];
        let (shape, values) = match &network.initial_states {
            InitialStates::Uniform(value) => (vec![1], vec![*value]),
            InitialStates::Stored(states) => {
                let of_layers = states.iter().skip(index).step_by(network.operator.states);
                let values: Vec<f32> = of_layers.flat_map(|values| *values).copied().collect();
                let layers = network.layers.len();
                (vec![layers, 1, values.len() / layers], values)
            }
        };
        let is_zero = values.iter().all(|&value| value == 0.0);
        let initial = || graph.floats(&format!("initial_{name}"), &shape, &values);
        Self {
            name,
            initial: (!is_zero).then(initial),
        }
    }

    /// Adds the layers' states before the token and returns their names.
    fn split(&self, graph: &mut GraphBuilder, layers: usize) -> Vec<String> {
        let Self { name, initial } = self;
        let input = format!("{name}0");
        let all_layers = match initial {
            None => input,
            Some(initial) => graph.node(
                &format!("{name}_before"),
                "Add",
                &[&input, initial],
                Vec::new(),
            ),
        };
        let names: Vec<String> = (0..layers)
            .map(|layer| format!("layer{layer}.{name}0"))
            .collect();
        graph.node_with_outputs(
            &format!("split_{name}0"),
            "Split",
            &[&all_layers],
            &names.iter().map(String::as_str).collect::<Vec<_>>(),
            vec![AttributeProto::integer("axis", 0)],
        );
        names
    }

    /// Adds the output of the layers' states after the token.
    fn join(&self, graph: &mut GraphBuilder, layers: &[String]) {
        let Self { name, initial } = self;
        let output = format!("next_{name}0");
        let all_layers = match initial {
            None => output.clone(),
            Some(_) => format!("{name}_after"),
        };
        graph.node(
            &all_layers,
            "Concat",
            &layers.iter().map(String::as_str).collect::<Vec<_>>(),
            vec![AttributeProto::integer("axis", 0)],
        );
        if let Some(initial) = initial {
            graph.node(&output, "Sub", &[&all_layers, initial], Vec::new());
        }
    }
}
