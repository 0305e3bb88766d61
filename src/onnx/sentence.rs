//! The graph that scores whole sentences.

use super::graph_builder::GraphBuilder;
use super::network::{HiddenLayers, InitialStates, PreparedNetwork, RecurrentLayers, STATE_NAMES};
use super::proto::{AttributeProto, DimensionProto, GraphProto, INT64};

/// Tokens `x [N, L]` without boundaries and sentence lengths `x_lens [N]` -> `nll [N]`: minus the
/// sum of ln P over the tokens of each sentence and its end.
///
/// The graph puts the boundary before and after the tokens. Tokens after the end of a sentence are
/// ignored. Inside the graph, time is the first dimension, with T = L + 1 steps.
pub(super) fn graph(network: &PreparedNetwork<'_>) -> GraphProto {
    let mut graph = GraphBuilder::new("sentence");
    let batch = DimensionProto::named("N");
    let x = graph.input("x", INT64, &[batch.clone(), DimensionProto::named("L")]);
    let lengths = graph.input("x_lens", INT64, std::slice::from_ref(&batch));
    graph.output("nll", &[batch]);

    let constants = Constants::new(&mut graph);
    let tokens = sentence_tokens(&mut graph, &constants, &x, &lengths);
    let last_layer = match &network.hidden {
        HiddenLayers::Recurrent(recurrent) => {
            let embedded = graph.embed(network, &tokens.inputs);
            layers(&mut graph, recurrent, &embedded, &tokens.shape)
        }
        HiddenLayers::FeedForward(layer) => {
            let contexts = layer.contexts_of_sentence(&mut graph, &tokens.inputs);
            layer.hidden_units(&mut graph, network, &contexts)
        }
    };
    let width = network.hidden_width() as i64;
    let rows = graph.integers("hidden_rows", &[2], &[-1, width]);
    let hidden = graph.node("hidden", "Reshape", &[&last_layer, &rows], Vec::new());
    let log_probabilities = graph.log_probabilities(network, &hidden, "log_softmax");
    sum_targets(&mut graph, &constants, &tokens, &log_probabilities);
    graph.finish()
}

/// The names of constants.
struct Constants {
    zero: String,
    one: String,
    axis_0: String,
    axis_1: String,
    minus_one: String,
    /// The shape of a column: `[-1, 1]`.
    column: String,
}

impl Constants {
    fn new(graph: &mut GraphBuilder) -> Self {
        Self {
            zero: graph.integers("zero", &[], &[0]),
            one: graph.integers("one", &[], &[1]),
            axis_0: graph.integers("axis_0", &[1], &[0]),
            axis_1: graph.integers("axis_1", &[1], &[1]),
            minus_one: graph.integers("minus_one", &[1], &[-1]),
            column: graph.integers("column", &[2], &[-1, 1]),
        }
    }
}

/// The names of the tokens of sentences with boundaries, `[T, N]` each.
struct SentenceTokens {
    /// The boundary, then the tokens.
    inputs: String,
    /// The tokens, then the boundary.
    targets: String,
    /// Whether a target belongs to its sentence.
    is_counted: String,
    /// The shape, T and N.
    shape: String,
}

/// Adds the boundaries to `x [N, L]`. `lengths [N]` are the lengths of the sentences.
fn sentence_tokens(
    graph: &mut GraphBuilder,
    constants: &Constants,
    x: &str,
    lengths: &str,
) -> SentenceTokens {
    let Constants {
        zero,
        one,
        axis_0,
        axis_1,
        minus_one,
        ..
    } = constants;
    let by_time = graph.transpose(x);
    let pad_after = graph.integers("one_more", &[4], &[0, 0, 1, 0]);
    let padded = graph.node(
        "x_lengthened",
        "Pad",
        &[&by_time, &pad_after, zero],
        Vec::new(),
    );
    let shape = graph.node("shape", "Shape", &[&padded], Vec::new());
    let steps = graph.node("steps", "Gather", &[&shape, zero], Vec::new());
    let range = graph.node("step_numbers", "Range", &[zero, &steps, one], Vec::new());
    let positions = graph.node("positions", "Unsqueeze", &[&range, axis_1], Vec::new());
    let is_token = graph.node("is_token", "Less", &[&positions, lengths], Vec::new());
    let is_counted = graph.node(
        "is_counted",
        "LessOrEqual",
        &[&positions, lengths],
        Vec::new(),
    );
    // The boundary has id 0. It ends every sentence, and the padding puts it before the first
    // token.
    let targets = graph.node("targets", "Where", &[&is_token, &padded, zero], Vec::new());
    let pad_before = graph.integers("one_before", &[4], &[1, 0, 0, 0]);
    let shifted = graph.node("shifted", "Pad", &[&targets, &pad_before, zero], Vec::new());
    let inputs = graph.node(
        "inputs",
        "Slice",
        &[&shifted, axis_0, minus_one, axis_0],
        Vec::new(),
    );
    SentenceTokens {
        inputs,
        targets,
        is_counted,
        shape,
    }
}

/// Adds `nll [N]`, minus the sum of the targets' log-probabilities. `log_probabilities` is
/// `[T*N, V]`.
fn sum_targets(
    graph: &mut GraphBuilder,
    constants: &Constants,
    tokens: &SentenceTokens,
    log_probabilities: &str,
) {
    let target_column = graph.node(
        "targets_column",
        "Reshape",
        &[&tokens.targets, &constants.column],
        Vec::new(),
    );
    let of_targets = graph.node(
        "of_targets_column",
        "GatherElements",
        &[log_probabilities, &target_column],
        vec![AttributeProto::integer("axis", 1)],
    );
    let of_targets = graph.node(
        "of_targets",
        "Reshape",
        &[&of_targets, &tokens.shape],
        Vec::new(),
    );
    let nothing = graph.floats("nothing", &[], &[0.0]);
    let counted = graph.node(
        "counted",
        "Where",
        &[&tokens.is_counted, &of_targets, &nothing],
        Vec::new(),
    );
    let sum = graph.node(
        "log_probability",
        "ReduceSum",
        &[&counted, &constants.axis_0],
        vec![AttributeProto::integer("keepdims", 0)],
    );
    graph.node("nll", "Neg", &[&sum], Vec::new());
}

/// Adds all recurrent layers, which read embedded tokens `[T, N, D]` and start from the initial
/// state, and returns the hidden states of the last layer, `[T, N, H]`. `shape` is the shape of the
/// tokens.
fn layers(
    graph: &mut GraphBuilder,
    network: &RecurrentLayers<'_>,
    embedded: &str,
    shape: &str,
) -> String {
    let one = graph.integers("one_direction", &[1], &[1]);
    let batch = graph.node("batch", "Gather", &[shape, &one], Vec::new());
    let initial = initial_values(graph, network);
    let mut values = embedded.to_owned();
    for (index, layer) in network.layers.iter().enumerate() {
        let size = graph.integers(&format!("layer{index}.size"), &[1], &[layer.hidden as i64]);
        let shape = graph.node(
            &format!("layer{index}.shape"),
            "Concat",
            &[&one, &batch, &size],
            vec![AttributeProto::integer("axis", 0)],
        );
        let states: Vec<String> = STATE_NAMES
            .iter()
            .zip(&initial[index])
            .map(|(state, value)| {
                let name = format!("layer{index}.initial_{state}");
                graph.node(&name, "Expand", &[value, &shape], Vec::new())
            })
            .collect();
        values = graph.recurrent(network, index, &values, &states).hidden;
    }
    values
}

/// Adds the constants that the states start from: for each layer, one name for each state.
fn initial_values(graph: &mut GraphBuilder, network: &RecurrentLayers<'_>) -> Vec<Vec<String>> {
    let count = network.operator.states;
    match &network.initial_states {
        InitialStates::Uniform(value) => {
            let name = graph.floats("initial_state", &[1], &[*value]);
            vec![vec![name; count]; network.layers.len()]
        }
        InitialStates::Stored(states) => {
            let mut add = |(index, values): (usize, &&[f32])| {
                let name = format!("initial_state.{index}");
                graph.floats(&name, &[1, 1, values.len()], values)
            };
            let names: Vec<String> = states.iter().enumerate().map(&mut add).collect();
            names.chunks(count).map(<[String]>::to_vec).collect()
        }
    }
}
